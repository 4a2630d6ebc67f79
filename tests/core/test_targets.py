"""States that somebody waits for: how they are read, when they hold, when they come true."""

from __future__ import annotations

from itertools import product

import pytest
from msgspec.structs import replace
from support.dialogues import ALLOWED, CONNECTED, after, began, exited, silent, started

from kernel_status_ext.core.model import Kernel
from kernel_status_ext.core.targets import Target, first_coming_true, read_target
from kernel_status_ext.core.words import BESIDE, ExecutionState, State, Status, Word, one_word

# -- what section 1 of the contract lets stand together ----------------------------------------


def possible(status: Status | None, doing: ExecutionState | None, state: State | None) -> bool:
    """Whether section 1 of the contract has a kernel with these words."""
    return any(
        status in (None, a_status) and doing in (None, a_doing) and state in (None, a_state)
        for a_status, beside in ALLOWED.items()
        for a_doing, a_state in beside
    )


def words(*each: Word | None) -> str:
    """Name a combination."""
    return "+".join(str(word or "any") for word in each)


COMBINATIONS = [
    pytest.param(*each, id=words(*each))
    for each in product([None, *Status], [None, *ExecutionState], [None, *State])
    if any(each)
]


@pytest.mark.parametrize(("status", "doing", "state"), COMBINATIONS)
def test_only_what_can_be_can_be_waited_for(
    status: Status | None, doing: ExecutionState | None, state: State | None
) -> None:
    """A combination that section 1 excludes is refused at once, every other one is read."""
    if possible(status, doing, state):
        target = read_target(status=status, execution_state=doing, state=state)
        wanted = (status, doing, state)
        read = (target.status, target.execution_state, target.state)
        assert read == tuple(frozenset({word}) if word else None for word in wanted)
    else:
        with pytest.raises(ValueError, match="never"):
            read_target(status=status, execution_state=doing, state=state)


def test_the_table_of_the_code_is_section_1() -> None:
    """What the code lets stand together is what the contract says, written twice."""
    told = {
        status: {(doing, state) for doing, states in beside.items() for state in states}
        for status, beside in BESIDE.items()
    }
    assert told == ALLOWED


@pytest.mark.parametrize(
    ("status", "doing"),
    [(status, doing) for status, beside in ALLOWED.items() for doing, _ in sorted(beside)],
    ids=words,
)
def test_the_one_word_is_one_of_those_that_are_allowed(
    status: Status, doing: ExecutionState
) -> None:
    """What a kernel is called stands beside its other words in section 1."""
    assert (doing, one_word(status, doing)) in ALLOWED[status]


def test_busy_kernels_run_and_idle_ones_do_not() -> None:
    """The one word follows what the shells do, where work is taken at all."""
    assert one_word(Status.CONNECTED, ExecutionState.BUSY) is State.RUNNING
    assert one_word(Status.CONNECTED, ExecutionState.IDLE) is State.IDLE
    assert one_word(Status.UNRESPONSIVE, ExecutionState.BUSY) is State.RUNNING
    assert one_word(Status.UNRESPONSIVE, ExecutionState.IDLE) is State.STOPPED
    assert one_word(Status.TERMINATING, ExecutionState.BUSY) is State.STOPPED


# -- reading -----------------------------------------------------------------------------------


def test_a_comma_list_is_any_of() -> None:
    """Commas, spaces around words and several words read the same."""
    wanted = Target(status=frozenset({Status.CONNECTED, Status.DEAD}))
    assert read_target(status="connected,dead") == wanted
    assert read_target(status=" connected , dead ") == wanted
    assert read_target(status=["connected", "dead"]) == wanted
    assert read_target(status={Status.CONNECTED, Status.DEAD}) == wanted


def test_one_possible_pair_of_two_lists_is_enough() -> None:
    """Lists exclude each other only if no word of one goes with any of the other."""
    target = read_target(status="dead,connected", execution_state="busy")
    assert target.holds(after(*CONNECTED, began()))
    with pytest.raises(ValueError, match="never"):
        read_target(status="dead,starting", execution_state="busy")


def test_three_words_must_go_together_all_at_once() -> None:
    """Words that go together two by two may still exclude each other as three."""
    with pytest.raises(ValueError, match="never"):
        read_target(status="connected,terminating", execution_state="starting", state="idle")


def test_nothing_asked_for_is_connected_or_any_change() -> None:
    """Without words a wait is for connected, and after a revision for any change."""
    assert read_target() == Target(status=frozenset({Status.CONNECTED}))
    assert read_target(change=True) == Target()
    assert read_target(change=True).is_any_change
    assert not read_target(state="idle", change=True).is_any_change


@pytest.mark.parametrize(
    ("name", "kind"), [("status", Status), ("execution_state", ExecutionState), ("state", State)]
)
@pytest.mark.parametrize("wish", ["bogus", "", "Connected", "idle;busy", ",", []])
def test_an_unknown_word_is_told_what_is_allowed(
    name: str, kind: type[Word], wish: str | list[str]
) -> None:
    """The message names what was asked, and lists every word that could have been."""
    with pytest.raises(ValueError, match=f"^{name} has ") as told:
        read_target(**{name: wish})
    listed = str(told.value).split("allowed are ")[1].rstrip(".").split(", ")
    assert listed == [str(word) for word in kind]


def test_the_unknown_word_is_quoted() -> None:
    """Of several words the wrong ones are named."""
    with pytest.raises(ValueError, match="'bogus', 'nonsense'"):
        read_target(status="connected,bogus,nonsense")


def test_an_impossible_combination_is_told_what_is_allowed() -> None:
    """The message says what stands beside the status that was asked for, and only that."""
    with pytest.raises(ValueError, match="status=dead and execution_state=busy") as told:
        read_target(status="dead", execution_state="busy")
    allowed = str(told.value).split("; ", 1)[1]
    assert allowed == "beside status dead execution_state is dead and state stopped."


def test_a_target_reads_like_its_query() -> None:
    """Messages show what was expected in the words of the call."""
    assert str(read_target(status="dead,connected", state="stopped,idle")) == (
        "status=connected,dead and state=idle,stopped"
    )
    assert str(Target()) == "any change"


# -- holding -----------------------------------------------------------------------------------


KERNELS = {
    "starting": after(),
    "idle": after(*CONNECTED),
    "busy": after(*CONNECTED, began()),
    "frozen": after(*CONNECTED, silent()),
    "dead": after(*CONNECTED, exited(1)),
}


@pytest.mark.parametrize(
    ("query", "holding"),
    [
        ({"status": "connected"}, {"idle", "busy"}),
        ({"execution_state": "idle"}, {"idle", "frozen"}),
        ({"state": "idle"}, {"idle"}),
        ({"state": "stopped"}, {"starting", "frozen", "dead"}),
        ({"status": "connected,dead"}, {"idle", "busy", "dead"}),
        ({"status": "connected", "execution_state": "busy"}, {"busy"}),
        ({"status": "unresponsive", "execution_state": "idle", "state": "stopped"}, {"frozen"}),
        ({"change": True}, set(KERNELS)),
    ],
    ids=lambda given: " ".join(sorted(given)) or "none",
)
def test_all_words_must_hold_together(query: dict[str, str], holding: set[str]) -> None:
    """Any word of a list, of every list that is given."""
    target = read_target(**query)  # type: ignore[arg-type]
    assert {name for name, kernel in KERNELS.items() if target.holds(kernel)} == holding


# -- coming true -------------------------------------------------------------------------------


def story(*names: str, first: int = 1) -> list[Kernel]:
    """A kernel's changes, with every second revision: others are of other kernels."""
    return [replace(KERNELS[name], revision=first + 2 * count) for count, name in enumerate(names)]


IDLE = read_target(execution_state="idle")


def found(names: list[str], since: int, target: Target = IDLE) -> int | None:
    """The revision of the first change that made it true."""
    kernel = first_coming_true(target, story(*names), since)
    return kernel and kernel.revision


@pytest.mark.parametrize(
    ("names", "since", "revision"),
    [
        (["starting", "idle"], 1, 3),
        (["starting", "idle"], 2, 3),
        (["starting", "idle"], 3, None),
        (["idle", "busy", "idle"], 1, 5),
        (["idle", "busy", "idle"], 3, 5),
        (["idle", "busy", "idle"], 4, 5),
        (["idle", "busy", "idle"], 5, None),
        (["idle", "busy", "idle", "busy"], 1, 5),
        (["idle", "busy", "idle", "busy", "idle"], 1, 5),
        (["idle", "busy", "idle", "busy", "idle"], 5, 9),
        (["busy", "idle", "dead"], 1, 3),
        (["idle", "frozen"], 1, None),
        (["idle"], 0, 1),
        (["idle"], 1, None),
        ([], 0, None),
    ],
    ids=str,
)
def test_the_first_change_that_made_it_true(
    names: list[str], since: int, revision: int | None
) -> None:
    """False before, true after, in a change that is later, even if it is over by now."""
    assert found(names, since) == revision


def test_what_merely_lasts_does_not_come_true() -> None:
    """From idle to frozen the shells stay idle: that is no coming true of idle."""
    assert found(["idle", "frozen", "idle"], 1) is None
    assert found(["idle", "frozen"], 1, read_target(status="unresponsive")) == 3


def test_with_no_words_any_later_change_will_do() -> None:
    """The first one after the revision, whatever it changed."""
    any_change = read_target(change=True)
    assert found(["idle", "busy", "dead"], 1, any_change) == 3
    assert found(["idle", "busy", "dead"], 3, any_change) == 5
    assert found(["idle", "busy", "dead"], 5, any_change) is None


def test_coming_true_is_false_before_and_true_after() -> None:
    """Of one change, with nothing before for a kernel that is new."""
    idle, busy = KERNELS["idle"], KERNELS["busy"]
    assert IDLE.comes_true(busy, idle)
    assert not IDLE.comes_true(idle, idle)
    assert not IDLE.comes_true(idle, busy)
    assert IDLE.comes_true(None, idle)
    assert not IDLE.comes_true(None, after(started()))
