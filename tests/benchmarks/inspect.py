"""What a look at the processes of all kernels takes, beside what jupyter-resource-usage takes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from .figures import Figure, ours_at_most, ratio_at_most
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import start_idle_kernel
from .process import Setup
from .server import WORKERS, Server

LOOKS = 40
WARM_UP = 3
SETTLE = 3.0
LIMIT = 0.3
OURS = "/api/kernels/inspect"
THEIRS = "/api/metrics/v1"


def run(server: Server, turn: Round) -> Values:
    """Start kernels and look at them, again and again."""
    count = turn.options.idle_kernels
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in [pool.submit(start_idle_kernel, server) for _ in range(count)]:
            start.result()
    time.sleep(SETTLE)
    if server.side == "stock":
        return looks(server, THEIRS)
    told = server.http.get(OURS).json()["kernels"].values()
    if [each["alive"] for each in told] != [True] * count:
        raise RoundFailedError(f"not all {count} kernels were looked at: {told}")
    full = looks(server, f"{OURS}?detail=full")
    return looks(server, OURS) | {"inspect_full": full["inspect"], "inspect_beside": beside(server)}


def looks(server: Server, path: str) -> Values:
    """Return the milliseconds of each answer, and the server's CPU for one."""
    for _ in range(WARM_UP):
        ask(server, path)
    used = server.process.cpu_seconds()
    answers = [ask(server, path) for _ in range(LOOKS)]
    cpu = (server.process.cpu_seconds() - used) / LOOKS * 1000
    return {"inspect": answers, "inspect_cpu": [cpu]}


def beside(server: Server) -> list[float]:
    """Return ours divided by theirs, of the same server and kernels one right after the other."""
    return [ask(server, OURS) / ask(server, THEIRS) for _ in range(LOOKS)]


def ask(server: Server, path: str) -> float:
    """Return the milliseconds until the answer is there."""
    asked = time.perf_counter()
    server.http.get(path).raise_for_status()
    return (time.perf_counter() - asked) * 1000


MEASUREMENT = Measurement(
    name="inspect",
    rounds=2,
    heavy=True,
    figures=(
        Figure(
            "inspect",
            f"GET {OURS}; stock: GET {THEIRS} of jupyter-resource-usage",
            "ms",
            (ratio_at_most(LIMIT),),
        ),
        Figure("inspect_cpu", "CPU of the server for it", "ms", (ratio_at_most(LIMIT),)),
        Figure(
            "inspect_beside",
            "ours divided by theirs, both asked of our server in turn",
            "times",
            (ours_at_most(LIMIT, "times"),),
            note="No drift of the machine between the two: this is the one to trust.",
        ),
        Figure("inspect_full", f"GET {OURS}?detail=full", "ms"),
    ),
    run=run,
    setup=Setup(
        ("--ResourceUseDisplay.enable_prometheus_metrics=False",),
        extension="jupyter_resource_usage",
    ),
)
