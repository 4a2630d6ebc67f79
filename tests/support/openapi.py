"""The only place that holds answers against the OpenAPI document: `held` for a whole session.

Every answer that a test gets from a server of ours must be one that the document knows: its status
code for that path and method, its content type, and its body, or each of its events. What else is
asked (other paths, servers without the extension, transports that are none) is left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator, ValidationError

from kernel_status_ext.api.openapi import document

from .sse import COMMENT, EVENT_STREAM, parse

DOCUMENT = document("/")
METHODS = ("get", "post", "put", "patch", "delete")

SERVERS: dict[int, str] = {}
"""The base_url of each server of ours that runs now, by its port; `Server` tells."""


class Violation(AssertionError):
    """An answer that the document does not know."""


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """What a node of the document means: itself, or what its `$ref` points to."""
    while (ref := node.get("$ref")) is not None:
        node = DOCUMENT
        for key in ref.removeprefix("#/").split("/"):
            node = node[key.replace("~1", "/").replace("~0", "~")]
    return node


def validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Compile a schema of the document."""
    return Draft202012Validator({"components": DOCUMENT["components"], **schema})


@dataclass(frozen=True)
class Operation:
    """A path and a method of the document, ready to judge."""

    path: str
    method: str
    node: dict[str, Any]

    def __str__(self) -> str:
        """Read like the first line of a request."""
        return f"{self.method.upper()} {self.path}"

    @cached_property
    def answers(self) -> dict[int, dict[str, Draft202012Validator]]:
        """What the body must be, by status code and content type."""
        return {
            int(code): {
                kind: validator(media["schema"])
                for kind, media in resolved(answer).get("content", {}).items()
            }
            for code, answer in self.node["responses"].items()
        }

    @cached_property
    def events(self) -> dict[str, Draft202012Validator]:
        """What the data of each event must be."""
        return {name: validator(each) for name, each in self.node.get("x-events", {}).items()}

    def check(self, code: int, kind: str, body: bytes) -> None:
        """Judge an answer whose body has come; that of a stream is judged event by event."""
        self.check_head(code, kind, body)
        media = kind.partition(";")[0].strip()
        if media == "application/json" and self.answers[code]:
            _judge(f"{self} answered {code}", self.answers[code][media], json.loads(body))

    def check_head(self, code: int, kind: str, body: bytes = b"") -> None:
        """Judge the status code and the content type of an answer."""
        said = f"{self} answered {code}"
        if code not in self.answers:
            raise Violation(f"{said}; the document knows {sorted(self.answers)}: {body[:600]!r}")
        kinds, media = self.answers[code], kind.partition(";")[0].strip()
        if not kinds and body:
            raise Violation(f"{said} with a body; the document knows none: {body[:600]!r}")
        if kinds and media not in kinds:
            raise Violation(f"{said} as {kind!r}; the document knows {sorted(kinds)}")

    def check_event(self, name: str, data: Any) -> None:
        """Judge an event of a stream."""
        said = f"{self} sent the event {name!r}"
        if name not in self.events:
            raise Violation(f"{said}; the document knows {sorted(self.events)}: {data!r:.600}")
        _judge(said, self.events[name], data)


def _judge(said: str, validator: Draft202012Validator, data: Any) -> None:
    try:
        validator.validate(data)
    except ValidationError as error:
        wrong = " or ".join(sorted(set(_sentences(error)), key=len))
        raise Violation(f"{said}, and {wrong}\n{json.dumps(data):.2000}") from None


def _sentences(error: ValidationError) -> Iterator[str]:
    """What is wrong; where one of several schemas should have been met, the first of each."""
    alternatives = getattr(error.kind, "context", None)
    if alternatives:
        for first, *_ in alternatives:
            yield from _sentences(first)
    else:
        where = "/".join(map(str, error.instance_path)) or "the whole"
        rule = "/".join(map(str, error.schema_path))
        yield f"{where} of it is wrong: {error.message:.150} (by {rule})"


def pattern(path: str, node: Mapping[str, Any]) -> str:
    """A path with parameters as the regular expression of all that it stands for."""
    parameters = {each["name"]: each for each in map(resolved, node.get("parameters", ()))}

    def allowed(name: str) -> str:
        return f"(?:{parameters[name.strip('{}')]['schema']['pattern'].strip('^$')})"

    pieces = re.split(r"(\{\w+\})", path)
    return "".join(allowed(each) if each.startswith("{") else re.escape(each) for each in pieces)


def _operations() -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    return [
        (
            re.compile(pattern(path, node)),
            {method: Operation(path, method, node[method]) for method in METHODS if method in node},
        )
        # A path without parameters goes before one that has them.
        for path, node in sorted(DOCUMENT["paths"].items(), key=lambda item: item[0].count("{"))
    ]


OPERATIONS = _operations()


def operation(method: str, path: str) -> Operation | None:
    """The operation of the document that a request asks for, below the base_url.

    Returns:
        None for paths that are not in the document, and for a method that is not.
    """
    for known, methods in OPERATIONS:
        if known.fullmatch(path):
            return methods.get(method.lower(), _refused(methods, method))
    return None


def _refused(methods: Mapping[str, Operation], method: str) -> Operation | None:
    """What must be answered to a method that is not there; OPTIONS belongs to browsers."""
    if method.lower() not in METHODS:
        return None
    error = resolved(DOCUMENT["components"]["responses"]["Forbidden"])
    path = next(iter(methods.values())).path
    return Operation(path, method.lower(), {"responses": {"403": error, "405": error}})


def asked(port: int | None, method: str, target: str) -> Operation | None:
    """The operation that a request asks for; None if it is none of ours.

    Args:
        port: where the request goes.
        method: its method.
        target: its path as it travels, maybe with a query.
    """
    base = SERVERS.get(port) if port is not None else None
    path = target.partition("?")[0]
    if base is None or not path.startswith(base):
        return None
    return operation(method, path[len(base) - 1 :])


def check(port: int, method: str, target: str, code: int, kind: str, body: bytes) -> None:
    """Hold an answer against the document.

    Args:
        port: whom the request was sent to.
        method: its method.
        target: its path as it travels, maybe with a query.
        code: the answer's status code.
        kind: its content type.
        body: its body.

    Raises:
        Violation: the document does not know such an answer.
    """
    known = asked(port, method, target)
    if known is not None:
        known.check(code, kind, body)


def check_event(name: str, data: Any, path: str = "/api/kernels/watch") -> None:
    """Hold an event of a stream against the document; raises as `check` does."""
    known = operation("get", path)
    assert known is not None, path
    known.check_event(name, data)


# -- all answers of a session ----------------------------------------------------------------


class Events:
    """Judges the events of a stream as their bytes go by."""

    def __init__(self, known: Operation) -> None:
        self.known, self.rest = known, b""

    def go_by(self, piece: bytes) -> bytes:
        """Judge what is whole by now, and give the bytes back."""
        *whole, self.rest = (self.rest + piece).split(b"\n\n")
        for each in whole:
            for event in parse([*each.decode().split("\n"), ""]):
                if event.name != COMMENT:
                    self.known.check_event(event.name, event.data)
        return piece

    def end(self) -> None:
        """Say nothing: a stream may end at any moment."""


class Whole:
    """Judges a body that is read piece by piece, once it is there."""

    def __init__(self, known: Operation, code: int, kind: str) -> None:
        self.known, self.code, self.kind, self.body = known, code, kind, b""

    def go_by(self, piece: bytes) -> bytes:
        """Keep the bytes, and give them back."""
        self.body += piece
        return piece

    def end(self) -> None:
        """Judge."""
        self.known.check(self.code, self.kind, self.body)


class JudgedStream(httpx.SyncByteStream):
    """A body that is judged as it is read."""

    def __init__(self, stream: Any, judge: Events | Whole) -> None:
        self.stream, self.judge = stream, judge

    def __iter__(self) -> Iterator[bytes]:
        """Give the bytes as they come."""
        yield from map(self.judge.go_by, self.stream)
        self.judge.end()

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()


class JudgedAsyncStream(httpx.AsyncByteStream):
    """The same for asynchronous clients."""

    def __init__(self, stream: Any, judge: Events | Whole) -> None:
        self.stream, self.judge = stream, judge

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes as they come."""
        async for piece in self.stream:
            yield self.judge.go_by(piece)
        self.judge.end()

    async def aclose(self) -> None:
        """Close the connection."""
        await self.stream.aclose()


def _asked(response: httpx.Response) -> Operation | None:
    if "network_stream" not in response.extensions:
        return None  # it never travelled
    url, method = response.request.url, response.request.method
    return asked(url.port, method, url.raw_path.decode("ascii"))


def _judged(response: httpx.Response, stream: type[JudgedStream | JudgedAsyncStream]) -> None:
    """Judge what has come of an answer, and see to it that the rest is judged when it comes."""
    known, code = _asked(response), response.status_code
    kind = response.headers.get("Content-Type", "")
    if known is None:
        return
    if response.is_stream_consumed:
        known.check(code, kind, response.content)
        return
    known.check_head(code, kind)
    judge = Events(known) if kind.startswith(EVENT_STREAM) else Whole(known, code, kind)
    response.stream = stream(response.stream, judge)


def held(patch: pytest.MonkeyPatch) -> None:
    """Hold every answer that httpx gets from a server of ours against the document."""
    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def judged(client: httpx.Client, *args: Any, **kwargs: Any) -> httpx.Response:
        response = send(client, *args, **kwargs)
        _judged(response, JudgedStream)
        return response

    async def judged_async(client: httpx.AsyncClient, *args: Any, **kwargs: Any) -> httpx.Response:
        response = await send_async(client, *args, **kwargs)
        _judged(response, JudgedAsyncStream)
        return response

    patch.setattr(httpx.Client, "send", judged)
    patch.setattr(httpx.AsyncClient, "send", judged_async)
