"""A server with JupyterLab, as it is or with our extension of it, for the browser tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from support.server import EXTENSION, Server

JUPYTERLAB = {
    # JupyterLab asks jupyter_lsp for its state, and complains on the console where it is missing.
    "ServerApp": {"jpserver_extensions": {"jupyterlab": True, "jupyter_lsp": True}},
    # Stock means stock: whatever extensions of JupyterLab are installed here, none is loaded.
    "LabApp": {"extension_manager": "readonly", "labextensions_path": []},
}
"""JupyterLab alone; it offers no packages, so it asks no index for them."""

NOTIFICATIONS = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
QUIET = {"fetchNews": "false", "checkForUpdates": False}
"""What a user's settings say who wants no news and no updates: no question, no other host."""

REFUSED = r"WebSocket connection to '\S+/channels\?\S*' failed: .* response code: 503"
"""What Chromium says of a websocket to a dead kernel, which the server refuses."""

DEBUGGER = (
    "Could not restore the debugger state:.*Canceled future for debug_request",
    "Uncaught.* Error: Kernel is dead",
)
"""What JupyterLab's debugger says, with any server, when a kernel dies that it is asking."""


@contextlib.contextmanager
def jupyterlab_server(more: Mapping[str, Mapping[str, Any]], **options: Any) -> Iterator[Server]:
    """Run a server with JupyterLab and more configuration; for `options` see `Server`."""
    with Server(config={**JUPYTERLAB, **more}, **options) as server:
        for name in ("jupyterlab", *(() if options.get("stock") else (EXTENSION,))):
            loaded = f"{name} | extension was successfully loaded"
            assert loaded in server.log(), f"no {loaded!r}:\n{server.log()}"
        settings = server.config / NOTIFICATIONS
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(QUIET))
        yield server


def kill(server: Server, kernel: str) -> dict:
    """Kill the kernel's process with SIGKILL and give its status of before."""
    before = server.settled(kernel)
    os.kill(before["pid"], signal.SIGKILL)
    return before
