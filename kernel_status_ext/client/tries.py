"""The only place that says how long to go on with a call that may be made any number of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .answers import is_trouble, unreachable
from .pauses import Pauses
from .steps import Answer, Ask, Failed, Rest, Talk

LONGEST_PAUSE = 2.0
"""Seconds between two tries at most."""


@dataclass
class Tries:
    """Tries to reach a server, for as long as there is patience.

    Attributes:
        server: The server's address, for messages.
        patience: Seconds to go on trying to reach a server that has gone.
        clock: Tells seconds.
        known: What else there is to say of a server that was there and is given up.
        is_reached: Whether there ever was somebody to connect to.
    """

    server: str
    patience: float
    clock: Callable[[], float]
    known: str = ""
    is_reached: bool = False
    _lost_at: float | None = None
    _pauses: Pauses = field(default_factory=lambda: Pauses(LONGEST_PAUSE))

    def answer(self, ask: Ask) -> Talk[Answer]:
        """Ask until the server itself answers.

        Args:
            ask: What is asked.

        Returns:
            The answer, whatever it is.

        Raises:
            ServerUnreachable: There was none for too long, or nobody there from the beginning.
        """
        while True:
            reply: Answer | Failed = yield ask
            if not isinstance(reply, Failed) and not is_trouble(reply):
                self.is_reached, self._lost_at = True, None
                return reply
            yield from self.lost(reply)

    def lost(self, reply: Answer | Failed) -> Talk[None]:
        """Rest before the next try, or give up; raises as ``answer`` does."""
        now = self.clock()
        if self._lost_at is None:
            self._lost_at = now
        self.is_reached |= not isinstance(reply, Failed) or reply.connected
        if not self.is_reached or now - self._lost_at > self.patience:
            raise unreachable(reply, self.server, self.known if self.is_reached else "")
        yield Rest(self._pauses.grown())

    def went_on(self) -> None:
        """Note that something came, so that the next try follows soon."""
        self._pauses.reset()
