"""The only place that asks the demo's server about its kernels, and hears each of their changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import httpx

from ..core.words import Word
from .errors import DemoError
from .lines import JSON, Lines
from .server import PATIENCE, TemporaryServer

KERNELS = "/api/kernels"


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
