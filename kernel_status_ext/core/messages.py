"""What a message on iopub says: its header, and the event that a status makes.

Cheap by design (docs/explanation/architecture.md): a header is all that is read of most messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from .events import Event, RequestBegan, RequestEnded
from .model import MAIN_SHELL, Request

if TYPE_CHECKING:
    from datetime import datetime

M = TypeVar("M")

CONTROL_TYPES = frozenset(
    {
        "create_subshell_request",
        "debug_request",
        "delete_subshell_request",
        "interrupt_request",
        "list_subshell_request",
        "shutdown_request",
        "usage_request",
    }
)
"""Requests that only travel on the control channel: they say nothing of what a shell does.

Messaging protocol 5.4 (control channel), JEP 91 (subshells), ipykernel's ``usage_request``.
"""

RUN = "execute_request"
"""The request that makes a run."""

Tracked = Callable[[str | None], bool]
"""``MappingKernelManager.track_message_type``: whether a type counts as the user's activity."""


ID_LENGTH = 256
"""Characters of an id, or of a type; what has longer ones is not followed."""

Id = Annotated[str, msgspec.Meta(max_length=ID_LENGTH)]


class Header(msgspec.Struct, frozen=True):
    """The fields of a header or parent header that are looked at."""

    msg_type: Id | None = None
    msg_id: Id | None = ""
    subshell_id: Id | None = None
    version: str | None = None
    """The protocol's."""


class StatusContent(msgspec.Struct, frozen=True):
    """The content of an iopub ``status`` message."""

    execution_state: str


class GarbledMessage(ValueError):
    """What was read is no message of the protocol."""


def _reader(kind: type[M]) -> Callable[[bytes], M]:
    decode = msgspec.json.Decoder(kind).decode

    def read(raw: bytes) -> M:
        try:
            return decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise GarbledMessage(str(error)) from error

    return read


read_header = _reader(Header)
"""Read a header (bytes); raises GarbledMessage. An empty parent header gives an empty Header."""

_read_status = _reader(StatusContent)


def is_activity(
    header: Header, parent: Header, tracked: Tracked, *, busy: bool, server_session: str
) -> bool:
    """Tell whether a message moves ``last_activity``.

    The rule of ``MappingKernelManager.start_watching_activity`` (jupyter_server 2.21), except
    that requests on control and the server's own questions never count: neither polling a
    kernel's memory nor asking whether it lives must keep it alive.

    Args:
        header: The message's.
        parent: The header of the request that it is about.
        tracked: Which types count.
        busy: Whether the kernel works.
        server_session: The messaging session of what this server asks.
    """
    if parent.msg_type in CONTROL_TYPES or _is_own_question(parent, server_session):
        return False
    return busy or tracked(header.msg_type) or tracked(parent.msg_type)


def _is_own_question(parent: Header, server_session: str) -> bool:
    # jupyter_client 8.10, Session.msg_id begins with the session's id.
    is_question = parent.msg_type == "kernel_info_request"
    return is_question and (parent.msg_id or "").startswith(server_session)


def status_event(
    parent: Header, content: bytes, tracked: Tracked, generation: int, at: datetime
) -> Event | None:
    """Make the event of an iopub ``status`` message.

    Args:
        parent: The request that the status is about; empty where it is about none.
        content: The message's content, undecoded.
        tracked: Which types count.
        generation: The process that sent it.
        at: When it was received.

    Returns:
        The event, or None if the status says nothing about a tracked request or a run.

    Raises:
        GarbledMessage: The content is no status.
    """
    said = _read_status(content).execution_state
    is_run = parent.msg_type == RUN
    if parent.msg_type in CONTROL_TYPES or not (is_run or tracked(parent.msg_type)):
        return None
    request = Request(parent.msg_id or "", parent.subshell_id or MAIN_SHELL, is_run)
    if said == "busy":
        return RequestBegan(generation, at, request)
    if said == "idle":
        return RequestEnded(generation, at, request)
    return None
