"""The only place that says how long to rest before the next try."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 0.1
"""Seconds before the second try."""


@dataclass
class Pauses:
    """Pauses that grow with each failure.

    Attributes:
        longest: Seconds, at most.
        next: Seconds of the next one.
    """

    longest: float
    next: float = FIRST

    def grown(self) -> float:
        """Return the pause to make now, and make the next one longer."""
        now, self.next = self.next, min(self.next * 2, self.longest)
        return now

    def reset(self) -> None:
        """Begin anew: it worked."""
        self.next = FIRST
