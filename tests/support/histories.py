"""Histories for tests: each has a log that can be read, and is closed at the end."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from kernel_status_ext.core.run import Origin, Run
from kernel_status_ext.tracking.history import History, Keep

T = TypeVar("T")

SERVER = Path(__file__).with_name("history_server.py")


def now() -> datetime:
    """Tell the time."""
    return datetime.now(timezone.utc)


def run_of(run_id: str, **fields: Any) -> Run:
    """Make a run of which little matters."""
    return Run(
        **{"run_id": run_id, "kernel_id": "k", "kernel_name": "p", "origin": Origin.API} | fields
    )


def ids(runs: list[Run]) -> list[str]:
    """Name runs."""
    return [run.run_id for run in runs]


class Kept:
    """A history whose answers are waited for, and what it logged."""

    def __init__(self, path: Path | str, keep: Keep, clock: Callable[[], datetime]) -> None:
        self.logged: list[str] = []
        self.path = path
        log = logging.getLogger(f"history-{id(self)}")
        log.propagate = False
        handler = logging.Handler()
        handler.emit = lambda record: self.logged.append(record.getMessage())
        log.addHandler(handler)
        self.history = History(str(path), keep, log, clock)

    def note(self, *runs: Run) -> None:
        """Note runs."""
        for run in runs:
            self.history.note(run)

    def get(self, run_id: str, kernel_id: str | None = None) -> Run | None:
        """Look up one."""
        return answer(self.history.get(run_id, kernel_id))

    def find(self, **wish: Any) -> list[str]:
        """Look up the ids of some."""
        return ids(answer(self.history.find(**wish)))

    def close(self) -> None:
        """Close it."""
        self.history.close()


def answer(question: Coroutine[Any, Any, T]) -> T:
    """Wait for an answer, in a loop of its own."""
    return asyncio.run(question)


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file as anybody else would."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as db:
        yield db


class Server:
    """Another server, in a process of its own; killed when it is left."""

    def __init__(self, path: Path, kernel: str, count: int | None = None) -> None:
        argv = [sys.executable, str(SERVER), str(path), kernel]
        if count is not None:
            argv.append(str(count))
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Server:  # noqa: PYI034 - Self is not in Python 3.10
        """Give itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Kill it."""
        self.kill()

    def said(self, *, until: str) -> list[str]:
        """Read what it said up to a line."""
        assert self.process.stdout
        said = []
        for line in self.process.stdout:
            said.append(line.strip())
            if said[-1] == until:
                return said
        raise AssertionError(f"it ended and never said {until}, but {said[-3:]}")

    def kill(self) -> list[str]:
        """End it as a power cut would, for it; returns what it had said and nobody read."""
        self.process.kill()
        rest, _ = self.process.communicate()
        # A line may have been cut off.
        return [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    def end(self) -> None:
        """Let it end by itself."""
        self.process.communicate()
        assert self.process.returncode == 0
