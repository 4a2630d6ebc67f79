"""The only place that says what happens in the demo: a kernel's life and death in eight acts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial

import httpx

from ..core.words import Cause, ExecutionState, State, Status
from .lines import JSON
from .memory_group import LIMIT, MemoryGroup
from .stage import KERNELS, Stage, body_of, message_of, promise

SHORT_CELL = "import time; time.sleep(0.8)"
LONG_CELL = "import time; time.sleep(600)"
TOO_MUCH = f"import time; time.sleep(0.5); too_much = b'x' * {2 * LIMIT:_}"
NO_MODULE = "team_kernel"


def is_born(stage: Stage) -> None:
    """Start a real kernel and wait until it has answered."""
    stage.start("python3")
    stage.story.until(status=Status.CONNECTED, execution_state=ExecutionState.IDLE)
    pid = stage.story.status()["pid"]
    stage.lines.remark(f"It is ready, and no websocket was opened: its process is {pid}.")


def works(stage: Stage) -> None:
    """Run a cell that takes a moment."""
    with stage.running(SHORT_CELL):
        stage.story.until(execution_state=ExecutionState.BUSY)
        done = stage.story.until(execution_state=ExecutionState.IDLE)
    promise(done["generation"] == 0, "the process died while it ran a harmless cell")


def is_killed(stage: Stage) -> None:
    """Kill the process while it works; tell why it died and how it came back."""
    with stage.running(LONG_CELL):
        pid = stage.story.until(execution_state=ExecutionState.BUSY)["pid"]
        stage.lines.action(f"kill -KILL {pid}")
        os.kill(pid, signal.SIGKILL)
        died = stage.story.until(status=Status.AUTORESTARTING)
    promise(died["cause"] == Cause.KILLED, f"a killed kernel's cause is {died['cause']}")
    promise("SIGKILL" in died["reason"], f"a killed kernel's reason is {died['reason']!r}")
    back = stage.story.until(status=Status.CONNECTED)
    found = (back["generation"], back["restart_count"])
    promise(found == (1, 1), f"generation and restart_count are {found}, not (1, 1)")
    tell_last_termination(stage, back)


def tell_last_termination(stage: Stage, kernel: JSON) -> None:
    """Show what is known of the process that ended last."""
    last = kernel["last_termination"]
    promise(last["signal"] == "SIGKILL", f"the signal of the end is {last['signal']}")
    stage.lines.remark(
        f"Process {last['pid']} (generation {last['generation']}) ended by {last['signal']}, "
        f"cause {last['cause']}: {last['hint']}."
    )
    stage.lines.remark(
        f"Process {kernel['pid']} (generation {kernel['generation']}) is its successor, "
        f"restart_count {kernel['restart_count']}."
    )


def is_restarted(stage: Stage) -> None:
    """Restart on request; that is no crash and does not count as one."""
    answer = stage.call("POST", "/restart")
    stage.story.until(status=Status.RESTARTING)
    back = stage.story.until(status=Status.CONNECTED)
    found = (back["generation"], back["restart_count"])
    promise(found == (2, 1), f"generation and restart_count are {found}, not (2, 1)")
    body_of(answer.result())
    stage.lines.remark("Generation 2; restart_count is still 1, it counts only the crashes.")


def is_shut_down(stage: Stage) -> None:
    """Shut the kernel down while somebody waits for it."""
    waiting = stage.call("GET", "/wait", state=State.RUNNING.value)
    stage.story.status()  # the waiter came before us: by now the server knows it
    deleting = stage.call("DELETE")
    stage.story.until(status=Status.DEAD)
    answer = waiting.result()
    promise(answer.status_code == httpx.codes.CONFLICT, f"who waits gets {message_of(answer)}")
    stage.lines.remark("Who waited for it to run something is answered 409 with the reason:")
    stage.lines.reason(answer.json()["reason"])
    answer = deleting.result()
    promise(answer.status_code == httpx.codes.NO_CONTENT, f"DELETE gives {message_of(answer)}")


def runs_out_of_memory(stage: Stage, group: MemoryGroup) -> None:
    """Fill the memory that a kernel may have; tell what it held and how it came back."""
    command = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    stage.server.add_kernelspec("small", group.joining(*command))
    stage.start("small")
    stage.story.until(status=Status.CONNECTED, execution_state=ExecutionState.IDLE)
    stage.lines.remark(f"It may hold {LIMIT >> 20} MiB: its memory group (cgroup) allows no more.")
    with stage.running(TOO_MUCH):
        died = stage.story.until(status=Status.AUTORESTARTING)
    promise(died["cause"] == Cause.OOM_KILLED, f"the cause of its end is {died['cause']}")
    promise("memory group" in died["reason"], f"the reason of its end is {died['reason']!r}")
    last = died["last_termination"]
    promise(last["peak_memory"], "nobody knows what it held")
    held = f"cause {last['cause']}, peak_memory {last['peak_memory']}"
    stage.lines.remark(f"For programs: {held}. What to do: {last['hint']}.")
    stage.story.until(status=Status.CONNECTED)


def lacks_a_module(stage: Stage) -> None:
    """Ask for a kernel whose Python has not the module that it needs."""
    stage.server.add_kernelspec("incomplete", [sys.executable, "-c", f"import {NO_MODULE}"])
    stage.start("incomplete")
    dead = stage.story.until(status=Status.DEAD)
    promise(dead["cause"] == Cause.MODULE_NOT_FOUND, f"the cause of its end is {dead['cause']}")
    promise(NO_MODULE in dead["reason"], f"a missing module gives the reason {dead['reason']!r}")
    stage.lines.remark(f"For programs: cause {dead['cause']}.")


def has_no_executable(stage: Stage) -> None:
    """Ask for a kernel whose command does not exist."""
    stage.server.add_kernelspec("nowhere", ["/nowhere/python", "{connection_file}"])
    answer = stage.post_kernel("nowhere")
    said = message_of(answer)
    promise(answer.is_error and "/nowhere/python" in said, f"a missing command gives {said}")
    stage.lines.remark(f"Answered {said}")


def quits_at_once(stage: Stage) -> None:
    """Ask for a kernel that ends before it can be used; it stays listed with its reason."""
    stage.server.add_kernelspec("quits", [sys.executable, "-c", "raise SystemExit(3)"])
    stage.start("quits")
    dead = stage.story.until(status=Status.DEAD)
    promise("code 3" in dead["reason"], f"exit code 3 gives the reason {dead['reason']!r}")
    stage.lines.action(f"GET {KERNELS}")
    listed = {model["id"]: model["reason"] for model in body_of(stage.server.http.get(KERNELS))}
    told = listed.get(dead["id"])
    promise(told == dead["reason"], f"the list says {told!r} of a kernel that died by itself")
    stage.lines.remark("It stays listed, with the same reason, until it is restarted or deleted.")


Act = Callable[[Stage], None]
Scene = tuple[str, Act]
"""The headline of an act, and what happens in it."""


def acts(group: MemoryGroup | None) -> tuple[Scene, ...]:
    """Return all acts in their order.

    Args:
        group: Where a kernel can run out of memory; None if this machine has no such place.
    """
    return (
        ("A kernel is born.", is_born),
        ("It runs a cell.", works),
        ("It is killed while it runs another one, and comes back by itself.", is_killed),
        ("Somebody asks for a restart.", is_restarted),
        ("Somebody shuts it down.", is_shut_down),
        _wants_memory(group) if group else _WANTS_A_MODULE,
        ("A kernel cannot start: its command does not exist.", has_no_executable),
        ("A kernel cannot start: it exits at once, with code 3.", quits_at_once),
    )


def _wants_memory(group: MemoryGroup) -> Scene:
    headline = "A kernel runs out of memory, and comes back by itself."
    return headline, partial(runs_out_of_memory, group=group)


_WANTS_A_MODULE = ("A kernel cannot start: a module is missing.", lacks_a_module)
