"""What the seam holds for one kernel, what may be configured, and on whose behalf it acts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ..core.words import RequestedBy
from ..tracking.follower import Follower
from ..tracking.heartbeat import Rhythm
from .turns import Turn

# The managers are dynamic classes of whatever is configured: there is no static type for them.
Manager = Any


@dataclass(frozen=True, slots=True)
class Settings:
    """What the administrator may set (contract, section 7); times in seconds."""

    start_timeout: float = 60
    start_retries: int = 0
    fast_restart: bool = True
    dead_kernel_retention: float = 86400
    max_dead_kernels: int = 100
    rhythm: Rhythm = field(default_factory=Rhythm)


@dataclass(eq=False, slots=True)
class Charge:
    """What is held for one kernel."""

    kernel_id: str
    manager: Manager
    turn: Turn
    seen: bool = True
    """Whether we see its processes; a gateway's and an external kernel's we do not."""
    follower: Follower | None = None
    restart_limit: int | None = None
    """The restarter's own limit, as configured; None before there is a restarter."""
    counted: bool | None = None
    """Whether core's gauge counts it as running; None until core has counted its start."""
    retention: Any = None
    """The timer that removes a dead kernel."""

    def stop_following(self) -> None:
        """Close all that was opened for its process."""
        if self.follower is not None:
            self.follower.close()
            self.follower = None


requested_by: ContextVar[RequestedBy] = ContextVar(
    "kernel_status_requested_by", default=RequestedBy.SHUTDOWN
)
"""On whose behalf the present task shuts kernels down."""

restarter_acts: ContextVar[bool] = ContextVar("kernel_status_restarter_acts", default=False)
"""Whether the present task is Jupyter's restarter at work."""


@contextmanager
def on_behalf_of(by: RequestedBy) -> Iterator[None]:
    """Record who asks for the shutdowns made inside."""
    token = requested_by.set(by)
    try:
        yield
    finally:
        requested_by.reset(token)
