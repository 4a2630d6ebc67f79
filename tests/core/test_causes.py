"""Words for ends and for starts that fail: cause, sentence, next step."""

from __future__ import annotations

import doctest
import signal

import pytest

from kernel_status_ext.core import causes
from kernel_status_ext.core.causes import (
    REQUESTED,
    crash_loop,
    explain_end,
    explain_launch,
    overdue,
    sentence,
    signal_name,
    signal_of,
    silent,
)
from kernel_status_ext.core.model import Exit
from kernel_status_ext.core.words import Cause, RequestedBy

NAMED = {
    "SIGKILL": Cause.KILLED,
    "SIGSEGV": Cause.SEGMENTATION_FAULT,
    "SIGABRT": Cause.ABORTED,
    "SIGBUS": Cause.BUS_ERROR,
    "SIGILL": Cause.ILLEGAL_INSTRUCTION,
    "SIGFPE": Cause.FLOATING_POINT_EXCEPTION,
    "SIGTERM": Cause.TERMINATED,
    "SIGINT": Cause.INTERRUPTED,
    "SIGXCPU": Cause.CPU_LIMIT_EXCEEDED,
}
"""The contract's causes "by signal"; any other signal is Signaled."""

NEVER_LAUNCHED = {
    Cause.KERNELSPEC_NOT_FOUND,
    Cause.EXECUTABLE_NOT_FOUND,
    Cause.PERMISSION_DENIED,
    Cause.LAUNCH_FAILED,
    Cause.PROVISIONER_FAILED,
}

HERE = [name for name in NAMED if hasattr(signal, name)]
"""Not every platform has every signal."""


def test_the_examples_in_the_docstrings_hold() -> None:
    """What the docstrings show is what the functions do."""
    outcome = doctest.testmod(causes)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "never answered"])
@pytest.mark.parametrize("name", HERE)
def test_every_signal_of_the_contract_has_its_cause(name: str, answered: bool) -> None:
    """A signal is named by its cause and in the sentence, with a hint of its own."""
    number = int(getattr(signal, name))
    account = explain_end(Exit(None, number), 3.25, answered=answered)
    assert account.cause is NAMED[name]
    assert name in account.happened
    assert account.hint


@pytest.mark.parametrize("name", HERE)
def test_a_shells_128_and_more_is_that_signal(name: str) -> None:
    """The cause is the signal's, and the sentence keeps the exit code."""
    number = int(getattr(signal, name))
    account = explain_end(Exit(128 + number), 3.25, answered=True)
    assert account.cause is NAMED[name]
    assert name in account.happened
    assert str(128 + number) in account.happened


def test_signals_have_reasons_of_their_own() -> None:
    """No two signals that the contract names are told alike, nor with the same code."""
    numbers = [int(getattr(signal, name)) for name in HERE]
    told = {explain_end(Exit(None, number), None, answered=True) for number in numbers}
    assert len({account.happened for account in told}) == len(HERE)
    assert len({account.cause for account in told}) == len(HERE)


def test_another_signal_is_signaled() -> None:
    """Signals that the contract does not name have one cause and still say their name."""
    account = explain_end(Exit(None, int(signal.SIGHUP)), 1, answered=True)
    assert account.cause is Cause.SIGNALED
    assert "SIGHUP" in account.happened


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    """Real-time signals have no names."""
    assert signal_name(40) == "signal 40"
    account = explain_end(Exit(None, 40), 1, answered=True)
    assert account.cause is Cause.SIGNALED
    assert "signal 40" in account.happened


@pytest.mark.parametrize(
    ("ended", "number"),
    [
        (Exit(None, 9), 9),
        (Exit(137), 9),
        (Exit(143), 15),
        (Exit(None, 40), 40),
        (Exit(0), None),
        (Exit(1), None),
        (Exit(127), None),
        (Exit(128), None),
        (Exit(255), None),
        (Exit(3221225477), None),
        (Exit(), None),
    ],
)
def test_which_exits_are_signals(ended: Exit, number: int | None) -> None:
    """A code is a signal only where 128 and a signal that exists make it up."""
    assert signal_of(ended) == number


@pytest.mark.parametrize(
    ("ended", "answered", "cause"),
    [
        (Exit(0), True, Cause.EXITED),
        (Exit(1), True, Cause.ERROR),
        (Exit(255), True, Cause.ERROR),
        (Exit(), True, Cause.LOST),
        (Exit(0), False, Cause.START_FAILED),
        (Exit(1), False, Cause.START_FAILED),
        (Exit(), False, Cause.START_FAILED),
    ],
)
def test_an_exit_by_itself_has_its_cause(ended: Exit, answered: bool, cause: Cause) -> None:
    """0 is an exit, more an error, and what never answered failed to start."""
    account = explain_end(ended, 2, answered=answered)
    assert account.cause is cause
    assert account.hint


def test_two_codes_are_two_sentences() -> None:
    """The sentence says what was measured."""
    one, other = (explain_end(Exit(code), 2, answered=True).happened for code in (3, 4))
    assert one != other
    assert "code 3" in one


def test_the_age_is_told_where_it_is_known() -> None:
    """How long a process lived stands in the sentence, to a tenth of a second."""
    assert "12.3 s after its start" in explain_end(Exit(1), 12.34, answered=True).happened
    assert "after its start" not in explain_end(Exit(1), None, answered=True).happened


def test_what_happened_can_be_followed_by_a_next_step() -> None:
    """An account has no full stop, a sentence has exactly one at its end."""
    account = explain_end(Exit(1), 1, answered=True)
    told = sentence(account.happened, account.hint, "", "restart it")
    assert told == f"{account.happened}; {account.hint}; restart it."
    assert not account.happened.endswith(".")


def test_who_can_ask_for_an_end() -> None:
    """Each requester of the contract has a cause and a sentence, no two the same."""
    assert set(REQUESTED) == set(RequestedBy)
    assert {cause for cause, _ in REQUESTED.values()} == {
        Cause.SHUTDOWN,
        Cause.RESTARTED,
        Cause.CULLED,
        Cause.SERVER_STOPPED,
    }
    assert len({told for _, told in REQUESTED.values()}) == len(RequestedBy)


def test_overdue_and_silent_say_what_was_measured() -> None:
    """Both name the seconds and a next step."""
    assert "60 s" in overdue(60.0)
    assert "2.5 s" in overdue(2.5)
    assert "15 s" in silent(15.0)
    assert "restart it" in overdue(60)
    assert "restart it" in silent(15)


def test_a_crash_loop_counts_and_quotes() -> None:
    """Giving up names how often it was tried, the last death and what to do."""
    told = crash_loop(5, "The kernel was killed by SIGSEGV")
    assert told.startswith("The kernel was killed by SIGSEGV")
    assert "5 automatic restarts" in told
    assert told.endswith("restart it to go on.")
    assert "without an automatic restart" in crash_loop(0, "x")


@pytest.mark.parametrize("cause", sorted(NEVER_LAUNCHED))
def test_a_launch_that_failed_names_its_kernelspec(cause: Cause) -> None:
    """Every cause of "never launched" has a sentence with the kernelspec and a next step."""
    told = explain_launch(cause, "mykernel", "no /opt/x")
    assert "'mykernel'" in told
    assert "; " in told
    assert told.endswith(".")
    assert "/opt/x" in told or cause is Cause.KERNELSPEC_NOT_FOUND
    assert told != explain_launch(cause, "other", "no /opt/x")


def test_launch_failures_are_told_apart() -> None:
    """No two causes of "never launched" have the same sentence."""
    told = {explain_launch(cause, "mykernel", "detail") for cause in NEVER_LAUNCHED}
    assert len(told) == len(NEVER_LAUNCHED)
