"""Any news of a run in any order, of its process, the one before or the next: what always holds.

The generations are relative, as in the machine of kernels.
"""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.dialogues import BIRTH
from support.run_dialogues import (
    INTERRUPTED,
    RunNews,
    answer,
    asked,
    began,
    complain,
    early,
    end_requested,
    failed,
    idle,
    ignored,
    late,
    limit,
    missed,
    moved_on,
    new_run,
    published,
    refused,
    sent,
    server_ended,
    skipped,
    told,
    worker_ended,
)

from kernel_status_ext.core.run import (
    LimitIgnored,
    Origin,
    ReplyMissed,
    Run,
    RunEvent,
    RunRefused,
    ServerEnded,
    ShellMovedOn,
    WorkerEnded,
)
from kernel_status_ext.core.runs import step
from kernel_status_ext.core.words import RequestedBy, RunStatus

ERROR, ABORTED = RunStatus.ERROR, RunStatus.ABORTED
ANSWERS = st.sampled_from([RunStatus.OK, ERROR, ABORTED])
BY = st.sampled_from([None, *RequestedBy])
NEWS = st.one_of(
    st.sampled_from([sent(), began(), published(), published(None, None), failed(), idle()]),
    st.sampled_from(
        [missed(), moved_on(), asked(), told(), limit(), ignored(), refused(), skipped()]
    ),
    st.sampled_from([idle(), began(), server_ended()]),
    st.builds(answer, ANSWERS, st.sampled_from([None, INTERRUPTED]), st.sampled_from([None, 3])),
    BY.map(worker_ended),
    st.sampled_from(RequestedBy).map(end_requested),
)

WITHOUT_ASKING = (WorkerEnded, RunRefused, LimitIgnored, ServerEnded, ShellMovedOn, ReplyMissed)
"""What ends a run whether both halves of its end have come or not."""


class Life(RuleBasedStateMachine):
    """One run's life."""

    run: Run
    before: Run
    event: RunEvent | None = None

    @initialize(
        origin=st.sampled_from(Origin), silent=st.booleans(), code=st.sampled_from([None, "1"])
    )
    def come(self, origin: Origin, silent: bool, code: str | None) -> None:
        """By any way."""
        reply_comes = origin is not Origin.ELSEWHERE
        self.moment, self.heard = BIRTH, set[str]()
        self.run = new_run(origin=origin, silent=silent, code=code, reply_comes=reply_comes)
        self.before = self.run

    def feed(self, news: RunNews) -> None:
        """Take in a fact."""
        self.moment += timedelta(seconds=1)
        self.event = news.event(self.moment)
        self.before, self.run = self.run, step(self.run, self.event)

    @rule(news=NEWS)
    def hear(self, news: RunNews) -> None:
        """The present process says something, or somebody does something."""
        counts = self.run.generation is not None
        self.feed(news)
        if counts:
            self.heard.add(type(self.event).__name__)

    @rule()
    def leave(self) -> None:
        """It is sent: said often, so that lives get on."""
        self.feed(sent())

    @precondition(lambda self: self.run.generation is not None)
    @rule(news=st.one_of(NEWS.map(late), NEWS.map(early)))
    def hear_of_another_process(self, news: RunNews) -> None:
        """News of the process before or after changes nothing of a run that was sent."""
        self.feed(news)
        assert self.run is self.before

    @invariant()
    def what_always_holds(self) -> None:
        """A run that has ended never changes; times, reasons and statuses go together."""
        complain(self.before, self.run)

    @invariant()
    def it_is_over_when_both_halves_have_come(self) -> None:
        """Without a death, a limit, a refusal or a shell that moved on, never before."""
        ended = self.run.has_ended and not self.before.has_ended
        if ended and not isinstance(self.event, WITHOUT_ASKING) and self.run.reply_comes:
            assert {"RunAnswered", "RunBecameIdle"} <= self.heard
        if not self.run.has_ended and self.run.reply_comes:
            assert not {"RunAnswered", "RunBecameIdle"} <= self.heard

    @invariant()
    def only_what_was_sent_is_at_work(self) -> None:
        """And it stays with the process that it was sent to."""
        if self.run.generation is None:
            assert self.run.status in (RunStatus.QUEUED, ABORTED, RunStatus.LOST)
        if self.before.generation is not None:
            assert self.run.generation == self.before.generation

    @invariant()
    def it_starts_once(self) -> None:
        """What runs does not go back into the queue, and does not start anew."""
        if self.before.status is RunStatus.RUNNING:
            assert self.run.status is not RunStatus.QUEUED
            skipped = self.run.status is ABORTED and self.run.answer is ABORTED
            assert skipped or self.run.started_at == self.before.started_at

    @invariant()
    def it_dies_of_a_death_and_is_lost_with_its_server(self) -> None:
        """Nothing else is told so."""
        if self.run.status is RunStatus.DIED:
            assert "WorkerEnded" in self.heard
        if self.run.status is RunStatus.LOST and self.run.generation is not None:
            assert self.heard & {"WorkerEnded", "ServerEnded", "EndRequested"}


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, database=None, derandomize=True
)
