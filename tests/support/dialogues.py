"""Stories of the core: news, told in the order in which it comes, and what becomes of a kernel.

News speaks of the process that is there when it is told, so that a story needs no numbers:
``tell(started(), answered(), exited(signal=9))``; ``late(...)`` is the same of the process before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from kernel_status_ext.core.events import (
    Answered,
    AutorestartBegan,
    ChildOutOfMemory,
    Event,
    HeartbeatLost,
    HeartbeatReturned,
    InputProvided,
    InputRequested,
    InterpreterBlocked,
    InterpreterReturned,
    LaunchFailed,
    ProcessExited,
    ProcessFound,
    ProcessStarted,
    Reported,
    RequestBegan,
    RequestEnded,
    RestarterGaveUp,
    RestartRequested,
    RunAwaited,
    RunQueued,
    RunWithdrawn,
    ShellAnswered,
    ShutdownCompleted,
    ShutdownRequested,
    StartOverdue,
)
from kernel_status_ext.core.lifecycle import step
from kernel_status_ext.core.model import (
    MAIN_SHELL,
    Exit,
    Kernel,
    Notice,
    Request,
    Surprise,
    Terminated,
    Termination,
)
from kernel_status_ext.core.words import Cause, ExecutionState, RequestedBy, State, Status

BIRTH = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
"""When every kernel here is asked for; each news comes a second after the one before."""

OF_THE_NEXT = (ProcessStarted, ProcessFound, LaunchFailed)
"""News of a process that is to come; all other news is of the present one."""


@dataclass(frozen=True)
class News:
    """An event that does not know its generation and moment yet."""

    kind: type[Event]
    facts: dict[str, Any] = field(default_factory=dict)
    shift: int = 0
    """How many generations later than the one it should speak of."""

    def event(self, kernel: Kernel, moment: datetime = BIRTH) -> Event:
        """Make the event for a kernel as it is now."""
        due = kernel.next_generation if self.kind in OF_THE_NEXT else kernel.generation
        return self.kind(due + self.shift, moment, **self.facts)


def late(news: News) -> News:
    """The same, of the process before."""
    return replace(news, shift=news.shift - 1)


def early(news: News) -> News:
    """The same, of a process that was not started yet."""
    return replace(news, shift=news.shift + 1)


def started(pid: int | None = 4711) -> News:
    """The next process was launched."""
    return News(ProcessStarted, {"pid": pid})


def found() -> News:
    """A process of somebody else's gave its first sign."""
    return News(ProcessFound)


def launch_failed(
    cause: Cause = Cause.EXECUTABLE_NOT_FOUND, reason: str = "Its command was not found."
) -> News:
    """The next process could not be launched."""
    return News(LaunchFailed, {"cause": cause, "reason": reason})


def answered() -> News:
    """The process answered."""
    return News(Answered)


def overdue(waited: float = 60) -> News:
    """The process did not answer in time."""
    return News(StartOverdue, {"waited": waited})


def began(msg_id: str = "cell", subshell: str = MAIN_SHELL, *, is_run: bool = False) -> News:
    """A shell became busy."""
    return News(RequestBegan, {"request": Request(msg_id, subshell, is_run)})


def ended(msg_id: str = "cell", subshell: str = MAIN_SHELL, *, is_run: bool = False) -> News:
    """A shell became idle."""
    return News(RequestEnded, {"request": Request(msg_id, subshell, is_run)})


def shell_answered(*asked: Request) -> News:
    """A shell answered what came after these requests."""
    return News(ShellAnswered, {"asked": asked or (Request("cell"),)})


def run_awaited(run_id: str = "run") -> News:
    """A run came that waits for the kernel."""
    return News(RunAwaited, {"run_id": run_id})


def run_queued(run_id: str = "run") -> News:
    """A run was sent to the process."""
    return News(RunQueued, {"run_id": run_id})


def run_withdrawn(run_id: str = "run") -> News:
    """A run is over, or will never be sent."""
    return News(RunWithdrawn, {"run_id": run_id})


def input_requested(run_id: str = "run") -> News:
    """A run waits for input."""
    return News(InputRequested, {"run_id": run_id})


def input_provided(run_id: str = "run") -> News:
    """A run got its input."""
    return News(InputProvided, {"run_id": run_id})


def silent(silence: float = 15) -> News:
    """The heartbeat was lost."""
    return News(HeartbeatLost, {"silence": silence})


def heard() -> News:
    """The heartbeat returned."""
    return News(HeartbeatReturned)


def blocked(silence: float = 20) -> News:
    """The interpreter does not answer."""
    return News(InterpreterBlocked, {"silence": silence})


def unblocked() -> News:
    """The interpreter answered again."""
    return News(InterpreterReturned)


def child_lost(kills: int = 1) -> News:
    """A process beside the kernel was killed for want of memory."""
    return News(ChildOutOfMemory, {"kills": kills})


def restart() -> News:
    """Somebody asked for a restart."""
    return News(RestartRequested)


def shutdown(by: RequestedBy = RequestedBy.SHUTDOWN) -> News:
    """Somebody asked for the end."""
    return News(ShutdownRequested, {"by": by})


def completed() -> News:
    """Jupyter is done with ending it."""
    return News(ShutdownCompleted)


def autorestart() -> News:
    """The restarter found no process."""
    return News(AutorestartBegan)


def gave_up(deaths: int = 5) -> News:
    """The restarter will not act any more."""
    return News(RestarterGaveUp, {"deaths": deaths})


def exited(code: int | None = None, signal: int | None = None, *, restarter: bool = False) -> News:
    """The process ended; nobody will start another unless ``restarter`` is set."""
    return News(ProcessExited, {"exit": Exit(code, signal), "restarter": restarter})


def died(code: int | None = None, signal: int | None = None) -> News:
    """The process ended and the restarter will act on it."""
    return exited(code, signal, restarter=True)


def reported(state: ExecutionState, *, anew: bool = False) -> News:
    """The manager of a kernel elsewhere said what it does, or what another process does."""
    return News(Reported, {"execution_state": state, "anew": anew})


def new_kernel(status: Status = Status.STARTING) -> Kernel:
    """A kernel that was just asked for, or met."""
    return Kernel("f3c1", "python3", BIRTH, status)


@dataclass(frozen=True)
class Told:
    """What became of a kernel, event by event."""

    kernels: list[Kernel]
    """As it was after each event; not what it was before the first."""
    notices: list[Notice]

    @property
    def last(self) -> Kernel:
        """The kernel as it is in the end."""
        return self.kernels[-1]

    @property
    def statuses(self) -> list[str]:
        """What its status was after each event."""
        return [str(kernel.status) for kernel in self.kernels]

    @property
    def does(self) -> list[str]:
        """What its shells did after each event."""
        return [str(kernel.execution_state) for kernel in self.kernels]

    @property
    def terminations(self) -> list[Termination]:
        """The ends that were told."""
        return [each.termination for each in self.notices if isinstance(each, Terminated)]

    @property
    def surprises(self) -> list[Surprise]:
        """What should not have happened."""
        return [each for each in self.notices if isinstance(each, Surprise)]


def tell(*news: News, kernel: Kernel | None = None) -> Told:
    """Tell a kernel a story, and see what becomes of it."""
    present = kernel or new_kernel()
    kernels: list[Kernel] = []
    notices: list[Notice] = []
    for count, each in enumerate(news, start=1):
        outcome = step(present, each.event(present, BIRTH + timedelta(seconds=count)))
        present = outcome.kernel
        kernels.append(present)
        notices.extend(outcome.notices)
        complain(present)
    return Told(kernels, notices)


def after(*news: News, kernel: Kernel | None = None) -> Kernel:
    """The kernel at the end of a story."""
    return tell(*news, kernel=kernel).last if news else kernel or new_kernel()


CONNECTED = (started(), answered())
"""How most stories begin."""

# Section 1 of the contract, written down once more: what may stand beside each status. "As last
# known" is what can have been there before: of an unresponsive kernel, what a connected one does.
ALLOWED: dict[Status, set[tuple[ExecutionState, State]]] = {
    Status.UNKNOWN: {(ExecutionState.UNKNOWN, State.STOPPED)},
    Status.STARTING: {(ExecutionState.STARTING, State.STOPPED)},
    Status.CONNECTING: {(ExecutionState.STARTING, State.STOPPED)},
    Status.CONNECTED: {
        (ExecutionState.IDLE, State.IDLE),
        (ExecutionState.IDLE, State.RUNNING),  # something is queued
        (ExecutionState.BUSY, State.RUNNING),
    },
    Status.UNRESPONSIVE: {
        (ExecutionState.IDLE, State.STOPPED),
        (ExecutionState.IDLE, State.RUNNING),  # something is queued
        (ExecutionState.BUSY, State.RUNNING),
    },
    Status.RESTARTING: {(ExecutionState.STARTING, State.STOPPED)},
    Status.AUTORESTARTING: {(ExecutionState.STARTING, State.STOPPED)},
    Status.TERMINATING: {
        (ExecutionState.UNKNOWN, State.STOPPED),
        (ExecutionState.STARTING, State.STOPPED),
        (ExecutionState.IDLE, State.STOPPED),
        (ExecutionState.BUSY, State.STOPPED),
    },
    Status.DEAD: {(ExecutionState.DEAD, State.STOPPED)},
}

EXPLAINED = {Status.DEAD, Status.AUTORESTARTING, Status.UNRESPONSIVE}
"""Statuses that always have a reason."""

WITHOUT_PROCESS = {Status.UNKNOWN, Status.STARTING, Status.DEAD}


def complain(kernel: Kernel) -> None:
    """Assert what holds for every kernel at every moment."""
    assert (kernel.execution_state, kernel.state) in ALLOWED[kernel.status], kernel
    assert bool(kernel.cause) == bool(kernel.reason), kernel
    assert kernel.reason or kernel.status not in EXPLAINED, kernel
    assert kernel.reason == "" or kernel.reason.endswith("."), kernel
    assert kernel.process is None or kernel.status not in WITHOUT_PROCESS, kernel
    assert kernel.process is not None or not kernel.requests, kernel
    assert kernel.process is not None or not (kernel.sent or kernel.asking), kernel
    assert kernel.status is not Status.DEAD or not kernel.awaiting, kernel
    assert not set(kernel.running) & set(kernel.queued), kernel


def reasons(kernels: Iterable[Kernel]) -> list[str]:
    """The reasons of kernels."""
    return [kernel.reason for kernel in kernels]
