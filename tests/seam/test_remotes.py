"""Kernels that run elsewhere: what is made of what their server says and of their own answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from tornado import web

from kernel_status_ext.core.causes import DEAD_ELSEWHERE as SENTENCE
from kernel_status_ext.core.events import RestartRequested
from kernel_status_ext.core.targets import Target
from kernel_status_ext.core.words import ExecutionState, Status
from kernel_status_ext.jupyter import gateway
from kernel_status_ext.jupyter import remotes as module
from kernel_status_ext.jupyter.charge import Charge, Sight
from kernel_status_ext.jupyter.remotes import Remotes
from kernel_status_ext.jupyter.turns import Turn
from kernel_status_ext.tracking.tracker import Tracker

KERNEL = "a-b"
DEAD_ELSEWHERE = f"{SENTENCE}."
SOON = 60.0
"""Seconds for what comes at once; only a fault takes longer."""


class Elsewhere:
    """A server elsewhere, with one kernel: what it says, and whether the kernel answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.says: object = "starting"
        self.is_there = True
        self.nonsense: Exception | None = None
        self.reason: object = ""
        self.asked = 0
        self.probes: list[asyncio.Future[None]] = []
        monkeypatch.setattr(module, "is_behind_gateway", lambda _manager: True)
        monkeypatch.setattr(module, "kernel_answers", self.kernel_answers)
        self.tracker = Tracker(logging.getLogger("test"))
        self.remotes = Remotes(self.tracker, logging.getLogger("test"))
        self.remotes.ask = self.ask
        self.tracker.add(KERNEL, "python3", Status.UNKNOWN)
        self.remotes.begin(Charge(KERNEL, None, Turn(), Sight.REMOTE))

    async def kernel_answers(self, kernel_id: str) -> None:
        """Answer when the test says so."""
        self.probes.append(asyncio.get_running_loop().create_future())
        await self.probes[-1]

    async def ask(self) -> None:
        """Say what is said, or be away."""
        self.asked += 1
        if self.nonsense is not None:
            raise self.nonsense
        if not self.is_there:
            raise web.HTTPError(503, "away") from ConnectionRefusedError(111, "Connection refused")
        self.remotes.reported(KERNEL, self.says, self.reason)

    def now(self) -> tuple[str, str, int]:
        """The kernel's words and generation."""
        kernel = self.tracker.get(KERNEL)
        assert kernel is not None
        return str(kernel.status), str(kernel.execution_state), kernel.generation

    async def until(self, status: Status) -> None:
        """Wait for a status."""
        await self.tracker.wait(KERNEL, Target(status=frozenset({status})), SOON)

    async def answered(self) -> None:
        """Have the process answer its probe."""
        while not self.probes:
            await asyncio.get_running_loop().run_in_executor(None, int)
        self.probes.pop().set_result(None)
        await self.until(Status.CONNECTED)


Play = Callable[[Elsewhere], Awaitable[None]]


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Callable[[Play], None]:
    """Play a story with a server elsewhere, in a loop of its own."""

    def play(story: Play) -> None:
        async def scene() -> None:
            elsewhere = Elsewhere(monkeypatch)
            await story(elsewhere)
            elsewhere.remotes.forget(KERNEL)

        asyncio.run(scene())

    return play


def test_idle_is_not_believed_before_the_kernel_answered(act: Callable[[Play], None]) -> None:
    """A stock server says idle before the process lives."""

    async def story(elsewhere: Elsewhere) -> None:
        elsewhere.says = "idle"
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connecting", "starting", 0)
        await elsewhere.answered()
        assert elsewhere.now() == ("connected", "idle", 0)

    act(story)


def test_starting_is_not_believed_after_the_kernel_answered(act: Callable[[Play], None]) -> None:
    """A stock server says starting for ever where nobody opened a websocket."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connected", "idle", 0)
        assert elsewhere.probes == []

    act(story)


def test_starting_again_is_another_process(act: Callable[[Play], None]) -> None:
    """It is probed once more, and is the next generation."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        elsewhere.says = "busy"
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connected", "busy", 0)
        elsewhere.says = "starting"
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connecting", "starting", 1)
        await elsewhere.answered()
        assert elsewhere.now() == ("connected", "idle", 1)

    act(story)


def test_a_silent_kernel_is_unknown(
    act: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time the reason says so; when it answers at last it is connected."""
    monkeypatch.setattr(module, "SILENT_AFTER", 0.01)

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.until(Status.UNKNOWN)
        kernel = elsewhere.tracker.get(KERNEL)
        assert kernel is not None
        assert "has not answered for 0.01 s" in kernel.reason
        monkeypatch.setattr(module, "SILENT_AFTER", SOON)
        elsewhere.probes.clear()
        while not elsewhere.probes:
            await elsewhere.remotes.look()
        assert elsewhere.now()[0] == "unknown"
        await elsewhere.answered()
        assert elsewhere.tracker.get(KERNEL).reason == ""  # type: ignore[union-attr]

    act(story)


def test_a_silent_kernel_at_work_is_busy(
    act: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some kernels answer nothing while they work: what their server says is believed."""
    monkeypatch.setattr(module, "SILENT_AFTER", 0.01)

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.until(Status.UNKNOWN)
        elsewhere.says = "busy"
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connected", "busy", 0)

    act(story)


def test_a_server_that_is_away(act: Callable[[Play], None]) -> None:
    """Its kernels are unknown, the reason says why, and all is well when it is back."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        elsewhere.is_there = False
        await elsewhere.remotes.look()
        kernel = elsewhere.tracker.get(KERNEL)
        assert kernel is not None
        assert (kernel.status, kernel.execution_state) == (Status.UNKNOWN, ExecutionState.UNKNOWN)
        assert "(Connection refused)" in kernel.reason
        elsewhere.is_there, elsewhere.says = True, "idle"
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connected", "idle", 0)

    act(story)


def test_a_server_that_hangs(act: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks is answered what was known last; when it has been silent for long, unknown."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        monkeypatch.setattr(module, "SHOWN_AFTER", 0.01)
        monkeypatch.setattr(module, "SILENT_AFTER", 0.1)

        async def hang() -> None:
            await asyncio.get_running_loop().create_future()

        elsewhere.remotes.ask = hang
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connected", "idle", 0)
        await elsewhere.until(Status.UNKNOWN)
        assert "no answer within 0.1 s" in elsewhere.tracker.get(KERNEL).reason  # type: ignore[union-attr]

    act(story)


def test_many_who_ask_at_once_cost_two_looks(act: Callable[[Play], None]) -> None:
    """One that was under way may be too old; the next serves all who came meanwhile."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        elsewhere.asked = 0
        await asyncio.gather(*(elsewhere.remotes.look() for _ in range(50)))
        assert 1 <= elsewhere.asked <= 2

    act(story)


def test_a_kernel_forgotten_while_it_is_probed(act: Callable[[Play], None]) -> None:
    """Nobody waits for its answer any more."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.remotes.look()
        elsewhere.remotes.forget(KERNEL)
        assert KERNEL not in elsewhere.remotes
        elsewhere.asked = 0
        await elsewhere.remotes.look()
        assert elsewhere.asked == 0

    act(story)


@pytest.mark.parametrize(
    "error", [ValueError("no JSON"), KeyError("id"), TypeError(), AttributeError()]
)
def test_a_server_that_speaks_nonsense(act: Callable[[Play], None], error: Exception) -> None:
    """What it says is not understood, so its kernels are unknown until it is."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        elsewhere.nonsense = error
        await elsewhere.remotes.look()
        assert elsewhere.now()[0] == "unknown"
        assert "not understood" in elsewhere.tracker.get(KERNEL).reason  # type: ignore[union-attr]
        elsewhere.nonsense, elsewhere.says = None, "idle"
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connected", "idle", 0)

    act(story)


@pytest.mark.parametrize("word", ["paused", "", None, ["idle"], 3])
def test_a_word_that_is_none(act: Callable[[Play], None], word: object) -> None:
    """It is not taken for idle."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        elsewhere.says = word
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("unknown", "unknown", 0)

    act(story)


@pytest.mark.parametrize("reason", ["It is gone.", {"a": 1}, None])
def test_the_reason_of_a_death_elsewhere(act: Callable[[Play], None], reason: object) -> None:
    """It is passed on if it is a sentence; started again there, it is another process."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        elsewhere.says, elsewhere.reason = "dead", reason
        await elsewhere.remotes.look()
        kernel = elsewhere.tracker.get(KERNEL)
        assert kernel is not None
        assert kernel.status is Status.DEAD
        assert kernel.reason == (reason if isinstance(reason, str) else DEAD_ELSEWHERE)
        elsewhere.says, elsewhere.reason = "starting", ""
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connecting", "starting", 1)
        await elsewhere.answered()
        assert elsewhere.now() == ("connected", "idle", 1)

    act(story)


def test_dead_and_idle_again_is_probed(act: Callable[[Play], None]) -> None:
    """Nobody saw it start, but it must have: its answer is waited for."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        for each in ("dead", "idle"):
            elsewhere.says = each
            await elsewhere.remotes.look()
        assert elsewhere.now() == ("connecting", "starting", 1)

    act(story)


@pytest.mark.parametrize("error", [ValueError("no UTF-8"), web.HTTPError(418, "no")])
def test_a_restart_that_fails_elsewhere_is_none(
    act: Callable[[Play], None], error: Exception
) -> None:
    """It is one kind of error, and no process is counted that never was."""

    async def story(elsewhere: Elsewhere) -> None:
        await elsewhere.answered()
        kernel = elsewhere.tracker.get(KERNEL)
        assert kernel is not None
        elsewhere.tracker.feed(KERNEL, RestartRequested(0, elsewhere.tracker.now()))
        with pytest.raises(web.HTTPError), elsewhere.remotes.asked(KERNEL):
            raise error
        elsewhere.says = "idle"
        await elsewhere.remotes.look()
        assert elsewhere.now() == ("connected", "idle", 0)

    act(story)


def test_a_kernel_here_raises_what_it_raises(act: Callable[[Play], None]) -> None:
    """Errors of other kernels are not touched."""

    async def story(elsewhere: Elsewhere) -> None:
        with pytest.raises(KeyError), elsewhere.remotes.asked("of this server"):
            raise KeyError

    act(story)


def test_a_probe_that_is_stopped_leaves_no_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens after nobody waits for it any more is closed."""

    class Opened:
        closed = False

        def close(self) -> None:
            self.closed = True

    async def scene() -> None:
        connecting = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(gateway, "websocket_connect", lambda _request: connecting)
        monkeypatch.setattr(gateway, "GatewayClient", FakeGatewayClient)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gateway.kernel_answers(KERNEL), 0.01)
        opened = Opened()
        connecting.set_result(opened)
        await connecting
        await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, int), SOON)
        assert opened.closed

    asyncio.run(scene())


class FakeGatewayClient:
    """As much of Jupyter's as a probe needs."""

    ws_url, kernels_endpoint = "ws://nowhere", "/api/kernels"

    @classmethod
    def instance(cls) -> FakeGatewayClient:
        """Be the only one."""
        return cls()

    def load_connection_args(self) -> dict[str, object]:
        """Need none."""
        return {}


@pytest.mark.parametrize(
    "message",
    [b"\x00\x01", "no JSON", "[]", "{}", '{"header": 3}', '{"header": {"msg_type": "status"}}'],
)
def test_a_probe_skips_what_is_no_answer(message: object) -> None:
    """Binary frames, nonsense and other messages may come before the reply."""
    replies = [message, '{"header": {"msg_type": "kernel_info_reply"}}']

    class Connection:
        async def read_message(self) -> object:
            return replies.pop(0)

    asyncio.run(gateway._first_reply(Connection()))
    assert replies == []
