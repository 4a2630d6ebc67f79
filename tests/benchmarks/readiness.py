"""How far behind the truth a client of `/wait` hears that a new kernel is ready."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from .figures import Figure, ours_within
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import first_reply
from .server import Server


def run(server: Server, _round: Round) -> Values:
    """Start a kernel and let a waiter and an observer race, each in a thread of its own."""
    with server.client() as waiter, ThreadPoolExecutor(2) as pool:
        waiter.get("/api").raise_for_status()  # opens the connection that the wait will use
        kernel_id = server.start_kernel()
        heard = pool.submit(hear, waiter, kernel_id)
        truth = pool.submit(first_reply, server.connection_file(kernel_id))
        return {"readiness": [(heard.result() - truth.result()) * 1000]}


def hear(waiter: httpx.Client, kernel_id: str) -> float:
    """Return when `/wait` said connected."""
    answer = waiter.get(
        f"/api/kernels/{kernel_id}/wait", params={"status": "connected", "timeout": 60}
    )
    at = time.perf_counter()
    if answer.status_code != httpx.codes.OK or answer.json()["status"] != "connected":
        raise RoundFailedError(f"/wait answered {answer.status_code} {answer.text}")
    return at


MEASUREMENT = Measurement(
    name="readiness",
    rounds=20,
    sides=("ours",),
    figures=(
        Figure(
            "readiness",
            "a waiter hears `connected`, after the first kernel_info_reply of an independent client",
            "ms",
            (ours_within(25, "ms"),),
            note="Signed: negative is earlier than the observer. Stock has no such call.",
        ),
    ),
    run=run,
)
