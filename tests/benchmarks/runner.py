"""Runs measurements, stock and ours in turn, and keeps what they gave and what failed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import psutil

from .figures import Result
from .measurement import Measurement, Options, Round, RoundFailedError
from .observer import first_reply
from .process import EXTENSION, ServerError
from .server import Server

# What one round may raise without ending the run: an answer, a process or a file that is not there.
ROUND_ERRORS = (RoundFailedError, ServerError, httpx.HTTPError, psutil.Error, OSError)
Pair = dict[str, Server]


@dataclass
class Outcome:
    """The results of one measurement and the sentences about what was odd and what went wrong."""

    results: list[Result]
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, side: str, values: dict[str, list[float]]) -> None:
        """Add the values of one round to their figures."""
        for result in self.results:
            result.side(side).extend(values.get(result.figure.key, []))


def measure(measurement: Measurement, options: Options) -> Outcome:
    """Do all rounds of one measurement: stock, ours, stock, ours, ..."""
    outcome = Outcome([Result(figure) for figure in measurement.figures])
    rounds = range(measurement.rounds_for(options))
    batches: Sequence[Sequence[int]] = (
        [[number] for number in rounds] if measurement.heavy else [rounds]
    )
    for numbers in batches:
        with pair(measurement, outcome) as servers:
            for number in numbers:
                for server in servers.values():
                    say(f"{measurement.name} {number + 1}/{len(rounds)} {server.side}")
                    play(measurement, server, Round(number, options), outcome)
    return outcome


def play(measurement: Measurement, server: Server, turn: Round, outcome: Outcome) -> None:
    """Do one round on one server and clear the server after it."""
    where = f"{server.side}, round {turn.number + 1}"
    try:
        try:
            outcome.add(server.side, measurement.run(server, turn))
        finally:
            server.delete_kernels()
    except ROUND_ERRORS as error:
        outcome.problems.append(f"{where}: {type(error).__name__}: {error}")
    outcome.remarks += [f"{where}: {remark}" for remark in turn.remarks]


@contextmanager
def pair(measurement: Measurement, outcome: Outcome) -> Iterator[Pair]:
    """Start the servers that the measurement needs; ours is left out when the extension is not there."""
    with ExitStack() as stack:
        servers: Pair = {}
        for side in measurement.sides:
            try:
                server = stack.enter_context(Server(side, measurement.setup))
                warm_up(server)
            except ROUND_ERRORS as error:
                outcome.problems.append(str(error))
            else:
                servers[side] = server
        yield servers


def warm_up(server: Server) -> None:
    """Let the server load what a first kernel needs, and make sure which side it is."""
    kernel_id = server.start_kernel()
    first_reply(server.connection_file(kernel_id))
    code = server.status(kernel_id).status_code
    server.delete_kernels()
    present = code == httpx.codes.OK
    if present != (server.side == "ours"):
        lines = [line for line in server.process.log_text().splitlines() if EXTENSION in line]
        raise ServerError(
            "\n    ".join(
                [f"{server.side}: GET .../status answered {code}; the log says:", *lines[:4]]
            )
        )


def say(line: str) -> None:
    """Show progress to a person, apart from the report."""
    print(line, file=sys.stderr, flush=True)
