"""What many idle kernels cost the server: CPU and memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from .figures import Figure, difference_at_most, ours_at_most
from .measurement import Measurement, Round, Values
from .observer import start_idle_kernel
from .server import WORKERS, Server

SETTLE = 4.0
MIB = 1024 * 1024


def run(server: Server, turn: Round) -> Values:
    """Start the kernels on a fresh server, then leave it alone and look at its process."""
    count = turn.options.idle_kernels
    before = server.process.rss()
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in [pool.submit(start_idle_kernel, server) for _ in range(count)]:
            start.result()
    time.sleep(SETTLE)
    grown = (server.process.rss() - before) / count / MIB
    return {"idle_cpu": [cpu_percent(server, turn.options.idle_seconds)], "idle_memory": [grown]}


def cpu_percent(server: Server, seconds: float) -> float:
    """Return the share of one core that the server uses while nobody asks anything."""
    began, used = time.perf_counter(), server.process.cpu_seconds()
    time.sleep(seconds)
    return (server.process.cpu_seconds() - used) / (time.perf_counter() - began) * 100


MEASUREMENT = Measurement(
    name="idle",
    rounds=2,
    heavy=True,
    figures=(
        Figure(
            "idle_cpu",
            "CPU of the server with all kernels idle",
            "% of a core",
            (ours_at_most(1, "%"), difference_at_most(1, "%")),
        ),
        Figure(
            "idle_memory",
            "growth of the server's resident memory per kernel",
            "MiB",
            (ours_at_most(1, "MiB"), difference_at_most(1, "MiB")),
        ),
    ),
    run=run,
)
