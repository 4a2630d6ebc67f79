"""The only place that follows what a run puts out, through all breaks, to its end.

Each event of a run has a number. A stream that breaks is asked for again from the number after the
last that has come, so that nothing is missed and nothing comes twice. Where the server has not kept
the output, the run is looked at until it is over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from .answers import OF_RUNS, STREAM, check_stream, json_of, made, part
from .errors import BadRequest, RunNotFound, ServerUnreachable
from .paths import run_path
from .runs import EVENTS, Done, Output, Run, RunEvent, RunStarted, Truncated
from .sse import Parser
from .steps import Answer, Ask, Failed, Read, Rest, Talk, TellOfRun
from .tries import Tries
from .watching import SILENCE

LOOK = 0.5
"""Seconds between two looks at a run whose output is not kept."""

NO_MORE = (HTTPStatus.NO_CONTENT, HTTPStatus.GONE)
"""The server has nothing to tell after what has come, or has not kept it."""


@dataclass
class Follow:
    """What a run puts out.

    Attributes:
        run_id: The run.
        tries: The tries to reach its server.
        kernel_id: The kernel that it must be one of; None for any.
        run: The run as the first event told of it; None before that.
        done: The last event; None before that.
    """

    run_id: str
    tries: Tries
    kernel_id: str | None = None
    run: Run | None = None
    done: Done | None = None
    _seen: int = 0
    """The number of the last event that has come."""

    def to_the_end(self, reply: Answer | None = None) -> Talk[Run]:
        """Tell the events until the run is over; the first is ``RunStarted``, the last ``Done``.

        Args:
            reply: The beginning of the stream, if it has been asked for.

        Returns:
            The run when it was over.

        Raises:
            RunNotFound: The server does not know the run (any more).
            BadRequest: It is one of another kernel.
            ServerUnreachable: The server could not be reached for longer than there is patience.
        """
        yield from self._told(reply)
        last = (yield from self._last()) if self.done else (yield from self._watched())
        done = self.done or _done(last)
        if self.done is None:
            yield TellOfRun(done)
        told = {"status": str(done.status), "output": done.output.body}
        return made(Run, {**last.body, **told}, self.tries.server)

    def ask(self, patience: float = SILENCE) -> Ask:
        """Ask for what comes after the last event; the stream may be silent for so many seconds."""
        resumed = {"Last-Event-ID": str(self._seen)} if self._seen else {}
        headers = {"Accept": STREAM, **resumed}
        path = run_path(self.run_id, "events")
        return Ask(path, patience=patience, stream=True, headers=headers)

    def read(self, reply: Answer, until: float = math.inf) -> Talk[Failed]:
        """Tell the events of one stream.

        Args:
            reply: Its beginning.
            until: When to leave it after the next piece, by the clock of the tries.

        Returns:
            What ended it.
        """
        check_stream(reply, self.tries.server, OF_RUNS)
        parser = Parser()
        while self.done is None and self.tries.clock() < until:
            received = yield Read()
            if not isinstance(received, bytes):
                return received or Failed("it ended the stream")
            for event in self._events(parser, received):
                self.tries.went_on()
                self._note(event)
                yield TellOfRun(event)
        return Failed("nothing more was waited for")

    def look(self) -> Talk[Run]:
        """Ask what is known of the run."""
        reply = yield from self.tries.answer(Ask(run_path(self.run_id)))
        server = self.tries.server
        return self._checked(made(Run, part(reply, "run", server, OF_RUNS), server))

    def _told(self, reply: Answer | None) -> Talk[None]:
        """Tell the events as far as the server has them, whatever breaks."""
        while self.done is None:
            if reply is None:
                reply = yield from self.tries.answer(self.ask())
            if reply.status in NO_MORE:
                return
            broken = yield from self.read(reply)
            if self.done is None:
                yield from self.tries.lost(broken)
            reply = None

    def _last(self) -> Talk[Run]:
        """Return the run when it was over, as well as it is known."""
        try:
            return (yield from self.look())
        except (RunNotFound, ServerUnreachable):
            if self.run is None:
                raise
            return self.run

    def _watched(self) -> Talk[Run]:
        """Look at the run until it is over."""
        run = yield from self.look()
        if self.run is None:
            started = made(RunStarted, {"run": run.body}, self.tries.server)
            self._note(started)
            yield TellOfRun(started)
        yield TellOfRun(Truncated())
        while not run.has_ended:
            yield Rest(LOOK)
            run = yield from self.look()
        return run

    def _events(self, parser: Parser, received: bytes) -> Iterator[RunEvent]:
        for name, data in parser.feed(received):
            number = int(parser.last_id) if parser.last_id.isdecimal() else self._seen + 1
            if number <= self._seen or self.done is not None:
                continue
            self._seen = number
            kind: Any = EVENTS.get(name)
            if kind is not None:  # others are of a newer server
                server = self.tries.server
                yield made(kind, json_of(data, server), server)

    def _note(self, event: RunEvent) -> None:
        if isinstance(event, Done):
            self.done = event
        if isinstance(event, RunStarted):
            self.run = self._checked(event.run)

    def _checked(self, run: Run) -> Run:
        if self.kernel_id in (None, run.kernel_id):
            return run
        raise BadRequest(
            f"run_id {self.run_id!r} is that of a run of kernel {run.kernel_id}, which is "
            f"{run.status}, and not of {self.kernel_id}: give another, or none."
        )


def _done(run: Run) -> Done:
    return Done(run_id=run.run_id, success=run.success, status=run.status, output=Output())
