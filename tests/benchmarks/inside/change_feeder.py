"""A server extension that feeds the tracker with changes of a kernel that need no process.

POST change-feeder {"kernel_id": ..., "count": 20000, "each_turn": 20} makes so many changes of its
status, `unresponsive` and `connected` in turn, so many in a turn of the loop, and answers when all
are made.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from kernel_status_ext.core.events import HeartbeatLost, HeartbeatReturned


class ChangeFeederHandler(APIHandler):
    """Feeds changes of status: these are never merged."""

    _track_activity = False

    @web.authenticated
    async def post(self) -> None:
        """Feed."""
        body = self.get_json_body()
        tracker = self.settings["kernel_status"]
        before = tracker.revision
        for number in range(body["count"]):
            kernel = tracker.get(body["kernel_id"])
            told = {"generation": kernel.generation, "at": datetime.now(timezone.utc)}
            event = HeartbeatReturned(**told) if number % 2 else HeartbeatLost(**told, silence=60)
            tracker.feed(kernel.id, event)
            if number % body["each_turn"] == body["each_turn"] - 1:
                await asyncio.sleep(0)
        self.finish(json.dumps({"changes": tracker.revision - before}))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "change_feeder"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    route = url_path_join(serverapp.web_app.settings["base_url"], "change-feeder")
    serverapp.web_app.add_handlers(".*$", [(route, ChangeFeederHandler)])
