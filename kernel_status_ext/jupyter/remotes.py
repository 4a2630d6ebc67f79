"""Kernels that run elsewhere: looked at while somebody asks, probed once for each process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import Logger
from typing import Any

from tornado import web
from tornado.httpclient import HTTPClientError
from tornado.ioloop import PeriodicCallback
from tornado.websocket import WebSocketError
from traitlets import TraitError

from ..core.causes import no_answer_elsewhere, nobody_elsewhere
from ..core.events import Reported
from ..core.words import ExecutionState
from ..tracking.tasks import not_before, spawn
from ..tracking.tracker import Tracker
from .charge import Charge
from .gateway import is_behind_gateway, kernel_answers, raise_in_gateway_words

LOOK_EVERY = 1.0
"""Seconds between looks while somebody waits or watches."""

SHOWN_AFTER = 5.0
"""Seconds after which what was known last is answered: whoever asks must not wait for ever."""

SILENT_AFTER = 30.0
"""Seconds without an answer, of the server there or of a kernel, after which it is unknown."""

ASK_AGAIN = 1.0
"""Seconds between two attempts to reach a kernel for one probe."""

UNREACHABLE = (web.HTTPError, HTTPClientError, WebSocketError, OSError, asyncio.TimeoutError)
"""What asking another server may raise when it is not there, or in no state to answer."""

NOT_UNDERSTOOD = (ValueError, TypeError, KeyError, AttributeError, TraitError)
"""What Jupyter's gateway client raises of answers that are not what it expects."""

WORKING = ("idle", "busy")
COMING = ("starting", "restarting", "autorestarting")
DEAD = "dead"


@dataclass(eq=False)
class Remote:
    """One kernel that runs elsewhere.

    Attributes:
        charge: What is held for it.
        answered: Whether its present process has answered.
        said: What the server there said of it last.
        overdue: Why it is unknown; empty unless its process was silent for long.
        probe: The task that asks its present process.
    """

    charge: Charge
    answered: bool
    said: str = ""
    overdue: str = ""
    probe: asyncio.Task[Any] | None = None
    is_restarting: bool = False
    """Whether a restart that was asked for here is under way: what is said meanwhile is old."""
    probe_again_at: float = 0.0
    """A probe is a connection: one after the other would keep the kernel from being culled."""


class Remotes:
    """All kernels that run elsewhere."""

    def __init__(self, tracker: Tracker, log: Logger) -> None:
        """Begin with none.

        Args:
            tracker: Who is told.
            log: Where failures are told.
        """
        self.is_watched: Callable[[], bool] = lambda: False
        self.ask: Callable[[], Awaitable[None]]
        self._tracker = tracker
        self._log = log
        self._remotes: dict[str, Remote] = {}
        self._lock = asyncio.Lock()
        self._looked_at = 0.0
        self._clock = PeriodicCallback(self._look_for_those_who_wait, LOOK_EVERY * 1000)

    def __contains__(self, kernel_id: object) -> bool:
        """Tell whether a kernel runs elsewhere."""
        return kernel_id in self._remotes

    def __len__(self) -> int:
        """Count them."""
        return len(self._remotes)

    # -- they come and go ----------------------------------------------------------------

    def begin(self, charge: Charge) -> None:
        """Follow a kernel, or its next process."""
        before = self._remotes.get(charge.kernel_id)
        self.forget(charge.kernel_id)
        remote = Remote(charge, answered=not is_behind_gateway(charge.manager))
        self._remotes[charge.kernel_id] = remote
        if not self._clock.is_running():
            self._clock.start()
        if not remote.answered:
            anew = before is not None and before.answered
            self._tell(remote, ExecutionState.STARTING, anew=anew)
            self._begin_probe(remote)

    def begin_again(self, kernel_id: str) -> None:
        """Follow the next process of a kernel, if it runs elsewhere."""
        remote = self._remotes.get(kernel_id)
        if remote is not None:
            self.begin(remote.charge)

    @contextmanager
    def asked(self, kernel_id: str, *, to_restart: bool = False) -> Iterator[None]:
        """Have what an action fails with be one error; a restart that failed is none.

        Args:
            kernel_id: The kernel; nothing is done for one that runs here.
            to_restart: Whether it is asked to restart.

        Raises:
            tornado.web.HTTPError: The server where it runs refused, or was not understood.
        """
        remote = self._remotes.get(kernel_id)
        if remote is None:
            yield
            return
        remote.is_restarting = to_restart
        try:
            yield
        except (web.HTTPError, *NOT_UNDERSTOOD) as error:
            if to_restart:
                self._tell(remote, ExecutionState.UNKNOWN, nobody_elsewhere(_said(error)))
            if isinstance(error, web.HTTPError):
                raise_in_gateway_words(error)
                raise
            message = "the answer of the server where the kernel runs is not understood"
            raise web.HTTPError(503, message) from error
        finally:
            remote.is_restarting = False

    def forget(self, kernel_id: str) -> None:
        """Follow a kernel no more."""
        remote = self._remotes.pop(kernel_id, None)
        if remote is not None and remote.probe is not None:
            remote.probe.cancel()
        if not self._remotes:
            self._clock.stop()

    # -- they are looked at --------------------------------------------------------------

    async def look(self) -> None:
        """Find out what they do now, or give up waiting for it after some seconds."""
        if self._remotes:
            work = self._look_after(time.monotonic())
            task = spawn(work, "Looking at kernels that run elsewhere", self._log)
            await asyncio.wait([task], timeout=SHOWN_AFTER)

    async def _look_after(self, moment: float) -> None:
        async with self._lock:
            if self._looked_at > moment:
                # Somebody else's look has begun since, and is over.
                return
            began = time.monotonic()
            try:
                await asyncio.wait_for(self.ask(), SILENT_AFTER)
            except UNREACHABLE as error:
                self._lost(nobody_elsewhere(_said(error)))
            except NOT_UNDERSTOOD as error:
                self._log.debug("The server that runs the kernels spoke oddly", exc_info=True)
                self._lost(nobody_elsewhere(f"its answer is not understood, {error!r}"))
            self._looked_at = began

    async def _look_for_those_who_wait(self) -> None:
        if self._tracker.waiting or self.is_watched():
            await self.look()

    def _lost(self, reason: str) -> None:
        for remote in self._remotes.values():
            self._tell(remote, ExecutionState.UNKNOWN, reason)

    def reported(self, kernel_id: str, word: object, reason: object) -> None:
        """Take in what the server there says of a kernel.

        Args:
            kernel_id: The kernel.
            word: The ``execution_state`` of its model.
            reason: Its reason, where that server tells one.
        """
        remote = self._remotes.get(kernel_id)
        if remote is None or remote.is_restarting:
            return
        said, remote.said = remote.said, word if isinstance(word, str) else ""
        if _is_another_process(said, remote.said) and remote.answered:
            # Nobody here asked for it.
            self.begin(remote.charge)
            return
        if said != remote.said:
            remote.probe_again_at = 0.0
        why = reason if isinstance(reason, str) else ""
        self._tell(remote, *self._judged(remote, remote.said, why))

    def _judged(self, remote: Remote, word: str, reason: str) -> tuple[ExecutionState, str]:
        """Say what is known, of what is said and of what its process has answered."""
        if word == DEAD:
            return ExecutionState.DEAD, reason
        if word not in (*WORKING, *COMING):
            return ExecutionState.UNKNOWN, reason
        if remote.answered:
            return (ExecutionState(word) if word in WORKING else ExecutionState.IDLE), ""
        if remote.overdue and word == "busy":
            # Some kernels answer nothing while they work.
            return ExecutionState.BUSY, ""
        self._begin_probe(remote)
        if remote.overdue:
            return ExecutionState.UNKNOWN, remote.overdue
        return ExecutionState.STARTING, ""

    def _tell(
        self, remote: Remote, word: ExecutionState, reason: str = "", *, anew: bool = False
    ) -> None:
        kernel = self._tracker.get(remote.charge.kernel_id)
        if kernel is not None:
            event = Reported(kernel.generation, self._tracker.now(), word, reason, anew)
            self._tracker.feed(kernel.id, event)

    # -- they are probed -----------------------------------------------------------------

    def _begin_probe(self, remote: Remote) -> None:
        is_over = remote.probe is None or remote.probe.done()
        if is_over and time.monotonic() >= remote.probe_again_at:
            what = f"Kernel {remote.charge.kernel_id}: the probe of a remote process"
            remote.probe = spawn(self._probe(remote), what, self._log)

    async def _probe(self, remote: Remote) -> None:
        kernel_id = remote.charge.kernel_id
        try:
            await asyncio.wait_for(self._answer(kernel_id), SILENT_AFTER)
        except asyncio.TimeoutError:
            remote.overdue = no_answer_elsewhere(SILENT_AFTER)
            remote.probe_again_at = time.monotonic() + SILENT_AFTER
            if remote.said != "busy":
                self._tell(remote, ExecutionState.UNKNOWN, remote.overdue)
            return
        remote.answered, remote.overdue = True, ""
        self._tell(remote, ExecutionState.IDLE)
        await self.look()

    async def _answer(self, kernel_id: str) -> None:
        while True:
            began = time.monotonic()
            try:
                await kernel_answers(kernel_id)
            except UNREACHABLE as error:
                self._log.debug("Kernel %s does not answer: %s", kernel_id, error)
                await not_before(began + ASK_AGAIN)
            else:
                return


def _is_another_process(before: str, now: str) -> bool:
    """Tell from two words of a server whether there must be another process between them."""
    was_there = before not in ("", *COMING)
    return (was_there and now in COMING) or (before == DEAD and now in WORKING)


def _said(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {SILENT_AFTER:g} s"
    # jupyter_server 2.21, gateway_request raises its own sentence from what really happened.
    happened = error.__cause__ or error
    told = getattr(happened, "strerror", None) or str(happened)
    return " ".join(told.split()) or type(happened).__name__
