"""Contract section 3: `GET /api/kernels/ID/inspect` and `GET /api/kernels/inspect`."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest
from support.authorizers import HEADER
from support.external import External
from support.figures import FULL, KEYS, checked, inspect, inspect_all
from support.server import PATIENCE, Server, eventually, held_for
from support.stories import come_back, execute, heard, kill, moment, run

Starter = Callable[..., str]

MIB = 2**20

BLOCKADE = """
import ctypes, os
pipe = os.open({path!r}, os.O_RDWR)
open({path!r} + ".reached", "w").close()
ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)
"""
"""Keeps the interpreter's lock until somebody writes to a pipe."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that looks for kernels of others, and whose authorizer can be told to deny."""
    config = {
        "ServerApp": {
            "allow_external_kernels": True,
            "authorizer_class": "authorizers.DenyByHeader",
        },
        "KernelManager": {"shutdown_wait_time": 1.0},
    }
    with Server(config=config) as server:
        yield server


def python(server: Server, kernel: str, code: str) -> None:
    """Run a cell that must succeed."""
    reply = run(server, kernel, code)
    assert reply["status"] == "ok", reply


def agrees(server: Server, kernel: str) -> bool:
    """Whether the work of an interval is told as the process table has it.

    How much that is depends on what else this machine does: near 100 where it does nothing else.
    """
    process = psutil.Process(server.status(kernel)["pid"])
    figures: list[tuple[float, float, float | None]] = []
    for _ in range(2):
        told = inspect(server, kernel)["cpu_percent"]
        figures.append((sum(process.cpu_times()[:2]), time.monotonic(), told))
        held_for(lambda: sum(process.cpu_times()[:2]) - figures[0][0] < 0.5, PATIENCE)
    (worked, begin, _), (working, end, told) = figures
    seen = 100 * (working - worked) / (end - begin)
    return told is not None and abs(told - seen) < 5 + 0.2 * seen


# -- figures


def test_figures_are_those_of_the_process(server: Server, fake: Starter) -> None:
    """They are what an independent look at the process tells."""
    kernel = fake("good")
    told, process = inspect(server, kernel), psutil.Process(server.status(kernel)["pid"])
    assert (told["alive"], told["pid"]) == (True, process.pid)
    # psutil counts from the whole second in which the machine was booted.
    assert -0.1 <= moment(told["create_time"]) - process.create_time() <= 1.1
    started = moment(server.status(kernel)["started_at"])
    assert moment(told["create_time"]) <= started + 0.1
    assert told["cmdline"] == process.cmdline()
    assert told["num_threads"] == process.num_threads()
    eventually(lambda: inspect(server, kernel)["num_fds"] == process.num_fds(), what="same files")
    assert told["memory_vms_bytes"] == process.memory_info().vms
    assert abs(told["memory_rss_bytes"] - process.memory_info().rss) < 2 * MIB
    assert told["process_status"] in (psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING)
    assert 0 < told["cpu_seconds"] <= sum(process.cpu_times()[:2])
    assert told["children"] == {"count": 0, "memory_rss_bytes": 0}


def test_figures_of_a_busy_kernel(server: Server, fake: Starter) -> None:
    """A kernel whose shell is at work is inspected all the same, and does not change by it."""
    kernel, gate = fake("single-loop"), server.gate()
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        execute(client, gate.command)
        busy = server.wait(kernel, execution_state="busy", since=before).json()
        assert inspect(server, kernel, detail="full")["pid"] == busy["pid"]
        assert server.status(kernel) == busy
        gate.open()


def test_figures_of_a_blocked_interpreter(server: Server, kernel: str) -> None:
    """Nor does it need an interpreter that can do anything."""
    path = str(server.folder / "blockade")
    os.mkfifo(path)
    with server.client(kernel) as client:
        execute(client, BLOCKADE.format(path=path))
        eventually(lambda: os.path.exists(path + ".reached"))  # noqa: PTH110
        assert inspect(server, kernel)["alive"] is True
        assert inspect_all(server)[kernel]["alive"] is True
        pipe = os.open(path, os.O_RDWR)
        os.write(pipe, b"x")
        os.close(pipe)


def test_processor_time_between_two_looks(server: Server, start: Starter, fake: Starter) -> None:
    """`null` at first; then what a cell spins, and little for others and afterwards."""
    kernel, other, gate = start(), fake("good"), server.gate()
    assert [inspect(server, each)["cpu_percent"] for each in (kernel, other)] == [None, None]
    before = inspect(server, kernel)["cpu_seconds"]
    with server.client(kernel) as client:
        spin = gate.cell.replace("time.sleep(0.01)", "pass")
        cell = execute(client, spin)
        eventually(gate.reached.exists)
        eventually(lambda: agrees(server, kernel), what="as much as the process table has")
        eventually(
            lambda: (inspect(server, other)["cpu_percent"] or 0) < 20, what="the other rests"
        )
        gate.open()
        heard(client, "idle", cell)
    assert inspect(server, kernel)["cpu_seconds"] > before
    eventually(lambda: (inspect(server, kernel)["cpu_percent"] or 0) < 20, what="it rests")


def test_memory_grows_and_its_peak_stays(server: Server, kernel: str) -> None:
    """200 MiB more while a cell keeps them; afterwards the peak tells of them."""
    before = inspect(server, kernel)
    python(server, kernel, f"x = b'x' * {200 * MIB}")
    full = inspect(server, kernel)
    python(server, kernel, "del x")
    after = inspect(server, kernel)
    grown = before["memory_rss_bytes"] + 190 * MIB
    assert before["memory_peak_bytes"] < grown <= full["memory_rss_bytes"]
    assert after["memory_rss_bytes"] < grown - 100 * MIB
    assert after["memory_peak_bytes"] >= full["memory_peak_bytes"]


def test_children_and_theirs(server: Server, kernel: str) -> None:
    """Two processes that a kernel starts, and one of theirs, are three; gone, they are none."""
    assert inspect(server, kernel)["children"]["count"] == 0
    code = "import subprocess as s\na = s.Popen(['sleep', '1000'])\n"
    code += "b = s.Popen(['sh', '-c', 'sleep 1000 & wait'])"
    python(server, kernel, code)
    eventually(lambda: inspect(server, kernel)["children"]["count"] == 3, what="three children")
    children = psutil.Process(server.status(kernel)["pid"]).children(recursive=True)
    held = sum(child.memory_info().rss for child in children)
    for told in (inspect(server, kernel), inspect_all(server)[kernel]):
        assert told["children"] == {"count": 3, "memory_rss_bytes": held}
    for child in children:
        child.kill()
    python(server, kernel, "print(a.wait(), b.wait())")
    eventually(lambda: inspect(server, kernel)["children"]["count"] == 0, what="no children")


def test_files_and_threads(server: Server, kernel: str) -> None:
    """Ten open files and three threads are ten and three more."""
    python(server, kernel, "import os, threading; stop = threading.Event()")
    process = psutil.Process(server.status(kernel)["pid"])

    def held() -> tuple[int, int] | None:
        """Descriptors that are no connection, and threads: connections come and go at any time."""
        before = process.net_connections()
        told = inspect(server, kernel)
        connections = process.net_connections()
        if connections != before:
            return None
        return told["num_fds"] - len(connections), told["num_threads"]

    files, threads = eventually(held, what="a look while no connection came or went")
    code = "files = [open(os.devnull) for _ in range(10)]\n"
    code += "for _ in range(3): threading.Thread(target=stop.wait, daemon=True).start()"
    python(server, kernel, code)
    wanted = (files + 10, threads + 3)
    eventually(lambda: held() == wanted, what=f"{wanted} files and threads")


def test_in_full(server: Server, fake: Starter) -> None:
    """`detail=full` adds three keys and no more, for one kernel and for all."""
    kernel = fake("good")
    process = psutil.Process(server.status(kernel)["pid"])
    for told in (
        inspect(server, kernel, detail="full"),
        inspect_all(server, detail="full")[kernel],
    ):
        assert set(told) == KEYS | FULL
        assert set(told["io"]) == {"read_bytes", "write_bytes"}
        assert told["memory_uss_bytes"] <= told["memory_pss_bytes"] <= told["memory_rss_bytes"]
        assert told["io"]["read_bytes"] <= process.io_counters().read_bytes
    assert set(inspect(server, kernel)) == KEYS


@pytest.mark.parametrize("detail", ["x", "", "FULL", "full,full", "1"])
def test_other_details_are_400(server: Server, python_kernel: str, detail: str) -> None:
    """What is no detail is refused with what is one."""
    for path in (f"api/kernels/{python_kernel}/inspect", "api/kernels/inspect"):
        answer = server.http.get(path, params={"detail": detail})
        assert answer.status_code == 400, answer.text
        assert {"message", "reason"} <= set(answer.json())
        assert "full" in answer.json()["message"]


# -- without a process, or with another one


def test_a_dead_kernel(server: Server, fake: Starter) -> None:
    """No process, and the reason that the kernel has."""
    kernel = fake("die-at-start", code=6, wait=False)
    reason = server.until_dead(kernel)["reason"]
    for told in (inspect(server, kernel), inspect(server, kernel, detail="full")):
        assert told == {"alive": False, "reason": reason}


def test_a_kernel_that_was_never_launched() -> None:
    """A pending kernel has no process at first, and one whose launch failed never has one."""
    config = {"AsyncMultiKernelManager": {"use_pending_kernels": True}}
    with Server(config=config) as server:
        missing = server.spec("missing", ["/nowhere/python", "{connection_file}"])
        for name in ("no-such-kernelspec", missing):
            kernel = server.start_kernel(name)
            assert inspect(server, kernel)["alive"] is False
            reason = server.until_dead(kernel)["reason"]
            assert inspect_all(server)[kernel] == {"alive": False, "reason": reason}
        kernel = server.start_kernel(server.fake())
        assert inspect(server, kernel)["alive"] in (True, False)
        server.settled(kernel)
        assert inspect(server, kernel)["alive"] is True


def test_an_external_kernel(server: Server) -> None:
    """Of somebody else's process nothing is claimed."""
    folder = server.runtime / "external_kernels"
    folder.mkdir(exist_ok=True)
    external = External(folder).start()
    try:
        kernel = external.id(server)
        assert inspect(server, kernel)["alive"] is None
        server.settled(kernel)
        assert inspect(server, kernel, detail="full")["alive"] is None
        assert inspect_all(server)[kernel] == inspect(server, kernel)
    finally:
        external.close()
        server.models()


def test_a_stopped_process(server: Server, fake: Starter) -> None:
    """SIGSTOP is seen in the process's own status."""
    kernel = fake("good")
    pid = kill(server, kernel, signal.SIGSTOP)
    eventually(lambda: inspect(server, kernel)["process_status"] == psutil.STATUS_STOPPED)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: inspect(server, kernel)["process_status"] != psutil.STATUS_STOPPED)


def test_the_next_process(server: Server, fake: Starter) -> None:
    """After an automatic restart, and one that was asked for, all begins from scratch."""
    kernel = fake("good")
    inspect(server, kernel)
    seen = [eventually(lambda: known(inspect(server, kernel)))]
    for act in (kill, Server.restart):
        before = server.status(kernel)["revision"]
        act(server, kernel)
        status = come_back(server, kernel, before)
        first = inspect(server, kernel)
        assert (first["pid"], first["cpu_percent"]) == (status["pid"], None)
        seen.append(eventually(lambda: known(inspect(server, kernel))))
    assert len({told["pid"] for told in seen}) == 3
    times = [told["create_time"] for told in seen]
    assert times == sorted(set(times))


def known(told: dict[str, Any]) -> dict[str, Any] | None:
    """The same once there was an interval."""
    return None if told["cpu_percent"] is None else told


def test_looks_at_processes_that_die(server: Server, fake: Starter) -> None:
    """Killed again and again, a kernel is there or not, whenever one looks; never an error."""
    kernels = [fake("good") for _ in range(3)]
    with ThreadPoolExecutor(1) as pool:
        for _ in range(4):
            before = {kernel: server.settled(kernel)["revision"] for kernel in kernels}
            killing = pool.submit(lambda: [kill(server, kernel) for kernel in kernels])
            while not killing.done() or any(away(server, kernel) for kernel in kernels):
                assert set(kernels) <= set(inspect_all(server, detail="full"))
                assert [inspect(server, kernel)["alive"] for kernel in kernels]
            for kernel in kernels:
                come_back(server, kernel, before[kernel])


def away(server: Server, kernel: str) -> bool:
    """Whether it is not back from its death."""
    return server.status(kernel)["status"] == "autorestarting"


def test_unreaped_children_are_no_error(server: Server, kernel: str) -> None:
    """A child that has ended and that nobody asks for its end harms no look."""
    python(server, kernel, "import subprocess\nzombie = subprocess.Popen(['true'])")
    children = psutil.Process(server.status(kernel)["pid"]).children()
    eventually(lambda: children[0].status() == psutil.STATUS_ZOMBIE)
    told = [inspect(server, kernel, detail="full"), inspect_all(server)[kernel]]
    assert [each["children"]["memory_rss_bytes"] for each in told] == [0, 0]


# -- all of them, and who asks


def test_all_in_one_call(server: Server, fake: Starter, python_kernel: str) -> None:
    """Every kernel there is, in the same shape as alone, also a dead one."""
    dead = fake("die-at-start", wait=False)
    server.until_dead(dead)
    fast = ("cpu_percent", "cpu_seconds", "process_status", "num_fds")
    assert set(inspect_all(server)) == set(server.models()) >= {dead, python_kernel}

    def differing() -> list[tuple[dict, dict]]:
        pairs = [(told, inspect(server, each)) for each, told in inspect_all(server).items()]
        slow = [[{**each, **dict.fromkeys(fast)} for each in pair] for pair in pairs]
        return [(told, alone) for told, alone in slow if told != alone]

    # A kernel that has just come may still take memory between two looks.
    eventually(lambda: not differing(), what="the same as alone")


def test_many_at_once(server: Server, fake: Starter, python_kernel: str) -> None:
    """Twenty who ask at the same time, for one and for all, in full and not, are all answered."""
    kernels = [python_kernel, fake("good")]
    paths = [f"api/kernels/{kernels[0]}/inspect", f"api/kernels/{kernels[1]}/inspect"]
    paths += ["api/kernels/inspect", "api/kernels"]
    calls = [
        server.send("GET", paths[number % 4], **({"detail": "full"} if number % 3 else {}))
        for number in range(20)
    ]
    answers = [call.answer() for call in calls]
    assert {answer.status_code for answer in answers} == {200}
    pids = [server.status(kernel)["pid"] for kernel in kernels]
    for number, answer in enumerate(answers):
        if number % 4 < 2:
            assert checked(answer.json())["pid"] == pids[number % 4]
        elif number % 4 == 2:
            told = answer.json()["kernels"]
            assert [checked(told[kernel])["pid"] for kernel in kernels] == pids


@pytest.mark.parametrize("kernel", [str(uuid.UUID(int=3)), "a-b-c-d-e", "nobody"])
def test_unknown_kernel_is_404(server: Server, kernel: str) -> None:
    """An unknown kernel is 404 in Jupyter's JSON whose message names it."""
    answer = server.http.get(f"api/kernels/{kernel}/inspect")
    assert (answer.status_code, kernel in answer.json()["message"]) == (404, True)
    assert {"message", "reason"} <= set(answer.json())


@pytest.mark.parametrize("path", ["api/kernels/inspect", "api/kernels/{}/inspect"])
def test_who_may_inspect(server: Server, python_kernel: str, path: str) -> None:
    """A token and `read` on `kernels` are wanted, and no more."""
    path = path.format(python_kernel)
    wrong = {"Authorization": "token wrong"}
    assert httpx.get(f"{server.http.base_url}{path}", headers=wrong).status_code == 403
    denied = server.http.get(path, headers={HEADER: "read:kernels"})
    assert (denied.status_code, "message" in denied.json()) == (403, True)
    for other in ("write:kernels", "execute:kernels"):
        assert server.http.get(path, headers={HEADER: other}).status_code == 200
