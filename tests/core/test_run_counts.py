"""What a kernel knows of its runs: which wait, which were sent, which are at work, which ask."""

from __future__ import annotations

import pytest
from support.dialogues import (
    CONNECTED,
    News,
    after,
    answered,
    began,
    died,
    ended,
    exited,
    gave_up,
    heard,
    input_provided,
    input_requested,
    launch_failed,
    new_kernel,
    restart,
    run_awaited,
    run_queued,
    run_withdrawn,
    shell_answered,
    shutdown,
    silent,
    started,
    tell,
)

from kernel_status_ext.core.answers import MAX_RUNS
from kernel_status_ext.core.model import Kernel, Request
from kernel_status_ext.core.words import State, Status


def at_work(msg_id: str = "run") -> News:
    """A shell works on a run."""
    return began(msg_id, is_run=True)


def done(msg_id: str = "run") -> News:
    """A shell is done with a run."""
    return ended(msg_id, is_run=True)


def lists(kernel: Kernel) -> tuple[tuple[str, ...], ...]:
    """What is known of runs: sent, awaiting, asking."""
    return kernel.sent, kernel.awaiting, kernel.asking


# -- its state ---------------------------------------------------------------------------------


def test_what_is_sent_makes_it_running() -> None:
    """From the request on, not from the first busy: nobody finds it idle in between."""
    story = tell(*CONNECTED, run_queued(), at_work(), done())
    assert [each.state for each in story.kernels[1:]] == ["idle", "running", "running", "idle"]
    assert story.does[1:] == ["idle", "idle", "busy", "idle"]


def test_what_waits_makes_it_running_once_it_is_connected() -> None:
    """Before that it takes no work, whatever waits."""
    story = tell(run_awaited(), *CONNECTED, silent(), heard(), run_withdrawn())
    assert [str(each.state) for each in story.kernels] == [
        *("stopped", "stopped", "running", "running", "running", "idle"),
    ]


@pytest.mark.parametrize("news", [restart(), shutdown(), died(1), exited(1)])
def test_what_does_not_take_work_is_stopped(news: News) -> None:
    """Something may wait for it all the same."""
    assert after(*CONNECTED, run_queued(), run_awaited("b"), news).state is State.STOPPED


def test_what_asks_for_input_is_running() -> None:
    """A cell that waits for somebody is at work."""
    kernel = after(*CONNECTED, run_queued(), at_work(), input_requested())
    assert (kernel.state, kernel.waiting_for_input) == (State.RUNNING, True)


# -- queued and running ------------------------------------------------------------------------


def test_a_run_is_queued_or_running_and_never_both() -> None:
    """What was sent comes before what waits here, the oldest first."""
    story = tell(
        *(run_awaited("late"), *CONNECTED, run_queued("a"), run_queued("b"), at_work("a")),
        *(done("a"), at_work("b"), run_queued("late")),
    )
    assert [(each.running, each.queued) for each in story.kernels[3:]] == [
        ((), ("a", "late")),
        ((), ("a", "b", "late")),
        (("a",), ("b", "late")),
        ((), ("b", "late")),
        (("b",), ("late",)),
        (("b",), ("late",)),
    ]


def test_only_runs_are_told_as_running() -> None:
    """A completion makes a kernel busy and is no run."""
    kernel = after(*CONNECTED, began("completion"), at_work("cell"))
    assert (kernel.running, len(kernel.requests)) == (("cell",), 2)


def test_runs_of_several_shells_run_at_once() -> None:
    """Each subshell works on one of its own."""
    kernel = after(*CONNECTED, at_work("a"), began("b", "sub", is_run=True))
    assert kernel.running == ("a", "b")


def test_what_comes_twice_stands_once() -> None:
    """A run that is awaited, queued or asks already changes nothing."""
    kernel = after(*CONNECTED, run_queued(), run_awaited("b"), input_requested())
    for news in (run_queued(), run_awaited("b"), input_requested()):
        assert after(news, kernel=kernel) is kernel


def test_what_is_sent_waits_no_more() -> None:
    """It goes from one list into the other."""
    kernel = after(run_awaited("a"), run_awaited("b"), *CONNECTED, run_queued("a"))
    assert lists(kernel) == (("a",), ("b",), ())


def test_what_is_withdrawn_is_gone_wherever_it_was() -> None:
    """And others stay."""
    both = (run_awaited("w"), *CONNECTED, run_queued("s"), input_requested("s"))
    assert lists(after(*both, run_withdrawn("w"))) == (("s",), (), ("s",))
    assert lists(after(*both, run_withdrawn("s"))) == ((), ("w",), ())
    assert lists(after(*both, run_withdrawn("x"))) == (("s",), ("w",), ("s",))


@pytest.mark.parametrize(
    "news", [done(), shell_answered(Request("run", is_run=True)), run_withdrawn()]
)
def test_what_its_shell_is_done_with_is_not_queued(news: News) -> None:
    """Whether it was ever heard to begin or not, and whether its reply has come or not."""
    for before in ([], [at_work()]):
        kernel = after(*CONNECTED, run_queued(), *before, input_requested(), news)
        assert lists(kernel) == ((), (), ())


def test_an_idle_without_a_request_ends_only_what_runs() -> None:
    """What is queued has not begun."""
    kernel = after(*CONNECTED, run_queued("a"), run_queued("b"), at_work("a"), ended(""))
    assert (kernel.running, kernel.sent) == ((), ("b",))


def test_the_lists_are_bounded() -> None:
    """A kernel that never does anything forgets its oldest."""
    kernel = after(*CONNECTED)
    for number in range(MAX_RUNS + 1):
        kernel = after(run_queued(str(number)), kernel=kernel)
    assert (len(kernel.sent), kernel.sent[0]) == (MAX_RUNS, "1")


# -- input -------------------------------------------------------------------------------------


def test_whether_it_waits_for_input_is_known_of_what_passes_by() -> None:
    """False while nothing runs, and while what runs passes by here."""
    assert after(*CONNECTED).waiting_for_input is False
    assert after(*CONNECTED, run_queued()).waiting_for_input is False
    assert after(*CONNECTED, run_queued(), at_work()).waiting_for_input is False


def test_whether_a_stranger_waits_for_input_is_not_known() -> None:
    """Its questions go to somebody else; but a question that we see is one."""
    stranger = after(*CONNECTED, at_work("theirs"))
    assert stranger.waiting_for_input is None
    both = after(run_queued(), at_work(), kernel=stranger)
    assert both.waiting_for_input is None
    assert after(input_requested(), kernel=both).waiting_for_input is True
    assert after(done("theirs"), kernel=both).waiting_for_input is False


def test_a_run_waits_until_it_is_told() -> None:
    """Each of them for itself."""
    asks = after(*CONNECTED, run_queued("a"), run_queued("b"), input_requested("a"))
    both = after(input_requested("b"), input_provided("a"), kernel=asks)
    assert (both.waiting_for_input, both.asking) == (True, ("b",))
    assert after(input_provided("b"), kernel=both).waiting_for_input is False


# -- ends --------------------------------------------------------------------------------------

BUSY = (*CONNECTED, run_queued("a"), run_queued("b"), run_awaited("w"), at_work("a"))


@pytest.mark.parametrize(
    "way",
    [
        (died(1),),
        (died(1), started(), answered()),
        (restart(), exited(0)),
        (restart(), started()),
        (restart(), exited(0), started(), answered()),
        (started(),),
    ],
)
def test_the_next_process_knows_nothing_of_what_was_sent_to_the_last(way: tuple[News, ...]) -> None:
    """But what waits for the kernel waits on."""
    kernel = after(*BUSY, input_requested("a"), *way)
    assert lists(kernel) == ((), ("w",), ())
    assert (kernel.running, kernel.queued) == ((), ("w",))


def test_an_end_that_was_asked_for_keeps_what_waits_until_it_is_dead() -> None:
    """A restart that was under way may still bring a process."""
    assert lists(after(*BUSY, shutdown(), exited(0))) == ((), ("w",), ())


@pytest.mark.parametrize(
    "way", [(exited(1),), (gave_up(),), (restart(), exited(0), launch_failed())]
)
def test_the_dead_forget_all(way: tuple[News, ...]) -> None:
    """No process is coming: nothing waits for one."""
    kernel = after(*BUSY, *way)
    assert (kernel.status, lists(kernel)) == (Status.DEAD, ((), (), ()))
    assert after(run_awaited("x"), kernel=kernel) is kernel


def test_a_request_for_an_end_changes_nothing_of_what_runs() -> None:
    """The process is still there."""
    for news in (restart(), shutdown()):
        assert after(*BUSY, news).running == ("a",)
        assert after(*BUSY, news).sent == ("a", "b")


def test_a_termination_names_the_run_that_it_interrupted() -> None:
    """The oldest at work, not one that was queued, nor another request."""
    for news in (exited(signal=9), died(1)):
        (end,) = tell(*CONNECTED, began("completion"), *BUSY[2:], news).terminations
        assert end.run_id == "a"
    (end,) = tell(*CONNECTED, run_queued("a"), run_awaited("w"), exited(1)).terminations
    assert end.run_id == "a", "the one that an idle shell had been sent"
    (end,) = tell(*CONNECTED, run_awaited("w"), exited(1)).terminations
    assert end.run_id is None
    (end,) = tell(*CONNECTED, began("completion"), exited(1)).terminations
    assert end.run_id is None


def test_an_end_that_nobody_saw_names_its_run_too() -> None:
    """Another process shows that the last has ended."""
    (end,) = tell(*BUSY, started()).terminations
    assert end.run_id == "a"


def test_a_kernel_elsewhere_is_sent_nothing() -> None:
    """No process is here that it could be sent to: that is a surprise."""
    story = tell(run_queued(), input_requested(), kernel=new_kernel(Status.UNKNOWN))
    assert len(story.surprises) == 2
    assert lists(story.last) == ((), (), ())
