"""How a run's events are streamed to one reader."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from tornado import web

from .. import views
from .handlers import KernelHandler
from .recordings import Recording, Recordings
from .sse import Playback


class PlayingHandler(KernelHandler):
    """What the calls share that stream a run's events."""

    _ended: asyncio.Future[None] | None = None

    def refuse_if_full(self, recordings: Recordings) -> None:
        """Answer 429 where no more may read."""
        readers = recordings.readers
        if not readers.is_full:
            return
        message = (
            f"{len(readers)} read the streams of runs already, no more are allowed: try again "
            "later, or have the administrator raise KernelStatusApp.max_run_readers."
        )
        self.set_header("Retry-After", "15")
        self.set_status(HTTPStatus.TOO_MANY_REQUESTS)
        self.finish(views.error(message, "too many readers", code="TooManyReaders"))
        raise web.Finish

    async def play(self, recordings: Recordings, recording: Recording, number: int) -> None:
        """Stream what comes after an event until the run is done or the reader goes away.

        Args:
            recordings: Where the recording is kept.
            recording: Of the run.
            number: The event that the reader had last, 0 for none.
        """
        self.begin_stream()
        self._ended = asyncio.get_running_loop().create_future()
        reader = Playback(self.write_piece, self._end)
        recordings.play(recording, reader, number, self._send_away)
        if reader.is_idle:
            # There is nothing to tell yet: say that the stream has begun.
            self.flush()
        try:
            await self._ended
        finally:
            recordings.stop(recording, reader)

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _send_away(self) -> None:
        """Close the connection of somebody who does not read: they may come back and resume."""
        stream: Any = self.request.connection.stream  # type: ignore[union-attr]
        stream.close()

    def on_connection_close(self) -> None:
        """Send nothing more to somebody who hung up; the run goes on."""
        self._end()
