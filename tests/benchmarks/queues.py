"""What the system holds for connections, as Linux tells it in `/proc/net/tcp`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

TABLE = Path("/proc/net/tcp")
ESTABLISHED = "01"


def waiting(port: int, remote_ports: Collection[int]) -> list[int]:
    """Return the bytes that wait to be sent on each connection from this port to one of these.

    Empty where the system has no such table.
    """
    if not TABLE.exists():
        return []
    rows = [line.split() for line in TABLE.read_text().splitlines()[1:]]
    return [
        int(queues.partition(":")[0], 16)
        for _, local, remote, state, queues, *_ in rows
        if state == ESTABLISHED and _port(local) == port and _port(remote) in remote_ports
    ]


def _port(address: str) -> int:
    """Return the port of an address."""
    return int(address.partition(":")[2], 16)
