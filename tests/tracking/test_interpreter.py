"""An interpreter that is blocked, and those that only look like it: time moves when it is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from kernel_status_ext.tracking import interpreter
from kernel_status_ext.tracking.heartbeat import STALL, Rhythm
from kernel_status_ext.tracking.interpreter import LONG, Interpreter

RHYTHM = Rhythm(interval=5.0, unresponsive_after=15.0)
HALF = RHYTHM.unresponsive_after / 2


class FakeLoop:
    """A loop whose time is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._numbers = itertools.count()
        self.timers: dict[int, tuple[float, Callable[[], None]]] = {}

    def time(self) -> float:
        """Tell the time."""
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> int:
        """Call something in so many seconds."""
        number = next(self._numbers)
        self.timers[number] = (self.now + delay, call)
        return number

    def remove_timeout(self, number: int) -> None:
        """Call it not."""
        del self.timers[number]

    def pass_by(self, seconds: float) -> None:
        """Let time pass, and call what is due as it becomes due."""
        end = self.now + seconds
        while due := [each for each in self.timers.items() if each[1][0] <= end]:
            number, (at, call) = min(due, key=lambda each: each[1][0])
            del self.timers[number]
            self.now = max(self.now, at)
            call()
        self.now = end

    def stall(self, seconds: float) -> None:
        """Be late: time passes, and only then what was due meanwhile is called, once."""
        self.now += seconds
        self.pass_by(0)


class World:
    """A kernel that works, is asked on control, and answers when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = FakeLoop()
        self.work: tuple[object, ...] = ()
        self.steady = 1e9
        self.told: list[float | str] = []
        self.questions: list[SimpleNamespace] = []
        monkeypatch.setattr(interpreter, "IOLoop", SimpleNamespace(current=lambda: self.loop))
        monkeypatch.setattr(interpreter, "time", SimpleNamespace(monotonic=self.loop.time))
        monkeypatch.setattr(interpreter, "Question", self._ask)
        self.interpreter = Interpreter(
            "reader",
            "wire",
            RHYTHM,
            work=lambda: self.work,
            steady=lambda: self.steady,
            on_blocked=self.told.append,
            on_returned=lambda: self.told.append("returned"),
        )

    def _ask(
        self, reader: str, wire: str, channel: str, on_answer: Callable[[], None]
    ) -> SimpleNamespace:
        assert (reader, wire, channel) == ("reader", "wire", "control")
        question = SimpleNamespace(answer=on_answer, open=True)
        question.close = lambda: setattr(question, "open", False)
        self.questions.append(question)
        return question

    @property
    def asked(self) -> int:
        """How often it was asked."""
        return len(self.questions)

    def begin(self, *work: str) -> None:
        """It begins to work on this."""
        self.work = work
        self.interpreter.heard()
        self.interpreter.watch()

    def end(self) -> None:
        """Its work ended."""
        self.work = ()
        self.interpreter.heard()

    def answer(self) -> None:
        """It answers what it was asked last."""
        question = self.questions[-1]
        assert question.open
        question.answer()
        assert not question.open

    def prove(self) -> None:
        """It is found out that it answers at work, in a first cell that goes on."""
        self.begin("first")
        self.loop.pass_by(LONG)
        self.answer()
        self.loop.pass_by(RHYTHM.interval)
        self.questions.clear()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A kernel that does nothing."""
    return World(monkeypatch)


# -- asking ----------------------------------------------------------------------------------


def test_nothing_is_asked_while_nothing_runs(world: World) -> None:
    """Nor is there a timer."""
    world.interpreter.watch()
    world.loop.pass_by(100)
    assert (world.asked, world.loop.timers) == (0, {})


def test_nothing_is_asked_in_short_cells(world: World) -> None:
    """However many there are."""
    for number in range(10):
        world.begin(f"cell {number}")
        world.loop.pass_by(LONG / 4)
        world.end()
        world.loop.pass_by(LONG * 2)
    assert (world.asked, world.loop.timers) == (0, {})


def test_a_process_is_asked_once_in_its_first_long_cell(world: World) -> None:
    """To know whether it answers at work; in later ones that is known."""
    world.begin("first")
    world.loop.pass_by(LONG)
    assert world.asked == 1
    world.answer()
    for _ in range(4):
        world.loop.pass_by(RHYTHM.interval)
        world.interpreter.heard()
    world.end()
    world.loop.pass_by(RHYTHM.interval)
    world.begin("second")
    world.loop.pass_by(LONG + RHYTHM.interval)
    assert world.asked == 1


def test_a_long_silence_is_broken_by_a_question(world: World) -> None:
    """An answer is a sign of life; nobody is told anything."""
    world.prove()
    for _ in range(20):
        world.loop.pass_by(RHYTHM.interval)
        if world.questions and world.questions[-1].open:
            world.answer()
    assert world.asked > 2
    assert world.told == []


def test_who_talks_is_not_asked(world: World) -> None:
    """Output is a sign of life, too."""
    world.prove()
    for _ in range(100):
        world.loop.pass_by(1)
        world.interpreter.heard()
    assert (world.asked, world.told) == (0, [])


def test_watching_twice_is_watching_once(world: World) -> None:
    """Each message of a busy kernel begins it anew."""
    world.begin("first")
    for _ in range(5):
        world.interpreter.watch()
    assert len(world.loop.timers) == 1


# -- being blocked ---------------------------------------------------------------------------


def test_a_silence_without_an_answer_is_told_once(world: World) -> None:
    """With its length, when it has been too long."""
    world.prove()
    world.loop.pass_by(RHYTHM.unresponsive_after - RHYTHM.interval - 0.1)
    assert world.told == []
    world.loop.pass_by(100)
    assert world.asked == 1
    (silence,) = world.told
    assert isinstance(silence, float)
    assert RHYTHM.unresponsive_after <= silence < RHYTHM.unresponsive_after + RHYTHM.interval


def test_a_silence_of_the_whole_process_is_not_its_interpreters(world: World) -> None:
    """Only the time counts for which its heart has beaten: before, it was stopped or frozen."""
    world.prove()
    world.steady = 0.0
    world.loop.pass_by(10 * RHYTHM.unresponsive_after)
    assert (world.asked, world.told) == (1, [])
    world.steady = RHYTHM.unresponsive_after - 1
    world.loop.pass_by(RHYTHM.interval)
    assert world.told == []
    world.steady = RHYTHM.unresponsive_after
    world.loop.pass_by(RHYTHM.interval)
    assert world.told == [RHYTHM.unresponsive_after]


def test_what_was_told_before_the_whole_process_fell_silent_is_told_anew(world: World) -> None:
    """Continued, it has no reason; if its interpreter is still blocked then, it has one again."""
    world.prove()
    world.loop.pass_by(5 * RHYTHM.unresponsive_after)
    assert len(world.told) == 1
    world.interpreter.begin_anew()
    world.steady = 0.0
    world.loop.pass_by(RHYTHM.interval)
    assert len(world.told) == 1
    world.steady = 1e9
    world.loop.pass_by(RHYTHM.interval)
    assert len(world.told) == 2


def test_an_answer_ends_it(world: World) -> None:
    """And the next silence is another one."""
    world.prove()
    for _ in range(2):
        world.loop.pass_by(3 * RHYTHM.unresponsive_after)
        world.answer()
    assert [type(each) for each in world.told] == [float, str, float, str]


def test_any_sign_of_life_ends_it(world: World) -> None:
    """The end of its cell, for one."""
    world.prove()
    world.loop.pass_by(3 * RHYTHM.unresponsive_after)
    world.end()
    assert world.told[1:] == ["returned"]
    world.loop.pass_by(100)
    assert not world.questions[-1].open
    assert (len(world.told), world.loop.timers) == (2, {})


def test_a_kernel_that_never_answered_at_work_is_not_judged(world: World) -> None:
    """It may have a single loop, and be none the worse for it."""
    world.begin("first")
    world.loop.pass_by(1000)
    assert (world.asked, world.told) == (1, [])


@pytest.mark.parametrize("more", [(), ("second",)], ids=["idle", "the next cell"])
def test_an_answer_after_the_cell_is_none_at_work(world: World, more: tuple[str, ...]) -> None:
    """A single loop answers between two cells what it was asked in the first."""
    world.begin("first")
    world.loop.pass_by(LONG)
    world.work = more
    world.answer()
    world.loop.pass_by(RHYTHM.interval)
    world.begin("second")
    world.loop.pass_by(1000)
    assert world.told == []


def test_a_cell_that_ends_unanswered_leaves_no_question(world: World) -> None:
    """The next one gets its own."""
    world.begin("first")
    world.loop.pass_by(LONG)
    world.end()
    world.loop.pass_by(RHYTHM.interval)
    assert not world.questions[0].open
    world.begin("second")
    world.loop.pass_by(LONG)
    assert world.asked == 2


@pytest.mark.parametrize("pause", [RHYTHM.interval + 0.5, 1000])
def test_a_new_cell_is_not_blamed_for_the_time_before_it(world: World, pause: float) -> None:
    """Silence counts from its beginning: an idle kernel says nothing."""
    world.prove()
    world.end()
    world.loop.pass_by(pause)
    world.work = ("second",)
    world.interpreter.watch()
    world.loop.pass_by(RHYTHM.unresponsive_after - 0.1)
    assert world.told == []
    world.loop.pass_by(RHYTHM.interval + LONG)
    assert len(world.told) == 1


def test_a_stall_of_ours_is_no_silence_of_the_kernel(world: World) -> None:
    """A laptop that slept for an hour has not heard anything for an hour."""
    world.prove()
    world.loop.pass_by(RHYTHM.interval)
    world.loop.stall(3600)
    assert world.told == []
    world.loop.pass_by(HALF)
    assert world.told == []


def test_a_kernel_that_stays_silent_after_a_stall_is_told(world: World) -> None:
    """With the silence since."""
    world.prove()
    world.loop.stall(3600)
    world.loop.pass_by(3 * RHYTHM.unresponsive_after)
    (silence,) = world.told
    assert isinstance(silence, float)
    assert silence < STALL * RHYTHM.unresponsive_after


# -- the end ---------------------------------------------------------------------------------


def test_nothing_is_left_when_nobody_looks_after_it(world: World) -> None:
    """No timer and no question; closing twice does no harm."""
    world.begin("first")
    world.loop.pass_by(LONG)
    for _ in range(2):
        world.interpreter.close()
    assert not world.questions[0].open
    assert world.loop.timers == {}
    world.loop.pass_by(1000)
    assert (world.asked, world.told) == (1, [])
