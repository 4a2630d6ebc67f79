"""Stories of kernels: what somebody who looks is told while they live, die and come back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.dialogues import (
    BIRTH,
    CONNECTED,
    News,
    after,
    answered,
    autorestart,
    began,
    blocked,
    child_lost,
    completed,
    died,
    ended,
    exited,
    found,
    gave_up,
    heard,
    late,
    launch_failed,
    new_kernel,
    overdue,
    reasons,
    reported,
    restart,
    shell_answered,
    shutdown,
    silent,
    started,
    tell,
    unblocked,
)

from kernel_status_ext.core.answers import MAX_REQUESTS, MAX_SUBSHELLS
from kernel_status_ext.core.causes import crash_loop
from kernel_status_ext.core.events import ProcessExited
from kernel_status_ext.core.model import ChildrenLost, Exit, Kernel, Process, Request, Termination
from kernel_status_ext.core.remains import OutOfMemory, Remains
from kernel_status_ext.core.words import Cause, ExecutionState, RequestedBy, Status

ELSEWHERE = new_kernel(Status.UNKNOWN)
"""A kernel that was met running."""

# -- being born ------------------------------------------------------------------------------


def test_a_kernel_is_asked_for_launched_and_answers() -> None:
    """A start passes through its three statuses, and is idle when it has answered."""
    told = tell(started(), answered(), kernel=new_kernel())
    assert new_kernel().status is Status.STARTING
    assert told.statuses == ["connecting", "connected"]
    assert told.does == ["starting", "idle"]
    assert told.last.process == Process(
        started_at=BIRTH + timedelta(seconds=1), pid=4711, connected_at=BIRTH + timedelta(seconds=2)
    )
    assert (told.last.generation, told.last.restart_count) == (0, 0)


def test_a_launch_that_fails_says_why() -> None:
    """A kernel whose process never came is dead with the launcher's words, and had no process."""
    dead = after(launch_failed(Cause.KERNELSPEC_NOT_FOUND, "No kernelspec is named 'x'."))
    assert (dead.status, dead.cause) == (Status.DEAD, Cause.KERNELSPEC_NOT_FOUND)
    assert dead.reason == "No kernelspec is named 'x'."
    assert (dead.generation, dead.process, dead.last_termination) == (0, None, None)


def test_a_launch_that_fails_elsewhere_says_why_too() -> None:
    """Also a kernel that was unknown until then says what could not be launched."""
    dead = after(launch_failed(reason="No such file."), kernel=ELSEWHERE)
    assert (dead.status, dead.reason) == (Status.DEAD, "No such file.")


def test_a_kernel_that_never_had_a_process_begins_with_generation_0_after_all() -> None:
    """A launch that failed is no generation."""
    told = tell(launch_failed(), restart(), started(), answered())
    assert told.statuses == ["dead", "restarting", "restarting", "connected"]
    assert (told.last.generation, told.last.restart_count) == (0, 0)


def test_a_slow_start_is_explained_until_it_is_over() -> None:
    """A start that takes too long has a reason that goes when the kernel answers."""
    told = tell(started(), overdue(60), overdue(120), answered())
    assert told.statuses == ["connecting", "connecting", "connecting", "connected"]
    assert [each.cause for each in told.kernels] == [
        None,
        Cause.START_TIMEOUT,
        Cause.START_TIMEOUT,
        None,
    ]
    assert "60 s" in told.kernels[1].reason
    assert "120 s" in told.kernels[2].reason
    assert told.last.reason == ""


def test_a_slow_restart_is_explained_too() -> None:
    """The new process of a restart that takes too long has a reason, the old one has none."""
    told = tell(*CONNECTED, restart(), overdue(), exited(0), started(), overdue(60), answered())
    assert told.statuses[2:] == ["restarting"] * 5 + ["connected"]
    assert [bool(reason) for reason in reasons(told.kernels)[2:]] == [False] * 4 + [True, False]


def test_a_kernel_that_dies_before_it_answered_failed_to_start() -> None:
    """Without a restarter it is dead at once, cause StartFailed, with its exit code."""
    dead = after(started(), exited(3))
    assert (dead.status, dead.cause) == (Status.DEAD, Cause.START_FAILED)
    assert "code 3" in dead.reason


def test_a_signal_before_the_first_answer_is_named() -> None:
    """A kernel that is killed while it starts was killed, however young it was."""
    dead = after(started(), exited(signal=9))
    assert (dead.status, dead.cause) == (Status.DEAD, Cause.KILLED)
    assert "SIGKILL" in dead.reason
    assert "before it was ready" in dead.reason


# -- dying -----------------------------------------------------------------------------------


def test_a_death_is_followed_by_another_process_and_counted() -> None:
    """An automatic restart is told with its reason until the new process answers."""
    told = tell(*CONNECTED, died(signal=9), autorestart(), started(4712), answered())
    assert told.statuses[2:] == ["autorestarting"] * 3 + ["connected"]
    assert [each.cause for each in told.kernels[2:]] == [Cause.KILLED] * 3 + [None]
    assert len(set(reasons(told.kernels)[2:5])) == 1
    assert told.last.reason == ""
    assert (told.last.generation, told.last.restart_count) == (1, 1)
    assert told.last.process is not None
    assert told.last.process.pid == 4712


def test_the_termination_tells_the_whole_end() -> None:
    """What is kept of an end: whose it was, how, when, and that nobody asked for it."""
    told = tell(*CONNECTED, died(signal=11))
    (end,) = told.terminations
    assert end == told.last.last_termination
    assert (end.generation, end.pid, end.exit) == (0, 4711, Exit(None, 11))
    assert (end.cause, end.expected, end.requested_by) == (Cause.SEGMENTATION_FAULT, False, None)
    assert (end.started_at, end.finished_at) == (
        BIRTH + timedelta(seconds=1),
        BIRTH + timedelta(seconds=3),
    )
    assert end.hint
    assert "2.0 s after its start" in end.reason
    assert "restarted automatically" not in end.reason


def test_two_exit_codes_give_two_reasons() -> None:
    """The reason measures; it is no constant."""
    one, other = (after(*CONNECTED, exited(code)) for code in (3, 4))
    assert one.cause is other.cause is Cause.ERROR
    assert one.reason != other.reason
    assert "code 3" in one.reason
    assert "code 4" in other.reason


def test_dying_for_good_and_for_now_are_told_apart() -> None:
    """The reason of a death ends with what to do, that of an autorestart with what happens."""
    dead, coming = after(*CONNECTED, exited(3)), after(*CONNECTED, died(3))
    assert dead.reason.endswith("restart it to go on.")
    assert coming.reason.endswith("it is being restarted automatically and its variables are lost.")


def test_a_shell_wrapper_tells_of_a_signal_by_128_and_more() -> None:
    """137 is SIGKILL for the cause; the exit code is kept as it was."""
    dead = after(*CONNECTED, exited(137))
    assert dead.cause is Cause.KILLED
    assert "SIGKILL" in dead.reason
    assert "137" in dead.reason
    assert dead.last_termination is not None
    assert dead.last_termination.exit == Exit(137, None)


def test_exit_0_of_a_kernel_that_worked_is_an_exit() -> None:
    """`exit()` in a cell is no error, and yet the kernel is dead."""
    dead = after(*CONNECTED, exited(0))
    assert (dead.status, dead.cause) == (Status.DEAD, Cause.EXITED)


def test_a_crash_loop_keeps_the_real_cause() -> None:
    """A kernel given up says so, and its last termination says why one died that had answered."""
    loop = (died(signal=11), autorestart(), started(), answered())
    told = tell(*CONNECTED, *loop, *loop, died(signal=6), gave_up(2))
    assert (told.last.status, told.last.cause) == (Status.DEAD, Cause.CRASH_LOOP)
    assert "2 automatic restarts" in told.last.reason
    assert "SIGABRT" in told.last.reason
    assert told.last.last_termination is not None
    assert told.last.last_termination.cause is Cause.ABORTED
    assert (told.last.generation, told.last.restart_count) == (2, 2)
    assert [each.generation for each in told.terminations] == [0, 1, 2]


def test_a_retry_that_fails_does_not_take_the_place_of_the_death() -> None:
    """People ask why it died; that it did not come back is told, too, each process once."""
    loop = (autorestart(), started(), died(1))
    told = tell(*CONNECTED, died(signal=11), *loop, *loop, gave_up(2))
    assert told.last.last_termination == told.terminations[0]
    assert [each.generation for each in told.terminations] == [0, 1, 2]
    assert told.last.cause is Cause.CRASH_LOOP
    assert "killed by SIGSEGV" in told.last.reason
    assert "2 automatic restarts; in the end the kernel exited with code 1" in told.last.reason
    assert "variables" not in told.kernels[-3].reason


def test_a_retry_that_answers_ends_the_tale_of_those_that_failed() -> None:
    """What it dies of later is what people ask about then."""
    failed = after(*CONNECTED, died(signal=11), started(), died(1), started())
    assert failed.failed_retry
    back = after(answered(), kernel=failed)
    assert (back.failed_retry, back.last_termination.cause) == ("", Cause.SEGMENTATION_FAULT)
    again = after(died(signal=6), kernel=back)
    assert (again.failed_retry, again.last_termination.cause) == ("", Cause.ABORTED)


def test_a_restart_that_somebody_asked_for_and_that_fails_is_the_last_end() -> None:
    """Nobody asks about the end before it."""
    dead = after(*CONNECTED, died(signal=11), exited(1), restart(), started(), exited(3))
    assert (dead.last_termination.exit.code, dead.failed_retry) == (3, "")


def test_a_kernel_that_was_never_connected_is_no_crash_loop() -> None:
    """When start_retries are used up, the cause of the last failed start stands."""
    told = tell(started(), died(1), autorestart(), started(), died(1), gave_up(1))
    assert (told.last.status, told.last.cause) == (Status.DEAD, Cause.START_FAILED)
    assert told.last.last_termination is not None
    assert told.last.last_termination.generation == 1


def test_a_restarter_that_brings_back_the_dead_says_so() -> None:
    """What was to be done while it was dead is not told any more when another process comes."""
    back = after(*CONNECTED, exited(1), autorestart())
    assert back.status is Status.AUTORESTARTING
    assert "restart it" not in back.reason


def test_a_restarter_of_a_kernel_elsewhere_has_a_reason() -> None:
    """Also where we never saw the process, an automatic restart is explained."""
    far = after(reported(ExecutionState.IDLE), kernel=ELSEWHERE)
    back = after(autorestart(), kernel=far)
    assert (back.status, bool(back.reason)) == (Status.AUTORESTARTING, True)


def test_the_restarter_that_gives_up_on_the_dead_adds_nothing() -> None:
    """Its callback comes after the death was told, and the reason is kept."""
    dead = after(started(), exited(1))
    assert after(gave_up(0), kernel=dead) is dead


def test_a_failed_autorestart_is_dead_with_what_failed() -> None:
    """When no process can be launched any more, that is the reason; the last death is kept."""
    told = tell(*CONNECTED, died(signal=9), autorestart(), launch_failed())
    assert (told.last.status, told.last.cause) == (Status.DEAD, Cause.EXECUTABLE_NOT_FOUND)
    assert told.last.last_termination is not None
    assert told.last.last_termination.cause is Cause.KILLED


def test_the_new_process_of_a_restart_can_die_by_itself() -> None:
    """Then it is an end that nobody asked for, with its reason."""
    again = after(*CONNECTED, restart(), exited(0), started(), died(1))
    assert again.status is Status.AUTORESTARTING
    assert again.last_termination is not None
    assert (again.last_termination.expected, again.last_termination.generation) == (False, 1)


UNSEEN_ENDS = [
    pytest.param((*CONNECTED,), started(), False, id="started, nobody asked"),
    pytest.param((*CONNECTED,), autorestart(), False, id="autorestart"),
    pytest.param((*CONNECTED,), gave_up(), False, id="restarter gave up"),
    pytest.param((started(),), gave_up(0), False, id="restarter gave up on a start"),
    pytest.param((*CONNECTED, died(9), started()), gave_up(), False, id="gave up at last"),
    pytest.param((*CONNECTED, restart()), started(), True, id="started, restart"),
    pytest.param((*CONNECTED, restart()), launch_failed(), True, id="launch failed, restart"),
    pytest.param((*CONNECTED, shutdown()), completed(), True, id="shutdown completed"),
    pytest.param((*CONNECTED, shutdown()), launch_failed(), True, id="launch failed, shutdown"),
]


@pytest.mark.parametrize(("story", "sign", "expected"), UNSEEN_ENDS)
def test_an_end_that_nobody_saw_is_told(
    story: tuple[News, ...], sign: News, expected: bool
) -> None:
    """When something else shows that a process has ended, its end is told once, code unknown."""
    before = after(*story)
    told = tell(sign, kernel=before)
    (end,) = told.terminations
    assert before.process is not None
    assert (end.generation, end.pid) == (before.generation, before.process.pid)
    assert (end.exit, end.expected) == (Exit(None, None), expected)
    assert told.last.last_termination == end or end.happened == told.last.failed_retry
    assert told.last.process is None or told.last.generation == before.generation + 1


def test_a_kernel_given_up_after_an_unseen_death_is_a_crash_loop() -> None:
    """CrashLoop is what the end is called of a kernel that was connected once."""
    assert after(*CONNECTED, gave_up()).cause is Cause.CRASH_LOOP


def test_a_start_given_up_after_an_unseen_death_failed() -> None:
    """A kernel that never answered and is gone failed to start, seen or not."""
    assert after(started(), gave_up(0)).cause is Cause.START_FAILED


# -- being asked to end ----------------------------------------------------------------------


def test_a_restart_is_restarting_until_the_new_process_answers() -> None:
    """Nothing is wrong meanwhile, and only the new process makes it idle."""
    told = tell(*CONNECTED, restart(), answered(), exited(0), started(), answered())
    assert told.statuses[2:] == ["restarting"] * 4 + ["connected"]
    assert told.does[2:] == ["starting"] * 4 + ["idle"]
    assert reasons(told.kernels) == [""] * 7
    assert (told.last.generation, told.last.restart_count) == (1, 0)
    assert (told.last.requested_by, told.last.reported) == (None, None)


def test_the_end_of_a_restarted_process_was_asked_for() -> None:
    """Whatever signal ended it, it was the restart."""
    (end,) = tell(*CONNECTED, restart(), exited(signal=9)).terminations
    assert (end.cause, end.expected, end.requested_by) == (
        Cause.RESTARTED,
        True,
        RequestedBy.RESTART,
    )
    assert end.exit == Exit(None, 9)


def test_a_restart_whose_launch_fails_is_dead() -> None:
    """The kernel says what could not be launched."""
    told = tell(*CONNECTED, restart(), exited(0), launch_failed(reason="No such file."))
    assert (told.last.status, told.last.reason) == (Status.DEAD, "No such file.")


def test_a_dead_kernel_is_restarted_on_request() -> None:
    """It keeps what is known of its last end, and counts no automatic restart."""
    told = tell(*CONNECTED, exited(1), restart(), started(), answered())
    assert told.statuses[2:] == ["dead", "restarting", "restarting", "connected"]
    assert (told.last.generation, told.last.restart_count, told.last.reason) == (1, 0, "")
    assert told.last.last_termination is not None
    assert told.last.last_termination.cause is Cause.ERROR


def test_a_restart_that_takes_the_place_of_an_automatic_one() -> None:
    """Somebody's restart is told as that, also while one was going on by itself."""
    told = tell(*CONNECTED, died(1), restart(), started(), answered())
    assert told.statuses[2:] == ["autorestarting", "restarting", "restarting", "connected"]
    assert told.last.restart_count == 0


def test_a_second_restart_ends_the_process_of_the_first() -> None:
    """The new process that was asked to end did not die by itself."""
    told = tell(*CONNECTED, restart(), exited(0), started(), restart(), exited(signal=2))
    assert told.last.status is Status.RESTARTING
    assert [each.expected for each in told.terminations] == [True, True]


REQUESTERS = {
    RequestedBy.SHUTDOWN: Cause.SHUTDOWN,
    RequestedBy.CULL: Cause.CULLED,
    RequestedBy.SERVER_STOP: Cause.SERVER_STOPPED,
}


@pytest.mark.parametrize("by", REQUESTERS)
def test_who_asked_for_the_end_is_told(by: RequestedBy) -> None:
    """A shutdown passes through terminating to dead, with the one who asked."""
    told = tell(*CONNECTED, shutdown(by), exited(signal=15), completed())
    assert told.statuses[2:] == ["terminating", "terminating", "dead"]
    assert told.does[2:] == ["idle", "idle", "dead"]
    assert told.last.cause is REQUESTERS[by]
    (end,) = told.terminations
    assert (end.requested_by, end.expected, end.cause) == (by, True, REQUESTERS[by])
    assert end.exit == Exit(None, 15)


def test_each_requester_has_a_reason_of_its_own() -> None:
    """The sentence says who it was."""
    dead = [after(*CONNECTED, shutdown(by), completed()) for by in REQUESTERS]
    assert len(set(reasons(dead))) == len(REQUESTERS)


def test_the_first_requester_is_named() -> None:
    """A server that stops while a kernel is culled did not end it."""
    culled = shutdown(RequestedBy.CULL)
    told = tell(*CONNECTED, culled, shutdown(RequestedBy.SERVER_STOP), exited(0), completed())
    assert told.last.cause is Cause.CULLED


def test_a_shutdown_takes_the_place_of_a_restart() -> None:
    """Who is asked to end while it restarts ends, and is not restarted."""
    told = tell(*CONNECTED, restart(), shutdown(), exited(0), completed())
    assert told.statuses[2:] == ["restarting", "terminating", "terminating", "dead"]
    assert told.last.cause is Cause.SHUTDOWN


def test_a_kernel_is_not_dead_while_a_restart_may_still_bring_a_process() -> None:
    """A shutdown asked for during a restart is over when the restart's process has gone, too."""
    told = tell(*CONNECTED, restart(), shutdown(), exited(0), started(), exited(0), completed())
    assert told.statuses[2:] == ["restarting", *4 * ["terminating"], "dead"]
    assert [each.generation for each in told.terminations] == [0, 1]
    assert [each.cause for each in told.terminations] == 2 * [Cause.SHUTDOWN]


def test_a_restart_of_what_terminates_changes_nothing() -> None:
    """The end was asked for first."""
    leaving = after(*CONNECTED, shutdown())
    assert after(restart(), kernel=leaving) is leaving


def test_a_kernel_ended_while_it_was_launched_ends() -> None:
    """A process that comes too late is followed to the end that was asked for."""
    told = tell(shutdown(), started(), answered(), exited(0), completed())
    assert told.statuses == [*4 * ["terminating"], "dead"]
    assert told.last.cause is Cause.SHUTDOWN
    assert [each.expected for each in told.terminations] == [True]


def test_a_launch_that_fails_after_a_shutdown_was_asked_for_is_no_failure() -> None:
    """Nobody wants the process any more; the one who asked is the cause."""
    assert after(shutdown(), launch_failed()).cause is Cause.SHUTDOWN
    assert after(shutdown(), completed(), launch_failed()).cause is Cause.SHUTDOWN


def test_a_shutdown_of_the_dead_keeps_their_reason() -> None:
    """Removing a dead kernel does not make it one that was asked to end."""
    dead = after(*CONNECTED, exited(1))
    assert after(shutdown(), completed(), kernel=dead) is dead


BEFORE_A_SHUTDOWN = {
    "unknown": after(reported(ExecutionState.UNKNOWN), kernel=new_kernel(Status.UNKNOWN)),
    "met": new_kernel(Status.UNKNOWN),
    "starting": new_kernel(),
    "connecting": after(started()),
    "idle": after(*CONNECTED),
    "busy": after(*CONNECTED, began()),
    "frozen": after(*CONNECTED, silent()),
    "frozen while busy": after(*CONNECTED, began(), silent()),
    "autorestarting": after(*CONNECTED, died(1), started()),
    "busy elsewhere": after(reported(ExecutionState.BUSY), kernel=new_kernel(Status.UNKNOWN)),
}


@pytest.mark.parametrize("name", BEFORE_A_SHUTDOWN)
def test_a_kernel_that_terminates_does_what_was_last_known(name: str) -> None:
    """Asking for the end says nothing of what the shells do."""
    before = BEFORE_A_SHUTDOWN[name]
    ending = after(shutdown(), kernel=before)
    assert ending.execution_state is before.execution_state
    assert ending.is_seen == before.is_seen
    if before.process is not None:
        assert after(exited(0), kernel=ending).execution_state is before.execution_state


# -- being silent ----------------------------------------------------------------------------


def test_a_silent_heartbeat_is_explained_until_it_returns() -> None:
    """An unresponsive kernel says how long it was silent, and what to do."""
    told = tell(*CONNECTED, silent(15), silent(20), heard())
    assert told.statuses[2:] == ["unresponsive", "unresponsive", "connected"]
    assert "15 s" in told.kernels[2].reason
    assert told.kernels[2].cause is Cause.UNRESPONSIVE
    assert (told.last.reason, told.last.cause) == ("", None)


def test_a_heartbeat_that_never_began_is_no_loss() -> None:
    """A kernel that has not answered yet is connecting, not unresponsive."""
    assert after(started(), silent()).status is Status.CONNECTING


def test_an_unresponsive_kernel_does_what_was_last_known() -> None:
    """It may still be busy, and what is heard of it counts."""
    told = tell(*CONNECTED, began(), silent(), ended(), heard())
    assert told.does[2:] == ["busy", "busy", "idle", "idle"]
    assert [str(each.state) for each in told.kernels[2:]] == [
        "running",
        "running",
        "stopped",
        "idle",
    ]


def test_an_unresponsive_kernel_can_die() -> None:
    """Its end replaces the reason of its silence."""
    dead = after(*CONNECTED, silent(), exited(signal=9))
    assert (dead.status, dead.cause) == (Status.DEAD, Cause.KILLED)


# -- being busy ------------------------------------------------------------------------------


def test_a_request_makes_busy_until_it_ends() -> None:
    """Busy is one request, idle is none."""
    told = tell(*CONNECTED, began("a"), ended("a"))
    assert told.does[2:] == ["busy", "idle"]
    assert [str(each.state) for each in told.kernels[2:]] == ["running", "idle"]


def test_a_subshell_is_busy_for_itself() -> None:
    """The kernel is busy as long as the main shell or any subshell is."""
    told = tell(*CONNECTED, began("a"), began("b", "sub"), ended("a"), ended("b", "sub"))
    assert told.does[2:] == ["busy", "busy", "busy", "idle"]
    assert told.kernels[4].requests == (Request("b", "sub"),)
    assert told.last.subshells == ("sub",)


def test_the_main_shell_works_on_while_a_subshell_is_done() -> None:
    """A subshell that became idle does not hide that the main shell is busy."""
    told = tell(*CONNECTED, began("a"), began("b", "sub"), ended("b", "sub"), ended("a"))
    assert told.does[2:] == ["busy", "busy", "busy", "idle"]


def test_the_idle_of_another_request_changes_nothing() -> None:
    """What ended is known by its id."""
    told = tell(*CONNECTED, began("a"), ended("b"))
    assert told.kernels[2] is told.kernels[3]


def test_an_idle_without_a_request_is_for_the_whole_shell() -> None:
    """A shell that says idle of no request has none, and says nothing of other shells."""
    told = tell(*CONNECTED, began("a"), began("b", "sub"), ended(""), ended("", "sub"))
    assert [each.requests for each in told.kernels[4:]] == [(Request("b", "sub"),), ()]


def test_a_request_that_began_twice_runs_once() -> None:
    """The same busy again is no change."""
    told = tell(*CONNECTED, began("a"), began("a"), ended("a"))
    assert told.kernels[2] is told.kernels[3]
    assert told.does[-1] == "idle"


def test_a_request_on_control_neither_ends_nor_outlives_the_one_that_runs() -> None:
    """A status does not tell its channel, so only its own idle ends a request."""
    told = tell(*CONNECTED, began("a"), began("b"), ended("b"), ended("a"))
    assert told.does[2:] == ["busy", "busy", "busy", "idle"]


def test_a_shell_that_answers_has_ended_what_came_before() -> None:
    """Only what ran when it was asked has ended, not what began since."""
    asked = Request("a"), Request("s", "sub")
    told = tell(*CONNECTED, began("a"), began("b", "sub"), shell_answered(*asked))
    assert told.last.requests == (Request("b", "sub"),)


def test_what_ran_ends_with_its_process() -> None:
    """Neither death nor the next process leaves anything running."""
    told = tell(*CONNECTED, began("a", "sub"), died(1), started(), answered())
    assert told.does[2:] == ["busy", "starting", "starting", "idle"]
    assert (told.last.requests, told.last.subshells) == ((), ())


def test_a_kernel_that_works_before_it_answered_us_is_busy_at_once() -> None:
    """What began while it was connecting is not forgotten when it is connected."""
    told = tell(started(), began("a"), answered(), ended("a"))
    assert told.does == ["starting", "starting", "busy", "idle"]


def test_subshells_are_bounded() -> None:
    """A kernel that uses ever new subshells does not fill the memory."""
    each_once = (
        news
        for number in range(MAX_SUBSHELLS + 3)
        for news in (began(f"r{number}", f"s{number}"), ended(f"r{number}", f"s{number}"))
    )
    kernel = after(*CONNECTED, *each_once)
    assert kernel.subshells == tuple(f"s{number}" for number in range(3, MAX_SUBSHELLS + 3))


# -- late news -------------------------------------------------------------------------------


LATE = [
    *(answered(), overdue(), began(), ended(), shell_answered(), silent(), heard(), exited(1)),
    *(blocked(), unblocked(), child_lost()),
]


@pytest.mark.parametrize("news", LATE, ids=lambda news: news.kind.__name__)
@pytest.mark.parametrize(
    "kernel",
    [after(*CONNECTED, *end) for end in ([exited(1)], [died(1)], [restart(), exited(0)])],
    ids=lambda kernel: str(kernel.status),
)
def test_a_process_that_ended_says_nothing_any_more(news: News, kernel: Kernel) -> None:
    """News of a process whose end was told changes nothing, and is no surprise."""
    told = tell(news, kernel=kernel)
    assert (told.last is kernel, told.notices) == (True, [])


def test_the_last_words_of_the_old_process_are_not_the_new_one() -> None:
    """A message of the generation before does not make the new one answer, busy or die."""
    again = after(*CONNECTED, restart(), exited(0), started())
    for news in LATE:
        assert after(late(news), kernel=again) is again


# -- elsewhere -------------------------------------------------------------------------------


def test_a_kernel_elsewhere_is_what_its_manager_says() -> None:
    """What cannot be seen is believed, word by word."""
    words = ("starting", "idle", "busy", "unknown", "idle", "dead")
    told = tell(*(reported(ExecutionState(word)) for word in words), kernel=ELSEWHERE)
    assert told.statuses == ["connecting", "connected", "connected", "unknown", "connected", "dead"]
    assert told.does == list(words)


def test_a_kernel_that_is_dead_elsewhere_says_so() -> None:
    """The reason names who says it; its cause is that it cannot be seen."""
    dead = after(reported(ExecutionState.DEAD), kernel=ELSEWHERE)
    assert (dead.cause, dead.last_termination) == (Cause.REMOTE, None)
    assert "remote" in dead.reason


@pytest.mark.parametrize("word", ["starting", "idle", "busy"])
def test_a_kernel_elsewhere_that_is_back_has_no_reason_any_more(word: str) -> None:
    """What was wrong is over when its manager says so."""
    dead = after(reported(ExecutionState.DEAD), kernel=ELSEWHERE)
    back = after(reported(ExecutionState(word)), kernel=dead)
    assert (back.reason, back.cause) == ("", None)


def test_a_kernel_elsewhere_that_cannot_be_told_of_says_so() -> None:
    """A manager that lost its kernel leaves a reason, until it is heard again."""
    told = tell(
        reported(ExecutionState.IDLE),
        reported(ExecutionState.UNKNOWN),
        reported(ExecutionState.IDLE),
        kernel=ELSEWHERE,
    )
    assert [bool(reason) for reason in reasons(told.kernels)] == [False, True, False]
    assert told.kernels[1].cause in (Cause.REMOTE, Cause.LOST)


def test_a_dead_kernel_elsewhere_that_is_restarted_and_shut_down_is_not_dead_meanwhile() -> None:
    """That it was dead was said before the restart."""
    ending = after(reported(ExecutionState.DEAD), restart(), shutdown(), kernel=ELSEWHERE)
    assert (ending.status, ending.execution_state.value) == (Status.TERMINATING, "starting")
    assert not ending.is_seen


def test_a_process_of_ours_is_believed_more_than_a_report() -> None:
    """What was reported before a process of ours began is forgotten with it."""
    for word in (ExecutionState.UNKNOWN, ExecutionState.BUSY):
        told = tell(reported(word), *CONNECTED, kernel=ELSEWHERE)
        assert told.does[-1] == "idle"


def test_reports_of_a_kernel_that_we_see_change_nothing() -> None:
    """We see it ourselves."""
    kernel = after(*CONNECTED)
    for word in ExecutionState:
        assert after(reported(word), kernel=kernel) is kernel


def test_a_kernel_that_never_says_idle_is_remembered_within_bounds() -> None:
    """Thousands of requests that never end are not all kept."""
    told = tell(*CONNECTED, *(began(f"cell {number}") for number in range(MAX_REQUESTS + 10)))
    assert len(told.last.requests) == MAX_REQUESTS
    assert told.does[-1] == "busy"


# -- being found -----------------------------------------------------------------------------


def test_a_process_of_somebody_elses_that_is_found_is_worked_with() -> None:
    """It is connected at once, and neither its start nor its number is made up."""
    told = tell(found(), began(), ended(), kernel=ELSEWHERE)
    assert told.statuses == ["connected"] * 3
    assert told.does == ["idle", "busy", "idle"]
    assert told.last.process == Process(None, None, BIRTH + timedelta(seconds=1))
    assert (told.last.generation, told.last.restart_count, told.notices) == (0, 0, [])


def test_a_kernel_that_could_not_be_told_of_and_is_found_has_no_reason_any_more() -> None:
    """What was reported of it is forgotten: from now on it is seen."""
    told = tell(reported(ExecutionState.UNKNOWN), found(), kernel=ELSEWHERE)
    assert reasons(told.kernels) == [told.kernels[0].reason, ""]
    assert told.kernels[0].reason
    assert (told.last.cause, told.last.reported) == (None, None)
    for word in ExecutionState:
        assert after(reported(word), kernel=told.last) is told.last


def test_a_found_process_can_fall_silent_and_end() -> None:
    """Its age is not known, so none is told."""
    told = tell(found(), silent(), heard(), exited(3), kernel=ELSEWHERE)
    assert told.statuses == ["connected", "unresponsive", "connected", "dead"]
    (end,) = told.terminations
    assert (end.started_at, end.pid, end.exit) == (None, None, Exit(3))
    assert "after its start" not in end.reason


@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(new_kernel(), id="starting"),
        pytest.param(after(started()), id="connecting"),
        pytest.param(after(*CONNECTED), id="connected"),
        pytest.param(after(found(), kernel=ELSEWHERE), id="found already"),
        pytest.param(after(*CONNECTED, exited(1)), id="dead"),
    ],
)
def test_only_a_kernel_of_which_nothing_is_known_is_found(kernel: Kernel) -> None:
    """Anything else is a surprise and changes nothing."""
    told = tell(found(), kernel=kernel)
    assert told.last is kernel
    assert len(told.surprises) == 1


# -- being blocked ---------------------------------------------------------------------------


def test_a_blocked_interpreter_is_explained_until_it_returns() -> None:
    """The kernel is connected and busy all the while; only its reason tells."""
    told = tell(*CONNECTED, began(), blocked(20), blocked(40), unblocked(), ended())
    assert told.statuses[2:] == ["connected"] * 5
    assert told.does[2:] == ["busy"] * 4 + ["idle"]
    assert [each.cause for each in told.kernels[2:]] == [
        None,
        *[Cause.INTERPRETER_BLOCKED] * 2,
        None,
        None,
    ]
    assert "20 s" in told.kernels[3].reason
    assert "40 s" in told.kernels[4].reason
    assert "native code" in told.kernels[4].reason


@pytest.mark.parametrize("story", [(started(),), (*CONNECTED, silent()), (*CONNECTED, shutdown())])
def test_what_is_worse_than_a_blocked_interpreter_stays_the_reason(story: tuple[News, ...]) -> None:
    """A kernel that starts, is silent or ends is told as that."""
    kernel = after(*story)
    assert after(blocked(), kernel=kernel) is kernel
    assert after(unblocked(), kernel=kernel) is kernel


def test_a_blocked_kernel_that_falls_silent_says_that() -> None:
    """And when its heart beats again nothing is wrong until somebody says so."""
    told = tell(*CONNECTED, began(), blocked(), silent(15), unblocked(), heard())
    assert told.statuses[4:] == ["unresponsive", "unresponsive", "connected"]
    assert "15 s" in told.kernels[4].reason
    assert told.last.reason == ""


@pytest.mark.parametrize("news", [restart(), shutdown()], ids=["restart", "shutdown"])
def test_a_blocked_kernel_whose_end_is_asked_for_has_no_reason(news: News) -> None:
    """What was wrong does not matter any more."""
    leaving = after(*CONNECTED, began(), blocked(), news)
    assert (leaving.reason, leaving.cause) == ("", None)


def test_a_blocked_kernel_can_die() -> None:
    """Its end replaces its reason, and the next process begins without one."""
    told = tell(*CONNECTED, began(), blocked(), died(signal=11), started(), answered())
    assert told.kernels[4].cause is Cause.SEGMENTATION_FAULT
    assert told.last.reason == ""


# -- losing children -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "story",
    [
        pytest.param((started(),), id="connecting"),
        pytest.param(CONNECTED, id="idle"),
        pytest.param((*CONNECTED, began()), id="busy"),
        pytest.param((*CONNECTED, silent()), id="unresponsive"),
        pytest.param((*CONNECTED, restart()), id="restarting"),
        pytest.param((*CONNECTED, shutdown()), id="terminating"),
    ],
)
def test_a_child_killed_for_memory_is_told_and_changes_nothing(story: tuple[News, ...]) -> None:
    """The kernel goes on; who listens hears how many."""
    kernel = after(*story)
    told = tell(child_lost(2), kernel=kernel)
    assert (told.last is kernel, told.notices) == (True, [ChildrenLost(2)])


# -- what is left of a process ---------------------------------------------------------------


def left(
    code: int | None = None,
    signal: int | None = None,
    *,
    restarter: bool = False,
    **remains: object,
) -> News:
    """The process ended, and this was found of it."""
    found_of_it = Remains(**remains)  # type: ignore[arg-type]
    facts = {"exit": Exit(code, signal), "restarter": restarter, "remains": found_of_it}
    return News(ProcessExited, facts)


USED = {"peak_memory": 8482560000, "cpu_seconds": 812.4}


def used_by(end: Termination) -> dict[str, object]:
    """What a termination tells of what its process used."""
    return {"peak_memory": end.peak_memory, "cpu_seconds": end.cpu_seconds}


def test_a_termination_keeps_what_its_process_used_and_said() -> None:
    """Peak memory, processor time and the end of stderr, whoever asked for the end."""
    last_words = {"stderr": "boom\nValueError: 3", "captured": True}
    for story in ((), (shutdown(),), (restart(),)):
        (end,) = tell(*CONNECTED, *story, left(1, **USED, **last_words)).terminations
        assert used_by(end) == USED
        assert end.traceback == "boom\nValueError: 3"


def test_a_termination_of_which_nothing_was_found_says_so() -> None:
    """Not known is another thing than nothing."""
    (end,) = tell(*CONNECTED, exited(1)).terminations
    assert used_by(end) == {"peak_memory": None, "cpu_seconds": None}
    assert end.traceback is None
    (end,) = tell(*CONNECTED, left(1, captured=True)).terminations
    assert end.traceback == ""
    (end,) = tell(*CONNECTED, gave_up()).terminations
    assert (used_by(end), end.traceback) == ({"peak_memory": None, "cpu_seconds": None}, None)


def test_each_process_has_remains_of_its_own() -> None:
    """What the last one left is not what this one left."""
    told = tell(*CONNECTED, left(1, restarter=True, **USED), started(), died(1))
    assert [used_by(end)["peak_memory"] for end in told.terminations] == [8482560000, None]


def test_what_stands_instead_of_a_traceback_is_kept_instead() -> None:
    """Where tracebacks are not allowed neither traceback nor reason has a word of them."""
    words = {"stderr": "ValueError: secret", "captured": True, "instead": "Ask your house."}
    told = tell(*CONNECTED, left(1, **words))
    (end,) = told.terminations
    assert end.traceback == "Ask your house."
    assert "secret" not in end.reason + end.hint + end.happened + told.last.reason


def test_last_words_are_quoted_in_the_reason() -> None:
    """The exception that ended a process is told, for good and for now."""
    words = {"stderr": "ValueError: no more paper", "captured": True}
    for restarter in (False, True):
        kernel = after(*CONNECTED, left(1, restarter=restarter, **words))
        assert "no more paper" in kernel.reason


def test_a_start_tells_what_its_stderr_means() -> None:
    """The cause of a start that failed is in its last words, and its reason ends with a step."""
    words = {"stderr": "ModuleNotFoundError: No module named 'zmq'", "captured": True}
    dead = after(started(), left(1, **words))
    assert dead.cause is Cause.MODULE_NOT_FOUND
    assert "'zmq'" in dead.reason
    assert "pip install pyzmq" in dead.reason
    assert after(*CONNECTED, left(1, **words)).cause is Cause.ERROR


def test_a_kill_for_memory_is_told_unless_somebody_asked_for_the_end() -> None:
    """A shutdown that had to kill is a shutdown."""
    killed = left(signal=9, memory=OutOfMemory(1 << 30), **USED)
    assert after(*CONNECTED, killed).cause is Cause.OOM_KILLED
    (end,) = tell(*CONNECTED, shutdown(), killed).terminations
    assert (end.cause, end.expected) == (Cause.SHUTDOWN, True)


def test_a_crash_loop_keeps_what_happened_last() -> None:
    """Giving up repeats the last end with its words and measures, without its own next step."""
    words = {"stderr": "ValueError: no more paper", "captured": True}
    loop = (left(signal=9, memory=OutOfMemory(), restarter=True, **USED), autorestart(), started())
    told = tell(*CONNECTED, *loop, answered(), left(1, restarter=True, **words), gave_up(1))
    last = told.terminations[-1]
    assert (told.last.cause, last.cause) == (Cause.CRASH_LOOP, Cause.ERROR)
    assert told.last.reason == crash_loop(1, last.happened)
    assert "no more paper" in told.last.reason
    assert last.hint not in told.last.reason
    assert told.last.last_termination == last


def test_a_crash_loop_of_kills_for_memory_says_so() -> None:
    """The cause is the loop; what was measured of the last end stands in the reason."""
    killed = left(signal=9, memory=OutOfMemory(1 << 30), restarter=True, **USED)
    dead = after(*CONNECTED, killed, gave_up(5))
    assert dead.cause is Cause.CRASH_LOOP
    assert "out-of-memory kill; it held 7.9 GiB" in dead.reason
    assert dead.last_termination is not None
    assert dead.last_termination.cause is Cause.OOM_KILLED
