"""Whether all lines of a run arrive, in order, and how soon, beside a direct client."""

from __future__ import annotations

from contextlib import closing

from .direct import DirectClient
from .figures import Figure, ours_none
from .measurement import Measurement, Round, Values
from .observer import start_idle_kernel
from .posting import Poster
from .server import Server

LINES = 5000
TIMES = 3
CODE = f"for i in range({LINES}): print('line', i, flush=True)"
EXPECTED = [f"line {number}" for number in range(LINES)]


def run(server: Server, turn: Round) -> Values:
    """Let the kernel write, to a stream of ours and to a direct client in turn."""
    values: Values = {key: [] for key in ("lines", "lines_lost", "lines_direct", "lines_of_direct")}
    kernel_id = start_idle_kernel(server)
    connection_file = server.connection_file(kernel_id)
    with closing(Poster(server, kernel_id)) as poster:
        for _ in range(TIMES):
            with closing(DirectClient(connection_file)) as direct:
                alone, written = direct.execute(CODE)
            if lost := missing(written):
                turn.remarks.append(f"the direct client itself lost {lost} lines")
            taken, told = poster.execute(CODE)
            values["lines"].append(taken)
            values["lines_lost"].append(float(missing(told)))
            values["lines_direct"].append(alone)
            values["lines_of_direct"].append(taken / alone)
    return values


def missing(written: str) -> int:
    """Return how many lines are not where they belong; what is there twice shifts the others."""
    lines = written.splitlines()
    right = sum(line == expected for line, expected in zip(lines, EXPECTED, strict=False))
    return max(len(lines), LINES) - right


MEASUREMENT = Measurement(
    name="lines",
    rounds=3,
    sides=("ours",),
    figures=(
        Figure(
            "lines_lost",
            f"lines of {LINES} flushed ones that were not where they belong in the stream of the run",
            "lines",
            (ours_none(),),
        ),
        Figure("lines", "until its `done`", "s"),
        Figure("lines_direct", "by a direct zmq client, until reply and idle", "s"),
        Figure(
            "lines_of_direct",
            "the one divided by the other",
            "times",
            note="Stock has no such call.",
        ),
    ),
    run=run,
)
