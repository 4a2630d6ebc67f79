"""What becomes of a run: one table of event and phase, and the step that applies it.

A run is followed from two sides. Its request and its reply pass by here where a client of this
server sent it (``reply_comes``); what its kernel publishes is heard of every run. It is over when
its reply *and* its idle have come, or its idle alone where no reply will pass; and always when
its process ends. News of an older process, and of a run that is over, changes nothing.

The same table, written by hand for readers, stands in docs/reference/runs.md; the tests hold the
two together cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from .run import (
    AskedForInput,
    CodePublished,
    EndRequested,
    Failure,
    FailurePublished,
    GotInput,
    LimitIgnored,
    LimitReached,
    Origin,
    ReplyMissed,
    Run,
    RunAnswered,
    RunBecameIdle,
    RunBegan,
    RunEvent,
    RunRefused,
    RunSent,
    RunSkipped,
    ServerEnded,
    ShellMovedOn,
    WorkerEnded,
)
from .words import RequestedBy, RunStatus, Status, Word

if TYPE_CHECKING:
    from .model import Kernel

SHOWN = 300
"""Characters of what a run raised that its reason quotes."""

SKIPPED = "An earlier run failed or was interrupted, so the kernel skipped this one."
INTERRUPTED = "It was interrupted."
GIVEN_UP = "The kernel gave it up: it was interrupted, or skipped because an earlier run failed."
NO_WORD = "It failed, and the kernel did not say why."
UNANSWERED = "The kernel was done with it and never answered."
PROBABLY = "this run had just been sent to its idle shell, so it was probably what ran."
LOST = "The server ended before the run did, so nobody knows what became of it."


def suspects(kernel: Kernel, runs: Iterable[Run]) -> frozenset[str]:
    """Find the runs that a process probably began in the moment in which it ended.

    The word that a shell is busy does not leave a process that ends at once; a shell that was idle
    had taken up the first that it was sent.

    Args:
        kernel: As it was before the end of its process.
        runs: Its runs, in the order in which they were sent.

    Returns:
        Of each idle shell the first run that it was sent and that had not begun.
    """
    if kernel.status is not Status.CONNECTED:
        # A process that is stopped takes nothing up.
        return frozenset()
    taken = {each.subshell for each in kernel.requests}
    found = set()
    for run in runs:
        if run.generation == kernel.generation and run.subshell not in taken:
            taken.add(run.subshell)
            if run.status is RunStatus.QUEUED and run.answer is None:
                found.add(run.run_id)
    return frozenset(found)


class Phase(Word):
    """What the table tells apart: how far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


Row = Callable[[Run, Any], Run]


def step(run: Run, event: RunEvent) -> Run:
    """Apply one event to a run.

    Args:
        run: The run as it is.
        event: What happened.

    Returns:
        The run as it is now; the same object if nothing changed.
    """
    if run.generation is None and type(event) not in OF_THE_UNSENT:
        return run
    if run.generation is not None and event.generation != run.generation:
        return run
    after = TABLE[type(event)][phase(run)](run, event)
    return run if after == run else after


def phase(run: Run) -> Phase:
    """Tell how far a run is."""
    return _PHASES.get(run.status, Phase.ENDED)


_PHASES = {RunStatus.QUEUED: Phase.QUEUED, RunStatus.RUNNING: Phase.RUNNING}


def _stay(run: Run, _event: RunEvent) -> Run:
    return run


def _sent(run: Run, event: RunSent) -> Run:
    return replace(run, generation=event.generation, worker_pid=event.worker_pid)


def _began(run: Run, event: RunEvent) -> Run:
    return replace(run, status=RunStatus.RUNNING, started_at=event.at)


def _published(run: Run, event: CodePublished) -> Run:
    begun = _begun(run, event)
    return replace(
        begun,
        was_published=True,
        code=event.code if run.code is None else run.code,
        execution_count=event.execution_count,
    )


def _failed(run: Run, event: FailurePublished) -> Run:
    return replace(_begun(run, event), error=event.failure)


def _begun(run: Run, event: RunEvent) -> Run:
    """Have it begun, where the word that it did so was missed."""
    return run if run.status is RunStatus.RUNNING else _began(run, event)


def _answered(run: Run, event: RunAnswered) -> Run:
    known = replace(
        run,
        answer=event.answer,
        error=event.failure or run.error,
        execution_count=event.execution_count or run.execution_count,
    )
    return _over(known, event) if known.is_idle else known


def _idle(run: Run, event: RunBecameIdle) -> Run:
    known = replace(run, is_idle=True, asks=False)
    return known if known.reply_comes and known.answer is None else _over(known, event)


def _no_reply(run: Run, event: ReplyMissed) -> Run:
    known = replace(run, reply_comes=False)
    return _over(known, event) if known.is_idle else known


def _moved_on(run: Run, event: ShellMovedOn) -> Run:
    return _over(run, event)


def _asks(run: Run, _event: AskedForInput) -> Run:
    return replace(run, asks=True)


def _got_input(run: Run, _event: GotInput) -> Run:
    return replace(run, asks=False)


def _over_limit(run: Run, _event: LimitReached) -> Run:
    what = "cannot be interrupted in a subshell" if run.subshell else "was interrupted"
    reason = f"It ran for longer than its limit of {run.timeout:g} s and {what}."
    return replace(run, over_limit=True, reason=reason)


def _ignored(run: Run, event: LimitIgnored) -> Run:
    reason = (
        f"{run.reason.removesuffix('.')}; it had not ended {event.waited:g} s later, and the "
        "kernel may still be at it: restart the kernel."
    )
    return _ended(replace(run, reason=reason), RunStatus.ABORTED, event)


def _end_requested(run: Run, event: EndRequested) -> Run:
    return replace(run, end_requested=event.end)


def _worker_ended(run: Run, event: WorkerEnded) -> Run:
    status = _FATES.get(event.requested_by, RunStatus.ABORTED)
    reason = event.reason
    if status is RunStatus.DIED and run.status is RunStatus.QUEUED:
        if not event.is_suspect:
            status = RunStatus.ABORTED
        else:
            reason = f"{reason.removesuffix('.')}; {PROBABLY}"
    # Jupyter's own interrupt before the end that somebody asked for is not the run's failure.
    error = None if event.requested_by else run.error
    return _ended(replace(run, reason=reason, error=error), status, event)


_FATES = {None: RunStatus.DIED, RequestedBy.SERVER_STOP: RunStatus.LOST}


def _refused(run: Run, event: RunRefused) -> Run:
    if run.generation is not None:
        # It is with a process already, whose end is told otherwise.
        return run
    return _ended(replace(run, reason=event.reason), RunStatus.ABORTED, event)


def _skipped(run: Run, event: RunSkipped) -> Run:
    return _ended(replace(run, reason=SKIPPED), RunStatus.ABORTED, event)


def _lost(run: Run, event: ServerEnded) -> Run:
    return _ended(replace(run, reason=LOST), RunStatus.LOST, event)


# -- how a run ended ---------------------------------------------------------------------------


def _over(run: Run, event: RunEvent) -> Run:
    """Its kernel is done with it: say how it went."""
    if run.over_limit:
        return _ended(run, RunStatus.ABORTED, event)
    status = run.answer or _told_without_a_reply(run)
    if status is not RunStatus.OK and run.end_requested is not None:
        # Jupyter interrupts what runs before it ends the process.
        end = run.end_requested
        now = WorkerEnded(event.generation, event.at, end.requested_by, end.reason)
        return _worker_ended(run, now)
    # Some code shows a failure that it has caught: a run that ended well has none.
    error = None if status is RunStatus.OK else run.error
    return _ended(replace(run, reason=_reason(run, status), error=error), status, event)


def _told_without_a_reply(run: Run) -> RunStatus:
    if run.error is not None:
        return RunStatus.ERROR
    unheard = not run.was_published and not run.silent
    return RunStatus.ABORTED if unheard and run.origin is not Origin.ELSEWHERE else RunStatus.OK


def _reason(run: Run, status: RunStatus) -> str:
    if status is RunStatus.ERROR:
        return raised(run.error) if run.error else NO_WORD
    if status is RunStatus.ABORTED:
        return _not_done(run)
    return ""


def _not_done(run: Run) -> str:
    if run.was_published:
        # Only what runs is published: bash_kernel and IRkernel answer an interrupt like that.
        return INTERRUPTED
    if run.silent:
        return GIVEN_UP
    return SKIPPED if run.answer or not run.reply_comes else UNANSWERED


def raised(failure: Failure) -> str:
    """Word what a run raised, in one line.

    >>> raised(Failure("ZeroDivisionError", "division by zero"))
    'It raised ZeroDivisionError: division by zero.'
    """
    if not failure.ename:
        # bash_kernel gives the exit code of the last command and no name.
        return f"It failed: {_cut(failure.evalue)}" if failure.evalue.strip() else NO_WORD
    return f"It raised {_cut(f'{failure.ename}: {failure.evalue}')}"


def _cut(text: str) -> str:
    told = " ".join(text.split()).rstrip(":")
    shown = told if len(told) <= SHOWN else told[: SHOWN - 1] + "…"
    return shown + ("" if shown.endswith((".", "…", "!", "?")) else ".")


def _ended(run: Run, status: RunStatus, event: RunEvent) -> Run:
    was_skipped = status is RunStatus.ABORTED and run.answer is RunStatus.ABORTED
    return replace(
        run,
        status=status,
        asks=False,
        ended_at=event.at,
        # A kernel says busy and idle also of what it skips.
        started_at=None if was_skipped and not run.was_published else run.started_at,
    )


# -- the table -----------------------------------------------------------------------------------


def _row(queued: Row, running: Row) -> dict[Phase, Row]:
    return {Phase.QUEUED: queued, Phase.RUNNING: running, Phase.ENDED: _stay}


TABLE: dict[type[RunEvent], dict[Phase, Row]] = {
    RunSent: _row(_sent, _stay),
    RunBegan: _row(_began, _stay),
    CodePublished: _row(_published, _published),
    FailurePublished: _row(_failed, _failed),
    RunAnswered: _row(_answered, _answered),
    RunBecameIdle: _row(_idle, _idle),
    ReplyMissed: _row(_no_reply, _no_reply),
    ShellMovedOn: _row(_moved_on, _moved_on),
    AskedForInput: _row(_asks, _asks),
    GotInput: _row(_got_input, _got_input),
    LimitReached: _row(_stay, _over_limit),
    LimitIgnored: _row(_stay, _ignored),
    EndRequested: _row(_end_requested, _end_requested),
    WorkerEnded: _row(_worker_ended, _worker_ended),
    RunRefused: _row(_refused, _stay),
    RunSkipped: _row(_skipped, _stay),
    ServerEnded: _row(_lost, _lost),
}

OF_THE_UNSENT: frozenset[type[RunEvent]] = frozenset({RunSent, RunRefused, ServerEnded})
"""Events that a run can meet that was not sent to any process yet."""
