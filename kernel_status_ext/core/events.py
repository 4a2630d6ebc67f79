"""What can happen to a kernel: facts in the past tense, each with the generation it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .remains import NOTHING_FOUND, Remains
from .words import Cause, ExecutionState, RequestedBy

if TYPE_CHECKING:
    from datetime import datetime

    from .model import Exit, Request


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

    kernel_pid: int | None = None
    """The process that holds the kernel's ports, of the launched one and those below it."""


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
class RunAwaited(Event):
    """A run came that waits here until the kernel is connected."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunQueued(Event):
    """A run was sent to the process through this server."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunWithdrawn(Event):
    """A run that came through this server is over, or will never be sent."""

    run_id: str


@dataclass(frozen=True, slots=True)
class InputRequested(Event):
    """A run waits for input."""

    run_id: str


@dataclass(frozen=True, slots=True)
class InputProvided(Event):
    """A run got its input."""

    run_id: str


@dataclass(frozen=True, slots=True)
class HeartbeatLost(Event):
    """The heartbeat has been silent for ``silence`` seconds while the process exists."""

    silence: float
    stopped: bool | None = None
    """Whether the process is seen to be stopped by a signal; None where it cannot be seen."""


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
