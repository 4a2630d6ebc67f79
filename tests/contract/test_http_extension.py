"""The extension as a guest: enabled by its installation, switched off and on by command."""

from __future__ import annotations

from support.server import EXTENSION, Server
from support.stories import MODEL_KEYS, STOCK_KEYS


def model_keys(server: Server) -> set[str]:
    """The fields of the model of a kernel."""
    model = server.post("api/kernels", {"name": server.fake()}, expect=201)
    server.delete(model["id"])
    return set(model)


def test_enabled_by_its_installation_and_by_command() -> None:
    """Installed means enabled; `jupyter server extension disable` and `enable` do what they say."""
    with Server(enable=None) as server:
        assert model_keys(server) == MODEL_KEYS
        assert server.stop().clean
        server.command("extension", "disable", EXTENSION)
        server.launch()
        assert model_keys(server) == STOCK_KEYS
        assert server.stop().clean
        server.command("extension", "enable", EXTENSION)
        server.launch()
        assert model_keys(server) == MODEL_KEYS


def test_listed_and_valid() -> None:
    """`jupyter server extension list` knows it, enabled, and finds it importable."""
    with Server(enable=None) as server:
        lines = server.command("extension", "list").splitlines()
        at = next(
            number for number, line in enumerate(lines) if EXTENSION in line and "enabled" in line
        )
        assert "OK" in " ".join(lines[at : at + 3])


def test_stock_server_has_none_of_it() -> None:
    """With the extension switched off the models are stock and the new calls do not exist."""
    with Server(stock=True) as server:
        assert model_keys(server) == STOCK_KEYS
        kernel = server.start_kernel(server.fake())
        for call in ("status", "wait", "history"):
            assert server.http.get(f"api/kernels/{kernel}/{call}").status_code == 404


def test_nothing_in_the_log_of_a_quiet_server() -> None:
    """Start, kernel, stop: no warning that comes from the extension and no traceback."""
    with Server() as server:
        kernel = server.connected(server.fake())
        server.delete(kernel)
        assert server.stop().clean
        lines = [line for line in server.log().splitlines() if "received signal" not in line]
        assert not [
            line for line in lines if line.startswith(("[W", "[E", "[C")) or "Traceback" in line
        ]


def test_below_any_base_url() -> None:
    """The calls stand below the base_url, also when it is the root."""
    with Server(base_url="/") as server:
        kernel = server.connected(server.fake())
        assert server.status(kernel)["status"] == "connected"
        assert server.http.get("b%40se/x/api/kernels").status_code == 404
