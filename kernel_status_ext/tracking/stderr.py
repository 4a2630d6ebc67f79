"""The only place that reads kernels' stderr: one thread forwards it, and its end is kept.

A pipe per launch, and one thread for all: a pipe that the server's loop would drain fills up while
the loop is busy, and a kernel that writes to a full pipe stands still. What comes is written to
the server's own stderr, where it would have gone without us. The end of the pipe is not the end
of the process, which may close it, or hand it to children that live on.
"""

from __future__ import annotations

import os
import select
import selectors
import sys
import threading
from collections import deque

from ..core.remains import clean

CHUNK = 1 << 16
"""Bytes read at once: what a pipe holds on Linux unless it is told otherwise."""

LAST_LOOK = 16
"""Chunks that are read at most at a process's death: somebody else may go on writing."""

SERVERS_STDERR = 2

PATIENCE = 1.0
"""Seconds that a server's stderr which is full may take before a chunk is given up."""


class Pipe:
    """The stderr of one process, and of all that it hands it to."""

    def __init__(self, drain: Drain, keep: int) -> None:
        """Open it; raises OSError where no descriptor is left."""
        drain.begin()
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._drain = drain
        self._keep = keep
        self._lock = threading.Lock()
        self._end = bytearray()
        self._unforwarded: deque[bytes] = deque()

    def handed_over(self) -> None:
        """Close our side of what the process writes to: by now it has its own, or never will."""
        os.close(self.writing)
        self._drain.attend(self)

    def last_words(self) -> str:
        """Read what has come, without waiting, and return the end of all of it as text."""
        for _ in range(LAST_LOOK):
            if not self.read():
                break
        self._drain.attend(self)
        with self._lock:
            return clean(bytes(self._end))

    def read(self) -> int | None:
        """Read a chunk; returns its bytes, 0 at the pipe's end, None if nothing is there now."""
        with self._lock:
            if self.reading < 0:
                return 0
            try:
                chunk = os.read(self.reading, CHUNK)
            except BlockingIOError:
                return None
            self._end += chunk
            del self._end[: max(0, len(self._end) - self._keep)]
            if chunk:
                self._unforwarded.append(chunk)
            return len(chunk)

    def forward(self) -> None:
        """Write what was read to the server's stderr; only the drain's thread does."""
        while self._unforwarded:
            left = memoryview(self._unforwarded.popleft())
            while left:
                left = left[self._drain.write(left) :]

    def close(self) -> None:
        """Read no more."""
        with self._lock:
            os.close(self.reading)
            self.reading = -1


class Drain:
    """The thread that reads all pipes."""

    def __init__(self, keep: int) -> None:
        """Begin without a thread; the first pipe starts it.

        Args:
            keep: Bytes that are kept of the end of each.
        """
        self._keep = keep
        self._selector = selectors.DefaultSelector()
        self._attend: deque[Pipe] = deque()
        self._woken, self._wake = -1, -1
        self._patience = PATIENCE

    def open(self) -> Pipe:
        """Open a pipe for a process that is about to be launched; raises OSError."""
        return Pipe(self, self._keep)

    def begin(self) -> None:
        """Start the thread, once; raises OSError where no descriptor is left."""
        if self._wake >= 0:
            return
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="kernel-status-stderr", daemon=True).start()

    def write(self, data: memoryview) -> int:
        """Write to the server's stderr; returns the bytes that are done with."""
        if sys.__stderr__ is None:
            # The server was started without: its descriptor is somebody else's by now.
            return len(data)
        try:
            count = os.write(SERVERS_STDERR, data)
        except BlockingIOError:
            writable = select.select([], [SERVERS_STDERR], [], self._patience)[1]
            # Nobody reads it: what comes next is not waited for, or it would hold all kernels.
            self._patience = self._patience if writable else 0.0
            return 0 if writable else len(data)
        except OSError:
            # Closed, or a terminal that is gone: there is nobody to be told.
            return len(data)
        self._patience = PATIENCE
        return count

    def attend(self, pipe: Pipe) -> None:
        """Have the thread read and forward a pipe from now on, and look at it at once."""
        self._attend.append(pipe)
        os.write(self._wake, b"\0")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._woken, CHUNK)
                else:
                    self._serve(key.data)
            while self._attend:
                self._meet(self._attend.popleft())

    def _meet(self, pipe: Pipe) -> None:
        if pipe.reading >= 0 and pipe.reading not in self._selector.get_map():
            self._selector.register(pipe.reading, selectors.EVENT_READ, pipe)
        pipe.forward()

    def _serve(self, pipe: Pipe) -> None:
        came = pipe.read()
        pipe.forward()
        if came == 0:
            self._selector.unregister(pipe.reading)
            pipe.close()
