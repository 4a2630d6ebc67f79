"""What runs of ours put out, as events: for those who listen, and kept for those who come back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from tornado.ioloop import PeriodicCallback

from .. import run_views
from ..core.run import Run, RunKey
from ..core.run_messages import Output, Resulted
from . import sse

KEEP_ALIVE_EVERY = 15.0
"""Seconds between two comments."""

ENDED_KEPT = 200
"""Ended runs whose output is kept for resuming."""

ENDED_BYTES = 64 * 2**20
"""Bytes of the output of ended runs that are kept, in sum."""

FAR_BEHIND = 256 * 2**20
"""Bytes that wait for a reader who does not read, beyond which that reader is sent away."""


class Recording:
    """The events of one run."""

    def __init__(self, limit: int) -> None:
        """Begin with none.

        Args:
            limit: Bytes that are kept for resuming.
        """
        self._limit = limit
        self._kept: list[bytes] = []
        self._last: bytes | None = None
        self._number = 0
        self._dropped = 0
        self._result: Resulted | None = None
        self.size = 0
        self.readers: dict[sse.Playback, Callable[[], None]] = {}

    def begin(self, run: Run) -> None:
        """Put in the first event."""
        # Kept whatever the limit: a stream that does not say whose it is would be no stream.
        self._kept.append(self._event("run", run_views.run(run)))
        self.size += len(self._kept[0])

    def put(self, output: Output) -> None:
        """Put in what the run puts out."""
        if isinstance(output, Resulted):
            self._result = output
        self._put(*run_views.output(output))

    def end(self, run: Run) -> None:
        """Put in the last event."""
        self._last = self._event("done", run_views.done(run, self._result))
        self.size += len(self._last)
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
        if self._dropped or self.size + len(event) > self._limit:
            # What is kept is a beginning without a hole.
            self._dropped += len(event)
        else:
            self._kept.append(event)
            self.size += len(event)
        for reader, send_away in tuple(self.readers.items()):
            reader.send((event,))
            if reader.behind > FAR_BEHIND:
                send_away()

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

    def join(self, reader: sse.Playback, number: int, send_away: Callable[[], None]) -> None:
        """Send somebody all that came after an event, and all that comes.

        Args:
            reader: The way to somebody.
            number: The event that they had last, 0 for none.
            send_away: Called if they do not read.
        """
        self.readers[reader] = send_away
        reader.send(tuple(self.after(number)), last=self.has_ended)


class Recordings:
    """The recordings of all runs of ours that are under way, and of those that ended last."""

    def __init__(self, limit: int) -> None:
        """Begin with none.

        Args:
            limit: Bytes that are kept of each.
        """
        self._limit = limit
        self._active: dict[RunKey, Recording] = {}
        self._ended: OrderedDict[RunKey, Recording] = OrderedDict()
        self._size = 0
        self._clock = PeriodicCallback(self._keep_alive, KEEP_ALIVE_EVERY * 1000)

    def begin(self, run: Run) -> Recording:
        """Begin to record a run."""
        recording = self._active[run.key] = Recording(self._limit)
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
        self._size += recording.size
        while len(self._ended) > ENDED_KEPT or (self._size > ENDED_BYTES and len(self._ended) > 1):
            _, oldest = self._ended.popitem(last=False)
            self._size -= oldest.size

    def play(
        self, recording: Recording, reader: sse.Playback, number: int, send_away: Callable[[], None]
    ) -> None:
        """Let somebody listen."""
        if not self._clock.is_running():
            self._clock.start()
        recording.join(reader, number, send_away)

    def stop(self, recording: Recording, reader: sse.Playback) -> None:
        """Send somebody nothing more."""
        reader.close()
        recording.readers.pop(reader, None)
        if not any(each.readers for each in self._all()):
            self._clock.stop()

    def close(self) -> None:
        """Keep nothing: the server ends."""
        self._clock.stop()

    def _all(self) -> list[Recording]:
        return [*self._active.values(), *self._ended.values()]

    def _keep_alive(self) -> None:
        for recording in self._all():
            for reader in recording.readers:
                if reader.is_idle:
                    reader.send((sse.KEEP_ALIVE,))
