"""The bodies of kernels: whom the system killed for memory, and what real processes used."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support.fake_machine import KILLED, FakeGroup, FakeMachine

from kernel_status_ext.core.model import Exit
from kernel_status_ext.core.remains import OutOfMemory, Remains
from kernel_status_ext.tracking import usage, vitals
from kernel_status_ext.tracking.memory import Groups
from kernel_status_ext.tracking.usage import Usage, is_stopped, usage_of, usage_of_zombie
from kernel_status_ext.tracking.vitals import Vitals, Ward

MIB, GIB = 1 << 20, 1 << 30
BIG, SMALL = 4711, 4712
SIGKILLED = Exit(None, 9)


class FakeWatch:
    """Tells what it was told."""

    def __init__(self) -> None:
        self.ended: Exit | None = None
        self.usage: Usage | None = None

    def look(self) -> Exit | None:
        """Return how the process ended."""
        return self.ended

    def close(self) -> None:
        """Do nothing."""


class Patient:
    """A process of the fake machine, and who looks after it."""

    def __init__(self, ward: Ward, pid: int) -> None:
        self.watch, self.survived = FakeWatch(), []
        self.vitals = Vitals(ward, pid, self.watch, self.survived.append)

    def ends(self, ended: Exit, *, held: int | None = None, cpu: float | None = None) -> None:
        """It ended like that, and its zombie tells what it used."""
        self.watch.ended = ended
        self.watch.usage = Usage(held, cpu)

    def after_death(self) -> Remains:
        """What is found of it, after which nobody looks after it any more."""
        assert self.watch.ended is not None
        remains = self.vitals.after_death(self.watch.ended)
        self.vitals.close()
        return remains


class Hospital:
    """A fake machine whose processes share a group."""

    def __init__(self, folder: Path) -> None:
        self.machine = FakeMachine(folder)
        self.group = FakeGroup(self.machine.mount(2) / "kernels", 2)
        self.ward = Ward(Groups(self.machine.proc))
        self.uses: dict[int, Usage] = {}

    def admit(self, pid: int) -> Patient:
        """A process begins."""
        self.machine.process(pid, "0::/kernels")
        return Patient(self.ward, pid)


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    """A hospital without patients, which reads what they use from its own table."""
    hospital = Hospital(tmp_path)
    monkeypatch.setattr(vitals, "usage_of", lambda pid: hospital.uses.get(pid, Usage()))
    return hospital


# -- killed for memory -----------------------------------------------------------------------


@pytest.mark.parametrize("ended", [SIGKILLED, Exit(137)], ids=str)
def test_a_kill_that_was_counted_is_found(hospital: Hospital, ended: Exit) -> None:
    """Also behind a shell."""
    hospital.group.limit(GIB)
    patient = hospital.admit(BIG)
    hospital.group.kill()
    patient.ends(ended, held=GIB, cpu=2.5)
    assert patient.after_death() == Remains(
        memory=OutOfMemory(GIB), peak_memory=GIB, cpu_seconds=2.5
    )


OTHERS = [Exit(None, 11), Exit(None, 15), Exit(0), Exit(1), Exit(9), Exit(139), Exit()]


@pytest.mark.parametrize("ended", OTHERS, ids=str)
def test_another_end_takes_no_kill_away(hospital: Hospital, ended: Exit) -> None:
    """What did not end by SIGKILL was not killed for memory, and the kill is somebody else's."""
    other, killed = hospital.admit(SMALL), hospital.admit(BIG)
    hospital.group.kill()
    other.ends(ended, held=2 * GIB)
    assert other.after_death().memory is None
    killed.ends(SIGKILLED, held=GIB)
    assert killed.after_death().memory == OutOfMemory()


@pytest.mark.parametrize("first", ["big", "small"])
def test_of_two_that_were_killed_the_bigger_one_was_killed_for_memory(
    hospital: Hospital, first: str
) -> None:
    """Whichever is asked first: the other was killed by somebody."""
    big, small = hospital.admit(BIG), hospital.admit(SMALL)
    hospital.group.kill()
    big.ends(SIGKILLED, held=2 * GIB)
    small.ends(SIGKILLED, held=GIB)
    order = [big, small] if first == "big" else [small, big]
    told = {each: each.after_death().memory for each in order}
    assert told == {big: OutOfMemory(), small: None}


def test_of_two_kills_both_explain(hospital: Hospital) -> None:
    """There is enough for both."""
    big, small = hospital.admit(BIG), hospital.admit(SMALL)
    hospital.group.kill(2)
    big.ends(SIGKILLED, held=2 * GIB)
    small.ends(SIGKILLED, held=GIB)
    assert small.after_death().memory == OutOfMemory()
    assert big.after_death().memory == OutOfMemory()


@pytest.mark.parametrize("held", [None, GIB])
def test_of_two_that_held_the_same_one_was_killed_for_memory(
    hospital: Hospital, held: int | None
) -> None:
    """One kill is never told twice."""
    both = [hospital.admit(BIG), hospital.admit(SMALL)]
    hospital.group.kill()
    for each in both:
        each.ends(SIGKILLED, held=held)
    assert sorted(str(each.after_death().memory) for each in both) == [
        "None",
        "OutOfMemory(limit=None)",
    ]


@pytest.mark.parametrize("ended", [None, Exit(None, 11), Exit(0)], ids=str)
def test_a_bigger_one_that_was_not_killed_is_no_rival(
    hospital: Hospital, ended: Exit | None
) -> None:
    """It lives, or ended in another way."""
    big, small = hospital.admit(BIG), hospital.admit(SMALL)
    hospital.uses[BIG] = Usage(2 * GIB, 1)
    big.vitals.look()
    hospital.group.kill()
    if ended is not None:
        big.ends(ended, held=2 * GIB)
    small.ends(SIGKILLED, held=GIB)
    assert small.after_death().memory == OutOfMemory()


def test_what_it_held_at_a_look_counts_too(hospital: Hospital) -> None:
    """A zombie does not always tell."""
    big, small = hospital.admit(BIG), hospital.admit(SMALL)
    hospital.uses |= {BIG: Usage(2 * GIB, 1), SMALL: Usage(GIB, 1)}
    for each in (big, small):
        each.vitals.look()
    hospital.group.kill()
    for each in (small, big):
        each.watch.ended = SIGKILLED
    assert small.after_death().memory is None
    assert big.after_death().memory == OutOfMemory()


def test_kernels_of_other_groups_are_no_rivals(hospital: Hospital) -> None:
    """Each group has a count of its own."""
    elsewhere = FakeGroup(hospital.group.folder.parent / "others", 2)
    hospital.machine.process(BIG, "0::/others")
    big, small = Patient(hospital.ward, BIG), hospital.admit(SMALL)
    hospital.group.kill()
    big.ends(SIGKILLED, held=2 * GIB)
    small.ends(SIGKILLED, held=GIB)
    assert small.after_death().memory == OutOfMemory()
    assert big.after_death().memory is None
    assert elsewhere.folder.exists()


# -- others killed for memory ----------------------------------------------------------------


def test_a_childs_kill_is_told_to_all_kernels_of_its_group(hospital: Hospital) -> None:
    """Nobody knows whose child it was; each is told once."""
    both = [hospital.admit(BIG), hospital.admit(SMALL)]
    hospital.group.kill(2)
    for _ in range(3):
        for each in both:
            each.vitals.look()
    assert [each.survived for each in both] == [[2], [2]]


def test_the_death_of_a_kernel_is_not_told_to_its_neighbours_as_a_childs(
    hospital: Hospital,
) -> None:
    """Though they look while it dies."""
    dying, other = hospital.admit(BIG), hospital.admit(SMALL)
    hospital.group.kill()
    hospital.machine.states(BIG, KILLED)
    for _ in range(3):
        other.vitals.look()
    dying.ends(SIGKILLED, held=GIB)
    assert dying.after_death().memory == OutOfMemory()
    for _ in range(3):
        other.vitals.look()
    assert other.survived == []


def test_nobody_looks_at_the_dead(hospital: Hospital) -> None:
    """What their number tells by then may be another process."""
    patient = hospital.admit(BIG)
    patient.ends(SIGKILLED, held=GIB, cpu=2.0)
    hospital.uses[BIG] = Usage(9 * GIB, 9.0)
    hospital.group.kill()
    for _ in range(3):
        patient.vitals.look()
    assert patient.survived == []
    assert patient.vitals.used == Usage(GIB, 2.0)


def test_who_is_not_looked_after_any_more_is_forgotten(hospital: Hospital) -> None:
    """Closing twice, or a number that is given again, does no harm."""
    patient, other = hospital.admit(BIG), hospital.admit(SMALL)
    patient.vitals.close()
    patient.vitals.close()
    hospital.group.kill()
    for _ in range(2):
        other.vitals.look()
    assert (patient.survived, other.survived) == ([], [1])
    other.vitals.close()
    assert hospital.ward.patients == {}
    assert hospital.ward.groups._groups == {}


def test_the_ward_of_this_machine_can_be_asked() -> None:
    """Without any preparation, of a process that is there."""
    ward = Ward()
    patient = Patient(ward, os.getpid())
    patient.vitals.look()
    assert patient.vitals.used.peak_memory
    assert not patient.vitals.is_stopped
    patient.ends(Exit(0))
    assert patient.after_death().memory is None


# -- what was used, added up -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later", "together"),
    [
        (Usage(), None, Usage()),
        (Usage(2, 1.0), None, Usage(2, 1.0)),
        (Usage(2, 1.0), Usage(), Usage(2, 1.0)),
        (Usage(), Usage(2, 1.0), Usage(2, 1.0)),
        (Usage(3, 1.0), Usage(2, 5.0), Usage(3, 5.0)),
        (Usage(2, 1.0), Usage(3, None), Usage(3, 1.0)),
        (Usage(2, 1.0), Usage(None, 0.0), Usage(2, 0.0)),
    ],
)
def test_a_later_look_adds_to_an_earlier_one(
    earlier: Usage, later: Usage | None, together: Usage
) -> None:
    """The highest peak, the latest time, and nothing is lost to a look that saw nothing."""
    assert earlier.later(later) == together


# -- real processes --------------------------------------------------------------------------

CPU = 0.3
"""Seconds of processor time that a child burns."""
TICKS = 0.05
"""What is lost of it where it is told in hundredths of a second, user's and system's apart."""

CHILD = """
import sys, time
held = b"x" * int(sys.argv[1])
while time.process_time() < float(sys.argv[2]):
    sum(range(20_000))
del held
print("ready", flush=True)
sys.stdin.read()
sys.exit(int(sys.argv[3]))
"""


def our_peak() -> int:
    """What this process held at most."""
    import resource  # noqa: PLC0415 - not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a child that holds so much, burns so many seconds, lets go, and is ready."""
    children: list[subprocess.Popen[bytes]] = []

    def start(hold: int = 0, burn: float = 0, code: int = 0) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-S", "-c", CHILD, str(hold), str(burn), str(code)]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        return child

    yield start
    for child in children:
        with child:
            child.kill()


linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no pidfds here")


@pytest.fixture
def pidfd() -> Iterator[Callable[[subprocess.Popen[bytes]], int]]:
    """Open a pidfd of a child."""
    opened: list[int] = []

    def open_pidfd(child: subprocess.Popen[bytes]) -> int:
        opened.append(os.pidfd_open(child.pid))
        return opened[-1]

    yield open_pidfd
    for each in opened:
        os.close(each)


def wait_for_end(fd: int) -> None:
    """Wait until a process is a zombie, without reaping it."""
    assert select.select([fd], [], [], 30)[0]


def test_a_living_process_tells_what_it_used(spawn: Spawn) -> None:
    """The most that it ever held, not what it holds now, and its processor time."""
    child = spawn(hold=64 * MIB, burn=CPU)
    used = usage_of(child.pid)
    assert used.cpu_seconds is not None
    assert used.cpu_seconds >= CPU - TICKS
    assert used.peak_memory is not None
    if sys.platform == "linux":
        assert used.peak_memory >= 64 * MIB
        assert psutil.Process(child.pid).memory_info().rss < used.peak_memory


def test_a_process_that_is_gone_tells_nothing(spawn: Spawn) -> None:
    """And that is no fault."""
    child = spawn()
    child.kill()
    child.wait()
    assert usage_of(child.pid) == Usage()
    assert not is_stopped(child.pid)


@linux
@pytest.mark.parametrize("code", [0, 7])
def test_a_zombie_tells_what_it_used_and_is_not_reaped(
    spawn: Spawn, pidfd: Callable[..., int], code: int
) -> None:
    """Twice, if one likes; its Popen still gets the right code."""
    hold = our_peak() + 64 * MIB
    child = spawn(hold=hold, burn=CPU, code=code)
    fd = pidfd(child)
    assert child.stdin is not None
    child.stdin.close()
    wait_for_end(fd)
    for _ in range(2):
        used = usage_of_zombie(fd)
        assert used is not None
        assert used.cpu_seconds is not None
        assert used.cpu_seconds >= CPU
        assert used.peak_memory is not None
        assert hold <= used.peak_memory < 3 * hold
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert child.wait() == code


@linux
def test_a_zombie_that_was_killed_tells_too(spawn: Spawn, pidfd: Callable[..., int]) -> None:
    """That is the one that matters."""
    child = spawn(burn=1 + CPU)
    fd = pidfd(child)
    child.send_signal(signal.SIGKILL)
    wait_for_end(fd)
    used = usage_of_zombie(fd)
    assert used is not None
    assert used.cpu_seconds is not None
    assert used.cpu_seconds >= 1 + CPU
    assert child.wait() == -signal.SIGKILL


@linux
def test_a_small_zombies_peak_is_not_believed(spawn: Spawn, pidfd: Callable[..., int]) -> None:
    """It began as a copy of us, and that is what the system remembers."""
    ballast = b"x" * (64 * MIB)
    child = spawn()
    fd = pidfd(child)
    child.kill()
    wait_for_end(fd)
    used = usage_of_zombie(fd)
    assert used is not None
    assert used.peak_memory is None
    assert len(ballast) < our_peak()


@linux
def test_a_process_that_was_reaped_already_tells_nothing(
    spawn: Spawn, pidfd: Callable[..., int]
) -> None:
    """Its Popen was faster."""
    child = spawn()
    fd = pidfd(child)
    child.kill()
    child.wait()
    assert usage_of_zombie(fd) is None


@linux
def test_zombies_are_not_asked_on_unknown_machines(
    spawn: Spawn, pidfd: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a system call is known for some machines only."""
    child = spawn()
    fd = pidfd(child)
    child.kill()
    wait_for_end(fd)
    monkeypatch.setattr(usage.platform, "machine", lambda: "pdp11")
    assert usage_of_zombie(fd) is None


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing can be stopped here")
def test_a_stopped_process_is_seen_to_be_stopped(spawn: Spawn) -> None:
    """Until it is continued."""
    child = spawn()
    assert not is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert is_stopped(child.pid)
    child.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, child.pid, os.WCONTINUED)
    assert not is_stopped(child.pid)
