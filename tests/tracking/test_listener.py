"""Which process holds an address, with real processes: the one that was launched, or one below."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kernel_status_ext.tracking import listener
from kernel_status_ext.tracking.listener import listener_below

BINDING = """
import sys, zmq
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind(sys.argv[1])
print(socket.last_endpoint.decode(), flush=True)
sys.stdin.read()
"""

Bind = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def bind() -> Iterator[Bind]:
    """Start a process that holds an address, in a shell that goes on after it if so asked."""
    started: list[subprocess.Popen[str]] = []

    def start(address: str, *, wrapped: bool) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", BINDING, address]
        shell = ["sh", "-c", '"$@"; read line', "sh"] if wrapped else []
        pipe = subprocess.PIPE
        started.append(subprocess.Popen([*shell, *command], stdin=pipe, stdout=pipe, text=True))
        assert started[-1].stdout is not None
        return started[-1], started[-1].stdout.readline().strip()

    yield start
    for each in started:
        each.communicate()


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "wrapped"])
def test_who_holds_an_address(bind: Bind, tmp_path: Path, transport: str, wrapped: bool) -> None:
    """It is the process itself, or the one in its shell; another process holds nothing."""
    address = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/kernel-1"
    process, endpoint = bind(address, wrapped=wrapped)
    inside = psutil.Process(process.pid).children() if wrapped else [psutil.Process(process.pid)]
    assert [listener_below(process.pid, endpoint)] == [each.pid for each in inside]
    other, _ = bind("tcp://127.0.0.1:*", wrapped=False)
    assert listener_below(other.pid, endpoint) is None


def test_where_the_system_has_no_table(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Linux's files psutil tells the same of TCP ports."""
    monkeypatch.setattr(listener, "_ON_LINUX", False)
    process, endpoint = bind("tcp://127.0.0.1:*", wrapped=True)
    (inside,) = psutil.Process(process.pid).children()
    assert listener_below(process.pid, endpoint) == inside.pid
    other, _ = bind("tcp://127.0.0.1:*", wrapped=False)
    assert listener_below(other.pid, endpoint) is None


def test_nobody_listens(bind: Bind) -> None:
    """An address that nobody holds is held by nobody."""
    process, _ = bind("tcp://127.0.0.1:*", wrapped=False)
    assert listener_below(process.pid, "tcp://127.0.0.1:1") is None
