"""Cells for real kernels that an interrupt does not end."""

from __future__ import annotations

from collections.abc import Callable

from .server import Gate, Server, eventually


def swallows(gate: Gate) -> str:
    """Code that answers each interrupt with a line, and goes on; `gate.reached` when it works."""
    return f"""
import time
word = "begun"
while True:
    try:
        if word:
            print(word, flush=True)
            open({str(gate.reached)!r}, "w").close()
            word = ""
        time.sleep(60)
    except KeyboardInterrupt:
        word = "no"
"""


def holds(gate: Gate, then: Gate) -> str:
    """Native code that looks at no signal, once the gate is open; `then.reached` when it is so."""
    return f"{gate.cell}\nopen({str(then.reached)!r}, 'w').close()\nsum(range(10**12))"


def at_work(server: Server, kernel: str, has_begun: Callable[[], bool]) -> None:
    """Wait until a cell has begun, and the server has heard so."""
    eventually(has_begun, what="it works")
    eventually(lambda: server.status(kernel)["running"], what="it is known to work")
