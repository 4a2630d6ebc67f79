"""Reading the pages of the documentation."""

from __future__ import annotations


def tables(text: str) -> list[list[list[str]]]:
    """Read the markdown tables of a page, each as rows of stripped cells."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]
