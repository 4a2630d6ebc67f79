"""The only place that says what the server's answers about runs are made of.

A run is one ``execute_request``, whoever sent it. As in `results` what is not known is None.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.words import RunStatus, Word
from .results import Result

if TYPE_CHECKING:
    RunStatusWord = RunStatus | str
else:
    RunStatusWord = str  # read as a string, then looked up: see `results`

ACTIVE = (RunStatus.QUEUED, RunStatus.RUNNING)
"""The statuses of a run that is not over."""

PLAIN = "text/plain"

ROUNDING = timedelta(milliseconds=50)
"""By so much two clocks of one machine may differ over the time of a run."""


class Failure(Result, frozen=True, kw_only=True, dict=True):
    """What a run raised.

    Attributes:
        ename: The name of the exception's class.
        evalue: Its message.
    """

    ename: str
    evalue: str


class Output(Result, frozen=True, kw_only=True, dict=True):
    """The value of a run, in one form; an empty text where there is none, or the run failed.

    Attributes:
        mimetype: The form: ``text/plain`` where the value has it.
        data: The value in that form.
    """

    mimetype: str = PLAIN
    data: str = ""


class Run(Result, frozen=True, kw_only=True, dict=True):
    """A run, at one moment or when it is over.

    Attributes:
        run_id: Its id: the ``msg_id`` of its request.
        kernel_id: Its kernel.
        kernel_name: The name of that one's kernelspec.
        session: The id of the session for which the kernel worked.
        path: The path of that session's notebook.
        code: Its code, as much of it as the server records.
        status: ``queued``, ``running``, ``ok``, ``error``, ``aborted``, ``died`` or ``lost``.
        username: Who sent it.
        timeout: Seconds after its start at which it is interrupted.
        worker_pid: The process that works at it.
        generation: Which process of its kernel that is.
        queued_at: When it came to the server.
        started_at: When it began.
        ended_at: When it was over.
        execution_count: Its number in its kernel.
        error: What it raised.
        reason: One sentence for a person: why it did not end well.
        output: Its value; only of a run that was followed to its end.
    """

    words: ClassVar[dict[str, type[Word]]] = {"status": RunStatus}

    run_id: str
    kernel_id: str
    kernel_name: str | None = None
    session: str | None = None
    path: str | None = None
    code: str | None = None
    status: RunStatusWord
    username: str | None = None
    timeout: float | None = None
    worker_pid: int | None = None
    generation: int | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    execution_count: int | None = None
    error: Failure | None = None
    reason: str = ""
    output: Output | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.status not in ACTIVE

    @property
    def success(self) -> bool:
        """Whether it ended well."""
        return self.status == RunStatus.OK

    @property
    def lasted(self) -> timedelta | None:
        """How long it ran; None before its end, and where that is not known."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at

    @property
    def is_over_time(self) -> bool:
        """Whether its ``timeout`` ended it."""
        if self.status != RunStatus.ABORTED or self.timeout is None or self.lasted is None:
            return False
        return self.lasted + ROUNDING >= timedelta(seconds=self.timeout)


class Worker(Result, frozen=True, kw_only=True, dict=True):
    """A run that a kernel works at now, and its process.

    Attributes:
        run_id: The run.
        kernel_id: The kernel.
        kernel_name: The name of that one's kernelspec.
        path: The path of the notebook for which it works.
        status: The run's status.
        username: Who sent it.
        timeout: Seconds after its start at which it is interrupted.
        worker_pid: The process.
        started_at: When the run began.
        last_activity: When the kernel was last heard.
        memory_rss_bytes: Memory that the process holds, in bytes.
        cpu_percent: Its processor use since the look before, in percent of one.
    """

    words: ClassVar[dict[str, type[Word]]] = {"status": RunStatus}

    run_id: str | None = None
    kernel_id: str
    kernel_name: str | None = None
    path: str | None = None
    status: RunStatusWord
    username: str | None = None
    timeout: float | None = None
    worker_pid: int | None = None
    started_at: datetime | None = None
    last_activity: datetime | None = None
    memory_rss_bytes: int | None = None
    cpu_percent: float | None = None


class Workers(Result, frozen=True, kw_only=True, dict=True):
    """All that works now.

    Attributes:
        workers: The runs that kernels work at.
        count: How many.
        checked_at: When the server looked.
    """

    workers: tuple[Worker, ...]
    count: int
    checked_at: datetime


class Interruption(Result, frozen=True, kw_only=True, dict=True):
    """What came of an interrupt.

    Attributes:
        run: The run as it was last; without ``grace`` that is when the interrupt was sent.
        did: What was done to its kernel because the run had not ended: ``restart``, ``shutdown``,
            or None.
    """

    run: Run
    did: str | None = None


# -- events -----------------------------------------------------------------------------------


class RunStarted(Result, frozen=True, kw_only=True, dict=True):
    """The server has taken the run: the first event.

    Attributes:
        run: The run, maybe still queued.
    """

    run: Run


class Stdout(Result, frozen=True, kw_only=True, dict=True):
    """Something was written to stdout.

    Attributes:
        data: The text.
    """

    data: str


class Stderr(Result, frozen=True, kw_only=True, dict=True):
    """Something was written to stderr: also the traceback, and why a run was ended.

    Attributes:
        data: The text, maybe with ANSI colours.
    """

    data: str


class Display(Result, frozen=True, kw_only=True, dict=True):
    """Something was displayed.

    Attributes:
        data: It in several forms, by their MIME types.
        metadata: More about them.
        display_id: By what it can be displayed anew.
        update: Whether it stands in the place of what was displayed under that id.
    """

    data: dict[str, Any]
    metadata: dict[str, Any] | None = None
    display_id: str | None = None
    update: bool = False


class Clear(Result, frozen=True, kw_only=True, dict=True):
    """What was put out so far is to be cleared away.

    Attributes:
        wait: Whether only when more comes.
    """

    wait: bool = False


class RunResult(Result, frozen=True, kw_only=True, dict=True):
    """The value of the run's last expression.

    Attributes:
        data: It in several forms, by their MIME types.
        metadata: More about them.
        execution_count: The run's number in its kernel.
    """

    data: dict[str, Any]
    metadata: dict[str, Any] | None = None
    execution_count: int | None = None


class Truncated(Result, frozen=True, kw_only=True, dict=True):
    """Here output is missing that the server has not kept while nobody read it.

    Attributes:
        dropped_events: How many events; None where that is not known: all until the end.
        dropped_bytes: How many bytes.
    """

    dropped_events: int | None = None
    dropped_bytes: int | None = None


class Done(Result, frozen=True, kw_only=True, dict=True):
    """The run is over: the last event, exactly one.

    Attributes:
        run_id: The run.
        success: Whether it ended well.
        status: How it ended.
        output: Its value.
    """

    words: ClassVar[dict[str, type[Word]]] = {"status": RunStatus}

    run_id: str
    success: bool
    status: RunStatusWord
    output: Output


RunEvent = RunStarted | Stdout | Stderr | Display | Clear | RunResult | Truncated | Done
"""What ``on_event`` is called with."""

OnEvent = Callable[[RunEvent], object]

EVENTS: dict[str, type[RunEvent]] = {
    "run": RunStarted,
    "stdout": Stdout,
    "stderr": Stderr,
    "display": Display,
    "clear": Clear,
    "result": RunResult,
    "truncated": Truncated,
    "done": Done,
}
"""The events by the names under which they travel."""

NAMES = {kind: name for name, kind in EVENTS.items()}
