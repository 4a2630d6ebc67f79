"""The only place that tells whether the server that wrote a run still lives.

Each server holds a lock on a small file of its own. A lock ends with its process, whatever ends
that, and is seen by all that share the folder: also by containers that have pids of their own, by
which two servers would have the same, and after a reboot. SQLite's locks are the same everywhere.
"""

from __future__ import annotations

import re
import sqlite3
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path

from .place import make_file, make_folder

FRESH = 1.0
"""Seconds for which a server that lived is believed to live."""

TRIES = 10
"""So often our file may be swept away before it is locked."""

NAME = re.compile("[0-9a-f]{32}")
"""What our files are called; others in their folder are not touched."""

PATIENCE = 1.0
"""Seconds that somebody who looks at our file may hold it."""


class Presence:
    """What the servers that share a history know of each other."""

    def __init__(self, folder: Path) -> None:
        """Begin without a file.

        Args:
            folder: Where the files of all of them are.
        """
        self.server = uuid.uuid4().hex
        """The name of this one."""
        self._folder = folder
        self._lock: sqlite3.Connection | None = None
        self._seen: dict[str, float] = {}

    def announce(self) -> None:
        """Hold the lock of this server, from now on until it leaves or ends.

        Raises:
            OSError: Its file cannot be made.
            sqlite3.Error: It cannot be locked.
        """
        if self._lock is not None:
            return
        make_folder(self._folder)
        for _ in range(TRIES):
            if self._announced():
                return
        raise FileNotFoundError(f"{self._file(self.server)} is removed again and again")

    def leave(self) -> None:
        """Let go of it: from now on this server lives no more."""
        if self._lock is None:
            return
        _remove(self._file(self.server), self._lock)
        self._lock = None

    def lives(self, server: str) -> bool:
        """Whether a server still lives; one that cannot be looked at is believed to."""
        if server == self.server:
            return True
        if not NAME.fullmatch(server):
            return False
        now = time.monotonic()
        if now - self._seen.get(server, -FRESH) < FRESH:
            return True
        if _is_held(self._file(server)):
            self._seen[server] = now
            return True
        self._seen.pop(server, None)
        return False

    def sweep(self) -> None:
        """Remove what servers left behind that had no time to."""
        with suppress(OSError):
            for file in list(self._folder.iterdir()):
                self.lives(file.name)

    def _announced(self) -> bool:
        file = self._file(self.server)
        make_file(file)
        try:
            lock = _held(file, PATIENCE)
        except sqlite3.Error:
            if _exists(file):
                raise
            return False
        if _exists(file):
            self._lock = lock
            return True
        # Somebody who swept found it before it was locked.
        lock.close()
        return False

    def _file(self, server: str) -> Path:
        return self._folder / server


def _is_held(file: Path) -> bool:
    """Whether somebody holds a lock on a file; removes it if nobody does."""
    if not _exists(file):
        return False
    try:
        lock = _held(file, 0)
    except sqlite3.Error:
        return _exists(file)
    _remove(file, lock)
    return False


def _exists(file: Path) -> bool:
    """Whether it is there; what may not be looked at is."""
    try:
        file.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _held(file: Path, patience: float) -> sqlite3.Connection:
    """Lock a file that exists; raises ``sqlite3.Error`` where it is absent, or held."""
    uri = f"{file.absolute().as_uri()}?mode=rw"
    lock = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
    try:
        # Nothing is written, and so there need be no file for a journal.
        lock.execute("PRAGMA journal_mode = MEMORY")
        lock.execute("BEGIN EXCLUSIVE")
    except BaseException:
        lock.close()
        raise
    return lock


def _remove(file: Path, lock: sqlite3.Connection) -> None:
    """Remove a file whose lock one holds: once, for its server may make it again at once."""
    with closing(lock):
        try:
            file.unlink(missing_ok=True)
        except OSError:
            # Windows does not remove what is open; then whoever else has it open keeps it.
            lock.close()
            with suppress(OSError):
                file.unlink()
