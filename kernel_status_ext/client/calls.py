"""The only place that says what is asked of a server for each thing that can be known.

Each call is a conversation (see `steps`); the two clients only carry it on. The calls that run
code will stand here, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from ..core.words import ExecutionState, State, Status
from .answers import body, made, result
from .errors import BadRequest
from .results import History, Inspection, Kernel, Session
from .steps import Ask, Talk
from .waiting import Wait
from .watching import Watch

KERNELS = "api/kernels"

Words = str | Iterable[str] | None
"""What may be given for one word: a comma list, several words, or None for any."""

Detail = Literal["full"] | None


@dataclass(frozen=True)
class Calls:
    """What can be asked of one server.

    Attributes:
        server: Its address, for messages.
        patience: Seconds that a wait goes on trying to reach a server that has gone.
        clock: Tells seconds.
    """

    server: str
    patience: float
    clock: Callable[[], float] = time.monotonic

    def status(self, kernel_id: str) -> Talk[Kernel]:
        """Ask for all that is known of a kernel."""
        return result(Kernel, (yield Ask(_path(kernel_id, "status"))), self.server)

    def history(self, kernel_id: str) -> Talk[History]:
        """Ask for a kernel's story."""
        return result(History, (yield Ask(_path(kernel_id, "history"))), self.server)

    def inspect(self, kernel_id: str, detail: Detail) -> Talk[Inspection]:
        """Ask for live figures of a kernel's process."""
        ask = Ask(_path(kernel_id, "inspect"), _given(detail=detail))
        return result(Inspection, (yield ask), self.server)

    def inspect_all(self, detail: Detail) -> Talk[dict[str, Inspection]]:
        """Ask for live figures of all kernels' processes."""
        answer = yield Ask(f"{KERNELS}/inspect", _given(detail=detail))
        found: dict[str, Any] = body(answer, self.server).get("kernels", {})
        return {each: made(Inspection, told, self.server) for each, told in found.items()}

    def sessions(self) -> Talk[list[Session]]:
        """Ask which notebooks and consoles kernels work for."""
        listed = body((yield Ask("api/sessions")), self.server)
        return [made(Session, _with_kernel_id(each), self.server) for each in listed]

    def list(self) -> Talk[list[Kernel]]:
        """Ask for all kernels: the beginning of a watch tells all of them in one call."""
        watch = Watch(f"{KERNELS}/watch", self.server)
        return (yield from watch.first())

    def watch(
        self,
        kernel_id: str | None,
        figures: float | None,
        on_lost: Callable[[str], None] | None,
    ) -> Talk[None]:
        """Ask to be told of changes."""
        path = f"{KERNELS}/watch" if kernel_id is None else _path(kernel_id, "watch")
        watch = Watch(path, self.server, _given(figures=figures), kernel_id, on_lost)
        return (yield from watch.go_on())

    def wait(
        self,
        kernel_id: str,
        *,
        status: Words | Status = None,
        execution_state: Words | ExecutionState = None,
        state: Words | State = None,
        timeout: float | None = None,
        since: int | None = None,
    ) -> Talk[Kernel]:
        """Ask to be answered when a kernel is in a state."""
        if timeout is not None and not timeout >= 0:
            raise BadRequest(f"timeout is {timeout}; allowed are seconds, 0 or more, or None.")
        wishes = {"status": status, "execution_state": execution_state, "state": state}
        target = {name: _comma_list(wish) for name, wish in wishes.items() if wish is not None}
        if not target and since is None:
            target = {"status": Status.CONNECTED.value}
        wait = Wait(
            _path(kernel_id, "wait"),
            self.server,
            kernel_id,
            target,
            timeout=timeout,
            since=since,
            patience=self.patience,
            clock=self.clock,
        )
        return (yield from wait.go_on())


def _path(kernel_id: str, call: str) -> str:
    if kernel_id in ("", ".", ".."):  # what stands between would change the path
        raise BadRequest(f"{kernel_id!r} is no kernel's id: see list() for those that are.")
    return f"{KERNELS}/{quote(kernel_id, safe='')}/{call}"


def _given(**params: object) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def _comma_list(wish: str | Iterable[str]) -> str:
    # str() of a word is what travels, also where it is an enum of Python 3.10.
    return str(wish) if isinstance(wish, str) else ",".join(str(each) for each in wish)


def _with_kernel_id(session: Any) -> Any:
    kernel = session.get("kernel") if isinstance(session, dict) else None
    return {**session, "kernel_id": kernel.get("id")} if isinstance(kernel, dict) else session
