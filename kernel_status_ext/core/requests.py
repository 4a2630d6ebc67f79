"""What may be asked of a kernel in which status, and the sentence that refuses the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .words import Status, Word

if TYPE_CHECKING:
    from .model import Kernel


class Action(Word):
    """What somebody asks Jupyter Server to do with a kernel."""

    INTERRUPT = "interrupt"
    RESTART = "restart"


_COMING = "wait until it is connected, or restart it"
_IN_BETWEEN = "wait until it is connected"
_LEAVING = "start another one"

REFUSED: dict[Action, dict[Status, str]] = {
    Action.INTERRUPT: {
        Status.STARTING: "wait until it is connected, or shut it down",
        Status.CONNECTING: _COMING,
        Status.RESTARTING: _IN_BETWEEN,
        Status.AUTORESTARTING: _IN_BETWEEN,
        Status.TERMINATING: _LEAVING,
        Status.DEAD: "restart it",
    },
    Action.RESTART: {
        Status.STARTING: "wait until it is connected, or shut it down",
        Status.TERMINATING: _LEAVING,
    },
}


DONE = {Action.INTERRUPT: "interrupted", Action.RESTART: "restarted"}


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
