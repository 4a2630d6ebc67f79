"""Fixtures of the browser tests: servers with JupyterLab, and a new Chromium for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from jupyterlab_server import jupyterlab_server
from support.server import Server

if TYPE_CHECKING:
    from jupyterlab_page import NotebookPage


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
