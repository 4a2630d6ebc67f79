"""The only place that says what a server's answer means: a result, or which error."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from .errors import (
    AnswerNotUnderstood,
    BadRequest,
    KernelNotFound,
    KernelStateTimeout,
    KernelStateUnreachable,
    KernelStatusError,
    NoExtension,
    NotAllowed,
    NotInterrupted,
    RevisionUnknown,
    RunNotFound,
    ServerUnreachable,
    TooManyWatchers,
)
from .results import JSON, Kernel, Result, read
from .steps import Answer, Failed

R = TypeVar("R", bound=Result)
Meaning = Mapping[int, type[KernelStatusError]]

OURS: dict[int, type[KernelStatusError]] = {
    HTTPStatus.BAD_REQUEST: BadRequest,
    HTTPStatus.NOT_FOUND: KernelNotFound,
    HTTPStatus.CONFLICT: KernelStateUnreachable,
    HTTPStatus.GONE: RevisionUnknown,
    HTTPStatus.SERVICE_UNAVAILABLE: TooManyWatchers,
    HTTPStatus.GATEWAY_TIMEOUT: KernelStateTimeout,
}
"""What the server's own errors mean, by their status."""

OF_RUNS: dict[int, type[KernelStatusError]] = {
    **OURS,
    HTTPStatus.NOT_FOUND: RunNotFound,
    HTTPStatus.CONFLICT: NotInterrupted,
}
"""The same for the calls about one run."""

GOOD = (HTTPStatus.OK, HTTPStatus.ACCEPTED)
"""What is answered with what was asked for."""

NOBODY_BEHIND = (
    HTTPStatus.FAILED_DEPENDENCY,  # JupyterHub: this user's server is not running
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""What a proxy answers for a server that does not."""

STREAM = "text/event-stream"

NEEDS = "give the server's token (token=..., --token or JUPYTER_TOKEN) or the cookies of a login"
SHOWN = 300
"""Characters of somebody else's message that are quoted."""


def result(kind: type[R], answer: Answer | Failed, server: str, meaning: Meaning = OURS) -> R:
    """Make a result of an answer.

    Args:
        kind: What was asked for.
        answer: The answer.
        server: The server's address.
        meaning: What the server's own errors mean.

    Returns:
        The result.

    Raises:
        KernelStatusError: It is another one.
    """
    return made(kind, body(answer, server, meaning), server)


def made(kind: type[R], told: Any, server: str) -> R:
    """Make a result of JSON.

    Args:
        kind: What was asked for.
        told: The JSON, read.
        server: The server's address.

    Returns:
        The result.

    Raises:
        AnswerNotUnderstood: It is none.
    """
    try:
        return read(kind, told)
    except msgspec.ValidationError as error:
        raise not_understood(server, f"no {kind.__name__.lower()}: {error}") from error


def body(answer: Answer | Failed, server: str, meaning: Meaning = OURS) -> Any:
    """Read the JSON of a good answer; raises as ``result`` does."""
    if isinstance(answer, Failed) or answer.status not in GOOD:
        raise refusal(answer, server, meaning)
    return json_of(answer.body, server)


def part(answer: Answer | Failed, name: str, server: str, meaning: Meaning = OURS) -> Any:
    """Read what stands under a name in a good answer, None if nothing; raises as ``result``."""
    told = body(answer, server, meaning)
    return told.get(name) if isinstance(told, dict) else None


def check_stream(reply: Answer | Failed, server: str, meaning: Meaning = OURS) -> None:
    """Raise, as ``result`` does, if this is not the beginning of a stream of events."""
    if isinstance(reply, Failed) or reply.status != HTTPStatus.OK:
        raise refusal(reply, server, meaning)
    if not reply.kind.startswith(STREAM):
        raise not_understood(server, f"{reply.kind or 'something'} and no {STREAM}")


def json_of(text: bytes | str, server: str) -> Any:
    """Read JSON.

    Args:
        text: The JSON.
        server: The server's address.

    Returns:
        What it says.

    Raises:
        AnswerNotUnderstood: It is none.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_understood(server, "no JSON") from error


def not_understood(server: str, what: str) -> AnswerNotUnderstood:
    """Make the error of an answer that makes no sense."""
    return AnswerNotUnderstood(
        f"The server at {server} answered {what}; is that the address of a Jupyter server, and is "
        "its kernel_status_ext not newer than yours?",
        status_code=HTTPStatus.OK,
    )


def is_trouble(reply: Answer | Failed) -> bool:
    """Tell whether somebody between cut or refused the call, so that another may do better."""
    if isinstance(reply, Failed):
        return True
    return reply.status in NOBODY_BEHIND and _ours(reply) is None


def unreachable(reply: Answer | Failed, server: str, more: str = "") -> ServerUnreachable:
    """Make the error of a server that does not answer.

    Args:
        reply: What came instead.
        server: The server's address.
        more: What else there is to say.
    """
    if isinstance(reply, Failed):
        why, status = reply.why, None
    else:
        why, status = f"somebody before it answers {reply.status}", reply.status
    return ServerUnreachable(
        f"The server at {server} cannot be reached ({why}){more}: check the address and whether "
        "it runs.",
        status_code=status,
    )


def refusal(reply: Answer | Failed, server: str, meaning: Meaning = OURS) -> KernelStatusError:
    """Say what an answer means that is not the one that was asked for.

    Args:
        reply: The answer, or what came instead.
        server: The server's address.
        meaning: What the server's own errors mean.

    Returns:
        The error, to be raised.
    """
    if isinstance(reply, Failed) or is_trouble(reply):
        return unreachable(reply, server)
    if reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or _is_login(reply):
        return _not_allowed(reply, server)
    if 300 <= reply.status < 400:  # noqa: PLR2004 - all redirections
        what = f"{reply.status}, which sends us on to {_without_query(reply.location)}"
        return AnswerNotUnderstood(
            f"The server at {server} answered {what}: give that address.", status_code=reply.status
        )
    told = _ours(reply)
    if told is None and reply.status == HTTPStatus.NOT_FOUND:
        return NoExtension(
            f"The server at {server} answers, but not to kernel_status_ext's calls: check the "
            "address, or install the extension there, `jupyter server extension enable "
            "kernel_status_ext`, and start the server again.",
            status_code=reply.status,
        )
    kind = meaning.get(reply.status, AnswerNotUnderstood)
    if told is None or kind is AnswerNotUnderstood:
        message = f"The server at {server} answered {reply.status}: {_message(reply)}"
        return AnswerNotUnderstood(message, status_code=reply.status)
    kernel = read(Kernel, told["kernel"]) if _is_kernel(told.get("kernel")) else None
    return kind(told["message"], reason=told["reason"], kernel=kernel, status_code=reply.status)


def _not_allowed(reply: Answer, server: str) -> NotAllowed:
    said = _message(reply)
    return NotAllowed(
        f"The server at {server} does not allow it ({reply.status}: {said}): {NEEDS}.",
        reason=said,
        status_code=reply.status,
    )


def _is_login(reply: Answer) -> bool:
    return "login" in reply.location.partition("?")[0]


def _without_query(url: str) -> str:
    return url.partition("?")[0] or "nowhere"


def _told(reply: Answer) -> JSON:
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        told = msgspec.json.decode(reply.body)
        if isinstance(told, dict):
            return told
    return {}


def _ours(reply: Answer) -> JSON | None:
    """Read an error of our own calls; others' have another shape or no reason."""
    told = _told(reply)
    words = told.get("message"), told.get("reason")
    return told if all(isinstance(each, str) and each for each in words) else None


def _is_kernel(told: Any) -> bool:
    try:
        read(Kernel, told)
    except msgspec.ValidationError:
        return False
    return True


def _message(reply: Answer) -> str:
    said = _told(reply).get("message")
    if isinstance(said, str) and said:
        return said[:SHOWN]
    known = {each.value: each.phrase for each in HTTPStatus}
    return known.get(reply.status, "no message")
