"""What a kernel is (values), what can happen to it (events), and what follows (notices)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .remains import NOTHING_FOUND, Remains
from .words import Cause, ExecutionState, RequestedBy, State, Status, one_word

if TYPE_CHECKING:
    from datetime import datetime

MAIN_SHELL = ""
"""The subshell id of the main shell, which has none in the protocol (JEP 91)."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended, as the operating system tells it: a code or a signal, or neither."""

    code: int | None = None
    signal: int | None = None


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


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a kernel's shell is working on."""

    msg_id: str
    subshell: str = MAIN_SHELL


@dataclass(frozen=True, slots=True)
class Process:
    """A process that exists, as far as we know."""

    started_at: datetime | None
    """None where somebody else started it."""
    pid: int | None = None
    """None where the provisioner does not tell."""
    connected_at: datetime | None = None
    """When it first answered; None as long as it has not."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel at one moment. Only ``lifecycle.step`` and the tracker make a new one."""

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
    proven: bool = False
    """Whether any process of this kernel ever answered."""
    requested_by: RequestedBy | None = None
    """Who asked for the end of the present process."""
    last_termination: Termination | None = None
    reported: ExecutionState | None = None
    """What the manager of a remote or external kernel says, where we see no process."""

    @property
    def execution_state(self) -> ExecutionState:
        """What the shells do, derived so that it cannot contradict the status."""
        return _execution_state(self)

    @property
    def state(self) -> State:
        """The one word for people."""
        return one_word(self.status, self.execution_state)

    @property
    def answered(self) -> bool:
        """Whether the present process has answered."""
        return self.process is not None and self.process.connected_at is not None

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
    if kernel.reported is not None:
        return kernel.reported
    return ExecutionState.IDLE if kernel.answered else ExecutionState.STARTING


_FIXED = {
    Status.UNKNOWN: ExecutionState.UNKNOWN,
    Status.STARTING: ExecutionState.STARTING,
    Status.CONNECTING: ExecutionState.STARTING,
    Status.RESTARTING: ExecutionState.STARTING,
    Status.AUTORESTARTING: ExecutionState.STARTING,
    Status.DEAD: ExecutionState.DEAD,
}


# -- events: facts in the past tense, each with the generation it speaks of --------------------


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one process of a kernel at a moment."""

    generation: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ProcessStarted(Event):
    """A process was launched; ``pid`` is None where the provisioner does not tell."""

    pid: int | None


@dataclass(frozen=True, slots=True)
class ProcessFound(Event):
    """A process that somebody else launched was found; nothing is known of it yet."""


@dataclass(frozen=True, slots=True)
class LaunchFailed(Event):
    """A process was wanted and could not be launched."""

    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """The process answered ``kernel_info_request`` and its iopub reached us (or is mute)."""


@dataclass(frozen=True, slots=True)
class StartOverdue(Event):
    """The process did not answer within ``start_timeout``."""

    waited: float


@dataclass(frozen=True, slots=True)
class RequestBegan(Event):
    """A shell said busy for a tracked request."""

    request: Request


@dataclass(frozen=True, slots=True)
class RequestEnded(Event):
    """A shell said idle for a request; without ``msg_id`` its whole shell is idle."""

    request: Request


@dataclass(frozen=True, slots=True)
class ShellAnswered(Event):
    """A shell answered a request of ours that came after ``asked``, so those have ended."""

    asked: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class HeartbeatLost(Event):
    """The heartbeat has been silent for ``silence`` seconds while the process exists."""

    silence: float
    stopped: bool = False
    """Whether the process is seen to be stopped by a signal."""


@dataclass(frozen=True, slots=True)
class HeartbeatReturned(Event):
    """The heartbeat answered again."""


@dataclass(frozen=True, slots=True)
class InterpreterBlocked(Event):
    """Its heart beats, but the control channel has not answered for ``silence`` seconds."""

    silence: float


@dataclass(frozen=True, slots=True)
class InterpreterReturned(Event):
    """The interpreter was heard again."""


@dataclass(frozen=True, slots=True)
class RestartRequested(Event):
    """Somebody asked for a restart."""


@dataclass(frozen=True, slots=True)
class ShutdownRequested(Event):
    """Somebody asked for the end."""

    by: RequestedBy


@dataclass(frozen=True, slots=True)
class ShutdownCompleted(Event):
    """Jupyter has done all it does to end the kernel."""


@dataclass(frozen=True, slots=True)
class AutorestartBegan(Event):
    """Jupyter's restarter found no process and starts another."""


@dataclass(frozen=True, slots=True)
class RestarterGaveUp(Event):
    """Jupyter's restarter will not start another process."""

    deaths: int


@dataclass(frozen=True, slots=True)
class ProcessExited(Event):
    """The process ended; ``restarter`` tells whether Jupyter's restarter will act on it."""

    exit: Exit
    restarter: bool
    remains: Remains = NOTHING_FOUND


@dataclass(frozen=True, slots=True)
class ChildOutOfMemory(Event):
    """The kernel's memory group counted an out-of-memory kill that the kernel survived."""

    kills: int


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """The manager of a kernel without a visible process said what the kernel does, or why not."""

    execution_state: ExecutionState
    reason: str = ""
    """Why that is so, where it is told."""
    anew: bool = False
    """Whether it is another process that this is said of: the next generation."""


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
