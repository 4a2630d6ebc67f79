"""What the seam holds for one kernel, what may be configured, and on whose behalf it acts."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..core.words import RequestedBy
from ..tracking.follower import Follower
from ..tracking.heartbeat import Rhythm
from ..tracking.history import Keep
from ..tracking.ledger import Recording
from .pollers import Pollers
from .turns import Turn

if TYPE_CHECKING:
    from .launches import Launch

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
    capture_stderr: bool = True
    stderr_tail: int = 16384
    crash_traces: bool = False
    rhythm: Rhythm = field(default_factory=Rhythm)
    history_path: str = ":memory:"
    keep: Keep = field(default_factory=Keep)
    recording: Recording = field(default_factory=Recording)


class Sight(Enum):
    """What can be seen of a kernel from here."""

    OWN = "own"
    """Jupyter launches its processes here, and we watch them."""
    EXTERNAL = "external"
    """Somebody else launched it; its sockets tell what it does."""
    REMOTE = "remote"
    """Only its manager tells of it (gateway)."""


@dataclass(eq=False, slots=True)
class Charge:
    """What is held for one kernel."""

    kernel_id: str
    manager: Manager
    turn: Turn
    sight: Sight = Sight.OWN
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared while the call that starts it has not come to its end."""
    follower: Follower | None = None
    protocol: str = ""
    """The protocol's version that its process speaks; empty before it ever answered."""
    launch: Launch | None = None
    """How its present process was launched."""
    buffered: int | None = None
    """The generation whose messages were buffered first for a client that lost its connection."""
    restart_limit: int | None = None
    """The restarter's own limit, as configured; None before there is a restarter."""
    to_move: bool = False
    """Whether its next process is to get other ports: it could not have its own."""
    moves: int = 0
    """How often that was so since it answered last, or was asked for."""
    counted: bool | None = None
    """Whether core's gauge counts it as running; None until core has counted its start."""
    to_remove: bool = False
    """Whether its removal was asked for: nothing starts it again."""
    pollers: Pollers = field(default_factory=Pollers)
    """Who in this server has to see its death before it is restarted."""
    retention: Any = None
    """The timer that removes a dead kernel."""

    @property
    def child(self) -> subprocess.Popen[bytes] | None:
        """Its process if that is a child of ours; None for none, or one that is elsewhere."""
        # jupyter_client 8.10, LocalProvisioner.process
        process = getattr(self.manager.provisioner, "process", None)
        return process if isinstance(process, subprocess.Popen) else None

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


_many: ContextVar[bool] = ContextVar("kernel_status_many", default=False)


@contextmanager
def many() -> Iterator[None]:
    """Record that the models made inside are a list's."""
    token = _many.set(True)
    try:
        yield
    finally:
        _many.reset(token)


_plain: ContextVar[bool] = ContextVar("kernel_status_plain", default=False)


@contextmanager
def plain_models() -> Iterator[None]:
    """Record that the models made inside are extended by whoever asks for them."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def wants_plain_models() -> bool:
    """Tell whether a model that is made now is to stay as upstream makes it."""
    return _plain.get()


def listing() -> bool:
    """Tell whether a model that is made now is one of many."""
    return _many.get()
