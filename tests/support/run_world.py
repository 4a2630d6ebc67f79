"""Kernels, runs and a ledger, with a clock that moves only when something happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from kernel_status_ext.core.events import RequestBegan, RequestEnded, ShellAnswered
from kernel_status_ext.core.model import Kernel
from kernel_status_ext.core.routing import Sender
from kernel_status_ext.core.run import Origin, Run, RunAnswered
from kernel_status_ext.core.words import RunStatus
from kernel_status_ext.tracking.ledger import Ledger, Recording
from kernel_status_ext.tracking.tracker import Tracker

from .dialogues import BIRTH, CONNECTED, News

LOG = logging.getLogger("run_world")
SHELL_NEWS = (RequestBegan, RequestEnded, ShellAnswered)


class Loop:
    """A loop that does what it is given to do when a test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.due: list[Callable[[], None]] = []

    def add_callback(self, call: Callable[..., None], *args: Any) -> None:
        """Take something to do in the next turn."""
        self.calls.append((call, args))

    def call_later(self, _delay: float, call: Callable[[], None]) -> Callable[[], None]:
        """Take something to do when time has passed."""
        self.due.append(call)
        return call

    def remove_timeout(self, call: Callable[[], None]) -> None:
        """Forget something that was to be done later."""
        self.due.remove(call)

    def turn(self) -> None:
        """Do what is to be done, and what that brings."""
        while self.calls:
            call, args = self.calls.pop(0)
            call(*args)

    def pass_time(self) -> None:
        """Let the time come for what is due now."""
        due, self.due = self.due, []
        for call in due:
            call()


class World:
    """Kernels that are called by short names, and the runs that come to them."""

    def __init__(self) -> None:
        """Begin with one kernel, `k`, that is connected; note what listeners are told."""
        self.time = BIRTH
        self.tracker = Tracker(LOG, self.now)
        self.ledger = Ledger(
            self.tracker, Recording(), lambda each: (f"s-{each}", f"{each}.ipynb"), LOG
        )
        self.told: list[Run] = []
        self.ledger.listen(self.told.append)
        self.me = Sender("me")
        self.born(*CONNECTED)

    def now(self) -> datetime:
        """Tell the time, which stands still until something happens."""
        return self.time

    def born(self, *news: News, name: str = "k") -> None:
        """A new kernel, and what happens to it."""
        self.tracker.add(name, "python3")
        self.tell(*news, name=name)

    def tell(self, *news: News, name: str = "k") -> Kernel:
        """Tell what happens to a kernel, a second for each; what shells do also of its runs."""
        for each in news:
            self.time += timedelta(seconds=1)
            event = each.event(self.kernel(name), self.time)
            self.tracker.feed(name, event)
            if isinstance(event, SHELL_NEWS):
                self.ledger.heard(name, event)
        return self.kernel(name)

    def kernel(self, name: str = "k") -> Kernel:
        """A kernel as it is now."""
        kernel = self.tracker.get(name)
        assert kernel is not None
        return kernel

    def new(self, run_id: str, name: str = "k", **facts: Any) -> Run:
        """A run that came by a websocket, and that nobody took in yet."""
        facts = {"queued_at": self.time, **facts}
        return self.ledger.new(run_id, self.kernel(name), Origin.WEBSOCKET, **facts)

    def send(self, *run_ids: str, sender: Sender | None = None, **facts: Any) -> None:
        """Runs that came and were sent at once, by one socket."""
        for run_id in run_ids:
            run = self.new(run_id, **facts)
            assert self.ledger.came(run, sender or self.me)
            self.ledger.sent(*run.key)

    def answer(
        self, run_id: str, said: RunStatus = RunStatus.OK, generation: int = 0, name: str = "k"
    ) -> None:
        """The reply to a run passed by."""
        self.time += timedelta(seconds=1)
        self.ledger.feed(name, run_id, RunAnswered(generation, self.time, said))

    def run(self, run_id: str, name: str = "k") -> Run:
        """A run as it is now, or as listeners were last told of it."""
        key = name, run_id
        return self.ledger.get(*key) or next(run for run in reversed(self.told) if run.key == key)

    def story(self, run_id: str, name: str = "k") -> list[str]:
        """The statuses that listeners were told of a run."""
        return [str(each.status) for each in self.told if each.key == (name, run_id)]
