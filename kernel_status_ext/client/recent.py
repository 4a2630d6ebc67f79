"""The only place that lists the runs of several servers, and decides which run is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial

from .choose import Ambiguous
from .errors import RunNotFound
from .harmless import harmless
from .roster import client, merged
from .running import Running
from .runs import ACTIVE, Run
from .sync import KernelStatusClient

MOST = 500
"""Runs that a server lists at once."""


@dataclass(frozen=True)
class Known:
    """A run, and a server that knows of it.

    Attributes:
        server: The server.
        run: The run.
    """

    server: Running
    run: Run


def listed(
    servers: Sequence[Running],
    ask: Callable[[KernelStatusClient], Iterable[Run]],
    complain: Callable[[str], None],
) -> list[Known]:
    """List runs, the newest first; servers of one user may know of the same ones.

    Args:
        servers: Whom to ask.
        ask: Asks one.
        complain: Told of servers that fail while others do not.

    Returns:
        Each run once, as its own server tells of it.

    Raises:
        KernelStatusError: That of the last server, if all have failed.
    """
    known: dict[str, list[Known]] = {}
    for server, run in merged(servers, ask, complain):
        known.setdefault(run.run_id, []).append(Known(server, run))
    kernels = cache(_kernels)
    found = [_of_its_own_server(each, kernels) for each in known.values()]
    if len(servers) > 1:
        found.sort(key=lambda each: str(each.run.queued_at or each.run.started_at), reverse=True)
    return found


def _of_its_own_server(told: Sequence[Known], kernels: Callable[[Running], set[str]]) -> Known:
    if len(told) == 1:
        return told[0]
    own = (each for each in told if each.run.kernel_id in kernels(each.server))
    return next(own, told[0])


def _kernels(server: Running) -> set[str]:
    with client(server) as asked:
        return {kernel.id for kernel in asked.list()}


def find(servers: Sequence[Running], word: str, complain: Callable[[str], None]) -> Known:
    """Find the one run that is meant.

    Args:
        servers: Whom to ask.
        word: Its id, or how that begins, unlike those of all others that are recent.
        complain: Told of servers that fail while others do not.

    Returns:
        The run.

    Raises:
        RunNotFound: There is none.
        Ambiguous: There are several.
    """
    found = listed(servers, partial(_begun_so, word), complain)
    whole = [each for each in found if each.run.run_id == word] or found
    if not whole:
        raise RunNotFound(
            f"No run that is recent has an id that begins with {word!r}: `runs` shows them."
        )
    if len(whole) > 1:
        lines = "\n".join(f"  {_told(each.run)}" for each in whole)
        raise Ambiguous(f"{len(whole)} runs begin with {word!r}, say which one:\n{lines}")
    return whole[0]


def _begun_so(word: str, asked: KernelStatusClient) -> list[Run]:
    with suppress(RunNotFound):
        return [asked.run_status(word)]
    known = [*asked.runs(status=ACTIVE, limit=MOST), *asked.runs()]
    found = {each.run_id: each for each in known if each.run_id.startswith(word)}
    return list(found.values())


def _told(run: Run) -> str:
    return f"{run.run_id} {run.status} kernel {run.kernel_id} {first_line(run.code)}".rstrip()


def first_line(code: str | None) -> str:
    """Return the first line of code that says something, fit for a terminal."""
    lines = (line.strip() for line in (code or "").splitlines())
    return harmless(next(filter(None, lines), ""))
