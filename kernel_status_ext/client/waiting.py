"""The only place that waits for a state through whatever may stand between us and the server.

A wait is made of slices: calls that the server answers after some seconds at the latest. A slice
that was cut makes the next one shorter. The first only looks at the present, at once; each later
one asks since the revision that the one before has told, at which the state was not reached: so a
state that came and went between two slices is not missed, nor that a server was started anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from ..core import errors as core
from .answers import is_trouble, refusal, result, unreachable
from .errors import (
    KernelNotFound,
    KernelStateTimeout,
    KernelStateUnreachable,
    KernelStatusError,
    RevisionUnknown,
    ServerUnreachable,
)
from .pauses import Pauses
from .results import Kernel
from .steps import Answer, Ask, Failed, Rest, Talk

SLICE = 20.0
"""Seconds of a slice at most: common proxies allow 30 or 60."""

SHORTEST = 0.2
"""Seconds of a slice at least."""

SHRINK, GROW = 0.7, 1.25
"""A slice's length, of that at which the last one was cut, and of the last one that was not."""

MARGIN = 5.0
"""Seconds that an answer may be late before its connection counts as dead."""

LONGEST_PAUSE = 2.0
"""Seconds between two tries at most."""


@dataclass
class Wait:
    """A wait for a state.

    Attributes:
        path: The call's path.
        server: The server's address, for messages.
        kernel_id: The kernel.
        target: The states that are waited for.
        timeout: Seconds for all of it; None for ever; 0 to look once.
        since: The revision after which the state must come true; None if it may hold already.
        patience: Seconds to go on trying to reach a server that has gone.
        clock: Tells seconds.
    """

    path: str
    server: str
    kernel_id: str
    target: dict[str, str]
    timeout: float | None
    since: int | None
    patience: float
    clock: Callable[[], float]
    _slice: float = SLICE
    _last: Kernel | None = None
    _is_known: bool = False
    """Whether the server has told of this kernel."""
    _is_reached: bool = False
    """Whether there ever was somebody to connect to."""
    _lost_at: float | None = None
    _pauses: Pauses = field(default_factory=lambda: Pauses(LONGEST_PAUSE))

    def go_on(self) -> Talk[Kernel]:
        """Wait to the end.

        Returns:
            The kernel as it was when the state was reached.
        """
        self._began = self.clock()
        while True:
            asked_at, length = self.clock(), self._length
            reply = yield self._ask(length)
            lasted = self.clock() - asked_at
            if is_trouble(reply):
                yield from self._lost(reply, lasted)
                continue
            kernel = self._heard(reply)
            if kernel is not None:
                return kernel
            if lasted < length / 2:  # the server waits less long than it was asked to
                yield Rest(min(self._pauses.grown(), self._left))

    @property
    def _length(self) -> float:
        """Seconds of the next slice."""
        is_first_look = self.since is None and self._last is None
        return 0.0 if is_first_look else max(0.0, min(self._slice, self._left))

    @property
    def _left(self) -> float:
        if self.timeout is None:
            return math.inf
        return self.timeout - (self.clock() - self._began)

    def _ask(self, length: float) -> Ask:
        since = self.since
        if since is None and self._last is not None:
            since = self._last.revision
        params = {**self.target, "timeout": f"{length:.3f}"}
        if since is not None:
            params["since"] = str(since)
        return Ask(self.path, params, patience=length + MARGIN)

    def _heard(self, answer: Answer) -> Kernel | None:
        """Return the kernel if the state is reached, None to go on."""
        self._lost_at, self._is_reached = None, True
        if answer.status == HTTPStatus.OK:
            return result(Kernel, answer, self.server)
        error = refusal(answer, self.server)
        if isinstance(error, RevisionUnknown) and self.since is None and self._last is not None:
            self._last = None  # another server answers, or it was too long ago: look again
            return None
        if isinstance(error, KernelNotFound) and self._is_known:
            reason = "it was removed, or its server was started anew, while we waited"
            raise self._unreachable(reason) from error
        if not isinstance(error, KernelStateTimeout):
            raise error
        self._last, self._is_known = error.kernel, True
        self._slice = min(SLICE, self._slice * GROW)
        self._check_time(error)
        return None

    def _check_time(self, error: KernelStatusError) -> None:
        """Raise this error when the time is over, or a better one of what we know."""
        if self._left > 0:
            return
        if self._last is None:
            raise error
        waited = self.timeout or 0.0
        said = core.KernelStateTimeout(_any(self._last), _any(self._wanted), waited)
        raise KernelStateTimeout(
            str(said), reason=self._last.reason, kernel=self._last, status_code=error.status_code
        ) from error

    def _unreachable(self, reason: str) -> KernelStateUnreachable:
        if self._last is None:
            return KernelStateUnreachable(f"Kernel {self.kernel_id}: {reason}.", reason=reason)
        said = core.KernelStateUnreachable(_any(self._last), _any(self._wanted), f"{reason}.")
        return KernelStateUnreachable(str(said), reason=reason, kernel=self._last)

    @property
    def _wanted(self) -> str:
        words = (f"{name}={wish}" for name, wish in self.target.items())
        return " and ".join(words) or "any change"

    def _lost(self, reply: Answer | Failed, lasted: float) -> Talk[None]:
        """Rest before the next try, or give up."""
        now = self.clock()
        if self._lost_at is None:
            self._lost_at = now
        self._is_reached |= not isinstance(reply, Failed) or reply.connected
        if not self._is_reached or now - self._lost_at > self.patience:
            raise self._gone(reply)
        self._check_time(self._gone(reply))
        if lasted > SHORTEST:
            self._slice = max(SHORTEST, min(self._slice, lasted) * SHRINK)
        else:
            yield Rest(min(self._pauses.grown(), self._left))

    def _gone(self, reply: Answer | Failed) -> ServerUnreachable:
        last = self._last
        known = (
            f"; kernel {last.id} was last {last.status} ({last.execution_state})" if last else ""
        )
        error = unreachable(reply, self.server, known)
        error.kernel = last
        return error


def _any(ours: object) -> Any:
    """Have the core make its sentence of what reads alike: our kernel, and the query's words."""
    return cast("Any", ours)
