"""What becomes of a run, story by story."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.dialogues import BIRTH
from support.run_dialogues import (
    FAILURE,
    INTERRUPTED,
    RunNews,
    answer,
    asked,
    began,
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
    sent_run,
    server_ended,
    skipped,
    tell_run,
    told,
    worker_ended,
)

from kernel_status_ext.core.run import Failure, Origin, Run
from kernel_status_ext.core.runs import GIVEN_UP, LOST, SHOWN, SKIPPED, raised
from kernel_status_ext.core.words import RequestedBy, RunStatus

ERROR = RunStatus.ERROR
ABORTED = RunStatus.ABORTED
AT_WORK = (began(), published())


def statuses(*news: RunNews, **facts: object) -> list[str]:
    """What the status of a run was after each news."""
    return [str(run.status) for run in tell_run(sent(), *news, run=new_run(**facts))]


def seconds(run: Run) -> tuple[float | None, float | None]:
    """When a run started and ended, in seconds since its story began."""
    moments = (run.started_at, run.ended_at)
    start, end = (each and (each - BIRTH) / timedelta(seconds=1) for each in moments)
    return start, end


# -- both halves of an end -------------------------------------------------------------------


def test_a_reply_alone_ends_nothing() -> None:
    """Output may come after the reply: it is over when its shell is idle, too."""
    told_of = statuses(*AT_WORK, answer(), idle())
    assert told_of == ["queued", "running", "running", "running", "ok"]


def test_an_idle_alone_ends_nothing() -> None:
    """Reply and idle come by two sockets, in any order."""
    told_of = statuses(*AT_WORK, idle(), answer())
    assert told_of == ["queued", "running", "running", "running", "ok"]


def test_a_run_has_the_times_of_its_news() -> None:
    """It started when its shell said busy and ended with the second half of its end."""
    assert seconds(sent_run(*AT_WORK, answer(), idle())) == (2, 5)


def test_a_reply_that_comes_twice_counts_once() -> None:
    """Only the idle makes it over, however often it was answered."""
    assert statuses(*AT_WORK, answer(), answer(), idle(), answer(ERROR))[-3:] == [
        *("running", "ok", "ok"),
    ]


def test_an_idle_that_comes_twice_counts_once() -> None:
    """Only the answer makes it over, however often its shell was idle."""
    run = sent_run(*AT_WORK, idle(), idle(), answer(), idle())
    assert (run.status, seconds(run)) == (RunStatus.OK, (2, 6))


def test_a_failure_is_told_by_its_name() -> None:
    """What the kernel published of it is in the run, and in its reason."""
    run = sent_run(*AT_WORK, failed(), answer(ERROR), idle())
    assert (run.status, run.error) == (ERROR, FAILURE)
    assert run.reason == "It raised ZeroDivisionError: division by zero."


def test_a_run_that_ended_well_has_no_failure() -> None:
    """Some code shows a failure that it has caught."""
    run = sent_run(*AT_WORK, failed(), answer(), idle())
    assert (run.status, run.error, run.reason) == (RunStatus.OK, None, "")


def test_a_failure_may_be_told_by_the_reply_alone() -> None:
    """A silent run publishes nothing of what it raised."""
    run = sent_run(began(), answer(ERROR, INTERRUPTED, 4), idle(), silent=True)
    assert (run.error, run.execution_count) == (INTERRUPTED, 4)
    assert run.reason == "It raised KeyboardInterrupt."


def test_a_failure_without_a_word_has_a_reason_all_the_same() -> None:
    """A kernel that says error and nothing else is quoted with nothing."""
    run = sent_run(began(), answer(ERROR), idle())
    assert (run.error, run.reason) == (None, "It failed, and the kernel did not say why.")


def test_a_run_that_was_skipped_never_started() -> None:
    """A kernel says busy and idle also of what it skips."""
    run = sent_run(began(), answer(ABORTED), idle())
    assert (run.status, run.reason, seconds(run)) == (ABORTED, SKIPPED, (None, 4))


def test_a_run_that_was_published_and_aborted_did_start() -> None:
    """What the kernel said it runs was not skipped."""
    run = sent_run(*AT_WORK, answer(ABORTED), idle())
    assert (run.status, run.reason, seconds(run)) == (ABORTED, "It was interrupted.", (2, 5))


def test_a_silent_run_that_was_aborted_says_no_more_than_is_known() -> None:
    """Nothing is published of it, so it may have been interrupted or skipped."""
    run = sent_run(began(), answer(ABORTED), idle(), silent=True)
    assert (run.status, run.reason) == (ABORTED, GIVEN_UP)


def test_a_failure_without_a_name_was_not_raised() -> None:
    """bash_kernel gives the exit code of a command, and no name."""
    run = sent_run(*AT_WORK, answer(ERROR, Failure("", "127")), idle())
    assert (run.status, run.reason) == (ERROR, "It failed: 127.")
    run = sent_run(*AT_WORK, answer(ERROR, Failure("", " ")), idle())
    assert run.reason == "It failed, and the kernel did not say why."


def test_a_silent_run_is_told_by_its_reply() -> None:
    """Nothing is published of it, and that is no sign that it was skipped."""
    run = sent_run(began(), idle(), answer(), silent=True)
    assert (run.status, run.reason) == (RunStatus.OK, "")


def test_a_kernel_that_never_says_busy_is_believed_its_idle() -> None:
    """A run whose beginning was not heard is over all the same, when both halves came."""
    assert statuses(answer(), idle()) == ["queued", "queued", "ok"]


def test_news_of_a_run_whose_busy_was_missed_begins_it() -> None:
    """What the kernel publishes of it is a sign that it is at work."""
    for news in (published(), failed()):
        run = sent_run(news)
        assert (run.status, seconds(run)) == (RunStatus.RUNNING, (2, None))


# -- a half that does not come ---------------------------------------------------------------


def test_a_foreign_run_is_over_with_its_idle() -> None:
    """Its reply goes to somebody else."""
    facts = {"origin": Origin.ELSEWHERE, "reply_comes": False}
    assert statuses(*AT_WORK, idle(), **facts)[-1] == "ok"
    assert statuses(*AT_WORK, failed(), idle(), **facts)[-1] == "error"
    assert statuses(began(), idle(), **facts)[-1] == "ok", "silent runs look like that, too"


def test_a_run_whose_client_went_away_is_over_with_its_idle() -> None:
    """Whether that comes before or after the client went."""
    for way in ([idle(), missed()], [missed(), idle()]):
        run = sent_run(*AT_WORK, *way)
        assert (run.status, run.reason, seconds(run)) == (RunStatus.OK, "", (2, 5))


def test_a_run_whose_client_went_away_unpublished_was_not_done() -> None:
    """Its kernel was idle again and had not said that it runs it: it skipped it."""
    run = sent_run(began(), missed(), idle())
    assert (run.status, run.reason) == (ABORTED, SKIPPED)


def test_a_shell_that_moved_on_has_ended_what_it_had() -> None:
    """A lost reply, a lost idle, or both: the shell has answered what came later."""
    ways: tuple[tuple[tuple[RunNews, ...], RunStatus], ...] = (
        ((answer(),), RunStatus.OK),
        ((*AT_WORK, idle()), RunStatus.OK),
        ((*AT_WORK, failed()), ERROR),
        ((), ABORTED),
    )
    for way, status in ways:
        assert sent_run(*way, moved_on()).status is status


# -- input -----------------------------------------------------------------------------------


def test_a_run_asks_until_it_is_told() -> None:
    """Between the question and the answer it waits for somebody."""
    story = tell_run(sent(), began(), asked(), told(), asked())
    assert [run.asks for run in story] == [False, False, True, False, True]


@pytest.mark.parametrize("end", [idle(), worker_ended(), server_ended(), moved_on()])
def test_nothing_that_is_over_asks(end: RunNews) -> None:
    """But what nobody can answer any more does: its kernel waits for ever."""
    assert sent_run(began(), asked(), missed()).asks
    assert sent_run(began(), asked()).asks
    assert not sent_run(began(), asked(), end).asks


# -- limits ----------------------------------------------------------------------------------


def test_a_run_over_its_limit_is_aborted_whatever_it_makes_of_it() -> None:
    """It was interrupted for its limit, even if it caught that and ended well."""
    for way in ([failed(INTERRUPTED), answer(ERROR), idle()], [answer(), idle()]):
        run = sent_run(*AT_WORK, limit(), *way)
        assert run.status is ABORTED
        assert run.reason == "It ran for longer than its limit of 2.5 s and was interrupted."


def test_a_run_that_ignores_its_limit_is_done_with_all_the_same() -> None:
    """Its reason says how long was waited, and that the kernel may still be at it."""
    run = sent_run(*AT_WORK, limit(), ignored(4.5), timeout=0.25)
    assert (run.status, seconds(run)) == (ABORTED, (2, 5))
    assert "limit of 0.25 s" in run.reason
    assert "had not ended 4.5 s later" in run.reason
    assert run.reason.endswith("restart the kernel.")


def test_a_queued_run_has_no_limit_yet() -> None:
    """Its time counts from its start: nobody else's run is interrupted for it."""
    assert statuses(limit(), ignored()) == ["queued", "queued", "queued"]


# -- ends of the process ---------------------------------------------------------------------


def test_a_death_ends_what_runs_as_died_and_what_waits_as_aborted() -> None:
    """Both with the reason of that death."""
    at_work, waiting = sent_run(*AT_WORK, worker_ended()), sent_run(worker_ended())
    assert (at_work.status, waiting.status) == (RunStatus.DIED, ABORTED)
    assert at_work.reason == waiting.reason == "It was killed."


def test_a_death_between_reply_and_idle_is_a_death() -> None:
    """Its output may not all have come."""
    assert sent_run(*AT_WORK, answer(), worker_ended()).status is RunStatus.DIED


@pytest.mark.parametrize("by", [each for each in RequestedBy if each != RequestedBy.SERVER_STOP])
def test_an_end_that_was_asked_for_is_no_death(by: RequestedBy) -> None:
    """Whoever restarted or ended the kernel meant it."""
    assert sent_run(*AT_WORK, worker_ended(by)).status is ABORTED


def test_the_end_of_the_server_loses_what_it_followed() -> None:
    """Whether it ended the kernel or left it to itself."""
    for news in (worker_ended(RequestedBy.SERVER_STOP), server_ended()):
        assert sent_run(*AT_WORK, news).status is sent_run(news).status is RunStatus.LOST
    assert sent_run(server_ended()).reason == LOST


def test_the_interrupt_before_an_end_is_part_of_that_end() -> None:
    """Jupyter interrupts what runs before it ends the process; the run did not fail by itself."""
    way = (failed(INTERRUPTED), answer(ERROR, INTERRUPTED), idle())
    for by, status in ((RequestedBy.RESTART, ABORTED), (RequestedBy.SERVER_STOP, RunStatus.LOST)):
        run = sent_run(*AT_WORK, end_requested(by), *way)
        assert (run.status, run.reason) == (status, f"Asked for: {by}.")
        assert seconds(run)[1] == 7, "it ended when it ended, not when that was asked for"


def test_what_ends_well_before_an_end_has_ended_well() -> None:
    """It was quick enough."""
    assert sent_run(*AT_WORK, end_requested(), answer(), idle()).status is RunStatus.OK


# -- before and after ------------------------------------------------------------------------


def test_a_run_that_cannot_be_sent_is_refused() -> None:
    """It never started; the reason is that of its kernel."""
    (run,) = tell_run(refused())
    assert (run.status, run.reason, run.generation) == (ABORTED, "The kernel is dead.", None)
    assert seconds(run) == (None, 1)


def test_a_run_that_was_held_back_behind_one_that_failed_is_skipped() -> None:
    """As the kernel would have done that had it in its queue; one that runs is not held back."""
    skipped_one = sent_run(skipped())
    assert (skipped_one.status, skipped_one.reason) == (RunStatus.ABORTED, SKIPPED)
    assert skipped_one.started_at is None
    assert sent_run(began(), skipped()).status is RunStatus.RUNNING


def test_a_run_that_was_sent_is_not_refused() -> None:
    """It is with a process: the end of that is what ends it."""
    assert sent_run(refused()).status is sent_run().status is RunStatus.QUEUED


def test_a_run_goes_to_the_process_that_it_is_sent_to() -> None:
    """News of any other process is not about it."""
    run = sent_run()
    assert (run.generation, run.worker_pid) == (3, 4711)
    for news in (began(), idle(), worker_ended(), answer()):
        assert tell_run(late(news), early(news), run=run) == [run, run]


def test_what_was_recorded_of_the_request_is_kept() -> None:
    """What a kernel publishes is the code only where the request did not pass by."""
    assert sent_run(published("theirs"), code="ours").code == "ours"
    assert sent_run(published("theirs")).code == "theirs"
    assert sent_run(published("theirs", 12)).execution_count == 12


def test_a_reply_that_tells_less_takes_nothing_away() -> None:
    """The number and the failure that were published stay."""
    run = sent_run(published(count=12), failed(), answer(ERROR), idle())
    assert (run.execution_count, run.error) == (12, FAILURE)


def test_a_run_that_has_ended_stays_as_it_is() -> None:
    """Whatever comes late."""
    run = sent_run(*AT_WORK, answer(), idle())
    news = (began(), failed(), answer(ERROR), worker_ended(), limit(), ignored(), server_ended())
    assert tell_run(*news, run=run) == [run] * len(news)


def test_what_was_raised_is_told_in_one_line() -> None:
    """Long and many-lined messages are cut, and a sentence ends as one."""
    assert raised(Failure("E", "a\n  b")) == "It raised E: a b."
    assert raised(Failure("E", "Why?")) == "It raised E: Why?"
    assert raised(Failure("E", "")) == "It raised E."
    long = raised(Failure("E", "x" * 2000))
    assert (len(long), long[-2:]) == (len("It raised ") + SHOWN, "x…")
