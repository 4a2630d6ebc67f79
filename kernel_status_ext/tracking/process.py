"""The only place that looks at operating system processes: when one ends, and how.

Nothing here reaps. ``psutil.Process.wait`` and asyncio's child watchers would, and
``Popen.poll`` would then say 0 for a kernel that was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from logging import Logger
from typing import Protocol

from tornado.ioloop import IOLoop, PeriodicCallback

from ..core.model import Exit
from .usage import Usage, usage_of_zombie

Tell = Callable[[Exit], None]
Poll = Callable[[], Awaitable[int | None]]

POLL_EVERY = 1.0
"""Seconds between looks at a process that only its provisioner can see."""


class DeathWatch(Protocol):
    """Tells once how one process ended."""

    @property
    def usage(self) -> Usage | None:
        """What the process used, once it has ended, where the system tells."""

    def look(self) -> Exit | None:
        """Return how the process ended, None while it runs, without waiting or reaping."""

    def close(self) -> None:
        """Stop watching and free everything."""


def watch_process(
    process: subprocess.Popen[bytes] | None, poll: Poll | None, tell: Tell, log: Logger
) -> DeathWatch:
    """Watch one process by the best means that this machine offers.

    Args:
        process: The process if it is a child of ours, None otherwise.
        poll: The provisioner's ``poll``: its exit code, None while it runs; None where nobody
            can see the process.
        tell: Called once in the loop when the process has ended.
        log: Where a fallback is told.

    Returns:
        The watch; close it when the process does not matter any more.
    """
    if process is None:
        return NoWatch() if poll is None else PollWatch(poll, tell)
    try:
        return PidfdWatch(process, tell)
    except (AttributeError, OSError) as refused:
        # AttributeError: not Linux. OSError: an old kernel, seccomp, gVisor, no fds left.
        log.debug("pid %s: no pidfd (%s), waiting in a thread", process.pid, refused)
        return ThreadWatch(process, tell)


class NoWatch:
    """A process of somebody else's, of which only its kernel's sockets tell."""

    usage = None

    def look(self) -> Exit | None:
        """Know nothing."""

    def close(self) -> None:
        """Do nothing."""


class PidfdWatch:
    """Linux: a file descriptor that becomes readable when the process ends (7 ms)."""

    def __init__(self, process: subprocess.Popen[bytes], tell: Tell) -> None:
        """Watch a child of ours; raises OSError where pidfds are refused."""
        self._process = process
        self._tell = tell
        self.usage: Usage | None = None
        self._fd: int | None = os.pidfd_open(process.pid)
        try:
            IOLoop.current().add_handler(self._fd, self._readable, IOLoop.READ)
        except (OSError, ValueError):
            os.close(self._fd)
            raise

    def _readable(self, _fd: int, _events: int) -> None:
        ended = self.look()
        if ended is not None and self._fd is not None:
            self.close()
            self._tell(ended)

    def look(self) -> Exit | None:
        """Peek at the wait status; one that was reaped already is remembered by its Popen."""
        if self._fd is None or self._process.returncode is not None:
            return exit_of(self._process)
        try:
            peeked = os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return exit_of(self._process) or Exit()
        if peeked is None:
            return None
        self.usage = usage_of_zombie(self._fd)
        if peeked.si_code == os.CLD_EXITED:
            return Exit(code=peeked.si_status)
        return Exit(signal=peeked.si_status)

    def close(self) -> None:
        """Forget the process."""
        if self._fd is not None:
            IOLoop.current().remove_handler(self._fd)
            os.close(self._fd)
            self._fd = None


class ThreadWatch:
    """Everywhere: a thread waits through the Popen itself, so nobody is robbed of the code."""

    def __init__(self, process: subprocess.Popen[bytes], tell: Tell) -> None:
        """Watch a child of ours."""
        self._process = process
        self._tell: Tell | None = tell
        self.usage: Usage | None = None
        self._loop = IOLoop.current()
        name = f"kernel-status-wait-{process.pid}"
        threading.Thread(target=self._wait, name=name, daemon=True).start()

    def _wait(self) -> None:
        self._process.wait()
        try:
            self._loop.add_callback(self._ended)
        except RuntimeError:
            # The loop is closed: the server ended before its kernel did.
            return

    def _ended(self) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(exit_of(self._process) or Exit())

    def look(self) -> Exit | None:
        """Return what the waiting thread has learnt."""
        return exit_of(self._process)

    def close(self) -> None:
        """Tell nobody any more; the thread ends with the process."""
        self._tell = None


def kill(process: subprocess.Popen[bytes] | None) -> None:
    """Kill a child of ours with its process group, as Jupyter's provisioner does."""
    if process is None or process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        # Jupyter starts each kernel in a session of its own (jupyter_client's launch_kernel).
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


class PollWatch:
    """A process that only its provisioner can see: ask it once a second."""

    def __init__(self, poll: Poll, tell: Tell) -> None:
        """Watch by asking."""
        self._poll = poll
        self._tell = tell
        self.usage: Usage | None = None
        self._ended: Exit | None = None
        self._timer = PeriodicCallback(self._ask, POLL_EVERY * 1000)
        self._timer.start()

    async def _ask(self) -> None:
        code = await self._poll()
        if code is None or not self._timer.is_running():
            return
        self.close()
        self._ended = from_hearsay(code)
        self._tell(self._ended)

    def look(self) -> Exit | None:
        """Return what the last look saw."""
        return self._ended

    def close(self) -> None:
        """Stop asking."""
        self._timer.stop()


def exit_of(process: subprocess.Popen[bytes]) -> Exit | None:
    """Read how a child ended from its Popen, without waiting; None if that is not known yet."""
    code = process.returncode
    return None if code is None else from_returncode(code)


def from_returncode(code: int) -> Exit:
    """Read subprocess's convention: negative for a signal."""
    return Exit(signal=-code) if code < 0 else Exit(code=code)


def from_hearsay(code: int) -> Exit:
    """Read what a provisioner says of a process that is not here: 0 is just "gone"."""
    # gateway_provisioners 0.5: poll() of containers, yarn and distributed kernels.
    return replace(from_returncode(code) if code else Exit(), hearsay=True)
