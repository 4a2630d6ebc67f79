"""The only place that writes a line which changes, and only to a terminal."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import TextIO

BEGIN, ERASE = "\r", "\033[K"

USUAL = 80
"""Columns of a terminal that does not tell how many it has."""

TICK = 0.2
"""Seconds between two looks at the clock."""


class LiveLine:
    """Shows what is waited for, what there is, and for how long; gone when it is left.

    A file gets nothing at all.
    """

    def __init__(self, out: TextIO, what: str) -> None:
        """Begin with nothing known.

        Args:
            out: Where it stands.
            what: What is waited for.
        """
        self.present = ""
        """What there is now."""
        self._out = out
        self._what = what
        self._over = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> LiveLine:  # noqa: PYI034 - Self is younger than Python 3.10
        """Show it."""
        if self._out.isatty():
            self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Erase it."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(TICK):
            self._write(self._line())
        self._write("")

    def _line(self) -> str:
        waited = time.monotonic() - self._began
        return f"{waited:.0f} s  {self.present or '...'}  waiting for {self._what}"

    def _write(self, line: str) -> None:
        # Of the terminal that it is written to: stdout's may be another one, or none.
        room = (os.get_terminal_size(self._out.fileno()).columns or USUAL) - 1
        self._out.write(BEGIN + line[:room] + ERASE)
        self._out.flush()
