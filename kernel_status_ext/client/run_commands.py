"""The only place that says what each command about runs does."""

from __future__ import annotations

import sys
import uuid
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .ctrl_c import CtrlC
from .errors import BadRequest, KernelNotFound, NoExtension, RunNotFound
from .harmless import harmless
from .interrupting import GRACE
from .outcomes import RunGoesOn, check
from .printing import ForPeople, ForPrograms
from .recent import Known, find, listed
from .roster import Listed, client, merged
from .run_tables import show_interruption, show_runs, show_workers
from .running import Running
from .runs import Run, Workers
from .shared import asked_servers, chosen, complain, is_one_meant, stdout, tell
from .sync import KernelStatusClient

STDIN = "-"


def run(given: Namespace) -> None:
    """Run code and show what it puts out."""
    code, options = _code(given), {"timeout": given.timeout, "run_id": uuid.uuid4().hex}
    one = chosen(given)
    with client(one.server) as asked:
        if given.detach:
            taken = asked.submit(one.kernel.id, code, **options)
            tell(taken.body) if given.json else print(taken.run_id, flush=True)
        else:
            _follow(asked, one, given, code, options)


def _follow(
    asked: KernelStatusClient, one: Listed, given: Namespace, code: str, options: dict[str, Any]
) -> None:
    shown = ForPrograms(sys.stdout) if given.json else ForPeople(sys.stdout, sys.stderr)
    with CtrlC(options["run_id"], asked.interrupt):
        ended = asked.run(one.kernel.id, code, on_event=shown, **options)
    if not shown.is_whole and ended.reason:
        complain(f"run {ended.run_id}: {ended.reason}")
    check(ended)


def _code(given: Namespace) -> str:
    """Read the code that is to run; with one word only, that is the code."""
    if given.file is not None and given.code is not None:
        raise BadRequest("say the code or --file, not both")
    if given.file is not None:
        return _read(given.file)
    if given.code is None and (given.path or given.name):
        given.kernel, given.code = None, given.kernel
    if given.code is None:
        raise BadRequest("say which code: as the last word, `-` to read stdin, or --file")
    return _read(given.code) if given.code == STDIN else str(given.code)


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{harmless(file)} cannot be read: {error}") from error


def runs(given: Namespace) -> None:
    """List runs of a kernel or of all."""
    query = {"status": given.status, "limit": given.limit, "before": given.before}
    known, servers = _known(given, query)
    if given.json:
        tell({"runs": [_described(each.server, each.run.body) for each in known]})
    else:
        show_runs(stdout(), known, servers)


def _known(given: Namespace, query: dict[str, Any]) -> tuple[list[Known], list[Running]]:
    if not is_one_meant(given):
        servers = asked_servers(given)
        return listed(servers, _asking(None, query), complain)[: given.limit], servers
    try:
        one = chosen(given)
    except KernelNotFound as error:
        return _of_a_removed(given, query, error)
    return listed([one.server], _asking(one.kernel.id, query), complain), [one.server]


def _asking(
    kernel_id: str | None, query: dict[str, Any]
) -> Callable[[KernelStatusClient], list[Run]]:
    return lambda asked: asked.runs(kernel_id, **query)


def _of_a_removed(
    given: Namespace, query: dict[str, Any], error: KernelNotFound
) -> tuple[list[Known], list[Running]]:
    """List the runs of a kernel that is gone: those who knew it may remember them."""
    if given.kernel is None or given.path or given.name:
        raise error
    servers = asked_servers(given)
    try:
        known = listed(servers, _asking(given.kernel, query), lambda _sentence: None)
    except (KernelNotFound, RunNotFound, NoExtension):
        raise error from None
    return known, servers


def interrupt(given: Namespace) -> None:
    """Interrupt a run, and see to it that it ends."""
    found = find(asked_servers(given), given.run_id, complain)
    grace = GRACE if given.grace is None and given.then else given.grace
    with client(found.server) as asked:
        came = asked.interrupt(found.run.run_id, grace=grace, then=given.then)
    if given.json:
        tell({"run": came.run.body, "did": came.did})
    if grace is not None and not came.run.has_ended and came.did is None:
        raise RunGoesOn(
            f"Run {came.run.run_id} of kernel {came.run.kernel_id} is still {came.run.status} "
            f"{grace:g} s after it was interrupted: end it by --then restart or --then shutdown."
        )
    if not given.json:
        show_interruption(stdout(), came, grace)


def workers(given: Namespace) -> None:
    """List what kernels work at now."""
    servers = asked_servers(given)
    looks = list(merged(servers, _look, complain))
    if not given.json:
        show_workers(stdout(), [each for _, look in looks for each in look.workers])
        return
    told = [_described(server, each.body) for server, look in looks for each in look.workers]
    checked_at = max((look.body["checked_at"] for _, look in looks), default=None)
    tell({"workers": told, "count": len(told), "checked_at": checked_at})


def _look(asked: KernelStatusClient) -> list[Workers]:
    return [asked.workers()]


def _described(server: Running, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "server": server.shown}
