"""The command line in a process of its own: through pipes, and through a terminal.

code, out, err = run(server, "list")
shown = on_terminal(server, 80, "list")
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Collection
from dataclasses import dataclass

from .server import PATIENCE, Server

CLI = (sys.executable, "-m", "kernel_status_ext.client.cli")
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
ALL = ("stdin", "stdout", "stderr")


def start(server: Server, *args: str, **env: str) -> subprocess.Popen[str]:
    """Start the command line in the server's root folder, as its user."""
    return subprocess.Popen(
        [*CLI, *args],
        env={**server.env, **env},
        cwd=server.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(server: Server, *args: str, **env: str) -> tuple[int, str, str]:
    """Run the command line to its end: exit status, stdout, stderr."""
    process = start(server, *args, **env)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def stop(process: subprocess.Popen[str]) -> None:
    """End a command as the end of a session does; it must say that it was interrupted."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


@dataclass(frozen=True)
class Shown:
    """What came of a command."""

    code: int
    """Its exit status."""
    written: str
    """What it wrote to the terminal."""
    elsewhere: str
    """What it wrote to the streams that were no terminal."""

    @property
    def lines(self) -> list[str]:
        """The terminal's lines without colours."""
        return [ESCAPE.sub("", line) for line in self.written.splitlines()]

    @property
    def changing(self) -> list[str]:
        """What stood in a line that was written anew."""
        return [ESCAPE.sub("", each) for each in self.written.split("\r") if "waiting" in each]


def on_terminal(
    server: Server, columns: int, *args: str, streams: Collection[str] = ALL, **env: str
) -> Shown:
    """Run the command line with these of its streams on a terminal of this width."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    own = {**server.env, "TERM": "xterm", **env}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        if name not in env:
            own.pop(name, None)
    with tempfile.TemporaryFile("w+") as elsewhere:
        ends = {name: its if name in streams else elsewhere for name in ALL}
        process = subprocess.Popen([*CLI, *args], env=own, cwd=server.root, **ends)
        os.close(its)
        written = b""
        with contextlib.suppress(OSError):  # Linux: the other end is closed
            while piece := os.read(ours, 65536):
                written += piece
        os.close(ours)
        code = process.wait(PATIENCE)
        elsewhere.seek(0)
        return Shown(code, written.decode(), elsewhere.read())
