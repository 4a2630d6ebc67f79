"""Contract section 7, `crash_traces`: the Python stack of a native crash, for who asks for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.server import Server
from support.start_failures import IPYKERNEL, last_words
from support.stories import come_back, execute, kill, run

Starter = Callable[..., str]

CRASH = """import ctypes

def deeper_down():
    return ctypes.string_at(0)

def on_the_way():
    deeper_down()

on_the_way()
"""
ABORT = "import os\n\ndef give_up():\n    os.abort()\n\ngive_up()\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that asks for crash traces, and whose user has exec_lines and a startup file."""
    with Server(config={"KernelStatusApp": {"crash_traces": True}}) as server:
        profile(server.home / "ipython")
        yield server


@pytest.fixture(scope="module")
def default() -> Iterator[Server]:
    """A server that does not."""
    with Server() as server:
        yield server


def profile(folder: Path) -> None:
    """What the user wants each of his kernels to run first."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "10-mine.py").write_text("startup = 'mine'\n")
    config = (
        "c = get_config()\nc.IPKernelApp.exec_lines = ['first = 40', 'exec_lines = first + 1']\n"
    )
    (startup.parent / "ipython_kernel_config.py").write_text(config)


def crash(server: Server, kernel: str, code: str = CRASH) -> dict:
    """Run a cell that crashes, wait until the kernel is back, and give its last termination."""
    before = server.settled(kernel)["revision"]
    with server.client(kernel) as client:
        execute(client, code)
        come_back(server, kernel, before)
    return last_words(server, kernel)


def stack(last: dict) -> list[tuple[int, str]]:
    """Line and function of the frames in a traceback, the innermost first, as far as the cell's."""
    found = re.findall(r'File ".*", line (\d+) in (\S+)', last["traceback"] or "")
    frames = [(int(line), function) for line, function in found]
    return frames[: 1 + [function for _, function in frames].index("<module>")] if frames else []


def ran(server: Server, kernel: str) -> None:
    """See that what the user wants first was run in this process, and in the right namespace."""
    cell = "assert (exec_lines, startup, first) == (41, 'mine', 40)"
    reply = run(server, kernel, f"{cell}\nassert 'faulthandler' not in dir()")
    assert reply["status"] == "ok", reply


@pytest.mark.parametrize(
    ("code", "cause", "frames"),
    [
        (
            CRASH,
            "SegmentationFault",
            [(4, "deeper_down"), (7, "on_the_way"), (9, "<module>")],
        ),
        (ABORT, "Aborted", [(4, "give_up"), (6, "<module>")]),
    ],
    ids=["SIGSEGV", "SIGABRT"],
)
def test_stack_of_a_crash(
    server: Server, start: Starter, code: str, cause: str, frames: list[tuple[int, str]]
) -> None:
    """The stack of a crash is in its termination, down to the line of the cell."""
    last = crash(server, start("python3"), code)
    assert last["cause"] == cause
    assert stack(last)[-len(frames) :] == frames


def test_stack_of_each_process(server: Server, start: Starter) -> None:
    """A process that was started again, by itself or on request, has its own stack."""
    kernel = start("python3")
    crash(server, kernel)
    assert stack(crash(server, kernel, ABORT))[-2:] == [(4, "give_up"), (6, "<module>")]
    before = server.settled(kernel)["revision"]
    server.restart(kernel)
    come_back(server, kernel, before)
    assert stack(crash(server, kernel))[-1] == (9, "<module>")


def test_stack_is_in_the_model_of_a_dead_kernel() -> None:
    """Where it is the last death, the kernel's model has the stack, and the log too."""
    config = {"KernelStatusApp": {"crash_traces": True}, "KernelManager": {"autorestart": False}}
    with Server(config=config) as server:
        kernel = server.connected()
        with server.client(kernel) as client:
            execute(client, CRASH)
            server.until_dead(kernel)
        assert "line 4 in deeper_down" in server.model(kernel)["traceback"]
        assert "line 4 in deeper_down" in server.log()


def test_users_own_first_lines(server: Server, start: Starter) -> None:
    """The user's own exec_lines and startup files run, in the first process and in later ones."""
    kernel = start("python3")
    ran(server, kernel)
    assert stack(crash(server, kernel))[-1] == (9, "<module>")
    ran(server, kernel)
    before = server.settled(kernel)["revision"]
    server.restart(kernel)
    come_back(server, kernel, before)
    ran(server, kernel)


def test_first_lines_of_the_kernelspec(server: Server, start: Starter) -> None:
    """So do those that a kernelspec asks for, in the place of the profile's, as ever."""
    kernel = start(server.spec("lines", [*IPYKERNEL, "--IPKernelApp.exec_lines=special = 7"]))
    assert run(server, kernel, "assert (special, startup) == (7, 'mine')")["status"] == "ok"


def test_user_error_is_no_crash(server: Server, start: Starter) -> None:
    """A kernel that leaves by itself, or is killed, has no stack."""
    kernel = start("python3")
    last = crash(server, kernel, "import os; os._exit(3)")
    assert (last["cause"], stack(last)) == ("Error", [])
    before = server.settled(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)
    last = last_words(server, kernel)
    assert (last["cause"], stack(last)) == ("Killed", [])


def test_kernels_that_are_no_ipykernel(server: Server, fake: Starter) -> None:
    """A kernel of another kind, which would not understand, is started as ever."""
    kernel = fake("good")
    assert run(server, kernel, "nothing")["status"] == "ok"
    argv = [sys.executable, "-m", "no_such_module_xyz", "-f", "{connection_file}"]
    failing = server.start_kernel(server.spec("module", argv))
    assert server.until_dead(failing)["cause"] == "ModuleNotFound"
    server.delete(failing)


def test_nobody_asked(default: Server) -> None:
    """Without `crash_traces` the kernel is started as its kernelspec says, and tells no stack."""
    kernel = default.connected()
    last = crash(default, kernel)
    assert (last["cause"], stack(last)) == ("SegmentationFault", [])
    assert not [
        word
        for process in default.kernel_processes(kernel)
        for word in process.cmdline()
        if "exec_lines" in word or "faulthandler" in word
    ]
