"""The only place that says what is asked of a server to run code and to know of runs."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypedDict

from .answers import GOOD, OF_RUNS, STREAM, made, part, refusal, result
from .errors import BadRequest
from .following import Follow
from .interrupting import Interrupt, Then
from .paths import KERNELS, RUNS, Words, comma_list, given, kernel_path, run_path
from .results import Inspection
from .runs import Interruption, Run, Workers
from .steps import Answer, Ask, Talk
from .tries import Tries
from .watching import SILENCE

Detail = Literal["full"] | None


@dataclass(frozen=True)
class RunCalls:
    """What can be asked of one server about runs.

    Attributes:
        server: Its address, for messages.
        patience: Seconds that a run is followed on while its server cannot be reached.
        clock: Tells seconds.
    """

    server: str
    patience: float
    clock: Callable[[], float] = time.monotonic

    def run(self, kernel_id: str, asked: dict[str, Any]) -> Talk[Run]:
        """Have code run and follow it to its end.

        Args:
            kernel_id: The kernel.
            asked: The body of the call, as `asked_for` makes it.

        Returns:
            The run when it was over.
        """
        tries = self._tries(asked["run_id"])
        reply = yield from self._sent(kernel_id, asked, tries, STREAM)
        follow = Follow(asked["run_id"], tries, kernel_id)
        is_stream = reply is not None and reply.status == HTTPStatus.OK
        return (yield from follow.to_the_end(reply if is_stream else None))

    def submit(self, kernel_id: str, asked: dict[str, Any]) -> Talk[Run]:
        """Have code run and return its run as it is then; arguments are those of ``run``."""
        tries = self._tries(asked["run_id"])
        reply = yield from self._sent(kernel_id, asked, tries, "application/json")
        follow = Follow(asked["run_id"], tries, kernel_id)
        return (yield from follow.look()) if reply is None else self._run(reply)

    def follow(self, run_id: str) -> Talk[Run]:
        """Follow a run to its end, from its beginning on."""
        return (yield from Follow(run_id, self._tries(run_id)).to_the_end())

    def status(self, run_id: str) -> Talk[Run]:
        """Ask for all that is known of a run."""
        return self._run((yield Ask(run_path(run_id))))

    def runs(
        self, kernel_id: str | None, status: Words, limit: int | None, before: str | None
    ) -> Talk[list[Run]]:
        """Ask for the runs of a kernel or of all, newest first."""
        words = None if status is None else comma_list(status)
        path = RUNS if kernel_id is None else kernel_path(kernel_id, "runs")
        answer = yield Ask(path, given(status=words, limit=limit, before=before))
        told = part(answer, "runs", self.server) or []
        return [made(Run, each, self.server) for each in told]

    def workers(self) -> Talk[Workers]:
        """Ask what all kernels work at."""
        return result(Workers, (yield Ask(f"{KERNELS}/workers/active")), self.server)

    def inspect(self, run_id: str, detail: Detail) -> Talk[Inspection]:
        """Ask for live figures of the process that works at a run."""
        ask = Ask(run_path(run_id, "inspect"), given(detail=detail))
        return result(Inspection, (yield ask), self.server, OF_RUNS)

    def interrupt(self, run_id: str, grace: float | None, then: Then) -> Talk[Interruption]:
        """Interrupt a run, and see to it that it ends."""
        interrupt = Interrupt(run_id, self._tries(run_id), grace, then)
        return (yield from interrupt.go_on())

    def _tries(self, run_id: str) -> Tries:
        return Tries(self.server, self.patience, self.clock, f"; run {run_id} may go on there")

    def _run(self, answer: Answer) -> Run:
        return made(Run, part(answer, "run", self.server, OF_RUNS), self.server)

    def _sent(
        self, kernel_id: str, asked: dict[str, Any], tries: Tries, accept: str
    ) -> Talk[Answer | None]:
        """Send code until it has arrived: a server runs the same ``run_id`` but once.

        Returns:
            The answer; None where the run was known already.
        """
        is_stream = accept == STREAM
        ask = Ask(
            kernel_path(kernel_id, "runs"),
            patience=SILENCE if is_stream else None,
            stream=is_stream,
            method="POST",
            body=asked,
            headers={"Accept": accept},
        )
        answer = yield from tries.answer(ask)
        if answer.status == HTTPStatus.CONFLICT and answer.location:
            return None
        if answer.status not in GOOD:
            raise refusal(answer, self.server)
        return answer


class More(TypedDict, total=False):
    """What else may be said of code that is to run.

    Attributes:
        silent: Whether the kernel is to publish as little as it can; then nothing is stored.
        store_history: Whether the kernel is to count it, and to keep it in its own history.
        stop_on_error: Whether what is queued behind it is given up when it fails.
        subshell_id: The subshell that is to run it.
        metadata: The request's metadata.
        run_id: Its id, up to 128 of letters, digits and ``_.:-``; one that the server knows
            already is not run again but followed.
    """

    silent: bool
    store_history: bool
    stop_on_error: bool
    subshell_id: str
    metadata: dict[str, Any]
    run_id: str


def asked_for(
    code: str,
    timeout: float | None = None,
    *,
    silent: bool | None = None,
    store_history: bool | None = None,
    stop_on_error: bool | None = None,
    subshell_id: str | None = None,
    metadata: dict[str, Any] | None = None,
    run_id: str | None = None,
) -> dict[str, Any]:
    """Make the body of the call that runs code.

    Args:
        code: The code.
        timeout: Seconds after its start at which it is interrupted; None for no limit.
        silent: This and what follows: see `More`; what is None is left out.
        store_history: See `More`.
        stop_on_error: See `More`.
        subshell_id: See `More`.
        metadata: See `More`.
        run_id: See `More`; one is made if none is given.

    Returns:
        The body.

    Raises:
        BadRequest: The timeout is none.
    """
    if timeout is not None and not 0 < timeout < math.inf:
        raise BadRequest(f"timeout is {timeout}; allowed are seconds, more than 0, or None.")
    fields = {
        "code": code,
        "run_id": uuid.uuid4().hex if run_id is None else run_id,
        "timeout": timeout,
        "silent": silent,
        "store_history": store_history,
        "stop_on_error": stop_on_error,
        "subshell_id": subshell_id,
        "metadata": metadata,
    }
    return {name: each for name, each in fields.items() if each is not None}
