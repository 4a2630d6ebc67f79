"""Words for every end and every start that fails: cause, sentence, hint."""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import last_words
from .remains import NOTHING_FOUND, Remains
from .words import Cause, RequestedBy

if TYPE_CHECKING:
    from .last_words import LastWords
    from .model import Exit
    from .remains import OutOfMemory

RESTARTING = "it is being restarted automatically and its variables are lost"
TRYING_AGAIN = "it is being started once more automatically"
RESTART_IT = "restart it to go on"
DEAD_ELSEWHERE = "The kernel's remote server says that it is dead"
UNHEARD = "The server that runs the kernel cannot tell what it does; look whether it can be reached"

NOT_LISTED = "The server that runs the kernel does not list it and does not answer for it"
ASK_THERE = "ask whoever runs it, or wait"


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
        "native code gave up: run the last cell in small parts to find the library",
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


def explain_end(
    ended: Exit,
    lived: float | None,
    *,
    answered: bool,
    at_work: bool = True,
    remains: Remains = NOTHING_FOUND,
) -> Account:
    """Word an end that nobody asked for.

    Args:
        ended: How the process ended.
        lived: Its age in seconds, None where not known.
        answered: Whether it ever answered.
        at_work: Whether it is known to have run something.
        remains: What was found of it.

    Returns:
        The cause, what happened (no full stop, so that a next step can follow), and a hint.
    """
    when = "" if lived is None else f" {lived:.1f} s after its start"
    number = signal_of(ended)
    if ended.hearsay:
        return _explain_hearsay(ended, number, when, answered=answered)
    if number is not None:
        early = "" if answered else ", before it was ready"
        account = _explain_signal(ended, signal_name(number), when + early, remains)
        return account if answered and at_work else _without_a_cell(account, answered=answered)
    if not answered:
        return _explain_start(ended.code, when, remains)
    account = _explain_code(ended.code, when, remains)
    return account if at_work else _without_a_cell(account, answered=True)


def _without_a_cell(account: Account, *, answered: bool) -> Account:
    """Advise nothing about cells where none was run."""
    about_a_cell = any(word in account.hint for word in ("cell", AT_WHAT_IT_RAN))
    hint = NOTHING_RAN if answered else IN_A_TERMINAL
    return replace(account, hint=hint) if about_a_cell else account


NOTHING_RAN = (
    "nothing ran in it that we know of: look at its threads and startup files, and at clients that "
    "may have ended it"
)
AT_WHAT_IT_RAN = "look at what it ran last"


IN_A_TERMINAL = "run its command in a terminal"
ASK_ITS_PROVISIONER = "look where its provisioner runs kernels"


def _explain_hearsay(ended: Exit, number: int | None, when: str, *, answered: bool) -> Account:
    """Word what a provisioner says; nothing of such a process was seen here, no log either."""
    when += "" if answered else f"{when and ','} before it was ready"
    if number is None and ended.code is None:
        happened = f"The kernel is gone{when}, and its provisioner does not say why"
        return Account(Cause.LOST, happened, ASK_ITS_PROVISIONER)
    if number is not None:
        name = signal_name(number)
        cause, _ = _SIGNAL_CAUSES.get(name, (Cause.SIGNALED, ""))
        code = "" if ended.code is None else f" (exit code {ended.code})"
        happened = f"The kernel's provisioner says that it was killed by {name}{code}{when}"
        return Account(cause, happened, ASK_ITS_PROVISIONER)
    happened = f"The kernel's provisioner says that it exited with code {ended.code}{when}"
    cause = Cause.ERROR if answered else Cause.START_FAILED
    return Account(cause, happened, ASK_ITS_PROVISIONER)


def _explain_signal(ended: Exit, name: str, when: str, remains: Remains) -> Account:
    cause, hint = _SIGNAL_CAUSES.get(name, (Cause.SIGNALED, _ANY_SIGNAL_HINT))
    code = "" if ended.code is None else f" (exit code {ended.code})"
    happened = f"The kernel was killed by {name}{code}{when}"
    held = f"; it held {size(remains.peak_memory)}" if remains.peak_memory else ""
    if name == "SIGKILL" and remains.memory is not None:
        told = f"{happened}; its memory group counted an out-of-memory kill{held}"
        return Account(Cause.OOM_KILLED, told, _less_memory(remains.memory))
    if name == "SIGKILL":
        return Account(cause, happened + held, hint)
    crash = _crash(name, remains)
    if crash is None:
        return Account(cause, happened, hint)
    return Account(cause, f"{happened}; {crash.quote}", crash.hint or hint)


def _crash(name: str, remains: Remains) -> LastWords | None:
    """Read what native code says of its end, where it ended itself and may be quoted."""
    if name in _BY_OTHERS or remains.instead is not None:
        return None
    return last_words.of_a_crash(remains.stderr)


_BY_OTHERS = frozenset({"SIGTERM", "SIGINT", "SIGHUP", "SIGXCPU"})
"""Signals that end a process whose own words say nothing of it."""


def _less_memory(memory: OutOfMemory) -> str:
    more = "more memory" if memory.limit is None else f"more than the {size(memory.limit)} it has"
    return f"load less data at a time, or ask for {more}"


def _explain_start(code: int | None, when: str, remains: Remains) -> Account:
    words = last_words.of_a_start(remains.stderr, remains.command, remains.hiding)
    said, hint = _allowed(words, remains)
    happened = _exited(code, when + ", before it was ready")
    if said:
        # The cause comes first: people read this in narrow dialogs.
        short = "its exit code is not known" if code is None else f"exit code {code}"
        happened = f"The kernel cannot start: {said} ({short}{when})"
    cause = words.cause if words is not None else None
    return Account(cause or Cause.START_FAILED, happened, hint or _look(remains))


def _explain_code(code: int | None, when: str, remains: Remains) -> Account:
    happened = _exited(code, when)
    if code is None:
        return Account(Cause.LOST, happened, "nobody here saw how it ended")
    if code == 0:
        hint = "a cell or a library ended it, exit() for example"
        return Account(Cause.EXITED, happened, hint)
    said, hint = _allowed(last_words.of_a_life(remains.stderr), remains)
    told = f"{happened}: {said}" if said else happened
    return Account(Cause.ERROR, told, hint or _look(remains, AT_WHAT_IT_RAN))


def _exited(code: int | None, when: str) -> str:
    if code is None:
        return f"The kernel's process is gone{when}, its exit code is not known"
    return f"The kernel exited with code {code}{when and ','}{when}"


def _allowed(words: LastWords | None, remains: Remains) -> tuple[str, str]:
    """Tell what stderr says and a hint, without quoting it where that is not allowed."""
    if words is None:
        return "", ""
    if remains.instead is None:
        return words.quote, words.hint
    return words.plain, words.plain_hint


def _look(remains: Remains, where: str = IN_A_TERMINAL) -> str:
    if not remains.captured:
        return "its stderr was not kept: see the server's log, or ask its provisioner"
    if remains.stderr:
        return f"its stderr says no more: {where}"
    return f"it wrote nothing to stderr: {where}"


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def size(count: int) -> str:
    """Write a number of bytes for people.

    >>> size(8482560000), size(512)
    ('7.9 GiB', '512 bytes')
    """
    value, unit = float(count), 0
    while value > _KIBI - 0.05 and unit < len(_UNITS) - 1:
        value, unit = value / _KIBI, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} bytes"


_KIBI = 1024


def sentence(happened: str, *next_steps: str) -> str:
    """Join what happened and what to do into one sentence.

    >>> sentence("The kernel exited with code 3", "restart it to go on")
    'The kernel exited with code 3; restart it to go on.'
    """
    return "; ".join([happened, *(step for step in next_steps if step)]) + "."


def nobody_elsewhere(said: str) -> str:
    """Word that the server which runs a kernel does not answer."""
    happened = f"The server that runs the kernel cannot be reached ({said.rstrip('.')})"
    return sentence(happened, "ask whoever runs it, or wait until it is back")


def no_answer_elsewhere(waited: float) -> str:
    """Word that a kernel elsewhere does not answer, after so many seconds."""
    happened = f"The kernel has not answered for {waited:g} s where it runs"
    return sentence(happened, "wait, or restart it")


def overdue(waited: float) -> str:
    """Word a start that takes too long (seconds)."""
    return sentence(
        f"The kernel's process runs but has not answered for {waited:g} s",
        "wait, or restart it if nothing changes",
    )


def blocked(silence: float) -> str:
    """Word an interpreter that does not answer while its heart beats (seconds)."""
    return sentence(
        "The kernel's process is alive and its heart beats, but its interpreter has not answered "
        f"for {silence:.3g} s: native code holds it",
        "wait, or restart it if nothing changes; an interrupt may not reach it",
    )


def silent(silence: float, *, stopped: bool | None = None) -> str:
    """Word a heartbeat that is silent (seconds).

    Args:
        silence: For so long.
        stopped: Whether the process is seen to be stopped; None where it cannot be seen.
    """
    if stopped is None:
        return sentence(
            f"The kernel's heartbeat has been silent for {silence:.3g} s, and its process cannot "
            "be seen from here",
            "it may be stopped, frozen or gone: look where it runs, or restart it",
        )
    if stopped:
        return sentence(
            "The kernel's process is stopped by a signal and its heartbeat has been silent for "
            f"{silence:.3g} s",
            "continue it (kill -CONT) or restart it",
        )
    return sentence(
        f"The kernel's process exists but its heartbeat has been silent for {silence:.3g} s",
        "it hangs or is frozen: wait, or restart it",
    )


def crash_loop(deaths: int, last: str, failed_retry: str = "") -> str:
    """Word the end of automatic restarts.

    Args:
        deaths: How often it was restarted.
        last: The last death of a process that had answered.
        failed_retry: What became of the last of them, if it never answered.
    """
    times = f"after {deaths} automatic restart{'s' * (deaths > 1)}"
    in_the_end = (
        f"; in the end {failed_retry[:1].lower()}{failed_retry[1:]}" if failed_retry else ""
    )
    gave_up = f"the server gave up {times if deaths else 'without an automatic restart'}"
    return sentence(f"{last}, and {gave_up}{in_the_end}", RESTART_IT)


# What to do about each cause of "never launched".
_LAUNCH_HINTS: dict[Cause, str] = {
    Cause.KERNELSPEC_NOT_FOUND: "install that kernel or choose one of `jupyter kernelspec list`",
    Cause.EXECUTABLE_NOT_FOUND: "reinstall the kernel or fix the command in its kernelspec",
    Cause.PERMISSION_DENIED: "make the command of its kernelspec executable for this user",
    Cause.PROVISIONER_FAILED: "see the server's log for what its provisioner says",
    Cause.LAUNCH_FAILED: "see the server's log for the whole story",
    Cause.INVALID_KERNELSPEC: "mend its kernel.json: an object with a list of texts as `argv`",
}

_TROUBLES: dict[int | None, str] = {
    errno.ENOENT: "make what is named there, or find out who removes it",
    errno.EACCES: "give this user the right to it",
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room on that disk, or ask for a larger quota",
    errno.EROFS: "have it written elsewhere: that disk is read-only",
    errno.ENOEXEC: "its command is no program for this machine; a script needs a #! line",
    errno.EMFILE: "the server's limit of open files is reached: raise it (ulimit -n)",
    errno.ENFILE: "this machine's limit of open files is reached: raise it",
    errno.EAGAIN: "no further process is allowed: end some, or raise the limit (ulimit -u)",
    errno.ENOMEM: "there is no memory for another process: end some",
}
"""What to do where the system refuses something, by its number."""


def explain_launch(cause: Cause, kernel_name: str, detail: str, number: int | None = None) -> str:
    """Word a launch that failed.

    Args:
        cause: One of the causes of "never launched".
        kernel_name: The kernelspec's name.
        detail: What the launcher said, on one line.
        number: The system's (``errno``), where it refused something.

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
        Cause.INVALID_KERNELSPEC: f"The kernelspec {kernel_name!r} cannot be used ({detail})",
    }.get(cause, f"The kernel {kernel_name!r} could not be launched ({detail})")
    hint = _LAUNCH_HINTS[cause]
    return sentence(what, _TROUBLES.get(number, hint) if cause is Cause.LAUNCH_FAILED else hint)
