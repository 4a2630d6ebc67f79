"""Many kernels print at once: how soon the model is back at `idle`, and what it costs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from .figures import Figure, ours_none
from .flood_clients import FloodClients, Times
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import start_idle_kernel
from .server import WORKERS, Server

LATE = 5.0
BOUND = 20.0
LOOK_EVERY = 0.1  # a look costs the server about a millisecond
REPLY_TIMEOUT = 240.0


def run(server: Server, turn: Round) -> Values:
    """Start the kernels, let them flood, and end the clients whatever happens."""
    stop = Event()
    with ThreadPoolExecutor(WORKERS) as pool:
        starts = [pool.submit(start_idle_kernel, server) for _ in range(turn.options.flood_kernels)]
        kernels = [start.result() for start in starts]
        clients = FloodClients({name: server.connection_file(name) for name in kernels})
        try:
            pool.submit(
                clients.run,
                f"for i in range({turn.options.flood_lines}): print(i, flush=True)",
                stop,
            )
            return compare(server, clients)
        finally:
            stop.set()
            pool.shutdown()
            clients.close()


def compare(server: Server, clients: FloodClients) -> Values:
    """Watch the models during the flood and return how they did."""
    idle: Times = {}
    began, used = time.perf_counter(), server.process.cpu_seconds()
    while not clients.answered():
        if time.perf_counter() - began > REPLY_TIMEOUT:
            raise RoundFailedError(f"only {len(clients.replies)} kernels sent their execute_reply")
        look(server, idle)
    last = max(clients.replies.values())
    while time.perf_counter() < last + LATE:
        look(server, idle)
    used = server.process.cpu_seconds() - used
    while len(idle) < len(clients.replies) and time.perf_counter() < last + BOUND:
        look(server, idle)
    costs = {"flood_cpu": [used], "flood_time": [last - began]}
    return costs | lags(clients, idle)


def look(server: Server, idle: Times) -> None:
    """Note since when each model says idle without a break; a stale idle is thus forgotten."""
    for kernel_id, state in server.execution_states().items():
        if state == "idle":
            idle.setdefault(kernel_id, time.perf_counter())
        else:
            idle.pop(kernel_id, None)
    time.sleep(LOOK_EVERY)


def lags(clients: FloodClients, idle: Times) -> Values:
    """Return how late the models and the kernels themselves were."""
    own = [behind(clients.replies, idle, name) for name in clients.replies]
    server = [behind(clients.published, idle, name) for name in clients.published]
    kernel = [behind(clients.replies, clients.published, name) for name in clients.replies]
    late = float(sum(lag > LATE for lag in own))
    return {"flood_lag": own, "flood_late": [late], "flood_kernel": kernel, "flood_server": server}


def behind(earlier: Times, later: Times, name: str) -> float:
    """Return the seconds between two moments of a kernel; one that never came counts as BOUND."""
    return min(BOUND, max(0.0, later[name] - earlier[name])) if name in later else BOUND


MEASUREMENT = Measurement(
    name="flood",
    rounds=2,
    heavy=True,
    figures=(
        Figure(
            "flood_lag",
            "a kernel's own execute_reply to its model saying idle for good",
            "s",
            bound=BOUND,
        ),
        Figure(
            "flood_kernel",
            "of it: until an independent subscriber heard that idle",
            "s",
            bound=BOUND,
        ),
        Figure("flood_server", "of it: from then until the model said it", "s", bound=BOUND),
        Figure(
            "flood_late",
            f"kernels not idle {LATE:g} s after their own reply",
            "kernels",
            (ours_none(),),
        ),
        Figure(
            "flood_cpu",
            f"CPU time of the server, first line to {LATE:g} s after the last reply",
            "s",
        ),
        Figure("flood_time", "how long the flood took, first request to last reply", "s"),
    ),
    run=run,
)
