"""The table in docs/reference/lifecycle.md, written by hand, against the code: cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.dialogues import (
    News,
    after,
    answered,
    autorestart,
    began,
    blocked,
    child_lost,
    complain,
    completed,
    died,
    early,
    ended,
    exited,
    found,
    gave_up,
    heard,
    input_provided,
    input_requested,
    launch_failed,
    overdue,
    reported,
    restart,
    run_awaited,
    run_queued,
    run_withdrawn,
    shell_answered,
    shutdown,
    silent,
    started,
    unblocked,
)
from support.pages import tables
from support.situations import KERNELS, UNSEEN

from kernel_status_ext.core import events
from kernel_status_ext.core.events import Event
from kernel_status_ext.core.lifecycle import TABLE, step
from kernel_status_ext.core.model import Kernel, Surprise
from kernel_status_ext.core.words import ExecutionState, RequestedBy, Status

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "lifecycle.md"
NOTHING, SURPRISE, IMPOSSIBLE, TOLD = "·", "!", "\N{EN DASH}", "told"

EVENTS = {each.__name__: each for each in Event.__subclasses__()}


# -- reading the page ------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One answer of the table."""

    event: str
    when: tuple[str, ...]
    status: Status
    answer: str

    def __str__(self) -> str:
        """Name the test of this cell."""
        when = f" ({', '.join(self.when)})" if self.when else ""
        return f"{self.event}{when} in {self.status}"


def read_cells() -> list[Cell]:
    """Read the one table of events and statuses."""
    (table,) = (each for each in tables(PAGE.read_text("utf-8")) if each[0][0] == "event")
    columns = [Status(head.strip("`")) for head in table[0][2:]]
    return [
        Cell(event.strip("`"), tuple(filter(None, when.split("; "))), status, answer)
        for event, when, *answers in table[2:]
        for status, answer in zip(columns, answers, strict=True)
    ]


CELLS = read_cells()


# -- the kernels and the news that the rows speak of -----------------------------------------


OF_A_PROCESS = {
    *("Answered", "StartOverdue", "RequestBegan", "RequestEnded", "ShellAnswered"),
    *("RunQueued", "InputRequested", "InputProvided"),
    *("HeartbeatLost", "HeartbeatReturned", "InterpreterBlocked", "InterpreterReturned"),
    *("ChildOutOfMemory", "ProcessExited"),
}
"""News that only a process can give."""


def _requested(kernel: Kernel) -> bool:
    return kernel.process is not None and kernel.requested_by is not None


CONDITIONS: dict[str, Callable[[Kernel], bool]] = {
    "a process runs": lambda kernel: kernel.process is not None,
    "no process": lambda kernel: kernel.process is None,
    "asked to end": _requested,
    "not asked to end": lambda kernel: kernel.process is not None and not _requested(kernel),
    "asked to end, or no process": lambda kernel: kernel.process is None or _requested(kernel),
    "its request runs": lambda kernel: kernel.process is not None,
    "it waits here": lambda kernel: kernel.status is not Status.DEAD,
    "it was sent": lambda kernel: kernel.process is not None,
    "it asks": lambda kernel: kernel.process is not None,
    "it was blocked": lambda kernel: kernel.status is Status.CONNECTED and bool(kernel.reason),
    "it was not blocked": lambda kernel: kernel.status is not Status.CONNECTED or not kernel.reason,
    "launched here": lambda kernel: kernel.launched,
    "never launched here": lambda kernel: not kernel.launched,
}
"""What a row may say of the kernel."""

PREPARED: dict[str, list[News]] = {
    "its request runs": [began()],
    "it waits here": [run_awaited()],
    "it was sent": [run_queued()],
    "it asks": [run_queued(), input_requested()],
}
"""What has to happen to a kernel for it to be as a row says."""

NEWS: dict[str, News] = {
    "ProcessStarted": started(1000),
    "ProcessFound": found(),
    "LaunchFailed": launch_failed(),
    "Answered": answered(),
    "StartOverdue": overdue(99),
    "RequestBegan": began(),
    "RequestEnded": ended(),
    "ShellAnswered": shell_answered(),
    "RunAwaited": run_awaited(),
    "RunQueued": run_queued(),
    "RunWithdrawn": run_withdrawn(),
    "InputRequested": input_requested(),
    "InputProvided": input_provided(),
    "HeartbeatLost": silent(33),
    "HeartbeatReturned": heard(),
    "InterpreterBlocked": blocked(44),
    "InterpreterReturned": unblocked(),
    "ChildOutOfMemory": child_lost(2),
    "RestartRequested": restart(),
    "ShutdownRequested": shutdown(RequestedBy.SERVER_STOP),
    "ShutdownCompleted": completed(),
    "AutorestartBegan": autorestart(),
    "RestarterGaveUp": gave_up(),
    "ProcessExited": exited(9),
    "ProcessExited; a restarter acts": died(9),
    "Reported; idle or busy": reported(ExecutionState.BUSY),
    "Reported; starting": reported(ExecutionState.STARTING),
    "Reported; dead": reported(ExecutionState.DEAD),
    "Reported; unknown": reported(ExecutionState.UNKNOWN),
    "Reported": reported(ExecutionState.BUSY),
}
"""The news of each row, by its event and, where there is one, its condition."""

RUNS = {
    *(("RunAwaited", "awaiting"), ("RunQueued", "sent"), ("RunWithdrawn", "awaiting")),
    *(("RunWithdrawn", "sent"), ("InputRequested", "asking"), ("InputProvided", "asking")),
}
"""Which news of a run changes which of the kernel's lists of runs; one at a time."""

SAID_OF_NEWS = {
    *("its request is not known", "a restarter acts", "no restarter acts"),
    *("it is new", "it is not known", "it does not ask"),
    *("idle or busy", "starting", "dead", "unknown"),
}
"""What a row may say of the news."""


def kernels_of(cell: Cell) -> list[Kernel]:
    """Every kernel that a cell speaks of."""
    kernels = list(KERNELS[cell.status])
    if cell.event == "Reported":
        kernels += [each for each in UNSEEN.get(cell.status, []) if each not in kernels]
    if cell.event in OF_A_PROCESS and cell.status not in (Status.UNKNOWN, Status.STARTING):
        kernels = [each for each in kernels if each.launched]
    for condition in set(cell.when) - SAID_OF_NEWS:
        kernels = [each for each in kernels if CONDITIONS[condition](each)]
    prepared = [news for condition in cell.when for news in PREPARED.get(condition, [])]
    return [after(*prepared, kernel=each) for each in kernels]


def news_of(cell: Cell) -> News:
    """The news that a cell speaks of."""
    keys = (f"{cell.event}; {condition}" for condition in cell.when)
    return next((NEWS[key] for key in keys if key in NEWS), NEWS[cell.event])


# -- the tests -------------------------------------------------------------------------------


def check(cell: Cell) -> None:
    """Assert that the code gives the answer of a cell."""
    kernels = kernels_of(cell)
    assert bool(kernels) == (cell.answer != IMPOSSIBLE), f"who is {cell}?"
    for kernel in kernels:
        event = news_of(cell).event(kernel)
        outcome = step(kernel, event)
        surprises = [each for each in outcome.notices if isinstance(each, Surprise)]
        if cell.answer == SURPRISE:
            assert (outcome.kernel, surprises) == (kernel, [Surprise(event, cell.status)])
        elif cell.answer == NOTHING:
            assert (outcome.kernel, outcome.notices) == (kernel, ())
        elif cell.answer == TOLD:
            assert (outcome.kernel, surprises) == (kernel, [])
            assert outcome.notices
        else:
            assert outcome.kernel.status == cell.answer, kernel
            assert (outcome.kernel != kernel, surprises) == (True, []), kernel
            check_runs(cell.event, kernel, outcome.kernel)
        assert outcome.kernel is kernel or outcome.kernel != kernel, "a copy is no change"
        complain(outcome.kernel)


def check_runs(event: str, before: Kernel, kernel: Kernel) -> None:
    """Assert that news of a run changes what it speaks of, and nothing else."""
    if event in {name for name, _ in RUNS}:
        lists = ("sent", "awaiting", "asking")
        (changed,) = (each for each in lists if getattr(before, each) != getattr(kernel, each))
        assert (event, changed) in RUNS, kernel


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_code_answers_as_the_page_says(cell: Cell) -> None:
    """Each cell of the page is what the code does."""
    check(cell)


def test_every_kernel_is_what_its_story_should_make_of_it() -> None:
    """The kernels that stand for a status are of that status."""
    for group in (KERNELS, UNSEEN):
        assert all(each.status is status for status, all_ in group.items() for each in all_)


def test_the_page_has_a_column_for_every_status() -> None:
    """No status is without its column, in the order of the contract."""
    assert [cell.status for cell in CELLS][: len(Status)] == list(Status)


def test_the_page_explains_every_status() -> None:
    """The list of statuses for readers is complete and in the order of the contract."""
    (table,) = (each for each in tables(PAGE.read_text("utf-8")) if each[0][0] == "status")
    assert [row[0].strip("`") for row in table[2:]] == [str(status) for status in Status]
    assert all(all(row) for row in table)


def test_the_page_has_a_row_for_every_event() -> None:
    """No event is without its row, and no row without its event."""
    assert {cell.event for cell in CELLS} == set(EVENTS)


def test_the_page_uses_only_the_cells_that_it_explains() -> None:
    """Every cell is a status or one of the four signs."""
    signs = {NOTHING, SURPRISE, IMPOSSIBLE, TOLD}
    assert {cell.answer for cell in CELLS} <= {*signs, *map(str, Status)}


def test_every_condition_of_the_page_is_understood() -> None:
    """A condition that these tests do not know would be checked by none."""
    said = {condition for cell in CELLS for condition in cell.when}
    assert said <= set(CONDITIONS) | SAID_OF_NEWS


@pytest.mark.parametrize("name", EVENTS)
def test_rows_of_an_event_leave_no_kernel_out(name: str) -> None:
    """Whatever situation a kernel is in, some row of each event speaks of it."""
    for status in Status:
        cells = [cell for cell in CELLS if (cell.event, cell.status) == (name, status)]
        whole = kernels_of(Cell(name, (), status, NOTHING))
        spoken_of = [(each.process, each.requested_by) for c in cells for each in kernels_of(c)]
        assert all((each.process, each.requested_by) in spoken_of for each in whole)


def test_the_code_has_a_row_for_every_event_and_status() -> None:
    """The code's table is total: no event in no status is without an answer."""
    assert set(TABLE) == set(EVENTS.values())
    assert all(set(row) == set(Status) for row in TABLE.values())


def test_every_event_of_the_core_is_known_here() -> None:
    """The events are all the subclasses of Event that events.py has, and none has its own."""
    in_module = {
        name
        for name, each in vars(events).items()
        if isinstance(each, type) and issubclass(each, Event) and each is not Event
    }
    assert in_module == set(EVENTS)
    assert not any(each.__subclasses__() for each in EVENTS.values())


EVERY_KERNEL = [kernel for kernels in KERNELS.values() for kernel in kernels]


@pytest.mark.parametrize("key", NEWS)
def test_news_of_an_older_generation_changes_nothing(key: str) -> None:
    """What an older process said last is history, whatever the kernel is by now."""
    for kernel in EVERY_KERNEL:
        event = replace(NEWS[key].event(kernel), generation=kernel.generation - 1)
        outcome = step(kernel, event)
        assert (outcome.kernel is kernel, outcome.notices) == (True, ()), kernel


@pytest.mark.parametrize("key", NEWS)
def test_news_of_a_generation_that_was_not_started_is_a_surprise(key: str) -> None:
    """What a process says that we never saw start changes nothing, and is logged."""
    for kernel in EVERY_KERNEL:
        event = early(NEWS[key]).event(kernel)
        outcome = step(kernel, event)
        surprise = Surprise(event, kernel.status)
        assert (outcome.kernel is kernel, outcome.notices) == (True, (surprise,)), kernel
