"""The only place that says where a history may stand: folder, mode, file system, room.

SQLite maps a file of what several processes share (``-shm``) into memory. Where the disk has no
block left for a page that was mapped, the system kills who writes to it (SIGBUS): a full disk must
be noticed before SQLite meets it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

NETWORK = frozenset(
    {
        *("9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs", "gfs2", "glusterfs"),
        *("gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2"),
        *("smb2", "smb3", "smbfs", "webdav", "wekafs"),
    }
)
"""Types of file systems where a lock or shared memory may not reach the other machine."""

LOCAL = frozenset(
    {"fuse.bindfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.mergerfs"}
)
"""Of those that begin with ``fuse.``, most of which are of another machine, those that are not."""

COPYING = frozenset({"apfs", "bcachefs", "btrfs", "zfs"})
"""Types that need a new block to change an old one, maybe also for what a reader notes."""

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file; it gives them the file's mode."""

OWNER_ONLY, OWNER_ENTERS = 0o600, 0o700

ROOM = 16 << 20
"""Bytes that must be free on the disk: what SQLite may need until the next look."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What is known of where a path is."""

    kind: str = ""
    """Its type; empty where that cannot be told."""
    is_shared: bool = False
    """Whether other machines may use it, too."""

    @property
    def copies(self) -> bool:
        """Whether a change needs a new block."""
        return self.kind in COPYING


def make_file(path: Path) -> None:
    """Make an empty file that only its owner may read, unless there is one.

    Raises:
        OSError: It cannot be made.
    """
    # Only where there is none: closing a file takes all locks from it that a process holds.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
        # Whatever the umask is.
        tighten(path)


def make_folder(path: Path) -> None:
    """Make a folder, and those that it is in, that only their owner may enter; keep what exists.

    Raises:
        OSError: One of them cannot be made.
    """
    # ``Path.mkdir(parents=True)`` gives its mode to the last one only.
    for each in reversed([path, *path.parents]):
        if not each.is_dir():
            with suppress(FileExistsError):  # Another server makes it just now.
                each.mkdir(OWNER_ENTERS)
                each.chmod(OWNER_ENTERS)  # Whatever the umask is.
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is no folder")


def prepare(path: Path) -> None:
    """Make the folder of a history, and its file.

    Raises:
        OSError: One of them cannot be made, there is no plain file, or it is somebody else's.
    """
    make_folder(path.parent)
    make_file(path)
    if not path.is_file():
        raise FileExistsError("it is no plain file")
    if not _is_own(path):
        raise PermissionError("it belongs to another user")


def _is_own(path: Path) -> bool:
    """Whether a file is this user's; on Windows that is not a matter of a number."""
    own = getattr(os, "geteuid", None)
    return own is None or path.stat().st_uid == own()


def tighten(path: Path) -> None:
    """Let only the owner read a file, and what SQLite puts beside it."""
    for each in (path, *(path.with_name(path.name + suffix) for suffix in SIDE_FILES)):
        # Missing, somebody else's, or a file system without modes.
        with suppress(OSError):
            each.chmod(OWNER_ONLY)


def file_system(path: Path) -> FileSystem:
    """Look up the file system that a path is on."""
    real = os.path.realpath(path)
    if real.startswith("\\\\"):
        return FileSystem("a network share", is_shared=True)
    try:
        mounts = psutil.disk_partitions(all=True)
    except OSError:
        # A container without a table of mounts: SQLite says by itself what it cannot do.
        return FileSystem()
    above = [mount for mount in mounts if _is_above(mount.mountpoint, real)]
    # Of two at the same point, the later one covers the other.
    nearest = max(reversed(above), key=lambda mount: len(mount.mountpoint), default=None)
    if nearest is None:
        return FileSystem()
    kind = nearest.fstype.lower()
    return FileSystem(kind, is_shared=_is_shared(kind, nearest.opts))


def has_room(path: Path) -> bool:
    """Whether there is room for a history; raises OSError where that cannot be told."""
    usage = shutil.disk_usage(path.parent)
    # Some file systems do not count.
    return usage.total == 0 or usage.free >= ROOM


def check_room(path: Path) -> None:
    """Raise OSError where the disk is full, or nearly so."""
    if not has_room(path):
        raise OSError(f"less than {ROOM >> 20} MB are free on its disk")


def _is_above(folder: str, path: str) -> bool:
    """Whether a path is a mount point or below it, as the platform compares names."""
    folder, path = os.path.normcase(folder), os.path.normcase(path) + os.sep
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_shared(kind: str, options: str) -> bool:
    """Whether a mount is of another machine; Windows tells it by an option."""
    is_fuse = kind.startswith("fuse.") and kind not in LOCAL
    return kind in NETWORK or is_fuse or "remote" in options.split(",")
