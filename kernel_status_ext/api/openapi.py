"""The only place that serves the OpenAPI document, ``openapi.json`` beside this file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from jupyter_server.auth.decorator import authorized
from tornado import web

from .._version import __version__
from ..views import JSON
from .handlers import RESOURCE, WatchingHandler

DOCUMENT = Path(__file__).with_name("openapi.json")
"""Written by hand, without the place of any server."""


def document(base_url: str) -> JSON:
    """Make the document of a server.

    Args:
        base_url: Where the server stands, with a slash at its end.

    Returns:
        The document, with this version of the extension.
    """
    written: JSON = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    written["info"]["version"] = __version__
    # OpenAPI 3.1, 4.8.8: a path is appended to the server's URL, and begins with a slash itself.
    written["servers"] = [{**written["servers"][0], "url": base_url.rstrip("/") or "/"}]
    return written


@cache
def encoded(base_url: str) -> bytes:
    """Encode the document of a server, once."""
    return json.dumps(document(base_url)).encode()


class DocumentHandler(WatchingHandler):
    """``GET /api/kernels/openapi.json``."""

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self) -> None:
        """Answer with the document."""
        self.finish(encoded(self.base_url))
