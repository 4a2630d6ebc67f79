"""What may be asked of a kernel in which status."""

from __future__ import annotations

import pytest
from support.dialogues import BIRTH, CONNECTED, after, began, exited, new_kernel, reported, shutdown

from kernel_status_ext.core.model import Kernel
from kernel_status_ext.core.requests import (
    DONE,
    REFUSED,
    Action,
    elsewhere,
    has_nothing_to_interrupt,
    interrupt_refusal,
    refusal,
    start_fault,
)
from kernel_status_ext.core.run import Origin, Run
from kernel_status_ext.core.words import ExecutionState, RunStatus, Status

WORKS = {
    Action.INTERRUPT: {
        *(Status.STARTING, Status.CONNECTING, Status.RESTARTING, Status.AUTORESTARTING),
        *(Status.UNKNOWN, Status.CONNECTED, Status.UNRESPONSIVE),
    },
    Action.RESTART: {
        *(Status.UNKNOWN, Status.CONNECTING, Status.CONNECTED, Status.UNRESPONSIVE),
        *(Status.RESTARTING, Status.AUTORESTARTING, Status.DEAD),
    },
    Action.RUN: {
        *(Status.STARTING, Status.CONNECTING, Status.CONNECTED, Status.UNRESPONSIVE),
        *(Status.RESTARTING, Status.AUTORESTARTING),
    },
}
"""An interrupt of what has not answered is in vain, and taken; a restart needs a process that
answered, or that it is dead; what is to run can wait for a process that is to come."""

WORDED = {
    Action.INTERRUPT: "interrupted",
    Action.RESTART: "restarted",
    Action.RUN: "given anything to run",
}
"""What the sentence says of each."""


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("action", Action)
def test_what_cannot_be_done_is_refused_with_a_sentence(action: Action, status: Status) -> None:
    """A refusal names the kernel, its status, what was asked for and what to do instead."""
    told = refusal(new_kernel(status), action)
    assert (told is None) == (status in WORKS[action])
    if told is not None:
        assert told.startswith(f"Kernel f3c1 is {status}, so it cannot be {WORDED[action]} now: ")
        assert told.endswith(".")


def test_no_signal_reaches_a_process_that_has_not_answered() -> None:
    """Exactly while no process has answered; what runs elsewhere is asked all the same."""
    kernels = {status: new_kernel(status) for status in Status}
    assert {status for status, each in kernels.items() if has_nothing_to_interrupt(each)} == {
        *(Status.STARTING, Status.CONNECTING, Status.RESTARTING, Status.AUTORESTARTING)
    }
    far = after(reported(ExecutionState.STARTING), kernel=new_kernel(Status.UNKNOWN))
    assert not has_nothing_to_interrupt(far)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"name": None, "path": None, "kernel_id": None},
        {"name": "python3", "path": "a/b", "kernel_id": "a-b-c-d-e", "env": {"A": 1}},
        {"kernel_id": "0f8fad5b-d9cb-469f-a165-70867728950e"},
    ],
)
def test_what_a_kernel_can_be_started_by(body: object) -> None:
    """Nothing, an empty object, and fields of the right types are all in order."""
    assert start_fault(body) is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "body"),
        ("python3", "body"),
        (7, "body"),
        (False, "body"),
        ({"name": 7}, "name"),
        ({"name": ["python3"]}, "name"),
        ({"path": {}}, "path"),
        ({"path": True}, "path"),
        ({"kernel_id": 7}, "kernel_id"),
        ({"kernel_id": ""}, "kernel_id"),
        ({"kernel_id": "mine"}, "kernel_id"),
        ({"kernel_id": "a-b-c-d-e/../f"}, "kernel_id"),
        ({"kernel_id": "a-b-c-d-e\n"}, "kernel_id"),
    ],
)
def test_what_no_kernel_can_be_started_by(body: object, named: str) -> None:
    """The sentence names the field, what it was and what is allowed."""
    told = start_fault(body) or ""
    assert named in told.split()[:2]
    assert "allowed is" in told


def test_every_action_is_decided() -> None:
    """No action is without its refusals."""
    assert set(REFUSED) == set(DONE) == set(Action)


def test_what_runs_elsewhere_is_for_its_server_to_refuse() -> None:
    """We do not refuse what we do not see."""
    far = after(reported(ExecutionState.STARTING), kernel=new_kernel(Status.UNKNOWN))
    assert far.status is Status.CONNECTING
    assert refusal(far, Action.INTERRUPT) is None


@pytest.mark.parametrize("running", [(), (began(),)], ids=["idle", "busy"])
def test_a_kernel_of_ours_that_ends_is_never_said_to_run_elsewhere(running: tuple) -> None:
    """Between its exit and the end of its shutdown we refuse in our own words, and it is ours."""
    ending = after(*CONNECTED, *running, shutdown(), exited(0))
    assert ending.status is Status.TERMINATING
    assert (ending.reported, ending.is_seen) == (None, True)
    assert all(refusal(ending, action) for action in Action)


def test_code_for_a_kernel_elsewhere_is_refused_with_a_sentence() -> None:
    """It names the kernel and its status, and what works instead."""
    far = after(reported(ExecutionState.IDLE), kernel=new_kernel(Status.UNKNOWN))
    told = elsewhere(far)
    assert told.startswith("Kernel f3c1 is connected and runs behind a gateway, so no code can be")
    assert "its websocket" in told
    assert told.endswith(".")


# -- interrupting one run ----------------------------------------------------------------------

WORKING = after(*CONNECTED, began("mine", is_run=True))


def run(run_id: str = "mine", status: RunStatus = RunStatus.RUNNING, subshell: str = "") -> Run:
    """A run of that kernel."""
    return Run(
        run_id, WORKING.id, "python3", Origin.API, status, subshell=subshell, queued_at=BIRTH
    )


def test_a_run_at_work_is_interrupted() -> None:
    """What the kernel works on on its main shell is what a signal hits."""
    assert interrupt_refusal(run(), WORKING, all_heard=True) is None


@pytest.mark.parametrize(
    ("theirs", "kernel", "said"),
    [
        (run(status=RunStatus.OK), WORKING, "has ended (ok)"),
        (run(), None, "is not followed by this server"),
        (run("theirs", RunStatus.QUEUED), WORKING, "is queued and not at work"),
        (run("theirs"), WORKING, "is running and not at work"),
        (run(subshell="sub"), WORKING, "works in a subshell"),
        (run(), after(shutdown(), kernel=WORKING), "is terminating, so it cannot be interrupted"),
    ],
)
def test_a_run_that_is_not_at_work_is_not_interrupted(
    theirs: Run, kernel: Kernel | None, said: str
) -> None:
    """A signal would hit somebody else's run: the sentence names both and says what to do."""
    told = interrupt_refusal(theirs, kernel, all_heard=True)
    assert told is not None
    assert said in told
    assert WORKING.id in told
    assert told.endswith(".")
    assert ":" in told or "nothing to interrupt" in told
