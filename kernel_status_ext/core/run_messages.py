"""What the messages about runs say: what is asked, what comes of it, what is put out meanwhile.

Kernels are many and not all are strict, so a field of a wrong type reads as if it were absent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from .messages import GarbledMessage
from .run import Failure
from .words import RunStatus

JSON = dict[str, Any]

ERROR_LIMIT = 16 << 10
"""Bytes of a failure's name, and of its value, that are kept of it."""


def cut(text: str, limit: int) -> str:
    """Return as much of a text as fits into so many bytes, cut between two characters.

    >>> cut("aé", 2), cut("aé", 3)
    ('a', 'aé')
    """
    if 4 * len(text) <= limit:
        return text
    # A character takes a byte at least: what is a thousand times longer is not encoded whole.
    return text[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def read_content(raw: bytes) -> JSON:
    """Read a content as ``jupyter_client.session`` does, bytes that are no text replaced.

    Raises:
        GarbledMessage: It is no JSON object.
    """
    try:
        content = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        content = _read_odd_content(raw)
    if not isinstance(content, dict):
        raise GarbledMessage(f"its content is {type(content).__name__} and no object")
    return content


def _read_odd_content(raw: bytes) -> Any:
    """Read what is no strict JSON (NaN, half of a surrogate pair, bytes that are no text)."""
    try:
        content = json.loads(raw.decode("utf-8", "replace"))
        # Half of a surrogate pair can be written down in JSON, and nowhere else.
        return json.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise GarbledMessage(str(error)) from error


def _text(content: JSON, name: str) -> str:
    value = content.get(name)
    return value if isinstance(value, str) else ""


def _number(content: JSON, name: str) -> int | None:
    value = content.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _object(content: JSON, name: str) -> JSON:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def read_request(content: JSON) -> tuple[str, bool]:
    """Read an ``execute_request``: its code, and whether it is silent."""
    return _text(content, "code"), content.get("silent") is True


def read_input(content: JSON) -> tuple[str, int | None]:
    """Read an ``execute_input``: the code and its number."""
    return _text(content, "code"), _number(content, "execution_count")


@dataclass(frozen=True, slots=True)
class Error:
    """What an iopub ``error``, or a reply that failed, says."""

    failure: Failure
    traceback: str
    """Its lines, as the kernel coloured them; without any the failure itself."""


def read_error(content: JSON, instead: str | None = None) -> Error:
    """Read a failure.

    Args:
        content: Of an iopub ``error`` or an ``execute_reply``.
        instead: What stands in the place of tracebacks that must not be seen; None if they may.
    """
    if instead is not None:
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection._on_error, in its words
        return Error(Failure("ExecutionError", "Execution error"), instead and f"{instead}\n")
    failure = Failure(
        cut(_text(content, "ename"), ERROR_LIMIT), cut(_text(content, "evalue"), ERROR_LIMIT)
    )
    lines = content.get("traceback")
    told = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    named = (
        f"{failure.ename}: {failure.evalue}"
        if failure.ename or not failure.evalue
        else failure.evalue
    )
    return Error(failure, f"{told or named}\n")


@dataclass(frozen=True, slots=True)
class Reply:
    """What an ``execute_reply`` says."""

    status: RunStatus
    execution_count: int | None
    error: Error | None


_ANSWERS = {
    "ok": RunStatus.OK,
    "error": RunStatus.ERROR,
    "aborted": RunStatus.ABORTED,
    "abort": RunStatus.ABORTED,
}
"""The statuses of a reply; ``abort`` was the word before messaging protocol 5.1."""


def read_reply(content: JSON, instead: str | None = None) -> Reply:
    """Read an ``execute_reply``; a status that is no word of the protocol is an error.

    Args:
        content: Of the reply.
        instead: As for ``read_error``.
    """
    status = _ANSWERS.get(_text(content, "status"), RunStatus.ERROR)
    error = read_error(content, instead) if status is RunStatus.ERROR else None
    return Reply(status, _number(content, "execution_count"), error)


NOTHING = msgspec.Raw(b"{}")
"""An object without fields."""


# -- what a run puts out -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stdout:
    """Text on stdout."""

    text: str


@dataclass(frozen=True, slots=True)
class Stderr:
    """Text on stderr, a traceback, or why a run ended."""

    text: str


@dataclass(frozen=True, slots=True)
class Displayed:
    """Something that is shown; ``update`` if it takes the place of what has its id.

    Its forms by MIME type, and what is said of them, stay as the kernel wrote them: they may be
    many megabytes, and nobody here looks into them.
    """

    data: msgspec.Raw
    metadata: msgspec.Raw
    display_id: str | None
    update: bool


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was put out is to be taken away, if ``wait`` when something comes in its place."""

    wait: bool


@dataclass(frozen=True, slots=True)
class Resulted:
    """The value of the last expression, in several forms by MIME type, as the kernel wrote it."""

    data: msgspec.Raw
    metadata: msgspec.Raw
    execution_count: int | None


Output = Stdout | Stderr | Displayed | Cleared | Resulted


class _Shown(msgspec.Struct):
    """What is read of a display or a result; the rest of it is only passed on."""

    data: msgspec.Raw = NOTHING
    metadata: msgspec.Raw = NOTHING
    transient: dict[str, Any] = {}
    execution_count: int | None = None


_decode_shown = msgspec.json.Decoder(_Shown).decode


def _read_shown(raw: bytes) -> _Shown:
    try:
        shown = _decode_shown(raw)
        if _can_be_passed_on(shown.data) and _can_be_passed_on(shown.metadata):
            return shown
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    content = read_content(raw)
    return _Shown(
        msgspec.Raw(json.dumps(_object(content, "data")).encode()),
        msgspec.Raw(json.dumps(_object(content, "metadata")).encode()),
        _object(content, "transient"),
        _number(content, "execution_count"),
    )


def _can_be_passed_on(written: msgspec.Raw) -> bool:
    """Tell whether it is an object on one line; raises UnicodeDecodeError if it is no text."""
    text = bytes(written)
    text.decode()
    return text.startswith(b"{") and b"\n" not in text and b"\r" not in text


def read_output(kind: str, raw: bytes) -> Output:
    """Read what a run puts out.

    Args:
        kind: One of ``OUTPUTS``.
        raw: The message's content.

    Raises:
        GarbledMessage: It is no JSON object.
    """
    if kind in ("stream", "clear_output"):
        return _read_text(kind, read_content(raw))
    shown = _read_shown(raw)
    if kind == "execute_result":
        return Resulted(shown.data, shown.metadata, shown.execution_count)
    display_id = shown.transient.get("display_id")
    named = display_id if isinstance(display_id, str) else None
    update = kind == "update_display_data"
    return Displayed(shown.data, shown.metadata, named, update=update)


def _read_text(kind: str, content: JSON) -> Output:
    if kind == "stream":
        text = _text(content, "text")
        return Stderr(text) if content.get("name") == "stderr" else Stdout(text)
    return Cleared(content.get("wait") is True)


OUTPUTS = ("stream", "display_data", "update_display_data", "clear_output", "execute_result")
"""The iopub messages that a run puts out, beside ``error``."""
