"""Stock, unmodified JupyterLab tells the truth about kernels, because the server tells it so."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from jupyterlab_server import DEBUGGER, REFUSED, kill
from support.server import Gate, Server, eventually, held_for

if TYPE_CHECKING:
    from jupyterlab_page import NotebookPage

MISSING = "no_module_of_this_name"


def broken(server: Server, gate: Gate | None = None) -> str:
    """The name of a kernelspec whose kernel dies of a missing module, once the gate is open."""
    waiting = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    code = (waiting if gate else "") + f"import {MISSING}"
    name = f"broken-{uuid.uuid4().hex[:8]}"
    argv = [sys.executable, "-c", code, "{connection_file}"]
    return server.spec(name, argv, language="python")


def says_why(page: NotebookPage) -> None:
    """Check that a dialog has the reason and the traceback of the page's dead kernel."""
    dialog = page.until_dialog()
    page.photograph("dialog")
    model = page.server.model(page.kernel)
    assert dialog.title == "Error Starting Kernel"
    assert MISSING in model["reason"]
    assert dialog.body == model["reason"]
    assert dialog.details == model["traceback"]
    assert f"ModuleNotFoundError: No module named '{MISSING}'" in dialog.details


def test_a_kernel_that_dies_at_once_says_why(
    server: Server, open_notebook: Callable[..., NotebookPage]
) -> None:
    """A kernel that is dead before JupyterLab reaches it opens a dialog with the reason."""
    page = open_notebook(server, broken(server))
    page.expect(REFUSED)
    says_why(page)


def test_a_kernel_that_dies_while_jupyterlab_waits_says_why(
    server: Server, open_notebook: Callable[..., NotebookPage]
) -> None:
    """A kernel that dies while JupyterLab reads Connecting opens a dialog with the reason."""
    gate = server.gate()
    page = open_notebook(server, broken(server, gate))
    page.expect(REFUSED)
    page.until_kernel_reads("Connecting")
    gate.open()
    says_why(page)


def test_a_kernel_that_is_killed_for_good_says_why(
    final_server: Server, open_notebook: Callable[..., NotebookPage]
) -> None:
    """A connected kernel that is killed and not started again opens a dialog with its reason."""
    page = open_notebook(final_server, source="1+1")
    page.expect(REFUSED, *DEBUGGER)
    page.until_kernel_reads("Idle")
    page.run_to_its_end()
    kernel = page.kernel
    kill(final_server, kernel)
    dialog = page.until_dialog()
    page.photograph("dialog")
    model = final_server.model(kernel)
    assert model["status"] == "dead"
    assert "SIGKILL" in model["reason"]
    assert dialog.body == model["reason"]


def test_a_kernel_that_came_back_by_itself_reads_idle(
    server: Server, open_notebook: Callable[..., NotebookPage]
) -> None:
    """After an autorestart the status bar reads Idle again though nothing more was run."""
    page = open_notebook(server, source="1+1")
    page.expect(*DEBUGGER)
    page.until_kernel_reads("Idle")
    page.run_to_its_end()
    kernel = page.kernel
    before = kill(server, kernel)
    dialog = page.until_dialog()
    page.photograph("dialog")
    assert dialog.title == "Kernel Restarting"
    assert "appears to have died. It will restart automatically." in dialog.body
    page.accept()
    back = server.wait(kernel, status="connected", since=before["revision"])
    assert back.json()["generation"] == before["generation"] + 1
    page.until_kernel_reads("Idle")
    assert held_for(lambda: page.kernel_reads() == "Idle", 1)
    page.photograph("back")


def test_a_kernel_that_is_busy_reads_busy_after_a_reload(
    server: Server, open_notebook: Callable[..., NotebookPage]
) -> None:
    """A page that is loaded while a cell runs reads Busy until that cell has ended, then Idle."""
    gate = server.gate()
    page = open_notebook(server, source=gate.cell)
    page.until_kernel_reads("Idle")
    page.run_cell()
    eventually(gate.reached.exists, what="the cell runs")
    page.until_kernel_reads("Busy")
    page.reload()
    page.until_kernel_reads("Busy")
    page.photograph("busy")
    gate.open()
    page.until_kernel_reads("Idle")


def test_a_healthy_kernel_leaves_the_console_clean(
    server: Server, open_notebook: Callable[..., NotebookPage]
) -> None:
    """Nothing that the server adds makes JupyterLab complain when all is well."""
    gate = server.gate()
    page = open_notebook(server, source=gate.cell)
    page.until_kernel_reads("Idle")
    page.run_cell()
    page.until_kernel_reads("Busy")
    gate.open()
    page.until_kernel_reads("Idle")
    assert not page.dialogs()
