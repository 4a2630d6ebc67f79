"""A Jupyter server for a moment, in a folder of its own that goes away with it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from .errors import DemoError

HOST = "127.0.0.1"

EXTENSIONS = {"kernel_status_ext": True}
"""What the server loads, and nothing else of what is installed."""

FOREIGN = ("JUPYTER", "JPY_", "IPYTHON")
"""How the names of environment variables begin that belong to the user's own servers."""

PATIENCE = 60.0
"""Seconds that anything may take on a slow machine before it counts as broken."""

STOPPING = 20.0
"""Seconds that the server may take to end before it is killed."""

LOOK_AGAIN = 0.05
"""Seconds between two looks whether the server is up: nothing tells us."""

LOG_LINES = 15
"""So much of the server's log is shown when something fails."""


@dataclass(frozen=True)
class TemporaryServer:
    """A server that runs.

    Attributes:
        http: A client for it, already authorized.
        folder: Holds everything that it and its kernels write.
    """

    http: httpx.Client
    folder: Path

    def connection_file(self, kernel_id: str) -> Path:
        """Return where a kernel's connection file is."""
        return self.folder / "runtime" / f"kernel-{kernel_id}.json"

    def add_kernelspec(self, name: str, argv: Sequence[str]) -> None:
        """Install a kernelspec that only this server sees.

        Args:
            name: The kernelspec's name.
            argv: The command that starts the kernel.
        """
        folder = self.folder / "data" / "kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": list(argv), "display_name": name, "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec))


@contextlib.contextmanager
def temporary_server() -> Iterator[TemporaryServer]:
    """Run a server with the extension; the user's configuration and servers are left alone.

    Yields:
        The server, up and answering.

    Raises:
        DemoError: It did not start, went away, or the caller raised this: the message ends with
            what the server's log said last, since the log goes with the folder.
    """
    prefix = "kernel-status-demo-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        folder, token = Path(name), secrets.token_hex(24)
        with _log_told(folder), _process(folder, token) as process:
            url = f"http://{HOST}:{_port_when_up(process, folder)}"
            headers = {"Authorization": f"token {token}"}
            # A proxy of the environment has no business between us and our own machine.
            with httpx.Client(
                base_url=url, headers=headers, timeout=2 * PATIENCE, trust_env=False
            ) as http:
                yield TemporaryServer(http, folder)


@contextlib.contextmanager
def _log_told(folder: Path) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        message = f"The temporary server does not answer any more ({error})."
        raise DemoError(message + _end_of_log(folder)) from error
    except DemoError as error:
        raise DemoError(str(error) + _end_of_log(folder)) from error


def _end_of_log(folder: Path) -> str:
    log = folder / "log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(["", "The end of the server's log:", *lines[-LOG_LINES:]]) if lines else ""


@contextlib.contextmanager
def _process(folder: Path, token: str) -> Iterator[subprocess.Popen[bytes]]:
    for each in ("root", "data", "runtime", "tmp"):
        (folder / each).mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(folder),
            env=_environment(folder, token),
            cwd=folder / "root",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: we stop the server in good order
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, which ends its kernels; also if somebody is impatient meanwhile."""
    process.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPPING)
    finally:
        process.kill()
        process.wait()


def _command(folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyter_server"),
        *("--no-browser", "--allow-root"),
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={_free_port()}",
        f"--ServerApp.root_dir={folder / 'root'}",
        f"--ServerApp.jpserver_extensions={EXTENSIONS}",
    ]


def _environment(folder: Path, token: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own = {
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        # The kernelspec python3 of this environment, not one in the user's folders.
        "JUPYTER_PREFER_ENV_PATH": "1",
        # Not an argument: those are shown to all users of a machine.
        "JUPYTER_TOKEN": token,
        "IPYTHONDIR": folder / "ipython",
        "TMPDIR": folder / "tmp",
    }
    return kept | {name: str(value) for name, value in own.items()}


def _free_port() -> int:
    """Find a port; should it be taken until the server comes, the server takes a near one."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _port_when_up(process: subprocess.Popen[bytes], folder: Path) -> int:
    # jupyter_server 2.15, ServerApp.start_app writes this file once it listens.
    file = folder / "runtime" / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, ValueError):  # not yet, half written
            port: int = json.loads(file.read_text())["port"]
            return port
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(LOOK_AGAIN)
            raise DemoError(f"The temporary server ended at once with exit code {code}.")
    raise DemoError(f"The temporary server has not started within {PATIENCE:g} s.")
