"""What a measurement module hands to the runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .figures import Figure
from .process import ORDINARY, Setup
from .server import Server

SIDES = ("stock", "ours")
Values = dict[str, list[float]]


class RoundFailedError(Exception):
    """A round that gave no figure, and why."""


@dataclass(frozen=True)
class Options:
    """What the command line may change."""

    rounds: int | None = None
    flood_kernels: int = 20
    flood_lines: int = 2500
    idle_kernels: int = 30
    idle_seconds: float = 20.0
    stderr_megabytes: int = 100
    deathblock_kernels: int = 20


@dataclass(frozen=True)
class Round:
    """One turn of one measurement on one server."""

    number: int
    options: Options
    remarks: list[str] = field(default_factory=list)
    """What a reader should know of this round beside its figures."""


@dataclass(frozen=True)
class Measurement:
    """A named measurement; `run` does one round on one server and returns values by figure.

    `heavy` ones start many kernels: they get fresh servers in every round, and a larger
    `--rounds` does not make them longer.
    """

    name: str
    rounds: int
    figures: tuple[Figure, ...]
    run: Callable[[Server, Round], Values]
    sides: tuple[str, ...] = SIDES
    heavy: bool = False
    setup: Setup = ORDINARY

    def rounds_for(self, options: Options) -> int:
        """Return how many rounds to do."""
        wanted = options.rounds or self.rounds
        return min(wanted, self.rounds) if self.heavy else wanted
