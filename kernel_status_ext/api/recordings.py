"""What runs of ours put out, as events: for those who listen, and kept for those who come back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from tornado.ioloop import PeriodicCallback

from .. import run_views
from ..core.run import Run, RunKey
from ..core.run_messages import NOTHING, Output, Resulted
from . import sse
from .readers import KEEP_ALIVE_EVERY, Readers, SendAway

ENDED_KEPT = 200
"""Ended runs whose output is kept for resuming."""

ALL_KEPT = 64 * 2**20
"""Bytes of output that are kept of all runs together, unless it is set otherwise."""

RESULT_KEPT = 8 * 2**20
"""Bytes of a run's result that its last event says again."""


class Room:
    """What all recordings together may take."""

    def __init__(self, total: int = ALL_KEPT, forget: Callable[[], bool] = lambda: False) -> None:
        """Begin with nothing taken.

        Args:
            total: Bytes.
            forget: Lets something go that is kept; tells whether there was anything.
        """
        self.total, self.used = total, 0
        self._forget = forget

    def has(self, size: int) -> bool:
        """Tell whether there is room for so much more; make it where that can be."""
        while self.used + size > self.total:
            if size > self.total or not self._forget():
                return False
        return True


class Recording:
    """The events of one run."""

    def __init__(
        self, limit: int, room: Room | None = None, everybody: Readers | None = None
    ) -> None:
        """Begin with none.

        Args:
            limit: Bytes that are kept for resuming.
            room: What it shares with others.
            everybody: The readers of all recordings.
        """
        self._limit = limit
        self._room = Room() if room is None else room
        self._everybody = Readers() if everybody is None else everybody
        self._kept: list[bytes] = []
        self._last: bytes | None = None
        self._number = 0
        self._dropped = 0
        self._result: Resulted | None = None
        self.size = 0
        self.readers: set[sse.Playback] = set()

    def begin(self, run: Run) -> None:
        """Put in the first event."""
        # Kept whatever the limit: a stream that does not say whose it is would be no stream.
        self._keep(self._event("run", run_views.run(run)))

    def _keep(self, event: bytes) -> None:
        self._kept.append(event)
        self._take(len(event))

    def _take(self, size: int) -> None:
        self.size += size
        self._room.used += size

    def skips(self, kind: str, size: int) -> bool:
        """Count something that the run puts out, where nobody reads it and it cannot be kept.

        Args:
            kind: The message's type.
            size: Of its content, in bytes.

        Returns:
            Whether that was all: it need not be looked into.
        """
        says_result = kind == "execute_result" and size <= RESULT_KEPT
        fits = not self._dropped and self.size + size <= self._limit
        if self.readers or fits or says_result:
            return False
        self._number += 1
        self._dropped += size
        return True

    def put(self, output: Output) -> None:
        """Put in what the run puts out."""
        if isinstance(output, Resulted):
            says_it = len(memoryview(output.data)) <= RESULT_KEPT
            # A copy: the message that it stands in may be much larger.
            self._result = Resulted(output.data.copy(), NOTHING, None) if says_it else None
        self._put(*run_views.output(output))

    def end(self, run: Run) -> None:
        """Put in the last event."""
        self._last = self._event("done", run_views.done(run, self._result))
        self._take(len(self._last))
        for reader in tuple(self.readers):
            reader.send((self._last,), last=True)

    @property
    def has_ended(self) -> bool:
        """Whether the last event is in."""
        return self._last is not None

    def _event(self, name: str, data: run_views.JSON) -> bytes:
        self._number += 1
        return sse.event(name, run_views.encoded(data), self._number)

    def _put(self, name: str, data: run_views.JSON) -> None:
        event = self._event(name, data)
        fits = not self._dropped and self.size + len(event) <= self._limit
        if fits and self._room.has(len(event)):
            self._keep(event)
        else:
            # What is kept is a beginning without a hole.
            self._dropped += len(event)
        if any(reader.late for reader in self.readers):
            # Before this one is sent: who has taken all others is not behind, however large it is.
            self._everybody.relieve()
        for reader in tuple(self.readers):
            reader.send((event,))

    def is_known_after(self, number: int) -> bool:
        """Tell whether an event of this number was ever sent, or 0 for none."""
        return 0 <= number <= self._number

    def after(self, number: int) -> Iterator[bytes]:
        """Give again what came after an event, by its number; 0 for all."""
        yield from self._kept[number:]
        newest = self._number - self.has_ended
        missing = newest - max(number, len(self._kept))
        if missing > 0:
            data = run_views.encoded(run_views.truncated(missing, self._dropped))
            yield sse.event("truncated", data, newest)
        if self._last is not None and number < self._number:
            yield self._last

    def join(self, reader: sse.Playback, number: int) -> None:
        """Send somebody all that came after an event, and all that comes.

        Args:
            reader: The way to somebody.
            number: The event that they had last, 0 for none.
        """
        self.readers.add(reader)
        reader.replay(self.after(number), last=self.has_ended)


class Recordings:
    """The recordings of all runs of ours that are under way, and of those that ended last."""

    def __init__(self, limit: int, total: int = ALL_KEPT, readers: Readers | None = None) -> None:
        """Begin with none.

        Args:
            limit: Bytes that are kept of each.
            total: Bytes that are kept of all.
            readers: Those who read them.
        """
        self._limit = limit
        self._room = Room(total, self._forget)
        self.readers = Readers() if readers is None else readers
        self._active: dict[RunKey, Recording] = {}
        self._ended: OrderedDict[RunKey, Recording] = OrderedDict()
        self._clock = PeriodicCallback(self.readers.look, KEEP_ALIVE_EVERY * 1000)

    def begin(self, run: Run) -> Recording:
        """Begin to record a run."""
        recording = self._active[run.key] = Recording(self._limit, self._room, self.readers)
        recording.begin(run)
        return recording

    def get(self, kernel_id: str, run_id: str) -> Recording | None:
        """Return what is kept of a run, None for nothing (any more)."""
        key = kernel_id, run_id
        return self._active.get(key) or self._ended.get(key)

    def changed(self, run: Run) -> None:
        """End the recording of a run that has ended; for the ledger's ``listen``."""
        if not run.has_ended or run.key not in self._active:
            return
        recording = self._active.pop(run.key)
        recording.end(run)
        self._ended[run.key] = recording
        while len(self._ended) > ENDED_KEPT or (
            self._room.used > self._room.total and len(self._ended) > 1
        ):
            self._forget()

    def _forget(self) -> bool:
        """Let the oldest go of those that have ended; returns whether there was one."""
        if not self._ended:
            return False
        _, oldest = self._ended.popitem(last=False)
        self._room.used -= oldest.size
        return True

    def play(
        self, recording: Recording, reader: sse.Playback, number: int, send_away: SendAway
    ) -> None:
        """Let somebody listen.

        Args:
            recording: To this.
            reader: The way to them.
            number: The event that they had last, 0 for none.
            send_away: Called if they do not read.
        """
        if not self._clock.is_running():
            self._clock.start()
        self.readers.join(reader, send_away)
        recording.join(reader, number)

    def stop(self, recording: Recording, reader: sse.Playback) -> None:
        """Send somebody nothing more."""
        self.readers.leave(reader)
        recording.readers.discard(reader)
        if len(self.readers) == 0:
            self._clock.stop()

    def close(self) -> None:
        """Keep nothing: the server ends."""
        self._clock.stop()
