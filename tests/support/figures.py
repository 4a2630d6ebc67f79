"""The calls that inspect kernels, and the only place where tests check the shapes they answer."""

from __future__ import annotations

from typing import Any

from .server import Server

KEYS = {
    *("alive", "pid", "process_status", "create_time", "cpu_percent", "cpu_seconds"),
    *("memory_rss_bytes", "memory_vms_bytes", "memory_peak_bytes"),
    *("num_threads", "num_fds", "cmdline", "children"),
}
FULL = {"memory_uss_bytes", "memory_pss_bytes", "io"}


def inspect(server: Server, kernel: str, **params: object) -> dict[str, Any]:
    """The figures of one kernel, of whatever shape, that shape checked."""
    return checked(server.get(f"api/kernels/{kernel}/inspect", **params))


def inspect_all(server: Server, **params: object) -> dict[str, dict[str, Any]]:
    """The figures of all kernels by id, their shapes checked."""
    body = server.get("api/kernels/inspect", **params)
    assert set(body) == {"kernels"}
    return {kernel: checked(figures) for kernel, figures in body["kernels"].items()}


def checked(told: dict[str, Any]) -> dict[str, Any]:
    """The same, after a look at its shape: one of four."""
    if told["alive"] is None:
        assert (set(told), told["pid"]) == ({"alive", "pid", "reason"}, None)
    elif told["alive"] is False:
        assert set(told) == {"alive", "reason"}
    elif "error" in told:
        assert told == {"alive": True, "pid": told["pid"], "error": "access denied"}
    else:
        check_figures(told)
    assert told.get("reason", "A sentence.").endswith((".", "!"))
    return told


def check_figures(told: dict[str, Any]) -> None:
    """Check the kinds of the figures."""
    assert set(told) in (KEYS, KEYS | FULL)
    sizes = ["pid", "num_threads", "num_fds", *(key for key in told if key.endswith("_bytes"))]
    if told["memory_rss_bytes"] == 0:
        # It is about to be gone: its memory is, and the file that told of its peak is empty.
        sizes.remove("memory_peak_bytes")
    assert all(isinstance(told[key], int) and told[key] >= 0 for key in sizes), told
    assert told["cpu_percent"] is None or told["cpu_percent"] >= 0
    assert set(told["children"]) == {"count", "memory_rss_bytes"}
    assert (told["memory_peak_bytes"] or 0) >= told["memory_rss_bytes"]
