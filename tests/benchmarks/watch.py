"""How soon a thousand readers of the stream of changes have a change, and what it costs the server."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from .figures import Figure, ours_at_most
from .measurement import Measurement, Round, Values
from .observer import Observer, kill, start_idle_kernel
from .readers import Heard, Read, Readers, Wanted
from .server import WORKERS, Server

KERNELS = 10
READERS = 1000
TIMES = 12
FIGURES_EVERY = 2
WITH_FIGURES = f"?figures={FIGURES_EVERY}"
PAUSE = 0.3
SETTLE = 5.0
REST = 10.0
LIMIT = 200.0
CELL = {"code": "pass", "silent": False, "store_history": False, "allow_stdin": False}


def run(server: Server, _round: Round) -> Values:
    """Let readers without figures, and then readers with them, hear of cells and deaths."""
    with ThreadPoolExecutor(WORKERS) as pool:
        starts = [pool.submit(start_idle_kernel, server) for _ in range(KERNELS)]
        kernels = [start.result() for start in starts]
    alone = cpu_per_change(server, kernels)
    values: Values = {}
    with Readers(server, READERS) as readers:
        rest, _ = rest_with(server, readers)
        cells, cpu = hear_cells(server, readers, kernels)
        values |= figures_of("watch", cells, rest) | hear_deaths("watch", server, readers, kernels)
        values["watch_cpu"] = [cpu - alone]
    look(server)
    with Readers(server, READERS, query=WITH_FIGURES) as readers:
        rest, read = rest_with(server, readers)
        cells, _ = hear_cells(server, readers, kernels)
        values |= figures_of("watch_figures", cells, rest)
        values |= hear_deaths("watch_figures", server, readers, kernels)
        values["watch_figures_told"] = [looks_told(read)]
    return values | {"watch_figures_after": [look(server)]}


def rest_with(server: Server, readers: Readers) -> tuple[float, list[Read]]:
    """Return the share of a core that the server uses while nothing happens, and what was read."""
    readers.hear(lambda event: event[0] == "snapshot")
    readers.read_for(SETTLE)
    began, used = time.perf_counter(), server.process.cpu_seconds()
    read = readers.read_for(REST)
    return (server.process.cpu_seconds() - used) / (time.perf_counter() - began) * 100, read


def cpu_per_change(server: Server, kernels: list[str]) -> float:
    """Return the server's CPU for each of the two changes of a cell while nobody watches, in ms."""
    used = server.process.cpu_seconds()
    for number in range(TIMES):
        with Observer(server.connection_file(kernels[number % KERNELS])) as observer:
            observer.answer(observer.ask("execute_request", CELL))
        time.sleep(PAUSE)
    return (server.process.cpu_seconds() - used) / TIMES / 2 * 1000


def hear_cells(
    server: Server, readers: Readers, kernels: list[str]
) -> tuple[list[tuple[Heard, Heard]], float]:
    """Let kernels run a cell each; return each `busy` and `idle`, and the server's CPU for one, in ms."""
    heard, used = [], server.process.cpu_seconds()
    for number in range(TIMES):
        kernel_id = kernels[number % KERNELS]
        with Observer(server.connection_file(kernel_id)) as observer:
            observer.ask("execute_request", CELL)
            busy, idle = readers.hear(
                change(kernel_id, execution_state="busy"), change(kernel_id, execution_state="idle")
            )
        heard.append((busy, idle))
        readers.read_for(PAUSE)
    return heard, (server.process.cpu_seconds() - used) / TIMES / 2 * 1000


def hear_deaths(key: str, server: Server, readers: Readers, kernels: list[str]) -> Values:
    """Kill kernels one by one; return when the first reader knew, and the last."""
    values: Values = defaultdict(list)
    for number in range(TIMES):
        kernel_id = kernels[number % KERNELS]
        pid = server.kernel_pid(kernel_id)
        killed = time.time()
        kill(pid)
        died, _ = readers.hear(
            change(kernel_id, status="autorestarting"), change(kernel_id, status="connected")
        )
        values[f"{key}_death"].append(spread(died))
        values[f"{key}_news"].append((died.first - killed) * 1000)
        readers.read_for(PAUSE)
    return values


def change(kernel_id: str, **words: str) -> Wanted:
    """Return what tells whether an event is a change of this kernel to these words."""
    looked_for = {"id": kernel_id, **words}
    return lambda event: event[0] == "change" and looked_for.items() <= event[1].items()


def figures_of(key: str, cells: list[tuple[Heard, Heard]], rest: float) -> Values:
    """Return what the readers' times tell of cells; `idle` may be held back to be merged."""
    return {
        f"{key}_cell": [spread(each) for cell in cells for each in cell],
        f"{key}_first": [(busy.first - since(busy)) * 1000 for busy, _ in cells],
        f"{key}_rest": [rest],
    }


def spread(heard: Heard) -> float:
    """Return the milliseconds from the first reader's receipt to the last's."""
    return (heard.last - heard.first) * 1000


def since(heard: Heard) -> float:
    """Return when the server says that it happened, as `time.time()` has it."""
    _, kernel = heard.event
    return datetime.fromisoformat(kernel["since"].replace("Z", "+00:00")).timestamp()


def looks_told(read: list[Read]) -> float:
    """Return how many looks at processes the readers were told of, in percent of those due."""
    told = sum(name == "figures" for _, _, (name, _) in read)
    return told / (READERS * REST / FIGURES_EVERY) * 100


def look(server: Server) -> float:
    """Return the milliseconds until `GET /api/kernels/inspect` is answered."""
    asked = time.perf_counter()
    server.http.get("/api/kernels/inspect").raise_for_status()
    return (time.perf_counter() - asked) * 1000


def shared_figures(key: str, who: str) -> tuple[Figure, ...]:
    """Return what is measured of readers with figures and of those without."""
    return (
        Figure(
            f"{key}_cell",
            f"a kernel turns busy, or idle: from the first to the last of {who}",
            "ms",
            (ours_at_most(LIMIT, "ms"),),
        ),
        Figure(
            f"{key}_death",
            f"kill -9: from the first to the last of {who}",
            "ms",
            (ours_at_most(LIMIT, "ms"),),
        ),
        Figure(f"{key}_first", "`busy`: from its `since` to the first reader", "ms"),
        Figure(f"{key}_news", "kill -9 to the first reader", "ms"),
        Figure(f"{key}_rest", "CPU of the server while nothing happens", "% of a core"),
    )


MEASUREMENT = Measurement(
    name="watch",
    rounds=2,
    sides=("ours",),
    figures=(
        *shared_figures("watch", f"{READERS} readers"),
        Figure(
            "watch_cpu", "CPU of the server for such a change, beyond that with no reader", "ms"
        ),
        *shared_figures("watch_figures", f"{READERS} readers with {WITH_FIGURES}"),
        Figure("watch_figures_told", "looks at processes that they were told of", "% of those due"),
        Figure(
            "watch_figures_after",
            "GET /api/kernels/inspect as soon as they have hung up, until it is answered",
            "ms",
            note="Stock has no such stream.",
        ),
    ),
    run=run,
)
