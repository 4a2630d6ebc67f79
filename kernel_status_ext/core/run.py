"""What a run is: one ``execute_request``, whoever sent it; and what can happen to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from .model import MAIN_SHELL
from .words import RequestedBy, RunStatus, Word


class Origin(Word):
    """By which way a run came to its kernel."""

    API = "api"
    """The calls of ours: this server sends it, and gives it no stdin."""
    WEBSOCKET = "websocket"
    """A client of this server: its request and its reply pass by."""
    ELSEWHERE = "elsewhere"
    """Somebody else: only what the kernel publishes is seen."""


ENDED = frozenset(
    {RunStatus.OK, RunStatus.ERROR, RunStatus.ABORTED, RunStatus.DIED, RunStatus.LOST}
)
"""The statuses of a run that is over."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a run raised, in the words of the messaging protocol."""

    ename: str
    evalue: str


RunKey = tuple[str, str]
"""The id of a kernel and that of a run: an id alone may be that of runs on several kernels."""


class Run(msgspec.Struct, frozen=True):
    """One run at one moment. Only ``runs.step`` and the ledger make a new one.

    A struct and no dataclass: each message about a run makes a new one, ten times as fast.
    """

    run_id: str
    """The ``msg_id`` of its request."""
    kernel_id: str
    kernel_name: str
    origin: Origin
    status: RunStatus = RunStatus.QUEUED
    session: str | None = None
    """The id of the Jupyter session that the kernel worked for when the run came."""
    path: str | None = None
    """That session's notebook, below the server's root."""
    code: str | None = None
    """As much of it as is recorded."""
    username: str | None = None
    """The authenticated user; None where not known."""
    timeout: float | None = None
    """Seconds from its start after which it is interrupted."""
    silent: bool = False
    """Whether its kernel was asked to publish nothing."""
    subshell: str = MAIN_SHELL
    generation: int | None = None
    """The process that it was sent to; None as long as it was not."""
    worker_pid: int | None = None
    queued_at: datetime | None = None
    """When it came to this server; None where it did not."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    execution_count: int | None = None
    error: Failure | None = None
    reason: str = ""
    """One sentence for a person: why it did not end well."""
    reply_comes: bool = True
    """Whether its reply will pass by here."""
    answer: RunStatus | None = None
    """What its reply said; None before it has come."""
    is_idle: bool = False
    """Whether its shell has said that it is done with it."""
    was_published: bool = False
    """Whether its code was heard on iopub: then it was not skipped."""
    asks: bool = False
    """Whether it waits for input."""
    over_limit: bool = False
    """Whether its time was over before its end."""
    end_requested: WorkerEnded | None = None
    """The end of its process that somebody asked for while it was not over."""

    @property
    def key(self) -> RunKey:
        """Its kernel's id and its own."""
        return self.kernel_id, self.run_id

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED


# -- events: facts in the past tense, each with the generation it speaks of --------------------


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened to a run at a moment."""

    generation: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RunSent(RunEvent):
    """Its request left for the process."""

    worker_pid: int | None


@dataclass(frozen=True, slots=True)
class RunBegan(RunEvent):
    """A shell said busy for it."""


@dataclass(frozen=True, slots=True)
class CodePublished(RunEvent):
    """The kernel said which code it runs (``execute_input``)."""

    code: str | None
    execution_count: int | None


@dataclass(frozen=True, slots=True)
class FailurePublished(RunEvent):
    """The kernel said what it raised (iopub ``error``)."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RunAnswered(RunEvent):
    """Its reply came."""

    answer: RunStatus
    execution_count: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RunBecameIdle(RunEvent):
    """A shell said idle for it."""


@dataclass(frozen=True, slots=True)
class ReplyMissed(RunEvent):
    """Its reply will not pass by here: who sent it has gone."""


@dataclass(frozen=True, slots=True)
class ShellMovedOn(RunEvent):
    """The shell answered what was asked by the same way after it, so it is over."""


@dataclass(frozen=True, slots=True)
class AskedForInput(RunEvent):
    """It waits for input."""


@dataclass(frozen=True, slots=True)
class GotInput(RunEvent):
    """It got its input."""


@dataclass(frozen=True, slots=True)
class LimitReached(RunEvent):
    """It has run for as long as it may."""


@dataclass(frozen=True, slots=True)
class LimitIgnored(RunEvent):
    """It was interrupted for its limit and goes on all the same."""

    waited: float


@dataclass(frozen=True, slots=True)
class WorkerEnded(RunEvent):
    """The process ended, or the kernel was removed."""

    requested_by: RequestedBy | None
    """Who asked for that end; None if nobody did."""
    reason: str
    is_suspect: bool = False
    """Whether the run was what an idle shell had been sent, so that it was probably at work."""


@dataclass(frozen=True, slots=True)
class EndRequested(RunEvent):
    """Somebody asked for the end of the process."""

    end: WorkerEnded
    """How that end will be told; Jupyter interrupts a run before it ends the process."""


@dataclass(frozen=True, slots=True)
class RunRefused(RunEvent):
    """It could not be sent, and never will be."""

    reason: str


@dataclass(frozen=True, slots=True)
class RunSkipped(RunEvent):
    """It was held back here, and a run before it failed that was to stop those behind it."""


@dataclass(frozen=True, slots=True)
class ServerEnded(RunEvent):
    """The server that followed it ends, and nobody will know what becomes of it."""
