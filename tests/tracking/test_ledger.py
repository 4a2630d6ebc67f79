"""What the ledger remembers of runs that are not over, and whom it tells: without any server."""

from __future__ import annotations

import pytest
from msgspec import structs
from support.dialogues import CONNECTED, began, ended, exited, restart, shell_answered, started
from support.run_world import World

from kernel_status_ext.core.model import Request
from kernel_status_ext.core.routing import Sender
from kernel_status_ext.core.run import (
    AskedForInput,
    CodePublished,
    Failure,
    GotInput,
    Origin,
    Run,
    RunAnswered,
)
from kernel_status_ext.core.runs import UNANSWERED, raised
from kernel_status_ext.core.words import RunStatus
from kernel_status_ext.tracking import ledger as ledger_module
from kernel_status_ext.tracking.ledger import REMEMBERED, Recording
from kernel_status_ext.tracking.tracker import Change


def test_a_run_goes_its_way() -> None:
    """Told when it came, left, began and ended; then it is forgotten but for its id."""
    world = World()
    world.send("a")
    world.tell(began("a", is_run=True), ended("a", is_run=True))
    assert world.run("a").status is RunStatus.RUNNING
    world.answer("a")
    assert world.story("a") == ["queued", "running", "ok"]
    assert world.ledger.active() == []
    assert (world.ledger.get("k", "a"), world.ledger.knows("k", "a")) == (None, True)


def test_a_new_run_knows_its_kernel_and_its_session() -> None:
    """What was true when it came is written down with it."""
    run = World().new("a", code="1", username="me")
    kernel = (run.kernel_id, run.kernel_name, run.session, run.path)
    assert kernel == ("k", "python3", "s-k", "k.ipynb")
    assert (run.code, run.username, run.status) == ("1", "me", RunStatus.QUEUED)


def test_what_leaves_is_known_by_its_process() -> None:
    """The generation and the pid of the process that the request went to."""
    world = World()
    world.tell(restart(), exited(0), started(99))
    world.send("a")
    assert (world.run("a").generation, world.run("a").worker_pid) == (1, 99)


# -- ids -------------------------------------------------------------------------------------


def test_of_two_requests_with_one_id_the_first_counts() -> None:
    """Under way or ended, an id that is known makes no new run."""
    world = World()
    world.send("a")
    assert not world.ledger.came(world.new("a", code="other"), world.me)
    assert len(world.ledger.active()) == 1
    world.tell(began("a", is_run=True), ended("a", is_run=True))
    world.answer("a")
    assert not world.ledger.came(world.new("a"), world.me)
    assert world.ledger.active() == []


def test_a_request_without_an_id_is_no_run() -> None:
    """Nothing could ever be told of it."""
    world = World()
    assert not world.ledger.came(world.new(""), world.me)
    assert world.told == []


def test_ended_runs_are_remembered_and_the_oldest_forgotten() -> None:
    """Memory is bounded."""
    world = World()
    for number in range(REMEMBERED + 1):
        world.ledger.came(world.new(f"r{number}"))
    world.ledger.server_ended()
    assert not world.ledger.knows("k", "r0")
    assert world.ledger.knows("k", "r1")
    assert world.ledger.knows("k", f"r{REMEMBERED}")


def test_news_of_a_run_that_nobody_knows_is_no_news() -> None:
    """Nor is news of no run at all."""
    world = World()
    for run_id in ("x", "", None):
        assert world.ledger.feed("k", run_id, RunAnswered(0, world.time, RunStatus.OK)) is None
    assert world.told == []


def test_one_id_on_two_kernels_is_that_of_two_runs() -> None:
    """What one of them says of its own changes nothing of the other's."""
    world = World()
    world.born(*CONNECTED, name="other")
    world.send("a")
    theirs = world.new("a", "other")
    assert world.ledger.came(theirs, world.me)
    world.ledger.sent("other", "a")
    world.tell(began("a", is_run=True))
    world.tell(began("a", is_run=True), ended("a", is_run=True), name="other")
    world.answer("a", name="other")
    assert world.run("a", "other").status is RunStatus.OK
    assert world.run("a").status is RunStatus.RUNNING
    assert (world.kernel().running, world.kernel("other").running) == (("a",), ())
    world.tell(exited(signal=9))
    assert (world.story("a")[-1], world.story("a", "other")[-1]) == ("died", "ok")


def test_a_kernel_that_speaks_of_another_ones_run_has_met_a_stranger() -> None:
    """Whatever it says is not about that run."""
    world = World()
    world.born(*CONNECTED, name="other")
    world.send("a")
    world.tell(began("a", is_run=True))
    world.tell(began("a", is_run=True), ended("a", is_run=True), name="other")
    world.ledger.feed("other", "a", RunAnswered(0, world.time, RunStatus.OK))
    assert (world.run("a").status, world.run("a").is_idle) == (RunStatus.RUNNING, False)
    assert world.run("a", "other").origin is Origin.ELSEWHERE


def test_the_first_run_of_an_id_is_the_one_that_is_meant() -> None:
    """As long as it is remembered."""
    world = World()
    world.born(*CONNECTED, name="other")
    assert world.ledger.kernel_of("a") is None
    world.ledger.came(world.new("a", "other"))
    world.ledger.came(world.new("a"))
    assert world.ledger.kernel_of("a") == "other"
    world.ledger.server_ended()
    assert world.ledger.kernel_of("a") == "other"
    for number in range(REMEMBERED):
        world.ledger.came(world.new(f"r{number}"))
    world.ledger.server_ended()
    assert world.ledger.kernel_of("a") is None


def test_a_reply_to_what_another_client_sent_under_the_same_id_is_not_the_runs() -> None:
    """It is expected by the socket by which the run went, or by any if that one is gone."""
    world = World()
    world.send("a")
    assert world.ledger.expects_reply("k", "a", world.me)
    assert not world.ledger.expects_reply("k", "a", Sender())
    assert not world.ledger.expects_reply("other", "a", world.me)
    world.ledger.gone(world.me)
    assert world.ledger.expects_reply("k", "a", Sender())


# -- what the kernel knows -------------------------------------------------------------------


def test_the_kernel_knows_what_waits_and_what_was_sent() -> None:
    """One list of what waits here and went there; what is at work is not queued any more."""
    world = World()
    world.ledger.came(run := world.new("waiting"))
    world.ledger.waits(run)
    world.send("a", "b")
    assert world.kernel().queued == ("a", "b", "waiting")
    assert world.tell(began("a", is_run=True)).queued == ("b", "waiting")
    assert world.kernel().running == ("a",)
    world.ledger.goes_by("k", "waiting", world.me)
    world.ledger.sent("k", "waiting")
    assert (world.kernel().sent, world.kernel().awaiting) == (("a", "b", "waiting"), ())


def test_the_kernel_forgets_what_is_over() -> None:
    """Whichever half came last: nothing is queued of a run that ended."""
    world = World()
    world.send("a", "b")
    world.tell(began("a", is_run=True), ended("a", is_run=True))
    world.answer("a")
    world.answer("b")
    assert world.tell(began("b", is_run=True)).state == "running"
    assert world.tell(ended("b", is_run=True)).state == "idle"
    assert (world.kernel().sent, world.kernel().queued) == ((), ())


def test_the_kernel_knows_who_asks() -> None:
    """From the question to the answer, or to the end of the run."""
    world = World()
    world.send("a")
    world.tell(began("a", is_run=True))
    assert world.kernel().waiting_for_input is False
    world.ledger.feed("k", "a", AskedForInput(0, world.time))
    assert world.kernel().waiting_for_input is True
    world.ledger.feed("k", "a", GotInput(0, world.time))
    assert world.kernel().waiting_for_input is False
    world.ledger.feed("k", "a", AskedForInput(0, world.time))
    assert world.tell(ended("a", is_run=True)).waiting_for_input is False
    assert "a" in {each.run_id for each in world.ledger.active()}, "its reply is to come"


# -- runs that come by other ways --------------------------------------------------------------


def test_a_stranger_is_met_when_it_begins() -> None:
    """Its request did not pass by: nothing but what the kernel publishes is known of it."""
    world = World()
    world.tell(began("theirs", "sub", is_run=True))
    run = world.run("theirs")
    assert (run.origin, run.status, run.subshell) == (Origin.ELSEWHERE, RunStatus.RUNNING, "sub")
    assert (run.queued_at, run.started_at, run.worker_pid) == (None, world.time, 4711)
    assert world.kernel().waiting_for_input is None
    world.ledger.feed("k", "theirs", CodePublished(0, world.time, "x", 5))
    world.tell(ended("theirs", "sub", is_run=True))
    assert world.story("theirs") == ["running", "running", "ok"]
    assert world.run("theirs").code == "x"


def test_an_end_without_a_beginning_is_no_run() -> None:
    """A late idle of what is long over does not make a stranger."""
    world = World()
    world.tell(ended("theirs", is_run=True))
    assert world.told == []


def test_a_run_that_has_ended_is_not_met_again() -> None:
    """A kernel may say busy twice for one request."""
    world = World()
    world.tell(began("theirs", is_run=True), ended("theirs", is_run=True))
    told = len(world.told)
    world.tell(began("theirs", is_run=True), ended("theirs", is_run=True))
    assert len(world.told) == told


def test_what_a_kernel_says_of_a_run_that_passed_by_makes_no_stranger() -> None:
    """It is one run: its request came first."""
    world = World()
    world.send("a")
    world.tell(began("a", is_run=True))
    assert [each.origin for each in world.ledger.active()] == [Origin.WEBSOCKET]


def test_news_of_runs_of_a_kernel_that_is_gone_is_no_news() -> None:
    """Its last words may be read after its removal."""
    world = World()
    event = began("theirs", is_run=True).event(world.kernel(), world.time)
    world.tracker.remove("k")
    world.ledger.heard("k", event)
    assert world.told == []


# -- halves that do not come -------------------------------------------------------------------


def test_a_later_reply_ends_what_was_never_answered() -> None:
    """A shell answers what came by one socket in order: the earlier reply was lost."""
    world = World()
    world.send("a", "b", "c")
    world.tell(began("a", is_run=True))
    world.ledger.feed("k", "a", CodePublished(0, world.time, "1", 1))
    world.tell(ended("a", is_run=True))
    world.answer("c")
    assert (world.run("a").status, world.run("b").status) == (RunStatus.OK, RunStatus.ABORTED)
    assert world.run("b").reason == UNANSWERED
    assert world.run("c").status is RunStatus.QUEUED


def test_a_later_reply_ends_nothing_that_is_at_work_or_was_answered() -> None:
    """Its other half is still on its way by iopub."""
    world = World()
    world.send("a", "b", "c")
    world.tell(began("a", is_run=True))
    world.answer("b")
    world.answer("c")
    assert [each.run_id for each in world.ledger.active()] == ["a", "b", "c"]


def test_a_later_reply_says_nothing_of_other_sockets_and_shells() -> None:
    """Each socket has its own order, and each shell."""
    world = World()
    world.send("theirs", sender=Sender())
    world.send("sub", subshell="sub")
    world.send("a")
    world.answer("a")
    assert [each.run_id for each in world.ledger.active()] == ["theirs", "sub", "a"]


@pytest.mark.parametrize("idle_first", [True, False])
def test_a_reply_never_ends_what_came_later(*, idle_first: bool) -> None:
    """What is queued behind a run goes on, whichever half of that run's end came last."""
    world = World()
    world.send("a", "b")
    world.tell(began("a", is_run=True))
    halves = (lambda: world.tell(ended("a", is_run=True)), lambda: world.answer("a"))
    for half in halves if idle_first else reversed(halves):
        half()
    assert world.run("a").status is RunStatus.OK
    assert [each.run_id for each in world.ledger.active()] == ["b"]


def test_who_goes_away_leaves_runs_that_are_over_with_their_idle() -> None:
    """Only those that went by that socket."""
    world = World()
    world.send("a", "b")
    world.send("theirs", sender=Sender())
    world.tell(began("a", is_run=True))
    world.ledger.feed("k", "a", CodePublished(0, world.time, "1", 1))
    world.tell(ended("a", is_run=True))
    assert world.run("a").status is RunStatus.RUNNING
    world.ledger.gone(world.me)
    assert world.run("a").status is RunStatus.OK
    assert [each.reply_comes for each in world.ledger.active()] == [False, True]


def test_a_shell_that_answers_us_ends_what_it_had() -> None:
    """What doubts find out of a kernel holds for its runs."""
    world = World()
    world.send("a")
    world.tell(began("a", is_run=True))
    world.answer("a")
    world.tell(shell_answered(Request("a", is_run=True)))
    assert world.run("a").has_ended


# -- listeners ---------------------------------------------------------------------------------


def test_listeners_are_told_in_their_order_of_what_matters() -> None:
    """Half an end, for one, is only for those who follow it."""
    world, order = World(), list[str]()
    world.ledger.listen(lambda run: order.append(f"second {run.status}"))
    world.send("a")
    world.tell(began("a", is_run=True))
    told = len(world.told)
    world.answer("a")
    assert len(world.told) == told, "only its answer has come"
    world.tell(ended("a", is_run=True))
    assert order == ["second queued", "second running", "second ok"]
    assert world.story("a") == ["queued", "running", "ok"]


def test_a_listener_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, the run and the kernel; others are told all the same."""
    world, after = World(), list[Run]()

    def fail(_run: Run) -> None:
        msg = "oh"
        raise OSError(msg)

    world.ledger.listen(fail)
    world.ledger.listen(after.append)
    world.send("a")
    assert len(after) == len(world.told) == 1
    assert "Run a of kernel k: a listener failed" in caplog.text
    assert "OSError: oh" in caplog.text


def test_the_kernel_is_right_when_its_runs_are_told() -> None:
    """Who looks at the kernel when told of a run's end does not find it at work any more."""
    world, seen = World(), list[tuple[str, bool]]()

    def look(run: Run) -> None:
        seen.append((str(run.status), run.run_id in world.kernel().sent))

    world.ledger.listen(look)
    world.send("a")
    world.answer("a")
    world.tell(began("a", is_run=True), ended("a", is_run=True))
    assert seen[-1] == ("ok", False)


def test_a_listener_may_send_the_next_run() -> None:
    """The ledger is in order when it tells."""
    world = World()

    def follow_up(run: Run) -> None:
        if run.has_ended and run.run_id == "a":
            world.send("b")

    world.ledger.listen(follow_up)
    world.send("a")
    world.tell(began("a", is_run=True), ended("a", is_run=True))
    world.answer("a")
    assert [each.run_id for each in world.ledger.active()] == ["b"]


def test_those_who_watch_kernels_are_told_of_what_is_queued() -> None:
    """A run that comes to an idle kernel changes its state at once."""
    world, changes = World(), list[Change]()
    world.tracker.listen(changes.append)
    world.send("a")
    states = [each.after.state for each in changes if each.after is not None]
    assert states == ["running"]


# -- code --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "code", "kept"),
    [
        (Recording(), "x = 1", "x = 1"),
        (Recording(code=False), "x = 1", None),
        (Recording(limit=3), "äöü", "ä"),
        (Recording(limit=4), "äöü", "äö"),
        (Recording(limit=0), "x", ""),
        (Recording(), "lone \udc80", "lone ?"),
    ],
)
def test_so_much_of_a_code_is_recorded(recording: Recording, code: str, kept: str | None) -> None:
    """Bytes are counted, characters never cut in two, and what is no text is replaced."""
    assert recording.of(code) == kept


def test_where_code_is_not_written_down_no_error_is_quoted_either() -> None:
    """Its name stays; what it says, and the sentence that quotes it, go; other sentences stay."""
    failure = Failure("KeyError", "'secret'")
    run = Run("r", "k", "p", Origin.API, RunStatus.ERROR, error=failure, reason=raised(failure))
    assert Recording().of_run(run) is run
    written = Recording(code=False).of_run(run)
    assert "secret" not in repr(written)
    assert written.error == Failure("KeyError", "")
    assert written.reason == "It raised KeyError."
    over_limit = structs.replace(run, status=RunStatus.ABORTED, reason="It was interrupted.")
    assert Recording(code=False).of_run(over_limit).reason == "It was interrupted."
    assert (
        Recording(code=False).of_run(structs.replace(run, error=None, reason="R.")).reason == "R."
    )


def test_a_kernel_that_makes_runs_up_is_followed_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is busy all the same, and what is sent to it by here is followed."""
    monkeypatch.setattr(ledger_module, "MOST_MET", 3)
    world = World()
    world.born()
    for number in range(5):
        world.tell(began(f"made up {number}", is_run=True))
    assert [run.run_id for run in world.ledger.active()] == [f"made up {each}" for each in range(3)]
    assert world.kernel().execution_state == "busy"
    world.send("ours")
    assert world.run("ours").run_id == "ours"
