"""An extension for a server under test: GET routes tells every rule of tornado's own router."""

import json

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import routing, web

METHODS = ("get", "post", "put", "patch", "delete")


def rules(router):
    """Go through all rules of a router, and of the routers below it, in their order."""
    for rule in router.rules:
        if isinstance(rule.target, routing.RuleRouter):
            yield from rules(rule.target)
        elif isinstance(rule.matcher, routing.PathMatches):
            yield rule.matcher.regex.pattern, rule.target


def methods(handler):
    """Name what a handler answers."""
    stock = web.RequestHandler
    return [each for each in METHODS if getattr(handler, each, None) != getattr(stock, each)]


class RoutesHandler(APIHandler):
    """Tells the rules."""

    @web.authenticated
    async def get(self):
        """Answer with pattern, module of the handler and methods, in the order of the router."""
        found = [
            {"pattern": pattern, "module": handler.__module__, "methods": methods(handler)}
            for pattern, handler in rules(self.serverapp.web_app.default_router)
            if isinstance(handler, type)
        ]
        self.finish(json.dumps(found))


def _jupyter_server_extension_points():
    return [{"module": "route_extension"}]


def _load_jupyter_server_extension(serverapp):
    route = url_path_join(serverapp.web_app.settings["base_url"], "routes")
    serverapp.web_app.add_handlers(".*$", [(route, RoutesHandler)])
