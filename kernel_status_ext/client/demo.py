"""``jupyter kernel-status demo``: a kernel's life in seven acts, with nothing set up before.

Each change is one answer of ``GET /api/kernels/ID/wait?since=REVISION`` without a target, which
is "any change"; a change that is over by the time of the call is answered, too, so none is lost.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TextIO

import httpx

from ..core.words import Cause, ExecutionState, State, Status, Word
from .lines import JSON, Lines
from .server import PATIENCE, DemoError, TemporaryServer, temporary_server

SHORT_CELL = "import time; time.sleep(0.8)"
LONG_CELL = "import time; time.sleep(600)"
KERNELS = "/api/kernels"


def run(out: TextIO | None = None) -> None:
    """Show a kernel's life, from its start to its end, on a server that is made for it.

    Args:
        out: Where it is shown; stdout by default.

    Raises:
        DemoError: Something did not happen as promised, or is missing; says what and what to do.
    """
    _check_needs()
    lines = Lines.to(out or sys.stdout)
    lines.remark("Starting a Jupyter server in a temporary folder ...")
    # The pool stands outside: its calls end with the server.
    with ThreadPoolExecutor() as pool, temporary_server() as server:
        stage = Stage(server, pool, lines)
        lines.remark("Each line below is a change, as GET .../wait?since=REVISION told it:")
        lines.columns()
        for number, (headline, act) in enumerate(ACTS, 1):
            lines.headline(f"{number}. {headline}")
            act(stage)
    lines.headline("That was all: the server is stopped and its folder is removed.")


def _check_needs() -> None:
    if os.name != "posix":
        raise DemoError("The demo kills a process with SIGKILL: it needs Linux, macOS or the like.")
    if importlib.util.find_spec("ipykernel") is None:
        raise DemoError("The demo needs a Python kernel, and there is none: pip install ipykernel")


@dataclass
class Stage:
    """What the acts share.

    Attributes:
        server: The temporary server.
        pool: Makes calls that take a while, so that the changes they cause are shown meanwhile.
        lines: Where everything is shown.
        story: The kernel of the present act.
    """

    server: TemporaryServer
    pool: Executor
    lines: Lines
    story: Story = field(init=False)

    def post_kernel(self, name: str) -> httpx.Response:
        """Ask for a new kernel."""
        self.lines.action(f'POST {KERNELS} {{"name": "{name}"}}')
        return self.server.http.post(KERNELS, json={"name": name})

    def start(self, name: str) -> None:
        """Ask for a new kernel, which becomes the present one.

        Raises:
            DemoError: The server refused.
        """
        answer = self.post_kernel(name)
        if answer.status_code != httpx.codes.CREATED:
            raise DemoError(f"The kernel {name} was not started: {message_of(answer)}")
        self.story = Story(self.server.http, self.lines, answer.json()["id"])

    def call(self, method: str, call: str = "", **params: str) -> Future[httpx.Response]:
        """Make a call about the present kernel, and go on while it is being answered.

        Args:
            method: The HTTP method.
            call: What follows the kernel's path.
            params: The query.

        Returns:
            What will be the answer.
        """
        query = "&".join(f"{name}={value}" for name, value in params.items())
        self.lines.action(f"{method} {KERNELS}/ID{call}{query and '?'}{query}")
        path = self.story.path + call
        return self.pool.submit(self.server.http.request, method, path, params=params)

    @contextlib.contextmanager
    def running(self, code: str) -> Iterator[None]:
        """Send code straight to the kernel, as any client may, and stay connected."""
        # Only here: it is slow to import, and the rest of the client needs none of it.
        from jupyter_client.blocking.client import BlockingKernelClient  # noqa: PLC0415

        file = self.server.connection_file(self.story.kernel_id)
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)  # noqa: S604 - the channel
        try:
            self.lines.action(code)
            client.execute(code)
            yield
        finally:
            client.stop_channels()


@dataclass
class Story:
    """A kernel, and how far we have heard its story.

    Attributes:
        http: The server.
        lines: Where changes are shown.
        kernel_id: The kernel.
        revision: The last change that was shown; 0 before the first.
    """

    http: httpx.Client
    lines: Lines
    kernel_id: str
    revision: int = 0

    @property
    def path(self) -> str:
        """The kernel's path."""
        return f"{KERNELS}/{self.kernel_id}"

    def status(self) -> JSON:
        """Return all that is known of the kernel now."""
        status: JSON = body_of(self.http.get(f"{self.path}/status"))
        return status

    def next(self) -> JSON:
        """Wait for the next change, show it and return the kernel as it left it."""
        params: dict[str, float] = {"since": self.revision, "timeout": PATIENCE}
        kernel: JSON = body_of(self.http.get(f"{self.path}/wait", params=params))
        self.revision = kernel["revision"]
        self.lines.change(kernel)
        return kernel

    def until(self, **words: Word) -> JSON:
        """Show all changes up to the first after which all words hold.

        Args:
            words: ``status``, ``execution_state`` or ``state``.

        Returns:
            The kernel as that change left it.

        Raises:
            DemoError: It will not come, or not in time.
        """
        wanted = " and ".join(f"{name} {word}" for name, word in words.items())
        kernel: JSON = {}
        while not words.items() <= kernel.items():
            try:
                kernel = self.next()
            except DemoError as error:
                raise DemoError(f"Waited in vain for {wanted}: {error}") from error
        return kernel


def body_of(answer: httpx.Response) -> Any:
    """Return the JSON that a call answered.

    Raises:
        DemoError: It answered an error.
    """
    if answer.status_code != httpx.codes.OK:
        raise DemoError(message_of(answer))
    return answer.json()


def message_of(answer: httpx.Response) -> str:
    """Return an error's message, with its status code, in whatever form it came."""
    try:
        said: Any = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        said = f"{answer.reason_phrase} for {answer.request.method} {answer.request.url.path}"
    return f"{answer.status_code}: {said}"


def promise(kept: object, sentence: str) -> None:
    """Go on only if a promise was kept.

    Args:
        kept: Whether it was.
        sentence: What was promised, and what came instead.

    Raises:
        DemoError: It was not.
    """
    if not kept:
        raise DemoError(f"That is not as it should be: {sentence}")


# -- the acts --------------------------------------------------------------------------------


def is_born(stage: Stage) -> None:
    """Start a real kernel and wait until it has answered."""
    stage.start("python3")
    stage.story.until(status=Status.CONNECTED, execution_state=ExecutionState.IDLE)
    pid = stage.story.status()["pid"]
    stage.lines.remark(f"It is ready, and no websocket was opened: its process is {pid}.")


def works(stage: Stage) -> None:
    """Run a cell that takes a moment."""
    with stage.running(SHORT_CELL):
        stage.story.until(execution_state=ExecutionState.BUSY)
        done = stage.story.until(execution_state=ExecutionState.IDLE)
    promise(done["generation"] == 0, "the process died while it ran a harmless cell")


def is_killed(stage: Stage) -> None:
    """Kill the process while it works; tell why it died and how it came back."""
    with stage.running(LONG_CELL):
        pid = stage.story.until(execution_state=ExecutionState.BUSY)["pid"]
        stage.lines.action(f"kill -KILL {pid}")
        os.kill(pid, signal.SIGKILL)
        died = stage.story.until(status=Status.AUTORESTARTING)
    promise(died["cause"] == Cause.KILLED, f"a killed kernel's cause is {died['cause']}")
    promise("SIGKILL" in died["reason"], f"a killed kernel's reason is {died['reason']!r}")
    back = stage.story.until(status=Status.CONNECTED)
    found = (back["generation"], back["restart_count"])
    promise(found == (1, 1), f"generation and restart_count are {found}, not (1, 1)")
    tell_last_termination(stage, back)


def tell_last_termination(stage: Stage, kernel: JSON) -> None:
    """Show what is known of the process that ended last."""
    last = kernel["last_termination"]
    promise(last["signal"] == "SIGKILL", f"the signal of the end is {last['signal']}")
    stage.lines.remark(
        f"Process {last['pid']} (generation {last['generation']}) ended by {last['signal']}, "
        f"cause {last['cause']}: {last['hint']}."
    )
    stage.lines.remark(
        f"Process {kernel['pid']} (generation {kernel['generation']}) is its successor, "
        f"restart_count {kernel['restart_count']}."
    )


def is_restarted(stage: Stage) -> None:
    """Restart on request; that is no crash and does not count as one."""
    answer = stage.call("POST", "/restart")
    stage.story.until(status=Status.RESTARTING)
    back = stage.story.until(status=Status.CONNECTED)
    found = (back["generation"], back["restart_count"])
    promise(found == (2, 1), f"generation and restart_count are {found}, not (2, 1)")
    body_of(answer.result())
    stage.lines.remark("Generation 2; restart_count is still 1, it counts only the crashes.")


def is_shut_down(stage: Stage) -> None:
    """Shut the kernel down while somebody waits for it."""
    waiting = stage.call("GET", "/wait", state=State.RUNNING.value)
    stage.story.status()  # the waiter came before us: by now the server knows it
    deleting = stage.call("DELETE")
    stage.story.until(status=Status.DEAD)
    answer = waiting.result()
    promise(answer.status_code == httpx.codes.CONFLICT, f"who waits gets {message_of(answer)}")
    stage.lines.remark("Who waited for it to run something is answered 409 with the reason:")
    stage.lines.reason(answer.json()["reason"])
    answer = deleting.result()
    promise(answer.status_code == httpx.codes.NO_CONTENT, f"DELETE gives {message_of(answer)}")


def has_no_executable(stage: Stage) -> None:
    """Ask for a kernel whose command does not exist."""
    stage.server.add_kernelspec("nowhere", ["/nowhere/python", "{connection_file}"])
    answer = stage.post_kernel("nowhere")
    said = message_of(answer)
    promise(answer.is_error and "/nowhere/python" in said, f"a missing command gives {said}")
    stage.lines.remark(f"Answered {said}")


def quits_at_once(stage: Stage) -> None:
    """Ask for a kernel that ends before it can be used; it stays listed with its reason."""
    stage.server.add_kernelspec("quits", [sys.executable, "-c", "raise SystemExit(3)"])
    stage.start("quits")
    dead = stage.story.until(status=Status.DEAD)
    promise("code 3" in dead["reason"], f"exit code 3 gives the reason {dead['reason']!r}")
    stage.lines.action(f"GET {KERNELS}")
    listed = {model["id"]: model["reason"] for model in body_of(stage.server.http.get(KERNELS))}
    told = listed.get(dead["id"])
    promise(told == dead["reason"], f"the list says {told!r} of a kernel that died by itself")
    stage.lines.remark("It stays listed, with the same reason, until it is restarted or deleted.")


Act = Callable[[Stage], None]

ACTS: tuple[tuple[str, Act], ...] = (
    ("A kernel is born.", is_born),
    ("It runs a cell.", works),
    ("It is killed while it runs another one, and comes back by itself.", is_killed),
    ("Somebody asks for a restart.", is_restarted),
    ("Somebody shuts it down.", is_shut_down),
    ("A kernel cannot start: its command does not exist.", has_no_executable),
    ("A kernel cannot start: it exits at once, with code 3.", quits_at_once),
)
"""The headline of each act, and what happens in it."""
