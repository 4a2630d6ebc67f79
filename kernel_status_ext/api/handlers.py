"""What all handlers share: who knows, errors in Jupyter's shape, readable numbers."""

from __future__ import annotations

import asyncio
import json
import math
import re
from http import HTTPStatus
from http.client import responses
from typing import Any, NoReturn

from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.log import access_log

from .. import views
from ..core.model import Kernel
from ..tracking.tracker import Tracker

RESOURCE = "kernels"
"""What every call is authorized on; given with each, for ``authorized`` freezes its first guess."""

ID = r"(?P<kernel_id>[^/]+)"
"""A kernel's id in a route."""

RUN = r"(?P<run_id>[^/]+)"
"""A run's id in a route."""

WHOLE = re.compile(r"[0-9]{1,1000}")
"""Python would also read underscores, other scripts' digits, and numbers that take it minutes."""

DECIMAL = re.compile(r"([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,3})?")


class KernelHandler(APIHandler):
    """What the calls about one kernel share."""

    auth_resource = RESOURCE
    is_refused = False

    @property
    def tracker(self) -> Tracker:
        """Who knows."""
        tracker: Tracker = self.settings["kernel_status"]
        return tracker

    async def meet_all(self) -> None:
        """Get to know kernels that come and go without our doing: external and remote ones."""
        manager: Any = self.kernel_manager
        await manager.look_at_all()

    async def looked_at(self, kernel_id: str) -> Kernel:
        """Return a kernel as it is now, wherever it runs, or answer 404."""
        manager: Any = self.kernel_manager
        await manager.look_at(kernel_id)
        return self.known(kernel_id)

    def end_if_nobody_is_there(self) -> None:
        """End the request of somebody who hung up while we looked."""
        connection: Any = self.request.connection
        if connection.stream.closed():
            raise web.Finish

    def known(self, kernel_id: str) -> Kernel:
        """Return a kernel, or answer 404."""
        kernel = self.tracker.get(kernel_id)
        if kernel is None:
            self.refuse_unknown(kernel_id)
        return kernel

    def refuse_unknown(self, kernel_id: str) -> NoReturn:
        """Answer 404."""
        message = f"Kernel {kernel_id} does not exist: see GET /api/kernels for those that do."
        self.refuse(HTTPStatus.NOT_FOUND, message, "kernel not found")

    def refuse(
        self, code: HTTPStatus, message: str, reason: str, kernel: Kernel | None = None
    ) -> NoReturn:
        """Answer with an error in Jupyter's shape and end the request."""
        self.is_refused = True
        self.set_status(code)
        self.finish(json.dumps(views.error(message, reason, kernel)))
        raise web.Finish

    def begin_stream(self) -> None:
        """Set what every stream of events has; ends the request where nobody is there any more."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache, no-transform")
        # nginx, and what is like it, would collect the events.
        self.set_header("X-Accel-Buffering", "no")
        self.end_if_nobody_is_there()
        stream: Any = self.request.connection.stream  # type: ignore[union-attr]
        stream.set_nodelay(True)

    def write_piece(self, piece: bytes) -> asyncio.Future[None]:
        """Write bytes of a stream; the future is done when they have left."""
        self.write(piece)
        return self.flush()

    def number(self, name: str, default: float | None, *, whole: bool = False) -> float | None:
        """Read a parameter that is a number, 0 or more, or answer 400.

        Args:
            name: The parameter.
            default: What it is where it is not given.
            whole: Whether it must be whole.

        Returns:
            The number.
        """
        text = self.get_query_argument(name, None)
        if text is None:
            return default
        readable = (WHOLE if whole else DECIMAL).fullmatch(text)
        number = (int(text) if whole else float(text)) if readable else -1
        if number < 0 or number == math.inf:
            kind = "a whole number" if whole else "a finite number of seconds"
            message = f"{name} is {text!r}; allowed is {kind}, 0 or more."
            self.refuse(HTTPStatus.BAD_REQUEST, message, "bad request")
        return number

    def full_detail(self) -> bool:
        """Read whether figures are wanted in detail, or answer 400."""
        detail = self.get_query_argument("detail", None)
        if detail not in (None, "full"):
            message = f"detail is {detail!r}; allowed is 'full', or nothing."
            self.refuse(HTTPStatus.BAD_REQUEST, message, "bad request")
        return detail is not None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer in Jupyter's shape, with words where tornado has none."""
        # jupyter_server 2.21, APIHandler.write_error: no reason for most, and messages unfilled
        error = (kwargs.get("exc_info") or (None, None))[1]
        if not isinstance(error, web.HTTPError):
            super().write_error(status_code, **kwargs)
            return
        phrase = responses.get(status_code, "unknown error")
        told = error.log_message and error.log_message % error.args
        self.finish(json.dumps(views.error(told or phrase, error.reason or phrase.lower())))

    def _log(self) -> None:
        # tornado 6.6, RequestHandler._log: a wait that times out is an answer, not a server error.
        if self.is_refused and self.get_status() >= HTTPStatus.INTERNAL_SERVER_ERROR:
            access_log.info("%d %s", self.get_status(), self._request_summary())
        else:
            super()._log()


class WatchingHandler(KernelHandler):
    """Looking at kernels does not keep a server alive."""

    _track_activity = False
