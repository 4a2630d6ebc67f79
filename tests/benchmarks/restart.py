"""How long after `kill -9` the next process of the kernel answers."""

from __future__ import annotations

from .death import pause_for_phase
from .figures import Figure, ratio_at_most
from .measurement import Measurement, Round, RoundFailedError, Values
from .observer import first_reply, kill, start_idle_kernel, wait_until_unbound
from .server import Server


def run(server: Server, turn: Round) -> Values:
    """Kill one kernel and time the first reply of its successor, on the same ports."""
    kernel_id = start_idle_kernel(server)
    pause_for_phase(turn.number)
    connection_file = server.connection_file(kernel_id)
    old_pid = server.kernel_pid(kernel_id)
    killed = kill(old_pid)
    wait_until_unbound(connection_file)
    answered = first_reply(connection_file)
    if server.kernel_pid(kernel_id) == old_pid:
        raise RoundFailedError("the killed process answered")
    return {"restart": [(answered - killed) * 1000]}


MEASUREMENT = Measurement(
    name="restart",
    rounds=12,
    figures=(
        Figure(
            "restart",
            "kill -9 to the first reply of the new process to an independent client",
            "ms",
            (ratio_at_most(0.6),),
        ),
    ),
    run=run,
)
