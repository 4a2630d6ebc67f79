"""The few numbers that a report needs, from the standard library alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import StatisticsError, median

RESAMPLES = 2000


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile of the values, interpolated linearly between neighbours."""
    if not values:
        raise StatisticsError("a percentile needs at least one value")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """Return the ratio of two medians; StatisticsError when it does not exist."""
    below = median(denominator)
    if below == 0:
        raise StatisticsError("a ratio to nothing")
    return median(numerator) / below


def ratio_spread(numerator: Sequence[float], denominator: Sequence[float]) -> tuple[float, float]:
    """Return the bootstrapped 10th and 90th percentile of the ratio of the medians."""
    dice = random.Random(0)  # the same samples must always give the same report
    ratios = []
    for _ in range(RESAMPLES):
        above = dice.choices(numerator, k=len(numerator))
        below = dice.choices(denominator, k=len(denominator))
        if median(below):
            ratios.append(ratio(above, below))
    return percentile(ratios, 10), percentile(ratios, 90)
