"""What is true, told by the process table, the kernels' own sockets and the marks of cells.

Each function compares one kind of truth with what the server says and gives sentences about what
differs. Nothing here asks how soon: `settle` looks again until all agrees, or gives up.
"""

from __future__ import annotations

import contextlib
import queue
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from support.runs import ENDED, place
from support.server import PATIENCE

from .cells import ENDS, REPLACES, Cell, lies
from .world import OWED, RESTLESS, World

SIGNALS = {"SIGKILL": "Killed", "SIGSEGV": "SegmentationFault"}
BEGIN = re.compile(r"^(?=\[[A-Z] \d{4}-)", re.MULTILINE)
"""Where a record of the log begins; a kernel's stderr may stand below it, too."""
LOGGED_FAULT = re.compile(
    r"unforeseen|^ +Traceback \(most recent|never retrieved|Uncaught exception|"
    r"Exception in callback|was never awaited|^  File .*kernel_status_ext/",
    re.MULTILINE,
)
FORESEEN = re.compile(
    r"No such kernel named unknown|/nonexistent/kernel|"
    r"(Uncaught exception in (ZMQS|zmqs)tream callback|Exception in callback )"
    r".*handle_outgoing_message|exception=WebSocketClosedError|while checking the idle duration",
    re.DOTALL,
)
"""What Jupyter itself logs, with a traceback: starts that must fail, the messages of a kernel that
talks garbage, what it had to say to a websocket that vanished, a kernel that went while the culler
looked at it."""
NUDGED = re.compile(
    r"^_GatheringFuture exception was never retrieved\n.*CancelledError\(\)>\n"
    r"(Traceback .*\n(  .*\n)*  .*channels\.py.*, in wait_for_activity\n(  .*\n)+)?"
    r".*CancelledError\n",
    re.MULTILINE,
)
"""What `nudge` of jupyter_server's websockets leaves when it is cut short."""

SENSELESS = (ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What jupyter_client raises when a kernel talks garbage, which one of ours does."""

Differences = Callable[[], list[str]]


def settle(world: World, look: Differences) -> list[str]:
    """Look until nothing differs; what still does when patience is out."""
    deadline = time.monotonic() + world.patience
    while (differences := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return differences


def kernels(world: World) -> dict[str, dict[str, Any]]:
    """The statuses of all listed kernels; one that goes meanwhile is left out."""
    found = {}
    for kernel in world.server.models():
        answer = world.server.http.get(f"api/kernels/{kernel}/status")
        if answer.status_code == 200:
            found[kernel] = answer.json()
    return found


def unrest(world: World) -> list[str]:
    """Kernels that are on their way somewhere."""
    return [
        f"{kernel} does not come to rest: {words(status)}"
        for kernel, status in kernels(world).items()
        if not (status["status"] == "dead" or is_idle(status)) and status["name"] not in RESTLESS
    ]


def is_idle(status: dict[str, Any]) -> bool:
    """Whether it can take work and has none."""
    return (status["status"], status["execution_state"], status["state"]) == (
        "connected",
        "idle",
        "idle",
    )


def words(status: dict[str, Any]) -> str:
    """A status in a line."""
    keys = ("status", "execution_state", "state", "generation", "pid", "cause", "reason", "queued")
    return " ".join(f"{key}={status[key]!r}" for key in keys)


# -- the process table


def processes(world: World) -> list[str]:
    """Kernel processes and connection files that no list knows, and the other way round."""
    told, table = kernels(world), {}
    for process in world.server.kernel_processes():
        table.setdefault(kernel_of(process), []).append(process.pid)
    table.pop(None, None)
    wrong = [
        f"{kernel} {words(told[kernel]) if kernel in told else 'not listed'}; in the table: {alive}"
        for kernel, alive in table.items()
        if kernel not in told or told[kernel]["pid"] not in alive or len(alive) > 1
    ]
    wrong += [
        f"{kernel} has no process and is told as {words(status)}"
        for kernel, status in told.items()
        if kernel not in table and status["status"] != "dead"
    ]
    wrong += [
        f"{kernel} is told as dead and lives: {table[kernel]}"
        for kernel, status in told.items()
        if kernel in table and status["status"] == "dead"
    ]
    files = {file.stem.removeprefix("kernel-") for file in world.server.connection_files()}
    wrong += [f"{kernel} left its connection file" for kernel in files - set(told)]
    back = (world.deleted - world.asked_for) & set(told)
    return wrong + [f"{kernel} was deleted and is listed" for kernel in back]


def kernel_of(process: psutil.Process) -> str | None:
    """The kernel that a process of this server's is, by its command line."""
    with contextlib.suppress(psutil.Error):
        for part in process.cmdline():
            if "kernel-" in part and part.endswith(".json"):
                return Path(part).stem.removeprefix("kernel-")
    return None


def models(world: World) -> list[str]:
    """Where the list, the model, and the status tell different things."""
    listed, told = world.server.models(), kernels(world)
    wrong = [
        f"{kernel} is {model[key]!r} in the list and {told[kernel][key]!r} alone"
        for kernel, model in listed.items()
        for key in ("status", "execution_state", "reason")
        if kernel in told and model[key] != told[kernel][key]
    ]
    return wrong + [
        f"{kernel} is {model['status']} in the list without a reason"
        for kernel, model in listed.items()
        if model["status"] in OWED and not model["reason"]
    ]


# -- the kernels themselves


def reachable(world: World) -> list[str]:
    """Kernels that are told as idle and do not answer a client that asks them directly."""
    wrong = []
    for kernel, status in kernels(world).items():
        if is_idle(status) and not answers(world, kernel) and still(world, kernel, status):
            wrong.append(f"{kernel} is told as idle and does not answer: {words(status)}")
    return wrong


def still(world: World, kernel: str, status: dict[str, Any]) -> bool:
    """Whether this process is still told as idle: it may have been culled meanwhile."""
    again = world.server.http.get(f"api/kernels/{kernel}/status")
    return again.status_code == 200 and (
        again.json()["generation"] == status["generation"] and is_idle(again.json())
    )


def answers(world: World, kernel: str) -> bool:
    """Whether its shell answers a client that knows nothing of the server."""
    with contextlib.suppress(OSError), world.server.client(kernel) as client:
        msg_id = client.kernel_info()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty, *SENSELESS):
                if client.get_shell_msg(timeout=1)["parent_header"].get("msg_id") == msg_id:
                    return True
    return False


# -- the stories


def stories(world: World) -> Iterator[str]:
    """Generations of listed kernels whose end was not told, or told twice, or of another pid."""
    for kernel, status in kernels(world).items():
        answer = world.server.http.get(f"api/kernels/{kernel}/history")
        if answer.status_code != 200:
            continue
        ends = [each["generation"] for each in answer.json()["terminations"]]
        gone = status["generation"] + (
            status["status"] == "dead" and status["started_at"] is not None
        )
        if ends and ends != list(range(ends[0], ends[0] + len(ends))):
            yield f"{kernel} tells ends of the generations {ends}"
        if ends and ends[-1] > status["generation"]:
            yield f"{kernel} is generation {status['generation']} and told the end of {ends[-1]}"
        if gone and (not ends or ends[-1] < gone - 1) and status["status"] != "dead":
            yield f"{kernel} is generation {status['generation']} and told only the ends {ends}"


def causes(world: World) -> Iterator[str]:
    """Ends whose cause nothing of what was done can have been."""
    by_pid: dict[int, set[str]] = {
        pid: {SIGNALS[how] for how in done if how in SIGNALS}
        for pid, done in world.signalled.items()
    }
    for cell in world.cells:
        for pid in cell.began:
            by_pid.setdefault(pid, set()).update({ENDS[cell.kind]} if cell.kind in ENDS else ())
    for (kernel, generation), end in list(world.terminations.items()):
        wrong = wrong_cause(end, by_pid.get(end["pid"], set()))
        if wrong:
            yield f"{kernel}, generation {generation}: {wrong}: {end}"


def wrong_cause(end: dict[str, Any], done: set[str]) -> str:
    """What is wrong with an end, given the causes that what was done to its process may have."""
    if not end["reason"]:
        return "an end without a reason"
    if end["expected"] != (end["requested_by"] is not None):
        return "expected, and nobody asked, or the other way round"
    if end["exit_code"] is not None and end["signal"] is not None:
        return "an exit code and a signal"
    known = {"Killed", "SegmentationFault", "Error", "Exited"}
    if not end["expected"] and end["cause"] in known and end["cause"] not in done:
        return f"told as {end['cause']}, and it was {sorted(done) or 'left alone'}"
    return ""


# -- the runs


def underway(world: World, cells: list[Cell]) -> list[str]:
    """Runs that were taken and have not ended."""
    return [
        f"the run {cell.run_id} of {cell.kernel} ({cell.kind}) is {status}"
        for cell in cells
        if cell.taken == "api" or cell.began
        if (status := status_of(world, cell)) not in ENDED
    ]


def run_of(world: World, cell: Cell) -> dict[str, Any] | None:
    """What the server tells of a cell."""
    answer = world.server.http.get(place(cell.run_id), params={"kernel_id": cell.kernel})
    return answer.json()["run"] if answer.status_code == 200 else None


def status_of(world: World, cell: Cell) -> str:
    """How a cell's run is."""
    run = run_of(world, cell)
    return run["status"] if run else "not known"


def runs(world: World, cells: list[Cell]) -> Iterator[tuple[str, Cell]]:
    """What runs were told that their marks refute."""
    for cell in cells:
        run = run_of(world, cell)
        if run is None:
            continue
        for lie in [*lies(cell, run), *strangers(world, cell, run)]:
            brief = {key: value for key, value in run.items() if key != "code"}
            yield f"{lie} ({cell.taken}, {cell.kind}, began {cell.began}): {brief}", cell


def strangers(world: World, cell: Cell, run: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a run whose kernel, or whose process, it was not."""
    if run["kernel_id"] != cell.kernel:
        yield f"it was sent to {cell.kernel}"
    if run["status"] == "died" and cell.kind != REPLACES:
        alive = {process.pid for process in world.server.kernel_processes(cell.kernel)}
        if alive & set(cell.began):
            yield "it was told as died and its process lives"


# -- the log


def logged(world: World) -> Iterator[str]:
    """Tracebacks of the server in its log, and what it calls unforeseen."""
    for record in BEGIN.split(NUDGED.sub("", world.server.log())):
        if LOGGED_FAULT.search(record) and not FORESEEN.search(record):
            yield f"in the log: {record:.3000}"
