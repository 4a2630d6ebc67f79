"""How lines and tables look on a terminal: with colours, and in its width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .harmless import harmless
from .screen import FAINT, GAP, HEAD, Row, Screen, aligned


class Terminal(Screen):
    """Writes with colours, and breaks what a terminal has no room for."""

    is_terminal = True

    def __init__(self, out: TextIO) -> None:
        """Look at what is written to."""
        self._console = Console(file=out, highlight=False, markup=False, emoji=False)

    def sentence(self, text: str, style: str = "", indent: int = 0) -> None:
        """Write a sentence, broken where the terminal ends."""
        shown = Text(harmless(text), style, overflow="fold")
        self._console.print(Padding(shown, (0, 0, 0, indent), expand=False))

    def row(self, cells: Sequence[str], styles: Sequence[str] = (), note: str = "") -> None:
        """Write a row that stands alone, of cells that have their width already."""
        styled = [*styles, *[""] * (len(cells) - len(styles))]
        self._styled([harmless(each) for each in cells], styled)
        if note:
            self.sentence(note, indent=len(GAP))

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Row],
        note: str = "",
        spare: Sequence[str] = (),
    ) -> None:
        """Write a table, notes below their rows; too narrow for it, one thing below the other."""
        cells = [[harmless(cell) for cell in row.cells] for row in rows]
        shown = self._that_fit(columns, cells, spare)
        if not shown:
            self._cards(columns, rows)
            return
        head, *lines = aligned([[each[at] for at in shown] for each in (columns, *cells)])
        self._styled(head, [HEAD] * len(head))
        for row, line in zip(rows, lines, strict=True):
            self._styled(line, [row.styles.get(columns[at], "") for at in shown])
            if row.note:
                self.sentence(row.note, indent=len(GAP))

    def _that_fit(
        self, columns: Sequence[str], cells: Sequence[Sequence[str]], spare: Sequence[str]
    ) -> list[int]:
        """Find the columns for which there is room; none if there is too little for any table."""
        widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
        for count in range(len(spare) + 1):
            shown = [at for at, name in enumerate(columns) if name not in spare[:count]]
            if sum(widths[at] + len(GAP) for at in shown) - len(GAP) <= self._console.width:
                return shown
        return []

    def _cards(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        for number, row in enumerate(rows):
            if number:
                self._console.print()
            self.sentence(row.cells[0], HEAD)
            rest = zip(columns[1:], row.cells[1:], strict=True)
            self.facts([(name.lower(), cell) for name, cell in rest if cell], row.styles)
            if row.note:
                self.sentence(row.note)

    def facts(
        self, pairs: Iterable[tuple[str, str]], styles: Mapping[str, str] | None = None
    ) -> None:
        """Write names and what they are, one below the other."""
        grid = Table.grid(padding=(0, len(GAP), 0, 0))
        grid.add_column(style=FAINT, no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            style = (styles or {}).get(name.upper(), "")
            grid.add_row(name, Text("\n".join(map(harmless, value.splitlines())), style))
        self._console.print(grid)

    def _styled(self, cells: Sequence[str], styles: Sequence[str]) -> None:
        line = Text(overflow="fold")
        for cell, style in zip(cells, styles, strict=True):
            if line:
                line.append(GAP)
            line.append(cell, style or None)
        line.rstrip()
        self._console.print(line)
