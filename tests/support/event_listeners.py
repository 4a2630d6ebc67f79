"""An extension for a server under test: listeners on the event bus, well-behaved and not.

GET heard                       the events that a good listener was told, oldest first
POST heard {"add": "spoiler"}   from now on the bus has this one, too
DELETE heard                    and now no more
"""

import json

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from kernel_status_ext.jupyter.events import SCHEMAS, STATUS

heard = []


async def good(*, schema_id, data, **_):
    """Note what is told."""
    heard.append(dict(data, schema_id=schema_id))


async def raising(**_):
    """Fail whenever an event comes."""
    msg = "this listener always fails"
    raise RuntimeError(msg)


def no_coroutine(**_):
    """Give nothing that the bus could await: it raises in whoever emits."""


def spoiler(*, data, **_):
    """Make every event invalid."""
    return dict(data, status="nonsense")


class HeardHandler(APIHandler):
    """Tells what was heard, and lets others on the bus."""

    @property
    def bus(self):
        """The server's event bus."""
        return self.serverapp.event_logger

    @web.authenticated
    def get(self):
        """Tell what the good listener was told."""
        self.finish(json.dumps(heard))

    @web.authenticated
    def post(self):
        """Let one more on the bus."""
        name = self.get_json_body()["add"]
        if name == "spoiler":
            for schema_id in SCHEMAS:
                self.bus.add_modifier(schema_id=schema_id, modifier=spoiler)
        elif name == "restarter":
            self.bus.add_listener(schema_id=STATUS, listener=self.restart_after_second_death)
        else:
            self.bus.add_listener(schema_id=STATUS, listener=globals()[name])
        self.set_status(204)

    @web.authenticated
    def delete(self):
        """Take them from the bus."""
        for schema_id in SCHEMAS:
            self.bus.remove_modifier(schema_id=schema_id, modifier=spoiler)
            for listener in (raising, no_coroutine):
                self.bus.remove_listener(schema_id=schema_id, listener=listener)
        self.set_status(204)

    async def restart_after_second_death(self, *, data, **_):
        """Ask for a restart while the restarter is at work on the second death."""
        if data["status"] == "autorestarting" and data["generation"] == 1:
            await self.kernel_manager.get_kernel(data["kernel_id"]).restart_kernel(now=True)


def _jupyter_server_extension_points():
    return [{"module": "event_listeners"}]


def _load_jupyter_server_extension(serverapp):
    # Loaded before kernel_status_ext, whose schemas are not registered yet.
    for schema_id in SCHEMAS:
        serverapp.event_logger.add_listener(schema_id=schema_id, listener=good)
    route = url_path_join(serverapp.web_app.settings["base_url"], "heard")
    serverapp.web_app.add_handlers(".*$", [(route, HeardHandler)])
