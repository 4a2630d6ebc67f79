"""How long a kernel takes from the POST until it truly answers."""

from __future__ import annotations

import time

from .figures import Figure, ratio_at_most
from .measurement import Measurement, Round, Values
from .observer import first_reply
from .server import Server


def run(server: Server, _round: Round) -> Values:
    """Start one kernel and time the POST and the first reply."""
    asked = time.perf_counter()
    kernel_id = server.start_kernel()
    posted = time.perf_counter()
    ready = first_reply(server.connection_file(kernel_id))
    return {"start": [(ready - asked) * 1000], "start_post": [(posted - asked) * 1000]}


MEASUREMENT = Measurement(
    name="start",
    rounds=20,
    figures=(
        Figure(
            "start", "POST to the first reply to an independent client", "ms", (ratio_at_most(1.1),)
        ),
        Figure("start_post", "of it: until the POST was answered", "ms"),
    ),
    run=run,
)
