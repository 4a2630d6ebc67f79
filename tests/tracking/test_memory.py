"""Who was killed for memory: groups that count, in folders that look like those of a system."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_machine import KILLED, ZOMBIE, FakeGroup, FakeMachine

from kernel_status_ext.core.remains import OutOfMemory
from kernel_status_ext.tracking.memory import Groups

GIB = 1 << 30
FIRST, SECOND = 4711, 4712


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A machine without groups."""
    return FakeMachine(tmp_path)


def in_group(machine: FakeMachine, *pids: int, version: int = 2) -> tuple[FakeGroup, Groups]:
    """A group with these processes, each looked at once, as at its start."""
    group = FakeGroup(machine.mount(version) / "kernels", version)
    groups = Groups(machine.proc)
    for pid in pids:
        machine.process(pid, "4:memory:/kernels" if version == 1 else "0::/kernels")
        assert groups.look(pid) == 0
    return group, groups


def kills_for_memory(machine: FakeMachine, group: FakeGroup, pid: int = FIRST) -> bool:
    """Whether this is the group that counts for a process that begins now."""
    groups = Groups(machine.proc)
    groups.look(pid)
    group.kill()
    found = groups.explain(pid, 0) is not None
    group.count(0)
    return found


# -- where a process's group is --------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_a_kill_that_was_counted_explains_a_death(machine: FakeMachine, version: int) -> None:
    """The one that came since the process was met, with what the group may hold."""
    group, groups = in_group(machine, FIRST, version=version)
    group.limit(2 * GIB)
    group.kill()
    assert groups.explain(FIRST, 0) == OutOfMemory(2 * GIB)


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_without_a_limit_has_none(machine: FakeMachine, version: int) -> None:
    """Neither "max" nor a number close to infinity is one."""
    group, groups = in_group(machine, FIRST, version=version)
    group.kill()
    assert groups.explain(FIRST, 0) == OutOfMemory(None)


@pytest.mark.parametrize("name", ["memory.max"])
@pytest.mark.parametrize("text", ["", "max\n", "-1\n", "many\n", "1 2\n"])
def test_a_limit_that_cannot_be_read_is_not_known(
    machine: FakeMachine, name: str, text: str
) -> None:
    """The death is explained all the same."""
    group, groups = in_group(machine, FIRST)
    group.write(name, text)
    group.kill()
    assert groups.explain(FIRST, 0) == OutOfMemory(None)
    group.remove(name)
    group.kill()
    assert groups.explain(FIRST, 0) == OutOfMemory(None)


HYBRID = ("9:name=systemd:/", "4:memory:/kernels", "1:cpu,cpuacct:/", "0::/elsewhere")


def test_version_1_counts_where_both_are_mounted(machine: FakeMachine) -> None:
    """In a hybrid set-up the controller is in one of them, whatever stands first."""
    machine.mount(2)
    machine.mount(1, point="cpu", controllers="cpu,cpuacct")
    group = FakeGroup(machine.mount(1) / "kernels", 1)
    machine.process(FIRST, *HYBRID)
    assert kills_for_memory(machine, group)


def test_version_2_counts_where_version_1_has_other_controllers(machine: FakeMachine) -> None:
    """The other hybrid set-up: no hierarchy of version 1 has memory."""
    machine.mount(1, point="cpu", controllers="cpu,cpuacct")
    group = FakeGroup(machine.mount(2, point="unified") / "elsewhere", 2)
    machine.process(FIRST, "1:cpu,cpuacct:/kernels", "0::/elsewhere")
    assert kills_for_memory(machine, group)


def test_version_1_counts_among_other_controllers(machine: FakeMachine) -> None:
    """A hierarchy may have several."""
    group = FakeGroup(machine.mount(1, controllers="cpu,memory") / "kernels", 1)
    machine.process(FIRST, "3:cpu,memory:/kernels")
    assert kills_for_memory(machine, group)


def test_a_group_may_have_a_colon_in_its_name(machine: FakeMachine) -> None:
    """Only the first two of a line divide it."""
    group = FakeGroup(machine.mount(2) / "user:1000" / "kernels", 2)
    machine.process(FIRST, "0::/user:1000/kernels")
    assert kills_for_memory(machine, group)


@pytest.mark.parametrize("point", ["my groups", "back\\slash", "tab\tbed", "Größe"])
def test_groups_may_be_mounted_anywhere(machine: FakeMachine, point: str) -> None:
    """Blanks and backslashes are written in octal."""
    group = FakeGroup(machine.mount(2, point=point) / "kernels", 2)
    machine.process(FIRST, "0::/kernels")
    assert kills_for_memory(machine, group)


CONTAINER = "/docker/0123abcd"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("inner", ["", "/kernels", "/a/b"])
def test_in_a_container_only_a_part_is_mounted(
    machine: FakeMachine, version: int, inner: str
) -> None:
    """The path is from the top, the folder from where the part begins."""
    point = machine.mount(version, root=CONTAINER)
    group = FakeGroup(Path(f"{point}{inner}"), version)
    path = CONTAINER + inner
    machine.process(FIRST, f"4:memory:{path}" if version == 1 else f"0::{path}")
    assert kills_for_memory(machine, group)


def test_in_a_container_a_path_that_is_not_there_is_its_own_group(machine: FakeMachine) -> None:
    """What is mounted is what the container may know of."""
    group = FakeGroup(machine.mount(1, root=CONTAINER), 1)
    machine.process(FIRST, "4:memory:/docker/another")
    assert kills_for_memory(machine, group)


def test_a_part_of_a_tree_may_have_a_backslash_in_its_name(machine: FakeMachine) -> None:
    """Systemd names groups like that: the root of a mount is in octal, too."""
    root = "/machine.slice/machine-night\\x2dkernel.scope"
    point = machine.mount(2, root=root)
    FakeGroup(point, 2)
    group = FakeGroup(point / "kernels", 2)
    machine.process(FIRST, f"0::{root}/kernels")
    assert kills_for_memory(machine, group)


def test_in_a_namespace_everything_begins_at_the_top(machine: FakeMachine) -> None:
    """The group's own folder is the mount, and its own path is a slash."""
    group = FakeGroup(machine.mount(2), 2)
    machine.process(FIRST, "0::/")
    assert kills_for_memory(machine, group)


def test_what_is_outside_of_the_namespace_is_not_looked_for(machine: FakeMachine) -> None:
    """A path that leads out of what is mounted leads to folders of somebody else's."""
    machine.mount(2)
    stranger = FakeGroup(machine.folder / "kernels", 2)
    machine.process(FIRST, "0::/../kernels")
    assert not kills_for_memory(machine, stranger)


# -- what a group counts ---------------------------------------------------------------------


def test_only_the_groups_own_kills_count(machine: FakeMachine) -> None:
    """Those of groups below it are in another file."""
    group, groups = in_group(machine, FIRST)
    group.write("memory.events", "oom_kill 3\n")
    assert groups.explain(FIRST, 0) is None
    group.write("memory.events.local", "oom_kill 1\n")
    assert groups.explain(FIRST, 0) == OutOfMemory()


def test_an_older_version_2_tells_only_of_all_kills_together(machine: FakeMachine) -> None:
    """Linux before 5.2: better than nothing."""
    group, groups = in_group(machine, FIRST)
    group.kill()
    group.remove("memory.events.local")
    assert groups.explain(FIRST, 0) == OutOfMemory()


def test_an_older_version_1_counts_nothing(machine: FakeMachine) -> None:
    """Linux before 4.13: nothing is claimed."""
    group, groups = in_group(machine, FIRST, version=1)
    group.write("memory.oom_control", "oom_kill_disable 0\nunder_oom 1\n")
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is None


GARBAGE = (
    b"\xff\xfe\0 - \n - cgroup2\n:::\n0::\n::\n4:memory\n\n oom_kill 9\noom_kill x\noom_kill\n"
)


@pytest.mark.parametrize("name", ["cgroup", "status", "../self/mountinfo"])
@pytest.mark.parametrize("kind", ["absent", "unreadable", "garbage", "empty"])
def test_where_nothing_can_be_read_nothing_is_claimed(
    machine: FakeMachine, name: str, kind: str
) -> None:
    """Whatever a system does not have, or does not show."""
    group = FakeGroup(machine.mount(2) / "kernels", 2)
    machine.process(FIRST, "0::/kernels")
    path = machine.proc / str(FIRST) / name
    path.unlink()
    if kind == "unreadable":
        path.mkdir()
    elif kind != "absent":
        path.write_bytes(GARBAGE if kind == "garbage" else b"")
    groups = Groups(machine.proc)
    assert groups.look(FIRST) == 0
    group.kill()
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is None
    groups.forget(FIRST)


@pytest.mark.parametrize("kind", ["absent", "unreadable", "garbage", "empty"])
def test_a_group_that_cannot_be_read_any_more_explains_nothing(
    machine: FakeMachine, kind: str
) -> None:
    """It may be gone with its last process."""
    group, groups = in_group(machine, FIRST, version=1)
    path = group.folder / "memory.oom_control"
    path.unlink()
    if kind == "unreadable":
        path.mkdir()
    elif kind != "absent":
        path.write_bytes(GARBAGE if kind == "garbage" else b"")
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is None


def test_a_status_that_is_garbage_is_no_fault(machine: FakeMachine) -> None:
    """Numbers that are none are not believed."""
    group, groups = in_group(machine, FIRST)
    machine.states(FIRST, {"SigPnd": "many", "ShdPnd": "-", "VmRSS": "?"})
    group.kill()
    groups.look(FIRST)


def test_a_process_that_was_never_looked_at_has_no_group() -> None:
    """Nothing is known of it, and nothing fails."""
    groups = Groups(Path("/no/such/folder"))
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is None
    assert groups.neighbours(FIRST) == set()
    groups.forget(FIRST)


# -- what a kill explains --------------------------------------------------------------------


def test_what_was_counted_before_explains_nothing(machine: FakeMachine) -> None:
    """Counters are never reset: only what is added counts."""
    group = FakeGroup(machine.mount(2) / "kernels", 2)
    group.count(7)
    machine.process(FIRST, "0::/kernels")
    groups = Groups(machine.proc)
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is None
    group.kill()
    assert groups.explain(FIRST, 0) is not None


def test_a_kill_explains_one_death(machine: FakeMachine) -> None:
    """And the next death, of the same group, needs a kill of its own."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    assert groups.explain(FIRST, 0) is not None
    groups.forget(FIRST)
    assert groups.explain(SECOND, 0) is None
    group.kill()
    assert groups.explain(SECOND, 0) is not None


def test_two_kills_explain_two_deaths(machine: FakeMachine) -> None:
    """However they are told."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill(2)
    assert groups.explain(FIRST, 0) is not None
    assert groups.explain(SECOND, 0) is not None


def test_a_rival_that_held_more_has_the_first_claim(machine: FakeMachine) -> None:
    """Of two that were killed the system killed the one that held most; the other was another's."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    assert groups.explain(FIRST, 1) is None
    assert groups.explain(SECOND, 0) is not None
    group.kill(2)
    assert groups.explain(FIRST, 1) is not None


def test_a_process_that_begins_later_is_not_explained_by_what_was_before(
    machine: FakeMachine,
) -> None:
    """A kill of a child's that nobody has told of yet is no explanation for a newcomer."""
    group, groups = in_group(machine, FIRST)
    group.kill()
    machine.process(SECOND, "0::/kernels")
    groups.look(SECOND)
    assert groups.explain(SECOND, 0) is None
    group.kill()
    assert groups.explain(SECOND, 0) is not None


def test_a_counter_that_begins_anew_explains_nothing(machine: FakeMachine) -> None:
    """A group of the same name may have been made again."""
    group, groups = in_group(machine, FIRST)
    group.kill(5)
    for _ in range(2):
        groups.look(FIRST)
    group.count(1)
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is None


# -- what its processes survive --------------------------------------------------------------


def test_a_childs_kill_is_told_at_the_second_look(machine: FakeMachine) -> None:
    """By then a kernel's own death would have been told."""
    group, groups = in_group(machine, FIRST)
    group.kill()
    assert [groups.look(FIRST) for _ in range(3)] == [0, 1, 0]


def test_a_childs_kill_explains_no_death_afterwards(machine: FakeMachine) -> None:
    """It was told as what it was."""
    group, groups = in_group(machine, FIRST)
    group.kill()
    for _ in range(2):
        groups.look(FIRST)
    assert groups.explain(FIRST, 0) is None
    group.kill()
    assert groups.explain(FIRST, 0) is not None


def test_a_kill_that_happened_just_now_is_not_taken_for_a_childs(machine: FakeMachine) -> None:
    """The look may come between the count and the death."""
    group, groups = in_group(machine, FIRST)
    group.kill()
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is not None


def test_kills_of_children_are_counted(machine: FakeMachine) -> None:
    """Each is told once, however they are spread."""
    group, groups = in_group(machine, FIRST)
    group.kill(3)
    told = [groups.look(FIRST)]
    group.kill()
    told += [groups.look(FIRST) for _ in range(3)]
    assert told == [0, 3, 1, 0]


def test_what_killed_a_kernel_is_no_childs(machine: FakeMachine) -> None:
    """The neighbours of one that was killed have survived nothing but its death."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    assert groups.explain(FIRST, 0) is not None
    groups.forget(FIRST)
    assert [groups.look(SECOND) for _ in range(3)] == [0, 0, 0]


def test_a_childs_kill_is_told_once_in_a_shared_group(machine: FakeMachine) -> None:
    """Whoever looks first looks again; nobody else tells it, too."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    assert [groups.look(pid) for pid in 3 * (FIRST, SECOND)] == [0, 0, 1, 0, 0, 0]


def test_a_childs_kill_is_told_though_who_noticed_it_has_gone(machine: FakeMachine) -> None:
    """Its neighbour tells it instead."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    assert groups.look(FIRST) == 0
    groups.forget(FIRST)
    assert sum(groups.look(SECOND) for _ in range(3)) == 1


def test_a_childs_kill_is_told_though_a_neighbour_begins_meanwhile(machine: FakeMachine) -> None:
    """Whoever looks first, the newcomer included."""
    group, groups = in_group(machine, FIRST)
    group.kill()
    machine.process(SECOND, "0::/kernels")
    assert groups.look(SECOND) == 0
    assert sum(groups.look(pid) for pid in 3 * (FIRST, SECOND)) == 1


@pytest.mark.parametrize("state", [KILLED, ZOMBIE], ids=["killed", "zombie"])
def test_nothing_is_told_while_somebody_of_the_group_is_dying(
    machine: FakeMachine, state: dict[str, str]
) -> None:
    """A process that holds much takes long to end: the kill may be its own."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    machine.states(SECOND, state)
    assert [groups.look(FIRST) for _ in range(4)] == [0] * 4
    assert groups.explain(SECOND, 0) is not None


def test_a_childs_kill_is_told_when_the_dying_have_died_of_something_else(
    machine: FakeMachine,
) -> None:
    """What did not explain that death was a child's after all."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    machine.states(SECOND, KILLED)
    assert groups.look(FIRST) == 0
    groups.forget(SECOND)
    assert [groups.look(FIRST) for _ in range(3)] == [0, 1, 0]


# -- groups change ---------------------------------------------------------------------------


def test_a_process_that_moved_is_judged_by_its_new_group(machine: FakeMachine) -> None:
    """What the new one counted before does not count, nor what the old one counts later."""
    old, groups = in_group(machine, FIRST)
    new = FakeGroup(old.folder.parent / "others", 2)
    new.count(5)
    machine.place(FIRST, "0::/others")
    assert groups.look(FIRST) == 0
    old.kill()
    assert groups.explain(FIRST, 0) is None
    new.kill()
    assert groups.explain(FIRST, 0) is not None


def test_a_group_that_was_renamed_while_its_process_lives_is_found_again(
    machine: FakeMachine,
) -> None:
    """Version 1 allows it; the process is still in it."""
    group, groups = in_group(machine, FIRST, version=1)
    group.folder = group.folder.rename(group.folder.with_name("renamed"))
    assert groups.explain(FIRST, 0) is None
    machine.place(FIRST, "4:memory:/renamed")
    assert groups.look(FIRST) == 0
    group.kill()
    assert groups.explain(FIRST, 0) is not None


@pytest.mark.parametrize("version", [1, 2])
def test_a_zombie_stays_in_the_group_that_it_died_in(machine: FakeMachine, version: int) -> None:
    """The system says of a zombie that it is in the root, whose kills are not its own."""
    group, groups = in_group(machine, FIRST, version=version)
    root = FakeGroup(group.folder.parent, version)
    root.count(12)
    group.kill()
    machine.zombie(FIRST, ("4:memory:/", "0::/"))
    assert groups.look(FIRST) == 0
    root.kill()
    assert groups.explain(FIRST, 0) is not None
    assert groups.explain(FIRST, 0) is None


def test_a_process_that_was_reaped_stays_in_the_group_that_it_died_in(machine: FakeMachine) -> None:
    """Nothing is told of it any more."""
    group, groups = in_group(machine, FIRST)
    group.kill()
    machine.reap(FIRST)
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is not None


def test_neighbours_are_kernels_of_the_same_group(machine: FakeMachine) -> None:
    """As long as they are."""
    group, groups = in_group(machine, FIRST, SECOND)
    FakeGroup(group.folder.parent / "others", 2)
    machine.process(3, "0::/others")
    groups.look(3)
    assert groups.neighbours(FIRST) == {SECOND}
    assert groups.neighbours(3) == set()
    machine.place(SECOND, "0::/others")
    groups.look(SECOND)
    assert groups.neighbours(FIRST) == set()
    assert groups.neighbours(3) == {SECOND}
    groups.forget(SECOND)
    assert groups.neighbours(3) == set()


def test_a_group_is_forgotten_with_its_last_process(machine: FakeMachine) -> None:
    """And met again like any other: what it counted meanwhile is nobody's."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill(3)
    groups.forget(FIRST)
    assert groups._groups
    groups.forget(SECOND)
    assert (groups._groups, groups._of) == ({}, {})
    group.kill(2)
    machine.process(FIRST, "0::/kernels")
    assert groups.look(FIRST) == 0
    assert groups.explain(FIRST, 0) is None
    group.kill()
    assert groups.explain(FIRST, 0) is not None


def test_a_number_that_is_given_again_is_another_process(machine: FakeMachine) -> None:
    """What the first one's group counted does not explain the second one's death."""
    group, groups = in_group(machine, FIRST, SECOND)
    group.kill()
    groups.forget(FIRST)
    groups.look(FIRST)
    assert groups.explain(FIRST, 0) is None
