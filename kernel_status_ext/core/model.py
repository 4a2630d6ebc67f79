"""What a kernel is (values), and what follows from an event (notices)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from .words import Cause, ExecutionState, RequestedBy, State, Status, one_word

if TYPE_CHECKING:
    from .events import Event

MAIN_SHELL = ""
"""The subshell id of the main shell, which has none in the protocol (JEP 91)."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended, as the operating system tells it: a code or a signal, or neither."""

    code: int | None = None
    signal: int | None = None
    hearsay: bool = False
    """Whether only a provisioner that does not start local processes says so."""


@dataclass(frozen=True, slots=True)
class Termination:
    """The end of one process of a kernel, kept after it is gone."""

    generation: int
    pid: int | None
    cause: Cause
    reason: str
    hint: str
    exit: Exit
    expected: bool
    requested_by: RequestedBy | None
    started_at: datetime | None
    finished_at: datetime
    happened: str = ""
    """The reason without what to do."""
    peak_memory: int | None = None
    """Bytes."""
    cpu_seconds: float | None = None
    traceback: str | None = None
    """The end of its stderr; None where it was not kept."""
    run_id: str | None = None
    """The run that it interrupted; None if nothing ran."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a kernel's shell is working on."""

    msg_id: str
    subshell: str = MAIN_SHELL
    is_run: bool = False
    """Whether it is an ``execute_request``."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that exists, as far as we know."""

    started_at: datetime | None
    """None where somebody else started it."""
    pid: int | None = None
    """None where the provisioner does not tell."""
    connected_at: datetime | None = None
    """When it first answered; None as long as it has not."""
    kernel_pid: int | None = None
    """The process that holds the kernel's ports; another one where the launched one is a wrapper.
    None where that is not known, or not yet."""


class Kernel(msgspec.Struct, frozen=True):
    """One kernel at one moment. Only ``lifecycle.step`` and the tracker make a new one.

    A struct and no dataclass: each status message makes a new one, ten times as fast.
    """

    id: str
    name: str
    since: datetime
    status: Status = Status.STARTING
    reason: str = ""
    cause: Cause | None = None
    revision: int = 0
    generation: int = 0
    process: Process | None = None
    """The present process; None before the first, between two, and after the last."""
    restart_count: int = 0
    requests: tuple[Request, ...] = ()
    """Tracked requests that run now, oldest first; empty means that every shell is idle."""
    subshells: tuple[str, ...] = ()
    """Subshells that this process was seen to use, oldest first."""
    sent: tuple[str, ...] = ()
    """Runs that went to this process through this server and are not over, oldest first."""
    awaiting: tuple[str, ...] = ()
    """Runs that wait here until the kernel is connected, oldest first."""
    asking: tuple[str, ...] = ()
    """Runs that wait for input, as far as it passes by here."""
    proven: bool = False
    """Whether any process of this kernel ever answered."""
    requested_by: RequestedBy | None = None
    """Who asked for the end of the present process."""
    last_termination: Termination | None = None
    """The end that people ask about: a retry that failed does not stand in place of it."""
    failed_retry: str = ""
    """What became of the last retry, where none has answered since that end."""
    reported: ExecutionState | None = None
    """What the manager of a remote or external kernel says, where we see no process."""
    last_known: ExecutionState | None = None
    """What its shells did when the process ended that somebody asked to end; until it is dead."""

    @property
    def execution_state(self) -> ExecutionState:
        """What the shells do, derived so that it cannot contradict the status."""
        return _execution_state(self)

    @property
    def state(self) -> State:
        """The one word for people."""
        return one_word(self.status, self.execution_state, queued=bool(self.sent or self.awaiting))

    @property
    def is_seen(self) -> bool:
        """Whether its requests are heard here; else only its manager tells what it does."""
        if self.launched:
            return True
        return self.reported is None and self.execution_state is not ExecutionState.UNKNOWN

    @property
    def running(self) -> tuple[str, ...]:
        """The runs that its shells are working on, oldest first."""
        return tuple(each.msg_id for each in self.requests if each.is_run)

    @property
    def queued(self) -> tuple[str, ...]:
        """The runs that came through this server and have not begun, oldest first."""
        running = set(self.running)
        return tuple(each for each in (*self.sent, *self.awaiting) if each not in running)

    @property
    def waiting_for_input(self) -> bool | None:
        """Whether a run waits for input; None where what runs came by another way."""
        if not self.is_seen:
            return None
        if self.asking:
            return True
        return False if set(self.running) <= set(self.sent) else None

    @property
    def answered(self) -> bool:
        """Whether the present process has answered."""
        return self.process is not None and self.process.connected_at is not None

    @property
    def is_wrapped(self) -> bool:
        """Whether the process that was launched is known not to be the kernel."""
        process = self.process
        return process is not None and process.kernel_pid not in (None, process.pid)

    @property
    def launched(self) -> bool:
        """Whether there ever was a process."""
        return self.process is not None or self.last_termination is not None

    @property
    def next_generation(self) -> int:
        """The number of the process that would be started next."""
        return self.generation + 1 if self.launched or self.generation else 0


def _execution_state(kernel: Kernel) -> ExecutionState:
    fixed = _FIXED.get(kernel.status)
    if fixed is not None:
        return fixed
    if kernel.requests:
        return ExecutionState.BUSY
    told = kernel.last_known or kernel.reported
    if told is not None:
        return told
    return ExecutionState.IDLE if kernel.answered else ExecutionState.STARTING


_FIXED = {
    Status.UNKNOWN: ExecutionState.UNKNOWN,
    Status.STARTING: ExecutionState.STARTING,
    Status.CONNECTING: ExecutionState.STARTING,
    Status.RESTARTING: ExecutionState.STARTING,
    Status.AUTORESTARTING: ExecutionState.STARTING,
    Status.DEAD: ExecutionState.DEAD,
}


# -- notices: what follows from an event, beside the new kernel --------------------------------


@dataclass(frozen=True, slots=True)
class Terminated:
    """A process ended and its story is told."""

    termination: Termination


@dataclass(frozen=True, slots=True)
class ChildrenLost:
    """Processes beside the kernel, its children probably, were killed for want of memory."""

    kills: int


@dataclass(frozen=True, slots=True)
class Surprise:
    """Something that should not happen did; it changes nothing and is logged with the story."""

    event: Event
    status: Status


Notice = Terminated | ChildrenLost | Surprise


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one event."""

    kernel: Kernel
    notices: tuple[Notice, ...] = field(default=())
