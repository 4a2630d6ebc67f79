"""How changes and headlines look on a terminal, and in a file."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TextIO

from ..core.words import ExecutionState, State, Status, Word

JSON = dict[str, Any]

BOLD, FAINT, RED, GREEN, YELLOW, BLUE, MAGENTA = "1", "2", "31", "32", "33", "34", "35"

STATUS_COLOURS: dict[str, str] = {
    Status.UNKNOWN: FAINT,
    Status.STARTING: YELLOW,
    Status.CONNECTING: YELLOW,
    Status.CONNECTED: GREEN,
    Status.UNRESPONSIVE: MAGENTA,
    Status.RESTARTING: BLUE,
    Status.AUTORESTARTING: MAGENTA,
    Status.TERMINATING: YELLOW,
    Status.DEAD: RED,
}

INDENT = "   "

LEAST_ROOM = 20
"""Columns below which breaking a sentence makes it no better."""


def _width(words: type[Word]) -> int:
    return max(len(each.value) for each in words)


COLUMNS: dict[str, int] = {
    "time": len("12:34:56.789"),
    "status": _width(Status),
    "execution_state": max(_width(ExecutionState), len("execution_state")),
    "state": _width(State),
}
"""The columns of a change and their widths."""


def wants_colour(out: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether colours help: on a terminal that knows them, unless ``NO_COLOR`` is set.

    Args:
        out: Where the lines go.
        environ: The environment variables.

    Returns:
        Whether to colour.
    """
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def local_time(moment: str) -> str:
    """Show a time of the API as a clock on the wall does, with milliseconds.

    Args:
        moment: ISO 8601 in UTC with microseconds and ``Z``.

    Returns:
        Hours, minutes, seconds and milliseconds, local time.
    """
    utc = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return utc.astimezone().isoformat(timespec="milliseconds")[11:23]


@dataclass(frozen=True)
class Lines:
    """Writes lines for people.

    Attributes:
        out: Where they go.
        colour: Whether with colours.
        width: Where sentences are broken into lines; 0 for nowhere.
    """

    out: TextIO
    colour: bool = False
    width: int = 0

    @classmethod
    def to(cls, out: TextIO) -> Lines:
        """Write to a terminal, or to whatever else stands there, as suits it."""
        # Neither a terminal nor COLUMNS: a file, whose lines are better searched unbroken.
        return cls(out, wants_colour(out), shutil.get_terminal_size((0, 0)).columns)

    def headline(self, text: str) -> None:
        """Write what comes now."""
        self._write("\n" + self._in(BOLD, text))

    def action(self, text: str) -> None:
        """Write what is done, as a call or a command."""
        self._write(INDENT + self._in(FAINT, f"> {text}"))

    def remark(self, text: str) -> None:
        """Write a sentence."""
        self._sentence(INDENT, text)

    def columns(self) -> None:
        """Write what stands in the columns of a change."""
        self._row({name: name.ljust(width) for name, width in COLUMNS.items()})

    def change(self, kernel: JSON) -> None:
        """Write a kernel's new state, and below it the reason if there is one.

        Args:
            kernel: The body of ``GET /api/kernels/ID/status``.
        """
        told = {**kernel, "time": local_time(kernel["since"])}
        cells = {name: told[name].ljust(width) for name, width in COLUMNS.items()}
        cells["status"] = self._in(STATUS_COLOURS.get(kernel["status"], ""), cells["status"])
        self._row(cells)
        if kernel["reason"]:
            self.reason(kernel["reason"])

    def _row(self, cells: Mapping[str, str]) -> None:
        self._write((INDENT + "  ".join(cells.values())).rstrip())

    def reason(self, reason: str) -> None:
        """Write a kernel's reason, below the statuses."""
        self._sentence(INDENT + " " * (COLUMNS["time"] + 2), reason)

    def _sentence(self, indent: str, text: str) -> None:
        room = self.width - len(indent)
        broken = textwrap.wrap(text, room) if room >= LEAST_ROOM else [text]
        self._write("\n".join(indent + line for line in broken))

    def _in(self, colour: str, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self.colour and colour else text

    def _write(self, line: str) -> None:
        print(line, file=self.out, flush=True)
