"""The only place that carries on a conversation with a server while others go on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar, overload

import httpx

from . import opening
from .aio_runs import Runs
from .paths import Words
from .results import Event, History, Inspection, Kernel, Session
from .run_calls import Detail
from .runs import RunEvent
from .steps import Answer, Ask, Failed, Read, Rest, Step, Talk, Tell, TellOfRun

T = TypeVar("T")


class AsyncKernelStatusClient(Runs):
    """The same as ``KernelStatusClient``, to be awaited; that one's methods are described.

    Use it as an asynchronous context manager or call ``aclose``.
    """

    def _open(self, transport: Any, socket: str | None, options: dict[str, Any]) -> None:
        self._closed = asyncio.Event()
        if socket is not None:
            transport = transport or httpx.AsyncHTTPTransport(uds=socket)
        self._http = httpx.AsyncClient(transport=transport, **options)

    async def __aenter__(self) -> AsyncKernelStatusClient:  # noqa: PYI034 - as in sync
        """Give the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connections back; what is still asked ends with ``ClientClosed``."""
        self._closed.set()
        await self._http.aclose()

    async def sessions(self) -> list[Session]:
        """Return the notebooks and consoles that kernels work for."""
        return await self._carry_on(self._calls.sessions())

    async def list(self) -> list[Kernel]:
        """Return all kernels of the server, in one call."""
        return await self._carry_on(self._calls.list())

    async def status(self, kernel_id: str) -> Kernel:
        """Return all that is known of a kernel now."""
        return await self._carry_on(self._calls.status(kernel_id))

    async def history(self, kernel_id: str) -> History:
        """Return a kernel's story."""
        return await self._carry_on(self._calls.history(kernel_id))

    @overload
    async def inspect(self, kernel_id: str, *, detail: Detail = None) -> Inspection: ...

    @overload
    async def inspect(
        self, kernel_id: None = None, *, detail: Detail = None
    ) -> dict[str, Inspection]: ...

    async def inspect(
        self, kernel_id: str | None = None, *, detail: Detail = None
    ) -> Inspection | dict[str, Inspection]:
        """Return live figures; see ``KernelStatusClient.inspect``."""
        if kernel_id is None:
            return await self._carry_on(self._calls.inspect_all(detail))
        return await self._carry_on(self._calls.inspect(kernel_id, detail))

    async def wait(
        self,
        kernel_id: str,
        *,
        status: Words = None,
        execution_state: Words = None,
        state: Words = None,
        timeout: float | None = None,
        since: int | None = None,
    ) -> Kernel:
        """Wait until a kernel is in a state; see ``KernelStatusClient.wait``."""
        wishes = {"status": status, "execution_state": execution_state, "state": state}
        talk = self._calls.wait(kernel_id, **wishes, timeout=timeout, since=since)
        return await self._carry_on(talk)

    async def watch(
        self,
        kernel_id: str | None = None,
        *,
        figures: float | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Watch all kernels or one; see ``KernelStatusClient.watch``.

        Who leaves the loop early hangs up sooner with ``contextlib.aclosing(client.watch())``.
        """
        talk = self._calls.watch(kernel_id, figures, on_lost)
        line, reply = _Line(self._http, self._closed), None
        try:
            while True:
                step = talk.send(reply)
                reply = await line.take(step)
                if isinstance(step, Tell):
                    yield step.event
        except StopIteration:
            return
        finally:
            await line.hang_up()

    async def _carry_on(self, talk: Talk[T], tell: Callable[[RunEvent], object] | None = None) -> T:
        line = _Line(self._http, self._closed)
        try:
            step = next(talk)
            while True:
                if isinstance(step, TellOfRun) and tell is not None:
                    told = tell(step.event)
                    if inspect.isawaitable(told):
                        await told
                step = talk.send(await line.take(step))
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            await line.hang_up()


class _Line:
    """One conversation's connection."""

    def __init__(self, http: httpx.AsyncClient, closed: asyncio.Event) -> None:
        self._http = http
        self._closed = closed
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes]

    async def take(self, step: Step) -> object:
        """Do what is wanted and return the reply."""
        match step:
            case Rest(seconds):
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), seconds)
                return None
            case Ask():
                return await self._try(self._ask, step)
            case Read():
                return await self._try(self._read, step)
        return None

    async def _try(self, what: Callable[[Any], Awaitable[T]], step: Step) -> T | Failed:
        try:
            return await what(step)
        except (httpx.RequestError, RuntimeError) as error:
            return opening.failed(error, self._http.base_url, closed=self._closed.is_set())

    async def _ask(self, step: Ask) -> Answer:
        await self.hang_up()
        response = await self._http.send(opening.request(self._http, step), stream=True)
        if opening.is_stream(response, step):
            self._response, self._pieces = response, response.aiter_bytes()
            return opening.answer(response, b"")
        try:
            return opening.answer(response, await response.aread())
        finally:
            await response.aclose()

    async def _read(self, _step: Read) -> bytes | None:
        with suppress(StopAsyncIteration):
            return await self._pieces.__anext__()
        return None

    async def hang_up(self) -> None:
        """Close what is still open."""
        if self._response is not None:
            await self._response.aclose()
            self._response = None
