"""``POST /api/kernels/ID/runs``: have a kernel run something; and the list of its runs."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NoReturn

from jupyter_server.auth.decorator import authorized
from tornado import web

from .. import run_views
from ..core.messages import RUN
from ..core.model import MAIN_SHELL, Kernel
from ..core.requests import Action, elsewhere, refusal
from ..core.run import Origin, Run
from ..tracking.desk import Order
from .handlers import RESOURCE
from .orders import Wanted, new_run_id, read_wanted
from .playing import PlayingHandler
from .recordings import Recording
from .runs import RunsOf

STREAM = "text/event-stream"


class KernelRunsHandler(RunsOf, PlayingHandler):
    """``POST`` and ``GET /api/kernels/ID/runs``."""

    def update_api_activity(self) -> None:
        """Note that running code keeps a server alive; looking at runs does not."""
        # jupyter_server 2.21, APIHandler.update_api_activity
        if self.request.method == "POST":
            super().update_api_activity()

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, kernel_id: str) -> None:
        """Answer with a kernel's runs, newest first."""
        await self.list_runs(kernel_id)

    @web.authenticated
    @authorized(action="execute", resource=RESOURCE)
    async def post(self, kernel_id: str) -> None:
        """Run something, and stream what it puts out or answer at once."""
        await self.looked_at(kernel_id)
        self._refuse_if_not_allowed()
        wanted = self._wanted()
        await self._refuse_if_known(wanted.run_id)
        kernel = self._ready(kernel_id)
        streams = wants_stream(self.request.headers.get("Accept", ""))
        if streams:
            # Before it is run.
            self.refuse_if_full(self.records.recordings)
        recording, run = self._submit(kernel, wanted)
        if streams:
            await self.play(self.records.recordings, recording, 0)
            return
        self.set_status(HTTPStatus.ACCEPTED)
        self.set_header("Location", self.where(run.run_id))
        self.finish(json.dumps(run_views.run(self.records.ledger.get(*run.key) or run)))

    def _refuse_if_not_allowed(self) -> None:
        manager: Any = self.kernel_manager
        # jupyter_server 2.21, MappingKernelManager.allowed_message_types
        if manager.allowed_message_types and RUN not in manager.allowed_message_types:
            message = f"This server lets no {RUN} through (allowed_message_types)."
            self.refuse(HTTPStatus.FORBIDDEN, message, "running code is not allowed")

    def _wanted(self) -> Wanted:
        try:
            return read_wanted(self.request.body)
        except ValueError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error), "bad request")

    async def _refuse_if_known(self, run_id: str | None) -> None:
        if run_id is None:
            return
        ledger, history = self.records.ledger, self.records.history
        # On whichever kernel: then an id that this call was given is that of one run.
        if ledger.kernel_of(run_id) or await history.get(run_id) or ledger.kernel_of(run_id):
            self._refuse_known(run_id)

    def _refuse_known(self, run_id: str) -> NoReturn:
        where = self.where(run_id)
        self.set_header("Location", where)
        message = f"Run {run_id} is known already, so nothing was run: see {where} for it."
        self.refuse(HTTPStatus.CONFLICT, message, "run known")

    def _ready(self, kernel_id: str) -> Kernel:
        """Return a kernel that may be given something to run, or answer 409."""
        kernel = self.known(kernel_id)
        refused = refusal(kernel, Action.RUN)
        manager: Any = self.kernel_manager
        if kernel.reported is not None or not manager.kernel_status.knows(kernel_id):
            refused = elsewhere(kernel)
        if refused:
            reason = kernel.reason or f"kernel is {kernel.status}"
            self.refuse(HTTPStatus.CONFLICT, refused, reason, kernel)
        return kernel

    def _submit(self, kernel: Kernel, wanted: Wanted) -> tuple[Recording, Run]:
        """Send it; nothing is awaited here, so that nobody else can take the same run_id."""
        ledger = self.records.ledger
        run = ledger.new(
            wanted.run_id or new_run_id(),
            kernel,
            Origin.API,
            code=ledger.recording.of(wanted.code),
            username=getattr(self.current_user, "username", None),
            timeout=wanted.timeout,
            silent=wanted.silent,
            subshell=wanted.subshell_id or MAIN_SHELL,
            queued_at=self.tracker.now(),
        )
        recording = self.records.recordings.begin(run)
        order = Order(run.run_id, wanted.content, wanted.metadata, run.subshell)
        self.records.errands.submit(run, order, recording.put, recording.skips)
        return recording, run


def wants_stream(accept: str) -> bool:
    """Tell from an ``Accept`` header whether a stream is wanted at least as much as JSON.

    >>> wants_stream("text/event-stream"), wants_stream("*/*")
    (True, False)
    >>> wants_stream("application/json, text/event-stream;q=0.5")
    False
    """
    weights = dict(map(_weighed, accept.lower().split(",")))
    stream = weights.get(STREAM, 0.0)
    return stream > 0 and stream >= weights.get("application/json", 0.0)


def _weighed(kind: str) -> tuple[str, float]:
    name, *parameters = (each.strip() for each in kind.split(";"))
    given = [each[2:] for each in parameters if each.startswith("q=")]
    try:
        return name, float(given[0]) if given else 1.0
    except ValueError:
        return name, 1.0
