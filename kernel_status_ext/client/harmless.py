"""The only place that makes text of others fit for a terminal, and figures fit for people."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timezone

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
STEP = 1024

INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Cs")
"""Categories of what moves the cursor, turns the direction of text or breaks lines."""


def harmless(text: str) -> str:
    r"""Make what a terminal would obey visible.

    >>> harmless("a\x1b[31m\n")
    'a\\x1b[31m\\n'
    """
    return "".join(_shown(each) for each in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in INVISIBLE:
        return character
    return character.encode("unicode_escape").decode()


def size(bytes_: float | None) -> str:
    """Write a size as people do.

    >>> size(8482560000)
    '7.9 GiB'
    """
    if bytes_ is None:
        return ""
    for unit in UNITS:
        if bytes_ < STEP or unit == UNITS[-1]:
            break
        bytes_ /= STEP
    return f"{bytes_:.0f} {unit}" if unit == UNITS[0] else f"{bytes_:.1f} {unit}"


def moment(time: datetime | None, now: datetime | None = None) -> str:
    """Write a time as the clock on the wall shows it, with the day if it is not today.

    Args:
        time: The time.
        now: The present, by default the real one.

    Returns:
        Local time.
    """
    if time is None:
        return ""
    local, today = time.astimezone(), (now or datetime.now(timezone.utc)).astimezone()
    is_today = local.date() == today.date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M}"


def instant(time: datetime | None, now: datetime | None = None) -> str:
    """Write a time as ``moment`` does, with milliseconds, and with them also on another day."""
    if time is None:
        return ""
    local, today = time.astimezone(), (now or datetime.now(timezone.utc)).astimezone()
    return clock(time) if local.date() == today.date() else f"{local:%Y-%m-%d} {clock(time)}"


def clock(time: datetime) -> str:
    """Write a time of day with milliseconds, local time."""
    return time.astimezone().isoformat(timespec="milliseconds")[11:23]
