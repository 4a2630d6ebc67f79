"""Any events in any order, of this process, the last or the next: what always holds.

The generations are relative, because a late message is one of the process before, and no random
number would hit that one often enough.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.dialogues import (
    BIRTH,
    News,
    answered,
    autorestart,
    began,
    blocked,
    child_lost,
    complain,
    completed,
    ended,
    exited,
    found,
    gave_up,
    heard,
    input_provided,
    input_requested,
    launch_failed,
    new_kernel,
    overdue,
    reported,
    restart,
    run_awaited,
    run_queued,
    run_withdrawn,
    shell_answered,
    shutdown,
    silent,
    started,
    unblocked,
)

from kernel_status_ext.core.events import (
    Event,
    InterpreterBlocked,
    LaunchFailed,
    ProcessExited,
    ProcessFound,
    ProcessStarted,
    Reported,
    RunQueued,
    RunWithdrawn,
)
from kernel_status_ext.core.lifecycle import step
from kernel_status_ext.core.model import (
    ChildrenLost,
    Exit,
    Kernel,
    Request,
    Step,
    Surprise,
    Terminated,
)
from kernel_status_ext.core.remains import NOTHING_FOUND, OutOfMemory, Remains
from kernel_status_ext.core.words import ExecutionState, RequestedBy, Status

IDS = ["a", "b", "c"]
REQUESTS = st.builds(
    Request, st.sampled_from(["", *IDS]), st.sampled_from(["", "sub"]), st.booleans()
)
RUNS = st.sampled_from(IDS)
CODES = st.sampled_from([0, 1, 137, 255])
SIGNALS = st.sampled_from([2, 9, 11, 40])

REMAINS = st.builds(
    Remains,
    stderr=st.sampled_from(["", "ValueError: 3", "ModuleNotFoundError: No module named 'x'"]),
    instead=st.sampled_from([None, "hidden"]),
    captured=st.booleans(),
    memory=st.sampled_from([None, OutOfMemory(1 << 30)]),
    peak_memory=st.sampled_from([None, 1 << 30]),
)


def left(remains: Remains, code: int | None, signal: int | None, *, restarter: bool) -> News:
    """The process ended, and this was found of it."""
    facts = {"exit": Exit(code, signal), "restarter": restarter, "remains": remains}
    return News(ProcessExited, facts)


OF_A_PROCESS = st.one_of(
    st.just(answered()),
    st.just(overdue()),
    st.just(silent()),
    st.just(heard()),
    st.just(blocked()),
    st.just(unblocked()),
    st.just(child_lost()),
    REQUESTS.map(lambda each: began(each.msg_id, each.subshell, is_run=each.is_run)),
    REQUESTS.map(lambda each: ended(each.msg_id, each.subshell, is_run=each.is_run)),
    REQUESTS.map(shell_answered),
    RUNS.map(run_queued),
    RUNS.map(input_requested),
    RUNS.map(input_provided),
    st.builds(lambda code, restarter: exited(code, restarter=restarter), CODES, st.booleans()),
    st.builds(lambda number: exited(signal=number), SIGNALS),
    st.builds(lambda number: exited(signal=number, restarter=True), SIGNALS),
    st.builds(left, REMAINS, CODES, st.none(), restarter=st.booleans()),
    st.builds(left, REMAINS, st.none(), SIGNALS, restarter=st.booleans()),
)
"""News that only a process can give."""

OF_JUPYTER = st.one_of(
    st.sampled_from([restart(), completed(), autorestart(), gave_up(), launch_failed(), found()]),
    st.sampled_from([by for by in RequestedBy if by is not RequestedBy.RESTART]).map(shutdown),
    st.builds(reported, st.sampled_from(ExecutionState), anew=st.booleans()),
    RUNS.map(run_awaited),
    RUNS.map(run_withdrawn),
)
"""News of what Jupyter or somebody does."""


class Life(RuleBasedStateMachine):
    """One kernel's life."""

    kernel: Kernel
    before: Kernel
    event: Event
    outcome: Step

    @initialize(status=st.sampled_from([Status.STARTING, Status.UNKNOWN]))
    def be_asked_for(self, status: Status) -> None:
        """A kernel of this server, or one that was met running."""
        self.before = self.kernel = new_kernel(status)
        self.outcome = Step(self.kernel)
        self.moment = BIRTH

    def feed(self, news: News, shift: int = 0) -> Step:
        """Take in a fact of this generation, or another one."""
        self.moment += timedelta(seconds=1)
        due = news.event(self.kernel, self.moment)
        facts: dict[str, Any] = news.facts
        self.event = news.kind(due.generation + shift, self.moment, **facts)
        self.before, self.outcome = self.kernel, step(self.kernel, self.event)
        self.kernel = self.outcome.kernel
        return self.outcome

    @rule(news=OF_A_PROCESS)
    def hear(self, news: News) -> None:
        """The present process says something, or somebody sees something of it."""
        kernel = self.kernel
        outcome = self.feed(news)
        if kernel.process is None:
            assert outcome.kernel is kernel, "nobody is there to say it"

    @rule(news=OF_JUPYTER)
    def learn(self, news: News) -> None:
        """Jupyter or somebody does something."""
        self.feed(news)

    @rule(pid=st.sampled_from([4711, None]))
    def launch(self, pid: int | None) -> None:
        """A process was launched."""
        self.feed(started(pid))

    @precondition(lambda self: self.kernel.process is not None and not self.kernel.answered)
    @rule()
    def answer(self) -> None:
        """The process answers: said often, so that lives get on."""
        self.feed(answered())

    @rule(news=st.one_of(OF_A_PROCESS, OF_JUPYTER, st.just(started())))
    def hear_of_the_last(self, news: News) -> None:
        """Late news changes nothing, and revives nobody."""
        kernel = self.kernel
        outcome = self.feed(news, shift=-1)
        assert outcome.kernel is kernel
        if self.event.generation < kernel.generation:
            assert outcome.notices == ()

    @rule(news=st.one_of(OF_A_PROCESS, OF_JUPYTER, st.just(started())))
    def hear_of_the_next(self, news: News) -> None:
        """News of a process that was not started yet is a surprise."""
        kernel = self.kernel
        outcome = self.feed(news, shift=+1)
        assert outcome.kernel is kernel
        assert outcome.notices == (Surprise(self.event, kernel.status),)

    @invariant()
    def words_go_together(self) -> None:
        """What stands beside the status is what the contract allows, reason and cause with it."""
        complain(self.kernel)

    @invariant()
    def nothing_but_its_interpreter_is_wrong_with_a_connected_kernel(self) -> None:
        """The reason is gone as soon as it is connected again; only a blocked one gets another."""
        if self.kernel.status is Status.CONNECTED and self.kernel.reason != self.before.reason:
            blocks = isinstance(self.event_or_none, InterpreterBlocked)
            assert bool(self.kernel.reason) == blocks

    @invariant()
    def a_kernel_that_becomes_connected_has_no_reason(self) -> None:
        """Whatever was wrong before."""
        if self.before.status is not Status.CONNECTED and self.kernel.status is Status.CONNECTED:
            assert self.kernel.reason == ""

    @invariant()
    def children_are_lost_by_those_who_live(self) -> None:
        """A kill beside the kernel is told of a process that is there, and changes nothing."""
        lost = [each for each in self.outcome.notices if isinstance(each, ChildrenLost)]
        assert not lost or self.kernel is self.before
        assert not lost or self.kernel.process is not None

    @invariant()
    def only_what_is_unknown_is_found(self) -> None:
        """A process that somebody else began is the first that is known of its kernel."""
        if isinstance(self.event_or_none, ProcessFound) and self.kernel is not self.before:
            assert self.before.status is Status.UNKNOWN
            assert not self.before.launched
            assert self.kernel.answered

    @invariant()
    def a_change_is_a_change(self) -> None:
        """The same object if nothing changed, another one if something did; never by a surprise."""
        assert self.kernel is self.before or self.kernel != self.before
        if any(isinstance(each, Surprise) for each in self.outcome.notices):
            assert self.kernel is self.before

    @invariant()
    def a_core_gives_no_revisions(self) -> None:
        """Revisions and their times are the tracker's."""
        assert (self.kernel.revision, self.kernel.since) == (0, BIRTH)

    @invariant()
    def generations_grow_one_by_one(self) -> None:
        """Only a start makes the next generation, here or elsewhere; an automatic one counts."""
        before, kernel = self.before, self.kernel
        if kernel.generation != before.generation:
            elsewhere = isinstance(self.event, Reported) and self.event.anew
            assert elsewhere is not isinstance(self.event, ProcessStarted)
            assert not (elsewhere and before.launched)
            assert kernel.generation == before.generation + 1
        counted = kernel.restart_count - before.restart_count
        begun = isinstance(self.event_or_none, ProcessStarted) and kernel is not before
        assert counted == (begun and before.status is Status.AUTORESTARTING)

    @invariant()
    def every_process_that_is_gone_has_its_termination(self) -> None:
        """A process leaves with exactly one account of its end, which is kept."""
        before, kernel = self.before, self.kernel
        told = [each.termination for each in self.outcome.notices if isinstance(each, Terminated)]
        gone = before.process is not None and (
            kernel.process is None or kernel.generation != before.generation
        )
        assert len(told) == gone
        for end in told:
            is_failed_retry = before.status is Status.AUTORESTARTING and not before.answered
            kept = end == kernel.last_termination
            assert kept or (is_failed_retry and kernel.failed_retry == end.happened)
            assert end.generation == before.generation
            assert end.expected == (before.requested_by is not None)
            assert end.requested_by == before.requested_by
            assert end.reason

    @invariant()
    def a_termination_keeps_what_was_found(self) -> None:
        """What is told of an end is that process's own, and hidden where it must be."""
        event = self.event_or_none
        found_of_it = event.remains if isinstance(event, ProcessExited) else NOTHING_FOUND
        for notice in self.outcome.notices:
            if isinstance(notice, Terminated):
                end = notice.termination
                assert end.peak_memory == found_of_it.peak_memory
                assert end.traceback == found_of_it.shown
                hidden = found_of_it.instead is not None
                assert not (hidden and "ValueError" in end.reason + self.kernel.reason)

    @invariant()
    def what_was_sent_goes_with_its_process(self) -> None:
        """And what waits stays until the kernel is dead, is sent, or is withdrawn."""
        before, kernel = self.before, self.kernel
        if kernel.generation != before.generation or kernel.process is None:
            assert (kernel.sent, kernel.asking) == ((), ())
        left = set(before.awaiting) - set(kernel.awaiting)
        if left and kernel.status is not Status.DEAD:
            assert isinstance(self.event, RunQueued | RunWithdrawn)
            assert left == {self.event.run_id}

    @invariant()
    def an_end_names_the_run_that_it_interrupted(self) -> None:
        """The oldest that was at work, and none if none was."""
        for notice in self.outcome.notices:
            if isinstance(notice, Terminated):
                assert notice.termination.run_id == next(iter(self.before.running), None)

    @invariant()
    def the_dead_are_revived_by_no_process(self) -> None:
        """Only a request, a launch, a restarter or another server brings a dead kernel back."""
        if self.before.status is Status.DEAD and self.kernel.status is not Status.DEAD:
            kinds = ("RestartRequested", "ProcessStarted", "AutorestartBegan", "Reported")
            assert type(self.event).__name__ in kinds

    @invariant()
    def the_dead_keep_their_reason(self) -> None:
        """Nothing that happens to a dead kernel changes why it died."""
        if self.before.status is self.kernel.status is Status.DEAD:
            assert self.kernel.reason == self.before.reason

    @invariant()
    def a_launch_that_fails_leaves_nothing(self) -> None:
        """A failed launch is dead, or was not expected."""
        if isinstance(self.event_or_none, LaunchFailed) and self.kernel is not self.before:
            assert self.kernel.status is Status.DEAD

    @property
    def event_or_none(self) -> Event | None:
        """The latest event."""
        return getattr(self, "event", None)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, database=None, derandomize=True
)
