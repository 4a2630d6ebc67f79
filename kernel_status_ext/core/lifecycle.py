"""What becomes of a kernel: one table of status and event, and the step that applies it.

Theory of operation
-------------------

A kernel is a value (``model.Kernel``), an event is a fact about one of its processes. ``step``
finds the answer in ``TABLE[type(event)][kernel.status]`` and returns the kernel as it is then,
with the notices that follow. Three rules hold before any row is looked at:

* News of an older generation changes nothing: that process is history.
* News of a process that is not there any more (its end was told) changes nothing.
* What no row foresees is a ``Surprise``: it changes nothing and is never an exception,
  because we observe kernels and do not command them.

The same table, written by hand for readers, stands in docs/reference/lifecycle.md; the tests
hold the two together cell by cell.
"""

from __future__ import annotations

from .answers import (
    Row,
    answered_later,
    asks,
    awaited,
    began,
    blocked,
    children_lost,
    connected,
    ended,
    found,
    got_input,
    overdue,
    queued,
    reported,
    responsive,
    restarting,
    started,
    stay,
    terminating,
    unblocked,
    unresponsive,
    withdrawn,
)
from .ends import autorestarting, exited, gave_up, launch_failed, stopped, surprise
from .events import (
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
from .model import Kernel, Step
from .words import Status


def step(kernel: Kernel, event: Event) -> Step:
    """Apply one event to a kernel.

    Args:
        kernel: The kernel as it is.
        event: What happened.

    Returns:
        The kernel as it is now and the notices that follow; the same object if nothing changed.
    """
    kind = type(event)
    if event.generation < kernel.generation:
        return Step(kernel)
    if event.generation != _expected_generation(kernel, kind):
        return surprise(kernel, event)
    if kind in OF_A_PROCESS and kernel.process is None:
        return Step(kernel) if kernel.launched else surprise(kernel, event)
    return _same_or_changed(kernel, TABLE[kind][kernel.status](kernel, event))


def _same_or_changed(kernel: Kernel, outcome: Step) -> Step:
    """Give the same object where nothing changed: the tracker tells changes by it."""
    return Step(kernel, outcome.notices) if outcome.kernel == kernel else outcome


def _expected_generation(kernel: Kernel, kind: type[Event]) -> int:
    return kernel.next_generation if kind in OF_THE_NEXT else kernel.generation


OF_THE_NEXT: frozenset[type[Event]] = frozenset({ProcessStarted, ProcessFound, LaunchFailed})
"""Events that speak of the process after the present one."""

OF_A_PROCESS: frozenset[type[Event]] = frozenset(
    {
        Answered,
        StartOverdue,
        RequestBegan,
        RequestEnded,
        ShellAnswered,
        RunQueued,
        InputRequested,
        InputProvided,
        HeartbeatLost,
        HeartbeatReturned,
        InterpreterBlocked,
        InterpreterReturned,
        ChildOutOfMemory,
        ProcessExited,
    }
)
"""Events that speak of a process that exists."""


# -- the table: for each event, the answer in each status ------------------------------------

UNKNOWN, STARTING, CONNECTING, CONNECTED, UNRESPONSIVE = list(Status)[:5]
RESTARTING, AUTORESTARTING, TERMINATING, DEAD = list(Status)[5:]


def _row(otherwise: Row, **answers: Row) -> dict[Status, Row]:
    return {status: answers.get(status.value, otherwise) for status in Status}


TABLE: dict[type[Event], dict[Status, Row]] = {
    ProcessStarted: _row(
        started(CONNECTING),
        restarting=started(RESTARTING),
        autorestarting=started(AUTORESTARTING),
        terminating=started(TERMINATING),
    ),
    ProcessFound: _row(surprise, unknown=found),
    LaunchFailed: _row(
        launch_failed,
        connecting=surprise,
        connected=surprise,
        unresponsive=surprise,
        terminating=stopped,
        dead=stay,
    ),
    Answered: _row(stay, connecting=connected, restarting=connected, autorestarting=connected),
    StartOverdue: _row(stay, connecting=overdue, restarting=overdue),
    RequestBegan: _row(began),
    RequestEnded: _row(ended),
    ShellAnswered: _row(answered_later),
    RunAwaited: _row(awaited, dead=stay),
    RunQueued: _row(queued),
    RunWithdrawn: _row(withdrawn),
    InputRequested: _row(asks),
    InputProvided: _row(got_input),
    HeartbeatLost: _row(stay, connected=unresponsive),
    HeartbeatReturned: _row(stay, unresponsive=responsive),
    InterpreterBlocked: _row(stay, connected=blocked),
    InterpreterReturned: _row(stay, connected=unblocked),
    ChildOutOfMemory: _row(children_lost),
    RestartRequested: _row(restarting, starting=stay, terminating=stay),
    ShutdownRequested: _row(terminating, terminating=stay, dead=stay),
    ShutdownCompleted: _row(surprise, terminating=stopped, restarting=stay, dead=stay),
    AutorestartBegan: _row(
        autorestarting,
        unknown=surprise,
        starting=surprise,
        terminating=stay,
    ),
    RestarterGaveUp: _row(
        gave_up, unknown=surprise, starting=surprise, terminating=stay, dead=stay
    ),
    ProcessExited: _row(exited),
    Reported: _row(reported, restarting=reported, terminating=stay, dead=reported),
}
