"""The only place that says what a conversation with a server can want of the world.

A conversation is a generator that knows neither sockets nor clocks of its own: it yields steps and
is sent their replies. `sync` and `aio` take the steps, each in its own way.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .results import Event
from .runs import RunEvent

T = TypeVar("T")


@dataclass(frozen=True)
class Ask:
    """Send a request; the reply is an `Answer` or a `Failed`.

    Attributes:
        path: The path below the server's base_url.
        params: The query.
        patience: Seconds without a byte after which the connection counts as dead; None for the
            client's own limit.
        stream: Whether to leave the body of a 200 to `Read`.
        method: The method of the request.
        body: What is sent as JSON; None for nothing.
        headers: More headers.
    """

    path: str
    params: dict[str, str] = field(default_factory=dict)
    patience: float | None = None
    stream: bool = False
    method: str = "GET"
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """Read on in the stream; the reply is bytes, None at its end, or a `Failed`."""


@dataclass(frozen=True)
class Rest:
    """Wait for so many seconds, or until the client is closed; the reply is None."""

    seconds: float


@dataclass(frozen=True)
class Tell:
    """Give an event to whoever watches; the reply is None."""

    event: Event


@dataclass(frozen=True)
class TellOfRun:
    """Give an event to whoever follows a run; the reply is None."""

    event: RunEvent


@dataclass(frozen=True)
class Answer:
    """What a server, or somebody before it, has answered."""

    status: int
    body: bytes = b""
    kind: str = ""
    """The content type."""
    location: str = ""
    """Where it sends us instead."""


@dataclass(frozen=True)
class Failed:
    """No answer, or not all of it."""

    why: str
    connected: bool = True
    """Whether there was somebody to connect to."""


Step = Ask | Read | Rest | Tell | TellOfRun
Talk = Generator[Step, Any, T]
