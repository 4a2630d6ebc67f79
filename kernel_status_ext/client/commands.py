"""The only place that says what each command does."""

from __future__ import annotations

import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from .errors import KernelStatusError
from .harmless import harmless
from .live import LiveLine
from .results import Change, Event, Figures, Inspection, Kernel, Removed, Snapshot
from .roster import Listed, client, everything, merged
from .running import Running
from .screen import Screen
from .shared import asked_servers, chosen, complain, is_one_meant, stdout, tell
from .sync import KernelStatusClient
from .tables import (
    show_change,
    show_figures,
    show_inspection,
    show_kernel,
    show_list,
    show_story,
)


def show_all(given: Namespace) -> None:
    """List all kernels of all servers."""
    asked = asked_servers(given)
    listed = everything(asked, complain)
    if given.json:
        tell([_described(each) for each in listed])
    else:
        show_list(stdout(), listed, asked)


def show(given: Namespace) -> None:
    """Show one kernel."""
    listed = chosen(given)
    if given.json:
        tell(_described(listed))
    else:
        show_kernel(stdout(), listed)


def history(given: Namespace) -> None:
    """Show a kernel's story."""
    listed = chosen(given)
    with client(listed.server) as asked:
        story = asked.history(listed.kernel.id)
    if given.json:
        tell(story.body)
    else:
        show_story(stdout(), story.changes, story.terminations)


def inspect(given: Namespace) -> None:
    """Show live figures of one kernel or of all."""
    if is_one_meant(given):
        listed = chosen(given)
        with client(listed.server) as asked:
            found = asked.inspect(listed.kernel.id, detail=given.detail)
        if given.json:
            tell(found.body)
        else:
            show_inspection(stdout(), found)
        return
    _inspect_all(given)


def _inspect_all(given: Namespace) -> None:
    def ask(asked: KernelStatusClient) -> list[tuple[list[Kernel], dict[str, Inspection]]]:
        return [(asked.list(), asked.inspect(detail=given.detail))]

    names: dict[str, str] = {}
    found: dict[str, Inspection] = {}
    for _, (kernels, figures) in merged(asked_servers(given), ask, complain):
        names |= {each.id: each.name or "" for each in kernels}
        found |= figures
    if given.json:
        tell({"kernels": {each: figures.body for each, figures in found.items()}})
    else:
        show_figures(stdout(), found, names)


def wait(given: Namespace) -> None:
    """Wait until a kernel is in a state."""
    listed = chosen(given)
    wish = {name: getattr(given, name) for name in ("status", "execution_state", "state")}
    wanted = ", ".join(f"{name} {word}" for name, word in wish.items() if word)
    default = "any change" if given.since is not None else "status connected"
    with client(listed.server) as asked, LiveLine(sys.stderr, wanted or default) as line:
        if sys.stderr.isatty():
            _follow(asked, listed, line)
        reached = asked.wait(listed.kernel.id, **wish, timeout=given.timeout, since=given.since)
    if given.json:
        tell(reached.body)
    else:
        show_change(stdout(), reached, listed.path)


def _follow(asked: KernelStatusClient, listed: Listed, line: LiveLine) -> None:
    """Keep the live line true; it only shows, so what goes wrong here is no matter."""
    line.present = _in_words(listed.kernel)

    def go_on() -> None:
        try:
            for event in asked.watch(listed.kernel.id):
                for kernel in _told_of(event):
                    line.present = _in_words(kernel)
        except KernelStatusError:  # also: the client is closed
            return

    threading.Thread(target=go_on, daemon=True).start()


def _in_words(kernel: Kernel) -> str:
    return harmless(f"{kernel.status} ({kernel.execution_state})")


def watch(given: Namespace) -> None:
    """Show changes as they come."""
    one = chosen(given) if is_one_meant(given) else None
    asked = [one.server] if one else asked_servers(given)
    only = one.kernel.id if one else None
    ask = partial(_watch, only, given.figures)
    told = _Told(stdout()) if not given.json else _tell_event
    for server, event in merged(asked, ask, complain):
        told(event, server if len(asked) > 1 else None)


def _watch(only: str | None, figures: float | None, asked: KernelStatusClient) -> Iterable[Event]:
    return asked.watch(only, figures=figures, on_lost=complain)


class _Told:
    """Writes events for people; what they have read already is not written again."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._names: dict[str, str] = {}
        self._revisions: dict[str, int] = {}
        self._present: dict[Running | None, set[str]] = {}

    def __call__(self, event: Event, server: Running | None) -> None:
        also = server.shown if server else ""
        self._tell_removed(event, self._present.setdefault(server, set()))
        for kernel in _told_of(event):
            self._names[kernel.id] = kernel.name or ""
            if self._revisions.get(kernel.id) != kernel.revision:
                self._revisions[kernel.id] = kernel.revision
                show_change(self._screen, kernel, also)
        if isinstance(event, Figures):
            show_figures(self._screen, event.kernels, self._names)

    def _tell_removed(self, event: Event, present: set[str]) -> None:
        """Tell also of those that went while the connection was broken."""
        told = {kernel.id for kernel in _told_of(event)}
        gone = {event.id} if isinstance(event, Removed) else set()
        if isinstance(event, Snapshot):
            gone = present - told
        for kernel_id in sorted(gone):
            self._screen.sentence(f"Kernel {kernel_id} was removed.")
        present |= told
        present -= gone


def _told_of(event: Event) -> Sequence[Kernel]:
    match event:
        case Snapshot():
            return event.kernels
        case Change():
            return (event.kernel,)
    return ()


def _tell_event(event: Event, server: Running | None) -> None:
    data: Any = event.body
    if isinstance(event, Change | Figures):  # ours have a name for what is all there is
        (data,) = data.values()
    name = type(event).__name__.lower()
    more = {"server": server.shown} if server else {}
    tell({"event": name, "data": data, **more})


def _described(listed: Listed) -> dict[str, Any]:
    paths = [each.path for each in listed.sessions]
    more = {"path": paths[0] if paths else None, "paths": paths, "server": listed.server.shown}
    return {**listed.kernel.body, **more}
