"""The only place that says what is asked of a server for each thing that can be known.

Each call is a conversation (see `steps`); the two clients only carry it on. The calls about runs
stand in `run_calls`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.words import ExecutionState, State, Status
from .answers import body, made, part, result
from .errors import BadRequest
from .paths import KERNELS, Words, comma_list, given, kernel_path
from .results import History, Inspection, Kernel, Session
from .run_calls import Detail
from .steps import Ask, Talk
from .waiting import Wait
from .watching import Watch


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
        return result(Kernel, (yield Ask(kernel_path(kernel_id, "status"))), self.server)

    def history(self, kernel_id: str) -> Talk[History]:
        """Ask for a kernel's story."""
        return result(History, (yield Ask(kernel_path(kernel_id, "history"))), self.server)

    def inspect(self, kernel_id: str, detail: Detail) -> Talk[Inspection]:
        """Ask for live figures of a kernel's process."""
        ask = Ask(kernel_path(kernel_id, "inspect"), given(detail=detail))
        return result(Inspection, (yield ask), self.server)

    def inspect_all(self, detail: Detail) -> Talk[dict[str, Inspection]]:
        """Ask for live figures of all kernels' processes."""
        answer = yield Ask(f"{KERNELS}/inspect", given(detail=detail))
        found: dict[str, Any] = part(answer, "kernels", self.server) or {}
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
        path = f"{KERNELS}/watch" if kernel_id is None else kernel_path(kernel_id, "watch")
        watch = Watch(path, self.server, given(figures=figures), kernel_id, on_lost)
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
        target = {name: comma_list(wish) for name, wish in wishes.items() if wish is not None}
        if not target and since is None:
            target = {"status": Status.CONNECTED.value}
        wait = Wait(
            kernel_path(kernel_id, "wait"),
            self.server,
            kernel_id,
            target,
            timeout=timeout,
            since=since,
            patience=self.patience,
            clock=self.clock,
        )
        return (yield from wait.go_on())


def _with_kernel_id(session: Any) -> Any:
    kernel = session.get("kernel") if isinstance(session, dict) else None
    return {**session, "kernel_id": kernel.get("id")} if isinstance(kernel, dict) else session
