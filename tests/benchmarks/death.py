"""How long after `kill -9` of an idle kernel a client of the server learns of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from .figures import Figure, ours_at_most, stock_later
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import first_reply, kill, start_idle_kernel, wait_until_unbound
from .server import Server

BOUND = 10.0
LOOK_EVERY = 0.05
RESTARTER_PERIOD = 3.0
QUIET = 0.3


def run(server: Server, turn: Round) -> Values:
    """Kill one kernel and time the first news of it."""
    kernel_id = start_idle_kernel(server)
    pause_for_phase(turn.number)
    notice = heard_by_waiter if server.side == "ours" else seen_by_looking
    told, restarted = notice(server, kernel_id)
    # Deleting a kernel that is just coming back takes longer than letting it come.
    first_reply(server.connection_file(kernel_id))
    return {"death": [told * 1000], "death_notice": [restarted * 1000]}


def pause_for_phase(number: int) -> None:
    """Wait so long that the kills of all rounds spread evenly over the restarter's period."""
    golden = 0.618034
    time.sleep(QUIET + RESTARTER_PERIOD * (number * golden % 1))


def heard_by_waiter(server: Server, kernel_id: str) -> tuple[float, float]:
    """Return the seconds from the kill to the answer of an open `/wait`, for both figures."""
    with server.client() as waiter, ThreadPoolExecutor(1) as pool:
        status = waiter.get(f"/api/kernels/{kernel_id}/status").json()
        if (status["status"], status["execution_state"]) != ("connected", "idle"):
            raise RoundFailedError(f"the kernel is not idle before the kill: {status}")
        heard = pool.submit(hear, waiter, kernel_id, status["revision"])
        time.sleep(QUIET)  # the request must lie at the server when the kernel dies
        killed = kill_kernel(server, kernel_id)
        seconds = heard.result() - killed
        return seconds, seconds


def hear(waiter: httpx.Client, kernel_id: str, revision: int) -> float:
    """Return when `/wait` told of a death later than the revision."""
    params: dict[str, str | int] = {
        "status": "autorestarting,dead",
        "since": revision,
        "timeout": 20,
    }
    answer = waiter.get(f"/api/kernels/{kernel_id}/wait", params=params)
    at = time.perf_counter()
    if answer.status_code != httpx.codes.OK:
        raise RoundFailedError(f"/wait answered {answer.status_code} {answer.text}")
    return at


def seen_by_looking(server: Server, kernel_id: str) -> tuple[float, float]:
    """Return the seconds until the stock model says something else, and until a new process is there."""
    killed = kill_kernel(server, kernel_id)
    told = restarted = BOUND
    while (now := time.perf_counter() - killed) < BOUND and told == BOUND:
        if server.execution_state(kernel_id) != "idle":
            told = now
        if restarted == BOUND and server.has_process(kernel_id):
            restarted = now
        time.sleep(LOOK_EVERY)
    return told, min(told, restarted)


def kill_kernel(server: Server, kernel_id: str) -> float:
    """Kill the kernel's process and return when."""
    killed = kill(server.kernel_pid(kernel_id))
    wait_until_unbound(server.connection_file(kernel_id))
    return killed


MEASUREMENT = Measurement(
    name="death",
    rounds=12,
    figures=(
        Figure(
            "death",
            "kill -9 of an idle kernel to the first news (ours: /wait answered; stock: the model changes)",
            "ms",
            (ours_at_most(60, "ms"), stock_later(20)),
            bound=BOUND * 1000,
            note=f"Stock is looked at every {LOOK_EVERY * 1000:.0f} ms; often its model never changes.",
        ),
        Figure(
            "death_notice",
            "the same, but stock: it has started a new process, told to a client or not",
            "ms",
            (stock_later(20),),
            bound=BOUND * 1000,
        ),
    ),
    run=run,
)
