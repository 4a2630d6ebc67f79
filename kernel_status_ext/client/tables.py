"""The only place that says what people are shown of kernels, their stories and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import lines
from .harmless import clock, instant, moment, size
from .results import Inspection, Kernel, Moment, Termination
from .roster import Listed
from .running import Running
from .screen import FAINT, Row, Screen

STYLES = {
    lines.FAINT: FAINT,
    lines.RED: "red",
    lines.GREEN: "green",
    lines.YELLOW: "yellow",
    lines.BLUE: "blue",
    lines.MAGENTA: "magenta",
}
"""The colours of `lines` in the words of rich."""

SHORT = 8
"""Characters of an id that are shown, if they tell it from all others."""

LIST = ("ID", "STATE", "STATUS", "SINCE", "RESTARTS", "PID", "NAME", "PATH")
FIGURES = ("ID", "NAME", "CPU", "MEMORY", "PEAK", "CHILDREN", "THREADS", "FILES", "PID")
STORY = ("REVISION", "AT", "GENERATION", "STATUS", "EXECUTION_STATE", "STATE")

SPARE = ("PID", "FILES", "THREADS", "RESTARTS")
STORY_SPARE = ("GENERATION", "REVISION")
"""What a narrow terminal does not show, of kernels and of stories."""


def style_of(status: str) -> str:
    """Return a status's colour."""
    return STYLES.get(lines.STATUS_COLOURS.get(status, ""), "")


def short(ids: Sequence[str]) -> dict[str, str]:
    """Shorten ids as far as they remain different.

    >>> short(["0123456789", "0123456799"])
    {'0123456789': '012345678', '0123456799': '012345679'}
    """
    length = SHORT
    while len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return {each: each[:length] for each in ids}


def show_list(screen: Screen, listed: Sequence[Listed], servers: Sequence[Running]) -> None:
    """Write the table of all kernels.

    Args:
        screen: Where.
        listed: The kernels.
        servers: Who was asked; with more than one there is a column for them.
    """
    if not listed:
        screen.sentence("There is no kernel.")
        return
    names = _ids(screen, [each.kernel.id for each in listed])
    where = len(servers) > 1
    rows = [
        Row(
            [
                names[each.kernel.id],
                *_cells(each.kernel),
                each.path,
                *([each.server.shown] if where else []),
            ],
            {"STATUS": style_of(each.kernel.status)},
            each.kernel.reason,
        )
        for each in listed
    ]
    screen.table([*LIST, *(["SERVER"] if where else [])], rows, "REASON", SPARE)


def _ids(screen: Screen, ids: Sequence[str]) -> dict[str, str]:
    """Shorten ids for people; programs that read a pipe get them whole."""
    return short(ids) if screen.is_terminal else {each: each for each in ids}


def _cells(kernel: Kernel) -> list[str]:
    return [
        str(kernel.state),
        str(kernel.status),
        moment(kernel.since),
        str(kernel.restart_count),
        _text(kernel.pid),
        _text(kernel.name),
    ]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def show_kernel(screen: Screen, listed: Listed) -> None:
    """Write all that is known of a kernel."""
    kernel = listed.kernel
    subshells = ", ".join(f"{name} {state}" for name, state in (kernel.subshells or {}).items())
    facts = {
        "id": kernel.id,
        "name": kernel.name,
        "path": listed.path,
        "server": listed.server.shown,
        "status": kernel.status,
        "execution state": kernel.execution_state,
        "state": kernel.state,
        "reason": kernel.reason,
        "cause": kernel.cause,
        "pid": kernel.pid,
        "since": moment(kernel.since),
        "started": moment(kernel.started_at),
        "connected": moment(kernel.connected_at),
        "restarts": kernel.restart_count,
        "generation": kernel.generation,
        "revision": kernel.revision,
        "subshells": subshells,
    }
    screen.facts(_known(facts), {"STATUS": style_of(kernel.status)})
    if kernel.last_termination is not None:
        screen.sentence("")
        screen.sentence("Its last process ended:")
        show_termination(screen, kernel.last_termination)


def show_termination(screen: Screen, ended: Termination) -> None:
    """Write all that is known of the end of a process."""
    used = "" if ended.cpu_seconds is None else f"{ended.cpu_seconds:.1f} s"
    facts = {
        "at": instant(ended.finished_at),
        "reason": ended.reason,
        "cause": ended.cause,
        "hint": ended.hint,
        "exit code": ended.exit_code,
        "signal": ended.signal,
        "requested by": ended.requested_by,
        "generation": ended.generation,
        "pid": ended.pid,
        "started": instant(ended.started_at),
        "peak memory": size(ended.peak_memory),
        "processor": used,
        "stderr": ended.traceback,
    }
    screen.facts(_known(facts))


def _known(facts: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in facts.items() if value not in (None, "")]


def show_story(
    screen: Screen, changes: Sequence[Moment], terminations: Sequence[Termination]
) -> None:
    """Write a kernel's changes, and the ends of its processes."""
    rows = [
        Row(
            [
                str(each.revision),
                instant(each.at),
                str(each.generation),
                str(each.status),
                str(each.execution_state),
                str(each.state),
            ],
            {"STATUS": style_of(each.status)},
            each.reason,
        )
        for each in changes
    ]
    screen.table(STORY, rows, "REASON", STORY_SPARE)
    for each in terminations:
        screen.sentence("")
        screen.sentence(f"The process of generation {each.generation} ended:")
        show_termination(screen, each)


def show_figures(screen: Screen, found: Mapping[str, Inspection], names: Mapping[str, str]) -> None:
    """Write the table of live figures.

    Args:
        screen: Where.
        found: The figures by kernel ids.
        names: The kernelspecs by kernel ids.
    """
    if not found:
        screen.sentence("There is no kernel.")
        return
    ids = _ids(screen, list(found))
    rows = [
        Row([ids[each], names.get(each, ""), *_figures(it)], {}, it.reason or it.error or "")
        for each, it in found.items()
    ]
    screen.table(FIGURES, rows, "REASON", SPARE)


def _figures(it: Inspection) -> list[str]:
    below = it.children
    return [
        _percent(it),
        size(it.memory_rss_bytes),
        size(it.memory_peak_bytes),
        f"{below.count} ({size(below.memory_rss_bytes)})" if below and below.count else "",
        _text(it.num_threads),
        _text(it.num_fds),
        _text(it.pid),
    ]


def _percent(it: Inspection) -> str:
    return "" if it.cpu_percent is None else f"{it.cpu_percent:.0f} %"


def show_inspection(screen: Screen, it: Inspection) -> None:
    """Write all figures of one process."""
    below, traffic = it.children, it.io
    facts = {
        "alive": {True: "yes", False: "no", None: "cannot be seen"}[it.alive],
        "reason": it.reason,
        "error": it.error,
        "pid": it.pid,
        "process": it.process_status,
        "made": moment(it.create_time),
        "cpu": _percent(it),
        "processor": "" if it.cpu_seconds is None else f"{it.cpu_seconds:.1f} s",
        "memory": size(it.memory_rss_bytes),
        "reserved": size(it.memory_vms_bytes),
        "peak memory": size(it.memory_peak_bytes),
        "own memory": size(it.memory_uss_bytes),
        "share of memory": size(it.memory_pss_bytes),
        "read": size(traffic.read_bytes) if traffic else "",
        "written": size(traffic.write_bytes) if traffic else "",
        "threads": it.num_threads,
        "open files": it.num_fds,
        "children": f"{below.count} ({size(below.memory_rss_bytes)})" if below else "",
        "command": " ".join(it.cmdline or ()),
    }
    screen.facts(_known(facts))


def show_change(screen: Screen, kernel: Kernel, also: str = "") -> None:
    """Write a line of a kernel's present state.

    Args:
        screen: Where.
        kernel: The kernel.
        also: What else stands in the line.
    """
    name = short([kernel.id])[kernel.id] if screen.is_terminal else kernel.id
    words = [kernel.status, kernel.execution_state, kernel.state]
    widths = [lines.COLUMNS[each] for each in ("status", "execution_state", "state")]
    shown = [str(word).ljust(width) for word, width in zip(words, widths, strict=True)]
    cells = [clock(kernel.since), name, *shown, kernel.name or "", *filter(None, [also])]
    screen.row(cells, ["", "", style_of(kernel.status)], kernel.reason)
