"""What the ledger makes of runs that wait here, and of the ends of kernels."""

from __future__ import annotations

from support.dialogues import (
    CONNECTED,
    began,
    completed,
    ended,
    exited,
    launch_failed,
    restart,
    shutdown,
    silent,
    started,
)
from support.run_world import World

from kernel_status_ext.core.run import Failure, FailurePublished
from kernel_status_ext.core.runs import LOST
from kernel_status_ext.core.words import RequestedBy, RunStatus, Status
from kernel_status_ext.tracking.ledger import REMOVED


def working() -> World:
    """A kernel that works on a run, has one sent to it, and one that waits here."""
    world = World()
    world.send("at work", "sent")
    world.ledger.came(run := world.new("waiting"))
    world.ledger.waits(run)
    world.tell(began("at work", is_run=True))
    world.born(*CONNECTED, name="other")
    world.ledger.came(world.new("other's", "other"))
    return world


def fates(world: World) -> list[tuple[str, str]]:
    """What became of the three runs."""
    runs = [world.run(name) for name in ("at work", "sent", "waiting")]
    return [(str(each.status), each.reason) for each in runs]


def test_a_death_ends_all_that_the_kernel_had() -> None:
    """What was at work died of it; what was not begun is aborted, what was not sent refused."""
    world = working()
    dead = world.tell(exited(signal=11))
    end = dead.last_termination
    assert end is not None
    assert end.run_id == "at work"
    assert fates(world) == [
        *(("died", end.reason), ("aborted", end.reason), ("aborted", dead.reason))
    ]
    assert [each.run_id for each in world.ledger.active()] == ["other's"]


def test_what_waits_survives_a_restart() -> None:
    """It was sent to no process: the next one gets it."""
    world = working()
    world.tell(restart())
    assert [each.end_requested is not None for each in world.ledger.active("k")] == [
        *(True, True, False)
    ]
    world.tell(exited(0), started(5))
    assert [status for status, _ in fates(world)] == ["aborted", "aborted", "queued"]
    assert world.kernel().queued == ("waiting",)
    world.ledger.sent("k", "waiting")
    assert world.run("waiting").generation == 1


def test_an_error_after_a_restart_was_asked_for_is_that_restart() -> None:
    """Jupyter interrupts what runs before it ends the process."""
    world = working()
    world.tell(restart())
    world.ledger.feed(
        "k", "at work", FailurePublished(0, world.time, Failure("KeyboardInterrupt", ""))
    )
    world.answer("at work", RunStatus.ERROR)
    world.tell(ended("at work", is_run=True))
    run = world.run("at work")
    assert run.status is RunStatus.ABORTED
    assert "restart" in run.reason


def test_a_shutdown_ends_all_with_its_reason() -> None:
    """As does a cull: it was meant."""
    for by in (RequestedBy.SHUTDOWN, RequestedBy.CULL):
        world = working()
        dead = world.tell(shutdown(by), exited(0), completed())
        assert {status for status, _ in fates(world)} == {"aborted"}
        assert fates(world)[2][1] == dead.reason


def test_a_server_that_stops_loses_what_it_ends() -> None:
    """What was sent is lost with its process, the rest with the server."""
    world = working()
    world.tell(shutdown(RequestedBy.SERVER_STOP), exited(0))
    world.ledger.server_ended()
    assert [status for status, _ in fates(world)] == ["lost", "lost", "lost"]
    assert world.run("other's", "other").reason == LOST
    assert world.ledger.active() == []


def test_a_removal_ends_all_that_the_kernel_had() -> None:
    """Whatever was sent or not: nobody will hear of it."""
    world = working()
    world.tracker.remove("k")
    assert fates(world) == [("aborted", REMOVED)] * 3
    assert [each.run_id for each in world.ledger.active()] == ["other's"]


def test_a_launch_that_fails_refuses_what_waits() -> None:
    """With the reason of the kernel."""
    world = World()
    world.born(name="new")
    world.ledger.came(run := world.new("waiting", "new"))
    world.ledger.waits(run)
    dead = world.tell(launch_failed(), name="new")
    assert dead.status is Status.DEAD
    run = world.run("waiting", "new")
    assert (run.status, run.reason) == (RunStatus.ABORTED, dead.reason)


def test_what_waited_here_stands_behind_what_was_sent_before_it() -> None:
    """It came earlier and left later: the reply to the other says nothing of it."""
    world = World()
    world.ledger.came(run := world.new("waited"))
    world.ledger.waits(run)
    world.send("quicker")
    world.ledger.goes_by("k", "waited", world.me)
    world.ledger.sent("k", "waited")
    world.answer("quicker")
    assert world.run("waited").status is RunStatus.QUEUED


# -- a process that ends before it could say what it began


def test_what_an_idle_shell_had_been_sent_has_probably_killed_it() -> None:
    """The first of each idle shell; those behind it had not begun."""
    world = World()
    world.send("a", "b")
    world.send("sub", subshell="sub")
    dead = world.tell(exited(signal=9))
    assert dead.last_termination is not None
    assert dead.last_termination.run_id == "a"
    assert [world.run(each).status for each in ("a", "b", "sub")] == [
        *(RunStatus.DIED, RunStatus.ABORTED, RunStatus.DIED)
    ]
    assert "probably" in world.run("a").reason
    assert "probably" not in world.run("b").reason


def test_a_busy_shell_leaves_no_suspect() -> None:
    """What it was at is known; or was no run, and then it was that."""
    for is_run in (True, False):
        world = World()
        world.send("a", "b")
        world.tell(began("a" if is_run else "other", is_run=is_run))
        world.tell(exited(signal=9))
        assert world.run("b").status is RunStatus.ABORTED
        assert world.run("a").status is (RunStatus.DIED if is_run else RunStatus.ABORTED)


def test_an_end_that_was_asked_for_has_no_suspect() -> None:
    """Nor has a process that was not heard: it takes nothing up."""
    for news in ([restart(), exited(0)], [silent(), exited(signal=9)]):
        world = World()
        world.send("a")
        end = world.tell(*news).last_termination
        assert end is not None
        assert end.run_id is None
        assert world.run("a").status is RunStatus.ABORTED
