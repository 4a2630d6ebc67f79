"""The only place that asks several servers at once, and lists the kernels of all."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .errors import KernelStatusError, NotAllowed
from .results import Kernel, Session
from .running import Running
from .sync import KernelStatusClient

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a server may take for a short answer."""


def client(server: Running) -> KernelStatusClient:
    """Make a client for a server."""
    return KernelStatusClient(server.url, server.token, timeout=PATIENCE)


@dataclass(frozen=True)
class Listed:
    """A kernel, where it is and for whom it works.

    Attributes:
        server: Its server.
        kernel: The kernel.
        sessions: The notebooks and consoles that it works for.
    """

    server: Running
    kernel: Kernel
    sessions: tuple[Session, ...] = ()

    @property
    def path(self) -> str:
        """The paths of its notebooks, for people."""
        return ", ".join(each.path for each in self.sessions if each.path)


def merged(
    servers: Sequence[Running],
    ask: Callable[[KernelStatusClient], Iterable[T]],
    complain: Callable[[str], None],
) -> Iterator[tuple[Running, T]]:
    """Ask servers at the same time and give what they answer as it comes.

    Args:
        servers: Whom to ask.
        ask: Asks one.
        complain: Told of servers that fail while others do not.

    Yields:
        The server, and one thing that it has answered.

    Raises:
        KernelStatusError: That of the last server, if all have failed.
    """
    if len(servers) == 1:
        with client(servers[0]) as asked:
            yield from ((servers[0], each) for each in ask(asked))
        return
    news: queue.SimpleQueue[tuple[Running, T] | KernelStatusError | None] = queue.SimpleQueue()
    for server in servers:
        # They end with the process: what is still asked then nobody wants to know.
        threading.Thread(target=_report, args=(server, ask, news.put), daemon=True).start()
    yield from _collected(len(servers), news.get, complain)


def _report(
    server: Running,
    ask: Callable[[KernelStatusClient], Iterable[T]],
    tell: Callable[[tuple[Running, T] | KernelStatusError | None], None],
) -> None:
    try:
        with client(server) as asked:
            for each in ask(asked):
                tell((server, each))
        tell(None)
    except KernelStatusError as error:
        tell(error)


def _collected(
    open_: int,
    get: Callable[[], tuple[Running, T] | KernelStatusError | None],
    complain: Callable[[str], None],
) -> Iterator[tuple[Running, T]]:
    failures = 0
    for number in range(open_, 0, -1):
        while isinstance(news := get(), tuple):
            yield news
        if isinstance(news, KernelStatusError):
            failures += 1
            if number == 1 and failures == open_:
                raise news
            complain(str(news))


def everything(servers: Sequence[Running], complain: Callable[[str], None]) -> list[Listed]:
    """List the kernels of servers, the oldest change first; raises as ``merged`` does."""
    answers = merged(servers, lambda asked: [_listed(asked)], complain)
    listed = [
        Listed(server, kernel, tuple(each for each in sessions if each.kernel_id == kernel.id))
        for server, (kernels, sessions) in answers
        for kernel in kernels
    ]
    return sorted(listed, key=lambda each: (servers.index(each.server), each.kernel.since))


def _listed(asked: KernelStatusClient) -> tuple[list[Kernel], list[Session]]:
    kernels = asked.list()
    try:
        return kernels, asked.sessions()
    except NotAllowed:  # kernels may be read by somebody who may not read sessions
        return kernels, []
