"""A tiny TCP proxy that cuts every connection after a while, as proxies before servers do.

with Proxy(server.port, cut_after=1) as proxy:
    KernelStatusClient(f"http://127.0.0.1:{proxy.port}{server.base_url}", server.token)
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from .server import PATIENCE

PIECE = 65536


class Proxy:
    """Listens on a port of its own in a thread of its own.

    Args:
        port: the port of the server behind it.
        cut_after: seconds after which a connection is cut, whatever happens on it. Each cut makes
            it a tenth longer: on a busy machine an answer comes through in the end, too.
    """

    def __init__(self, port: int, cut_after: float) -> None:
        self._behind, self.cut_after = port, cut_after
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.cuts = 0
        """How many connections were cut."""
        self._cut = threading.Condition()
        self.port = 0

    def __enter__(self) -> Proxy:  # noqa: PYI034 - Self is younger than Python 3.10
        """Listen."""
        self._thread.start()
        self._listener = self._run(asyncio.start_server(self._pass_on, "127.0.0.1", 0))
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Cut everything."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def has_cut(self, times: int, timeout: float = PATIENCE) -> bool:
        """Wait until so many connections were cut, so many seconds at most; tell whether."""
        with self._cut:
            return self._cut.wait_for(lambda: self.cuts >= times, timeout)

    def _run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE)

    async def _end(self) -> None:
        self._listener.close()
        mine = asyncio.current_task()
        others = [each for each in asyncio.all_tasks() if each is not mine]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self._behind)
            both = asyncio.gather(_pump(reader, back), _pump(there, writer))
            try:
                await asyncio.wait_for(both, self.cut_after)
            except asyncio.TimeoutError:
                with self._cut:
                    self.cuts += 1
                    self.cut_after *= 1.1
                    self._cut.notify_all()
            finally:
                back.transport.abort()
                writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
