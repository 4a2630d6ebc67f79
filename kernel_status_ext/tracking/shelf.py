"""The only place that knows the file of the history: its schema, and its SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from itertools import chain
from os.path import samestat
from pathlib import Path

from ..core.run import Run
from ..core.words import RunStatus
from .rows import DamagedRow, from_row, micros, text, to_row

MARK = 0x6B737275
"""The ``application_id`` of a file of ours, "ksru": nobody else's database is written to."""

VERSION = 2
"""The ``user_version`` of this schema."""

ONE_RUN_PER_ID = 1
"""The version in which an id was that of one run, whichever its kernel."""

PATIENCE = 0.05
"""Seconds that another server's writing is waited for; it takes a thousandth of one."""

INCREMENTAL = 2
"""The ``auto_vacuum`` of a file that can be made shorter in steps."""

FREED_AT_ONCE = 1000
"""Pages that are given back to the disk at once, of those that hold nothing any more."""

LOG_BYTES = 16 << 20
"""Bytes of SQLite's write-ahead log that stay on the disk when they are not needed."""

BEYOND = 1 << 62
"""Larger than the place of any run of a file."""

SCHEMA = """
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    server TEXT NOT NULL,
    noted_at INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    kernel_id TEXT NOT NULL,
    kernel_name TEXT NOT NULL,
    origin TEXT NOT NULL,
    status TEXT NOT NULL,
    session TEXT,
    path TEXT,
    code TEXT,
    username TEXT,
    timeout REAL,
    silent INTEGER NOT NULL,
    subshell TEXT NOT NULL,
    generation INTEGER,
    worker_pid INTEGER,
    queued_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    execution_count INTEGER,
    reason TEXT NOT NULL,
    ename TEXT,
    evalue TEXT,
    UNIQUE (run_id, kernel_id)
);
CREATE INDEX runs_of_kernel ON runs(kernel_id, status);
CREATE INDEX runs_of_status ON runs(status);
CREATE INDEX runs_not_ended ON runs(server) WHERE status IN ('queued', 'running');
CREATE INDEX runs_by_age ON runs(noted_at) WHERE status NOT IN ('queued', 'running')
"""

# A kernel may be heard by several servers. Who only overhears a run knows less of it than who
# sent it, and does not write over that. Nor does who found it lost, once its end is known.
PUT = """
INSERT INTO runs (
    server, noted_at, run_id, kernel_id, kernel_name, origin, status, session, path, code,
    username, timeout, silent, subshell, generation, worker_pid, queued_at, started_at, ended_at,
    execution_count, reason, ename, evalue
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, kernel_id) DO UPDATE SET
    server = excluded.server, noted_at = excluded.noted_at,
    kernel_name = excluded.kernel_name, origin = excluded.origin, status = excluded.status,
    session = excluded.session, path = excluded.path, code = excluded.code,
    username = excluded.username, timeout = excluded.timeout, silent = excluded.silent,
    subshell = excluded.subshell, generation = excluded.generation,
    worker_pid = excluded.worker_pid, queued_at = excluded.queued_at,
    started_at = excluded.started_at, ended_at = excluded.ended_at,
    execution_count = excluded.execution_count, reason = excluded.reason,
    ename = excluded.ename, evalue = excluded.evalue
WHERE excluded.server = server OR (
    (excluded.origin <> 'elsewhere' OR origin = 'elsewhere')
    AND (excluded.status <> 'lost' OR status IN ('queued', 'running'))
)
"""

GET = """
SELECT run_id, kernel_id, kernel_name, origin, status, session, path, code, username, timeout,
    silent, subshell, generation, worker_pid, queued_at, started_at, ended_at, execution_count,
    reason, ename, evalue
FROM runs WHERE seq = ?
"""
FIRST_PLACE = "SELECT min(seq) FROM runs WHERE run_id = ?"
PLACE = "SELECT min(seq) FROM runs WHERE run_id = ? AND kernel_id = ?"
NEWEST = "SELECT seq FROM runs WHERE seq < ? ORDER BY seq DESC LIMIT ?"
OF_STATUS = "SELECT seq FROM runs WHERE status = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
OF_KERNEL = (
    "SELECT seq FROM runs WHERE kernel_id = ? AND status = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
)
WRITERS = """
SELECT DISTINCT server FROM runs INDEXED BY runs_not_ended WHERE status IN ('queued', 'running')
"""
UNFINISHED = """
SELECT seq FROM runs INDEXED BY runs_not_ended
WHERE server = ? AND status IN ('queued', 'running') ORDER BY seq
"""
SPAN = "SELECT 1 + coalesce((SELECT max(seq) FROM runs) - (SELECT min(seq) FROM runs), -1)"
COUNT = "SELECT count(*) FROM runs"
FORGET_OLD = """
DELETE FROM runs WHERE seq IN (
    SELECT seq FROM runs INDEXED BY runs_by_age
    WHERE status NOT IN ('queued', 'running') AND noted_at < ? LIMIT ?
)
"""
FORGET_FIRST = """
DELETE FROM runs WHERE seq IN (
    SELECT seq FROM runs NOT INDEXED
    WHERE status NOT IN ('queued', 'running') ORDER BY seq LIMIT ?
)
"""


REKEY = """
ALTER TABLE runs RENAME TO former;
DROP INDEX runs_of_kernel;
DROP INDEX runs_of_status;
DROP INDEX runs_not_ended;
DROP INDEX runs_by_age
"""


class UnfitError(Exception):
    """A file, or the folder it is in, cannot hold the history; says why."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which runs are wanted."""

    kernel_id: str | None = None
    status: Collection[RunStatus] | None = None
    limit: int = 50

    def holds(self, run: Run) -> bool:
        """Whether a run is one of them."""
        return self.kernel_id in (None, run.kernel_id) and (
            self.status is None or run.status in self.status
        )


class Shelf:
    """One file, used by one thread. Every method raises ``sqlite3.Error`` and ``OSError``."""

    def __init__(self, path: Path, server: str) -> None:
        """Open the file, and make it a history if it is empty.

        Args:
            path: Where it is.
            server: Who writes here.

        Raises:
            UnfitError: It holds something else.
        """
        self._path = path
        self._server = server
        self.damaged = 0
        """How often a row was met that cannot be read."""
        self._db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        # Bytes that are no text cost what they stand for, and nothing else.
        self._db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            self._set_up()
            self._file = path.stat()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def put(self, runs: Iterable[Run], at: datetime) -> None:
        """Write runs, all or none; the last of each run wins, and keeps the place of the first.

        Raises:
            FileNotFoundError: The file was removed, or another stands in its place.
        """
        there = self._path.stat()
        if not samestat(there, self._file):
            raise FileNotFoundError("another file stands in its place")
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            written = (self._server, micros(at))
            self._db.executemany(PUT, ((*written, *to_row(run)) for run in runs))

    def place(self, run_id: str, kernel_id: str | None = None) -> int | None:
        """Say where in the order a run stands, on any kernel the first; None if it is not here."""
        sql, which = (FIRST_PLACE, [run_id]) if kernel_id is None else (PLACE, [run_id, kernel_id])
        (place,) = self._db.execute(sql, tuple(map(text, which))).fetchone()
        return None if place is None else int(place)

    def get(self, run_id: str, kernel_id: str | None = None) -> tuple[int, Run] | None:
        """Read one run with its place, on any kernel the first; None if it is not here."""
        place = self.place(run_id, kernel_id)
        found = [] if place is None else self._read([place])
        return found[0] if found else None

    def find(self, wish: Wish, below: int = BEYOND) -> list[tuple[int, Run]]:
        """Read the newest runs that are wanted, with their places.

        Args:
            wish: Which.
            below: Only those that came before this place.
        """
        found: list[tuple[int, Run]] = []
        while (missing := wish.limit - len(found)) > 0:
            places = nlargest(missing, self._places(wish, below))
            if not places:
                break
            # Some may be damaged, or forgotten meanwhile: then there are others further down.
            found += self._read(places)
            below = places[-1]
        return found

    def writers(self) -> list[str]:
        """Name the servers that have runs here that have not ended."""
        return [server for (server,) in self._db.execute(WRITERS) if isinstance(server, str)]

    def unfinished(self, server: str) -> list[Run]:
        """Read the runs of a server that have not ended."""
        places = [place for (place,) in self._db.execute(UNFINISHED, (server,)).fetchall()]
        return [run for _, run in self._read(places)]

    def forget_old(self, before: datetime, batch: int) -> bool:
        """Remove runs that ended and whose last news came earlier.

        Args:
            before: Than this.
            batch: So many at a time.

        Returns:
            Whether there may be more to remove.
        """
        return self._db.execute(FORGET_OLD, (micros(before), batch)).rowcount == batch

    def forget_beyond(self, keep: int, batch: int) -> bool:
        """Remove the oldest runs that ended, where there are more than are kept.

        Args:
            keep: So many are.
            batch: So many at a time.

        Returns:
            Whether there may be more to remove.
        """
        excess = min(self._excess(keep), batch)
        return excess > 0 and self._db.execute(FORGET_FIRST, (excess,)).rowcount == batch

    def forget_larger(self, size: int, batch: int) -> bool:
        """Remove the oldest runs that ended, where the file would be larger than it may be.

        Args:
            size: Bytes that it may have.
            batch: So many at a time.

        Returns:
            Whether there may be more to remove.
        """
        most = size // self._number("PRAGMA page_size")
        pages = self._number("PRAGMA page_count")
        used = pages - self._number("PRAGMA freelist_count")
        if used > most:
            share = self._number(SPAN) * (used - most) // used + 1
            return self._db.execute(FORGET_FIRST, (min(share, batch),)).rowcount > 0
        return pages > most and self._gave_back()

    def _gave_back(self) -> bool:
        """Give pages that hold nothing back to the disk; returns whether there were any."""
        if self._number("PRAGMA auto_vacuum") != INCREMENTAL:
            # A file of an earlier release: what is free there is used again.
            return False
        self._db.execute(f"PRAGMA incremental_vacuum({FREED_AT_ONCE})").fetchall()
        # Only then is the file itself shorter.
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return True

    def _excess(self, keep: int) -> int:
        """Count what is too much; the count itself reads all, so it is not made in vain."""
        if self._number(SPAN) <= keep:
            return 0
        return self._number(COUNT) - keep

    def _number(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])

    def _places(self, wish: Wish, below: int) -> Iterator[int]:
        """Find them by an index for each status, so that a rare one is not searched for."""
        if wish.kernel_id is None and wish.status is None:
            wanted: list[tuple[str, tuple[object, ...]]] = [(NEWEST, ())]
        else:
            words = [str(word) for word in (RunStatus if wish.status is None else set(wish.status))]
            if wish.kernel_id is None:
                wanted = [(OF_STATUS, (word,)) for word in words]
            else:
                wanted = [(OF_KERNEL, (text(wish.kernel_id), word)) for word in words]
        rows = (self._db.execute(sql, (*which, below, wish.limit)) for sql, which in wanted)
        return (place for (place,) in chain.from_iterable(rows))

    def _read(self, places: Iterable[int]) -> list[tuple[int, Run]]:
        """Read the runs at these places; one that cannot be read is left out and counted."""
        found = []
        for place in places:
            try:
                row = self._db.execute(GET, (place,)).fetchone()
                if row is not None:
                    found.append((place, from_row(row)))
            except DamagedRow:
                self.damaged += 1
            except sqlite3.DatabaseError as error:
                # Its subclasses tell of the file; this one of the pages that were to be read.
                if type(error) is not sqlite3.DatabaseError:
                    raise
                self.damaged += 1
        return found

    def _set_up(self) -> None:
        # In one look: another server may make it just now.
        self._db.execute("BEGIN")
        with self._db:
            is_ours = self._is_ours()
        if not is_ours:
            self._make()
        self._rekey()
        # Before this, nothing was written: it could be somebody else's file.
        mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise UnfitError("SQLite cannot share a file there (no write-ahead log)")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")

    def _is_ours(self) -> bool:
        """Tell a history from an empty file; raises UnfitError for anything else."""
        mark, version = self._number("PRAGMA application_id"), self._number("PRAGMA user_version")
        if mark == version == self._number("SELECT count(*) FROM sqlite_master") == 0:
            return False
        if mark != MARK:
            raise UnfitError("it is a database of something else")
        if version not in (ONE_RUN_PER_ID, VERSION):
            raise UnfitError(f"its schema is version {version}, this is made for version {VERSION}")
        return True

    def _make(self) -> None:
        # Before the first table: what is forgotten can be given back to the disk.
        self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            # Another server may have made it meanwhile.
            if self._is_ours():
                return
            self._lay_out()
            self._db.execute(f"PRAGMA application_id = {MARK}")

    def _lay_out(self) -> None:
        for statement in SCHEMA.split(";"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _rekey(self) -> None:
        """Have a file of the version before hold several runs of one id, too."""
        if self._number("PRAGMA user_version") != ONE_RUN_PER_ID:
            return
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            # Another server may have done so meanwhile.
            if self._number("PRAGMA user_version") != ONE_RUN_PER_ID:
                return
            for statement in REKEY.split(";"):
                self._db.execute(statement)
            self._lay_out()
            self._db.execute("INSERT INTO runs SELECT * FROM former")
            self._db.execute("DROP TABLE former")


def is_busy(error: Exception) -> bool:
    """Whether an error only says that somebody else writes now.

    SQLite's codes are told since Python 3.11; its words for this one are older.
    """
    return isinstance(error, sqlite3.OperationalError) and str(error).endswith("is locked")
