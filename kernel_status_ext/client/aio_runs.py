"""The only place that says which calls about runs a client has that is awaited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .interrupting import Then
from .opening import Client
from .paths import Words
from .results import Inspection
from .run_calls import Detail, More, asked_for
from .runs import Interruption, OnEvent, Run, RunEvent, Workers
from .steps import Talk

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class Runs(Client):
    """The calls about runs of ``AsyncKernelStatusClient``."""

    async def run(
        self,
        kernel_id: str,
        code: str,
        *,
        timeout: float | None = None,
        on_event: OnEvent | None = None,
        **more: Unpack[More],
    ) -> Run:
        """Run code and follow it to its end; see ``KernelStatusClient.run``.

        ``on_event`` may be a function or a coroutine function, which is awaited.
        """
        talk = self._run_calls.run(kernel_id, asked_for(code, timeout, **more))
        return await self._carry_on(talk, on_event)

    async def submit(
        self, kernel_id: str, code: str, *, timeout: float | None = None, **more: Unpack[More]
    ) -> Run:
        """Have code run and wait for nothing; see ``KernelStatusClient.submit``."""
        return await self._carry_on(
            self._run_calls.submit(kernel_id, asked_for(code, timeout, **more))
        )

    async def follow(self, run_id: str, *, on_event: OnEvent | None = None) -> Run:
        """Follow a run to its end; see ``KernelStatusClient.follow``, and ``run`` here."""
        return await self._carry_on(self._run_calls.follow(run_id), on_event)

    async def run_status(self, run_id: str) -> Run:
        """Return all that is known of a run now."""
        return await self._carry_on(self._run_calls.status(run_id))

    async def runs(
        self,
        kernel_id: str | None = None,
        *,
        status: Words = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[Run]:
        """Return runs, the newest first; see ``KernelStatusClient.runs``."""
        return await self._carry_on(self._run_calls.runs(kernel_id, status, limit, before))

    async def workers(self) -> Workers:
        """Return what all kernels work at now."""
        return await self._carry_on(self._run_calls.workers())

    async def inspect_run(self, run_id: str, *, detail: Detail = None) -> Inspection:
        """Return live figures of the process that works at a run; see ``inspect``."""
        return await self._carry_on(self._run_calls.inspect(run_id, detail))

    async def interrupt(
        self, run_id: str, *, grace: float | None = None, then: Then = None
    ) -> Interruption:
        """Interrupt a run; see ``KernelStatusClient.interrupt``."""
        return await self._carry_on(self._run_calls.interrupt(run_id, grace, then))

    async def _carry_on(self, talk: Talk[T], tell: Callable[[RunEvent], object] | None = None) -> T:
        """Carry on a conversation to its end."""
        raise NotImplementedError
