"""What all commands share: whom they ask, and where they write."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from .choose import choose
from .harmless import harmless
from .roster import Listed, everything
from .running import Running, servers
from .screen import Screen, screen


def asked_servers(given: Namespace) -> list[Running]:
    """Find the servers that are meant; raises as ``servers`` does."""
    return servers(given.url, given.token)


def is_one_meant(given: Namespace) -> bool:
    """Tell whether a kernel was named."""
    return bool(given.kernel or given.path or given.name)


def chosen(given: Namespace) -> Listed:
    """Find the one kernel that is meant; raises as ``choose`` does."""
    listed = everything(asked_servers(given), complain)
    return choose(listed, given.kernel, given.path, given.name)


def stdout() -> Screen:
    """Give the screen for people."""
    return screen(sys.stdout)


def tell(told: Any) -> None:
    """Write a line of JSON."""
    print(json.dumps(told), flush=True)


def complain(sentence: str) -> None:
    """Write a sentence to stderr."""
    print(f"jupyter kernel-status: {harmless(sentence)}", file=sys.stderr, flush=True)
