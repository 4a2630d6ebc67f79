"""What is sent to a process, and when: without any process."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.session import Session
from support.run_world import Loop

from kernel_status_ext.core.routing import Routing
from kernel_status_ext.tracking import desk as module
from kernel_status_ext.tracking import timers
from kernel_status_ext.tracking.desk import Desk, Order


class Socket:
    """A socket that takes messages, or refuses them."""

    def __init__(self) -> None:
        self.takes = True
        self.closed = False
        self.sent: list[str] = []

    def send(self, frames: list[bytes]) -> bool:
        """Take a message, if messages are taken."""
        if self.takes:
            self.sent.append(json.loads(frames[2])["msg_id"])
        return self.takes

    def close(self) -> None:
        """Take nothing more."""
        self.closed = True


class Attention:
    """All of the kernel's iopub is listened to."""

    def hold(self, _run_id: str) -> bool:
        """Listen."""
        return True

    def release(self, _run_id: str) -> None:
        """Listen no more."""


class Scene:
    """A desk, its socket, and its loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop, self.socket = Loop(), Socket()
        current = SimpleNamespace(current=lambda: self.loop)
        monkeypatch.setattr(module, "IOLoop", current)
        monkeypatch.setattr(timers, "IOLoop", current)
        reader: Any = SimpleNamespace(open=lambda *_: self.socket)
        wire: Any = SimpleNamespace(
            connect=lambda _channel: None, kernel_id="k", session=Session(key=b"")
        )
        attention: Any = Attention()
        iopub: Any = None
        self.desk = Desk(reader, wire, Routing(), iopub, attention)

    def take(self, *run_ids: str, subshell: str = "") -> None:
        """Give it runs to send."""
        for run_id in run_ids:
            self.desk.take(Order(run_id, {"code": ""}, {}, subshell))

    def done(self, *run_ids: str, subshell: str = "", is_ending: bool = False) -> None:
        """Tell it that runs are over."""
        for run_id in run_ids:
            self.desk.done(subshell, run_id, is_ending=is_ending)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A desk that has sent nothing."""
    return Scene(monkeypatch)


def test_a_shell_is_sent_one_run_at_a_time(scene: Scene) -> None:
    """In their order, the next when the one before is done; each shell has its own."""
    scene.take("a", "b", "c")
    scene.take("s", "t", subshell="sub")
    assert scene.socket.sent == ["a", "s"]
    assert scene.desk.held_back("") == ["b", "c"]
    assert [scene.desk.holds("", each) for each in "abc"] == [False, True, True]
    scene.done("a")
    scene.loop.turn()
    assert scene.socket.sent == ["a", "s", "b"]
    scene.done("b")
    scene.loop.turn()
    scene.done("c")
    scene.loop.turn()
    assert scene.socket.sent == ["a", "s", "b", "c"]
    scene.take("d")
    assert scene.socket.sent[-1] == "d"


def test_what_the_socket_refuses_is_offered_again(scene: Scene) -> None:
    """And nothing overtakes it."""
    scene.socket.takes = False
    scene.take("a", "b")
    scene.loop.pass_time()
    assert scene.socket.sent == []
    scene.socket.takes = True
    scene.loop.pass_time()
    assert scene.socket.sent == ["a"]


def test_what_is_over_is_not_sent(scene: Scene) -> None:
    """Whether it was held back or refused by the socket."""
    scene.take("a", "b", "c")
    scene.done("b", "a")
    scene.socket.takes = False
    scene.loop.turn()
    scene.done("c")
    scene.socket.takes = True
    scene.loop.pass_time()
    scene.loop.turn()
    assert scene.socket.sent == ["a"]


@pytest.mark.parametrize("how", ["all over", "closed", "ending"])
def test_a_process_that_ends_is_sent_nothing(scene: Scene, how: str) -> None:
    """All of its runs end at once, or its desk is closed, or somebody asked for its end."""
    scene.take("a", "b")
    scene.done("a", is_ending=how == "ending")
    if how == "all over":
        scene.done("b")
    elif how == "closed":
        scene.desk.close()
    scene.loop.turn()
    assert scene.socket.sent == ["a"]


def test_a_question_that_cannot_be_asked(scene: Scene) -> None:
    """Is told to be none, so that it can be asked again."""
    scene.socket.takes = False
    answered: Callable[[], None] = lambda: None  # noqa: E731 - never called
    assert not scene.desk.ask("", answered)
    scene.socket.takes = True
    assert scene.desk.ask("", answered)
