"""The only place that says what people are shown of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from ..core.words import RunStatus
from . import lines
from .harmless import moment, size
from .recent import Known, first_line
from .running import Running
from .runs import Interruption, Run, Worker
from .screen import Row, Screen
from .tables import SHORT, STYLES, short

RUNS = ("RUN", "KERNEL", "STATUS", "STARTED", "LASTED", "CODE")
RUNS_SPARE = ("KERNEL", "LASTED")
WORKERS = ("RUN", "KERNEL", "NAME", "LASTED", "CPU", "MEMORY", "PID", "USER", "PATH")
WORKERS_SPARE = ("PID", "USER", "NAME")
"""What a narrow terminal does not show."""

COLOURS: dict[str, str] = {
    RunStatus.QUEUED: lines.FAINT,
    RunStatus.RUNNING: lines.BLUE,
    RunStatus.OK: lines.GREEN,
    RunStatus.ERROR: lines.RED,
    RunStatus.ABORTED: lines.YELLOW,
    RunStatus.DIED: lines.RED,
    RunStatus.LOST: lines.MAGENTA,
}

SOME = 30
"""Characters of code that a terminal shows."""

MINUTE, HOUR = 60, 3600


def duration(seconds: float | None) -> str:
    """Write a time as people do.

    >>> [duration(each) for each in (None, 0.25, 75, 7325)]
    ['', '0.25 s', '1 min 15 s', '2 h 2 min']
    """
    if seconds is None:
        return ""
    if seconds < MINUTE:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - looks
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"


def show_runs(screen: Screen, known: Sequence[Known], servers: Sequence[Running]) -> None:
    """Write the table of runs.

    Args:
        screen: Where.
        known: The runs.
        servers: Who was asked; with more than one there is a column for them.
    """
    if not known:
        screen.sentence("There is no such run.")
        return
    ids = _ids(screen, [each.run.run_id for each in known])
    where = len(servers) > 1
    rows = [
        Row(
            [
                ids[each.run.run_id],
                _kernel(screen, each.run.kernel_id),
                str(each.run.status),
                moment(each.run.started_at),
                _lasted(each.run.started_at, each.run.ended_at, goes_on=not each.run.has_ended),
                _code(screen, each.run),
                *([each.server.shown] if where else []),
            ],
            {"STATUS": STYLES.get(COLOURS.get(each.run.status, ""), "")},
            each.run.reason,
        )
        for each in known
    ]
    screen.table([*RUNS, *(["SERVER"] if where else [])], rows, "REASON", RUNS_SPARE)


def show_workers(screen: Screen, workers: Sequence[Worker]) -> None:
    """Write the table of what works now."""
    if not workers:
        screen.sentence("No kernel works at anything.")
        return
    ids = _ids(screen, [each.run_id or "" for each in workers])
    rows = [
        Row(
            [
                ids[each.run_id or ""],
                _kernel(screen, each.kernel_id),
                each.kernel_name or "",
                _lasted(each.started_at, None, goes_on=True),
                "" if each.cpu_percent is None else f"{each.cpu_percent:.0f} %",
                size(each.memory_rss_bytes),
                "" if each.worker_pid is None else str(each.worker_pid),
                each.username or "",
                each.path or "",
            ]
        )
        for each in workers
    ]
    screen.table(WORKERS, rows, "", WORKERS_SPARE)


def show_interruption(screen: Screen, came: Interruption, grace: float | None) -> None:
    """Write what came of an interrupt.

    Args:
        screen: Where.
        came: What came of it.
        grace: Seconds that were waited; None if nothing was waited for.
    """
    run = came.run
    if came.did is not None:
        done = {"restart": "restarted", "shutdown": "shut down"}[came.did]
        late = f"Run {run.run_id} did not end in time, so kernel {run.kernel_id} was {done}"
        screen.sentence(f"{late}; the run is {run.status}.")
    elif grace is not None and run.has_ended:
        raised = f" ({run.error.ename})" if run.error else ""
        screen.sentence(f"Run {run.run_id} ended: {run.status}{raised}.")
    else:
        screen.sentence(f"Run {run.run_id} of kernel {run.kernel_id} was interrupted.")


def _ids(screen: Screen, ids: Sequence[str]) -> dict[str, str]:
    """Shorten ids for people, each for itself: those of one client may be long and alike."""
    if not screen.is_terminal:
        return {each: each for each in ids}
    return {each: _shortest(each, ids) for each in ids}


def _shortest(its: str, ids: Sequence[str]) -> str:
    others = [each for each in ids if each != its]
    length = SHORT
    while length < len(its) and any(each.startswith(its[:length]) for each in others):
        length += 1
    return its[:length]


def _kernel(screen: Screen, kernel_id: str) -> str:
    return short([kernel_id])[kernel_id] if screen.is_terminal else kernel_id


def _lasted(began: datetime | None, ended: datetime | None, *, goes_on: bool) -> str:
    end = ended or (datetime.now(timezone.utc) if goes_on else None)
    if began is None or end is None:
        return ""
    return duration(max(0.0, (end - began).total_seconds()))


def _code(screen: Screen, run: Run) -> str:
    line = first_line(run.code)
    return f"{line[: SOME - 1]}…" if screen.is_terminal and len(line) > SOME else line
