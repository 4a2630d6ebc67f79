"""The calls about one kernel: its status, a wait for a state, its history, restart, interrupt."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, NoReturn

from jupyter_client.jsonutil import json_default
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.services.kernels.handlers import MainKernelHandler
from jupyter_server.utils import url_escape, url_path_join
from tornado import web

from .. import views
from ..core.errors import (
    KernelLaunchError,
    KernelNotOursError,
    KernelStateTimeout,
    KernelStateUnreachable,
    RevisionUnknown,
)
from ..core.model import Kernel
from ..core.requests import Action, refusal, start_fault
from ..core.targets import Target, read_target
from ..core.words import Status
from .handlers import RESOURCE, KernelHandler, WatchingHandler


class KernelsHandler(KernelHandler, MainKernelHandler):
    """``/api/kernels``: the list as upstream makes it, and a start that says what it cannot take.

    jupyter_server 2.21, MainKernelHandler.post fails on a body that is no object or has wrong
    types, and starts a kernel under an id that its own routes do not match.
    """

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self) -> None:
        """Start a kernel, or say what is wrong with the wish."""
        wish = self.get_json_body()
        fault = start_fault(wish)
        if fault:
            self.refuse(HTTPStatus.BAD_REQUEST, fault, "bad request")
        manager: Any = self.kernel_manager
        wish = {"name": manager.default_kernel_name, **(wish or {})}
        kernel_id: str = await ensure_async(
            manager.start_kernel(
                kernel_name=wish["name"], path=wish.get("path"), kernel_id=wish.get("kernel_id")
            )
        )
        model = await ensure_async(manager.kernel_model(kernel_id))
        place = url_path_join(self.base_url, "api", "kernels", url_escape(kernel_id))
        self.set_header("Location", place)
        self.set_status(HTTPStatus.CREATED)
        self.finish(json.dumps(model, default=json_default))


class StatusHandler(WatchingHandler):
    """``GET /api/kernels/ID/status``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, kernel_id: str) -> None:
        """Answer with all that is known of a kernel's present."""
        self.finish(json.dumps(views.status(await self.looked_at(kernel_id))))


class HistoryHandler(WatchingHandler):
    """``GET /api/kernels/ID/history``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, kernel_id: str) -> None:
        """Answer with the kernel's story, oldest first."""
        await self.looked_at(kernel_id)
        self.finish(json.dumps(views.history(*self.tracker.story(kernel_id))))


class WaitHandler(WatchingHandler):
    """``GET /api/kernels/ID/wait``."""

    waiting: asyncio.Task[Kernel] | None = None

    def initialize(self, max_wait: float) -> None:
        """Take the longest time that anybody may wait, in seconds."""
        self.max_wait = max_wait

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, kernel_id: str) -> None:
        """Answer when the kernel is in the wanted state, or why it is not."""
        await self.looked_at(kernel_id)
        self.end_if_nobody_is_there()
        since = self.number("since", None, whole=True)
        timeout = self.number("timeout", 30.0)
        target = self._target(change=since is not None)
        limit = min(timeout if timeout is not None else 0.0, self.max_wait)
        wait = self.tracker.wait(kernel_id, target, limit, None if since is None else int(since))
        self.waiting = asyncio.ensure_future(wait)
        try:
            kernel = await self.waiting
        except KernelStateTimeout as error:
            self.refuse(HTTPStatus.GATEWAY_TIMEOUT, str(error), "timeout", error.kernel)
        except KernelStateUnreachable as error:
            self.refuse(HTTPStatus.CONFLICT, str(error), error.reason, error.kernel)
        except RevisionUnknown as error:
            self.refuse(HTTPStatus.GONE, str(error), "revision unknown", error.kernel)
        except KeyError:
            # It was removed between the look and the wait.
            self.refuse_unknown(kernel_id)
        except asyncio.CancelledError:
            # The client went away: nobody is there to be answered.
            raise web.Finish from None
        self.finish(json.dumps(views.status(kernel)))

    def on_connection_close(self) -> None:
        """Stop waiting for somebody who hung up."""
        if self.waiting is not None:
            self.waiting.cancel()

    def _target(self, *, change: bool) -> Target:
        wishes = {
            name: ",".join(self.get_query_arguments(name)) if self._has(name) else None
            for name in ("status", "execution_state", "state")
        }
        try:
            return read_target(change=change, **wishes)
        except ValueError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error), "bad request")

    def _has(self, name: str) -> bool:
        return bool(self.get_query_arguments(name))


EXCEPTION = "Exception restarting kernel"
"""What jupyter_server 2.21, KernelActionHandler.post answers to a failure that nobody foresaw."""

UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE

ELSEWHERE = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
"""Answers of the server where a kernel runs that are passed on; anything else is a 503."""


class ActionHandler(KernelHandler):
    """``POST /api/kernels/ID/restart`` and ``.../interrupt``: the two core routes replaced.

    jupyter_server 2.21, KernelActionHandler turns every exception into a 500.
    """

    @property
    def manager(self) -> Any:
        """The server's mapping kernel manager: a dynamic class, so no static type fits."""
        return self.kernel_manager

    @web.authenticated
    @authorized(action="write", resource=RESOURCE)
    async def post(self, kernel_id: str, action: str) -> None:
        """Restart or interrupt, or say why not."""
        kernel = await self.looked_at(kernel_id)
        refused = refusal(kernel, Action(action))
        if refused:
            self.refuse(HTTPStatus.CONFLICT, refused, f"kernel is {kernel.status}", kernel)
        if kernel_id not in self.manager:
            self.refuse_unknown(kernel_id)
        try:
            await getattr(self, action)(kernel_id)
        except web.HTTPError as error:
            if error.status_code == HTTPStatus.NOT_FOUND and kernel.reported is None:
                # It was removed while this waited for its turn.
                self.refuse_unknown(kernel_id)
            if kernel.reported is None:
                raise
            # jupyter_server 2.21, gateway_request: the server where the kernel runs refused.
            self._refuse_from_elsewhere(kernel, action, error)

    def _refuse_from_elsewhere(self, kernel: Kernel, action: str, error: web.HTTPError) -> NoReturn:
        told = (error.log_message or "") % error.args
        message = (
            f"Kernel {kernel.id} is {kernel.status}, its {action} failed where it runs: {told}"
        )
        code = HTTPStatus(error.status_code) if error.status_code in ELSEWHERE else UNAVAILABLE
        self.refuse(code, message, kernel.reason or "refused where it runs", kernel)

    async def interrupt(self, kernel_id: str) -> None:
        """Interrupt."""
        try:
            await ensure_async(self.manager.interrupt_kernel(kernel_id))
        except RuntimeError as error:
            # jupyter_client 8.10 for a kernel that ended or is being restarted at this moment.
            kernel = self.known(kernel_id)
            self.refuse(HTTPStatus.CONFLICT, str(error), f"kernel is {kernel.status}", kernel)
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()

    async def restart(self, kernel_id: str) -> None:
        """Restart, and answer with the model; a launch that fails leaves a dead one."""
        try:
            await ensure_async(self.manager.restart_kernel(kernel_id))
        except KernelLaunchError as error:
            if self.known(kernel_id).status is not Status.DEAD:
                # It was not the launch that failed.
                raise web.HTTPError(500, EXCEPTION) from error
            self.log.warning("Kernel %s could not be restarted: %s", kernel_id, error)
        except KernelNotOursError as error:
            kernel = self.known(kernel_id)
            self.refuse(HTTPStatus.CONFLICT, str(error), f"kernel is {kernel.status}", kernel)
        except web.HTTPError:
            raise
        except Exception as error:
            # A boundary, as in upstream's KernelActionHandler: nobody foresaw it.
            raise web.HTTPError(500, EXCEPTION) from error
        model = await ensure_async(self.manager.kernel_model(kernel_id))
        self.finish(json.dumps(model))
