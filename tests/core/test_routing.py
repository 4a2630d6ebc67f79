"""Who reads which messages: each type of the protocol once, or not at all for a reason."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from support.dialogues import new_kernel

from kernel_status_ext.core.messages import CONTROL_TYPES, Header
from kernel_status_ext.core.routing import (
    NOT_ROUTED,
    Channel,
    Claim,
    Message,
    Reading,
    Routing,
    SecondClaim,
)
from kernel_status_ext.tracking.errands import Errands
from kernel_status_ext.tracking.follower import Follower
from kernel_status_ext.tracking.ledger import Ledger, Recording
from kernel_status_ext.tracking.run_reading import RunReading
from kernel_status_ext.tracking.tracker import Tracker

LOG = logging.getLogger("test_routing")

HALVES = ("request", "reply")

# Jupyter's messaging protocol 5.5, section by section, as its text names the messages.
REQUESTS_ON_SHELL = [
    *("execute", "inspect", "complete", "history", "is_complete", "connect", "comm_info"),
    "kernel_info",
]
REQUESTS_ON_CONTROL = [
    *("shutdown", "interrupt", "debug", "kernel_info"),
    # "Kernel subshells", of JEP 91
    *("create_subshell", "delete_subshell", "list_subshell"),
]
ON_IOPUB = [
    *("iopub_welcome", "stream", "display_data", "update_display_data", "execute_input"),
    *("execute_result", "error", "status", "clear_output", "debug_event"),
]
# "The Kernel listens for these messages on the Shell channel, and the Frontend on IOPub."
COMMS = ["comm_open", "comm_msg", "comm_close"]

PROTOCOL: list[Claim] = [
    *((Channel.SHELL, f"{each}_{half}") for each in REQUESTS_ON_SHELL for half in HALVES),
    *((Channel.CONTROL, f"{each}_{half}") for each in REQUESTS_ON_CONTROL for half in HALVES),
    *((Channel.IOPUB, each) for each in ON_IOPUB),
    *((channel, each) for each in COMMS for channel in (Channel.SHELL, Channel.IOPUB)),
    *((Channel.STDIN, f"input_{half}") for half in HALVES),
]

BEYOND_THE_PROTOCOL: dict[Claim, str] = {
    (Channel.CONTROL, "usage_request"): "ipykernel's",
    (Channel.CONTROL, "usage_reply"): "ipykernel's",
    (Channel.IOPUB, "shutdown_reply"): "ipykernel tells everybody of its end",
}
"""What kernels are known to send that the protocol's text does not name, and whose it is."""

KNOWN = {*PROTOCOL, *BEYOND_THE_PROTOCOL}


def reading() -> RunReading:
    """The readers for the runs of a process."""
    tracker = Tracker(LOG)
    ledger = Ledger(tracker, Recording(), lambda _: (None, None), LOG)
    errands = Errands(tracker, ledger, lambda _: None, _nobody, LOG)
    return RunReading(tracker, ledger, errands, new_kernel(), lambda: None)


async def _nobody(_kernel_id: str) -> None:
    """Interrupt nobody."""


def routed() -> frozenset[Claim]:
    """What the followers of this server read, registered as each of them does it."""
    routing = Routing()
    # A follower opens sockets; what it claims it says without any.
    for bundle in (Follower.__new__(Follower), reading()):
        routing.register(bundle)
    return routing.routed


ROUTED = routed()


def named(claims: set[Claim] | frozenset[Claim]) -> list[str]:
    """Name message types for people."""
    return sorted(f"{kind} on {channel}" for channel, kind in claims)


def test_every_message_of_the_protocol_is_routed_or_has_a_reason() -> None:
    """Nothing that a kernel or a client may send was overlooked."""
    assert named(KNOWN - ROUTED - set(NOT_ROUTED)) == []


def test_nothing_is_routed_or_excused_that_nobody_sends() -> None:
    """A reader of a misspelt type would never see any."""
    assert named((ROUTED | set(NOT_ROUTED)) - KNOWN) == []


def test_nothing_is_excused_that_is_routed() -> None:
    """What is read is not said to be read by nobody."""
    assert named(ROUTED & set(NOT_ROUTED)) == []


def test_the_protocol_is_written_down_once() -> None:
    """Each type of each channel stands in one place of this file."""
    assert len(PROTOCOL) + len(BEYOND_THE_PROTOCOL) == len(KNOWN)


@pytest.mark.parametrize("claim", NOT_ROUTED, ids=lambda claim: f"{claim[1]}-{claim[0]}")
def test_every_reason_is_one(claim: Claim) -> None:
    """Who wonders why a type is read by nobody finds some words that say it."""
    reason = NOT_ROUTED[claim]
    assert len(reason.split()) >= 4, named({claim})
    assert reason == reason.strip().rstrip("."), named({claim})


def test_control_is_what_only_travels_on_control() -> None:
    """The list that keeps control from counting is the protocol's, and ipykernel's."""
    on_shell = {kind for channel, kind in KNOWN if channel is Channel.SHELL}
    on_control = {kind for channel, kind in KNOWN if channel is Channel.CONTROL}
    requests = {kind for kind in on_control - on_shell if kind.endswith("_request")}
    assert requests == CONTROL_TYPES


# -- registering -----------------------------------------------------------------------------


class Tape:
    """A bundle that notes what it is given."""

    def __init__(self, *claims: Claim) -> None:
        """Begin with nothing heard."""
        self._claims = claims
        self.heard: list[Message] = []

    def claims(self) -> Mapping[Claim, Reading]:
        """Name what it reads."""
        return dict.fromkeys(self._claims, self.heard.append)


def test_a_second_claim_is_refused_and_names_the_culprit() -> None:
    """One of the two would never see any; the first goes on as before."""
    routing, first = Routing(), Tape((Channel.SHELL, "x"))
    routing.register(first)
    second = Tape((Channel.IOPUB, "y"), (Channel.SHELL, "x"))
    with pytest.raises(SecondClaim) as caught:
        routing.register(second)
    assert "Tape claims x on shell" in str(caught.value)
    assert routing.routed == {(Channel.SHELL, "x")}, "all of it or nothing"
    found: Any = routing.reading(Channel.SHELL, "x")
    found("m")
    assert (first.heard, second.heard) == (["m"], [])


def test_a_type_may_be_read_on_each_channel_by_another() -> None:
    """A claim is a type on a channel."""
    routing = Routing()
    routing.register(Tape((Channel.SHELL, "x")))
    routing.register(Tape((Channel.IOPUB, "x")))
    assert routing.routed == {(Channel.SHELL, "x"), (Channel.IOPUB, "x")}


@pytest.mark.parametrize("kind", ["y", "", None])
def test_what_nobody_claims_is_read_by_nobody(kind: str | None) -> None:
    """Kernels send what they like, also messages without a type."""
    routing = Routing()
    routing.register(Tape((Channel.SHELL, "x")))
    assert routing.reading(Channel.SHELL, kind) is None
    assert routing.reading(Channel.IOPUB, "x") is None


def test_a_message_has_its_content_undecoded() -> None:
    """Signature, header, parent, metadata, content; buffers may follow."""
    parts = [b"s", b"h", b"p", b"m", b"c", b"buffer"]
    message = Message(Header(), Header(), parts)
    assert message.content == b"c"
    assert message.is_genuine()
