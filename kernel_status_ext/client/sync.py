"""The only place that carries on a conversation with a server while the caller waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar, overload

import httpx

from . import opening
from .paths import Words
from .results import Event, History, Inspection, Kernel, Session
from .run_calls import Detail
from .runs import RunEvent
from .sockets import Sockets
from .steps import Answer, Ask, Failed, Read, Rest, Step, Talk, Tell, TellOfRun
from .sync_runs import Runs

T = TypeVar("T")


class KernelStatusClient(Runs):
    """Asks a Jupyter server about its kernels; all methods may raise a ``KernelStatusError``.

    Use it as a context manager or call ``close``. Threads may share one.
    """

    def _open(self, transport: Any, socket: str | None, options: dict[str, Any]) -> None:
        self._closed = threading.Event()
        self._sockets = Sockets()
        if socket is not None:
            transport = transport or httpx.HTTPTransport(uds=socket)
        self._http = httpx.Client(transport=transport, **options)

    def __enter__(self) -> KernelStatusClient:  # noqa: PYI034 - Self is younger than Python 3.10
        """Give the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give the connections back; what is still asked ends with ``ClientClosed``."""
        self._closed.set()
        self._sockets.shut()
        self._http.close()

    def sessions(self) -> list[Session]:
        """Return the notebooks and consoles that kernels work for."""
        return self._carry_on(self._calls.sessions())

    def list(self) -> list[Kernel]:
        """Return all kernels of the server, in one call."""
        return self._carry_on(self._calls.list())

    def status(self, kernel_id: str) -> Kernel:
        """Return all that is known of a kernel now."""
        return self._carry_on(self._calls.status(kernel_id))

    def history(self, kernel_id: str) -> History:
        """Return a kernel's story."""
        return self._carry_on(self._calls.history(kernel_id))

    @overload
    def inspect(self, kernel_id: str, *, detail: Detail = None) -> Inspection: ...

    @overload
    def inspect(
        self, kernel_id: None = None, *, detail: Detail = None
    ) -> dict[str, Inspection]: ...

    def inspect(
        self, kernel_id: str | None = None, *, detail: Detail = None
    ) -> Inspection | dict[str, Inspection]:
        """Return live figures of a kernel's process, or of all by the kernels' ids.

        Args:
            kernel_id: The kernel; None for all.
            detail: ``"full"`` for what takes longer: memory in more detail, bytes read and written.

        Returns:
            The figures.
        """
        if kernel_id is None:
            return self._carry_on(self._calls.inspect_all(detail))
        return self._carry_on(self._calls.inspect(kernel_id, detail))

    def wait(
        self,
        kernel_id: str,
        *,
        status: Words = None,
        execution_state: Words = None,
        state: Words = None,
        timeout: float | None = None,
        since: int | None = None,
    ) -> Kernel:
        """Wait until a kernel is in a state, also through proxies that cut long calls.

        Args:
            kernel_id: The kernel.
            status: Any of these, as a comma list or several words; None for any.
            execution_state: The same for what its shells do.
            state: The same for the one word. What is given must hold together; nothing at all
                means ``status="connected"``, and with ``since`` any change.
            timeout: Seconds; None for ever; 0 to look once.
            since: A revision: the state must come true in a later change of this kernel.

        Returns:
            The kernel as it was when the state was reached.

        Raises:
            KernelStateTimeout: It was not reached in time.
            KernelStateUnreachable: The kernel is dead, or was removed.
            RevisionUnknown: The server does not know ``since`` (any more).
            KernelNotFound: There is no such kernel.
            BadRequest: A word is unknown, or the states never hold together.
            ServerUnreachable: The server could not be reached for longer than ``patience``.
        """
        wishes = {"status": status, "execution_state": execution_state, "state": state}
        talk = self._calls.wait(kernel_id, **wishes, timeout=timeout, since=since)
        return self._carry_on(talk)

    def watch(
        self,
        kernel_id: str | None = None,
        *,
        figures: float | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> Generator[Event, None, None]:
        """Watch all kernels or one; a connection that breaks is made again for ever.

        Args:
            kernel_id: The kernel; None for all.
            figures: Seconds between two looks at processes, 2 at least; None for no looks.
            on_lost: Called with a sentence when the connection has broken and is tried again.

        Yields:
            A ``Snapshot`` first and after each reconnect, ``Change``, ``Removed`` and ``Figures``.
            It ends when the one kernel that is watched is removed.

        Raises:
            KernelNotFound: The one kernel does not exist, or was removed while the connection was
                broken.
            NotAllowed: The token is wrong.
            TooManyWatchers: The server allows no more.
            ServerUnreachable: The server could not even be reached at first.
        """
        talk = self._calls.watch(kernel_id, figures, on_lost)
        reply = None
        with _Line(self._http, self._closed, self._sockets) as line:
            try:
                while True:
                    step = talk.send(reply)
                    reply = line.take(step)
                    if isinstance(step, Tell):
                        yield step.event
            except StopIteration:
                return

    def _carry_on(self, talk: Talk[T], tell: Callable[[RunEvent], object] | None = None) -> T:
        with _Line(self._http, self._closed, self._sockets) as line:
            try:
                step = next(talk)
                while True:
                    if isinstance(step, TellOfRun) and tell is not None:
                        tell(step.event)
                    step = talk.send(line.take(step))
            except StopIteration as end:
                value: T = end.value
                return value


class _Line:
    """One conversation's connection."""

    def __init__(self, http: httpx.Client, closed: threading.Event, sockets: Sockets) -> None:
        self._http = http
        self._closed = closed
        self._sockets = sockets
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def __enter__(self) -> _Line:  # noqa: PYI034 - Self is younger than Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def take(self, step: Step) -> object:
        """Do what is wanted and return the reply."""
        match step:
            case Rest(seconds):
                self._closed.wait(seconds)
                return None
            case Ask():
                return self._try(self._ask, step)
            case Read():
                return self._try(self._read, step)
        return None

    def _try(self, what: Callable[[Any], T], step: Step) -> T | Failed:
        try:
            return what(step)
        except (httpx.RequestError, RuntimeError) as error:
            return opening.failed(error, self._http.base_url, closed=self._closed.is_set())

    def _ask(self, step: Ask) -> Answer:
        self._hang_up()
        request = opening.request(self._http, step)
        request.extensions["trace"] = self._sockets.note
        response = self._http.send(request, stream=True)
        if opening.is_stream(response, step):
            self._response, self._pieces = response, response.iter_bytes()
            return opening.answer(response, b"")
        with contextlib.closing(response):
            return opening.answer(response, response.read())

    def _read(self, _step: Read) -> bytes | None:
        return next(self._pieces, None)

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
