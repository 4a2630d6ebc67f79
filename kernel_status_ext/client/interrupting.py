"""The only place that sees to it that a run ends, by more than an interrupt if it must be."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, get_args

from .answers import OF_RUNS, is_trouble, made, part, refusal
from .errors import BadRequest, KernelStateUnreachable
from .following import LOOK, NO_MORE, Follow
from .paths import kernel_path, run_path
from .runs import Interruption, Run
from .steps import Ask, Rest, Talk
from .tries import Tries

Then = Literal["restart", "shutdown"] | None

GRACE = 5.0
"""Seconds that a run has to end, where more is to be done then and nothing is said."""

PATIENCE = 120.0
"""Seconds that a restart or a shutdown may take: a kernel may be asked, then told, then killed."""


@dataclass
class Interrupt:
    """An interrupt of a run.

    Attributes:
        run_id: The run.
        tries: The tries to reach its server.
        grace: Seconds to wait for its end; None to wait for nothing.
        then: What to do to its kernel if it has not ended by then; None for nothing.
    """

    run_id: str
    tries: Tries
    grace: float | None = None
    then: Then = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense, before anything is asked."""
        if self.then not in (None, *get_args(get_args(Then)[0])):
            raise BadRequest(f"then is {self.then!r}; allowed are restart, shutdown or None.")
        if self.grace is None and self.then is not None:
            self.grace = GRACE
        if self.grace is not None and not self.grace >= 0:
            raise BadRequest(f"grace is {self.grace}; allowed are seconds, 0 or more, or None.")

    def go_on(self) -> Talk[Interruption]:
        """Interrupt it, wait, and do what is left to do.

        Returns:
            What came of it.

        Raises:
            NotInterrupted: It is not the one that its kernel runs.
            RunNotFound: There is no such run.
            KernelStateUnreachable: Its kernel could not be started again.
        """
        server = self.tries.server
        answer = yield Ask(run_path(self.run_id, "interrupt"), method="POST")
        run = made(Run, part(answer, "run", server, OF_RUNS), server)
        if self.grace is None:
            return _interruption(run)
        follow = Follow(self.run_id, self.tries)
        yield from self._ends(follow, self.grace)
        run = yield from follow.look()
        if run.has_ended or self.then is None:
            return _interruption(run)
        yield from _DO[self.then](run, server)
        return _interruption((yield from follow.look()), self.then)

    def _ends(self, follow: Follow, grace: float) -> Talk[None]:
        """Wait until the run is over, or the time is."""
        clock = self.tries.clock
        deadline = clock() + grace
        while follow.done is None and (left := deadline - clock()) > 0:
            until = min(clock() + LOOK, deadline)
            reply = yield follow.ask(left)
            if is_trouble(reply):
                yield Rest(min(LOOK, left))
            elif reply.status in NO_MORE:
                yield from self._is_looked_at(follow, deadline)
                return
            else:
                # How long a stream may be silent is said when it is asked for: one that is not
                # silent is asked for again, with the time that is left.
                yield from follow.read(reply, until)
                yield Rest(max(0.0, until - clock()))

    def _is_looked_at(self, follow: Follow, deadline: float) -> Talk[None]:
        while not (yield from follow.look()).has_ended:
            left = deadline - self.tries.clock()
            if left <= 0:
                return
            yield Rest(min(LOOK, left))


def _interruption(run: Run, did: Then = None) -> Interruption:
    return Interruption(run=run, did=did)


def _restart(run: Run, server: str) -> Talk[None]:
    path = kernel_path(run.kernel_id, "restart")
    answer = yield Ask(path, method="POST", patience=PATIENCE)
    model: Any = {name: part(answer, name, server) for name in ("status", "reason")}
    if model["status"] == "dead":
        raise KernelStateUnreachable(
            f"Kernel {run.kernel_id} was restarted to end run {run.run_id}, and is dead: "
            f"{model['reason']}",
            reason=model["reason"],
        )


def _shutdown(run: Run, server: str) -> Talk[None]:
    answer = yield Ask(kernel_path(run.kernel_id), method="DELETE", patience=PATIENCE)
    if is_trouble(answer) or answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
        raise refusal(answer, server)


_DO = {"restart": _restart, "shutdown": _shutdown}
