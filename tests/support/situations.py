"""Kernels in all the situations that the table of the lifecycle tells apart."""

from __future__ import annotations

from kernel_status_ext.core.model import Kernel
from kernel_status_ext.core.words import ExecutionState, Status

from .dialogues import (
    CONNECTED,
    News,
    after,
    answered,
    blocked,
    completed,
    died,
    exited,
    found,
    launch_failed,
    new_kernel,
    reported,
    restart,
    shutdown,
    silent,
    started,
)


def elsewhere(*news: News) -> Kernel:
    """A kernel that was met running where we see no process."""
    return after(*news, kernel=new_kernel(Status.UNKNOWN))


UNSEEN = {
    Status.UNKNOWN: [elsewhere(reported(ExecutionState.UNKNOWN))],
    Status.CONNECTING: [elsewhere(reported(ExecutionState.STARTING))],
    Status.CONNECTED: [elsewhere(reported(ExecutionState.IDLE))],
}
"""Kernels that run elsewhere; only `Reported` tells these apart from others of their status."""

KERNELS: dict[Status, list[Kernel]] = {
    Status.UNKNOWN: UNSEEN[Status.UNKNOWN],
    Status.STARTING: [after()],
    Status.CONNECTING: [after(started())],
    Status.CONNECTED: [
        after(*CONNECTED),
        after(*CONNECTED, restart(), exited(0), started(), answered()),
        after(*CONNECTED, blocked()),
        elsewhere(found()),
    ],
    Status.UNRESPONSIVE: [after(*CONNECTED, silent())],
    Status.RESTARTING: [
        after(*CONNECTED, restart()),
        after(started(), restart()),
        after(*CONNECTED, restart(), exited(0)),
        after(*CONNECTED, exited(1), restart()),
        after(*CONNECTED, restart(), exited(0), started()),
        after(launch_failed(), restart()),
        after(launch_failed(), restart(), started()),
    ],
    Status.AUTORESTARTING: [
        after(*CONNECTED, died(1)),
        after(started(), died(1)),
        after(*CONNECTED, died(1), started()),
    ],
    Status.TERMINATING: [
        after(*CONNECTED, shutdown()),
        after(started(), shutdown()),
        after(*CONNECTED, restart(), shutdown()),
        after(*CONNECTED, died(1), shutdown()),
        after(shutdown()),
        after(*CONNECTED, shutdown(), exited(0)),
        after(shutdown(), started()),
    ],
    Status.DEAD: [
        after(*CONNECTED, exited(1)),
        after(started(), exited(1)),
        after(*CONNECTED, shutdown(), exited(0), completed()),
        after(shutdown(), completed()),
        after(launch_failed()),
    ],
}
"""For each status, kernels in all the situations that the rows tell apart."""
