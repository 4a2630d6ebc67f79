"""Words for every end and every start that fails: cause, sentence, hint."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .words import Cause, RequestedBy

if TYPE_CHECKING:
    from .model import Exit

RESTARTING = "it is being restarted automatically and its variables are lost"
RESTART_IT = "restart it to go on"
DEAD_ELSEWHERE = "The kernel's remote server says that it is dead"
UNHEARD = "The server that runs the kernel cannot tell what it does; look whether it can be reached"


@dataclass(frozen=True, slots=True)
class Account:
    """What is told of an end: for programs, for people, and what to do."""

    cause: Cause
    happened: str
    hint: str


SHELL_OFFSET = 128
"""A shell tells of a child that was killed by signal n as exit code 128 + n."""

_SIGNAL_CAUSES: dict[str, tuple[Cause, str]] = {
    "SIGKILL": (
        Cause.KILLED,
        "the sender is not known: look in the system log for an out-of-memory kill or a limit",
    ),
    "SIGSEGV": (
        Cause.SEGMENTATION_FAULT,
        "native code crashed: run the last cell in small parts to find the library",
    ),
    "SIGABRT": (
        Cause.ABORTED,
        "native code gave up: its last words are in the server's log",
    ),
    "SIGBUS": (
        Cause.BUS_ERROR,
        "often a mapped file that was cut or a full /dev/shm: check both",
    ),
    "SIGILL": (
        Cause.ILLEGAL_INSTRUCTION,
        "a library was built for another processor: reinstall it for this machine",
    ),
    "SIGFPE": (
        Cause.FLOATING_POINT_EXCEPTION,
        "native code divided by zero: run the last cell in small parts to find the library",
    ),
    "SIGTERM": (
        Cause.TERMINATED,
        "somebody asked it to end: check job schedulers and scripts that use kill",
    ),
    "SIGINT": (
        Cause.INTERRUPTED,
        "it did not handle an interrupt: interrupt only while a cell runs",
    ),
    "SIGXCPU": (
        Cause.CPU_LIMIT_EXCEEDED,
        "it used all of its CPU time: raise the limit (ulimit -t)",
    ),
}
_ANY_SIGNAL_HINT = "look in the system log for who sent it"

REQUESTED: dict[RequestedBy, tuple[Cause, str]] = {
    RequestedBy.SHUTDOWN: (Cause.SHUTDOWN, "The kernel was shut down on request"),
    RequestedBy.RESTART: (Cause.RESTARTED, "The kernel was restarted on request"),
    RequestedBy.CULL: (Cause.CULLED, "The kernel was culled because it was idle for too long"),
    RequestedBy.SERVER_STOP: (Cause.SERVER_STOPPED, "The kernel was shut down with its server"),
}


def signal_of(ended: Exit) -> int | None:
    """Tell the signal that ended a process, also behind a shell's ``128 + n``.

    Args:
        ended: How the process ended.

    Returns:
        The signal's number, or None if it was no (known) signal.
    """
    number = ended.signal
    if number is None and ended.code is not None and ended.code > SHELL_OFFSET:
        number = ended.code - SHELL_OFFSET
    return number if number in _NAMES or ended.signal is not None else None


_NAMES: dict[int | None, str] = {int(each): each.name for each in signal.Signals}


def signal_name(number: int) -> str:
    """Name a signal, in this platform's numbering.

    >>> signal_name(9)
    'SIGKILL'
    """
    return _NAMES.get(number, f"signal {number}")


def explain_end(ended: Exit, lived: float | None, *, answered: bool) -> Account:
    """Word an end that nobody asked for.

    Args:
        ended: How the process ended.
        lived: Its age in seconds, None where not known.
        answered: Whether it ever answered.

    Returns:
        The cause, what happened (no full stop, so that a next step can follow), and a hint.
    """
    when = "" if lived is None else f" {lived:.1f} s after its start"
    early = "" if answered else ", before it was ready"
    number = signal_of(ended)
    if number is not None:
        name = signal_name(number)
        cause, hint = _SIGNAL_CAUSES.get(name, (Cause.SIGNALED, _ANY_SIGNAL_HINT))
        code = "" if ended.code is None else f" (exit code {ended.code})"
        return Account(cause, f"The kernel was killed by {name}{code}{when}{early}", hint)
    return _explain_code(ended.code, when + early, answered=answered)


def _explain_code(code: int | None, when: str, *, answered: bool) -> Account:
    happened = (
        f"The kernel's process is gone{when}, its exit code is not known"
        if code is None
        else f"The kernel exited with code {code}{when and ','}{when}"
    )
    if not answered:
        hint = "look for its last words in the server's log"
        return Account(Cause.START_FAILED, happened, hint)
    if code is None:
        return Account(Cause.LOST, happened, "look where its provisioner runs kernels")
    if code == 0:
        hint = "a cell or a library ended it, exit() for example"
        return Account(Cause.EXITED, happened, hint)
    return Account(Cause.ERROR, happened, "its last words are in the server's log")


def sentence(happened: str, *next_steps: str) -> str:
    """Join what happened and what to do into one sentence.

    >>> sentence("The kernel exited with code 3", "restart it to go on")
    'The kernel exited with code 3; restart it to go on.'
    """
    return "; ".join([happened, *(step for step in next_steps if step)]) + "."


def overdue(waited: float) -> str:
    """Word a start that takes too long (seconds)."""
    return sentence(
        f"The kernel's process runs but has not answered for {waited:g} s",
        "wait, or restart it if nothing changes",
    )


def silent(silence: float) -> str:
    """Word a heartbeat that is silent (seconds)."""
    return sentence(
        f"The kernel's process exists but its heartbeat has been silent for {silence:.3g} s",
        "it may be stopped or frozen: continue it (kill -CONT) or restart it",
    )


def crash_loop(deaths: int, last: str) -> str:
    """Word the end of automatic restarts."""
    times = f"after {deaths} automatic restarts" if deaths else "without an automatic restart"
    return sentence(f"{last}, and the server gave up {times}", RESTART_IT)


# What to do about each cause of "never launched".
_LAUNCH_HINTS: dict[Cause, str] = {
    Cause.KERNELSPEC_NOT_FOUND: "install that kernel or choose one of `jupyter kernelspec list`",
    Cause.EXECUTABLE_NOT_FOUND: "reinstall the kernel or fix the command in its kernelspec",
    Cause.PERMISSION_DENIED: "make the command of its kernelspec executable for this user",
    Cause.PROVISIONER_FAILED: "see the server's log for what its provisioner says",
    Cause.LAUNCH_FAILED: "see the server's log for the whole story",
}


def explain_launch(cause: Cause, kernel_name: str, detail: str) -> str:
    """Word a launch that failed.

    Args:
        cause: One of the causes of "never launched".
        kernel_name: The kernelspec's name.
        detail: What the launcher said, on one line.

    Returns:
        One sentence that names the kernelspec, what was missing and the next step.
    """
    what = {
        Cause.KERNELSPEC_NOT_FOUND: f"No kernelspec is named {kernel_name!r}",
        Cause.EXECUTABLE_NOT_FOUND: (
            f"The command of kernelspec {kernel_name!r} was not found ({detail})"
        ),
        Cause.PERMISSION_DENIED: (
            f"The command of kernelspec {kernel_name!r} may not be run ({detail})"
        ),
    }.get(cause, f"The kernel {kernel_name!r} could not be launched ({detail})")
    return sentence(what, _LAUNCH_HINTS[cause])
