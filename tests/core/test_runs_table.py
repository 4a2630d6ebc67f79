"""The tables in docs/reference/runs.md, written by hand, against the code: cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from support.dialogues import BIRTH
from support.pages import tables
from support.run_dialogues import (
    INTERRUPTED,
    RunNews,
    answer,
    asked,
    began,
    complain,
    early,
    end_requested,
    failed,
    idle,
    ignored,
    late,
    limit,
    missed,
    moved_on,
    new_run,
    published,
    refused,
    sent,
    sent_run,
    server_ended,
    skipped,
    tell_run,
    told,
    worker_ended,
)

from kernel_status_ext.core import run as run_module
from kernel_status_ext.core.run import ENDED, Origin, Run, RunEvent
from kernel_status_ext.core.runs import OF_THE_UNSENT, TABLE, Phase, phase, step
from kernel_status_ext.core.words import RequestedBy, RunStatus

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "runs.md"
NOTHING, IMPOSSIBLE, OVER = "·", "\N{EN DASH}", "over"
NONE_CAME = "none came"

EVENTS = {each.__name__: each for each in RunEvent.__subclasses__()}
LATER = BIRTH + timedelta(hours=1)


def table(first: str) -> list[list[str]]:
    """Read the one table of the page whose head begins with a word."""
    (found,) = (each for each in tables(PAGE.read_text("utf-8")) if each[0][0] == first)
    return found


# -- what changes a run ----------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One answer of the table of events."""

    event: str
    when: str
    phase: Phase
    answer: str

    def __str__(self) -> str:
        """Name the test of this cell."""
        return f"{self.event}{f' ({self.when})' if self.when else ''} in {self.phase}"


def read_cells() -> list[Cell]:
    """Read the table of events and phases."""
    head, _, *rows = table("event")
    phases = [Phase(each.strip("`")) for each in head[2:]]
    return [
        Cell(event.strip("`"), when, phase, answer)
        for event, when, *answers in rows
        for phase, answer in zip(phases, answers, strict=True)
    ]


CELLS = read_cells()

WAYS: list[list[RunNews]] = [
    *([], [began()], [began(), published()], [failed()], [asked()], [began(), asked()]),
    *([answer()], [began(), answer()], [idle()], [began(), idle()], [began(), limit()]),
    *([end_requested()], [began(), end_requested()], [missed()], [began(), missed()]),
    *([answer(), idle()], [worker_ended()], [began(), worker_ended()], [server_ended()]),
    *([began(), limit(), ignored()], [failed(), answer(RunStatus.ERROR), idle()]),
    *([missed(), idle()], [moved_on()], [refused()]),
]
"""What can have happened to a run that was sent."""

SENT: list[Run] = [sent_run(*way) for way in WAYS]
UNSENT: list[Run] = [new_run(), *tell_run(refused()), *tell_run(server_ended())]
ELSEWHERE: list[Run] = [
    sent_run(*way, origin=Origin.ELSEWHERE, reply_comes=False) for way in ([], [began()])
]
EVERY_RUN = [*SENT, *UNSENT, *ELSEWHERE]


def sent_and(holds: Callable[[Run], bool]) -> Callable[[Run], bool]:
    """Make the condition of a run that was sent."""
    return lambda run: run.generation is not None and holds(run)


CONDITIONS: dict[str, Callable[[Run], bool]] = {
    "": sent_and(lambda _: True),
    "it was sent": sent_and(lambda _: True),
    "it was not sent yet": lambda run: run.generation is None,
    "its idle has come": sent_and(lambda run: run.is_idle),
    "its idle is to come": sent_and(lambda run: not run.is_idle),
    "its answer has come, or none will": sent_and(
        lambda run: run.answer is not None or not run.reply_comes
    ),
    "its answer is to come": sent_and(lambda run: run.answer is None and run.reply_comes),
    "it asks": sent_and(lambda run: run.asks),
    "it does not ask": sent_and(lambda run: not run.asks),
}
"""What a row may say of the run."""

OF_AN_END: dict[str, tuple[RunNews, ...]] = {
    "nobody asked for it, and it was what an idle shell had been sent": (
        worker_ended(is_suspect=True),
    ),
    "nobody asked for it": (worker_ended(),),
    "asked for": tuple(
        worker_ended(by, is_suspect=suspect)
        for by in (RequestedBy.SHUTDOWN, RequestedBy.RESTART, RequestedBy.CULL)
        for suspect in (True, False)
    ),
    "the server stops": (worker_ended(RequestedBy.SERVER_STOP),),
}
"""What a row may say of an end, and the news of it."""

NEWS: dict[str, RunNews] = {
    "RunSent": sent(),
    "RunBegan": began(),
    "CodePublished": published("2/0", 8),
    "FailurePublished": failed(INTERRUPTED),
    "RunAnswered": answer(RunStatus.ABORTED),
    "RunBecameIdle": idle(),
    "ReplyMissed": missed(),
    "ShellMovedOn": moved_on(),
    "AskedForInput": asked(),
    "GotInput": told(),
    "LimitReached": limit(),
    "LimitIgnored": ignored(),
    "EndRequested": end_requested(RequestedBy.CULL),
    "WorkerEnded": worker_ended(),
    "RunRefused": refused(),
    "RunSkipped": skipped(),
    "ServerEnded": server_ended(),
}

LEARNT: dict[str, Callable[[Run], bool]] = {
    "RunSent": lambda run: (run.generation, run.worker_pid) == (3, 4711),
    "RunBegan": lambda run: run.started_at == LATER,
    "CodePublished": lambda run: (run.was_published, run.execution_count) == (True, 8),
    "FailurePublished": lambda run: run.error == INTERRUPTED,
    "RunAnswered": lambda run: run.answer is RunStatus.ABORTED,
    "RunBecameIdle": lambda run: run.is_idle,
    "ReplyMissed": lambda run: not run.reply_comes,
    "AskedForInput": lambda run: run.asks,
    "GotInput": lambda run: not run.asks,
    "LimitReached": lambda run: run.over_limit,
    "EndRequested": lambda run: (
        run.end_requested == end_requested(RequestedBy.CULL).event(LATER).end
    ),
}
"""What is known of a run that goes on after an event."""


def runs_of(cell: Cell) -> list[Run]:
    """Every run that a cell speaks of."""
    holds = CONDITIONS[cell.when if cell.when not in OF_AN_END else ""]
    knows = LEARNT.get(cell.event, lambda _: False)
    return [
        run
        for run in EVERY_RUN
        if phase(run) is cell.phase and holds(run)
        # What is known already changes nothing, whatever the row says.
        if cell.answer == NOTHING or not knows(run)
    ]


def check(cell: Cell) -> None:
    """Assert that the code gives the answer of a cell."""
    runs = runs_of(cell)
    assert bool(runs) == (cell.answer != IMPOSSIBLE), f"who is {cell}?"
    for news in OF_AN_END.get(cell.when) or (NEWS[cell.event],):
        for run in runs:
            after = step(run, news.event(LATER))
            complain(run, after)
            assert (after is run) == (cell.answer == NOTHING), run
            if cell.answer == OVER:
                assert after.has_ended, run
                assert after.status is not RunStatus.LOST, "its server goes on"
            elif cell.answer != NOTHING:
                assert after.status == cell.answer, run
            if not after.has_ended and cell.answer != NOTHING:
                assert LEARNT[cell.event](after), run


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_code_answers_as_the_page_says(cell: Cell) -> None:
    """Each cell of the table of events is what the code does."""
    check(cell)


def test_the_page_has_a_column_for_every_phase() -> None:
    """No phase is without its column."""
    assert [cell.phase for cell in CELLS][: len(Phase)] == list(Phase)


def test_the_page_has_a_row_for_every_event() -> None:
    """No event is without its row, and no row without its event."""
    assert {cell.event for cell in CELLS} == set(EVENTS) == set(NEWS)


def test_every_event_of_the_module_is_known_here() -> None:
    """The events are all the subclasses of RunEvent that run.py has, and none has its own."""
    in_module = {
        name
        for name, each in vars(run_module).items()
        if isinstance(each, type) and issubclass(each, RunEvent) and each is not RunEvent
    }
    assert in_module == set(EVENTS)
    assert not any(each.__subclasses__() for each in EVENTS.values())


def test_the_code_has_a_row_for_every_event_and_phase() -> None:
    """The code's table is total: no event in no phase is without an answer."""
    assert set(TABLE) == set(EVENTS.values())
    assert all(set(row) == set(Phase) for row in TABLE.values())


def test_the_page_explains_every_status() -> None:
    """The list of statuses for readers is complete and in the order of the contract."""
    _, _, *rows = table("status")
    assert [row[0].strip("`") for row in rows] == [str(status) for status in RunStatus]
    assert all(all(row) for row in rows)


def test_every_status_has_its_phase() -> None:
    """What has not ended is queued or running, as its status says."""
    for status in RunStatus:
        found = phase(new_run(status=status))
        assert found == (Phase.ENDED if status in ENDED else status.value)


@pytest.mark.parametrize("name", EVENTS)
def test_rows_of_an_event_leave_no_run_out(name: str) -> None:
    """Whatever situation a run that was sent is in, some row of each event speaks of it."""
    rows = {cell.when for cell in CELLS if cell.event == name}
    holds = [CONDITIONS[when if when not in OF_AN_END else ""] for when in rows]
    assert all(any(each(run) for each in holds) for run in SENT)


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("shifted", [late, early])
def test_news_of_another_generation_changes_nothing(
    name: str, shifted: Callable[[RunNews], RunNews]
) -> None:
    """What another process says is nothing to a run that was sent to this one."""
    event = shifted(NEWS[name]).event(LATER)
    assert all(step(run, event) is run for run in [*SENT, *ELSEWHERE])


@pytest.mark.parametrize("name", EVENTS)
def test_only_what_the_page_names_changes_a_run_that_was_not_sent(name: str) -> None:
    """Nobody can have heard anything of a request that has not left."""
    changes = step(new_run(), NEWS[name].event(LATER)) != new_run()
    assert changes == (EVENTS[name] in OF_THE_UNSENT)
    (rule,) = (line for line in PAGE.read_text().splitlines() if "was **not sent** yet" in line)
    assert (f"`{name}`" in rule) == changes


# -- how an end is told ----------------------------------------------------------------------

KNOWN: dict[str, tuple[dict[str, object], list[RunNews]]] = {
    "its limit was reached": ({}, [began(), limit(), failed(INTERRUPTED)]),
    "a shutdown or a restart was asked for, and it failed": (
        {},
        [began(), end_requested(), failed(INTERRUPTED)],
    ),
    "the server stops, and it failed": (
        {},
        [began(), end_requested(RequestedBy.SERVER_STOP), failed(INTERRUPTED)],
    ),
    "it failed": ({}, [began(), published(), failed()]),
    "its code was published": ({}, [began(), published()]),
    "it is silent": ({"silent": True}, [began()]),
    "it came from elsewhere": ({"origin": Origin.ELSEWHERE, "reply_comes": False}, [began()]),
    "nothing else": ({}, [began()]),
}
"""What is known of the runs that the rows of the table of ends speak of."""


def read_ends() -> list[tuple[str, str, str]]:
    """Read the table of ends: what is known, what the answer said, what is told."""
    head, _, *rows = table("what is known")
    said = [each.strip("`") for each in head[1:]]
    return [
        (known, answered, told)
        for known, *cells in rows
        for answered, told in zip(said, cells, strict=True)
    ]


ENDS = read_ends()


@pytest.mark.parametrize(("known", "said", "told"), ENDS)
def test_an_end_is_told_as_the_page_says(known: str, said: str, told: str) -> None:
    """Each cell of the table of ends is what the code does, whichever half of the end came last."""
    facts, before = KNOWN[known]
    if told == IMPOSSIBLE:
        assert facts.get("reply_comes") is False
        return
    reply = [] if said == NONE_CAME else [answer(RunStatus(said))]
    ends = [[*reply, idle()], [idle(), *reply], [*reply, moved_on()]]
    if said == NONE_CAME:
        ends = [[missed(), idle()], [idle(), missed()], [moved_on()]]
    for end in ends:
        run = sent_run(*before, *end, **facts)
        assert run.status == told, end


def test_the_page_has_every_row_that_is_known_here() -> None:
    """No row of the table of ends is left out, and none of its columns."""
    assert [known for known, *_ in ENDS[:: len(ENDS) // len(KNOWN)]] == list(KNOWN)
    said = [said for known, said, _ in ENDS if known == "nothing else"]
    assert said == ["ok", "error", "aborted", NONE_CAME]
