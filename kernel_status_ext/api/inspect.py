"""The calls that look at kernels' processes: one kernel's, and all at once."""

from __future__ import annotations

import json

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
        full = self.full_detail()
        if kernel_id is None:
            await self.meet_all()
            found = await self.inspector.inspect(list(self.tracker), full=full)
            self.finish(json.dumps(views.all_inspections(found)))
        else:
            kernel = await self.looked_at(kernel_id)
            found = await self.inspector.inspect([kernel], full=full)
            self.finish(json.dumps(views.inspection(found[kernel_id])))
