"""How long the death of a kernel keeps the server's loop from everything else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx

from .figures import Figure, ours_never_above
from .measurement import Measurement, Round, RoundFailedError, Values
from .noisy import NoisyKernel
from .process import Setup
from .server import WORKERS, Server
from .stats import percentile

LIMIT = 5.0
LAST_WORDS = 60 * 1024  # less than a pipe holds: it may all still lie there at the death
SETTLE = 2.0
BEFORE = 0.2  # the probe begins 0.1 s after it was asked
BETWEEN = 0.05
AFTER = 2.0


def run(server: Server, turn: Round) -> Values:
    """Let connected kernels die one by one, every other one with much on its stderr."""
    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as pool:
        kernels = [
            stack.enter_context(NoisyKernel(server, size=size, piece=LAST_WORDS, die=True))
            for size in sizes(turn.options.deathblock_kernels)
        ]
        list(pool.map(NoisyKernel.start, kernels))
        time.sleep(SETTLE)
        ensure(server, kernels, alive=True)
        recording = record(server, kernels)
        ensure(server, kernels, alive=False)
    tell(turn, recording["slowest"])
    walls = recording["walls"]
    return {
        "deathblock_max": [max(walls) * 1000],
        "deathblock_p99": [percentile(walls, 99) * 1000],
        "deathblock_cpu": [recording["cpu"] * 1000],
        "deathblock_turn": [recording["turn"] * 1000],
    }


def sizes(count: int) -> list[int]:
    """Return how much each kernel writes before it dies."""
    return [LAST_WORDS * (number % 2) for number in range(count)]


def record(server: Server, kernels: Sequence[NoisyKernel]) -> dict[str, Any]:
    """Let the kernels die while the probe records, and return what it saw; nobody asks meanwhile."""
    seconds = BEFORE + BETWEEN * len(kernels) + AFTER
    server.http.post("/loop-probe", json={"seconds": seconds}).raise_for_status()
    over = time.monotonic() + BEFORE + seconds
    time.sleep(BEFORE)
    for kernel in kernels:
        kernel.begin()
        time.sleep(BETWEEN)
    time.sleep(max(0, over - time.monotonic()))
    answer = server.http.get("/loop-probe")
    answer.raise_for_status()
    recording: dict[str, Any] = answer.json()
    return recording


def ensure(server: Server, kernels: Sequence[NoisyKernel], *, alive: bool) -> None:
    """Make sure that every kernel lives, or that none does; ours must know."""
    wanted = "connected" if alive else "dead"
    for kernel in kernels:
        if server.has_process(kernel.kernel_id) != alive:
            raise RoundFailedError(f"kernel {kernel.kernel_id} should be {wanted} and is not")
        if server.side == "ours":
            answer = server.status(kernel.kernel_id)
            if answer.status_code != httpx.codes.OK or answer.json()["status"] != wanted:
                raise RoundFailedError(f"the status is not {wanted}: {answer.text}")


def tell(turn: Round, slowest: Sequence[dict[str, Any]]) -> None:
    """Remark which callbacks took too long, each at its worst."""
    worst: dict[str, dict[str, Any]] = {}
    for each in slowest:
        worst.setdefault(each["name"], each)
    turn.remarks.extend(
        f"{each['wall'] * 1000:.1f} ms (its CPU time {each['cpu'] * 1000:.1f}, "
        f"garbage collection {each['collecting'] * 1000:.1f}): {each['name']}"
        for each in worst.values()
        if each["wall"] * 1000 > LIMIT
    )


MEASUREMENT = Measurement(
    name="deathblock",
    rounds=5,
    figures=(
        Figure(
            "deathblock_max",
            "the longest callback of the server's loop while connected kernels die",
            "ms",
            (ours_never_above(LIMIT, "ms"),),
            note="Stock does nothing at all then: what it shows is the loop at rest and the machine's noise.",
        ),
        Figure("deathblock_p99", "the 99th percentile of all callbacks then", "ms"),
        Figure("deathblock_cpu", "the most CPU time of one callback then", "ms"),
        Figure("deathblock_turn", "the longest that the loop did not look at its sockets", "ms"),
    ),
    run=run,
    setup=Setup(("--KernelManager.autorestart=False",), extension="loop_probe"),
)
