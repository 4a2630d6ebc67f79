"""Who lives is known of every server that shares a history, and of none that ended."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from kernel_status_ext.tracking import presence
from kernel_status_ext.tracking.presence import Presence

HOLD = """
import sys
from pathlib import Path
from kernel_status_ext.tracking.presence import Presence
here = Presence(Path(sys.argv[1]))
here.announce()
print(here.server, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files of servers are; it does not exist yet."""
    return tmp_path / "servers"


@pytest.fixture
def here(folder: Path) -> Iterator[Presence]:
    """A server that lives until the test is over."""
    here = Presence(folder)
    here.announce()
    yield here
    here.leave()


@pytest.fixture
def other(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(file.name for file in folder.iterdir())


def named(process: subprocess.Popen[str]) -> str:
    """Wait until it has announced itself."""
    assert process.stdout
    return process.stdout.readline().strip()


def test_a_server_that_is_killed_lives_no_more(folder: Path, other: subprocess.Popen[str]) -> None:
    """Its lock ends with it, however it ends, and its file is removed by who finds that out."""
    name = named(other)
    assert Presence(folder).lives(name)
    other.kill()
    other.wait()
    assert not Presence(folder).lives(name)
    assert names(folder) == []


def test_servers_of_one_process_know_each_other(folder: Path, here: Presence) -> None:
    """A lock counts also for who is in the same process."""
    assert Presence(folder).lives(here.server)
    assert here.lives(here.server)
    here.leave()
    assert not Presence(folder).lives(here.server)


def test_a_look_does_not_end_a_lock(folder: Path, here: Presence) -> None:
    """On POSIX whoever closes a file takes all locks of his process from it, if he is careless."""
    for _ in range(3):
        assert Presence(folder).lives(here.server)
    check = "import sys; from pathlib import Path; from kernel_status_ext.tracking.presence "
    check += "import Presence; print(Presence(Path(sys.argv[1])).lives(sys.argv[2]))"
    argv = [sys.executable, "-c", check, str(folder), here.server]
    assert subprocess.run(argv, capture_output=True, check=True, text=True).stdout == "True\n"


def test_a_server_lives_while_one_believes_so(
    folder: Path, here: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look holds for a second, so that not every reading costs one."""
    clock = [100.0]
    monkeypatch.setattr(presence.time, "monotonic", lambda: clock[0])
    looker = Presence(folder)
    assert looker.lives(here.server)
    here.leave()
    assert looker.lives(here.server)
    clock[0] += presence.FRESH
    assert not looker.lives(here.server)


def test_what_the_dead_left_is_swept_and_nothing_else(folder: Path, here: Presence) -> None:
    """Files of servers that were killed go; of those that live, and of somebody else, stay."""
    (folder / "0123456789abcdef0123456789abcdef").touch()
    (folder / "notes.txt").write_text("mine")
    Presence(folder).sweep()
    assert names(folder) == sorted([here.server, "notes.txt"])


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its locking another server may take it for a dead one's."""
    make_file = presence.make_file
    sweeps = iter([True, False])

    def swept(file: Path) -> None:
        make_file(file)
        if next(sweeps):
            Presence(folder).sweep()

    monkeypatch.setattr(presence, "make_file", swept)
    here = Presence(folder)
    here.announce()
    assert Presence(folder).lives(here.server)
    here.leave()


def test_a_file_that_is_swept_while_it_is_locked_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a lock on a file that is gone from its folder is seen by nobody."""
    held = presence._held
    sweeps = iter([True, False])

    def swept(file: Path, patience: float) -> object:
        lock = held(file, patience)
        if next(sweeps):
            file.unlink()
        return lock

    monkeypatch.setattr(presence, "_held", swept)
    here = Presence(folder)
    here.announce()
    monkeypatch.undo()
    assert Presence(folder).lives(here.server)
    here.leave()


def test_a_file_that_is_made_again_meanwhile_is_not_removed(folder: Path) -> None:
    """Its server makes it anew as soon as the lock of who removed it is gone."""
    folder.mkdir()
    file = folder / "server"
    file.touch()
    presence._remove(file, SimpleNamespace(close=file.touch))
    assert file.exists()


def test_servers_that_begin_at_once_all_live(folder: Path) -> None:
    """Each sweeps what the others have just made."""
    together = threading.Barrier(8)
    servers = [Presence(folder) for _ in range(8)]

    def live(here: Presence) -> list[bool]:
        here.announce()
        here.sweep()
        together.wait()
        seen = [Presence(folder).lives(other.server) for other in servers]
        together.wait()
        here.leave()
        return seen

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(live, servers)) == [[True] * 8] * 8
    assert names(folder) == []


def test_what_cannot_be_removed_while_it_is_open_is_removed_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is on Windows."""
    folder.mkdir()
    file = folder / "server"
    file.touch()
    unlink = Path.unlink
    is_open = [True]

    def guarded(path: Path, *, missing_ok: bool = False) -> None:
        if is_open[0]:
            raise PermissionError("in use")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", guarded)
    presence._remove(file, SimpleNamespace(close=lambda: is_open.__setitem__(0, False)))
    assert not file.exists()


def test_a_file_that_never_stays_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, and not for ever."""
    monkeypatch.setattr(presence, "make_file", lambda _: None)
    with pytest.raises(FileNotFoundError, match="removed again and again"):
        Presence(folder).announce()


def test_what_cannot_be_looked_at_is_believed_to_live(folder: Path, here: Presence) -> None:
    """No run is called lost because of a folder that cannot be read."""
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()
    assert Presence(folder).lives(here.server)


@pytest.mark.parametrize("name", ["", "../history", "0" * 31, "G" * 32])
def test_a_name_that_is_none_of_ours_is_no_path(folder: Path, name: str) -> None:
    """What a row says of its server is never taken for a file to be removed."""
    folder.mkdir()
    victim = folder.with_name("history")
    victim.touch()
    assert not Presence(folder).lives(name)
    assert victim.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_only_the_owner_may_look(folder: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        here = Presence(folder)
        here.announce()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]
    here.announce()
    here.leave()
    here.leave()
    assert names(folder) == []
