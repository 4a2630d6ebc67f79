"""The calls that look at kernels' processes: one kernel's, and all at once."""

from __future__ import annotations

import json
from http import HTTPStatus

from jupyter_server.auth.decorator import authorized
from tornado import web

from .. import views
from ..tracking.inspection import Inspector
from .handlers import RESOURCE, WatchingHandler


class InspectHandler(WatchingHandler):
    """``GET /api/kernels/inspect`` and ``/api/kernels/ID/inspect``."""

    inspector: Inspector

    def initialize(self, inspector: Inspector) -> None:
        """Take who looks."""
        self.inspector = inspector

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self, kernel_id: str | None = None) -> None:
        """Answer with live figures."""
        full = self._full()
        if kernel_id is None:
            await self.meet_all()
            found = await self.inspector.inspect(list(self.tracker), full=full)
            self.finish(json.dumps(views.all_inspections(found)))
        else:
            kernel = await self.looked_at(kernel_id)
            found = await self.inspector.inspect([kernel], full=full)
            self.finish(json.dumps(views.inspection(found[kernel_id])))

    def _full(self) -> bool:
        detail = self.get_query_argument("detail", None)
        if detail not in (None, "full"):
            message = f"detail is {detail!r}; allowed is 'full', or nothing."
            self.refuse(HTTPStatus.BAD_REQUEST, message, "bad request")
        return detail is not None
