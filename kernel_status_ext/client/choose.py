"""The only place that decides which kernel is meant."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from .errors import KernelNotFound
from .roster import Listed


class Ambiguous(Exception):
    """Several kernels may be meant; the message lists them."""


class Nothing(Exception):
    """No kernel was named at all."""


def choose(
    listed: Sequence[Listed], kernel: str | None, path: str | None, name: str | None
) -> Listed:
    """Find the one kernel that is meant.

    Args:
        listed: All kernels.
        kernel: Its id, or how that begins, unlike all others.
        path: The path of its notebook: as the server has it, from the current folder, absolute, or
            its last parts.
        name: The name of its kernelspec or of its session.

    Returns:
        The kernel.

    Raises:
        KernelNotFound: There is none.
        Ambiguous: There are several.
        Nothing: Neither id nor path nor name is given.
    """
    if not (kernel or path or name):
        raise Nothing("say which kernel: its id or the beginning of it, --path or --name")
    given = {"id": kernel, "path": path, "name": name}
    asked = " and ".join(f"{what} {word!r}" for what, word in given.items() if word)
    found = list(listed)
    if kernel:
        found = _by_id(found, kernel)
    if path:
        found = _by_path(found, path)
    if name:
        found = [each for each in found if name in _names(each)]
    if not found:
        known = ", ".join(_told(each) for each in listed) or "none"
        raise KernelNotFound(f"No kernel has {asked}; there are: {known}.")
    if len(found) > 1:
        lines = "\n".join(f"  {_told(each)}" for each in found)
        raise Ambiguous(f"{len(found)} kernels have {asked}, say which one by its id:\n{lines}")
    return found[0]


def _told(listed: Listed) -> str:
    kernel = listed.kernel
    return " ".join(filter(None, [kernel.id, kernel.name, listed.path, f"({kernel.state})"]))


def _by_id(listed: Iterable[Listed], begin: str) -> list[Listed]:
    found = [each for each in listed if each.kernel.id.startswith(begin)]
    # An id that is whole is meant, also where another one is longer.
    return [each for each in found if each.kernel.id == begin] or found


def _names(listed: Listed) -> set[str | None]:
    return {listed.kernel.name, *(each.name for each in listed.sessions)}


def _by_path(listed: Sequence[Listed], path: str) -> list[Listed]:
    """Find by the path as the server has it, then by the file, then by the path's last parts."""
    for is_meant in (_is_the_same, _is_the_file, _ends_so):
        found = [
            each
            for each in listed
            if any(is_meant(each, session.path, path) for session in each.sessions if session.path)
        ]
        if found:
            return found
    return []


def _is_the_same(_listed: Listed, its_own: str, path: str) -> bool:
    return its_own.strip("/") == path.removeprefix("./").strip("/")


def _is_the_file(listed: Listed, its_own: str, path: str) -> bool:
    if listed.server.root is None:
        return False
    mine = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - a home that is not there
    return (listed.server.root / its_own.lstrip("/")).resolve() == mine.resolve()


def _ends_so(_listed: Listed, its_own: str, path: str) -> bool:
    wanted = PurePosixPath(path).parts
    return bool(wanted) and PurePosixPath(its_own).parts[-len(wanted) :] == wanted
