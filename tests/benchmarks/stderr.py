"""What it costs a kernel, and the server's other clients, that a kernel writes much to its stderr."""

from __future__ import annotations

import time

import httpx

from .figures import Figure, not_slower, ours_none, ratio_at_most
from .measurement import Measurement, Round, RoundFailedError, Values
from .noisy import NoisyKernel
from .server import Server

# The lines first: they are slow anyhow, and leave the blocks memory that has been touched before.
PIECES = {"lines": 100, "blocks": 64 * 1024}
MEGABYTE = 1_000_000
MARK = b"~"
LINE = MARK * 99 + b"\n"  # as inside/noisy_kernel.py writes it
SETTLE = 1.0
LOOK_EVERY = 0.2
ASK_EVERY = 0.02
WINDOW = 3.0
BOUND = 120.0
ARRIVAL = 5.0
NOISE = 1.1


def run(server: Server, turn: Round) -> Values:
    """Let a kernel write in each size of pieces."""
    size = turn.options.stderr_megabytes * MEGABYTE
    values: Values = {}
    for name, piece in PIECES.items():
        server.process.empty_log()
        with NoisyKernel(server, size=size, piece=piece) as kernel, server.client() as client:
            kernel.start()
            ask(client)  # opens the connection
            time.sleep(SETTLE)
            seconds, meanwhile, worst = watch(kernel, client)
            lost = lost_megabytes(server, size)
        values[f"stderr_{name}"] = [seconds * 1000]
        values[f"stderr_{name}_answer"] = meanwhile
        values[f"stderr_{name}_worst"] = [worst]
        values.setdefault("stderr_lost", []).append(lost)
        server.delete_kernels()
    server.process.empty_log()
    return values


def watch(kernel: NoisyKernel, client: httpx.Client) -> tuple[float, list[float], float]:
    """Let it write; return the seconds, the answers meanwhile, and the worst answer of the window.

    The window is as long on both sides, however long the writing takes: a worst of more answers
    would be worse by chance.
    """
    kernel.begin()
    began = asked = time.perf_counter()
    answers, meanwhile, seconds = [], [], None
    while seconds is None or asked < began + WINDOW:
        if asked > began + BOUND:
            raise RoundFailedError(f"the kernel still writes after {BOUND:g} s")
        answers.append(ask(client))
        if seconds is None:
            meanwhile.append(answers[-1])
            seconds = kernel.seconds()
        time.sleep(max(0.0, asked + ASK_EVERY - time.perf_counter()))
        asked = time.perf_counter()
    return seconds, meanwhile, max(answers)


def ask(client: httpx.Client) -> float:
    """Return how many milliseconds the server's answer takes."""
    asked = time.perf_counter()
    client.get("/api/status").raise_for_status()
    return (time.perf_counter() - asked) * 1000


def lost_megabytes(server: Server, size: int) -> float:
    """Return how much has not reached the server's own stderr, which is its log, after a while."""
    expected = size // len(LINE) * LINE.count(MARK)
    deadline = time.monotonic() + ARRIVAL
    while True:
        arrived = server.process.log.read_bytes().count(MARK)
        if arrived >= expected or time.monotonic() > deadline:
            return max(0, expected - arrived) / MEGABYTE
        time.sleep(LOOK_EVERY)


def figures(name: str, title: str) -> tuple[Figure, ...]:
    """Return the figures of one size of pieces."""
    return (
        Figure(
            f"stderr_{name}",
            f"a kernel writes it all to its stderr in {title}",
            "ms",
            (ratio_at_most(3),),
        ),
        Figure(
            f"stderr_{name}_answer",
            f"meanwhile, asked every {ASK_EVERY * 1000:.0f} ms: until GET /api/status is answered",
            "ms",
            (not_slower(NOISE),),
        ),
        Figure(
            f"stderr_{name}_worst",
            f"the slowest of these answers in the first {WINDOW:g} s, or in more if it still writes",
            "ms",
            (not_slower(NOISE),),
        ),
    )


MEASUREMENT = Measurement(
    name="stderr",
    rounds=6,
    figures=(
        *figures("lines", "lines of 100 bytes"),
        *figures("blocks", "blocks of 64 KiB"),
        Figure(
            "stderr_lost",
            f"of it, what the server's own stderr has not got {ARRIVAL:g} s later",
            "MB",
            (ours_none(),),
        ),
    ),
    run=run,
)
