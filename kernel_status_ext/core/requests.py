"""What may be asked of a kernel in which status, and the sentence that refuses the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .run import Origin, Run
from .words import Status, Word

if TYPE_CHECKING:
    from .model import Kernel


class Action(Word):
    """What somebody asks Jupyter Server to do with a kernel."""

    INTERRUPT = "interrupt"
    RESTART = "restart"
    RUN = "run"


_LEAVING = "start another one"

REFUSED: dict[Action, dict[Status, str]] = {
    Action.INTERRUPT: {
        Status.TERMINATING: _LEAVING,
        Status.DEAD: "restart it",
    },
    Action.RESTART: {
        Status.STARTING: "wait until it is connected, or shut it down",
        Status.TERMINATING: _LEAVING,
    },
    Action.RUN: {
        Status.UNKNOWN: "look at its reason",
        Status.TERMINATING: _LEAVING,
        Status.DEAD: "restart it",
    },
}

NOTHING_RUNS_YET = frozenset(
    {Status.STARTING, Status.CONNECTING, Status.RESTARTING, Status.AUTORESTARTING}
)
"""Statuses in which no process has answered: an interrupt is in vain, and its signal does harm."""

DONE = {
    Action.INTERRUPT: "interrupted",
    Action.RESTART: "restarted",
    Action.RUN: "given anything to run",
}


def refusal(kernel: Kernel, action: Action) -> str | None:
    """Say why something cannot be done now.

    Args:
        kernel: The kernel.
        action: What is asked for.

    Returns:
        One sentence with what to do instead, or None if it can be done.
    """
    instead = REFUSED[action].get(kernel.status)
    if instead is None or kernel.reported is not None:
        # What runs elsewhere is for its own server to refuse.
        return None
    return f"Kernel {kernel.id} is {kernel.status}, so it cannot be {DONE[action]} now: {instead}."


ADDRESSABLE = re.compile(r"\w+-\w+-\w+-\w+-\w+")
"""The ids of kernels that the routes of jupyter_server 2.21 match."""


def start_fault(body: object) -> str | None:
    """Say what is wrong with the body of a request for a kernel.

    Args:
        body: What was sent, read from JSON; None for nothing.

    Returns:
        One sentence that names the field, or None if a kernel can be started by it.
    """
    if body is None:
        return None
    if not isinstance(body, dict):
        return 'The body is no JSON object; allowed is one such as {"name": "python3"}, or none.'
    for field in ("name", "path", "kernel_id"):
        if not isinstance(body.get(field), str | None):
            return f"{field} is {body[field]!r:.80}; allowed is a text, or null for the default."
    kernel_id = body.get("kernel_id")
    if kernel_id is not None and not ADDRESSABLE.fullmatch(kernel_id):
        return f"kernel_id is {kernel_id!r:.80}; allowed is a UUID, or null for a new one."
    return None


def has_nothing_to_interrupt(kernel: Kernel) -> bool:
    """Tell whether an interrupt is answered as done without any signal."""
    return kernel.status in NOTHING_RUNS_YET and kernel.reported is None


def elsewhere(kernel: Kernel) -> str:
    """Say why code cannot be sent to a kernel whose sockets are not here."""
    return (
        f"Kernel {kernel.id} is {kernel.status} and runs behind a gateway, so no code can be sent "
        "to it by this call: use its websocket, or this call of the server where it runs."
    )


def interrupt_refusal(run: Run, kernel: Kernel | None, *, all_heard: bool) -> str | None:
    """Say why a run cannot be interrupted now without harm to somebody else's.

    Args:
        run: The run.
        kernel: Its kernel, None if that was removed.
        all_heard: Whether all is known that the kernel has said; in a flood it may not be.

    Returns:
        One sentence with what to do instead, or None if its kernel can be interrupted.
    """
    reasons = _interrupt_reasons(run, kernel, all_heard)
    why = next((reason for holds, reason in reasons if holds), "")
    if why or kernel is None:
        return f"Run {run.run_id} of kernel {run.kernel_id} {why}"
    return refusal(kernel, Action.INTERRUPT)


def _interrupt_reasons(
    run: Run,
    kernel: Kernel | None,
    all_heard: bool,  # noqa: FBT001
) -> tuple[tuple[bool, str], ...]:
    is_ours = run.origin is Origin.API
    running = kernel.running if kernel is not None else ()
    return (
        (run.has_ended, f"has ended ({run.status}), so there is nothing to interrupt."),
        (kernel is None, "is not followed by this server: interrupt it where it was started."),
        (run.answer is not None, "was answered and is ending, so there is nothing to interrupt."),
        # The reply to what we sent does not come behind the flood.
        (not all_heard and not is_ours, "may have ended in the flood of its output: try again."),
        (
            run.run_id not in running,
            f"is {run.status} and not at work, so it cannot be interrupted now: wait.",
        ),
        (
            bool(run.subshell),
            "works in a subshell, which no interrupt reaches: wait, or restart the kernel.",
        ),
    )
