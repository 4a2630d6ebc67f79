"""Both clients behind one face, so that each test of the client library is run with both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import httpx

from kernel_status_ext.client import AsyncKernelStatusClient, Event, KernelStatusClient

from .server import Server

Answers = Callable[[httpx.Request], httpx.Response]
Kind = type[KernelStatusClient] | type[AsyncKernelStatusClient]
KINDS: list[Kind] = [KernelStatusClient, AsyncKernelStatusClient]

KERNEL: dict[str, Any] = {
    "id": "k",
    "name": "python3",
    "state": "idle",
    "status": "connected",
    "execution_state": "idle",
    "reason": "",
    "cause": None,
    "revision": 7,
    "generation": 0,
    "since": "2026-01-02T03:04:05.678901Z",
}
"""What a server tells of a kernel, as far as the clients must know it."""


def ask(kind: Kind, call: str, *args: Any, of: dict[str, Any], **params: Any) -> Any:
    """Make a client with the arguments `of`, make one call and close the client."""
    if kind is KernelStatusClient:
        with KernelStatusClient(**of) as client:
            return getattr(client, call)(*args, **params)

    async def alone() -> Any:
        async with AsyncKernelStatusClient(**of) as client:
            return await getattr(client, call)(*args, **params)

    return asyncio.run(alone())


def watch(
    kind: Kind, hears: Callable[[Event], bool], *args: Any, of: dict[str, Any], **params: Any
) -> None:
    """Watch until `hears` says of an event that it was enough, or the stream ends."""
    if kind is KernelStatusClient:
        with (
            KernelStatusClient(**of) as client,
            contextlib.closing(client.watch(*args, **params)) as events,
        ):
            any(hears(event) for event in events)
        return

    async def alone() -> None:
        async with (
            AsyncKernelStatusClient(**of) as client,
            contextlib.aclosing(client.watch(*args, **params)) as events,
        ):
            async for event in events:
                if hears(event):
                    return

    asyncio.run(alone())


def waiters(server: Server) -> float:
    """How many wait for a state at the server now."""
    name = "kernel_status_waiters "
    lines = server.http.get("metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))
