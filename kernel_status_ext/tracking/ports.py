"""The only place that looks whether somebody holds a port where a kernel is to listen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

ANSWERS_WITHIN = 1.0
"""Seconds for a connection to be taken or refused; after that nothing is known."""

LETS_GO_WITHIN = 0.5
"""Seconds in which a process that is ending has closed what it held."""

PIECE = 4096


async def any_is_held(ip: str, ports: Iterable[int]) -> bool:
    """Tell whether a process listens on any of these TCP ports, and does not end at once.

    Args:
        ip: An address of this machine.
        ports: Its ports; 0 is none.
    """
    looks = [_is_held(ip, each) for each in ports if each]
    return any(await asyncio.gather(*looks))


async def _is_held(ip: str, port: int) -> bool:
    opening = asyncio.open_connection(ip, port)
    try:
        reader, writer = await asyncio.wait_for(opening, ANSWERS_WITHIN)
    except (OSError, asyncio.TimeoutError):
        # Refused: nobody listens. Anything else proves nothing.
        return False
    try:
        await asyncio.wait_for(_closed(reader), LETS_GO_WITHIN)
    except asyncio.TimeoutError:
        return True
    finally:
        writer.close()
    # Who listened has ended, or does not speak with strangers.
    return False


async def _closed(reader: asyncio.StreamReader) -> None:
    """Wait until the other side has closed a connection, whatever it says before."""
    try:
        while await reader.read(PIECE):
            continue
    except ConnectionError:
        return
