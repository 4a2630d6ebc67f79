"""A real `python -m jupyter_server` process in a home of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

EXTENSION = "kernel_status_ext"
# Other extensions that may be installed here: off on both sides, they are not what is measured.
OTHERS = (
    "jupyter_lsp",
    "jupyter_server_terminals",
    "jupyterlab",
    "nbclassic",
    "notebook",
    "notebook_shim",
)
# What is loaded into a server or runs as a kernel; a folder of its own, because it may be on their path.
INSIDE = Path(__file__).parent / "inside"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0


class ServerError(Exception):
    """The server did not start, ended by itself or answered what it should not."""


@dataclass(frozen=True)
class Setup:
    """What a measurement wants of its servers beyond the ordinary, the same on both sides."""

    arguments: tuple[str, ...] = ()
    extension: str | None = None
    """A module of `inside/` that the server loads."""


ORDINARY = Setup()


class ServerProcess:
    """One server process with the extension off (`stock`) or on (`ours`), and its folders."""

    def __init__(self, side: str, setup: Setup = ORDINARY) -> None:
        """Make the folders and start the process."""
        self.side = side
        self.setup = setup
        self.token = secrets.token_hex(16)
        self.root = Path(tempfile.mkdtemp(prefix=f"benchmark-{side}-"))
        self.runtime = self._folder("runtime")
        self.log = self.root / "server.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the benchmark, which then stops the server
            )

    def url(self) -> str:
        """Wait for the address that the server writes into its own info file."""
        info = self.runtime / f"jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.alive():
            try:
                return f"http://127.0.0.1:{json.loads(info.read_text())['port']}"
            except (FileNotFoundError, json.JSONDecodeError):  # not yet, or half written
                time.sleep(0.05)
        raise ServerError(f"{self.side}: the server did not start:\n{self.log_text()[-2000:]}")

    def alive(self) -> bool:
        """Tell whether the process still lives."""
        return self.process.poll() is None

    def log_text(self) -> str:
        """Return what the server and its kernels wrote."""
        return self.log.read_text(errors="replace")

    def empty_log(self) -> None:
        """Throw away what the server and its kernels wrote."""
        os.truncate(self.log, 0)

    def add_kernelspec(self, name: str, argv: list[str]) -> None:
        """Let the server know a kernelspec."""
        folder = self._folder("data") / "kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": argv, "display_name": name, "language": "none"}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server process itself has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss(self) -> int:
        """Return the server's resident memory in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def find_kernel(self, connection_file: Path) -> int | None:
        """Return the pid of a kernel, found in the process table by its connection file, or None."""
        for child in self.children():
            try:
                if (
                    child.status() != psutil.STATUS_ZOMBIE
                    and str(connection_file) in child.cmdline()
                ):
                    return int(child.pid)
            except psutil.NoSuchProcess:
                continue
        return None

    def children(self, *, recursive: bool = False) -> list[psutil.Process]:
        """Return the processes below the server."""
        try:
            return list(psutil.Process(self.process.pid).children(recursive=recursive))
        except psutil.NoSuchProcess:
            return []

    def remove(self) -> None:
        """End the server and the kernels that outlive it, and remove its files."""
        children = self.children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            children += self.children(recursive=True)
            self.process.kill()
            self.process.wait()
        for child in children:
            if child.is_running():  # compares the creation time too: never a stranger's pid
                child.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def _command(self) -> list[str]:
        """Return the command line, with the extension on or off."""
        enabled = dict.fromkeys(OTHERS, False) | {EXTENSION: self.side == "ours"}
        if self.setup.extension:
            enabled[self.setup.extension] = True
        return [
            *(sys.executable, "-m", "jupyter_server"),
            f"--ServerApp.jpserver_extensions={enabled}",
            f"--ServerApp.port={_free_port()}",
            f"--ServerApp.root_dir={self._folder('files')}",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.open_browser=False",
            "--ServerApp.allow_root=True",
            *self.setup.arguments,
        ]

    def _environment(self) -> dict[str, str]:
        """Return this process's environment with every folder of Jupyter replaced."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("JUPYTER", "IPYTHON"))
        }
        if self.setup.extension:
            paths = [str(INSIDE), kept.get("PYTHONPATH", "")]
            kept["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        return kept | {
            "HOME": str(self._folder("home")),
            "IPYTHONDIR": str(self._folder("ipython")),
            "JUPYTER_CONFIG_DIR": str(self._folder("config")),
            "JUPYTER_DATA_DIR": str(self._folder("data")),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_TOKEN": self.token,
        }

    def _folder(self, name: str) -> Path:
        """Return a folder of this server, made when it is missing."""
        folder = self.root / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def _free_port() -> int:
    """Return a port that is free now; the server takes a neighbour if it is gone by then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
