"""What is found of a process after its end, and the text that its stderr is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """An out-of-memory kill that the memory group of a killed process counted."""

    limit: int | None = None
    """What the group may hold, in bytes; None where there is no limit or it is not known."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What was found of a process after its end, as far as there was anything to be found."""

    stderr: str = field(default="", repr=False)
    """The end of what it wrote to stderr, as text."""
    instead: str | None = None
    """What is shown instead of it where tracebacks are not allowed; nothing is quoted then."""
    captured: bool = False
    """Whether its stderr was kept at all."""
    command: str = ""
    """The program that was launched."""
    hiding: str | None = None
    """A file of the user's that hides a module which it needed."""
    memory: OutOfMemory | None = None
    peak_memory: int | None = None
    """The most that it held, in bytes."""
    cpu_seconds: float | None = None

    @property
    def shown(self) -> str | None:
        """The end of its stderr as it may be shown; None where it was not kept."""
        if not self.captured:
            return None
        return self.stderr if self.instead is None else self.instead


NOTHING_FOUND = Remains()
"""A process of which nothing but its end is known."""


_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\|$|(?=\n))"  # OSC and other strings: titles, links
    r"|[ -/]*[0-~])"  # two characters, and character sets
)
_CONTINUATIONS = bytes(range(0x80, 0xC0))
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def clean(raw: bytes) -> str:
    r"""Make text of the end of a stderr.

    Args:
        raw: What was kept of it.

    Returns:
        Text without terminal escapes and control characters, one ``\n`` at the end of a line.
    """
    # What was cut may begin within a character.
    text = _ESCAPES.sub("", raw.lstrip(_CONTINUATIONS).decode("utf-8", "replace"))
    return "\n".join(map(_overwritten, text.split("\n"))).translate(_CONTROLS).strip("\n")


def _overwritten(line: str) -> str:
    """Leave of a line what a terminal shows: a carriage return begins it anew (progress bars)."""
    return line.rstrip("\r").rpartition("\r")[2]
