"""What may be asked of a kernel in which status."""

from __future__ import annotations

import pytest
from support.dialogues import after, new_kernel, reported

from kernel_status_ext.core.requests import REFUSED, Action, refusal
from kernel_status_ext.core.words import ExecutionState, Status

WORKS = {
    Action.INTERRUPT: {Status.UNKNOWN, Status.CONNECTED, Status.UNRESPONSIVE},
    Action.RESTART: {
        *(Status.UNKNOWN, Status.CONNECTING, Status.CONNECTED, Status.UNRESPONSIVE),
        *(Status.RESTARTING, Status.AUTORESTARTING, Status.DEAD),
    },
}
"""An interrupt needs a process that answered; a restart needs one, or that it is dead."""


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("action", Action)
def test_what_cannot_be_done_is_refused_with_a_sentence(action: Action, status: Status) -> None:
    """A refusal names the kernel, its status, what was asked for and what to do instead."""
    told = refusal(new_kernel(status), action)
    assert (told is None) == (status in WORKS[action])
    if told is not None:
        assert told.startswith(f"Kernel f3c1 is {status}, so it cannot be {action}ed now: ")
        assert told.endswith(".")


def test_every_action_is_decided() -> None:
    """No action is without its refusals."""
    assert set(REFUSED) == set(Action)


def test_what_runs_elsewhere_is_for_its_server_to_refuse() -> None:
    """We do not refuse what we do not see."""
    far = after(reported(ExecutionState.STARTING), kernel=new_kernel(Status.UNKNOWN))
    assert far.status is Status.CONNECTING
    assert refusal(far, Action.INTERRUPT) is None
