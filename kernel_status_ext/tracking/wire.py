"""What the seam gives to follow one process: its sockets, its session, its process."""

from __future__ import annotations

import hmac
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import zmq

from ..core.messages import Tracked
from .process import Poll


class Signer(Protocol):
    """The part of ``jupyter_client.session.Session`` that is used."""

    session: str
    """Its id, with which the ids of its messages begin."""

    def sign(self, msg_list: list[bytes]) -> bytes:
        """Sign header, parent header, metadata and content."""

    def msg(self, msg_type: str) -> dict[str, Any]:
        """Make a message."""

    def serialize(self, msg: dict[str, Any]) -> list[bytes]:
        """Make its frames, signed."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One process of one kernel, as far as it can be reached.

    Attributes:
        kernel_id: Whose it is.
        connect: Opens a socket to a channel (``shell``, ``control``, ``iopub``, ``hb``).
        connect_patiently: The same, for a kernel that takes long: retries once a second.
        session: Signs what we send and tells whether what we hear is the kernel's.
        process: The process if it is a child of ours.
        poll: The provisioner's poll, for one that is not; None if nobody here can see it.
        tracked: Which message types are the user's activity.
        on_activity: Called when the user's activity is heard.
        on_reply: Called with the protocol's version when the process answers us.
    """

    kernel_id: str
    connect: Callable[[str], zmq.Socket[Any]]
    connect_patiently: Callable[[str], zmq.Socket[Any]]
    session: Signer
    process: subprocess.Popen[bytes] | None
    poll: Poll | None
    tracked: Tracked
    on_activity: Callable[[], None]
    on_reply: Callable[[str], None]

    def is_genuine(self, parts: list[bytes]) -> bool:
        """Tell whether a message (from its signature on) was signed with the kernel's key."""
        return hmac.compare_digest(self.session.sign(parts[1:5]), parts[0])
