"""The JupyterLab extension in Notebook 7, which loads it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jupyterlab_server import DEBUGGER, JUPYTERLAB, jupyterlab_server, kill
from labextension_page import PATIENCE, Extension, labextensions, watchers
from support.server import Server, eventually

if TYPE_CHECKING:
    from jupyterlab_page import NotebookPage

OWN_FAULT = r"Uncaught TypeError: Cannot read properties of undefined \(reading 'schema'\)"
"""What Notebook 7.6 says on the console of every page, with no extension of JupyterLab at all."""

UNANSWERED = "Canceled future for kernel_info_request"
"""What it says of a kernel that dies while it asks who it is."""

RUNNING_TAB = ".jp-TreePanel .lm-TabBar-tab:nth-child(2)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with Notebook 7 and the extension."""
    if find_spec("notebook") is None:
        pytest.skip("notebook is not installed")
    apps = JUPYTERLAB["ServerApp"]["jpserver_extensions"] | {"notebook": True}
    # Both serve the files of extensions at one address: they have to know the same ones.
    same = {"extra_labextensions_path": [str(labextensions(tmp_path))]}
    more = {
        "ServerApp": {"jpserver_extensions": apps},
        "LabApp": same,
        "JupyterNotebookApp": same,
    }
    with jupyterlab_server(more) as server:
        yield server


def test_notebook_7_explains_a_death(
    server: Server, open_notebook: Callable[..., NotebookPage]
) -> None:
    """A notebook's page notifies of a kill, and the first page lists the kernels."""
    page = open_notebook(server, source="1+1", application="notebooks")
    page.expect(OWN_FAULT, UNANSWERED, *DEBUGGER)
    extension = Extension(page)
    eventually(lambda: watchers(server) == 1, PATIENCE, "the page follows the kernels")
    eventually(lambda: server.model(page.kernel)["connections"], what="it is connected")
    kill(server, page.kernel)
    page.until_dialog()
    page.accept()
    extension.toast("killed by SIGKILL", page.path, "It restarts")
    extension.page.chromium.illustrate("notebook-notification")
    extension.visit("tree")
    extension.click(RUNNING_TAB)
    extension.running(page.path, "idle", "MiB")
    extension.page.chromium.illustrate("notebook-running")
