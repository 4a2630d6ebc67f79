"""Fixtures of the browser tests: servers with JupyterLab, and a new Chromium for each test."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from support.server import EXTENSION, Server

if TYPE_CHECKING:
    from jupyterlab_page import NotebookPage

JUPYTERLAB = {
    # JupyterLab asks jupyter_lsp for its state, and complains on the console where it is missing.
    "ServerApp": {"jpserver_extensions": {"jupyterlab": True, "jupyter_lsp": True}},
    "LabApp": {"extension_manager": "readonly"},
}
"""JupyterLab as it is installed; it offers no packages, so it asks no index for them."""

NOTIFICATIONS = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
QUIET = {"fetchNews": "false", "checkForUpdates": False}
"""What a user's settings say who wants no news and no updates: no question, no other host."""


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


@pytest.fixture(scope="session", autouse=True)
def _needs() -> None:
    """Skip where something is missing that is driven here, or that drives it."""
    for package in ("jupyterlab", "selenium"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the extension and JupyterLab, shared by the tests of a module."""
    with jupyterlab_server({}) as server:
        yield server


@pytest.fixture
def final_server() -> Iterator[Server]:
    """The same, but a kernel that died is not started again."""
    with jupyterlab_server({"KernelManager": {"autorestart": False}}) as server:
        yield server


@pytest.fixture
def open_notebook(request: pytest.FixtureRequest) -> Iterator[Callable[..., NotebookPage]]:
    """Open a new notebook in JupyterLab; in the end nothing unexpected stands on the console."""
    from jupyterlab_page import Chromium  # noqa: PLC0415 - imports selenium, which may be missing

    with Chromium(request.node.name) as chromium:
        yield chromium.open_notebook
        complaints = chromium.complaints()
        assert not complaints, "\n".join(complaints)
