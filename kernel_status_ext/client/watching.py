"""The only place that follows a stream of changes through all its breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .answers import check_stream, is_trouble, json_of, made, refusal
from .pauses import Pauses
from .results import Change, Event, Figures, Kernel, Removed, Snapshot
from .sse import Parser
from .steps import Ask, Failed, Read, Rest, Talk, Tell

SILENCE = 40.0
"""Seconds without a byte after which a stream is dead: a comment comes every 15."""

LONGEST_PAUSE = 15.0
"""Seconds between two tries at most."""


@dataclass
class Watch:
    """A stream of changes.

    Attributes:
        path: The call's path.
        server: The server's address, for messages.
        params: The query.
        kernel_id: The only kernel that is watched; None for all.
        on_lost: Told why when a stream has broken and is tried again.
    """

    path: str
    server: str
    params: dict[str, str] = field(default_factory=dict)
    kernel_id: str | None = None
    on_lost: Callable[[str], None] | None = None
    _is_begun: bool = False
    _pauses: Pauses = field(default_factory=lambda: Pauses(LONGEST_PAUSE))

    def first(self) -> Talk[list[Kernel]]:
        """Return what the first snapshot tells."""
        reply = yield self._ask(None)  # it comes at once, unlike the changes
        check_stream(reply, self.server)
        parser = Parser()
        while True:
            received = yield Read()
            if not isinstance(received, bytes):
                why = received or Failed("the stream ended before it began")
                raise refusal(why, self.server)
            for event in self._events(parser, received):
                if isinstance(event, Snapshot):
                    return list(event.kernels)

    def go_on(self) -> Talk[None]:
        """Tell all events, until the kernel that is watched is removed."""
        while True:
            reply = yield self._ask(SILENCE)
            if not (self._is_begun and is_trouble(reply)):
                check_stream(reply, self.server)
                reply = yield from self._follow()
                if reply is None:
                    return
            if self.on_lost is not None:
                self.on_lost(str(refusal(reply, self.server)))
            yield Rest(self._pauses.grown())

    def _ask(self, patience: float | None) -> Ask:
        return Ask(self.path, self.params, patience=patience, stream=True)

    def _follow(self) -> Talk[Failed | None]:
        """Tell one stream's events; return what broke it, or None if nothing more will come."""
        parser = Parser()
        while True:
            received = yield Read()
            if not isinstance(received, bytes):
                return received or Failed("it ended the stream")
            for event in self._events(parser, received):
                if isinstance(event, Snapshot):
                    self._is_begun = True
                    self._pauses.reset()
                yield Tell(event)
                if isinstance(event, Removed) and event.id == self.kernel_id:
                    return None

    def _events(self, parser: Parser, received: bytes) -> Iterator[Event]:
        for name, data in parser.feed(received):
            reader = _READERS.get(name)
            if reader is not None:  # others are of a newer server
                yield reader(json_of(data, self.server), self.server)


def _snapshot(told: Any, server: str) -> Event:
    return made(Snapshot, told, server)


def _change(told: Any, server: str) -> Event:
    return made(Change, {"kernel": told}, server)


def _removed(told: Any, server: str) -> Event:
    return made(Removed, told, server)


def _figures(told: Any, server: str) -> Event:
    return made(Figures, {"kernels": told}, server)


_READERS: dict[str, Callable[[Any, str], Event]] = {
    "snapshot": _snapshot,
    "change": _change,
    "removed": _removed,
    "figures": _figures,
}
