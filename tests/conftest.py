"""Fixtures of all tests: a real server for each module, kernels removed after each test."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import pytest
from support import openapi
from support.server import Server

LOG_LINES = 60
"""So much of a server's log stands below a failed test."""


@pytest.fixture(scope="session", autouse=True)
def answers_are_documented() -> Iterator[None]:
    """Every answer of a server with the extension is one that the OpenAPI document knows."""
    with pytest.MonkeyPatch.context() as patch:
        openapi.held(patch)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the extension, shared by the tests of a module."""
    with Server(config={"KernelManager": {"shutdown_wait_time": 1.0}}) as server:
        yield server


@pytest.fixture
def start(server: Server) -> Iterator[Callable[..., str]]:
    """Start a kernel of the shared server, connected when you get its id, deleted at the end."""
    kernels = []

    def start_and_note(name: str = "python3", *, wait: bool = True) -> str:
        kernels.append(server.start_kernel(name))
        if wait:
            server.settled(kernels[-1])
        return kernels[-1]

    yield start_and_note
    for kernel in kernels:
        server.http.delete(f"api/kernels/{kernel}")


@pytest.fixture
def kernel(start: Callable[..., str]) -> str:
    """A connected, idle ipykernel."""
    return start("python3")


@pytest.fixture
def fake(server: Server, start: Callable[..., str]) -> Callable[..., str]:
    """Start a fake kernel with these options (see `Server.fake`), connected unless `wait=False`."""

    def start_fake(mode: str = "good", *, wait: bool = True, **options: object) -> str:
        return start(server.fake(mode=mode, **options), wait=wait)

    return start_fake


@pytest.fixture(scope="module")
def python_kernel(server: Server) -> str:
    """An ipykernel for the tests of a module that leave it as idle as they found it."""
    return server.connected("python3")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the contract tests of a module on one worker (loadgroup): they share a server."""
    for item in items:
        if item.path.parent.name == "contract":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the end of the log of each server that a failed test used below its report."""
    report = yield
    for name, value in getattr(item, "funcargs", {}).items():
        if report.failed and isinstance(value, Server) and value.folder.exists():
            report.sections.append(
                (f"log of {name}", "\n".join(value.log().splitlines()[-LOG_LINES:]))
            )
    return report


@pytest.fixture(autouse=True)
def gates_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a failed test left waiting goes on, so that it is one failure and no more."""
    yield
    server = request.node.funcargs.get("server") if hasattr(request.node, "funcargs") else None
    if isinstance(server, Server) and server.folder.exists():
        for reached in server.folder.glob("gate-*.reached"):
            reached.with_suffix("").touch()
