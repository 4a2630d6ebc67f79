"""The answers of the lifecycle: what each event does to a kernel where its row says so.

Each takes a kernel and an event and returns the step; none asks which row it stands in, but
where the same answer is given in a few statuses that differ in one thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import causes
from .model import (
    Answered,
    AutorestartBegan,
    Event,
    Exit,
    HeartbeatLost,
    HeartbeatReturned,
    Kernel,
    LaunchFailed,
    Notice,
    Process,
    ProcessExited,
    ProcessStarted,
    Reported,
    Request,
    RequestBegan,
    RequestEnded,
    RestarterGaveUp,
    RestartRequested,
    ShellAnswered,
    ShutdownCompleted,
    ShutdownRequested,
    StartOverdue,
    Step,
    Surprise,
    Terminated,
    Termination,
)
from .words import Cause, ExecutionState, RequestedBy, Status

Row = Callable[[Kernel, Any], Step]

MAX_REQUESTS = 256
"""Running requests remembered per process; a kernel that never says idle forgets its oldest."""

MAX_SUBSHELLS = 64
"""Subshells remembered per process; older idle ones are forgotten first."""


def stay(kernel: Kernel, _event: Event) -> Step:
    """Change nothing: this was expected here."""
    return Step(kernel)


def surprise(kernel: Kernel, event: Event) -> Step:
    """Change nothing and say that this was not expected here."""
    return Step(kernel, (Surprise(event, kernel.status),))


def started(status: Status) -> Row:
    """Make the answer to a new process: it is there, in this status."""

    def row(present: Kernel, event: ProcessStarted) -> Step:
        kernel, told = _unseen_end(present, event)
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
                restart_count=kernel.restart_count + automatic,
                requested_by=present.requested_by if stopping else None,
                reported=None,
            ),
            told,
        )

    return row


def _unseen_end(kernel: Kernel, event: Event) -> tuple[Kernel, tuple[Notice, ...]]:
    """Tell the end of a process that nobody saw end, but that cannot be there any more."""
    if kernel.process is None:
        return kernel, ()
    outcome = exited(kernel, ProcessExited(kernel.generation, event.at, Exit(), restarter=False))
    told = replace(kernel, process=None, last_termination=outcome.kernel.last_termination)
    return told, outcome.notices


def launch_failed(kernel: Kernel, event: LaunchFailed) -> Step:
    """No process came, so none is there."""
    if kernel.process is not None and kernel.requested_by is None:
        return surprise(kernel, event)
    after, told = _unseen_end(kernel, event)
    return Step(_without_process(after, Status.DEAD, event.cause, event.reason), told)


def connected(kernel: Kernel, event: Answered) -> Step:
    """The process can be worked with, unless its end was asked for meanwhile."""
    if kernel.requested_by is not None or kernel.process is None:
        return Step(kernel)
    process = replace(kernel.process, connected_at=event.at)
    return Step(
        replace(
            kernel,
            status=Status.CONNECTED,
            reason="",
            cause=None,
            process=process,
            proven=True,
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
    """One request less runs."""
    return _without(kernel, lambda each: _ends(event.request, each))


def _ends(ended: Request, running: Request) -> bool:
    if ended.msg_id:
        return ended.msg_id == running.msg_id
    return ended.subshell == running.subshell


def answered_later(kernel: Kernel, event: ShellAnswered) -> Step:
    """A shell works in order: what our request waited behind has ended."""
    return _without(kernel, lambda each: each in event.asked)


def _without(kernel: Kernel, gone: Callable[[Request], bool]) -> Step:
    requests = tuple(each for each in kernel.requests if not gone(each))
    if len(requests) == len(kernel.requests):
        return Step(kernel)
    return Step(replace(kernel, requests=requests))


def unresponsive(kernel: Kernel, event: HeartbeatLost) -> Step:
    """The process exists and is silent."""
    reason = causes.silent(event.silence)
    return Step(
        replace(kernel, status=Status.UNRESPONSIVE, reason=reason, cause=Cause.LOST),
    )


def responsive(kernel: Kernel, _event: HeartbeatReturned) -> Step:
    """The process is heard again."""
    return Step(replace(kernel, status=Status.CONNECTED, reason="", cause=None))


def restarting(kernel: Kernel, _event: RestartRequested) -> Step:
    """The present process, if any, is to end; another is to come."""
    return Step(
        replace(
            kernel,
            status=Status.RESTARTING,
            reason="",
            cause=None,
            requested_by=RequestedBy.RESTART if kernel.process else None,
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
            reported=_last_known(kernel),
        )
    )


def _last_known(kernel: Kernel) -> ExecutionState | None:
    return ExecutionState.UNKNOWN if kernel.status is Status.UNKNOWN else kernel.reported


def autorestarting(kernel: Kernel, event: AutorestartBegan) -> Step:
    """The restarter saw an end that we did not see."""
    if kernel.status is Status.RESTARTING and (kernel.requested_by or kernel.process is None):
        return Step(kernel)
    if kernel.process is None:
        if kernel.status is Status.AUTORESTARTING:
            return Step(kernel)
        reason = causes.sentence("The kernel's process is gone", causes.RESTARTING)
        return Step(_without_process(kernel, Status.AUTORESTARTING, Cause.LOST, reason))
    return exited(kernel, ProcessExited(event.generation, event.at, Exit(), restarter=True))


def gave_up(kernel: Kernel, event: RestarterGaveUp) -> Step:
    """No process is coming any more."""
    if kernel.status is Status.RESTARTING and (kernel.requested_by or kernel.process is None):
        return Step(kernel)
    after, told = _unseen_end(kernel, event)
    last = after.last_termination
    if last is None:
        reason = causes.sentence("The kernel's process is gone")
        return Step(_without_process(after, Status.DEAD, Cause.LOST, reason), told)
    cause, reason = last.cause, last.reason
    if kernel.proven:
        what = last.reason.split(";", 1)[0].removesuffix(".")
        cause, reason = Cause.CRASH_LOOP, causes.crash_loop(event.deaths, what)
    return Step(_without_process(after, Status.DEAD, cause, reason), told)


def exited(kernel: Kernel, event: ProcessExited) -> Step:
    """The process ended, on request or by itself."""
    if kernel.requested_by is not None:
        return _ended_on_request(kernel, event, kernel.requested_by)
    process = kernel.process
    lived = (event.at - process.started_at).total_seconds() if process else None
    account = causes.explain_end(event.exit, lived, answered=kernel.answered)
    told = causes.sentence(account.happened, account.hint)
    termination = _termination(kernel, event, account.cause, told, account.hint)
    if event.restarter:
        reason = causes.sentence(account.happened, causes.RESTARTING)
        after = _gone(kernel, termination, Status.AUTORESTARTING, account.cause, reason)
    else:
        steps = (account.hint, causes.RESTART_IT if kernel.answered else "")
        reason = causes.sentence(account.happened, *steps)
        after = _gone(kernel, termination, Status.DEAD, account.cause, reason)
    return Step(after, (Terminated(termination),))


def _ended_on_request(kernel: Kernel, event: ProcessExited, by: RequestedBy) -> Step:
    cause, happened = causes.REQUESTED[by]
    reason = causes.sentence(happened)
    termination = _termination(kernel, event, cause, reason, "")
    if by is RequestedBy.RESTART:
        after = _gone(kernel, termination, Status.RESTARTING, None, "")
        return Step(after, (Terminated(termination),))
    # Not dead before Jupyter is done: a restart that was under way may still bring a process.
    after = _gone(kernel, termination, Status.TERMINATING, None, "")
    last_known = replace(after, requested_by=by, reported=kernel.execution_state)
    return Step(last_known, (Terminated(termination),))


def _termination(
    kernel: Kernel, event: ProcessExited, cause: Cause, reason: str, hint: str
) -> Termination:
    return Termination(
        generation=kernel.generation,
        pid=kernel.process.pid if kernel.process else None,
        cause=cause,
        reason=reason,
        hint=hint,
        exit=event.exit,
        expected=kernel.requested_by is not None,
        requested_by=kernel.requested_by,
        started_at=kernel.process.started_at if kernel.process else None,
        finished_at=event.at,
    )


def _gone(
    kernel: Kernel, termination: Termination, status: Status, cause: Cause | None, reason: str
) -> Kernel:
    after = replace(kernel, last_termination=termination)
    return _without_process(after, status, cause, reason)


def _dead(kernel: Kernel, cause: Cause, reason: str) -> Step:
    return Step(_without_process(kernel, Status.DEAD, cause, reason))


def _without_process(kernel: Kernel, status: Status, cause: Cause | None, reason: str) -> Kernel:
    return replace(
        kernel,
        status=status,
        cause=cause,
        reason=reason,
        process=None,
        requested_by=None,
        requests=(),
        subshells=(),
        reported=None,
    )


def stopped(kernel: Kernel, _event: ShutdownCompleted | LaunchFailed) -> Step:
    """Jupyter is done with it, whether we saw the process end or there was none."""
    cause, happened = causes.REQUESTED[kernel.requested_by or RequestedBy.SHUTDOWN]
    after, told = _unseen_end(kernel, _event)
    return Step(_without_process(after, Status.DEAD, cause, causes.sentence(happened)), told)


def reported(kernel: Kernel, event: Reported) -> Step:
    """Believe the manager of a kernel whose process we do not see; ours we see ourselves."""
    if kernel.launched:
        return Step(kernel)
    word = event.execution_state
    if word is ExecutionState.DEAD:
        if kernel.status is Status.DEAD:
            return Step(kernel)
        return _dead(kernel, Cause.REMOTE, causes.sentence(causes.DEAD_ELSEWHERE))
    if kernel.status is Status.RESTARTING and REPORTED_STATUS[word] is not Status.CONNECTED:
        return Step(kernel)
    unheard = word is ExecutionState.UNKNOWN
    return Step(
        replace(
            kernel,
            status=REPORTED_STATUS[word],
            reason=causes.sentence(causes.UNHEARD) if unheard else "",
            cause=Cause.REMOTE if unheard else None,
            reported=word,
        )
    )


REPORTED_STATUS = {
    ExecutionState.UNKNOWN: Status.UNKNOWN,
    ExecutionState.STARTING: Status.CONNECTING,
    ExecutionState.IDLE: Status.CONNECTED,
    ExecutionState.BUSY: Status.CONNECTED,
}
