"""The answers of the lifecycle to every end: a process that exits, does not come, is given up."""

from __future__ import annotations

from msgspec.structs import replace

from . import causes
from .events import (
    AutorestartBegan,
    Event,
    LaunchFailed,
    ProcessExited,
    RestarterGaveUp,
    ShutdownCompleted,
)
from .model import Exit, Kernel, Notice, Step, Surprise, Terminated, Termination
from .words import Cause, RequestedBy, Status


def surprise(kernel: Kernel, event: Event) -> Step:
    """Change nothing and say that this was not expected here."""
    return Step(kernel, (Surprise(event, kernel.status),))


def exited(kernel: Kernel, event: ProcessExited) -> Step:
    """The process ended, on request or by itself."""
    if kernel.requested_by is not None:
        return _ended_on_request(kernel, event, kernel.requested_by)
    account = causes.explain_end(
        event.exit,
        _lived(kernel, event),
        answered=kernel.answered,
        at_work=bool(kernel.requests or kernel.sent),
        remains=event.remains,
    )
    termination = _termination(kernel, event, account)
    if event.restarter:
        next_step = causes.RESTARTING if kernel.answered else causes.TRYING_AGAIN
        reason = causes.sentence(account.happened, next_step)
        after = _gone(kernel, termination, Status.AUTORESTARTING, account.cause, reason)
    else:
        steps = (account.hint, causes.RESTART_IT if kernel.answered else "")
        reason = causes.sentence(account.happened, *steps)
        after = _gone(kernel, termination, Status.DEAD, account.cause, reason)
    return Step(after, (Terminated(termination),))


def _lived(kernel: Kernel, event: ProcessExited) -> float | None:
    if kernel.process is None or kernel.process.started_at is None:
        return None
    return (event.at - kernel.process.started_at).total_seconds()


def _ended_on_request(kernel: Kernel, event: ProcessExited, by: RequestedBy) -> Step:
    cause, happened = causes.REQUESTED[by]
    termination = _termination(kernel, event, causes.Account(cause, happened, ""))
    if by is RequestedBy.RESTART:
        after = _gone(kernel, termination, Status.RESTARTING, None, "")
        return Step(after, (Terminated(termination),))
    # Not dead before Jupyter is done: a restart that was under way may still bring a process.
    after = _gone(kernel, termination, Status.TERMINATING, None, "")
    last_known = replace(after, requested_by=by, last_known=kernel.execution_state)
    return Step(last_known, (Terminated(termination),))


def _termination(kernel: Kernel, event: ProcessExited, account: causes.Account) -> Termination:
    return Termination(
        generation=kernel.generation,
        pid=kernel.process.pid if kernel.process else None,
        cause=account.cause,
        reason=causes.sentence(account.happened, account.hint),
        hint=account.hint,
        exit=event.exit,
        expected=kernel.requested_by is not None,
        requested_by=kernel.requested_by,
        started_at=kernel.process.started_at if kernel.process else None,
        finished_at=event.at,
        happened=account.happened,
        peak_memory=event.remains.peak_memory,
        cpu_seconds=event.remains.cpu_seconds,
        traceback=event.remains.shown,
        run_id=next(iter(kernel.running or _suspected(kernel)), None),
    )


def _suspected(kernel: Kernel) -> tuple[str, ...]:
    """Give what a process that was idle had been sent when it ended by itself, oldest first."""
    was_idle = kernel.status is Status.CONNECTED and not kernel.requests
    return kernel.sent if was_idle and kernel.requested_by is None else ()


def unseen_end(kernel: Kernel, event: Event) -> tuple[Kernel, tuple[Notice, ...]]:
    """Tell the end of a process that nobody saw end, but that cannot be there any more."""
    if kernel.process is None:
        return kernel, ()
    outcome = exited(kernel, ProcessExited(kernel.generation, event.at, Exit(), restarter=False))
    after = outcome.kernel
    told = replace(
        kernel,
        process=None,
        last_termination=after.last_termination,
        failed_retry=after.failed_retry,
    )
    return told, outcome.notices


def launch_failed(kernel: Kernel, event: LaunchFailed) -> Step:
    """No process came, so none is there."""
    if kernel.process is not None and kernel.requested_by is None:
        return surprise(kernel, event)
    after, told = unseen_end(kernel, event)
    return Step(_without_process(after, Status.DEAD, event.cause, event.reason), told)


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
    after, told = unseen_end(kernel, event)
    last = after.last_termination
    if last is None:
        reason = causes.sentence("The kernel's process is gone")
        return Step(_without_process(after, Status.DEAD, Cause.LOST, reason), told)
    cause, reason = last.cause, last.reason
    if kernel.proven:
        cause, reason = (
            Cause.CRASH_LOOP,
            causes.crash_loop(event.deaths, last.happened, after.failed_retry),
        )
    return Step(_without_process(after, Status.DEAD, cause, reason), told)


def stopped(kernel: Kernel, _event: ShutdownCompleted | LaunchFailed) -> Step:
    """Jupyter is done with it, whether we saw the process end or there was none."""
    cause, happened = causes.REQUESTED[kernel.requested_by or RequestedBy.SHUTDOWN]
    after, told = unseen_end(kernel, _event)
    return Step(_without_process(after, Status.DEAD, cause, causes.sentence(happened)), told)


def dead(kernel: Kernel, cause: Cause, reason: str) -> Step:
    """It has no process any more."""
    return Step(_without_process(kernel, Status.DEAD, cause, reason))


def _gone(
    kernel: Kernel, termination: Termination, status: Status, cause: Cause | None, reason: str
) -> Kernel:
    if _is_failed_retry(kernel):
        after = replace(kernel, failed_retry=termination.happened)
    else:
        after = replace(kernel, last_termination=termination, failed_retry="")
    return _without_process(after, status, cause, reason)


def _is_failed_retry(kernel: Kernel) -> bool:
    """Tell whether a process that ends was to take the place of one that died, and never did."""
    last = kernel.last_termination
    is_retry = kernel.status is Status.AUTORESTARTING and kernel.proven and not kernel.answered
    return is_retry and last is not None and not last.expected


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
        sent=(),
        awaiting=() if status is Status.DEAD else kernel.awaiting,
        asking=(),
        reported=None,
        last_known=None,
    )
