"""The only place that starts tasks: each keeps a reference and reports its failure."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Coroutine
from logging import Logger
from typing import Any, TypeVar

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Await work that goes on to its end even if whoever awaits it is cancelled.

    A restart that stops halfway would leave a kernel that nobody restarts.
    """
    task = asyncio.ensure_future(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    # So that an exception that nobody is there to hear any more is not called "never retrieved".
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)


async def apart(work: Coroutine[Any, Any, T]) -> T:
    """Await work in a context of its own: it is nobody's turn, and on nobody's behalf."""
    return await contextvars.Context().run(asyncio.ensure_future, work)


async def not_before(moment: float) -> None:
    """Go on at a moment of ``time.monotonic``, or at once if it is over."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(moment - time.monotonic(), over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


async def first_of(*works: Coroutine[Any, Any, T]) -> T:
    """Do several things side by side until one is done, and stop the others.

    Returns:
        The result of the one that was done first, the first named if several were.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
            # So that what the others raise is not called "never retrieved".
            task.add_done_callback(lambda done: done.cancelled() or done.exception())


def done() -> asyncio.Future[None]:
    """Make something to await that is over already."""
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def spawn(work: Coroutine[Any, Any, Any], what: str, log: Logger) -> asyncio.Task[Any]:
    """Run work in the background.

    Args:
        work: What to run.
        what: Words for the log, naming the kernel.
        log: Where a failure is told, with its traceback.

    Returns:
        The task; it is kept alive until it ends.
    """
    # In a context of its own: work in the background is nobody's turn, and on nobody's behalf.
    task = contextvars.Context().run(asyncio.ensure_future, work)
    _running.add(task)

    def ended(task: asyncio.Task[Any]) -> None:
        _running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", what, exc_info=error)

    task.add_done_callback(ended)
    return task
