"""Contract section 2: code in the server that polls a kernel gets to know of a death."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.server import Server

from kernel_status_ext.jupyter.pollers import Pollers, asked_by_jupyter

PROBE = {"ServerApp": {"jpserver_extensions": {"probe_extension": True}}}


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with the probe extension, with a fast restart and without."""
    with Server(config=PROBE | {"KernelStatusApp": {"fast_restart": request.param}}) as server:
        yield server


@pytest.mark.parametrize("by", ["client", "manager"])
def test_who_polls_sees_each_death(server: Server, by: str) -> None:
    """A client of the manager, or the manager, polled once a second: two deaths, both seen."""
    kernel = server.connected(server.fake())
    for deaths in (1, 2):
        told = server.post("probe", {"call": "poll", "with": {"kernel_id": kernel, "by": by}})
        assert told == {"seen": [True, False]}
        server.wait(kernel, status="connected")
        assert server.status(kernel)["restart_count"] == deaths
    server.delete(kernel)


class Client:
    """What counts of a client."""

    channels_running = True


def test_who_polls() -> None:
    """A client counts while its channels are open, whoever asks does, Jupyter itself does not."""
    pollers, client = Pollers(), Client()
    with asked_by_jupyter():
        pollers.asked()
    assert not pollers
    pollers.client_made(client)
    assert pollers
    client.channels_running = False
    assert not pollers
    pollers.asked()
    assert pollers
