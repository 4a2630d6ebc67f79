"""One reader for the iopub of all kernels: nothing lost, nothing slow.

A SUB that is not read for a while loses its newest messages, the final idle among them, unless
its queue has no mark (``RCVHWM=0``). The reader drains what is there in turns of at most
``TURN`` messages, shared by all kernels, so that a flood neither waits long nor blocks the loop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from logging import Logger
from math import inf
from typing import Any

import zmq
from tornado.ioloop import IOLoop

TURN = 100
"""Messages read in one turn of the loop, of all kernels together."""

TURN_LASTS = 0.01
"""Seconds after which a turn is over, however many messages it had: some are very large."""

SLICE = 25
"""Messages of one kernel before the next one has its share."""

CATCH_UP = 200
"""Messages of one kernel that are taken in at once where something depends on them."""

DELIMITER = b"<IDS|MSG>"

PARTS = 5
"""Signature, header, parent header, metadata, content; buffers may follow."""

Parts = list[bytes]
Receive = Callable[[Parts], None]


class Source:
    """A socket that is read, and who gets what it says.

    The socket may be of any type: the probe reads its replies the same way.
    """

    def __init__(
        self, reader: Reader, socket: zmq.Socket[Any], receive: Receive, whose: str
    ) -> None:
        """Begin to read."""
        self._reader = reader
        self._receive = receive
        self._whose = whose
        self._read_at = time.monotonic()
        self.socket = socket
        self._fd = int(socket.getsockopt(zmq.FD))
        IOLoop.current().add_handler(self._fd, self.readable, IOLoop.READ)
        # The file descriptor tells edges: what arrived before now must be looked for.
        self.readable()

    @property
    def closed(self) -> bool:
        """Whether it is read no more."""
        return bool(self.socket.closed)

    @property
    def endpoint(self) -> str:
        """What the socket is connected to, as zmq writes it."""
        endpoint = self.socket.getsockopt(zmq.LAST_ENDPOINT)
        return endpoint.decode() if isinstance(endpoint, bytes) else ""

    def readable(self, *_: object) -> None:
        """Have it drained at the next turn."""
        self._reader.ready(self)

    def drain(self, most: int, until: float = inf) -> int:
        """Hand on at most so many messages; fewer means that no more are there.

        Args:
            most: So many.
            until: The moment of ``time.monotonic`` after which no further one is handed on.

        Returns:
            How many, or ``most`` if the time was over first.
        """
        for count in range(most):
            if count and time.monotonic() > until:
                return most
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.ZMQError:
                # Again: empty. Anything else: the context or the socket is going away.
                return count
            try:
                self._receive(frames)
            except Exception:
                # A boundary: no message of a kernel, and no trait observer of somebody else's,
                # may stop the reading; the file descriptor would not tell of the rest.
                self._reader.log.exception("Kernel %s: a message was not understood", self._whose)
            if self.closed:
                return count
            self._read_at = time.monotonic()
        return most

    def catch_up(self, patience: int = 0) -> bool:
        """Hand on at once what is there, however many others wait for their turn.

        Args:
            patience: Milliseconds to wait for something, if nothing is there.

        Returns:
            Whether that was all.
        """
        if self.closed or not self.socket.poll(patience):
            return True
        return self.drain(CATCH_UP) < CATCH_UP

    def has_been_quiet_for(self, seconds: float) -> bool:
        """Tell whether nothing was heard lately, and nothing waits to be heard."""
        if self.closed or time.monotonic() - self._read_at < seconds:
            return False
        return not self.socket.poll(0)

    def send(self, frames: Parts) -> bool:
        """Send, and look at once for what came meanwhile (a send eats the edge).

        Returns:
            Whether it could be sent. If not, zmq has given the connection up for good: somebody
            else answered at the address before the kernel did.
        """
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        self.readable()
        return True

    def close(self) -> None:
        """Stop reading and close the socket."""
        if not self.closed:
            IOLoop.current().remove_handler(self._fd)
            self.socket.close(linger=0)


class Reader:
    """Takes turns between the sources that have something to say."""

    def __init__(self, log: Logger) -> None:
        """Begin with nothing to read.

        Args:
            log: Where it is told that a message was not understood.
        """
        self.log = log
        self._ready: deque[Source] = deque()
        self._waiting: set[Source] = set()
        self._turn_is_due = False

    def open(self, socket: zmq.Socket[Any], receive: Receive, whose: str) -> Source:
        """Read a socket from now on.

        Args:
            socket: A connected socket; it is closed with the source.
            receive: Called with the frames of each message, in order.
            whose: The kernel's id, for the log.

        Returns:
            The source; close it to end.
        """
        return Source(self, socket, receive, whose)

    def ready(self, source: Source) -> None:
        """Note that a source has something to say."""
        if source not in self._waiting:
            self._waiting.add(source)
            self._ready.append(source)
        self._call_turn()

    def _call_turn(self) -> None:
        if self._ready and not self._turn_is_due:
            self._turn_is_due = True
            IOLoop.current().add_callback(self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        left, until = TURN, time.monotonic() + TURN_LASTS
        while self._ready and left > 0 and time.monotonic() < until:
            source = self._ready.popleft()
            self._waiting.discard(source)
            if source.closed:
                continue
            share = min(SLICE, left)
            read = source.drain(share, until)
            left -= read or 1
            if read == share and not source.closed:
                self.ready(source)
        self._call_turn()


def split(frames: Parts) -> Parts | None:
    """Cut the routing prefix off a message.

    Args:
        frames: What a socket received.

    Returns:
        Signature, header, parent header, metadata, content, buffers; None for garbage.
    """
    try:
        start = frames.index(DELIMITER) + 1
    except ValueError:
        return None
    parts = frames[start:]
    return parts if len(parts) >= PARTS else None
