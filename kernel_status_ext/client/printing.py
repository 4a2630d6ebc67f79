"""The only place that writes what a run puts out to where it belongs."""

from __future__ import annotations

import io
import json
import re
from typing import Any, TextIO

from .lines import wants_colour
from .runs import (
    NAMES,
    PLAIN,
    Display,
    Done,
    RunEvent,
    RunResult,
    Stderr,
    Stdout,
    Truncated,
)

SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""What changes colours, or moves the cursor: ECMA-48, control sequences."""

HALF = re.compile(r"\x1b(\[[0-?]*[ -/]*)?\Z")
"""The beginning of one, at the end of a piece of text."""


class Colourless:
    """Takes colours out of text that comes in pieces."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = ""

    def feed(self, text: str) -> str:
        """Take a piece and give what is left of it; a sequence may go on in the next piece."""
        text = SEQUENCE.sub("", self._rest + text)
        half = HALF.search(text)
        self._rest = half.group() if half else ""
        return text[: half.start()] if half else text


class ForPeople:
    """Writes stdout, results and displays to one stream, stderr and tracebacks to another."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        """Begin with nothing written.

        Args:
            out: Where stdout goes, as it is.
            err: Where stderr goes, with its colours to a terminal only.
        """
        self._out, self._err = _able(out), _able(err)
        self._colourless = None if wants_colour(err) else Colourless()
        self._are_one = out.isatty() and err.isatty()
        self._is_begun = False
        """Whether something stands already in the line where the next text will."""
        self._is_cut = False
        """Whether stderr's last line has no end."""
        self._is_whole = True

    def __call__(self, event: RunEvent) -> None:
        """Write what an event tells."""
        match event:
            case Stdout(data=text):
                self._write(text)
            case Stderr(data=text):
                self._complain(text)
            case RunResult(data=bundle) | Display(data=bundle):
                self._show(bundle)
            case Truncated():
                self._miss(event)
            case Done(success=False) if self._is_cut:  # a traceback that has no last line end
                self._complain("\n")

    @property
    def is_whole(self) -> bool:
        """Whether the end was told, with all that belongs to it."""
        return self._is_whole

    def _show(self, bundle: dict[str, Any]) -> None:
        """Write a value or a picture in the form that a terminal can show, in lines of its own."""
        shown = bundle.get(PLAIN)
        if not isinstance(shown, str):
            shown = f"<{', '.join(bundle)}>"
        self._write(("\n" if self._is_begun else "") + shown.rstrip("\n") + "\n")

    def _miss(self, missing: Truncated) -> None:
        if missing.dropped_events is None:
            self._is_whole = False
            self._complain("[the server has not kept the output from here on]\n")
            return
        told = f"{missing.dropped_events} events, {missing.dropped_bytes} bytes"
        self._complain(f"[the server has not kept some of the output: {told}]\n")

    def _write(self, text: str) -> None:
        if text:
            self._is_begun = not text.endswith("\n")
        self._out.write(text)
        self._out.flush()

    def _complain(self, text: str) -> None:
        if text:
            self._is_cut = not text.endswith("\n")
        if self._are_one:
            self._is_begun = self._is_cut
        self._err.write(text if self._colourless is None else self._colourless.feed(text))
        self._err.flush()


class ForPrograms:
    """Writes each event as one line of JSON."""

    is_whole = True
    """Nothing is left to be said by others."""

    def __init__(self, out: TextIO) -> None:
        """Begin with nothing written."""
        self._out = out

    def __call__(self, event: RunEvent) -> None:
        """Write an event."""
        told = json.dumps({"event": NAMES[type(event)], "data": event.body})
        print(told, file=self._out, flush=True)


def _able(out: TextIO) -> TextIO:
    """Have a stream take all characters, also those that its encoding has not."""
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")
    return out
