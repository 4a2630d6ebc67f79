"""A real Jupyter server in a subprocess, with everything it may write in a folder of its own.

    with Server(config={"KernelStatusApp": {"max_wait": 5}}) as server:
        kernel = server.start_kernel("python3")
        answer = server.wait(kernel, execution_state="idle")

Nothing here sleeps but `eventually`, the bounded look-again for what no call can wait for.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from . import openapi
from .patience import PATIENCE

T = TypeVar("T")

SUPPORT = Path(__file__).parent
FAKE_KERNEL = SUPPORT / "fake_kernel.py"
IGNORING_SIGINT = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""So it ignores SIGINT from the start; a restart sends one, maybe before Python is up."""
EXTENSION = "kernel_status_ext"
INSTALLED = Path(sys.prefix, f"etc/jupyter/jupyter_server_config.d/{EXTENSION}.json")
"""Where installing the extension, and `jupyter server extension enable`, switch it on."""
MARK = "KERNEL_STATUS_TEST_SERVER"

OTHER_EXTENSIONS = (
    "jupyterlab",
    "jupyter_lsp",
    "jupyter_server_terminals",
    "notebook",
    "notebook_shim",
    "nbclassic",
)
"""Switched off where they are installed: they only make the start slower."""


def eventually(look: Callable[[], T], timeout: float = PATIENCE, what: str = "") -> T:
    """Look again every 20 ms until `look` gives something true.

    Raises:
        AssertionError: it has not within `timeout` seconds; tells what it gave last.
    """
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        assert time.monotonic() < deadline, (
            f"not within {timeout} s: {what or look}, last seen {seen!r}"
        )
        time.sleep(0.02)
    return seen


def held_for(look: Callable[[], bool], seconds: float) -> bool:
    """Whether `look` stays true for so long: for promises that something does *not* happen."""
    deadline = time.monotonic() + seconds
    while look():
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False


def _command_line(process: psutil.Process) -> list[str]:
    """Its arguments, none when it has just gone."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


LONE_PORTS = range(30_000, 32_700)
"""Below those that the system gives to whoever asks for any."""
SERVER_PORTS = range(10_000, 30_000, 100)
"""The ports above a server's own, up to the next, are for its kernels (see `sitecustomize.py`)."""
KERNEL_PORTS = "KERNEL_STATUS_TEST_PORTS"


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
"""Which of pytest's processes this is, and how many there are."""
_turns = itertools.count(random.SystemRandom().randrange(SERVER_PORTS.stop))


def free_port(among: range = LONE_PORTS) -> int:
    """A port that is free, that nobody is given who asks for any, and that was not given lately.

    Each of pytest's processes has its share: a port is bound some time after it was given.
    """
    share = among[WORKER % WORKERS :: WORKERS]
    while True:
        port = share[next(_turns) % len(share)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Client(BlockingKernelClient):
    """A zmq client that hears all that a kernel publishes about what it is asked.

    Sockets connect in the background: a request may reach the kernel first, and then what it
    publishes about it is for nobody.
    """

    def connect_iopub(self, identity: bytes | None = None) -> zmq.Socket[bytes]:
        """Connect, and wait until the kernel's side knows it; a stopped process never does."""
        socket = super().connect_iopub(identity)
        endpoint = socket.last_endpoint.decode()
        socket.disconnect(endpoint)
        with socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED) as monitor:
            socket.connect(endpoint)
            monitor.poll(5_000)
            socket.disable_monitor()
        return socket


class Gate:
    """A file that a fake kernel, or a cell, waits for: tests wait on states, not on clocks."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"gate-{uuid.uuid4().hex}"
        self.reached = self.path.with_suffix(".reached")
        """Exists once a cell waits: `busy` is a little earlier than the first line of its code."""

    def open(self) -> None:
        """Let everything pass that waits here."""
        self.path.touch()

    @property
    def cell(self) -> str:
        """Python code for a real kernel that is busy until the gate opens."""
        code = f"import os, time\nopen({str(self.reached)!r}, 'w').close()\n"
        return code + f"while not os.path.exists({str(self.path)!r}): time.sleep(0.01)"

    @property
    def command(self) -> str:
        """The same for the fake kernel."""
        return f"wait {self.path}"

    def __str__(self) -> str:
        """Give the path, for an argument of the fake kernel."""
        return str(self.path)


@dataclass(frozen=True)
class Ended:
    """How a server exited."""

    returncode: int | None
    """`None` when it did not exit by itself and was killed."""
    seconds: float
    leftovers: list[str] = field(default_factory=list)
    """Command lines of the processes it left behind (they are killed by then)."""

    @property
    def clean(self) -> bool:
        """It exited by itself, with success, leaving nothing."""
        return self.returncode == 0 and not self.leftovers


class Call:
    """A request that has been sent and not been answered yet."""

    def __init__(self, server: Server, method: str, path: str, **params: object) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=2 * PATIENCE)
        target = urllib.parse.urljoin(server.base_url, path) + (
            "?" + urllib.parse.urlencode(params) if params else ""
        )
        self.connection.request(method, target, headers={"Authorization": f"token {server.token}"})
        self.asked = server.port, method, target

    def answer(self, timeout: float = 2 * PATIENCE) -> Answer:
        """Wait for the answer and close the connection."""
        if self.connection.sock is not None:
            self.connection.sock.settimeout(timeout)
        with contextlib.closing(self.connection):
            response = self.connection.getresponse()
            body, kind = response.read(), response.headers.get("Content-Type", "")
            at = time.monotonic()
            openapi.check(*self.asked, response.status, kind, body)
            return Answer(response.status, json.loads(body or b"null"), at)

    def hang_up(self) -> None:
        """Close the connection without waiting for the answer."""
        self.connection.close()


@dataclass(frozen=True)
class Answer:
    """Status code and JSON body of an answered `Call`, and when it came."""

    status_code: int
    body: Any
    at: float

    def json(self) -> Any:
        """The body, named as httpx does."""
        return self.body


class Server:
    """A server process, its folders, and the calls that tests make.

    Args:
        args: more command line arguments.
        config: configuration by class, as in a `jupyter_server_config.json`.
        env: more environment variables.
        stock: without the extension.
        enable: `None` leaves the extension to the configuration that its installation brought.
        base_url: not "/" by default, and with a character that wants quoting.
        specs: kernelspecs of fake kernels that exist from the start, `name: options` as for `fake`.
    """

    def __init__(
        self,
        *args: str,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        stock: bool = False,
        enable: bool | None = True,
        base_url: str = "/b%40se/x/",
        specs: Mapping[str, Mapping[str, object]] | None = None,
        wait: bool = True,
    ) -> None:
        self.base_url, self.token, self.mark = base_url, uuid.uuid4().hex, uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="kernel-status-"))
        self.root, self.runtime, self.data, self.config, self.home = (
            self.folder / name for name in ("root", "runtime", "data", "config", "home")
        )
        for folder in (self.root, self.runtime, self.data, self.config, self.home):
            folder.mkdir()
        self.env = self._environment(env or {})
        self._write_config(config or {}, enable=False if stock else enable)
        for name, options in (specs or {}).items():
            self.fake(name, **options)
        self.args = args
        self.launch(wait=wait)

    # -- the process

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {
            "HOME": self.home,
            "JUPYTER_RUNTIME_DIR": self.runtime,
            "JUPYTER_DATA_DIR": self.data,
            "JUPYTER_CONFIG_DIR": self.config,
            "IPYTHONDIR": self.home / "ipython",
            "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]).rstrip(
                os.pathsep
            ),
            MARK: self.mark,
        }
        foreign = ("JUPYTER", "IPYTHON", "JPY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | {name: str(value) for name, value in own.items()} | dict(more)

    def _write_config(
        self, config: Mapping[str, Mapping[str, Any]], *, enable: bool | None
    ) -> None:
        extensions: dict[str, bool] = dict.fromkeys(OTHER_EXTENSIONS, False)
        if enable is not None:
            extensions[EXTENSION] = enable
        server = dict(config.get("ServerApp", {}))
        server["jpserver_extensions"] = extensions | dict(server.get("jpserver_extensions", {}))
        text = json.dumps(dict(config) | {"ServerApp": server})
        (self.config / "jupyter_server_config.json").write_text(text)

    def launch(self, *, wait: bool = True) -> None:
        """Start the process: the constructor does; again after `stop`, in the same folders."""
        self.port = free_port(SERVER_PORTS)
        self.env[KERNEL_PORTS] = f"{self.port + 1} {SERVER_PORTS.step - 1}"
        self.ended: Ended | None = None
        self.process = self._spawn(self.args)
        self.http = self._client()
        self._hold_to_its_word()
        if wait:
            self._wait_until_up()

    def _hold_to_its_word(self) -> None:
        """Have its answers held against the OpenAPI document if the extension gives them."""
        is_on: dict[str, bool] = {}
        for file in (INSTALLED, self.config / "jupyter_server_config.json"):
            config = json.loads(file.read_text()) if file.exists() else {}
            is_on |= config.get("ServerApp", {}).get("jpserver_extensions", {})
        if is_on.get(EXTENSION):
            openapi.SERVERS[self.port] = self.base_url
        else:
            openapi.SERVERS.pop(self.port, None)

    def command(self, *args: str) -> str:
        """Run `jupyter server ARGS` with the folders of this server and give what it wrote."""
        command = [sys.executable, "-m", "jupyter_server", *args]
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def _spawn(self, args: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "jupyter_server",
            "--allow-root",
            "--no-browser",
            "--ServerApp.ip=127.0.0.1",
        ]
        command += [f"--port={self.port}", f"--IdentityProvider.token={self.token}"]
        command += [
            f"--ServerApp.base_url={self.base_url}",
            f"--ServerApp.root_dir={self.root}",
            *args,
        ]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.root,
                start_new_session=True,
            )

    def _client(self) -> httpx.Client:
        url = f"http://127.0.0.1:{self.port}{self.base_url}"
        return httpx.Client(
            base_url=url, headers={"Authorization": f"token {self.token}"}, timeout=2 * PATIENCE
        )

    def _wait_until_up(self) -> None:
        def up() -> bool:
            assert self.process.poll() is None, (
                f"the server exited with {self.process.returncode}:\n{self.log()}"
            )
            for info in self.runtime.glob(f"jpserver-{self.process.pid}.json"):
                with contextlib.suppress(ValueError):  # half written
                    self._use_port(json.loads(info.read_text())["port"])
            with contextlib.suppress(httpx.TransportError):
                return self.http.get("api").status_code == 200
            return False

        try:
            eventually(up, what="the server answers GET /api")
        except AssertionError:
            self.close()
            raise

    def _use_port(self, port: int) -> None:
        if port != self.port:
            openapi.SERVERS.pop(self.port, None)
            self.port = port
            self.http.close()
            self.http = self._client()
            self._hold_to_its_word()

    def log(self) -> str:
        """What the server and its kernels have written so far."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def ps(self) -> psutil.Process:
        """The server process, for independent looks at it."""
        return psutil.Process(self.process.pid)

    def fds(self) -> int:
        """How many file descriptors the server has open."""
        return self.ps.num_fds()

    def kernel_processes(self, kernel_id: str = "") -> list[psutil.Process]:
        """The living processes that this server has started, of one kernel or of all."""
        others = [process for process in self._marked() if process.pid != self.process.pid]
        return [
            process
            for process in others
            if any(kernel_id in part for part in _command_line(process))
        ]

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if (
                    process.environ().get(MARK) == self.mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    yield process

    def stop(self, timeout: float = PATIENCE, how: signal.Signals = signal.SIGTERM) -> Ended:
        """Send SIGTERM and tell how the server exited; a second call tells the same."""
        if self.ended is None:
            begin = time.monotonic()
            self.process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
            self.ended = Ended(self.process.poll(), time.monotonic() - begin, self._kill_all())
        return self.ended

    def _kill_all(self) -> list[str]:
        left = []
        for process in self._marked():
            with contextlib.suppress(psutil.Error):
                if process.pid != self.process.pid:
                    left.append(" ".join(_command_line(process)))
                process.kill()
        self.process.wait()
        return left

    def close(self) -> None:
        """End everything that was started and remove the folder."""
        openapi.SERVERS.pop(self.port, None)
        self.http.close()
        self._kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Server:  # noqa: PYI034 - Self is younger than Python 3.10
        """Give the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server and clean up."""
        try:
            self.stop()
        finally:
            self.close()

    # -- kernels that misbehave

    def gate(self) -> Gate:
        """A gate that is still closed."""
        return Gate(self.folder)

    def fake(self, spec: str | None = None, mode: str = "good", **options: object) -> str:
        """Write the kernelspec of a fake kernel and give its name.

        Args:
            spec: its name; a new one by default.
            mode: see `fake_kernel.py`.
            options: its other arguments.
        """
        name = spec or f"fake-{uuid.uuid4().hex[:8]}"
        starts = self.data / "kernels" / name / "starts"
        arguments = {"mode": mode, "starts": starts} | options
        argv = [*IGNORING_SIGINT, sys.executable, str(FAKE_KERNEL), "-f", "{connection_file}"]
        return self.spec(
            name, [*argv, *(f"--{option}={value}" for option, value in arguments.items())]
        )

    def spec(self, name: str, argv: list[str], **more: object) -> str:
        """Write any kernelspec and give its name."""
        folder = self.data / "kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        spec = {"argv": argv, "display_name": name, "language": "none"} | more
        (folder / "kernel.json").write_text(json.dumps(spec))
        return name

    def script(self, name: str, text: str) -> Path:
        """Write an executable shell script and give its path."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def starts(self, name: str) -> list[int]:
        """The pids of all processes that were ever started from this fake kernelspec."""
        file = self.data / "kernels" / name / "starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def connection_files(self) -> list[Path]:
        """The connection files that exist now."""
        return sorted(self.runtime.glob("kernel-*.json"))

    @contextlib.contextmanager
    def client(self, kernel_id: str, *, hb: bool = False) -> Iterator[Client]:
        """A zmq client of the kernel that knows nothing of the server, with heartbeat or not."""
        client = Client(connection_file=str(self.runtime / f"kernel-{kernel_id}.json"))
        client.load_connection_file()
        client.start_channels(hb=hb)
        try:
            yield client
        finally:
            client.stop_channels()
            client.context.destroy(linger=0)

    # -- the calls

    def start_kernel(self, name: str = "python3", **body: object) -> str:
        """POST a kernel, not waiting for more, and give its id."""
        return self.post("api/kernels", {"name": name} | body, expect=201)["id"]

    def connected(self, name: str = "python3", **body: object) -> str:
        """POST a kernel, wait until it is connected and idle, and give its id."""
        kernel_id = self.start_kernel(name, **body)
        self.settled(kernel_id)
        return kernel_id

    def settled(self, kernel_id: str) -> dict[str, Any]:
        """Wait until the kernel is connected and idle and give its status."""
        answer = self.wait(kernel_id, status="connected", execution_state="idle")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str, expect: int = 200, **params: object) -> Any:
        """The JSON body of a GET that must answer `expect`."""
        return self._body(self.http.get(path, params=params or None), expect)

    def post(self, path: str, body: object = None, expect: int = 200) -> Any:
        """The JSON body of a POST that must answer `expect`."""
        return self._body(self.http.post(path, json=body), expect)

    def _body(self, response: httpx.Response, expect: int) -> Any:
        assert response.status_code == expect, (
            f"{response.request.url}: {response.status_code} {response.text[:600]}"
        )
        return response.json() if response.content else None

    def model(self, kernel_id: str) -> dict[str, Any]:
        """The kernel model."""
        return self.get(f"api/kernels/{kernel_id}")

    def models(self) -> dict[str, dict[str, Any]]:
        """The kernel models of the list, by id."""
        return {model["id"]: model for model in self.get("api/kernels")}

    def session(self, path: str, name: str, expect: int = 201) -> Any:
        """POST a session for this path with a kernel of this name."""
        body = {"path": path, "type": "notebook", "name": path, "kernel": {"name": name}}
        return self.post("api/sessions", body, expect=expect)

    def running_gauge(self, name: str) -> float:
        """Core's own count of running kernels of this kernelspec."""
        for line in self.http.get("metrics").text.splitlines():
            if line.startswith("kernel_currently_running_total") and f'type="{name}"' in line:
                return float(line.split()[-1])
        return 0.0

    def status(self, kernel_id: str) -> dict[str, Any]:
        """The body of `GET .../status`."""
        return self.get(f"api/kernels/{kernel_id}/status")

    def history(self, kernel_id: str) -> dict[str, Any]:
        """The body of `GET .../history`."""
        return self.get(f"api/kernels/{kernel_id}/history")

    def wait(
        self, kernel_id: str, timeout: float | str | None = PATIENCE, **params: object
    ) -> httpx.Response:
        """The answer of `GET .../wait`; with `timeout=None` the server's own limit holds."""
        if timeout is not None:
            params["timeout"] = timeout
        return self.http.get(f"api/kernels/{kernel_id}/wait", params=params or None)

    def delete(self, kernel_id: str, expect: int = 204) -> Any:
        """DELETE the kernel."""
        return self._body(self.http.delete(f"api/kernels/{kernel_id}"), expect)

    def restart(self, kernel_id: str, expect: int = 200) -> Any:
        """POST a restart."""
        return self.post(f"api/kernels/{kernel_id}/restart", expect=expect)

    def until_dead(self, kernel_id: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait until the kernel is dead by its own status and give that status."""
        answer = self.wait(kernel_id, status="dead", timeout=timeout)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, method: str, path: str, **params: object) -> Call:
        """Send a request without waiting for its answer; the server has begun it then."""
        call = Call(self, method, path, **params)
        self.taken_up()
        return call

    def send_wait(self, kernel_id: str, timeout: float = PATIENCE, **params: object) -> Call:
        """`GET .../wait`, taken up by the server and not answered yet."""
        return self.send("GET", f"api/kernels/{kernel_id}/wait", timeout=timeout, **params)

    def taken_up(self) -> None:
        """Some round trips: with its one loop, the server has begun what was sent before."""
        for _ in range(5):
            self.http.get("api")
