"""What is measured: figures, their samples for stock and ours, and their targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import StatisticsError, median

from .stats import ratio, ratio_spread

Samples = Sequence[float]


@dataclass(frozen=True)
class Target:
    """A number made of the samples of stock and of ours, and the limit it must keep."""

    sentence: str
    value: Callable[[Samples, Samples], float]
    limit: float
    at_least: bool = False

    def measured(self, stock: Samples, ours: Samples) -> float | None:
        """Return the number to hold against the limit, None when samples are missing."""
        try:
            return self.value(stock, ours)
        except StatisticsError:
            return None

    def verdict(self, stock: Samples, ours: Samples) -> str:
        """Return `reached`, `missed` or `n/a`."""
        value = self.measured(stock, ours)
        if value is None:
            return "n/a"
        reached = value >= self.limit if self.at_least else value <= self.limit
        return "reached" if reached else "missed"


@dataclass(frozen=True)
class Figure:
    """One measured quantity; values at `bound` were cut there, the truth is at least that."""

    key: str
    title: str
    unit: str
    targets: tuple[Target, ...] = ()
    bound: float | None = None
    note: str = ""


@dataclass
class Result:
    """The samples of one figure."""

    figure: Figure
    stock: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    def side(self, name: str) -> list[float]:
        """Return the samples of `stock` or of `ours`."""
        return self.stock if name == "stock" else self.ours


def ours_at_most(limit: float, unit: str) -> Target:
    """Require that the median of ours is at most the limit."""
    sentence = f"ours, median at most {limit:g} {unit}"
    return Target(sentence, lambda _stock, ours: median(ours), limit)


def ours_never_above(limit: float, unit: str) -> Target:
    """Require that no sample of ours is above the limit."""
    sentence = f"ours, always at most {limit:g} {unit}"
    return Target(sentence, lambda _stock, ours: _highest(ours), limit)


def ours_within(limit: float, unit: str) -> Target:
    """Require that the median of ours is no further from zero than the limit."""
    sentence = f"ours, median within {limit:g} {unit} either way"
    return Target(sentence, lambda _stock, ours: abs(median(ours)), limit)


def ratio_at_most(limit: float) -> Target:
    """Require that ours divided by stock is at most the limit."""
    sentence = f"ours / stock at most {limit:g}"
    return Target(sentence, lambda stock, ours: ratio(ours, stock), limit)


def not_slower(tolerance: float) -> Target:
    """Require that ours / stock is not above the tolerance, as far as the spread can tell."""
    sentence = f"ours / stock, lower end of the brackets at most {tolerance:g}"
    return Target(sentence, lambda stock, ours: _lower_end(ours, stock), tolerance)


def stock_later(times: float) -> Target:
    """Require that stock takes at least so many times as long as ours."""
    sentence = f"stock at least {times:g} times later"
    return Target(sentence, ratio, times, at_least=True)


def difference_at_most(limit: float, unit: str) -> Target:
    """Require that ours exceeds stock by at most the limit."""
    sentence = f"ours minus stock at most {limit:g} {unit}"
    return Target(sentence, lambda stock, ours: median(ours) - median(stock), limit)


def ours_none() -> Target:
    """Require that ours counted nothing in any round."""
    return Target("ours: none", lambda _stock, ours: _highest(ours), 0)


def _lower_end(ours: Samples, stock: Samples) -> float:
    """Return the lower end of the spread of the ratio; StatisticsError when there is none."""
    if not (ours and stock):
        raise StatisticsError("no values")
    return ratio_spread(ours, stock)[0]


def _highest(values: Samples) -> float:
    """Return the highest value; StatisticsError when there is none."""
    if not values:
        raise StatisticsError("no values")
    return max(values)
