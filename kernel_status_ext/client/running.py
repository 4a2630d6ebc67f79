"""The only place that finds the servers that run on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .address import address

HOW = "start one with `jupyter lab`, or name one with --url and --token"


class NoServer(Exception):
    """There is none to be asked; the message says what to do."""


@dataclass(frozen=True)
class Running:
    """A server.

    Attributes:
        url: Its address.
        token: What opens its door, or None.
        root: The folder below which its notebooks lie, where that is known.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    root: Path | None = None

    @property
    def place(self) -> str:
        """Its address in a form that can be compared."""
        return address(self.url).place

    @property
    def shown(self) -> str:
        """Its address for people, without a token."""
        return address(self.url).url


def servers(
    url: str | None, token: str | None, environ: Mapping[str, str] = os.environ
) -> list[Running]:
    """Find the servers that are meant.

    Args:
        url: The address that the user gave; ``JUPYTER_SERVER_URL``, which terminals of JupyterLab
            have, or None for all servers of this user.
        token: The token that the user gave; if none, that in the address, that of the running
            server with this address, or ``JUPYTER_TOKEN``.
        environ: The environment variables.

    Returns:
        At least one server.

    Raises:
        NoServer: None runs.
        ValueError: The address is none.
    """
    found = list(_running())
    url = url or environ.get("JUPYTER_SERVER_URL")
    last_resort = environ.get("JUPYTER_TOKEN")
    if url:
        place = address(url).place
        it = next((each for each in found if each.place == place), Running(url))
        its_own = "Authorization" in address(url).headers
        return [Running(url, token or (None if its_own else it.token or last_resort), it.root)]
    if not found:
        raise NoServer(f"No Jupyter server of yours runs on this machine: {HOW}.")
    return [Running(each.url, token or each.token or last_resort, each.root) for each in found]


def _running() -> Iterator[Running]:
    """Read what running servers have written down of themselves.

    jupyter_server 2.21, list_running_servers does so, but importing it takes too long.
    """
    from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415 - only where it is needed

    for file in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):  # half written, or just removed
            told = json.loads(file.read_text(encoding="utf-8"))
            if _lives(int(told["pid"])):
                it = Running(told["url"], told.get("token") or None, Path(told["root_dir"]))
                address(it.url)
                yield it


def _lives(pid: int) -> bool:
    if os.name != "posix":  # there signal 0 would end it
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True
