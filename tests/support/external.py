"""Kernels that the server under test has not started: it finds their connection files.

external = External(folder)         # the connection file is there, the process is not
external.start()
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from jupyter_client.connect import write_connection_file

from .server import FAKE_KERNEL, Client, Server, eventually, free_port

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
"""Chosen long before they are bound: not from those that everybody else is given meanwhile."""


class External:
    """A fake kernel of somebody else, known to the server by its connection file only.

    Args:
        folder: where the server looks.
        mode: see `fake_kernel.py`.
        options: its other arguments.
    """

    def __init__(self, folder: Path, mode: str = "good", **options: object) -> None:
        self.name = f"external-{uuid.uuid4().hex[:8]}"
        self.file = folder / f"{self.name}.json"
        self.arguments = [f"--{name}={value}" for name, value in {"mode": mode, **options}.items()]
        self.process: subprocess.Popen[bytes] | None = None
        elsewhere = folder.parent / self.file.name
        ports = {name: free_port() for name in PORTS}
        write_connection_file(
            str(elsewhere), ip="127.0.0.1", kernel_name=self.name, key=b"key", **ports
        )
        elsewhere.rename(self.file)  # nobody may see half of it

    def start(self, file: Path | None = None) -> External:
        """Start the process, the first or the next one with these ports.

        Args:
            file: Its own connection file, if the server is to reach it by other ports.
        """
        command = [sys.executable, str(FAKE_KERNEL), "-f", str(file or self.file), *self.arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        return self

    def signal(self, how: signal.Signals) -> None:
        """Signal the process; after SIGKILL there is none."""
        assert self.process is not None
        os.kill(self.process.pid, how)
        if how == signal.SIGKILL:
            self.process.wait()

    def alive(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def id(self, server: Server) -> str:
        """The id that the server has given it; the listing finds it."""

        def look() -> str | None:
            found = [key for key, model in server.models().items() if model["name"] == self.name]
            return found[0] if found else None

        return eventually(look, what=f"{self.name} is listed")

    @contextlib.contextmanager
    def client(self, file: Path | None = None) -> Iterator[Client]:
        """A zmq client that knows nothing of the server; `file` as for `start`."""
        client = Client(connection_file=str(file or self.file))
        client.load_connection_file()
        client.start_channels(hb=False)
        try:
            yield client
        finally:
            client.stop_channels()
            client.context.destroy(linger=0)

    def close(self) -> None:
        """End the process and remove the file."""
        if self.alive():
            self.signal(signal.SIGKILL)
        self.file.unlink(missing_ok=True)
