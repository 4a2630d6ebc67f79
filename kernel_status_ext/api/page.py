"""The only place that makes the page ``/kernel-status``, and says what it may load."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, Template
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from ..ui import STATIC, TEMPLATES
from .handlers import RESOURCE

SCRIPTS = "kernel-status"
"""The folder of the page's scripts and styles, and the first part of their addresses."""

INLINE = re.compile(
    r"<(script|style)(?![^>]*\ssrc\s*=)[^>]*>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE
)
"""What the server's own template has of scripts and styles between its tags; ours has none."""


class PageHandler(JupyterHandler):
    """``GET /kernel-status``: the kernels of this server, for people."""

    auth_resource = RESOURCE

    @web.authenticated
    @authorized(action="read", resource=RESOURCE)
    async def get(self) -> None:
        """Answer with the page; its script asks for all that it shows."""
        static = url_path_join(self.base_url, "static/kernel_status_ext", SCRIPTS)
        html = self._rendered("kernel_status.html", static=static, modules=modules())
        # A second policy beside the server's own: a browser keeps both, ours can only be stricter.
        self.add_header("Content-Security-Policy", policy(html))
        self.set_header("Cache-Control", "no-cache")
        await self.finish(html)

    def _rendered(self, name: str, **names: Any) -> str:
        render: Callable[..., str] = self.render_template
        return render(name, **names)

    def get_template(self, name: str) -> Template:
        """Give a template of ours, which may extend any of this server's, or one of those."""
        return _with_ours(self.settings["jinja2_env"]).get_template(name)


@lru_cache(maxsize=1)
def _with_ours(environment: Environment) -> Environment:
    """Lay our templates over a server's; kept, for with it what is compiled would be lost."""
    theirs = environment.loader or ChoiceLoader([])
    loader = ChoiceLoader([FileSystemLoader(TEMPLATES), theirs])
    return environment.overlay(loader=loader, autoescape=True)


@cache
def modules() -> tuple[str, ...]:
    """List the page's scripts, so that a browser asks for all at once."""
    return tuple(sorted(each.name for each in (STATIC / SCRIPTS).glob("*.js")))


def policy(html: str) -> str:
    """Say what a page may load: from this server, and the inline scripts that it came with.

    Args:
        html: The whole page. Nothing of it may come from a kernel or a request.

    Returns:
        A Content-Security-Policy.

    >>> "script-src 'self';" in policy("<script src='a.js'></script>")
    True
    """
    found: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in INLINE.findall(html):
        found[kind.lower()].append(_hash(text))
    rules: dict[str, Any] = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", *found["script"]]),
        "style-src": " ".join(["'self'", *found["style"]]),
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
