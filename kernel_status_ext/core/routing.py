"""Who reads which messages of the protocol: readers register themselves, each type once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .messages import Header
from .words import Word


class Channel(Word):
    """A channel of the messaging protocol that statements about runs and kernels travel on."""

    SHELL = "shell"
    IOPUB = "iopub"
    STDIN = "stdin"
    CONTROL = "control"


@dataclass(eq=False, slots=True)
class Sender:
    """Somebody whose requests go by one socket: a shell answers them in their order.

    Attributes:
        username: The authenticated user; None where not known.
    """

    username: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way past.

    Attributes:
        header: What it says of itself.
        parent: The header of what it is about; empty for none.
        parts: Signature, header, parent header, metadata and content; buffers may follow.
        sender: Whose request it is, or whose request it answers; None on iopub.
        is_genuine: Tells whether it was signed with the kernel's key.
    """

    header: Header
    parent: Header
    parts: list[bytes]
    sender: Sender | None = None
    is_genuine: Callable[[], bool] = field(default=lambda: True)

    @property
    def content(self) -> bytes:
        """Its content, undecoded."""
        return self.parts[4]


Claim = tuple[Channel, str]
"""A channel and a message type."""

Reading = Callable[[Message], None]


class Bundle(Protocol):
    """Somebody who reads messages of some types."""

    def claims(self) -> Mapping[Claim, Reading]:
        """Name what it reads."""


class SecondClaim(ValueError):
    """Two readers claim messages of one type: one of them would never see any."""


class Routing:
    """The readers of one process's messages."""

    def __init__(self) -> None:
        """Begin with none."""
        self._readings: dict[Claim, Reading] = {}

    def register(self, bundle: Bundle) -> None:
        """Have a bundle read what it claims.

        Raises:
            SecondClaim: Somebody reads that already.
        """
        claims = bundle.claims()
        for channel, kind in claims:
            if (channel, kind) in self._readings:
                raise SecondClaim(
                    f"{type(bundle).__name__} claims {kind} on {channel}, which somebody reads "
                    "already: one type has one reader; have that one tell the other."
                )
        self._readings.update(claims)

    def reading(self, channel: Channel, kind: str | None) -> Reading | None:
        """Return who reads messages of a type, or None."""
        return self._readings.get((channel, kind or ""))

    @property
    def routed(self) -> frozenset[Claim]:
        """What is read."""
        return frozenset(self._readings)


_ITS_OWN = "each question reads the answer to itself on a socket of its own (tracking/probe.py)"
_NO_RUN = "neither a run nor a change of state: a client's own business"
_CONTROL = "control never says what a shell does (docs/explanation/architecture.md)"
_COMM = "widgets and other extensions of a client: it is the client that keeps their state"
_SHUTDOWN = "the end of a process is seen from the process itself, whoever asked for it"

NOT_ROUTED: dict[Claim, str] = {
    (Channel.SHELL, "kernel_info_request"): _NO_RUN,
    (Channel.SHELL, "kernel_info_reply"): _ITS_OWN,
    (Channel.SHELL, "inspect_request"): _NO_RUN,
    (Channel.SHELL, "inspect_reply"): _NO_RUN,
    (Channel.SHELL, "complete_request"): _NO_RUN,
    (Channel.SHELL, "complete_reply"): _NO_RUN,
    (Channel.SHELL, "history_request"): _NO_RUN,
    (Channel.SHELL, "history_reply"): _NO_RUN,
    (Channel.SHELL, "is_complete_request"): _NO_RUN,
    (Channel.SHELL, "is_complete_reply"): _NO_RUN,
    (Channel.SHELL, "connect_request"): _NO_RUN,
    (Channel.SHELL, "connect_reply"): _NO_RUN,
    (Channel.SHELL, "comm_info_request"): _COMM,
    (Channel.SHELL, "comm_info_reply"): _COMM,
    (Channel.SHELL, "comm_open"): _COMM,
    (Channel.SHELL, "comm_msg"): _COMM,
    (Channel.SHELL, "comm_close"): _COMM,
    (Channel.IOPUB, "comm_open"): _COMM,
    (Channel.IOPUB, "comm_msg"): _COMM,
    (Channel.IOPUB, "comm_close"): _COMM,
    (Channel.IOPUB, "debug_event"): "the debugger of a client follows it itself",
    (Channel.IOPUB, "iopub_welcome"): "that anything is heard is enough to know we are subscribed",
    (Channel.IOPUB, "shutdown_reply"): _SHUTDOWN,
    (Channel.CONTROL, "kernel_info_request"): _CONTROL,
    (Channel.CONTROL, "kernel_info_reply"): _ITS_OWN,
    (Channel.CONTROL, "shutdown_request"): _SHUTDOWN,
    (Channel.CONTROL, "shutdown_reply"): _SHUTDOWN,
    (Channel.CONTROL, "interrupt_request"): _CONTROL,
    (Channel.CONTROL, "interrupt_reply"): _CONTROL,
    (Channel.CONTROL, "debug_request"): _CONTROL,
    (Channel.CONTROL, "debug_reply"): _CONTROL,
    (Channel.CONTROL, "create_subshell_request"): _CONTROL,
    (Channel.CONTROL, "create_subshell_reply"): _CONTROL,
    (Channel.CONTROL, "delete_subshell_request"): _CONTROL,
    (Channel.CONTROL, "delete_subshell_reply"): _CONTROL,
    (Channel.CONTROL, "list_subshell_request"): _CONTROL,
    (Channel.CONTROL, "list_subshell_reply"): _CONTROL,
    (Channel.CONTROL, "usage_request"): _CONTROL,
    (Channel.CONTROL, "usage_reply"): _CONTROL,
}
"""Messages of the protocol (5.4, JEP 91, ipykernel's usage) that nobody here reads, and why."""
