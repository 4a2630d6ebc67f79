"""Who reads the streams of runs, how many they may be, and who is sent away for not reading.

What waits for somebody who does not read is held here, and to open a stream takes the right to
read only: without bounds, whoever looks could fill the server's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

from . import sse

KEEP_ALIVE_EVERY = 15.0
"""Seconds between two comments."""

STUCK_FOR = 4
"""As many looks, one at every comment, in a row at which somebody has taken nothing: 60 s."""

ALL_BEHIND = 256 * 2**20
"""Bytes that may wait for all of them together."""

SendAway = Callable[[], None]


@dataclass(eq=False, slots=True)
class _Reader:
    send_away: SendAway
    taken: int = 0
    """What had been taken at the last look."""
    stuck: int = 0
    """Looks in a row at which that was the same."""


class Readers:
    """All readers of all recordings."""

    def __init__(self, most: int = 1000, limit: int = 16 * 2**20) -> None:
        """Begin with nobody.

        Args:
            most: How many may read at a time.
            limit: Bytes that may wait for each.
        """
        self.most = most
        self._limit = limit
        self._readers: dict[sse.Playback, _Reader] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._readers)

    @property
    def is_full(self) -> bool:
        """Whether nobody else may read."""
        return len(self) >= self.most

    def join(self, reader: sse.Playback, send_away: SendAway) -> None:
        """Take care of somebody.

        Args:
            reader: The way to them.
            send_away: Closes their connection; they may come back and resume.
        """
        self._readers[reader] = _Reader(send_away, reader.taken)

    def leave(self, reader: sse.Playback) -> None:
        """Send somebody nothing more."""
        reader.close()
        self._readers.pop(reader, None)

    def relieve(self) -> None:
        """Send away who is too far behind, and the slowest if all together are."""
        late = {each: each.late for each in self._readers if each.late}
        total = sum(late.values())
        for reader, size in sorted(late.items(), key=itemgetter(1), reverse=True):
            if size <= self._limit and total <= ALL_BEHIND:
                break
            total -= size
            self._dismiss(reader)

    def look(self) -> None:
        """Send a comment to who has taken everything; send away who has taken nothing for long."""
        for reader, known in tuple(self._readers.items()):
            known.stuck = known.stuck + 1 if known.taken == reader.taken else 0
            known.taken = reader.taken
            if reader.is_idle:
                known.stuck = 0
                reader.send((sse.KEEP_ALIVE,))
            elif known.stuck >= STUCK_FOR:
                self._dismiss(reader)

    def _dismiss(self, reader: sse.Playback) -> None:
        known = self._readers[reader]
        self.leave(reader)
        known.send_away()
