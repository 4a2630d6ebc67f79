"""What one look at all kernels that run something takes, beside a look at each run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from .figures import Figure, ours_at_most
from .inspect import ask
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import start_idle_kernel
from .server import WORKERS, Server

LOOKS = 20
WARM_UP = 2
LIMIT = 0.1
SETTLE = 3.0
BUSY_WITHIN = 30.0
CODE = "import time; time.sleep(3600)"
ALL = "/api/kernels/workers/active"


def run(server: Server, turn: Round) -> Values:
    """Let kernels run something, and look at all of them and at each in turn."""
    count = turn.options.idle_kernels
    with ThreadPoolExecutor(WORKERS) as pool:
        starts = [pool.submit(start_idle_kernel, server) for _ in range(count)]
        runs = [submit(server, start.result()) for start in starts]
    await_workers(server, runs)
    time.sleep(SETTLE)
    values: Values = {"workers": [], "workers_each": [], "workers_of_each": []}
    for number in range(-WARM_UP, LOOKS):
        together = ask(server, ALL)
        each = sum(ask(server, f"/api/kernels/runs/{run_id}/inspect") for run_id in runs)
        if number >= 0:
            values["workers"].append(together)
            values["workers_each"].append(each)
            values["workers_of_each"].append(together / each)
    await_workers(server, runs)
    return values


def submit(server: Server, kernel_id: str) -> str:
    """Let a kernel run something that takes long, and return the run's id."""
    answer = server.http.post(
        f"/api/kernels/{kernel_id}/runs",
        json={"code": CODE},
        headers={"Accept": "application/json"},
    )
    if answer.status_code != httpx.codes.ACCEPTED:
        raise RoundFailedError(f"kernel {kernel_id}: {answer.status_code} {answer.text[:300]}")
    return str(answer.json()["run"]["run_id"])


def await_workers(server: Server, runs: list[str]) -> None:
    """Wait until exactly these runs are told to be at work."""
    deadline = time.monotonic() + BUSY_WITHIN
    while True:
        answer = server.http.get(ALL)
        answer.raise_for_status()
        told = sorted(each["run_id"] for each in answer.json()["workers"])
        if told == sorted(runs):
            return
        if time.monotonic() > deadline:
            raise RoundFailedError(f"{len(told)} of {len(runs)} runs are told to be at work")
        time.sleep(0.1)


MEASUREMENT = Measurement(
    name="workers",
    rounds=2,
    heavy=True,
    sides=("ours",),
    figures=(
        Figure("workers", f"GET {ALL}, all kernels busy", "ms"),
        Figure(
            "workers_each", "GET /api/kernels/runs/RUN/inspect of each, one after the other", "ms"
        ),
        Figure(
            "workers_of_each",
            "the first divided by the second, in turn",
            "times",
            (ours_at_most(LIMIT, "times"),),
            note="Stock has no such calls.",
        ),
    ),
    run=run,
)
