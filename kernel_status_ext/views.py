"""The only place that makes JSON of what the tracker knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from .core.causes import signal_name
from .core.model import Kernel, Request, Termination
from .core.words import Cause, Status
from .tracking.inspection import Costly, Elsewhere, Figures, Hidden, Inspection, NoProcess

JSON = dict[str, Any]


def iso(moment: datetime | None) -> str | None:
    """Write a time as ISO 8601 in UTC, always with microseconds and ``Z``.

    >>> from datetime import timezone
    >>> iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    '2026-01-02T03:04:05.000000Z'
    """
    if moment is None:
        return None
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def model_fields(kernel: Kernel, *, alone: bool) -> JSON:
    """Make what every kernel model of the existing calls gains or corrects.

    Args:
        kernel: The kernel.
        alone: Whether the model stands alone; in lists it has no last words.
    """
    return {
        **(last_words(kernel) if alone else {}),
        "execution_state": kernel.execution_state.value,
        "status": kernel.status.value,
        "reason": kernel.reason,
    }


UNTRACKED: JSON = {"status": Status.UNKNOWN.value, "reason": ""}
"""What the model of a kernel gains that was given to its manager past us."""


def last_words(kernel: Kernel) -> JSON:
    """Make what the single model of a dead kernel gains: the end of its stderr."""
    if kernel.status is not Status.DEAD:
        return {}
    last = kernel.last_termination
    # A launch that failed has another cause than the end before it.
    its_own = last is not None and kernel.cause in (last.cause, Cause.CRASH_LOOP)
    return {"traceback": last.traceback if last and its_own else None}


def status(kernel: Kernel) -> JSON:
    """Make the body of ``GET /api/kernels/ID/status``; what is not known is None."""
    process = kernel.process
    return {
        "id": kernel.id,
        "name": kernel.name,
        "state": kernel.state.value,
        "status": kernel.status.value,
        "execution_state": kernel.execution_state.value,
        "reason": kernel.reason,
        "cause": kernel.cause and kernel.cause.value,
        "revision": kernel.revision,
        "generation": kernel.generation,
        "pid": process.pid if process else None,
        "kernel_pid": process.kernel_pid if process else None,
        "since": iso(kernel.since),
        "started_at": iso(process.started_at if process else None),
        "connected_at": iso(process.connected_at if process else None),
        "restart_count": kernel.restart_count,
        "running": list(kernel.running) if kernel.is_seen else None,
        "queued": list(kernel.queued) if kernel.is_seen else None,
        "waiting_for_input": kernel.waiting_for_input,
        "subshells": {each: _does(kernel.requests, each) for each in kernel.subshells},
        "last_termination": kernel.last_termination and termination(kernel.last_termination),
    }


def _does(requests: tuple[Request, ...], subshell: str) -> str:
    return "busy" if any(each.subshell == subshell for each in requests) else "idle"


def termination(ended: Termination) -> JSON:
    """Make the story of one process's end; what is not known is None."""
    number = ended.exit.signal
    return {
        "generation": ended.generation,
        "pid": ended.pid,
        "cause": ended.cause.value,
        "reason": ended.reason,
        "hint": ended.hint,
        "exit_code": ended.exit.code,
        "signal": None if number is None else signal_name(number),
        "expected": ended.expected,
        "requested_by": ended.requested_by and ended.requested_by.value,
        "started_at": iso(ended.started_at),
        "finished_at": iso(ended.finished_at),
        "run_id": ended.run_id,
        "peak_memory": ended.peak_memory,
        "cpu_seconds": ended.cpu_seconds,
        "traceback": ended.traceback,
    }


def history(changes: list[Kernel], terminations: list[Termination]) -> JSON:
    """Make the body of ``GET /api/kernels/ID/history``, oldest first."""
    return {
        "changes": [_change(each) for each in changes],
        "terminations": [termination(each) for each in terminations],
    }


def _change(kernel: Kernel) -> JSON:
    return {
        "revision": kernel.revision,
        "at": iso(kernel.since),
        "generation": kernel.generation,
        "status": kernel.status.value,
        "execution_state": kernel.execution_state.value,
        "state": kernel.state.value,
        "reason": kernel.reason,
        "cause": kernel.cause and kernel.cause.value,
    }


def removed(kernel_id: str, revision: int) -> JSON:
    """Make the data of the event that a kernel is gone."""
    return {"id": kernel_id, "revision": revision}


def snapshot(revision: int, statuses: Iterable[bytes]) -> Iterator[bytes]:
    """Make the data of the event that says all, in parts: it may be too long to be held.

    Args:
        revision: The number of the latest change.
        statuses: What ``status`` makes of each kernel, as JSON.
    """
    yield b'{"revision": %d, "kernels": [' % revision
    for number, each in enumerate(statuses):
        yield b", " * bool(number) + each
    yield b"]}"


def all_inspections(found: Mapping[str, Inspection]) -> JSON:
    """Make the body of ``GET /api/kernels/inspect``."""
    return {"kernels": inspections(found)}


def inspections(found: Mapping[str, Inspection]) -> JSON:
    """Make the figures of several kernels, by their ids."""
    return {kernel_id: inspection(each) for kernel_id, each in found.items()}


def inspection(found: Inspection) -> JSON:
    """Make the body of ``GET /api/kernels/ID/inspect``; what is not known is None."""
    match found:
        case NoProcess(reason):
            return {"alive": False, "reason": reason}
        case Elsewhere(reason):
            return {"alive": None, "pid": None, "reason": reason}
        case Hidden(pid):
            return {"alive": True, "pid": pid, "error": "access denied"}
    return _figures(found)


def _figures(found: Figures) -> JSON:
    return {
        "alive": True,
        "pid": found.pid,
        "process_status": found.process_status,
        "create_time": iso(found.create_time),
        "cpu_percent": found.cpu_percent,
        "cpu_seconds": found.cpu_seconds,
        "memory_rss_bytes": found.memory_rss,
        "memory_vms_bytes": found.memory_vms,
        "memory_peak_bytes": found.memory_peak,
        "num_threads": found.num_threads,
        "num_fds": found.num_fds,
        "cmdline": found.cmdline,
        "children": {
            "count": found.children.count,
            "memory_rss_bytes": found.children.memory_rss,
        },
        **(_costly(found.costly) if found.costly else {}),
    }


def _costly(found: Costly) -> JSON:
    return {
        "memory_uss_bytes": found.memory_uss,
        "memory_pss_bytes": found.memory_pss,
        "io": {"read_bytes": found.read, "write_bytes": found.written},
    }


def status_event(kernel: Kernel) -> JSON:
    """Make the data of the event ``kernel_status``; what is not known is None."""
    change = _change(kernel)
    return {
        "kernel_id": kernel.id,
        "kernel_name": kernel.name,
        **{name: change[name] for name in IN_EVERY_EVENT},
    }


IN_EVERY_EVENT = ("generation", "revision", "status", "execution_state", "cause", "reason")


def termination_event(kernel: Kernel, ended: Termination) -> JSON:
    """Make the data of the event ``kernel_termination``; what is not known is None.

    Args:
        kernel: The kernel as it is since then.
        ended: The end of one of its processes.
    """
    account = termination(ended)
    return status_event(kernel) | {name: account[name] for name in OF_THE_ENDED}


OF_THE_ENDED = (
    *("generation", "cause", "reason", "exit_code", "signal", "expected", "requested_by"),
    *("peak_memory", "cpu_seconds", "started_at", "finished_at"),
)


def error(message: str, reason: str, kernel: Kernel | None = None, code: str | None = None) -> JSON:
    """Make the body of an error, in Jupyter's shape; with a code where programs rely on one."""
    body: JSON = {"message": message, "reason": reason}
    if code is not None:
        body["code"] = code
    if kernel is not None:
        body["kernel"] = status(kernel)
    return body
