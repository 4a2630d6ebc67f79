"""The answers of the lifecycle: what each event does to a kernel where its row says so.

Each takes a kernel and an event and returns the step; none asks which row it stands in, but
where the same answer is given in a few statuses that differ in one thing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from . import causes
from .ends import dead, unseen_end
from .events import (
    Answered,
    ChildOutOfMemory,
    Event,
    HeartbeatLost,
    HeartbeatReturned,
    InputProvided,
    InputRequested,
    InterpreterBlocked,
    InterpreterReturned,
    ProcessFound,
    ProcessStarted,
    Reported,
    RequestBegan,
    RequestEnded,
    RestartRequested,
    RunAwaited,
    RunQueued,
    RunWithdrawn,
    ShellAnswered,
    ShutdownRequested,
    StartOverdue,
)
from .model import ChildrenLost, Kernel, Process, Request, Step
from .words import Cause, ExecutionState, RequestedBy, Status

Row = Callable[[Kernel, Any], Step]

MAX_REQUESTS = 256
"""Running requests remembered per process; a kernel that never says idle forgets its oldest."""

MAX_RUNS = 1000
"""Runs remembered per kernel that are not over; a kernel that loses them forgets its oldest."""

MAX_SUBSHELLS = 64
"""Subshells remembered per process; older idle ones are forgotten first."""


def stay(kernel: Kernel, _event: Event) -> Step:
    """Change nothing: this was expected here."""
    return Step(kernel)


def started(status: Status) -> Row:
    """Make the answer to a new process: it is there, in this status."""

    def row(present: Kernel, event: ProcessStarted) -> Step:
        kernel, told = unseen_end(present, event)
        automatic = status is Status.AUTORESTARTING
        stopping = status is Status.TERMINATING
        keep_reason = automatic or stopping
        return Step(
            replace(
                kernel,
                status=status,
                reason=kernel.reason if keep_reason else "",
                cause=kernel.cause if keep_reason else None,
                generation=event.generation,
                process=Process(event.at, event.pid),
                requests=(),
                subshells=(),
                sent=(),
                asking=(),
                restart_count=kernel.restart_count + automatic,
                requested_by=present.requested_by if stopping else None,
                reported=None,
                last_known=None,
            ),
            told,
        )

    return row


def found(kernel: Kernel, event: ProcessFound) -> Step:
    """A process of somebody else's can be worked with."""
    return _usable(kernel, Process(None, connected_at=event.at))


def connected(kernel: Kernel, event: Answered) -> Step:
    """The process can be worked with, unless its end was asked for meanwhile."""
    if kernel.requested_by is not None or kernel.process is None:
        return Step(kernel)
    process = dataclasses.replace(
        kernel.process, connected_at=event.at, kernel_pid=event.kernel_pid
    )
    return _usable(kernel, process)


def _usable(kernel: Kernel, process: Process) -> Step:
    return Step(
        replace(
            kernel,
            status=Status.CONNECTED,
            reason="",
            cause=None,
            process=process,
            proven=True,
            failed_retry="",
            reported=None,
        )
    )


def overdue(kernel: Kernel, event: StartOverdue) -> Step:
    """Say why nothing happens, and go on waiting."""
    if kernel.requested_by is not None:
        return Step(kernel)
    return Step(replace(kernel, reason=causes.overdue(event.waited), cause=Cause.START_TIMEOUT))


def began(kernel: Kernel, event: RequestBegan) -> Step:
    """One more request runs; what ran goes on, for iopub does not tell the channel."""
    if event.request in kernel.requests:
        return Step(kernel)
    subshells = kernel.subshells
    if event.request.subshell and event.request.subshell not in subshells:
        subshells = (*subshells, event.request.subshell)[-MAX_SUBSHELLS:]
    requests = (*kernel.requests, event.request)[-MAX_REQUESTS:]
    return Step(replace(kernel, requests=requests, subshells=subshells))


def ended(kernel: Kernel, event: RequestEnded) -> Step:
    """One request less runs, or one whose beginning was not heard is over."""
    outcome = _without(kernel, lambda each: _ends(event.request, each))
    return Step(_runs_over(outcome.kernel, {event.request.msg_id}))


def _ends(ended: Request, running: Request) -> bool:
    if ended.msg_id:
        return ended.msg_id == running.msg_id
    return ended.subshell == running.subshell


def answered_later(kernel: Kernel, event: ShellAnswered) -> Step:
    """A shell works in order: what our request waited behind has ended."""
    outcome = _without(kernel, lambda each: each in event.asked)
    return Step(_runs_over(outcome.kernel, {each.msg_id for each in event.asked}))


def _without(kernel: Kernel, gone: Callable[[Request], bool]) -> Step:
    requests = tuple(each for each in kernel.requests if not gone(each))
    over = {each.msg_id for each in kernel.requests} - {each.msg_id for each in requests}
    return Step(replace(_runs_over(kernel, over), requests=requests) if over else kernel)


def _runs_over(kernel: Kernel, over: set[str]) -> Kernel:
    return replace(
        kernel,
        sent=tuple(each for each in kernel.sent if each not in over),
        asking=tuple(each for each in kernel.asking if each not in over),
    )


def awaited(kernel: Kernel, event: RunAwaited) -> Step:
    """One more run waits here for the kernel."""
    return Step(replace(kernel, awaiting=_with(kernel.awaiting, event.run_id)))


def queued(kernel: Kernel, event: RunQueued) -> Step:
    """One more run is with the process."""
    awaiting = tuple(each for each in kernel.awaiting if each != event.run_id)
    return Step(replace(kernel, awaiting=awaiting, sent=_with(kernel.sent, event.run_id)))


def withdrawn(kernel: Kernel, event: RunWithdrawn) -> Step:
    """One run less, whether it was sent or not."""
    awaiting = tuple(each for each in kernel.awaiting if each != event.run_id)
    return Step(replace(_runs_over(kernel, {event.run_id}), awaiting=awaiting))


def asks(kernel: Kernel, event: InputRequested) -> Step:
    """A run waits for somebody."""
    return Step(replace(kernel, asking=_with(kernel.asking, event.run_id)))


def got_input(kernel: Kernel, event: InputProvided) -> Step:
    """A run goes on."""
    asking = tuple(each for each in kernel.asking if each != event.run_id)
    return Step(replace(kernel, asking=asking))


def _with(runs: tuple[str, ...], run_id: str) -> tuple[str, ...]:
    return runs if run_id in runs else (*runs, run_id)[-MAX_RUNS:]


def unresponsive(kernel: Kernel, event: HeartbeatLost) -> Step:
    """The process exists and is silent."""
    reason = causes.silent(event.silence, stopped=event.stopped)
    return Step(
        replace(kernel, status=Status.UNRESPONSIVE, reason=reason, cause=Cause.UNRESPONSIVE),
    )


def responsive(kernel: Kernel, _event: HeartbeatReturned) -> Step:
    """The process is heard again."""
    return Step(replace(kernel, status=Status.CONNECTED, reason="", cause=None))


def blocked(kernel: Kernel, event: InterpreterBlocked) -> Step:
    """The process is there and its interpreter does not come to anything."""
    reason = causes.blocked(event.silence)
    return Step(replace(kernel, reason=reason, cause=Cause.INTERPRETER_BLOCKED))


def unblocked(kernel: Kernel, _event: InterpreterReturned) -> Step:
    """The interpreter works again."""
    return Step(replace(kernel, reason="", cause=None))


def children_lost(kernel: Kernel, event: ChildOutOfMemory) -> Step:
    """Processes beside it were killed; the kernel itself goes on."""
    return Step(kernel, (ChildrenLost(event.kills),))


def restarting(kernel: Kernel, _event: RestartRequested) -> Step:
    """The present process, if any, is to end; another is to come."""
    return Step(
        replace(
            kernel,
            status=Status.RESTARTING,
            reason="",
            cause=None,
            requested_by=RequestedBy.RESTART if kernel.process else None,
            # What its manager said before the restart holds no longer.
            reported=kernel.reported and ExecutionState.STARTING,
        )
    )


def terminating(kernel: Kernel, event: ShutdownRequested) -> Step:
    """The present process, if any, is to end."""
    return Step(
        replace(
            kernel,
            status=Status.TERMINATING,
            reason="",
            cause=None,
            requested_by=event.by,
            last_known=_last_known(kernel),
        )
    )


def _last_known(kernel: Kernel) -> ExecutionState | None:
    return ExecutionState.UNKNOWN if kernel.status is Status.UNKNOWN else None


def reported(kernel: Kernel, event: Reported) -> Step:
    """Believe the manager of a kernel whose process we do not see; ours we see ourselves."""
    if kernel.launched:
        return Step(kernel)
    word = event.execution_state
    if word is ExecutionState.DEAD:
        if kernel.status is Status.DEAD:
            return Step(kernel)
        ended = dead(kernel, Cause.REMOTE, event.reason or causes.sentence(causes.DEAD_ELSEWHERE))
        return dataclasses.replace(ended, kernel=replace(ended.kernel, reported=word))
    if kernel.status is Status.RESTARTING and word is ExecutionState.STARTING:
        return Step(replace(kernel, generation=kernel.generation + event.anew))
    unheard = word is ExecutionState.UNKNOWN
    return Step(
        replace(
            kernel,
            status=REPORTED_STATUS[word],
            reason=(event.reason or causes.sentence(causes.UNHEARD)) if unheard else "",
            cause=Cause.REMOTE if unheard else None,
            generation=kernel.generation + event.anew,
            reported=word,
        )
    )


REPORTED_STATUS = {
    ExecutionState.UNKNOWN: Status.UNKNOWN,
    ExecutionState.STARTING: Status.CONNECTING,
    ExecutionState.IDLE: Status.CONNECTED,
    ExecutionState.BUSY: Status.CONNECTED,
}
