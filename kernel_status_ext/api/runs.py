"""The calls about runs: all of them, one, its events again, its process, its interrupt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join
from tornado import web

from .. import run_views, views
from ..core.requests import interrupt_refusal
from ..core.run import Run
from ..core.words import RunStatus
from ..tracking.errands import Errands, NotInterrupted
from ..tracking.history import History
from ..tracking.inspection import Elsewhere, Inspection, Inspector
from ..tracking.ledger import Ledger
from .handlers import RESOURCE, WHOLE, KernelHandler, WatchingHandler
from .playing import PlayingHandler
from .recordings import Recordings

MOST = 500
"""Runs that one answer lists at most."""


@dataclass(frozen=True, slots=True)
class Records:
    """Who knows of runs.

    Attributes:
        ledger: Those that are under way.
        history: All.
        errands: Those that this server sends.
        recordings: What those put out.
        inspector: Looks at processes.
    """

    ledger: Ledger
    history: History
    errands: Errands
    recordings: Recordings
    inspector: Inspector


class RunsOf(KernelHandler):
    """What the calls about runs share."""

    records: Records

    def initialize(self, records: Records) -> None:
        """Take who knows."""
        self.records = records

    def kernel_of(self, run_id: str) -> str | None:
        """Return the id of the kernel whose run is meant; None if it is not known here."""
        return self.get_query_argument("kernel_id", "") or self.records.ledger.kernel_of(run_id)

    async def run(self, run_id: str) -> Run:
        """Return a run as it is now, or answer 404."""
        ledger, history = self.records.ledger, self.records.history
        kernel_id = self.kernel_of(run_id)
        found = ledger.get(kernel_id, run_id) if kernel_id else None
        found = found or await history.get(run_id, kernel_id)
        if found is None:
            message = f"Run {run_id} is not known: see GET /api/kernels/runs for those that are."
            self.refuse(HTTPStatus.NOT_FOUND, message, "run not found")
        # It may have begun or ended while the history was asked.
        return ledger.get(*found.key) or found

    def where(self, run_id: str) -> str:
        """Return the path of a run."""
        return url_path_join(self.base_url, "api/kernels/runs", quote(run_id, safe=":"))

    async def list_runs(self, kernel_id: str | None) -> None:
        """Answer with the runs that the query asks for, newest first."""
        ledger = self.records.ledger
        limit, status = self._limit(), self._status()
        before = self.get_query_argument("before", "") or None
        try:
            found = await self.records.history.find(
                kernel_id=kernel_id, status=status, limit=limit + 1, before=before
            )
        except LookupError:
            self._refuse_query(f"before is {before!r}; allowed is the run_id of a known run.")
        if kernel_id is not None and not found and kernel_id not in self.tracker:
            await self._refuse_unless_recorded(kernel_id)
        self.finish(run_views.runs((ledger.get(*each.key) or each for each in found), limit))

    async def _refuse_unless_recorded(self, kernel_id: str) -> None:
        if not await self.records.history.find(kernel_id=kernel_id, limit=1):
            self.refuse_unknown(kernel_id)

    def _limit(self) -> int:
        text = self.get_query_argument("limit", "") or "50"
        limit = int(text) if WHOLE.fullmatch(text) else 0
        if not 1 <= limit <= MOST:
            self._refuse_query(f"limit is {text!r}; allowed is a whole number from 1 to {MOST}.")
        return limit

    def _status(self) -> set[RunStatus] | None:
        given = ",".join(self.get_query_arguments("status"))
        if not given:
            return None
        allowed = {each.value: each for each in RunStatus}
        words = [each.strip() for each in given.split(",")]
        unknown = [each for each in words if each not in allowed]
        if unknown:
            named = ", ".join(map(repr, unknown))
            self._refuse_query(f"status has {named}; allowed are {', '.join(allowed)}.")
        return {allowed[each] for each in words}

    def _refuse_query(self, message: str) -> NoReturn:
        self.refuse(HTTPStatus.BAD_REQUEST, message, "bad request")


class AllRunsHandler(RunsOf, WatchingHandler):
    """``GET /api/kernels/runs``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self) -> None:
        """Answer with runs of all kernels, removed ones included."""
        await self.list_runs(None)


class RunHandler(RunsOf, WatchingHandler):
    """``GET /api/kernels/runs/RUN``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, run_id: str) -> None:
        """Answer with a run."""
        self.finish(json.dumps(run_views.run(await self.run(run_id))))


class RunEventsHandler(RunsOf, WatchingHandler, PlayingHandler):
    """``GET /api/kernels/runs/RUN/events``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, run_id: str) -> None:
        """Stream a run's events from the one after ``Last-Event-ID`` on."""
        kernel_id = self.kernel_of(run_id) or (await self.run(run_id)).kernel_id
        recording = self.records.recordings.get(kernel_id, run_id)
        if recording is None:
            run = await self.run(run_id)
            message = (
                f"What run {run_id} of kernel {run.kernel_id} puts out is not kept (any more): "
                "only the output of runs that were sent by POST /api/kernels/ID/runs is, for a "
                "while; see GET /api/kernels/runs/RUN for how it went."
            )
            self.refuse(HTTPStatus.GONE, message, "output not kept")
        text = self.request.headers.get("Last-Event-ID", "").strip() or "0"
        number = int(text) if WHOLE.fullmatch(text) else -1
        if not recording.is_known_after(number):
            message = f"Last-Event-ID is {text!r}; allowed is the id of an event of this run."
            self.refuse(HTTPStatus.BAD_REQUEST, message, "bad request")
        if recording.has_ended and not any(recording.after(number)):
            # An EventSource that is answered so does not come back.
            self.set_status(HTTPStatus.NO_CONTENT)
            self.finish()
            return
        self.refuse_if_full(self.records.recordings)
        await self.play(self.records.recordings, recording, number)


class RunInspectHandler(RunsOf, WatchingHandler):
    """``GET /api/kernels/runs/RUN/inspect``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, run_id: str) -> None:
        """Answer with live figures of the process that works on a run."""
        full = self.full_detail()
        found = await self._look(await self.run(run_id), full=full)
        self.finish(json.dumps(views.inspection(found)))

    async def _look(self, run: Run, *, full: bool) -> Inspection:
        if run.has_ended or run.worker_pid is None:
            return run_views.ended_worker(run)
        if self.records.ledger.get(*run.key) is None:
            return Elsewhere(f"Run {run.run_id} is followed by another server of this user.")
        kernel = self.tracker.get(run.kernel_id)
        if kernel is None or kernel.process is None or kernel.process.pid != run.worker_pid:
            return run_views.ended_worker(run)
        return (await self.records.inspector.inspect([kernel], full=full))[kernel.id]


class RunInterruptHandler(RunsOf):
    """``POST /api/kernels/runs/RUN/interrupt``."""

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def post(self, run_id: str) -> None:
        """Interrupt a run if it is what its kernel works on now."""
        try:
            run = await self.records.errands.interrupt(self.kernel_of(run_id) or "", run_id)
        except KeyError:
            self._refuse_ended(await self.run(run_id))
        except (NotInterrupted, RuntimeError) as error:
            # jupyter_client 8.10 raises RuntimeError for a kernel that ends at this moment.
            self.refuse(HTTPStatus.CONFLICT, str(error), "run not interrupted")
        self.set_status(HTTPStatus.ACCEPTED)
        self.finish(json.dumps(run_views.run(run)))

    def _refuse_ended(self, run: Run) -> NoReturn:
        """Answer 409 for a run that nobody here follows."""
        message = interrupt_refusal(run, None, all_heard=True) or ""
        self.refuse(HTTPStatus.CONFLICT, message, "run not interrupted")


class WorkersHandler(RunsOf, WatchingHandler):
    """``GET /api/kernels/workers/active``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self) -> None:
        """Answer with every kernel that runs something now, in one look."""
        ledger = self.records.ledger
        working = [(kernel, run) for kernel in self.tracker for run in ledger.at_work(kernel)]
        seen = await self.records.inspector.inspect([kernel for kernel, _ in working])
        manager: Any = self.kernel_manager
        told = [
            (kernel, run, manager.get_kernel(kernel.id).last_activity)
            for kernel, run in working
            if kernel.id in manager  # it may have been removed while we looked
        ]
        self.finish(json.dumps(run_views.workers(told, seen, self.tracker.now())))
