"""Section 1, `reason`: an interpreter that is blocked is told apart from a process that is stopped.

A call of C code that keeps the interpreter's lock leaves the heartbeat beating: the kernel stays
`connected` and `busy`, and its reason says that the interpreter does not answer. That is judged
only of a process whose control channel has answered while it was busy.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from support.kernel_socket import connect
from support.server import Server, eventually, held_for
from support.stories import changes, come_back, execute, kill, story

Starter = Callable[..., str]

LIMIT = 2.0
"""Seconds of silence that a server of these tests bears."""
LONGER = LIMIT * 2


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that asks often and has little patience."""
    config = {
        "KernelManager": {"shutdown_wait_time": 0.6},
        "KernelStatusApp": {"heartbeat_interval": 0.2, "unresponsive_after": LIMIT},
    }
    with Server(config=config) as server:
        yield server


class Blockade:
    """Code that keeps the lock of its interpreter, reading a pipe, until the test writes to it."""

    def __init__(self, server: Server) -> None:
        self.path = Path(f"{server.gate()}.pipe")
        os.mkfifo(self.path)
        self.reached = self.path.with_suffix(".reached")
        self.gate = server.gate()
        """To be opened when the kernel is busy: its own thread needs the lock to say so."""

    @property
    def cell(self) -> str:
        """The code for a real kernel."""
        return (
            f"{self.gate.cell}\nimport ctypes\n"
            f"pipe = os.open({str(self.path)!r}, os.O_RDWR)\n"
            f"open({str(self.reached)!r}, 'w').close()\n"
            "ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)\n"
        )

    def open(self) -> None:
        """Give the interpreter back."""
        pipe = os.open(self.path, os.O_RDWR)
        os.write(pipe, b"x")
        os.close(pipe)


def make_busy(server: Server, kernel: str, client: BlockingKernelClient, code: str) -> str:
    """Send a cell and wait until the kernel is busy with it."""
    before = server.status(kernel)["revision"]
    cell = execute(client, code)
    assert server.wait(kernel, execution_state="busy", since=before).status_code == 200
    return cell


def answer_while_busy(
    server: Server, kernel: str, client: BlockingKernelClient, *, real: bool = False
) -> None:
    """Have the kernel be busy for a while with what leaves control free, so the server knows."""
    gate = server.gate()
    make_busy(server, kernel, client, gate.cell if real else gate.command)
    assert held_for(lambda: server.status(kernel)["execution_state"] == "busy", 1.5)
    busy = server.status(kernel)["revision"]
    gate.open()
    assert server.wait(kernel, execution_state="idle", since=busy).status_code == 200


def quiet(server: Server, kernel: str) -> bool:
    """Whether nothing is wrong with the kernel."""
    status = server.status(kernel)
    told = (status["status"], status["reason"], status["cause"])
    assert told == ("connected", "", None), told
    return True


def until_told(server: Server, kernel: str) -> dict:
    """Wait until a reason is given and give the status."""

    def look() -> dict | None:
        status = server.status(kernel)
        return status if status["reason"] else None

    return eventually(look, what="a reason")


def until_quiet(server: Server, kernel: str) -> dict:
    """Wait until there is none any more and give the status."""

    def look() -> dict | None:
        status = server.status(kernel)
        return status if not status["reason"] else None

    return eventually(look, what="no reason")


def check_blocked(told: dict) -> None:
    """Check the words of a kernel whose interpreter does not answer."""
    words = [told[word] for word in ("status", "execution_state", "state", "cause")]
    assert words == ["connected", "busy", "running", "InterpreterBlocked"]
    assert "interpreter" in told["reason"]
    assert told["reason"][0].isupper()
    assert told["reason"][-1] in ".!"


# -- blocked


def test_a_blocked_interpreter_is_told_and_cleared(server: Server, kernel: str) -> None:
    """C code that keeps the lock of an ipykernel is told as that, until it gives the lock back."""
    blockade = Blockade(server)
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client, real=True)
        make_busy(server, kernel, client, blockade.cell)
        blockade.gate.open()
        told = until_told(server, kernel)
        check_blocked(told)
        assert blockade.reached.exists()
        assert server.model(kernel)["reason"] == told["reason"]
        assert held_for(lambda: server.status(kernel)["reason"] != "", 1.0)
        blockade.open()
        after = server.wait(kernel, execution_state="idle", since=told["revision"]).json()
        assert (after["status"], after["reason"], after["cause"]) == ("connected", "", None)
        assert quiet(server, kernel)
    assert story(changes(server, kernel, before), "status") == ["connected"]


def test_within_one_cell(server: Server, kernel: str) -> None:
    """A cell that computes in Python first and blocks later is told while it is still the same."""
    blockade, end = Blockade(server), server.gate()
    with server.client(kernel) as client:
        make_busy(server, kernel, client, f"{blockade.cell}\n{end.cell}")
        assert held_for(lambda: quiet(server, kernel), 1.5)
        blockade.gate.open()
        check_blocked(until_told(server, kernel))
        blockade.open()
        after = until_quiet(server, kernel)
        assert (after["status"], after["execution_state"]) == ("connected", "busy")
        assert after["cause"] is None
        assert not end.path.exists()
        end.open()
        server.wait(kernel, execution_state="idle")


def test_another_kernel_that_lets_only_its_heart_beat(server: Server, fake: Starter) -> None:
    """The same of a kernel that is not ipykernel, twice in a row, each time cleared."""
    kernel = fake()
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client)
        for _ in range(2):
            gate = server.gate()
            make_busy(server, kernel, client, f"block {gate}")
            told = until_told(server, kernel)
            check_blocked(told)
            gate.open()
            after = server.wait(kernel, execution_state="idle", since=told["revision"]).json()
            assert (after["status"], after["reason"], after["cause"]) == ("connected", "", None)


def test_told_apart_from_a_stopped_process(server: Server, fake: Starter) -> None:
    """Two findings have two reasons; the stopped one is `unresponsive`, also after the other."""
    gate, kernel = server.gate(), fake()
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client)
        make_busy(server, kernel, client, f"block {gate}")
        blocked = until_told(server, kernel)
        os.kill(blocked["pid"], signal.SIGSTOP)
        stopped = server.wait(kernel, status="unresponsive").json()
        assert stopped["reason"] != blocked["reason"]
        assert "interpreter" not in stopped["reason"]
        os.kill(blocked["pid"], signal.SIGCONT)
        back = server.wait(kernel, status="connected", since=stopped["revision"]).json()
        assert back["execution_state"] == "busy"
        gate.open()
        server.wait(kernel, execution_state="idle")
        after = until_quiet(server, kernel)
        assert (after["status"], after["cause"]) == ("connected", None)


@pytest.mark.parametrize("told", [True, False], ids=["told", "too short to be told"])
def test_a_stopped_process_is_never_counted_against_its_interpreter(
    server: Server, fake: Starter, told: bool
) -> None:
    """Continued, it has no reason: native code holds nothing, not for an instant."""
    gate, kernel = server.gate(), fake()
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client)
        make_busy(server, kernel, client, f"wait {gate}")
        before = server.status(kernel)
        for _ in range(3):
            os.kill(before["pid"], signal.SIGSTOP)
            if told:
                stopped = server.wait(kernel, status="unresponsive").json()
                assert "stopped by a signal" in stopped["reason"]
            else:
                held_for(lambda: True, LIMIT * 0.9)
            os.kill(before["pid"], signal.SIGCONT)
            assert server.wait(kernel, status="connected").status_code == 200
            held_for(lambda: True, 0.5)
        gate.open()
        server.wait(kernel, execution_state="idle")
    seen = changes(server, kernel, before["revision"])
    assert not [each["reason"] for each in seen if "interpreter" in each["reason"]]


def test_a_websocket_opens_meanwhile(server: Server, fake: Starter) -> None:
    """A kernel whose interpreter is blocked holds no upgrade: it reads busy."""
    gate, kernel = server.gate(), fake()
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client)
        cell = make_busy(server, kernel, client, f"block {gate}")
        until_told(server, kernel)
        with connect(server, kernel, 30) as socket:
            assert socket.told(timeout=30)["execution_state"] == "busy"
            server.taken_up()
            gate.open()
            socket.hear("idle", cell)


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_a_new_process_begins_without_the_reason(server: Server, fake: Starter, how: str) -> None:
    """The end of a blocked process ends its reason, and the next one is judged on its own."""
    gate, kernel = server.gate(), fake()
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client)
        make_busy(server, kernel, client, f"block {gate}")
        blocked = until_told(server, kernel)
        if how == "kill":
            kill(server, kernel)
        else:
            server.restart(kernel)
        back = come_back(server, kernel, blocked["revision"])
        assert (back["generation"], back["reason"], back["cause"]) == (1, "", None)
        second = server.gate()
        make_busy(server, kernel, client, f"block {second}")
        assert held_for(lambda: quiet(server, kernel), LONGER)
        second.open()
        server.wait(kernel, execution_state="idle")


# -- not blocked


@pytest.mark.parametrize(
    "wait", ["pass", "__import__('time').sleep(0.01)", "__import__('time').sleep(1)"]
)
def test_python_code_is_not_blocked(server: Server, kernel: str, wait: str) -> None:
    """A busy loop in Python and a sleep, longer than the limit, are nothing wrong."""
    gate = server.gate()
    loop = f"import os\nwhile not os.path.exists({str(gate)!r}): {wait}"
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client, real=True)
        make_busy(server, kernel, client, loop)
        assert held_for(lambda: quiet(server, kernel), LONGER)
        gate.open()
        server.wait(kernel, execution_state="idle")


@pytest.mark.parametrize(
    ("mode", "command"), [("good", "block"), ("single-loop", "wait"), ("single-loop", "block")]
)
def test_who_never_answered_while_busy_is_not_judged(
    server: Server, fake: Starter, mode: str, command: str
) -> None:
    """A process whose control was never heard while it was busy may just have one loop."""
    gate, kernel = server.gate(), fake(mode)
    with server.client(kernel) as client:
        make_busy(server, kernel, client, f"{command} {gate}")
        assert held_for(lambda: quiet(server, kernel), LONGER)
        gate.open()
        assert server.wait(kernel, execution_state="idle").status_code == 200
        assert held_for(lambda: quiet(server, kernel), 1.0)


def test_a_stalled_server_is_no_silence_of_a_busy_kernel(server: Server, fake: Starter) -> None:
    """The server is stopped for longer than the limit; what its kernel computes is not blamed."""
    gate, kernel = server.gate(), fake()
    with server.client(kernel) as client:
        answer_while_busy(server, kernel, client)
        make_busy(server, kernel, client, gate.command)
        before = server.status(kernel)["revision"]
        os.kill(server.process.pid, signal.SIGSTOP)
        assert held_for(lambda: True, LIMIT * 1.75)
        os.kill(server.process.pid, signal.SIGCONT)
        assert held_for(lambda: quiet(server, kernel), 1.0)
        assert server.status(kernel)["revision"] == before
        gate.open()
        server.wait(kernel, execution_state="idle")


# -- stopped before its heart was felt


@pytest.mark.parametrize("name", ["python3", "fake"])
def test_stopped_right_after_it_was_connected(server: Server, start: Starter, name: str) -> None:
    """A process that is stopped the moment it is connected is told unresponsive, and its return."""
    kernel = start(server.fake() if name == "fake" else name)
    before = server.status(kernel)
    os.kill(before["pid"], signal.SIGSTOP)
    told = server.wait(kernel, status="unresponsive", since=before["revision"])
    assert told.status_code == 200, told.text
    assert (told.json()["execution_state"], told.json()["state"]) == ("idle", "stopped")
    assert told.json()["reason"]
    os.kill(before["pid"], signal.SIGCONT)
    back = server.wait(kernel, status="connected", since=told.json()["revision"]).json()
    assert (back["reason"], back["cause"], back["pid"]) == ("", None, before["pid"])


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_stopped_right_after_a_restart(server: Server, fake: Starter, how: str) -> None:
    """What was felt of the process before says nothing of the new one: it is told as well."""
    pids = {}
    for kernel in [fake() for _ in range(4)]:
        before = server.status(kernel)["revision"]
        if how == "kill":
            kill(server, kernel)
        else:
            server.restart(kernel)
        pids[kernel] = come_back(server, kernel, before)["pid"]
        os.kill(pids[kernel], signal.SIGSTOP)
    for kernel, pid in pids.items():
        answer = server.wait(kernel, status="unresponsive")
        assert answer.status_code == 200, answer.text
        assert answer.json()["generation"] == 1
        os.kill(pid, signal.SIGCONT)
        assert server.wait(kernel, status="connected").status_code == 200


def test_each_is_told_by_itself(server: Server, fake: Starter) -> None:
    """Of six kernels the three that are stopped are told, until they go on, the others never."""
    kernels = [fake() for _ in range(6)]
    pids = {kernel: server.status(kernel)["pid"] for kernel in kernels}
    for kernel in kernels[::2]:
        os.kill(pids[kernel], signal.SIGSTOP)
    for kernel in kernels[::2]:
        assert server.wait(kernel, status="unresponsive").status_code == 200
    assert all(quiet(server, kernel) for kernel in kernels[1::2])
    for kernel in kernels[::2]:
        os.kill(pids[kernel], signal.SIGCONT)
        assert server.wait(kernel, status="connected").status_code == 200
