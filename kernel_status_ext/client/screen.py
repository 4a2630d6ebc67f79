"""How lines and tables look: what all screens can, and how it is in a pipe, plain and whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from rich.cells import cell_len

from .harmless import harmless

GAP = "  "
HEAD, FAINT = "bold", "dim"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: Its cells.
        styles: How some of them look on a terminal, by their column.
        note: A sentence about it; below it on a terminal, in a last column in a pipe.
    """

    cells: Sequence[str]
    styles: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


class Screen(ABC):
    """Writes for people."""

    is_terminal = False
    """Whether somebody reads it as it is written."""

    @abstractmethod
    def sentence(self, text: str, style: str = "", indent: int = 0) -> None:
        """Write a sentence."""

    @abstractmethod
    def row(self, cells: Sequence[str], styles: Sequence[str] = (), note: str = "") -> None:
        """Write a row that stands alone, of cells that have their width already."""

    @abstractmethod
    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Row],
        note: str = "",
        spare: Sequence[str] = (),
    ) -> None:
        """Write a table.

        Args:
            columns: The heads.
            rows: The rows.
            note: The head of the notes.
            spare: Columns that are left out where there is no room, in this order.
        """

    @abstractmethod
    def facts(
        self, pairs: Iterable[tuple[str, str]], styles: Mapping[str, str] | None = None
    ) -> None:
        """Write names and what they are, one below the other.

        Args:
            pairs: Names and values; a value may have several lines.
            styles: How some of the values look on a terminal, by their name in capitals.
        """


def screen(out: TextIO) -> Screen:
    """Choose how to write: as suits a terminal, or plainly."""
    if not out.isatty():
        return Plain(out)
    # Only here: what it needs takes a tenth of a second to load.
    from .terminal import Terminal  # noqa: PLC0415

    return Terminal(out)


class Plain(Screen):
    """Writes plain lines that nothing breaks or shortens, for files, pipes and their programs."""

    def __init__(self, out: TextIO) -> None:
        """Begin with nothing written."""
        self._out = out

    def sentence(self, text: str, style: str = "", indent: int = 0) -> None:
        """Write a sentence."""
        self._print(" " * indent + harmless(text))

    def row(self, cells: Sequence[str], styles: Sequence[str] = (), note: str = "") -> None:
        """Write a row that stands alone, of cells that have their width already."""
        self._print(GAP.join(harmless(each) for each in (*cells, note)))

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Row],
        note: str = "",
        spare: Sequence[str] = (),
    ) -> None:
        """Write a table, with the notes in a last column."""
        full = [[harmless(cell) for cell in (*row.cells, row.note)] for row in rows]
        for line in aligned([[*columns, note], *full]):
            self._print(GAP.join(line))

    def facts(
        self, pairs: Iterable[tuple[str, str]], styles: Mapping[str, str] | None = None
    ) -> None:
        """Write names and what they are, one below the other."""
        told = [(name, value.splitlines() or [""]) for name, value in pairs]
        width = max((len(name) for name, _ in told), default=0)
        for name, lines in told:
            heads = [name, *[""] * (len(lines) - 1)]
            for head, line in zip(heads, lines, strict=True):
                self._print(f"{head:<{width}}{GAP}{harmless(line)}")

    def _print(self, line: str) -> None:
        print(line.rstrip(), file=self._out, flush=True)


def aligned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Fill the cells so that they stand below each other; some characters are twice as wide."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        for row in rows
    ]
