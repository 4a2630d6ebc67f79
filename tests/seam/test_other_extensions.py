"""The extension beside others that change how kernels are managed, where they are installed."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

import pytest
from support.server import Server

SET_UPS = {
    "jupyterlab": {},
    "jupyter_server_documents": {},
    "jupyter_server_nbmodel": {},
}


@pytest.mark.parametrize("name", SET_UPS)
def test_beside_another_extension_the_truth_is_told(name: str) -> None:
    """A kernel is born, killed, explained, restarted and deleted beside the other one."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    config = {"ServerApp": {"jpserver_extensions": {name: True, "kernel_status_ext": True}}}
    with Server(config=config) as server:
        assert f"{name} | extension was successfully loaded" in server.log()
        kernel = server.connected("python3")
        before = server.status(kernel)
        os.kill(before["pid"], signal.SIGKILL)
        told = server.wait(kernel, since=before["revision"]).json()
        assert (told["status"], told["cause"]) == ("autorestarting", "Killed")
        back = server.wait(kernel, status="connected", since=before["revision"])
        assert back.json()["generation"] == 1
        assert server.restart(kernel)["status"] in ("restarting", "connected")
        assert server.wait(kernel).json()["generation"] == 2
        session = server.session("a.ipynb", "python3")
        assert session["kernel"]["status"]
        server.delete(kernel)
        assert kernel not in server.models()
        assert server.stop().clean
