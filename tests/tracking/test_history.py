"""The history of runs: what was noted is found again, whatever happens to server and disk."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.histories import Kept, Server, answer, database, now, run_of
from support.server import eventually

from kernel_status_ext.core.run import ENDED, Failure, Origin, Run, RunKey
from kernel_status_ext.core.words import RunStatus
from kernel_status_ext.tracking import history as history_module
from kernel_status_ext.tracking import pile, place, presence, rows, shelf, stacks, vault
from kernel_status_ext.tracking.history import Keep
from kernel_status_ext.tracking.pile import Pile
from kernel_status_ext.tracking.shelf import Shelf, Wish

Open = Callable[..., Kept]

FULL = Run(
    "run-1",
    "kernel-1",
    "python3",
    Origin.WEBSOCKET,
    RunStatus.ERROR,
    session="session-1",
    path="a/b.ipynb",
    code="1/0\n\x00 µ 🐍",
    username="nobody",
    timeout=1.25,
    silent=True,
    subshell="sub-1",
    generation=3,
    worker_pid=4711,
    queued_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
    started_at=datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
    ended_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
    execution_count=7,
    error=Failure("ZeroDivisionError", "division by zero"),
    reason="It failed.",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be."""
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Open histories, of one file unless it is said otherwise, closed when the test is over."""
    with ExitStack() as stack:

        def open_one(
            where: Path | str = path,
            keep: Keep = Keep(),  # noqa: B008 - frozen
            clock: Callable[[], datetime] = now,
        ) -> Kept:
            kept = Kept(where, keep, clock)
            stack.callback(kept.close)
            return kept

        yield open_one


def rows_of(path: Path, sql: str = "SELECT run_id FROM runs ORDER BY seq") -> list[str]:
    """Read the file as anybody else would."""
    with database(path) as db:
        return [value for (value,) in db.execute(sql)]


# -- what was noted is found again --------------------------------------------------------------


@pytest.mark.parametrize("where", ["file", ":memory:"])
def test_a_run_comes_back_as_it_was_noted(opened: Open, path: Path, where: str) -> None:
    """Every field that is kept, times to the microsecond, and nothing where there was nothing."""
    kept = opened(path if where == "file" else where)
    bare = run_of("bare")
    kept.note(FULL, bare)
    assert kept.get("run-1") == FULL
    assert kept.get("bare") == bare
    assert kept.get("none") is None
    assert kept.logged == []


def test_the_last_note_wins_and_keeps_the_place_of_the_first(opened: Open) -> None:
    """A run stands where it came, however late its end."""
    kept = opened()
    kept.note(run_of("a"), run_of("b"))
    assert kept.find() == ["b", "a"]
    kept.note(run_of("a", status=RunStatus.OK, ended_at=FULL.queued_at))
    assert kept.find() == ["b", "a"]
    run = kept.get("a")
    assert run is not None
    assert (run.status, run.ended_at) == (RunStatus.OK, FULL.queued_at)


def test_a_place_that_is_not_known_is_said(opened: Open) -> None:
    """It is no empty answer: who pages on would believe that there is no more."""
    kept = opened()
    with pytest.raises(LookupError, match="No run nowhere is known"):
        kept.find(before="nowhere")


def test_what_no_column_can_hold_harms_nothing_else(opened: Open) -> None:
    """Half a surrogate pair, a number that is too large, an error that is no text."""
    kept = opened()
    error = Failure("E", {"no": "text"})  # type: ignore[arg-type]
    odd_run = run_of("odd", code="a\ud800b", execution_count=1 << 70, error=error)
    kept.note(odd_run, run_of("odder", execution_count="7"), run_of("plain"))
    odd = kept.get("odd")
    assert odd is not None
    assert (odd.code, odd.execution_count) == ("a?b", None)
    assert odd.error == Failure("E", "{'no': 'text'}")
    assert kept.find() == ["plain", "odder", "odd"]
    assert kept.get("\ud800") is None
    assert kept.find(kernel_id="\ud800") == []
    assert kept.logged == []


def test_every_field_of_a_run_is_kept_or_of_no_use_later() -> None:
    """A field that is new must be decided upon."""
    passing = {"reply_comes", "answer", "is_idle", "was_published", "asks", "over_limit"}
    passing |= {"error", "end_requested"}
    assert set(Run.__slots__) - set(rows.WRITE) <= passing
    assert shelf.GET.split("FROM")[0].replace(",", " ").split()[1:] == [
        *rows.WRITE,
        "ename",
        "evalue",
    ]


def test_the_page_tells_of_every_column(path: Path) -> None:
    """Who reads the file with another program finds there what it holds."""
    path.parent.mkdir()
    Shelf(path, "0" * 32).close()
    page = Path(__file__).parents[2].joinpath("docs/reference/history.md").read_text()
    told = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    assert set(rows_of(path, "SELECT name FROM pragma_table_info('runs')")) <= told
    assert f"0x{shelf.MARK:X}" in page
    assert f"`user_version` {shelf.VERSION}." in page


STATUSES = st.sampled_from(list(RunStatus))
NOTE = st.builds(
    lambda number, kernel, status: run_of(f"r{number}", kernel_id=f"k{kernel}", status=status),
    st.integers(0, 9),
    st.integers(0, 2),
    STATUSES,
)
LOOK = st.fixed_dictionaries(
    {"limit": st.integers(1, 4)},
    optional={
        "kernel_id": st.sampled_from(["k0", "k1"]),
        "status": st.sets(STATUSES),
        "before": st.integers(0, 9).map("r{}".format),
    },
)


class Model:
    """What a history promises, as a list."""

    def __init__(self) -> None:
        self.runs: dict[RunKey, Run] = {}

    def find(
        self,
        limit: int,
        kernel_id: str | None = None,
        status: set[RunStatus] | None = None,
        before: str | None = None,
    ) -> list[Run] | None:
        """Give what is wanted; None if `before` is not known."""
        order = list(self.runs.values())
        if before is not None:
            first = self.get(before, kernel_id)
            if first is None:
                return None
            order = order[: order.index(first)]
        wanted = reversed(order)
        return [
            run
            for run in wanted
            if kernel_id in (None, run.kernel_id) and (status is None or run.status in status)
        ][:limit]

    def get(self, run_id: str, kernel_id: str | None = None) -> Run | None:
        """Give the first run of an id, on a kernel or any."""
        runs = self.runs.values()
        return next(
            (run for run in runs if run.run_id == run_id and kernel_id in (None, run.kernel_id)),
            None,
        )


async def compare(kept: Kept, steps: list[Run | dict]) -> None:
    """Do the same with a history and with its model."""
    model = Model()
    for step in steps:
        if isinstance(step, Run):
            kept.note(step)
            model.runs[step.key] = step
            continue
        expected = model.find(**step)
        try:
            found = await kept.history.find(**step)
        except LookupError:
            found = None
        assert found == expected
    for kernel_id, run_id in (*model.runs, ("k0", "r99")):
        assert await kept.history.get(run_id) == model.get(run_id)
        assert await kept.history.get(run_id, kernel_id) == model.runs.get((kernel_id, run_id))


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.one_of(NOTE, LOOK), max_size=25), how=st.sampled_from(["file", "held", "no"])
)
def test_whatever_is_noted_and_asked_is_answered_as_by_a_list(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Run | dict], how: str
) -> None:
    """From the file, from a file that somebody else holds meanwhile, and from memory."""
    path = tmp_path_factory.mktemp("model") / "history.sqlite"
    where = ":memory:" if how == "no" else path
    kept = Kept(where, Keep(), now)
    try:
        half = len(steps) // 2
        if how != "held":
            answer(compare(kept, steps))
            return
        for run in (step for step in steps[:half] if isinstance(step, Run)):
            kept.note(run)
        kept.get("")
        with database(path) as db:
            db.execute("BEGIN IMMEDIATE")
            answer(compare_further(kept, steps, half))
    finally:
        kept.close()


async def compare_further(kept: Kept, steps: list[Run | dict], done: int) -> None:
    """Compare with a model that has seen the notes of the first steps."""
    noted = [step for step in steps[:done] if isinstance(step, Run)]
    await compare(kept, [*noted, *steps[done:]])


# -- servers that end, and servers beside each other --------------------------------------------


def test_a_server_that_is_killed_loses_nothing_that_was_written(opened: Open, path: Path) -> None:
    """All it said to be written is there, the file is sound, and what was running is lost."""
    with Server(path, "k") as server:
        said = server.said(until="k-40")[1:]
        said += server.kill()
    with database(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    kept = opened()
    lost = kept.find(status={RunStatus.LOST}, limit=100_000)
    assert set(said) <= set(lost)
    run = kept.get(said[0])
    assert run is not None
    assert run.ended_at is None
    assert run.reason == "The server that followed it ended before the run did."
    ended = kept.get(f"{said[-1]}-ended")
    assert ended is not None
    assert ended.status is RunStatus.OK
    assert kept.find(status=[RunStatus.RUNNING, RunStatus.QUEUED]) == []


def test_servers_share_the_file_and_never_call_each_others_runs_lost(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They all begin at once; what one runs is running for the others, until it ends."""
    monkeypatch.setattr(presence, "FRESH", 0.02)
    kept = opened()
    kept.note(run_of("mine", status=RunStatus.RUNNING))
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(path, f"s{n}", 20)) for n in range(3)]
        for server in servers:
            server.said(until="all")
        for number in range(3):
            assert len(kept.find(kernel_id=f"s{number}", limit=500)) == 40
        assert len(kept.find(status={RunStatus.RUNNING}, limit=500)) == 61
        servers[0].end()
        servers[1].kill()
        eventually(lambda: len(kept.find(status={RunStatus.LOST}, limit=500)) == 40)
        assert len(kept.find(status={RunStatus.RUNNING}, limit=500)) == 21
    seen = kept.get("mine")
    assert seen is not None
    assert seen.status is RunStatus.RUNNING
    assert kept.logged == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_servers_that_reach_the_file_by_another_path_know_each_other(
    opened: Open, path: Path, tmp_path: Path
) -> None:
    """Who lives is written beside the file itself."""
    path.parent.mkdir()
    (tmp_path / "link").symlink_to(path)
    first, second = opened(), opened(tmp_path / "link")
    first.note(run_of("a", status=RunStatus.RUNNING))
    assert first.find(status={RunStatus.RUNNING}) == ["a"]
    assert second.find(status={RunStatus.RUNNING}) == ["a"]


def test_what_runs_at_the_end_is_lost_for_the_next(opened: Open) -> None:
    """Also of a server that ends in order and does not say so itself."""
    first = opened()
    first.note(run_of("q"), run_of("r", status=RunStatus.RUNNING))
    first.close()
    second = opened()
    assert second.find(status={RunStatus.LOST}) == ["r", "q"]
    assert second.find(status={RunStatus.QUEUED, RunStatus.RUNNING}) == []


def test_servers_that_make_the_file_at_once_agree(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks while another makes it sees an empty file or a history, nothing between."""
    path.parent.mkdir()
    number = Shelf._number
    looks = []

    def interrupted(self: Shelf, sql: str) -> int:
        found = number(self, sql)
        looks.append(sql)
        if len(looks) == 1:
            with suppress(sqlite3.OperationalError):
                Shelf(path, "1" * 32).close()
        return found

    monkeypatch.setattr(Shelf, "_number", interrupted)
    Shelf(path, "0" * 32).close()
    assert len(looks) > 2
    assert rows_of(path) == []


def test_what_dead_servers_left_is_removed(opened: Open, path: Path) -> None:
    """The folder of those who live does not grow with every server that is killed."""
    folder = path.with_name("history.sqlite.servers")
    folder.mkdir(parents=True)
    (folder / ("0" * 32)).touch()
    assert opened().find() == []
    assert not (folder / ("0" * 32)).exists()


def test_a_run_that_somebody_called_lost_ends_as_it_ended(opened: Open) -> None:
    """Who follows it knows better."""
    first, second = opened(), opened()
    first.note(run_of("a", status=RunStatus.RUNNING))
    assert first.get("a") is not None
    second.note(run_of("a", status=RunStatus.LOST))
    assert second.find(status={RunStatus.LOST}) == ["a"]
    first.note(run_of("a", status=RunStatus.OK))
    assert first.find(status={RunStatus.OK}) == ["a"]
    second.note(run_of("a", status=RunStatus.LOST), run_of("b"))
    eventually(lambda: second.find(status={RunStatus.OK}) == ["a"])


def test_who_overhears_a_run_does_not_write_over_who_sent_it(opened: Open) -> None:
    """Two servers may hear one kernel; one of them knows whose run it is."""
    sender, listener = opened(), opened()
    listener.note(run_of("a", origin=Origin.ELSEWHERE))
    assert listener.get("a") is not None
    sender.note(run_of("a", username="me"))
    assert sender.get("a") == run_of("a", username="me")
    listener.note(run_of("a", origin=Origin.ELSEWHERE, status=RunStatus.OK))
    listener.note(run_of("b", origin=Origin.ELSEWHERE))
    # Where the file is held by the other just then, a note is read before it is written.
    eventually(lambda: listener.get("a") == run_of("a", username="me"))
    assert listener.find() == ["b", "a"]


# -- a file that somebody else holds ------------------------------------------------------------


def test_what_the_file_cannot_take_now_is_seen_and_written_later(opened: Open, path: Path) -> None:
    """A busy file is no broken one: nobody waits for it, nothing is lost, nothing is logged."""
    kept = opened()
    kept.note(run_of("a"), run_of("b"))
    assert kept.find() == ["b", "a"]
    with database(path) as db:
        db.execute("BEGIN IMMEDIATE")
        kept.note(run_of("c"), run_of("a", status=RunStatus.OK))
        assert kept.find() == ["c", "b", "a"]
        assert kept.find(status={RunStatus.OK}) == ["a"]
        assert kept.find(status={RunStatus.QUEUED}, limit=2) == ["c", "b"]
        assert kept.find(before="c") == ["b", "a"]
        assert kept.find(before="a") == []
        db.execute("ROLLBACK")
    eventually(lambda: rows_of(path) == ["a", "b", "c"])
    assert kept.find() == ["c", "b", "a"]
    assert kept.logged == []


def test_what_the_file_says_of_old_does_not_use_up_the_limit(opened: Open, path: Path) -> None:
    """So many are found as there are, though the file still calls others the same."""
    kept = opened()
    kept.note(*(run_of(run_id) for run_id in "abc"))
    assert kept.find() == ["c", "b", "a"]
    with database(path) as db:
        db.execute("BEGIN IMMEDIATE")
        kept.note(run_of("c", status=RunStatus.OK), run_of("b", status=RunStatus.OK))
        assert kept.find(status={RunStatus.QUEUED}, limit=1) == ["a"]
        assert kept.find(limit=2) == ["c", "b"]
        db.execute("ROLLBACK")


def test_a_file_that_is_held_from_the_start_is_opened_later(opened: Open, path: Path) -> None:
    """A question that only the file can answer waits for it."""
    path.parent.mkdir()
    with database(path) as db:
        db.execute("BEGIN EXCLUSIVE")
        kept = opened()
        kept.note(run_of("a"))

        assert kept.get("a") == run_of("a")

        async def ask() -> list[Run]:
            question = asyncio.ensure_future(kept.history.find())
            await asyncio.wait([question], timeout=0.1)
            assert not question.done()
            db.execute("ROLLBACK")
            return await question

        assert answer(ask()) == [run_of("a")]
    assert rows_of(path) == ["a"]
    assert kept.logged == []


def test_a_file_that_is_held_all_the_time_is_waited_for_no_longer(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the answer is what memory has; and where it cannot even be opened, that is said."""
    monkeypatch.setattr(history_module, "PATIENCE", 0.0)
    monkeypatch.setattr(vault, "OPENING", 0.0)
    path.parent.mkdir()
    with database(path) as db:
        db.execute("BEGIN EXCLUSIVE")
        kept = opened()
        kept.note(run_of("a"))
        assert kept.find() == ["a"]
        eventually(lambda: len(kept.logged) == 1)
    assert "database is locked" in kept.logged[0]
    assert kept.get("a") == run_of("a")


def test_an_end_while_the_file_is_held_is_bounded_and_said(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes, and its log tells what is missing."""
    monkeypatch.setattr(history_module, "FAREWELL", 1.0)
    kept = opened()
    assert kept.find() == []
    with database(path) as db:
        db.execute("BEGIN IMMEDIATE")
        kept.note(run_of("a"))
        kept.close()
        assert len(kept.logged) == 1, kept.logged
        db.execute("ROLLBACK")
    eventually(lambda: not kept.history._thread.is_alive())


# -- a file that cannot be used -----------------------------------------------------------------


def no_database(path: Path) -> None:
    """A file of something else."""
    path.write_bytes(b"# Notes\n" * 200)


def other_database(path: Path) -> None:
    """A database of something else."""
    with database(path) as db:
        db.execute("CREATE TABLE notes (text)")


def later_version(path: Path) -> None:
    """A history that a later release has made."""
    with database(path) as db:
        db.execute(f"PRAGMA application_id = {shelf.MARK}")
        db.execute("CREATE TABLE runs (everything)")
        db.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_database, "file is not a database"),
        (other_database, "it is a database of something else"),
        (later_version, "its schema is version 99, this is made for version 2"),
        (Path.mkdir, "it is no plain file"),
    ],
)
def test_what_is_no_history_is_left_alone(
    opened: Open, path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    """Memory only, said once, with the path and what to do; the file is as it was."""
    path.parent.mkdir()
    spoil(path)
    path.chmod(0o755)
    before = path.read_bytes() if path.is_file() else b""
    kept = opened()
    works_in_memory(kept, said)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def works_in_memory(kept: Kept, said: str) -> None:
    """Hold a history that has no file to what it promises all the same."""
    kept.note(run_of("a"), run_of("b", status=RunStatus.RUNNING))
    kept.note(run_of("a", status=RunStatus.OK))
    assert kept.find(before="b") == ["a"]
    assert kept.find(status={RunStatus.RUNNING}) == ["b"]
    kept.close()
    assert len(kept.logged) == 1, kept.logged
    for part in (said, str(kept.path), "in memory only", "KernelStatusApp.history_path"):
        assert part in kept.logged[0]


@pytest.mark.skipif(sys.platform == "win32", reason="a file has no number of a user there")
def test_a_file_of_another_user_is_left_alone(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may open every file would write what is private into it."""
    first = opened()
    first.note(run_of("a"))
    first.close()
    before = path.read_bytes()
    monkeypatch.setattr(place.os, "geteuid", lambda: path.stat().st_uid + 1)
    works_in_memory(opened(), "another user")
    assert path.read_bytes() == before


def test_an_empty_database_with_a_version_is_somebody_elses(opened: Open, path: Path) -> None:
    """An application may have made its file and not yet its tables."""
    path.parent.mkdir()
    with database(path) as db:
        db.execute("PRAGMA user_version = 7")
    works_in_memory(opened(), "it is a database of something else")


def test_a_folder_that_cannot_be_made_is_said(opened: Open, tmp_path: Path) -> None:
    """A file stands in its place."""
    (tmp_path / "file").touch()
    works_in_memory(opened(tmp_path / "file" / "history.sqlite"), "file")


def test_a_disk_that_cannot_be_written_to_is_said(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who may write everywhere can try it for real."""

    def read_only(path: Path) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(place, "make_file", read_only)
    works_in_memory(opened(), "Read-only file system")


@pytest.mark.parametrize(
    ("mounts", "is_network"),
    [
        ([("/", "ext4", "rw")], False),
        ([("/", "nfs4", "rw")], True),
        ([("/", "ext4", "rw"), ("HERE", "cifs", "rw")], True),
        ([("/", "nfs4", "rw"), ("HERE", "xfs", "rw")], False),
        ([("/", "ext4", "rw"), ("HERE-not", "nfs", "rw")], False),
        ([("HERE", "ext4", "rw"), ("HERE", "nfs", "rw"), ("/", "ext4", "rw")], True),
        ([("/", "ext4", "rw"), ("HERE", "fuse.sshfs", "rw")], True),
        ([("/", "fuse.fuse-overlayfs", "rw")], False),
        ([("HERE", "NTFS", "rw,remote")], True),
        ([], False),
    ],
)
def test_a_file_system_of_another_machine_is_known(
    opened: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mounts: list[tuple[str, str, str]],
    is_network: bool,
) -> None:
    """The nearest mount decides, the last of those at one point; locks do not cross machines."""
    table = [
        SimpleNamespace(mountpoint=point.replace("HERE", str(tmp_path)), fstype=kind, opts=options)
        for point, kind, options in mounts
    ]
    monkeypatch.setattr(place.psutil, "disk_partitions", lambda **_: table)
    kept = opened()
    if is_network:
        works_in_memory(kept, "may be shared with other machines")
    else:
        assert kept.find() == []
        assert kept.logged == []


def test_a_share_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows lists no drive for it; and without any list SQLite is asked."""
    monkeypatch.setattr(place.os.path, "realpath", lambda _: r"\\server\share\history")
    assert place.file_system(tmp_path).is_shared
    monkeypatch.undo()

    def no_table(**_: object) -> None:
        raise FileNotFoundError("/proc/filesystems")

    monkeypatch.setattr(place.psutil, "disk_partitions", no_table)
    assert not place.file_system(tmp_path).is_shared


@pytest.mark.skipif(sys.platform == "win32", reason="a way to lock that only POSIX has")
def test_where_sqlite_cannot_share_a_file_there_is_none(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so itself: here it locks by files, and then has no write-ahead log."""
    connect = sqlite3.connect

    def by_files(path: Path, **options: object) -> sqlite3.Connection:
        return connect(f"file:{path}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(shelf.sqlite3, "connect", by_files)
    works_in_memory(opened(), "cannot share a file there")


# -- a file that breaks later -------------------------------------------------------------------


def test_a_full_disk_harms_nothing(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is read, what comes is in memory, what runs is known to the end."""

    class Small(Shelf):
        """A file that can grow to a few pages only."""

        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            self._db.execute("PRAGMA max_page_count = 20")

    monkeypatch.setattr(vault, "Shelf", Small)
    kept = opened()
    kept.note(run_of("first", status=RunStatus.RUNNING), run_of("done", status=RunStatus.OK))
    assert kept.find() == ["done", "first"]
    kept.note(run_of("large", code="x" * 200_000, status=RunStatus.OK))
    assert kept.find() == ["large", "done", "first"]
    assert len(kept.logged) == 1
    assert "database or disk is full" in kept.logged[0]
    kept.note(run_of("first", status=RunStatus.OK), run_of("last"))
    assert kept.find() == ["last", "large", "done", "first"]
    assert kept.find(status={RunStatus.OK}) == ["large", "done", "first"]
    assert kept.find(status={RunStatus.RUNNING}) == []
    assert kept.find(before="large", limit=1) == ["done"]
    assert len(kept.logged) == 1


def disk(monkeypatch: pytest.MonkeyPatch, free: int, total: int = 1 << 40) -> None:
    """Have so many bytes on the disk."""
    usage = SimpleNamespace(total=total, used=0, free=free)
    monkeypatch.setattr(place.shutil, "disk_usage", lambda _: usage)


def test_a_disk_that_is_nearly_full_is_left_alone(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would be killed with the server where a page of its shared memory finds no block."""
    disk(monkeypatch, place.ROOM - 1)
    works_in_memory(opened(), "less than 16 MB are free")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == b""


def test_a_disk_that_does_not_count_is_none_that_is_full(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems say 0 of 0."""
    disk(monkeypatch, 0, total=0)
    kept = opened()
    kept.note(run_of("a"))
    assert kept.find() == rows_of(path) == ["a"]


@pytest.mark.parametrize(("kind", "is_read"), [("ext4", True), ("btrfs", False)])
def test_a_full_disk_is_read_where_reading_needs_no_room(
    opened: Open, monkeypatch: pytest.MonkeyPatch, kind: str, is_read: bool
) -> None:
    """Who reads notes it down for the others, in a block that some file systems copy."""
    mount = SimpleNamespace(mountpoint=os.sep, fstype=kind, opts="rw")
    monkeypatch.setattr(place.psutil, "disk_partitions", lambda **_: [mount])
    disk(monkeypatch, place.ROOM)
    kept = opened()
    kept.note(run_of("a"), run_of("b", status=RunStatus.OK))
    assert kept.find() == ["b", "a"]
    disk(monkeypatch, 0)
    kept.note(run_of("c"))
    assert kept.find() == (["c", "b", "a"] if is_read else ["c", "a"])
    assert len(kept.logged) == 1
    disk(monkeypatch, place.ROOM)
    assert "b" in kept.find()


@pytest.mark.parametrize("name", ["BATCH", "MOST_TEXT"])
def test_much_at_once_is_written_in_portions(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nothing is left out, and the last of a run is the last also in another portion."""
    monkeypatch.setattr(stacks, name, 2)
    put = Shelf.put
    portions = []

    def counted(self: Shelf, runs: list[Run], at: datetime) -> None:
        portions.append(len(runs))
        put(self, runs, at)

    monkeypatch.setattr(Shelf, "put", counted)
    kept = opened()
    assert kept.find() == []
    kept.note(*(run_of(f"r{n}", code="x") for n in range(7)))
    assert kept.find(limit=2) == ["r6", "r5"]
    assert rows_of(path) == [f"r{n}" for n in range(7)]
    assert max(portions) == (2 if name == "BATCH" else 3)


@pytest.mark.parametrize("where", ["file", ":memory:"])
def test_one_id_on_two_kernels_is_that_of_two_runs(opened: Open, path: Path, where: str) -> None:
    """Each has its place and its end; without a kernel the first is meant."""
    kept = opened(path if where == "file" else where)
    first, second = run_of("a"), run_of("a", kernel_id="other", status=RunStatus.RUNNING)
    kept.note(first, second)
    assert (kept.get("a"), kept.get("a", "k"), kept.get("a", "other")) == (first, first, second)
    ended = run_of("a", status=RunStatus.OK)
    kept.note(ended, run_of("b", kernel_id="other"))
    assert (kept.get("a"), kept.get("a", "other")) == (ended, second)
    assert kept.find(kernel_id="other", before="b") == ["a"]
    assert kept.find(kernel_id="other", before="a") == []


def test_a_file_of_the_version_before_is_kept(opened: Open, path: Path) -> None:
    """There an id was that of one run; what it holds is found, and a second run fits in."""
    path.parent.mkdir()
    Shelf(path, "0" * 32).close()
    with database(path) as db:
        db.execute("DROP TABLE runs")
        unique = shelf.SCHEMA.replace("run_id TEXT NOT NULL", "run_id TEXT NOT NULL UNIQUE")
        for statement in unique.replace(",\n    UNIQUE (run_id, kernel_id)", "").split(";"):
            db.execute(statement)
        columns = "server, noted_at, run_id, kernel_id, kernel_name, origin, status"
        row = "'nobody', 1 << 60, 'a', 'k', 'p', 'api', 'ok', 0, '', ''"
        db.execute(f"INSERT INTO runs ({columns}, silent, subshell, reason) VALUES ({row})")
        db.execute("PRAGMA user_version = 1")
    kept = opened()
    kept.note(run_of("a", kernel_id="other"))
    assert kept.get("a") == run_of("a", status=RunStatus.OK)
    assert kept.find() == ["a", "a"]
    assert rows_of(path, "SELECT seq FROM runs ORDER BY seq") == [1, 2]
    assert kept.logged == []


def test_what_memory_has_let_go_is_not_told_as_it_was_before(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that takes nothing more has an older news of it, which is not true any more."""
    monkeypatch.setattr(stacks, "MOST_IN_MEMORY", 1)
    kept = opened()
    kept.note(run_of("old", status=RunStatus.OK), run_of("a", status=RunStatus.RUNNING))
    assert kept.find() == ["a", "old"]
    disk(monkeypatch, 0)
    kept.note(run_of("a", status=RunStatus.OK), run_of("b", status=RunStatus.OK))
    assert kept.find() == ["b", "old"]
    assert kept.get("a") is None
    with pytest.raises(LookupError):
        kept.find(before="a")
    assert kept.find(before="b") == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_taken_away_is_noticed(opened: Open, path: Path, how: str) -> None:
    """Writing on to what nobody can open any more would look well and keep nothing."""
    kept = opened()
    kept.note(run_of("a"))
    assert kept.find() == ["a"]
    path.unlink()
    if how == "replaced":
        path.touch()
    kept.note(run_of("b"))
    assert kept.find() == ["b", "a"]
    assert len(kept.logged) == 1
    kept.close()
    assert how == "removed" or path.read_bytes() == b""


DAMAGE = {
    "an unknown word": "origin = 'nowhere'",
    "bytes for text": "code = x'ff00'",
    "text that is none": "path = CAST(x'ff' AS TEXT), kernel_id = x'ff'",
    "bytes for a sentence": "reason = x'00'",
    "text for a moment": "queued_at = 'yesterday'",
    "a moment beyond all": "ended_at = 9223372036854775807",
    "text for a number": "generation = 'x'",
    "half an error": "ename = 'E', evalue = NULL",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_costs_that_row(opened: Open, path: Path, damage: str) -> None:
    """It is left out and said once; all others are found, also beyond it, and new ones written."""
    kept = opened()
    kept.note(*(run_of(each, status=RunStatus.OK) for each in "abcd"))
    assert kept.find() == ["d", "c", "b", "a"]
    with database(path) as db:
        db.execute(f"UPDATE runs SET {damage} WHERE run_id IN ('b', 'c')")
    assert kept.find() == ["d", "a"]
    assert kept.find(limit=2) == ["d", "a"]
    assert kept.get("b") is None
    assert kept.get("a") == run_of("a", status=RunStatus.OK)
    kept.note(run_of("e", status=RunStatus.OK))
    assert kept.find(before="e") == ["d", "a"]
    assert rows_of(path) == ["a", "b", "c", "d", "e"]
    (said,) = kept.logged
    assert "cannot be read" in said
    assert str(path) in said


def test_a_row_of_a_server_that_has_no_name_harms_nothing(opened: Open, path: Path) -> None:
    """Who looks for servers that live no more meets it at every question."""
    kept = opened()
    kept.note(run_of("a"), run_of("b", status=RunStatus.OK))
    assert kept.find() == ["b", "a"]
    with database(path) as db:
        db.execute("UPDATE runs SET server = x'ff' WHERE run_id = 'a'")
    assert kept.find(status={RunStatus.OK}) == ["b"]
    assert not kept.logged


def test_a_page_that_is_damaged_costs_what_stood_on_it(opened: Open, path: Path) -> None:
    """A long row's end lies on pages of its own."""
    kept = opened()
    long = run_of("a", status=RunStatus.OK, code="x" * 50_000)
    kept.note(long, run_of("b", status=RunStatus.OK))
    assert kept.find() == ["b", "a"]
    kept.close()
    with path.open("r+b") as file:
        content = file.read()
        file.seek(content.index(b"x" * 4000) - 4)
        file.write(b"\xff\xff\xff\xff")  # where the next of its pages is
    again = opened()
    assert again.find() == ["b"]
    assert len(again.logged) == 1


def test_what_nobody_foresaw_ends_neither_the_thread_nor_a_question(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question is answered with the error; what was to be written is kept in memory."""
    kept = opened()
    kept.note(run_of("a"))
    assert kept.find() == ["a"]

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "find", fails)
        with pytest.raises(ZeroDivisionError):
            kept.find()
    assert kept.find() == ["a"]
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "put", fails)
        kept.note(run_of("b"))
        assert kept.find() == ["b", "a"]
    kept.note(run_of("c"))
    assert kept.find() == ["c", "b", "a"]
    assert len([each for each in kept.logged if "in memory only" in each]) == 1


@pytest.mark.parametrize("where", ["\0", "a\0b/runs.sqlite3"])
def test_a_path_that_is_none_is_said(opened: Open, where: str) -> None:
    """Runs are kept in memory."""
    kept = opened(where)
    kept.note(run_of("a"))
    assert kept.find() == ["a"]
    assert "in memory only" in " ".join(kept.logged)


def test_the_lost_of_a_file_that_takes_nothing_are_told_all_the_same(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not written down, and it is true."""
    first = opened()
    first.note(run_of("a"), run_of("b", status=RunStatus.OK))
    first.close()

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(Shelf, "put", fails)
    second = opened()
    second.note(run_of("c"))
    assert second.find(status={RunStatus.LOST}) == ["a"]
    assert second.find() == ["c", "b", "a"]
    assert second.find(status={RunStatus.QUEUED}) == ["c"]
    assert len(second.logged) == 1


# -- who may read it ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
@pytest.mark.parametrize("umask", [0, 0o277])
def test_only_the_owner_enters_what_folders_are_made(
    opened: Open, tmp_path: Path, umask: int
) -> None:
    """All of them, not the last one only; what was there keeps its mode."""
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o755)
    before = os.umask(umask)
    try:
        kept = opened(there / "a" / "b" / "c" / "runs.sqlite3")
        kept.note(run_of("a"))
        assert kept.find() == ["a"]
    finally:
        os.umask(before)
    made = [there / "a", there / "a" / "b", there / "a" / "b" / "c"]
    assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o700] * 3
    assert stat.S_IMODE(there.stat().st_mode) == 0o755
    assert not kept.logged


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
@pytest.mark.parametrize("existed", [False, True])
def test_only_the_owner_may_read(opened: Open, path: Path, existed: bool) -> None:
    """Whatever the umask is, and whatever the file was; so with all that SQLite puts beside it."""
    if existed:
        opened().close()
        path.chmod(0o666)
    before = os.umask(0)
    try:
        kept = opened()
        kept.note(run_of("a"))
        assert kept.find() == ["a"]
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes.pop("history.sqlite.servers") == 0o700
    assert modes == dict.fromkeys(modes, 0o600)
    assert set(modes) == {"history.sqlite", "history.sqlite-wal", "history.sqlite-shm"}


# -- how much is kept ---------------------------------------------------------------------------


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now


def test_what_is_too_old_is_forgotten(opened: Open, path: Path) -> None:
    """Runs that have not ended stay, however old."""
    clock = Clock()
    first = opened(clock=clock)
    first.note(run_of("old", status=RunStatus.OK), run_of("runs", status=RunStatus.RUNNING))
    assert len(first.find()) == 2
    clock.now += timedelta(days=20)
    first.note(run_of("young", status=RunStatus.OK))
    assert len(first.find()) == 3
    clock.now += timedelta(days=20)
    opened(clock=clock)
    eventually(lambda: rows_of(path) == ["runs", "young"])


def test_what_is_too_much_is_forgotten(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest that have ended go first, a few at a time, after so many new ones."""
    monkeypatch.setattr(stacks, "BATCH", 3)
    monkeypatch.setattr(stacks, "TIDY_AFTER", 30)
    kept = opened(keep=Keep(runs=5))
    kept.note(run_of("runs"), *(run_of(f"r{n}", status=RunStatus.OK) for n in range(29)))
    assert kept.find(limit=1) == ["r28"]
    eventually(lambda: rows_of(path) == ["runs", "r25", "r26", "r27", "r28"])
    assert kept.find() == ["r28", "r27", "r26", "r25", "runs"]


def test_a_file_that_is_too_large_forgets_its_oldest(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gives the room back to the disk; what has not ended stays, and so do the newest."""
    monkeypatch.setattr(stacks, "TIDY_AFTER", 10)
    most = 1 << 20
    kept = opened(keep=Keep(bytes=most))
    kept.note(run_of("runs", status=RunStatus.RUNNING, code="x" * 10_000))
    for number in range(400):
        kept.note(run_of(f"{number}", status=RunStatus.OK, code="x" * 10_000))
        if number % 40 == 0:
            kept.find(limit=1)

    def small() -> bool:
        kept.find(limit=1)
        return path.stat().st_size <= most

    eventually(small, 30, "the file is as large as it may be")
    found = kept.find(limit=500)
    assert found[-1] == "runs"
    assert found[:-1] == [f"{399 - each}" for each in range(len(found) - 1)]
    assert 50 < len(found) < 105


@pytest.mark.parametrize("keep", [Keep(0, 0), Keep(1e300, 10)])
def test_a_limit_of_nothing_is_none(opened: Open, path: Path, keep: Keep) -> None:
    """Nor is an age that no calendar has."""
    first = opened()
    first.note(*(run_of(f"r{n}", status=RunStatus.OK) for n in range(5)))
    assert len(first.find()) == 5
    clock = Clock()
    clock.now += timedelta(days=365_000)
    second = opened(keep=keep, clock=clock)
    second.note(run_of("new"))
    assert second.find()[0] == "new"
    second.close()
    assert len(rows_of(path)) == 6


def test_a_clock_that_goes_back_changes_no_order(opened: Open) -> None:
    """The order is that of the notes."""
    clock = Clock()
    kept = opened(clock=clock)
    for number in range(5):
        kept.note(run_of(f"r{number}", status=RunStatus.OK, ended_at=clock.now))
        assert kept.find(limit=1) == [f"r{number}"]
        clock.now -= timedelta(days=10)
    assert kept.find() == ["r4", "r3", "r2", "r1", "r0"]


def test_memory_holds_so_many(opened: Open) -> None:
    """The oldest that have ended go first."""
    kept = opened(":memory:", Keep(runs=3))
    kept.note(run_of("runs"), *(run_of(f"r{n}", status=RunStatus.OK) for n in range(5)))
    assert kept.find() == ["r4", "r3", "runs"]
    assert kept.logged == []


def test_what_waits_for_the_file_is_bounded_too(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once that some are missing."""
    monkeypatch.setattr(stacks, "MOST_WAITING", 3)
    kept = opened()
    assert kept.find() == []
    with database(path) as db:
        db.execute("BEGIN IMMEDIATE")
        for number in range(6):
            kept.note(run_of(f"r{number}", status=RunStatus.OK))
            kept.find()
        assert kept.find() == ["r5", "r4", "r3"]
        db.execute("ROLLBACK")
    eventually(lambda: rows_of(path) == ["r3", "r4", "r5"])
    assert len(kept.logged) == 1
    assert "will lack some" in kept.logged[0]


def test_a_pile_drops_what_ended_before_what_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, and by how much code there is in all."""
    few = Pile(2)
    for run in (run_of("a"), run_of("b", status=RunStatus.OK), run_of("c"), run_of("d")):
        few.put(run)
    assert [run.run_id for run in few.runs()] == ["c", "d"]
    assert few.dropped == 2
    monkeypatch.setattr(pile, "MOST_TEXT", 10)
    small = Pile(100)
    small.put(run_of("a", code="x" * 6))
    small.put(run_of("b", code="x" * 4, status=RunStatus.OK))
    small.put(run_of("a", code="x" * 5))
    assert len(small) == 2
    small.put(run_of("c", code="x" * 3))
    assert [run.run_id for run in small.runs()] == ["a", "c"]
    small.clear()
    small.put(run_of("d", code="x" * 10))
    assert len(small) == 1


# -- the thread ---------------------------------------------------------------------------------


def test_what_comes_after_the_end_is_answered_with_nothing(opened: Open, path: Path) -> None:
    """Closing writes what was noted; it can be done twice."""
    kept = opened()
    kept.note(run_of("a"))
    kept.close()
    kept.close()
    assert rows_of(path) == ["a"]
    kept.note(run_of("b"))
    assert kept.get("a") is None
    assert kept.find() == []
    assert rows_of(path) == ["a"]
    assert not (path.parent / "history.sqlite-wal").exists()
    assert list((path.parent / "history.sqlite.servers").iterdir()) == []


def test_a_loop_that_is_gone_is_not_answered(opened: Open) -> None:
    """Nor one whose question was given up; the next is answered."""
    kept = opened()

    async def give_up() -> None:
        question = asyncio.ensure_future(kept.history.find())
        await asyncio.wait([question], timeout=0)
        question.cancel()

    for _ in range(5):
        answer(give_up())
    kept.note(run_of("a"))

    async def give_up_and_ask_again() -> list[Run]:
        complaints: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        await give_up()
        found = await kept.history.find()
        assert complaints == []
        return found

    assert answer(give_up_and_ask_again()) == [run_of("a")]


def test_a_question_that_waits_at_the_end_is_answered_with_nothing(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left waiting for a thread that has ended."""
    monkeypatch.setattr(history_module, "FAREWELL", 1.0)
    path.parent.mkdir()
    with database(path) as db:
        db.execute("BEGIN EXCLUSIVE")
        kept = opened()

        async def ask_and_close() -> list[Run]:
            question = asyncio.ensure_future(kept.history.find())
            await asyncio.wait([question], timeout=0.05)
            await asyncio.to_thread(kept.close)
            return await asyncio.wait_for(question, 10)

        assert answer(ask_and_close()) == []


def test_a_look_among_many_is_one_by_index(path: Path) -> None:
    """No question of a user reads all rows: a plan that does says SCAN."""
    path.parent.mkdir()
    shelf_of_one = Shelf(path, "0" * 32)
    plans = []
    shelf_of_one._db.set_trace_callback(plans.append)
    words = set(RunStatus)
    for wish in (Wish(), Wish("k"), Wish("k", words), Wish(status=words), Wish(status=ENDED)):
        shelf_of_one.find(wish)
    shelf_of_one.get("a")
    shelf_of_one.get("a", "k")
    shelf_of_one.writers()
    shelf_of_one.unfinished("a")
    shelf_of_one.forget_old(now(), 10)
    shelf_of_one.forget_beyond(5, 10)
    shelf_of_one.forget_larger(1 << 30, 10)
    shelf_of_one._db.set_trace_callback(None)
    seen = {sql for sql in plans if "runs" in sql}
    assert len(seen) > 10
    for sql in seen:
        for row in shelf_of_one._db.execute(f"EXPLAIN QUERY PLAN {sql}"):
            by_index = "USING" in row[3] or sql == shelf.NEWEST or "LIMIT 50" in sql
            assert "SCAN runs" not in row[3] or by_index, (sql, row)
            assert "TEMP B-TREE" not in row[3], (sql, row)
    shelf_of_one.close()


def test_a_lost_run_says_all_else_that_was_known() -> None:
    """Only its status and its reason are new."""
    lost = stacks.lost(FULL)
    assert replace(lost, status=FULL.status, reason=FULL.reason) == FULL
