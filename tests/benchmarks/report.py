"""Turns results into the text for people and the JSON for programs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from statistics import StatisticsError, median
from typing import Any

from .figures import Result, Samples, Target
from .measurement import SIDES
from .stats import percentile, ratio, ratio_spread

PACKAGES = (
    "jupyter_server",
    "jupyter_client",
    "ipykernel",
    "tornado",
    "pyzmq",
    "kernel_status_ext",
)


def environment() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load": load(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def load() -> float | None:
    """Return the load of the last minute where the platform tells it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def headline(facts: dict[str, Any]) -> str:
    """Return the environment in two lines."""
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return f"Python {facts['python']}, {facts['cores']} cores, load {facts['load']}\n{packages}"


def text(result: Result) -> str:
    """Return one figure as a small table with its verdicts."""
    lines = [f"{result.figure.key}: {result.figure.title} ({result.figure.unit})"]
    lines.append(f"  {'':6}{'n':>5}{'median':>12}{'p10':>12}{'p90':>12}")
    lines += [f"  {side:6}{_row(result.side(side))}{_cut(result, side)}" for side in SIDES]
    lines.append(f"  ours / stock: {_ratio(result.stock, result.ours)}")
    lines += [f"  target: {_verdict(target, result)}" for target in result.figure.targets]
    if result.figure.note:
        lines.append(f"  {result.figure.note}")
    return "\n".join(lines)


def data(result: Result) -> dict[str, Any]:
    """Return one figure with every sample, for JSON."""
    return {
        "title": result.figure.title,
        "unit": result.figure.unit,
        "bound": result.figure.bound,
        **{side: {"samples": result.side(side), **_summary(result.side(side))} for side in SIDES},
        "ratio": _ratio_data(result.stock, result.ours),
        "targets": [_target_data(target, result) for target in result.figure.targets],
    }


def _version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _summary(samples: Samples) -> dict[str, float | int]:
    """Return n, median, p10 and p90; only n when there are no samples."""
    if not samples:
        return {"n": 0}
    low, high = percentile(samples, 10), percentile(samples, 90)
    return {"n": len(samples), "median": median(samples), "p10": low, "p90": high}


def _row(samples: Samples) -> str:
    """Return the summary as columns."""
    cells = _summary(samples)
    if not samples:
        return f"{0:>5}{'n/a':>12}"
    return f"{cells['n']:>5}" + "".join(
        f"{cells[name]:>12.4g}" for name in ("median", "p10", "p90")
    )


def _cut(result: Result, side: str) -> str:
    """Return how many samples were cut at the figure's bound."""
    bound = result.figure.bound
    count = 0 if bound is None else sum(value >= bound for value in result.side(side))
    return f"   {count} cut at {bound:g}" if count else ""


def _ratio_data(stock: Samples, ours: Samples) -> dict[str, float] | None:
    """Return the ratio of the medians and its spread, None when there is none."""
    try:
        low, high = ratio_spread(ours, stock)
        return {"ours_to_stock": ratio(ours, stock), "p10": low, "p90": high}
    except (StatisticsError, IndexError):  # random.choices of nothing is an IndexError
        return None


def _ratio(stock: Samples, ours: Samples) -> str:
    """Return the ratio for people."""
    numbers = _ratio_data(stock, ours)
    if numbers is None:
        return "n/a"
    return f"{numbers['ours_to_stock']:.4g}  [{numbers['p10']:.4g} .. {numbers['p90']:.4g}]"


def _verdict(target: Target, result: Result) -> str:
    """Return one target, what was measured, and whether it was reached."""
    value = target.measured(result.stock, result.ours)
    measured = "" if value is None else f"{value:.4g}, "
    return f"{target.sentence}: {measured}{target.verdict(result.stock, result.ours).upper()}"


def _target_data(target: Target, result: Result) -> dict[str, Any]:
    """Return one target for JSON."""
    return {
        "sentence": target.sentence,
        "limit": target.limit,
        "measured": target.measured(result.stock, result.ours),
        "verdict": target.verdict(result.stock, result.ours),
    }
