"""The command: `python -m tests.benchmarks [--only NAME] [--rounds N] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from . import (
    cli,
    death,
    deathblock,
    flood,
    idle,
    inspect,
    lines,
    lookup,
    readiness,
    recording,
    report,
    restart,
    runs,
    slowreader,
    start,
    stderr,
    watch,
    websocket,
    workers,
)
from .measurement import Options
from .runner import Outcome, measure

MEASUREMENTS = {
    module.MEASUREMENT.name: module.MEASUREMENT
    for module in (
        *(readiness, death, restart, start, websocket, stderr, deathblock, flood, idle),
        *(watch, slowreader, inspect, cli, runs, lines, recording, lookup, workers),
    )
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and return 0 when every target was reached, else 1."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that servers are stopped
    chosen = parser().parse_args(arguments)
    facts = report.environment()
    print(report.headline(facts), flush=True)
    outcomes = {}
    for name in dict.fromkeys(chosen.only or MEASUREMENTS):
        outcomes[name] = measure(MEASUREMENTS[name], options(chosen))
        show(outcomes[name])
    print(f"\nload now {report.load()}")
    if chosen.json:
        chosen.json.write_text(json.dumps(document(facts, outcomes), indent=2) + "\n")
    return 0 if all_reached(outcomes) else 1


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    default = Options()
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure stock and ours in turn."
    )
    made.add_argument(
        "--only", action="append", choices=MEASUREMENTS, help="this measurement only (repeatable)"
    )
    made.add_argument(
        "--rounds",
        type=positive,
        help="rounds per side; those that start many kernels never do more than their own 2 or 3",
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write every sample to this file")
    made.add_argument("--flood-kernels", type=positive, default=default.flood_kernels, metavar="N")
    made.add_argument("--flood-lines", type=positive, default=default.flood_lines, metavar="N")
    made.add_argument("--idle-kernels", type=positive, default=default.idle_kernels, metavar="N")
    made.add_argument("--idle-seconds", type=positive, default=default.idle_seconds, metavar="S")
    made.add_argument(
        "--stderr-megabytes", type=positive, default=default.stderr_megabytes, metavar="N"
    )
    made.add_argument(
        "--deathblock-kernels", type=positive, default=default.deathblock_kernels, metavar="N"
    )
    return made


def positive(word: str) -> int:
    """Return the word as a positive number."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a positive number")
    return number


def options(chosen: argparse.Namespace) -> Options:
    """Return what the measurements need of the command line."""
    return Options(**{each.name: getattr(chosen, each.name) for each in fields(Options)})


def show(outcome: Outcome) -> None:
    """Print the figures of one measurement, and what went wrong."""
    for result in outcome.results:
        print(f"\n{report.text(result)}", flush=True)
    for remark in outcome.remarks:
        print(f"  NOTE {remark}", flush=True)
    for problem in outcome.problems:
        print(f"  PROBLEM {problem}", flush=True)


def document(facts: dict[str, Any], outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """Return everything for JSON."""
    figures = {
        result.figure.key: report.data(result)
        for outcome in outcomes.values()
        for result in outcome.results
    }
    problems = {name: outcome.problems for name, outcome in outcomes.items()}
    remarks = {name: outcome.remarks for name, outcome in outcomes.items()}
    return {
        "environment": facts,
        "figures": figures,
        "problems": problems,
        "remarks": remarks,
        "load_after": report.load(),
    }


def all_reached(outcomes: dict[str, Outcome]) -> bool:
    """Tell whether every target was measured and reached."""
    return all(
        target.verdict(result.stock, result.ours) == "reached"
        for outcome in outcomes.values()
        for result in outcome.results
        for target in result.figure.targets
    )


if __name__ == "__main__":
    sys.exit(main())
