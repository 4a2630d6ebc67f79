"""The only place that makes JSON of runs: what they are, what they put out, who works."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from .core.model import Kernel
from .core.run import Run
from .core.run_messages import (
    NOTHING,
    Cleared,
    Displayed,
    Output,
    Resulted,
    Stderr,
    Stdout,
    read_content,
)
from .core.words import RunStatus
from .tracking.inspection import Figures, Inspection, NoProcess
from .views import iso

JSON = dict[str, Any]

PLAIN = "text/plain"

LARGEST = 15 * 2**20
"""Bytes of the runs that one answer lists at most: with long codes there are fewer."""


def run(each: Run) -> JSON:
    """Make the body of ``GET /api/kernels/runs/RUN``; what is not known is None."""
    return {"run": _run(each)}


def runs(found: Iterable[Run], limit: int) -> bytes:
    """Make the body of ``GET /api/kernels/runs``, in the order given.

    Args:
        found: The runs that are wanted, and one more if there are more.
        limit: So many are told at most, and no more than the answer can hold.

    Returns:
        The runs, and as ``next`` the last of them if there are more.
    """
    told: list[bytes] = []
    size, last, more = 0, "", False
    for each in found:
        written = json.dumps(_run(each)).encode()
        size += len(written)
        more = len(told) == limit or (bool(told) and size > LARGEST)
        if more:
            break
        told.append(written)
        last = each.run_id
    following = json.dumps(last if more else None).encode()
    return b'{"runs": [' + b", ".join(told) + b'], "next": ' + following + b"}"


def _run(each: Run) -> JSON:
    return {
        "run_id": each.run_id,
        "kernel_id": each.kernel_id,
        "kernel_name": each.kernel_name,
        "session": each.session,
        "path": each.path,
        "code": each.code,
        "status": each.status.value,
        "username": each.username,
        "timeout": each.timeout,
        "worker_pid": each.worker_pid,
        "generation": each.generation,
        "queued_at": iso(each.queued_at),
        "started_at": iso(each.started_at),
        "ended_at": iso(each.ended_at),
        "execution_count": each.execution_count,
        "error": each.error and {"ename": each.error.ename, "evalue": each.error.evalue},
        "reason": each.reason,
    }


def output(put: Output) -> tuple[str, JSON]:
    """Name the event of something that a run puts out, and make its data."""
    match put:
        case Stdout(text):
            return "stdout", {"data": text}
        case Stderr(text):
            return "stderr", {"data": text}
        case Cleared(wait):
            return "clear", {"wait": wait}
        case Resulted(data, metadata, count):
            return "result", {"data": data, "metadata": metadata, "execution_count": count}
        case Displayed(data, metadata, display_id, update):
            shown = {"display_id": display_id, "update": update}
            return "display", {"data": data, "metadata": metadata, **shown}


def encoded(data: JSON) -> bytes:
    """Write the data of an event down; what stayed as a kernel wrote it is not read again.

    In ASCII: there are readers that take every line end of Unicode for the end of a line.
    """
    parts = (json.dumps(name).encode() + b": " + _written(each) for name, each in data.items())
    return b"{" + b", ".join(parts) + b"}"


def _written(value: object) -> bytes:
    if not isinstance(value, msgspec.Raw):
        return json.dumps(value).encode()
    raw = bytes(value)
    return raw if raw.isascii() else json.dumps(json.loads(raw)).encode()


def truncated(events: int, size: int) -> JSON:
    """Make the data of the event that stands for output which is not kept.

    Args:
        events: How many events are missing here.
        size: Bytes of the run's output that were not kept, in sum.
    """
    return {"dropped_events": events, "dropped_bytes": size}


def done(each: Run, result: Resulted | None) -> JSON:
    """Make the data of a run's last event."""
    ended_well = each.status is RunStatus.OK
    return {
        "run_id": each.run_id,
        "success": ended_well,
        "status": each.status.value,
        "output": _whole(result if ended_well else None),
    }


def _whole(result: Resulted | None) -> JSON:
    """Make of a result what is easiest to read: its plain text, else its first form."""
    if result is None or result.data == NOTHING:
        return {"mimetype": PLAIN, "data": ""}
    forms = read_content(bytes(result.data))
    mimetype = PLAIN if PLAIN in forms else next(iter(forms))
    data = forms[mimetype]
    return {"mimetype": mimetype, "data": data if isinstance(data, str) else json.dumps(data)}


def ended_worker(each: Run) -> NoProcess:
    """Say why there is no process of a run to look at."""
    named = f"Run {each.run_id} of kernel {each.kernel_id}"
    if each.has_ended:
        return NoProcess(f"{named} has ended ({each.status}).")
    if each.worker_pid is None:
        return NoProcess(f"{named} is {each.status} and has no process yet.")
    return NoProcess(f"Process {each.worker_pid} of {named[0].lower()}{named[1:]} is gone.")


def workers(
    working: Iterable[tuple[Kernel, Run, datetime | None]],
    seen: dict[str, Inspection],
    now: datetime,
) -> JSON:
    """Make the body of ``GET /api/kernels/workers/active``.

    Args:
        working: The kernels that run something, what, and their last activity.
        seen: Live figures by kernel id.
        now: When was looked.
    """
    found = [_worker(each, active, seen.get(kernel.id)) for kernel, each, active in working]
    return {"workers": found, "count": len(found), "checked_at": iso(now)}


def _worker(each: Run, active: datetime | None, seen: Inspection | None) -> JSON:
    figures = seen if isinstance(seen, Figures) else None
    return {
        "run_id": each.run_id,
        "kernel_id": each.kernel_id,
        "kernel_name": each.kernel_name,
        "path": each.path,
        "status": each.status.value,
        "username": each.username,
        "timeout": each.timeout,
        "worker_pid": each.worker_pid,
        "started_at": iso(each.started_at),
        "last_activity": iso(active),
        "memory_rss_bytes": figures and figures.memory_rss,
        "cpu_percent": figures and figures.cpu_percent,
    }
