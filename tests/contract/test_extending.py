"""The calls for other extensions: the example of the documentation, taken from it and run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import httpx
import msgspec
import pytest
from msgspec import structs
from support.server import EXTENSION, Server, eventually
from support.stories import come_back, kill

from kernel_status_ext.core.model import Exit, Kernel, Process, Termination
from kernel_status_ext.tracking.tracker import Change, Tracker

PAGE = (Path(__file__).parents[2] / "docs/how-to/extend.md").read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the extension that stands in the documentation."""
    folder = tmp_path_factory.mktemp("example")
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (folder / "doorbell.py").write_text(example[1])
    config = {"ServerApp": {"jpserver_extensions": {"doorbell": True}}}
    with Server(config=config, env={"PYTHONPATH": str(folder)}) as server:
        yield server


def rung(server: Server) -> list[str]:
    """Give the lines that the example has logged."""
    return [line for line in server.log().splitlines() if "Ding: " in line]


def test_example_starts_a_kernel_and_waits(server: Server) -> None:
    """Its call answers with a kernel that is idle by then, at that revision."""
    answer = server.post("doorbell/kernels", {"name": server.fake()}, expect=201)
    status = server.status(answer["id"])
    assert (status["execution_state"], status["revision"]) == ("idle", answer["revision"])
    server.delete(answer["id"])


def test_example_tells_why_a_kernel_does_not_come(server: Server) -> None:
    """Its call answers with the reason of a kernel that dies at its start."""
    body = {"name": server.fake(mode="die-at-start", code=7)}
    answer = server.post("doorbell/kernels", body, expect=503)
    (dead,) = server.models().values()
    assert answer["reason"] == dead["reason"]
    assert dead["id"] in answer["message"]
    server.delete(dead["id"])


def test_example_refuses_strangers(server: Server) -> None:
    """Its call wants a login like any other."""
    url = f"{server.http.base_url}doorbell/kernels"
    assert httpx.post(url, json={"name": "python3"}).status_code == 403


def test_example_rings_for_deaths_alone(server: Server) -> None:
    """It is told of a death, though it was loaded earlier, and rings for no end asked for."""
    assert EXTENSION > "doorbell"
    name = server.fake()
    kernel = server.connected(name)
    already = len(rung(server))
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    back = come_back(server, kernel, before)
    eventually(lambda: len(rung(server)) == already + 1, what="the doorbell")
    assert f"Ding: {name} kernel: {back['last_termination']['reason']}" in rung(server)[-1]
    server.restart(kernel)
    come_back(server, kernel, back["revision"])
    server.delete(kernel)
    assert len(rung(server)) == already + 1


@pytest.mark.parametrize(
    ("owner", "kind"),
    [("tracker", Tracker), ("change", Change), ("kernel", Kernel), ("termination", Termination)],
)
def test_what_the_page_calls_stable_exists(owner: str, kind: type) -> None:
    """Each attribute that the page names is one, and no public field goes without a word."""
    named = set(re.findall(rf"`[^`]*?\b{owner}\.([a-z_]+)", PAGE))
    own = {*dir(kind), *vars(kind(None) if kind is Tracker else kind)}
    assert named <= own, named - own
    inner = {"requests", "subshells", "proven", "requested_by", "sent", "awaiting", "asking"}
    if kind is not Tracker:
        is_struct = issubclass(kind, msgspec.Struct)
        public = {each.name for each in (structs.fields(kind) if is_struct else fields(kind))}
        public -= inner if kind is Kernel else set()
        assert public - named <= {"reported", "last_known", "failed_retry", "happened"}


@pytest.mark.parametrize("field", [*fields(Process), *fields(Exit)], ids=lambda field: field.name)
def test_the_page_tells_of_processes_and_exits(field: object) -> None:
    """What a process and an exit have is named, too."""
    assert f"`{field.name}`" in PAGE
