"""How long the command line takes from its start to its end, in a pipe and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .figures import Figure, Target, ours_at_most
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import start_idle_kernel
from .server import WORKERS, Server

FEW, MANY = 3, 30
TIMES = 10
SETTLE = 3.0
LIMIT = 500
PREFIX = 6
PIECE = 64 * 1024
NOTHING = [sys.executable, "-c", "pass"]
LIST = [str(Path(sys.executable).with_name("jupyter-kernel-status")), "list"]

Runner = Callable[[list[str], dict[str, str]], tuple[float, str]]


def run(server: Server, _round: Round) -> Values:
    """List a few kernels, then many."""
    environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(server.process.runtime)}
    values: Values = defaultdict(list)
    kernels: list[str] = []
    for count in (FEW, MANY):
        with ThreadPoolExecutor(WORKERS) as pool:
            missing = range(count - len(kernels))
            starts = [pool.submit(start_idle_kernel, server) for _ in missing]
            kernels += [start.result() for start in starts]
        time.sleep(SETTLE)
        for _ in range(TIMES):
            values["cli_python"].append(in_pipe(NOTHING, environment)[0])
            for key, runner in (("pipe", in_pipe), ("terminal", on_terminal)):
                values[f"cli_{key}_{count}"].append(listed(runner, environment, kernels))
    return values


def listed(runner: Runner, environment: dict[str, str], kernels: list[str]) -> float:
    """Return the milliseconds that the list takes; all kernels must be there."""
    taken, said = runner(LIST, environment)
    missing = [each for each in kernels if each[:PREFIX] not in said]
    if missing:
        raise RoundFailedError(f"kernels {missing} are not in the list: {said}")
    return taken


def in_pipe(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Return the milliseconds from a process's start to its end, and what it wrote into a pipe."""
    began = time.perf_counter()
    ended = subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    taken = (time.perf_counter() - began) * 1000
    ensure(command, ended.returncode, ended.stdout + ended.stderr)
    return taken, ended.stdout


def on_terminal(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Return the same for a process on a terminal of its own."""
    ours, its = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdin=its, stdout=its, stderr=its)
    os.close(its)
    said = read_all(ours)
    code = process.wait()
    taken = (time.perf_counter() - began) * 1000
    os.close(ours)
    ensure(command, code, said)
    return taken, said


def read_all(terminal: int) -> str:
    """Return what is written to a terminal until nobody has it open any more."""
    pieces = []
    try:
        while piece := os.read(terminal, PIECE):
            pieces.append(piece)
    except OSError:  # EIO: Linux's end of a terminal
        pass
    return b"".join(pieces).decode(errors="replace")


def ensure(command: list[str], code: int, said: str) -> None:
    """Make sure that a process ended well."""
    if code:
        raise RoundFailedError(f"{command} ended with {code}: {said}")


def figures(count: int) -> tuple[Figure, ...]:
    """Return the figures of so many kernels."""
    targets: tuple[Target, ...] = (ours_at_most(LIMIT, "ms"),)
    title = f"jupyter-kernel-status list with {count} kernels"
    return (
        Figure(f"cli_pipe_{count}", f"{title}, in a pipe", "ms", targets),
        Figure(f"cli_terminal_{count}", f"{title}, on a terminal", "ms", targets),
    )


MEASUREMENT = Measurement(
    name="cli",
    rounds=2,
    heavy=True,
    sides=("ours",),
    figures=(
        *figures(FEW),
        *figures(MANY),
        Figure("cli_python", "python -c pass", "ms", note="Stock has no such command."),
    ),
    run=run,
)
