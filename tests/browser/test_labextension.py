"""The JupyterLab extension shows what kernels do, and says why one died where people look."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jupyterlab_server import DEBUGGER, JUPYTERLAB, REFUSED, kill
from labextension_page import (
    BUILT,
    DETAILS,
    ITEM,
    RUNNING_ITEM,
    RUNNING_TAB,
    TOAST,
    Extension,
    choose,
    labextension_server,
    watchers,
)
from support.proxy import Proxy
from support.server import Gate, Server, eventually, held_for

if TYPE_CHECKING:
    from jupyterlab_page import NotebookPage

Open = Callable[..., "NotebookPage"]

MARKUP = "<img src=x>"

NOISE = (*DEBUGGER, "Uncaught.* Error: Canceled future for debug_request")
"""What JupyterLab itself says when a kernel dies, on a slow machine."""

GONE = r"/api/kernels/{}\S* .*404"
"""What Chromium says when JupyterLab asks for a kernel that was just shut down."""

CUT_AFTER = 4
"""Seconds: long enough for JupyterLab to load what it needs."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with JupyterLab and the extension, shared by the tests of a module."""
    with labextension_server(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture
def start_lab(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of one's own: ask for it before the browser, which must end first."""
    with contextlib.ExitStack() as started:
        yield lambda *args, **options: started.enter_context(
            labextension_server(tmp_path, *args, **options)
        )


@pytest.fixture
def final_lab(start_lab: Callable[..., Server]) -> Server:
    """A server on which a kernel that died is not started again."""
    return start_lab({"KernelManager": {"autorestart": False}})


@pytest.fixture
def cutting(lab: Server) -> Iterator[Proxy]:
    """A proxy before the server that cuts every connection after a while."""
    with Proxy(lab.port, CUT_AFTER) as proxy:
        yield proxy


def opened(open_notebook: Open, server: Server, source: str = "1+1") -> Extension:
    """Open a notebook and wait until the extension has something to say of its kernel."""
    page = open_notebook(server, source=source)
    page.expect(REFUSED, *NOISE)
    page.until_kernel_reads("Idle")
    extension = Extension(page)
    extension.item("Kernel idle", "MiB")
    return extension


def busy(extension: Extension, gate: Gate) -> None:
    """Run the cell that waits for this gate, until it does."""
    extension.page.run_cell()
    eventually(gate.reached.exists, what="the cell runs")


def test_the_status_bar_tells_state_and_memory(lab: Server, open_notebook: Open) -> None:
    """The item follows the kernel of the notebook in front: idle, running, idle, and its memory."""
    gate = lab.gate()
    extension = opened(open_notebook, lab, gate.cell)
    busy(extension, gate)
    extension.item("Kernel running", "MiB")
    gate.open()
    extension.item("Kernel idle", "MiB")


def test_a_click_on_the_item_shows_details(lab: Server, open_notebook: Open) -> None:
    """The details tell process, memory and restarts, link to the page, and go away by Escape."""
    extension = opened(open_notebook, lab)
    status = lab.status(extension.page.kernel)
    extension.click(ITEM)
    extension.details("Kernel idle", f"Process\n{status['pid']}", "MiB", "Automatic restarts\n0")
    extension.page.chromium.illustrate("jupyterlab-details")
    link = extension.find(f"{DETAILS} a").get_property("href")
    assert link == f"http://127.0.0.1:{lab.port}{lab.base_url}kernel-status"
    extension.escape()
    extension.until_gone(DETAILS)
    assert extension.has_focus(ITEM)


def test_a_kill_is_explained(lab: Server, open_notebook: Open) -> None:
    """Of a kernel that was killed the notification says why, its age, the cell, and what to do."""
    gate = lab.gate()
    extension = opened(open_notebook, lab, f"# the cell that ran\n{gate.cell}")
    busy(extension, gate)
    before = lab.status(extension.page.kernel)
    os.kill(before["pid"], signal.SIGKILL)
    extension.page.until_dialog()
    extension.page.accept()
    text = extension.toast("killed by SIGKILL", "s after its start")
    what, where, advice = text.split("\n")
    end = lab.wait(before["id"], status="connected", since=before["revision"]).json()
    assert re.fullmatch(r"The kernel was killed by SIGKILL \d+\.\d s after its start\.", what)
    assert end["last_termination"]["reason"].startswith(what[:-1])
    assert where.startswith(f"{extension.page.path} [1]: # the cell that ran")
    assert advice == "It restarts; variables are lost."
    extension.item("Kernel idle")
    assert held_for(lambda: len(extension.toasts()) == 1, 1)
    extension.page.chromium.illustrate("jupyterlab-notification")


def test_a_kernel_that_stays_dead_is_explained_everywhere(
    final_lab: Server, open_notebook: Open
) -> None:
    """Status bar, Running panel, notification and its details have the reason of a dead kernel."""
    gate = final_lab.gate()
    extension = opened(open_notebook, final_lab, f"x = '{MARKUP}'\n{gate.cell}\nos._exit(3)")
    kernel = extension.page.kernel
    busy(extension, gate)
    gate.open()
    extension.toast("exited with code 3", f"[1]: x = '{MARKUP}'", "Restart it to go on.")
    assert not extension.elements_of_markup()
    status = final_lab.status(kernel)
    extension.item("Kernel dead", status["reason"])
    extension.page.until_dialog()
    extension.page.accept()
    extension.click(RUNNING_TAB)
    extension.running(extension.page.path, status["reason"], "dead")
    extension.page.chromium.illustrate("jupyterlab-dead")
    extension.press("Details")
    extension.details("Kernel dead", status["reason"], status["last_termination"]["hint"])


def test_the_notification_restarts_the_kernel(final_lab: Server, open_notebook: Open) -> None:
    """Its button gives the notebook a kernel again, which runs the notebook's code."""
    extension = opened(open_notebook, final_lab, "import os\nos._exit(3)")
    extension.page.run_cell()
    extension.toast("exited with code 3")
    extension.item("Kernel dead")
    extension.page.until_dialog()
    extension.page.accept()
    extension.press("Restart Kernel")
    extension.item("Kernel idle", "MiB")
    extension.page.until_kernel_reads("Idle")
    extension.until_gone(TOAST)


def test_what_somebody_asked_for_is_no_news(lab: Server, open_notebook: Open) -> None:
    """A restart and a shutdown of a kernel bring no notification."""
    extension = opened(open_notebook, lab)
    kernel = extension.page.kernel
    before = lab.settled(kernel)
    lab.restart(kernel)
    after = lab.wait(kernel, status="connected", since=before["revision"]).json()
    assert after["last_termination"]["expected"]
    extension.click(ITEM)
    extension.details(f"Process\n{after['pid']}", "ended on request")
    extension.page.expect(GONE.format(kernel))
    lab.delete(kernel)
    extension.until_gone(ITEM)
    extension.until_gone(DETAILS)
    assert held_for(lambda: not extension.toasts(), 1)


def test_the_running_panel_shuts_kernels_down(lab: Server, open_notebook: Open) -> None:
    """A line of the section has a button that shuts its kernel down."""
    extension = opened(open_notebook, lab)
    kernel = extension.page.kernel
    extension.click(RUNNING_TAB)
    extension.running(extension.page.path, "idle", "MiB")
    extension.page.expect(GONE.format(kernel))
    extension.shut_down(kernel)
    eventually(lambda: kernel not in lab.models(), what="the kernel is gone")
    extension.until_gone(f'{RUNNING_ITEM}[data-context="{kernel}"]')


def test_what_kernels_say_stays_text(lab: Server, open_notebook: Open) -> None:
    """Markup in a reason and in stderr is shown as it is written and never becomes elements."""
    argv = [sys.executable, "-c", f"raise ValueError({MARKUP!r})", "{connection_file}"]
    page = open_notebook(lab, lab.spec("markup", argv))
    page.expect(REFUSED)
    page.until_dialog()
    page.accept()
    extension = Extension(page)
    extension.item("Kernel dead", MARKUP)
    extension.click(RUNNING_TAB)
    extension.running(MARKUP)
    extension.click(ITEM)
    extension.click(f"{DETAILS} summary")
    assert extension.details("Its last words").count(MARKUP) > 2
    assert not extension.elements_of_markup()


def test_who_wants_none_sees_none(start_lab: Callable[..., Server], open_notebook: Open) -> None:
    """The settings switch the item and the notifications off."""
    server = start_lab()
    choose(server, statusBar=False, notifications=False)
    page = open_notebook(server, source="1+1")
    page.expect(*NOISE)
    page.until_kernel_reads("Idle")
    page.run_to_its_end()
    extension = Extension(page)
    extension.click(RUNNING_TAB)
    extension.running(page.path, "idle")
    before = kill(server, page.kernel)
    page.until_dialog()
    page.accept()
    after = server.wait(before["id"], status="connected", since=before["revision"]).json()
    extension.running(page.path, "idle")
    assert after["last_termination"]["cause"] == "Killed"
    assert held_for(lambda: not extension.toasts() and not extension.texts(ITEM), 1)


def test_it_does_no_harm_where_the_server_part_is_off(
    start_lab: Callable[..., Server], open_notebook: Open
) -> None:
    """With a stock server nothing is shown, asked or complained about."""
    server = start_lab(stock=True)
    page = open_notebook(server, source="1+1")
    page.until_kernel_reads("Idle")
    page.run_to_its_end()
    extension = Extension(page)
    extension.click(RUNNING_TAB)
    assert held_for(lambda: not extension.texts(ITEM), 2)
    assert extension.is_loaded()
    assert not any("Kernel Status" in text for text in extension.texts(".jp-RunningSessions"))
    assert "kernels/watch" not in server.log()


def test_who_may_not_read_kernels_is_not_bothered(
    start_lab: Callable[..., Server], open_notebook: Open
) -> None:
    """Where the user may not read kernels the stream is never asked for."""
    denying = {"authorizer_class": "authorizers.DenyByHeader"}
    server = start_lab({"ServerApp": JUPYTERLAB["ServerApp"] | denying})
    page = open_notebook(server, source="1+1", headers={"X-Deny": "read:kernels"})
    page.expect(r"api/kernels\?\d+ .* 403")
    extension = Extension(page)
    extension.click(RUNNING_TAB)
    eventually(lambda: "403 GET" in server.log(), what="JupyterLab is told no")
    assert held_for(lambda: not extension.texts(ITEM), 2)
    assert "kernels/watch" not in server.log()


def test_a_hidden_tab_holds_no_connection(lab: Server, open_notebook: Open) -> None:
    """The stream ends while another tab is in front; what happened then is told afterwards."""
    extension = opened(open_notebook, lab)
    eventually(lambda: watchers(lab) == 1, what="this is the only stream")
    with extension.hidden():
        eventually(lambda: watchers(lab) == 0, what="the stream has ended")
        before = kill(lab, extension.page.kernel)
        lab.wait(before["id"], status="connected", since=before["revision"])
    extension.toast("killed by SIGKILL")
    assert watchers(lab) == 1


def test_a_stream_that_is_cut_is_opened_again(
    lab: Server, cutting: Proxy, open_notebook: Open
) -> None:
    """Behind a proxy that cuts connections the extension goes on, and a death is told once."""
    page = open_notebook(lab, source="1+1", port=cutting.port)
    page.expect("net::ERR_", "Failed to fetch", REFUSED, *NOISE)
    page.until_kernel_reads("Idle")
    extension = Extension(page)
    extension.item("Kernel idle")
    extension.item("Kernel not heard")
    extension.item("Kernel idle")
    before = kill(lab, page.kernel)
    lab.wait(before["id"], status="connected", since=before["revision"])
    extension.toast("killed by SIGKILL")
    assert held_for(lambda: len(extension.toasts()) == 1, CUT_AFTER)


def test_the_version_is_the_packages_own() -> None:
    """What is built has the version of the Python package, so that people can tell."""
    from kernel_status_ext import __version__  # noqa: PLC0415

    assert json.loads((BUILT / "package.json").read_text())["version"] == __version__
