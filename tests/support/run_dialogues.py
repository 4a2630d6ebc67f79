"""Stories of runs: news, told in the order in which it comes, and what becomes of a run.

News speaks of the process that the run was sent to, so that a story needs no numbers:
``tell_run(sent(), began(), answer(), idle())``; ``late(...)`` is the same of the process before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from kernel_status_ext.core.run import (
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
from kernel_status_ext.core.runs import step
from kernel_status_ext.core.words import RequestedBy, RunStatus

from .dialogues import BIRTH

GENERATION = 3
"""The process that every run here is sent to."""

FAILURE = Failure("ZeroDivisionError", "division by zero")
INTERRUPTED = Failure("KeyboardInterrupt", "")


@dataclass(frozen=True)
class RunNews:
    """An event that does not know its generation and moment yet."""

    kind: type[RunEvent]
    facts: dict[str, Any] = field(default_factory=dict)
    shift: int = 0
    """How many generations later than the one that the run was sent to."""

    def event(self, moment: datetime = BIRTH) -> RunEvent:
        """Make the event."""
        facts = dict(self.facts)
        if "end" in facts:
            facts["end"] = facts["end"].event(moment)
        return self.kind(GENERATION + self.shift, moment, **facts)


def late(news: RunNews) -> RunNews:
    """The same, of the process before."""
    return replace(news, shift=news.shift - 1)


def early(news: RunNews) -> RunNews:
    """The same, of a process that was not started yet."""
    return replace(news, shift=news.shift + 1)


def sent(pid: int | None = 4711) -> RunNews:
    """Its request left."""
    return RunNews(RunSent, {"worker_pid": pid})


def began() -> RunNews:
    """Its shell is busy."""
    return RunNews(RunBegan)


def published(code: str | None = "1/0", count: int | None = 7) -> RunNews:
    """The kernel said which code it runs."""
    return RunNews(CodePublished, {"code": code, "execution_count": count})


def failed(failure: Failure = FAILURE) -> RunNews:
    """The kernel said what it raised."""
    return RunNews(FailurePublished, {"failure": failure})


def answer(
    said: RunStatus = RunStatus.OK, failure: Failure | None = None, count: int | None = None
) -> RunNews:
    """Its reply came."""
    return RunNews(RunAnswered, {"answer": said, "failure": failure, "execution_count": count})


def idle() -> RunNews:
    """Its shell is idle."""
    return RunNews(RunBecameIdle)


def missed() -> RunNews:
    """Its reply will not come."""
    return RunNews(ReplyMissed)


def moved_on() -> RunNews:
    """Its shell answered what came later."""
    return RunNews(ShellMovedOn)


def asked() -> RunNews:
    """It waits for input."""
    return RunNews(AskedForInput)


def told() -> RunNews:
    """It got its input."""
    return RunNews(GotInput)


def limit() -> RunNews:
    """Its time is over."""
    return RunNews(LimitReached)


def ignored(waited: float = 5) -> RunNews:
    """It goes on all the same."""
    return RunNews(LimitIgnored, {"waited": waited})


def worker_ended(
    by: RequestedBy | None = None, reason: str = "It was killed.", *, is_suspect: bool = False
) -> RunNews:
    """Its process ended."""
    facts = {"requested_by": by, "reason": reason, "is_suspect": is_suspect}
    return RunNews(WorkerEnded, facts)


def end_requested(by: RequestedBy = RequestedBy.RESTART) -> RunNews:
    """Somebody asked for the end of its process."""
    return RunNews(EndRequested, {"end": worker_ended(by, f"Asked for: {by}.")})


def refused(reason: str = "The kernel is dead.") -> RunNews:
    """It will never be sent."""
    return RunNews(RunRefused, {"reason": reason})


def skipped() -> RunNews:
    """A run before it failed while it was held back."""
    return RunNews(RunSkipped)


def server_ended() -> RunNews:
    """The server ends."""
    return RunNews(ServerEnded)


def new_run(**facts: Any) -> Run:
    """A run that came by our own call, and was not sent yet."""
    return Run("run", "f3c1", "python3", **{"origin": Origin.API, "timeout": 2.5, **facts})


def sent_run(*news: RunNews, **facts: Any) -> Run:
    """A run that was sent, and what happened to it since."""
    return tell_run(sent(), *news, run=new_run(**facts))[-1]


def tell_run(*news: RunNews, run: Run | None = None) -> list[Run]:
    """Tell a run a story, and see what becomes of it, event by event; a second for each."""
    present, story = run or new_run(), []
    for count, each in enumerate(news, start=1):
        before, event = present, each.event(BIRTH + timedelta(seconds=count))
        present = step(before, event)
        complain(before, present)
        story.append(present)
    return story


def complain(before: Run, run: Run) -> None:
    """Assert what holds for every run at every moment."""
    assert run is before or run != before, "a copy is no change"
    assert run is before or not before.has_ended, f"it had ended: {before}"
    assert run.has_ended == (run.ended_at is not None), run
    assert not (run.has_ended and run.asks), run
    assert run.status is not RunStatus.RUNNING or run.started_at is not None, run
    assert run.status not in (RunStatus.OK, RunStatus.QUEUED) or run.reason == "", run
    assert not run.has_ended or run.status is RunStatus.OK or run.reason.endswith((".", "…")), run
    assert run.generation is not None or run.worker_pid is None, run
    assert run.ended_at is None or run.started_at is None or run.started_at <= run.ended_at, run
