"""Server-Sent Events: their form, and a way out that costs little for whoever does not read.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable, Iterator

PIECE = 8 * 1024
"""Bytes that are written at once."""

MOST_AT_ONCE = 32 * 1024
"""Bytes of one large event that are written at once: so many wait for who does not read."""

LIMIT = 32 * 1024
"""Bytes that wait for a reader who has not read what was written before."""

KEEP_ALIVE = b": still here\n\n"
"""A comment, so that nobody between takes silence for an end."""


def event(name: str, data: bytes, number: int | None = None) -> bytes:
    """Make one event.

    Args:
        name: What kind of event.
        data: JSON, which has no line breaks.
        number: Its id, where a stream can be resumed.
    """
    named = b"" if number is None else b"id: %d\n" % number
    return named + b"".join(framed(name, (data,)))


def framed(name: str, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Make one event whose data come in parts."""
    yield f"event: {name}\ndata: ".encode()
    yield from parts
    yield b"\n\n"


def pieces(parts: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """Cut and join parts so that each but the last has the same size.

    >>> list(pieces([b"abcde", b"f"], 2))
    [b'ab', b'cd', b'ef']
    """
    collected = bytearray()
    for part in parts:
        collected += part
        while len(collected) >= size:
            yield bytes(collected[:size])
            del collected[:size]
    if collected:
        yield bytes(collected)


Write = Callable[[bytes], Future[None]]
"""Writes bytes; what it returns is done when they have left, and failed if nobody is there."""


class Out:
    """A way out to one reader, who is written to as fast as the reader reads."""

    def __init__(self, write: Write) -> None:
        """Begin with nothing to write.

        Args:
            write: Writes bytes.
        """
        self._write = write
        self._writing = False
        self._ended: Callable[[], None] | None = None
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether the reader has taken everything, so that there is room for what can wait."""
        return not self._writing and not self._is_closed

    def close(self) -> None:
        """Send nothing more, whatever waits: the stream has ended."""
        self._is_closed = True

    def _next(self) -> bytes | None:
        """Return what is written next, None for nothing yet."""
        raise NotImplementedError

    def _go_on(self) -> None:
        self._writing = True
        while not self._is_closed and (piece := self._next()) is not None:
            written = self._write(piece)
            if not written.done():
                written.add_done_callback(self._written)
                return
            if written.exception() is not None:
                # Nobody is there any more; whoever made this outlet is told otherwise.
                return
        self._writing = False
        if self._ended is not None and not self._is_closed:
            self._ended()

    def _written(self, written: Future[None]) -> None:
        if not written.cancelled() and written.exception() is None:
            self._go_on()


class Outlet(Out):
    """One reader's way out: in order, bounded, and whole again after the reader fell behind."""

    def __init__(self, write: Write, snapshot: Callable[[], Iterable[bytes]]) -> None:
        """Begin with a snapshot.

        Args:
            write: Writes them.
            snapshot: Makes the event that says all, for the beginning and for a reader who has
                fallen behind.
        """
        super().__init__(write)
        self._snapshot = snapshot
        self._present: Iterator[bytes] = iter(())
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._is_behind = True
        self._go_on()

    def send(self, event: bytes) -> None:
        """Send an event; one who does not read gets a snapshot later in its place."""
        if self._is_behind or self._is_closed or self._ended is not None:
            return
        self._size += len(event)
        if self._writing and self._size > LIMIT:
            self._size -= sum(map(len, (event, *self._waiting)))
            self._waiting.clear()
            self._is_behind = True
            return
        self._waiting.append(event)
        if not self._writing:
            self._go_on()

    def end(self, last: bytes, ended: Callable[[], None]) -> None:
        """Send a last event after what waits, and call something when it has left."""
        self._is_behind, self._ended = False, ended
        self._size += len(last)
        self._waiting.append(last)
        if not self._writing:
            self._go_on()

    def _counted(self, events: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces(events):
            self._size -= len(piece)
            yield piece

    def _next(self) -> bytes | None:
        """Return the next piece: of what has begun, of what waits, of a snapshot; or None."""
        piece = next(self._present, None)
        if piece is not None:
            return piece
        if self._waiting:
            self._present = self._counted(tuple(self._waiting))
            self._waiting.clear()
        elif self._is_behind:
            self._is_behind = False
            self._present = pieces(self._snapshot())
        return next(self._present, None)


class Playback(Out):
    """One reader's way out for what must not be lost: everything that is sent, in order."""

    def __init__(self, write: Write, ended: Callable[[], None]) -> None:
        """Begin with nothing.

        Args:
            write: Writes bytes.
            ended: Called when the last event has left.
        """
        super().__init__(write)
        self._when_ended = ended
        self._waiting: deque[bytes | memoryview] = deque()
        self.behind = 0
        """Bytes that the reader has not taken."""
        self.taken = 0
        """Pieces that the reader was written."""
        self._replayed = 0

    @property
    def late(self) -> int:
        """Bytes that wait for this reader alone: what is kept in any case does not count."""
        return self.behind - self._replayed

    def replay(self, events: Iterable[bytes], *, last: bool) -> None:
        """Send what is kept, as the first; after the last one the stream ends."""
        before = tuple(events)
        self._replayed = sum(map(len, before))
        self.send(before, last=last)

    def send(self, events: Iterable[bytes], *, last: bool = False) -> None:
        """Send events; after the last one the stream ends."""
        if self._is_closed:
            return
        for each in events:
            self._waiting.append(each)
            self.behind += len(each)
        if last:
            self._ended = self._when_ended
        if not self._writing:
            self._go_on()

    def close(self) -> None:
        """Send nothing more, and hold nothing that waits."""
        super().close()
        self._waiting.clear()
        self.behind = self._replayed = 0

    def _next(self) -> bytes | None:
        if not self._waiting:
            return None
        self.taken += 1
        piece = self._beginning()
        self.behind -= len(piece)
        self._replayed = max(0, self._replayed - len(piece))
        return piece

    def _beginning(self) -> bytes:
        """Take small events together, and a large one in parts."""
        first = self._waiting.popleft()
        if len(first) > MOST_AT_ONCE:
            whole = memoryview(first)
            self._waiting.appendleft(whole[MOST_AT_ONCE:])
            return bytes(whole[:MOST_AT_ONCE])
        parts, size = [first], len(first)
        while self._waiting and size + len(self._waiting[0]) < 2 * PIECE and size < PIECE:
            parts.append(self._waiting.popleft())
            size += len(parts[-1])
        return b"".join(parts)
