"""Contract sections 1 and 3: kernels that run out of memory or time, and what they had used."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support.memory_group import MemoryGroup, NoMemoryGroupError, memory_group
from support.server import Server, eventually, held_for
from support.start_failures import IPYKERNEL, last_words
from support.stories import changes, come_back, execute, kill, run

Starter = Callable[..., str]

MIB = 2**20
BEAT = 0.2
CONFIG = {
    "KernelStatusApp": {"heartbeat_interval": BEAT},
    "KernelManager": {"shutdown_wait_time": 0.5},
    "KernelRestarter": {"restart_limit": 100},
}
FIRST_VICTIM = "open('/proc/self/oom_score_adj', 'w').write('1000')\n"
"""Python code: who runs it is killed before others of its group."""
FILL = FIRST_VICTIM + "kept = []\nwhile True: kept.append(b'x' * 2**22)"
"""Python code that takes memory until it is killed for it."""
UNITS = {"KiB": 2**10, "MiB": MIB, "GiB": 2**30}
BLIND = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")
"""What runs a command without any file below /sys/fs/cgroup."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that looks at its kernels several times a second."""
    with Server(config=CONFIG) as server:
        yield server


def group_of(limit: int) -> Iterator[MemoryGroup]:
    """A memory group, or no test."""
    try:
        with memory_group(limit) as made:
            yield made
    except NoMemoryGroupError:
        pytest.skip("no writable memory cgroup")


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    """A memory group for one or two kernels."""
    yield from group_of(320 * MIB)


@pytest.fixture(scope="module")
def container() -> Iterator[tuple[Server, MemoryGroup]]:
    """A server that was started, with all it starts, in a memory group, as in a container."""
    for group in group_of(512 * MIB):
        with started_through(group.joining(), CONFIG) as server:
            yield server, group


def started_through(wrapper: list[str], config: dict[str, dict]) -> Server:
    """A server whose process was a wrapper's before."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        script = Path(folder) / "python"
        script.write_text(f'#!/bin/sh\nexec {shlex.join([*wrapper, sys.executable])} "$@"\n')
        script.chmod(0o755)
        patch.setattr(sys, "executable", str(script))
        return Server(config=config)


def inside(server: Server, group: MemoryGroup, start: Starter) -> tuple[str, dict]:
    """A connected ipykernel in the group, and its status."""
    kernel = start(server.spec(f"in-{group.path.name}", group.joining(*IPYKERNEL)))
    return kernel, server.settled(kernel)


def run_out(server: Server, kernel: str) -> dict:
    """Let the kernel run out of memory, wait until it is back, and give its last termination."""
    before = server.settled(kernel)["revision"]
    with server.client(kernel) as client:
        execute(client, FILL)
        come_back(server, kernel, before)
    return last_words(server, kernel)


def killed(server: Server, kernel: str) -> dict:
    """Kill the kernel as anybody could, wait until it is back, and give its last termination."""
    before = server.settled(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)
    return last_words(server, kernel)


def told_sizes(reason: str) -> list[float]:
    """The sizes in a sentence, in bytes."""
    found = re.findall(r"([\d.]+) (KiB|MiB|GiB)", reason)
    return [float(number) * UNITS[unit] for number, unit in found]


# -- out of memory


def test_out_of_memory(server: Server, group: MemoryGroup, start: Starter) -> None:
    """A kernel killed for its memory is told as that, with how much it held and what to do."""
    kernel, before = inside(server, group, start)
    last = run_out(server, kernel)
    assert group.kills == 1
    assert (last["cause"], last["signal"], last["exit_code"]) == ("OOMKilled", "SIGKILL", None)
    assert (last["pid"], last["expected"]) == (before["pid"], False)
    assert group.limit * 0.7 <= last["peak_memory"] <= group.limit * 1.4
    assert re.search(r"out[- ]of[- ]memory", last["reason"])
    assert "SIGKILL" in last["reason"]
    assert [size for size in told_sizes(last["reason"]) if 0.97 < size / last["peak_memory"] < 1.03]
    assert last["hint"]
    meanwhile = [each for each in changes(server, kernel) if each["status"] == "autorestarting"]
    assert {(each["cause"], bool(each["reason"])) for each in meanwhile} == {("OOMKilled", True)}


def test_out_of_memory_each_time(server: Server, group: MemoryGroup, start: Starter) -> None:
    """It is told each time, also when the counter is looked at while the process goes down."""
    kernel, _ = inside(server, group, start)
    assert [run_out(server, kernel)["cause"] for _ in range(8)] == ["OOMKilled"] * 8
    assert group.kills == 8


def test_killed_after_out_of_memory(server: Server, group: MemoryGroup, start: Starter) -> None:
    """A kill for memory is counted for one death only: the next one of the same kernel is plain."""
    kernel, _ = inside(server, group, start)
    assert run_out(server, kernel)["cause"] == "OOMKilled"
    last = killed(server, kernel)
    assert (last["cause"], last["signal"], last["generation"]) == ("Killed", "SIGKILL", 1)
    assert [run_out(server, kernel)["cause"], group.kills] == ["OOMKilled", 2]


def test_neighbour_killed_after_out_of_memory(
    server: Server, group: MemoryGroup, start: Starter
) -> None:
    """Nor is it counted for another kernel of the group, one that was there all the time."""
    one, _ = inside(server, group, start)
    two, _ = inside(server, group, start)
    assert run_out(server, one)["cause"] == "OOMKilled"
    assert killed(server, two)["cause"] == "Killed"


@pytest.mark.parametrize("first", ["out of memory", "killed"])
def test_two_deaths_at_once(server: Server, group: MemoryGroup, start: Starter, first: str) -> None:
    """Of two kernels of a group that die in one instant, one by memory, one is told so."""
    one, before_one = inside(server, group, start)
    two, before_two = inside(server, group, start)

    def gone(status: dict) -> bool:
        return psutil.Process(status["pid"]).status() == psutil.STATUS_ZOMBIE

    server.process.send_signal(signal.SIGSTOP)
    try:
        if first == "killed":
            os.kill(before_two["pid"], signal.SIGKILL)
        with server.client(one) as client:
            execute(client, FILL)
            eventually(lambda: gone(before_one), what="the kernel ran out of memory")
        if first != "killed":
            os.kill(before_two["pid"], signal.SIGKILL)
        eventually(lambda: gone(before_two), what="the other kernel is killed")
    finally:
        server.process.send_signal(signal.SIGCONT)
    come_back(server, one, before_one["revision"])
    come_back(server, two, before_two["revision"])
    lasts = [last_words(server, kernel) for kernel in (one, two)]
    assert sorted(last["cause"] for last in lasts) == ["Killed", "OOMKilled"]
    assert [last["signal"] for last in lasts] == ["SIGKILL"] * 2
    assert group.kills == 1


def test_child_out_of_memory(server: Server, group: MemoryGroup, start: Starter) -> None:
    """A child that is killed for memory while its kernel lives on does not count later."""
    kernel, before = inside(server, group, start)
    cell = f"""import subprocess, sys
code = subprocess.run([sys.executable, "-c", {FILL!r}]).returncode
assert code == -9, code"""
    assert (run(server, kernel, cell)["status"], group.kills) == ("ok", 1)
    same = {**server.settled(kernel), "revision": 0, "since": ""}
    assert same == {**before, "revision": 0, "since": ""}
    assert held_for(lambda: server.status(kernel)["status"] == "connected", 4 * BEAT)
    assert killed(server, kernel)["cause"] == "Killed"


def test_out_of_memory_before_it_answered(
    server: Server, group: MemoryGroup, start: Starter
) -> None:
    """A process killed for memory before it ever answered is told as that, not as a bad start."""
    gate = server.gate()
    code = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n{FILL}"
    argv = group.joining(sys.executable, "-c", code)
    kernel = start(server.spec(f"early-{group.path.name}", argv), wait=False)
    server.wait(kernel, status="connecting")
    assert held_for(lambda: server.status(kernel)["status"] == "connecting", 4 * BEAT)
    gate.open()
    status = server.until_dead(kernel)
    assert (status["cause"], status["generation"], status["restart_count"]) == ("OOMKilled", 0, 0)
    assert re.search(r"out[- ]of[- ]memory", status["reason"])
    assert last_words(server, kernel)["signal"] == "SIGKILL"


def test_out_of_memory_behind_a_shell(server: Server, group: MemoryGroup, start: Starter) -> None:
    """A kernel killed for memory below a shell, which says 137, is told as that as well."""
    kernel = start(server.spec(f"behind-{group.path.name}", group.around(*IPYKERNEL)))
    last = run_out(server, kernel)
    assert (last["cause"], last["exit_code"], last["signal"]) == ("OOMKilled", 137, None)


def test_out_of_memory_in_a_container(container: tuple[Server, MemoryGroup]) -> None:
    """A kernel killed for memory in the group of its server is told as that; a kill is a kill."""
    server, group = container
    kernel = server.connected()
    neighbour = server.connected()
    kills = group.kills
    last = run_out(server, kernel)
    assert (last["cause"], group.kills) == ("OOMKilled", kills + 1)
    assert killed(server, neighbour)["cause"] == "Killed"
    for each in (kernel, neighbour):
        server.delete(each)


def test_out_of_memory_in_a_container_at_once(container: tuple[Server, MemoryGroup]) -> None:
    """So is one that takes too much as the first thing it does."""
    server, _ = container
    kernel = server.start_kernel(server.spec("greedy", [sys.executable, "-c", FILL]))
    status = server.until_dead(kernel)
    assert (status["cause"], status["restart_count"]) == ("OOMKilled", 0)
    server.delete(kernel)


# -- no out of memory


def test_killed_is_killed(server: Server, start: Starter) -> None:
    """A SIGKILL that no counter explains is a SIGKILL, and nobody is accused."""
    last = killed(server, start("python3"))
    assert (last["cause"], last["signal"]) == ("Killed", "SIGKILL")


def test_group_that_is_gone(server: Server, group: MemoryGroup, start: Starter) -> None:
    """A kernel that was moved out of a group that is no more dies like any other."""
    kernel, _ = inside(server, group, start)
    group.remove()
    logged = server.log().count("Traceback")
    pid = kill(server, kernel)
    ends = eventually(lambda: server.history(kernel)["terminations"], what="its end is told")
    assert (ends[0]["pid"], ends[0]["cause"]) == (pid, "Killed")
    assert server.log().count("Traceback") == logged


def test_cgroups_that_cannot_be_seen(group: MemoryGroup) -> None:
    """Where the counters cannot be read, a death for memory is a plain kill, and all else works."""
    if not shutil.which("unshare") or subprocess.run([*BLIND, "true"], check=False).returncode:
        pytest.skip("no mount namespace of our own")
    with started_through(list(BLIND), CONFIG) as server:
        kernel = server.connected()
        group.join(server.status(kernel)["pid"])
        last = run_out(server, kernel)
        assert (last["cause"], last["signal"], group.kills) == ("Killed", "SIGKILL", 1)
        assert "Traceback" not in server.log()


# -- what a process had used


def test_peak_memory(server: Server, start: Starter) -> None:
    """The peak is what the process held at its most, though it had given it back."""
    kernel = start("python3")
    assert run(server, kernel, "kept = b'x' * (300 * 2**20); del kept")["status"] == "ok"
    now = psutil.Process(server.status(kernel)["pid"]).memory_info().rss
    last = killed(server, kernel)
    assert now < 250 * MIB
    assert 300 * MIB <= last["peak_memory"] <= 300 * MIB + 2 * now


def test_peak_memory_below_a_large_ancestor() -> None:
    """What the server's own parent once held, which the system hands down, hides no peak."""
    large = "import os, sys; b'x' * (600 * 2**20); os.execvp(sys.argv[1], sys.argv[1:])"
    with started_through([sys.executable, "-c", large], CONFIG) as server:
        kernel = server.connected("python3")
        assert run(server, kernel, "kept = b'x' * (300 * 2**20); del kept")["status"] == "ok"
        assert 300 * MIB <= killed(server, kernel)["peak_memory"] < 600 * MIB


def test_peak_memory_of_a_small_kernel(server: Server, fake: Starter) -> None:
    """A kernel smaller than the server does not get the server's size."""
    kernel = fake("good")
    now = psutil.Process(server.status(kernel)["pid"]).memory_info().rss
    assert 1.5 * now < server.ps.memory_info().rss
    peak = killed(server, kernel)["peak_memory"]
    assert peak is None or 0.9 * now <= peak <= 1.5 * now


def test_cpu_seconds(server: Server, start: Starter) -> None:
    """The CPU time of the dead process is what it had used, as seen from outside."""
    kernel = start("python3")
    cell = "import time\nwhile time.process_time() < 1.5: pass"
    assert run(server, kernel, cell)["status"] == "ok"
    used = sum(psutil.Process(server.status(kernel)["pid"]).cpu_times()[:2])
    assert 1.4 < used - 0.02 <= killed(server, kernel)["cpu_seconds"] <= used + 1
    again = sum(psutil.Process(server.status(kernel)["pid"]).cpu_times()[:2])
    assert again - 0.02 <= killed(server, kernel)["cpu_seconds"] <= again + 1 < 1.5 + used


def test_cpu_limit(server: Server, start: Starter) -> None:
    """A kernel that reaches its limit of CPU time is told so, with the time it had."""
    kernel = start("python3")
    before = server.status(kernel)["revision"]
    cell = """import resource, time
limit = int(time.process_time()) + 1
resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
while True: pass"""
    with server.client(kernel) as client:
        execute(client, cell)
        come_back(server, kernel, before)
    last = last_words(server, kernel)
    assert (last["cause"], last["signal"]) == ("CpuLimitExceeded", "SIGXCPU")
    assert 0.5 <= last["cpu_seconds"] <= 4


def test_figures_of_a_crash(server: Server, start: Starter) -> None:
    """A native crash has its figures too."""
    kernel = start("python3")
    before = server.status(kernel)
    process = psutil.Process(before["pid"])
    used, held = sum(process.cpu_times()[:2]), process.memory_info().rss
    with server.client(kernel) as client:
        execute(client, "import ctypes; ctypes.string_at(0)")
        come_back(server, kernel, before["revision"])
    last = last_words(server, kernel)
    assert last["cause"] == "SegmentationFault"
    assert used - 0.02 <= last["cpu_seconds"] <= used + 2
    assert 0.9 * held <= last["peak_memory"] <= 2 * held


def test_figures_of_a_failed_start(server: Server, start: Starter) -> None:
    """So has a process that never answered."""
    code = "import time\nwhile time.process_time() < 0.5: pass\nraise SystemExit(3)"
    kernel = start(server.spec("burns", [sys.executable, "-c", code]), wait=False)
    server.until_dead(kernel)
    assert 0.45 <= last_words(server, kernel)["cpu_seconds"] <= 2
