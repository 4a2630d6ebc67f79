"""The only place that says what the server's answers are made of.

Times are aware datetimes in UTC, sizes are bytes, durations seconds. What is not known is None.
What a newer server says besides is left out, but stands in ``body``; a word that is new to this
client stays a plain string.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import msgspec

from ..core.words import ExecutionState, State, Status, Word

if TYPE_CHECKING:
    StatusWord = Status | str
    ExecutionStateWord = ExecutionState | str
    StateWord = State | str
else:
    # msgspec refuses a union of two kinds of strings: they are read as strings, then looked up.
    StatusWord = ExecutionStateWord = StateWord = str

JSON = dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What all results share."""

    words: ClassVar[dict[str, type[Word]]] = {}

    @property
    def body(self) -> JSON:
        """The JSON as it came, with what this client does not know of."""
        told: JSON | None = self.__dict__.get("came_as")
        return cast("JSON", msgspec.to_builtins(self)) if told is None else told

    def __post_init__(self) -> None:
        """Make words of the strings that are known."""
        for name, kind in self.words.items():
            with suppress(ValueError):  # of a newer server
                msgspec.structs.force_setattr(self, name, kind(getattr(self, name)))


R = TypeVar("R", bound=Result)

_ALONE = threading.Lock()
"""msgspec 0.22 crashes the process when two threads are the first to read a kind of result."""


def read(kind: type[R], body: Any) -> R:
    """Make a result of JSON.

    Args:
        kind: What it is.
        body: The JSON, read.

    Returns:
        The result.

    Raises:
        msgspec.ValidationError: It is none.
    """
    with _ALONE:
        made = msgspec.convert(body, kind)
    _keep(made, body)
    return made


def _keep(made: object, body: Any) -> None:
    """Have each part of a result remember the JSON that it was made of."""
    if body is None:
        return
    if isinstance(made, Result):
        made.__dict__["came_as"] = body
        for name in made.__struct_fields__:
            _keep(getattr(made, name), body.get(name))
    elif isinstance(made, tuple):
        for part, its_body in zip(made, body, strict=True):
            _keep(part, its_body)
    elif isinstance(made, dict):
        for name, part in made.items():
            _keep(part, body[name])


class _Words(Result, frozen=True, kw_only=True, dict=True):
    """The words of a kernel at one moment.

    Attributes:
        state: One word for people: running, idle or stopped.
        status: The life of the kernel's process.
        execution_state: What its shells do.
        reason: One sentence for a person, ``""`` when nothing is wrong.
        cause: The same in one word; the list of these words grows.
        revision: The number of this change; it grows over all kernels of a server.
        generation: Which process of this kernel it is: 0, 1, 2 ...
    """

    words: ClassVar[dict[str, type[Word]]] = {
        "status": Status,
        "execution_state": ExecutionState,
        "state": State,
    }

    status: StatusWord
    execution_state: ExecutionStateWord
    state: StateWord
    reason: str = ""
    cause: str | None = None
    revision: int
    generation: int


class Termination(Result, frozen=True, kw_only=True, dict=True):
    """The end of one process of a kernel.

    Attributes:
        generation: Which process of the kernel it was.
        pid: Its process id.
        cause: Why it ended, in one word; the list of these words grows.
        reason: The same in a sentence.
        hint: What can be done.
        exit_code: Its exit code; None where a signal ended it.
        signal: The name of the signal that ended it, as ``SIGKILL``.
        expected: Whether somebody had asked for this end.
        requested_by: ``shutdown``, ``restart``, ``cull`` or ``server stop``.
        started_at: When it was started.
        finished_at: When it ended.
        run_id: The run that this end interrupted.
        peak_memory: The most memory that it held, in bytes.
        cpu_seconds: The processor time that it took, in seconds.
        traceback: The end of its stderr.
    """

    generation: int
    pid: int | None = None
    cause: str | None = None
    reason: str = ""
    hint: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    expected: bool | None = None
    requested_by: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    run_id: str | None = None
    peak_memory: int | None = None
    cpu_seconds: float | None = None
    traceback: str | None = None


class Kernel(_Words, frozen=True, kw_only=True, dict=True):
    """A kernel as its server knows it; the words are those of ``Moment``.

    Attributes:
        id: The kernel's id.
        name: The name of its kernelspec.
        pid: The id of its present process.
        kernel_pid: The id of the process that holds its ports, another one inside a wrapper.
        since: The time of its last change.
        started_at: When its present process was started.
        connected_at: When that answered first.
        restart_count: How often it was restarted because it had died.
        running: The ids of the runs that it works at.
        queued: The ids of the runs that wait.
        waiting_for_input: Whether it waits for a person to type something.
        subshells: What each subshell does, by its id.
        last_termination: The end of its last process.
    """

    id: str
    name: str | None = None
    pid: int | None = None
    kernel_pid: int | None = None
    since: datetime
    started_at: datetime | None = None
    connected_at: datetime | None = None
    restart_count: int = 0
    running: tuple[str, ...] | None = None
    queued: tuple[str, ...] | None = None
    waiting_for_input: bool | None = None
    subshells: dict[str, str] | None = None
    last_termination: Termination | None = None


class Moment(_Words, frozen=True, kw_only=True, dict=True):
    """One change in a kernel's story.

    Attributes:
        at: When it was.
    """

    at: datetime


class History(Result, frozen=True, kw_only=True, dict=True):
    """A kernel's story, oldest first, as far back as the server remembers it.

    Attributes:
        changes: Its changes.
        terminations: The ends of its processes.
    """

    changes: tuple[Moment, ...]
    terminations: tuple[Termination, ...]


class Children(Result, frozen=True, kw_only=True, dict=True):
    """The processes that a kernel has started, and those that these have.

    Attributes:
        count: How many.
        memory_rss_bytes: The memory that they hold together, in bytes.
    """

    count: int | None = None
    memory_rss_bytes: int | None = None


class Io(Result, frozen=True, kw_only=True, dict=True):
    """What a process has read and written.

    Attributes:
        read_bytes: Bytes read.
        write_bytes: Bytes written.
    """

    read_bytes: int | None = None
    write_bytes: int | None = None


class Inspection(Result, frozen=True, kw_only=True, dict=True):
    """Live figures of a kernel's process, from the system and not from the kernel.

    Attributes:
        alive: Whether there is a process; None where that cannot be seen from the server.
        reason: Why there is none, or why it cannot be seen.
        error: Why a living process may not be looked at.
        pid: Its id.
        process_status: Its state in the words of psutil.
        create_time: When it was made.
        cpu_percent: Processor use since the look before, in percent of one; None at first.
        cpu_seconds: Processor time taken, in seconds.
        memory_rss_bytes: Memory held, in bytes.
        memory_vms_bytes: Memory reserved, in bytes.
        memory_peak_bytes: The most memory that was ever held, in bytes.
        num_threads: How many threads.
        num_fds: How many open files.
        cmdline: Its command.
        children: The processes below it.
        memory_uss_bytes: With ``detail="full"``: memory that it shares with nobody, in bytes.
        memory_pss_bytes: With ``detail="full"``: its share of all, in bytes.
        io: With ``detail="full"``: what it has read and written.
    """

    alive: bool | None = None
    reason: str | None = None
    error: str | None = None
    pid: int | None = None
    process_status: str | None = None
    create_time: datetime | None = None
    cpu_percent: float | None = None
    cpu_seconds: float | None = None
    memory_rss_bytes: int | None = None
    memory_vms_bytes: int | None = None
    memory_peak_bytes: int | None = None
    num_threads: int | None = None
    num_fds: int | None = None
    cmdline: tuple[str, ...] | None = None
    children: Children | None = None
    memory_uss_bytes: int | None = None
    memory_pss_bytes: int | None = None
    io: Io | None = None


class Session(Result, frozen=True, kw_only=True, dict=True):
    """A notebook or console that somebody has opened.

    Attributes:
        id: The session's id.
        path: The path of its file, below the server's root folder.
        name: Its name.
        type: ``notebook``, ``console``, ...
        kernel_id: The kernel that works for it.
    """

    id: str
    path: str | None = None
    name: str | None = None
    type: str | None = None
    kernel_id: str | None = None


class Snapshot(Result, frozen=True, kw_only=True, dict=True):
    """All that is watched, as it is now: the first event, and again after each reconnect.

    Attributes:
        revision: The latest change that is in it.
        kernels: The kernels.
    """

    revision: int
    kernels: tuple[Kernel, ...]


class Change(Result, frozen=True, kw_only=True, dict=True):
    """A kernel has changed, or has come.

    Attributes:
        kernel: How it is now.
    """

    kernel: Kernel


class Removed(Result, frozen=True, kw_only=True, dict=True):
    """A kernel is gone.

    Attributes:
        id: Which.
        revision: The number of this change.
    """

    id: str
    revision: int | None = None


class Figures(Result, frozen=True, kw_only=True, dict=True):
    """Live figures of everything that is watched.

    Attributes:
        kernels: The figures of each kernel's process, by the kernel's id.
    """

    kernels: dict[str, Inspection]


Event = Snapshot | Change | Removed | Figures
"""What ``watch`` yields."""
