"""The only place that says how a run is a row of the history's file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from ..core.run import Failure, Origin, Run
from ..core.words import RunStatus

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
LARGEST = (1 << 63) - 1
"""SQLite's largest integer; a kernel may send larger ones."""

Cell = Callable[[Any], Any]


def micros(moment: datetime) -> int:
    """Count the microseconds since 1970, exactly."""
    return (moment - EPOCH) // MICROSECOND


def moment(micros: int) -> datetime:
    """Make a moment of them again."""
    return EPOCH + micros * MICROSECOND


def text(value: object) -> str:
    """Make text that UTF-8 can hold: a kernel's JSON may carry half of a surrogate pair."""
    return str(value).encode("utf-8", "replace").decode()


def whole(value: object) -> int | None:
    """Leave out what is no number, or one that no column can hold."""
    return value if isinstance(value, int) and abs(value) <= LARGEST else None


# The fields of a run that are kept, each with how it is written; None is None in any case.
WRITE: dict[str, Cell] = {
    "run_id": text,
    "kernel_id": text,
    "kernel_name": text,
    "origin": str,
    "status": str,
    "session": text,
    "path": text,
    "code": text,
    "username": text,
    "timeout": float,
    "silent": bool,
    "subshell": text,
    "generation": whole,
    "worker_pid": whole,
    "queued_at": micros,
    "started_at": micros,
    "ended_at": micros,
    "execution_count": whole,
    "reason": text,
}


class DamagedRow(Exception):
    """What a row holds is none of what is written here; it costs that row."""


def _exactly(kind: type) -> Cell:
    """Read a value of one type: any column of SQLite may hold any other."""

    def read(value: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"{type(value).__name__} is no {kind.__name__}")
        return value

    return read


_text, _whole = _exactly(str), _exactly(int)

READ: dict[str, Cell] = {
    **dict.fromkeys(WRITE, _text),
    "origin": Origin,
    "status": RunStatus,
    "timeout": _exactly(float),
    "silent": bool,
    "generation": _whole,
    "worker_pid": _whole,
    "queued_at": moment,
    "started_at": moment,
    "ended_at": moment,
    "execution_count": _whole,
}
"""How each is read."""

NEVER_NULL = ("run_id", "kernel_id", "kernel_name", "origin", "status", "subshell", "reason")


def to_row(run: Run) -> tuple[Any, ...]:
    """Make the values of a run: the columns, then the name and the value of its error.

    Whatever a kernel sent, there is a row: one that cannot be written would stop all others.
    """
    values = ((write, getattr(run, name)) for name, write in WRITE.items())
    error = (None, None) if run.error is None else (text(run.error.ename), text(run.error.evalue))
    return (*(None if value is None else write(value) for write, value in values), *error)


def from_row(row: tuple[Any, ...]) -> Run:
    """Make the run of such values.

    Raises:
        DamagedRow: They are none that were written here.
    """
    *values, ename, evalue = row
    fields: dict[str, Any] = dict(zip(WRITE, values, strict=True))
    try:
        for name, read in READ.items():
            if fields[name] is not None or name in NEVER_NULL:
                fields[name] = read(fields[name])
        error = None if ename is None else Failure(_text(ename), _text(evalue))
    except (OverflowError, TypeError, ValueError) as wrong:
        raise DamagedRow(str(wrong)) from wrong
    return Run(**fields, error=error)
