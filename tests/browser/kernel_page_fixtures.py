"""Fixtures of the tests of the page `/kernel-status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.server import Server
from support.watching import FEEDING

if TYPE_CHECKING:
    from kernel_page import KernelPage


@pytest.fixture(scope="module")
def page_server() -> Iterator[Server]:
    """A server with real kernels and fed ones, and an authorizer that can be asked to deny."""
    config = {
        "ServerApp": FEEDING | {"authorizer_class": "authorizers.DenyByHeader"},
        "KernelManager": {"shutdown_wait_time": 1.0},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture
def kernel_page(request: pytest.FixtureRequest, page_server: Server) -> Iterator[KernelPage]:
    """The page of `page_server`, in a new browser, not opened yet; the test's kernels go, too."""
    from kernel_page import opened  # noqa: PLC0415 - imports selenium, which may be missing

    older = page_server.models().keys()
    with opened(page_server, request.node.name) as page:
        yield page
    for kernel in page_server.models().keys() - older:
        page_server.http.delete(f"api/kernels/{kernel}")
