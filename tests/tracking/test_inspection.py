"""Looks at processes: real ones, gone ones, and those that may not be looked at."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.dialogues import BIRTH
from support.server import eventually

from kernel_status_ext.core.model import Kernel, Process
from kernel_status_ext.core.words import Cause, Status
from kernel_status_ext.tracking import table
from kernel_status_ext.tracking.inspection import (
    Elsewhere,
    Figures,
    Hidden,
    Inspection,
    Inspector,
    NoProcess,
)

Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(params=["proc", "psutil"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read the process table: Linux's own files, and psutil as elsewhere."""
    if request.param == "psutil":
        monkeypatch.setattr(table, "PROC", Path("/nowhere"))
    return request.param


SLEEP = ("sleep", "1000")
SPIN = (sys.executable, "-c", "while True: pass")


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start processes that are gone at the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen(command or SLEEP))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def kernel(pid: int | None, name: str = "k", **more: Any) -> Kernel:
    """A connected kernel whose process this is."""
    process = Process(BIRTH, pid, BIRTH)
    return Kernel(name, "python3", BIRTH, Status.CONNECTED, process=process, **more)


async def look(inspector: Inspector, *kernels: Kernel, full: bool = False) -> list[Inspection]:
    """What is found of each."""
    found = await inspector.inspect(kernels, full=full)
    assert list(found) == [each.id for each in kernels]
    return list(found.values())


async def measured(inspector: Inspector, *kernels: Kernel) -> list[Inspection]:
    """What is found of each once all had an interval."""
    found = await look(inspector, *kernels)
    while None in [each.cpu_percent for each in found]:
        found = await look(inspector, *kernels)
    return found


def once(*kernels: Kernel, full: bool = False, here: bool = True) -> list[Inspection]:
    """One look by somebody who has not looked before."""
    return asyncio.run(look(Inspector(lambda _: here), *kernels, full=full))


# -- without a look


def test_without_a_process() -> None:
    """The kernel's own reason, and a sentence where it has none yet."""
    dead = Kernel("dead", "x", BIRTH, Status.DEAD, "It was killed.", Cause.KILLED)
    starting = Kernel("new", "x", BIRTH)
    found = once(dead, starting)
    assert found[0] == NoProcess("It was killed.")
    assert isinstance(found[1], NoProcess)
    assert found[1].reason.endswith(".")


def test_elsewhere() -> None:
    """What is no child of ours is not looked at, even where its number is one of our processes."""
    (found,) = once(kernel(os.getpid()), here=False)
    assert isinstance(found, Elsewhere)
    assert found.reason.endswith(".")


def test_no_kernels() -> None:
    """Nothing is found of nothing."""
    assert once() == []


# -- processes that are gone


def test_a_process_that_has_just_gone(spawn: Spawn) -> None:
    """Its number is nobody's: there is none, and a sentence says so."""
    process = spawn()
    process.kill()
    process.wait()
    (found,) = once(kernel(process.pid), full=True)
    assert isinstance(found, NoProcess)
    assert found.reason.endswith(".")


def test_a_zombie_is_no_process(spawn: Spawn) -> None:
    """Nor is one that has ended and whose end nobody has taken note of."""
    process = spawn()
    process.kill()
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    (found,) = once(kernel(process.pid), full=True)
    assert isinstance(found, NoProcess)


def test_a_process_that_goes_between_two_looks(spawn: Spawn) -> None:
    """What was kept of it is not told any more."""

    async def scene() -> None:
        inspector, process = Inspector(lambda _: True), spawn()
        (there,) = await look(inspector, kernel(process.pid))
        assert isinstance(there, Figures)
        process.kill()
        process.wait()
        (gone,) = await look(inspector, kernel(process.pid))
        assert isinstance(gone, NoProcess)

    asyncio.run(scene())


def test_processes_that_went_are_forgotten(spawn: Spawn) -> None:
    """Nothing is kept of those that ended, once the others were looked at."""

    async def scene() -> int:
        inspector, processes = Inspector(lambda _: True), [spawn() for _ in range(10)]
        await look(inspector, *[kernel(each.pid, str(each.pid)) for each in processes])
        for process in processes[1:]:
            process.kill()
            process.wait()
        await look(inspector, kernel(processes[0].pid))
        await inspector.inspect([])
        await look(inspector, kernel(processes[0].pid))
        gone = {process.pid for process in processes[1:]}
        gc.collect()
        kept = [each for each in gc.get_objects() if type(each) is psutil.Process]
        del inspector
        # psutil's own process_iter keeps those of its last pass.
        known = psutil._pmap
        return sum(each.pid in gone and known.get(each.pid) is not each for each in kept)

    assert asyncio.run(scene()) == 0


# -- processes that may not be looked at


COSTLY = ["memory_full_info", "io_counters"]

OF_PLATFORM: Any = psutil._psplatform.Process
"""What psutil asks the system with; the methods above it are memoized."""


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the system refuse these figures of a process."""

    def denied(pid: int, *names: str) -> None:
        for name in names:
            monkeypatch.setattr(OF_PLATFORM, name, refusing(getattr(OF_PLATFORM, name), pid))

    return denied


def refusing(right: Callable[..., Any], pid: int) -> Callable[..., Any]:
    """The same, but for one process."""

    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.pid == pid:
            raise psutil.AccessDenied(pid)
        return right(self, *args, **kwargs)

    return asked


def test_access_denied(spawn: Spawn, deny: Callable[..., None]) -> None:
    """A process that lives and of which nothing may be known is told as that."""
    pid = spawn().pid
    deny(pid, "status", "memory_info", "cpu_times", "num_threads", "cmdline", *COSTLY)
    assert once(kernel(pid)) == [Hidden(pid)]
    assert once(kernel(pid), full=True) == [Hidden(pid)]


@pytest.mark.parametrize(
    "name", ["status", "cpu_times", "num_threads", "num_fds", "cmdline", *COSTLY]
)
def test_a_figure_that_may_not_be_known(spawn: Spawn, deny: Callable[..., None], name: str) -> None:
    """One figure that is refused is no error, whatever is made of it."""
    pid = spawn().pid
    deny(pid, name)
    (found,) = once(kernel(pid), full=True)
    assert isinstance(found, (Figures, Hidden))


def test_children_that_may_not_be_looked_at(spawn: Spawn, deny: Callable[..., None]) -> None:
    """They are counted, and those beside them are measured."""
    parent = psutil.Process(spawn("sh", "-c", "sleep 1000 & sleep 1000 & wait").pid)
    hidden, seen = eventually(lambda: len(c := parent.children()) == 2 and c)
    deny(hidden.pid, "memory_info")
    (found,) = once(kernel(parent.pid))
    assert isinstance(found, Figures)
    assert found.children.count == 2
    # Linux counts pages a moment late; the hidden one's would be as many again.
    assert found.children.memory_rss == pytest.approx(seen.memory_info().rss, rel=0.3)


def test_a_platform_that_tells_less(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without io and without proportional memory these are null, and nothing else is."""
    process, right = spawn(), psutil.Process.memory_full_info

    class Poor(psutil.Process):
        @property
        def io_counters(self) -> Any:
            raise AttributeError("io_counters")

        def memory_full_info(self) -> Any:
            return type("pfullmem", (), {"uss": right(self).uss})()

    monkeypatch.setattr(psutil, "Process", Poor)
    (found,) = once(kernel(process.pid), full=True)
    assert isinstance(found, Figures)
    assert found.costly is not None
    assert (found.costly.memory_pss, found.costly.read, found.costly.written) == (None, None, None)
    assert found.costly.memory_uss > 0


# -- how one looks


def test_the_loop_is_free_meanwhile(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that takes long is no matter of the loop, which works on and lets it end."""
    process, right, entered, free = spawn(), OF_PLATFORM.memory_info, [], threading.Event()

    async def scene() -> None:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def slow(self: Any) -> Any:
            loop.call_soon_threadsafe(begun.set)
            entered.append(free.wait(60))
            return right(self)

        monkeypatch.setattr(OF_PLATFORM, "memory_info", slow)
        task = asyncio.ensure_future(look(Inspector(lambda _: True), kernel(process.pid)))
        await asyncio.wait_for(begun.wait(), 60)
        assert not task.done()
        free.set()
        assert isinstance((await task)[0], Figures)

    asyncio.run(scene())
    assert set(entered) == {True}


def test_somebody_who_goes_away_harms_nobody(spawn: Spawn) -> None:
    """A look that is cancelled leaves the next one as it is."""

    async def scene() -> list[Inspection]:
        inspector, process = Inspector(lambda _: True), spawn()
        looks = [asyncio.ensure_future(look(inspector, kernel(process.pid))) for _ in range(6)]
        await asyncio.sleep(0)
        for each in looks[::2]:
            each.cancel()
        ended = await asyncio.gather(*looks, return_exceptions=True)
        assert all(isinstance(each[0], Figures) for each in ended[1::2])
        return await look(inspector, kernel(process.pid))

    assert isinstance(asyncio.run(scene())[0], Figures)


@pytest.mark.skipif(sys.platform != "linux", reason="counts readings of /proc")
def test_one_pass_over_the_process_table(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten kernels take as many readings of the list of all processes as one does."""
    kernels = [kernel(spawn().pid, str(number)) for number in range(10)]
    passes, right = [], os.listdir

    def counted(path: Any = ".") -> Any:
        if os.fspath(path) in ("/proc", b"/proc"):
            passes.append(path)
        return right(path)

    monkeypatch.setattr(os, "listdir", counted)
    once(kernels[0])
    of_one = len(passes)
    once(*kernels)
    assert len(passes) - of_one <= max(of_one, 1)


# -- processor time


def test_processor_time_wants_an_interval(spawn: Spawn) -> None:
    """Null at first, known later; many who look at one moment all get what is known."""

    async def scene() -> None:
        inspector, spinning, resting = Inspector(lambda _: True), spawn(*SPIN), spawn()
        kernels = kernel(spinning.pid, "spinning"), kernel(resting.pid, "resting")
        first = await look(inspector, *kernels)
        assert [each.cpu_percent for each in first] == [None, None]
        found = await measured(inspector, *kernels)
        # A busy machine lets one that spins wait, and one that rests still be starting.
        while not 0 < found[0].cpu_percent <= 150 or found[1].cpu_percent >= 10:
            found = await measured(inspector, *kernels)
        looks = await asyncio.gather(*[look(inspector, *kernels) for _ in range(20)])
        assert all(0 <= spins.cpu_percent <= 150 for spins, _ in looks)

    asyncio.run(scene())


def test_a_number_that_is_given_again(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was born later is another one, also with the same number."""
    right, later = table.Table.get, [0]

    def get(self: table.Table, pid: int) -> table.Entry | None:
        entry = right(self, pid)
        if entry is None:
            return None
        born, at = entry.born + later[0], entry.create_time + later[0]
        return dataclasses.replace(entry, born=born, create_time=at)

    monkeypatch.setattr(table.Table, "get", get)

    async def scene() -> None:
        inspector, process = Inspector(lambda _: True), spawn()
        (one,) = await measured(inspector, kernel(process.pid))
        later[0] = 100
        (other,) = await look(inspector, kernel(process.pid, generation=1))
        later_by = (other.create_time - one.create_time).total_seconds()
        assert later_by == pytest.approx(100, abs=1)
        assert other.cpu_percent is None

    asyncio.run(scene())
