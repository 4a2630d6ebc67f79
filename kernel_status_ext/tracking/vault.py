"""The only place that opens the history's file, waits for it, and gives it up.

A file that somebody else holds is asked again later. One that is full, broken or gone is given up
for good: that is said once, and nothing is written to it any more.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from logging import Logger
from pathlib import Path
from typing import TypeVar

from . import place
from .presence import Presence
from .shelf import Shelf, UnfitError, is_busy

T = TypeVar("T")

IN_MEMORY = ":memory:"

OPENING = 60.0
"""Seconds after which a file that is locked from the start on is given up."""

RETRY = 0.25
"""Seconds until a file that somebody else holds is asked again."""


class BusyError(Exception):
    """Somebody else holds the file; it can be asked again."""


class Vault:
    """The file, which may not be open yet, or not be of use any more."""

    def __init__(self, path: str, log: Logger, given_up: Callable[[], None]) -> None:
        """Begin with nothing open.

        Args:
            path: Where it is; ``:memory:`` for nowhere.
            log: Where it is said, once, that it is of no use.
            given_up: Called then.
        """
        self.path = _real(path)
        self.presence = Presence(self.path.with_name(self.path.name + ".servers"))
        self.is_kept = path != IN_MEMORY
        """Whether it takes, or will take, what is noted."""
        self._log, self._given_up = log, given_up
        self._file: Shelf | None = None
        self._file_system = place.FileSystem()
        self._told_damaged = False
        self._not_before = 0.0
        self._give_up = time.monotonic() + OPENING

    @property
    def is_open(self) -> bool:
        """Whether it can be read."""
        return self._file is not None

    def patience(self) -> float:
        """Say in how many seconds it can be asked again; 0 for now."""
        return max(0.0, self._not_before - time.monotonic())

    def did(self, work: Callable[[Shelf], bool]) -> bool:
        """Do something that writes; where that cannot be, give up the file for good.

        Args:
            work: Is given the file.

        Returns:
            What it says; False if it could not be done.
        """
        try:
            return work(self._opened())
        except (sqlite3.Error, OSError, UnfitError) as error:
            self._not_before = time.monotonic() + RETRY
            is_late = not self.is_open and time.monotonic() > self._give_up
            if is_late or not is_busy(error):
                self._do_without(error)
            return False

    def read(self, read: Callable[[Shelf], T], otherwise: T, *, patient: bool = False) -> T:
        """Read from it; what cannot be read any more is given up.

        Args:
            read: Is given the file.
            otherwise: The answer where it cannot be read.
            patient: Whether it can be waited for.

        Raises:
            BusyError: It must be.
        """
        if self._file is None:
            if self.is_kept and patient:
                raise BusyError
            return otherwise
        try:
            if self._file_system.copies and not place.has_room(self.path):
                return otherwise
            return self._told_of(self._file, read(self._file))
        except (sqlite3.Error, OSError) as error:
            if is_busy(error):
                if patient:
                    raise BusyError from error
                return otherwise
            self.give_up(error)
            return otherwise

    def give_up(self, error: Exception) -> None:
        """Use the file no more, also not for reading; say why."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._do_without(error)

    def _told_of(self, file: Shelf, answer: T) -> T:
        """Return what was read; say once that something could not be."""
        if file.damaged and not self._told_damaged:
            self._told_damaged = True
            self._log.warning(
                "The history of runs in %s holds a run that cannot be read, or several: they are "
                "left out, and all others are told. Remove the file if that goes on.",
                self.path,
            )
        return answer

    def close(self) -> None:
        """Let go of it; raises nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.presence.leave()

    def _opened(self) -> Shelf:
        """Open the file where that has not been done; raises what it meets."""
        if self._file is None:
            self._file_system = place.file_system(self.path)
            if self._file_system.is_shared:
                raise UnfitError(
                    f"its file system ({self._file_system.kind}) may be shared with other machines"
                )
            place.prepare(self.path)
            place.check_room(self.path)
            self._file = self._announced(Shelf(self.path, self.presence.server))
            self.presence.sweep()
        return self._file

    def _announced(self, file: Shelf) -> Shelf:
        """Tell the others of us: not before it is a history, and before anything is written."""
        try:
            place.tighten(self.path)
            self.presence.announce()
        except BaseException:
            file.close()
            raise
        return file

    def _do_without(self, error: Exception) -> None:
        if not self.is_kept:
            return
        self.is_kept = False
        self._log.warning(
            "The history of runs is in memory only from now on, and ends with this server: %s "
            "cannot be used (%s). Set KernelStatusApp.history_path to a file on a local disk that "
            "can be written to, or to ':memory:'.",
            self.path,
            error,
        )
        self._given_up()


def _real(path: str) -> Path:
    """Give the one path of a file: who lives is written beside it, and all must look there."""
    given = Path(path)
    with suppress(OSError, RuntimeError):  # No home, or links that lead in a circle.
        given = given.expanduser()
        return given.resolve()
    return given.absolute()
