"""Kernels that fail to start, for real, and what has to be true of every one of them."""

from __future__ import annotations

import shlex
import sys
import uuid
from pathlib import Path
from typing import Any

from .server import FAKE_KERNEL, SUPPORT, Server
from .stories import TERMINATION_KEYS, changes, story

SQUATTER = SUPPORT / "port_squatter.py"
IPYKERNEL = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
TRACEBACK_LIMIT = 16384
"""The default of `stderr_tail`."""


def python(server: Server, *args: str, **more: object) -> str:
    """The kernelspec of this Python with these arguments, which is a kernel or is none."""
    return server.spec(f"python-{uuid.uuid4().hex[:8]}", [sys.executable, *args], **more)


def shell(server: Server, text: str) -> str:
    """The kernelspec of a shell script; `$1` is the connection file."""
    name = f"shell-{uuid.uuid4().hex[:8]}"
    return server.spec(name, [str(server.script(name, text)), "{connection_file}"])


def exec_fake(server: Server, **options: object) -> str:
    """The line of a shell script that becomes a fake kernel which ignores SIGINT."""
    options = {"starts": server.folder / f"starts-{uuid.uuid4().hex[:8]}"} | options
    arguments = [f"--{option.replace('_', '-')}={value}" for option, value in options.items()]
    command = shlex.join([sys.executable, str(FAKE_KERNEL), *arguments])
    return f"""trap "" INT; exec {command} -f "$1" """


def squatted(server: Server, how_many: int, *, real: bool = False) -> str:
    """The kernelspec of a kernel whose shell port is taken at the first `how_many` starts."""
    name = f"squatted-{uuid.uuid4().hex[:8]}"
    starts = server.data / "kernels" / name / "starts"
    kernel = IPYKERNEL if real else (sys.executable, str(FAKE_KERNEL), "-f", "{connection_file}")
    before = [sys.executable, str(SQUATTER), str(starts), str(how_many), "{connection_file}"]
    return server.spec(name, [*before, *kernel])


def is_sentence(reason: str) -> bool:
    """Whether a reason is one line for a person: a capital, a full stop, nothing unprintable."""
    return reason[:1].isupper() and reason[-1:] in set(".!?") and reason.isprintable()


def last_words(server: Server, kernel: str) -> dict[str, Any]:
    """The last termination of a kernel, its form checked, the same in its history."""
    last = server.status(kernel)["last_termination"]
    assert set(last) == TERMINATION_KEYS
    assert server.history(kernel)["terminations"][-1] == last
    assert is_sentence(last["reason"]), last["reason"]
    return last


def failed_start(server: Server, kernel: str) -> dict[str, Any]:
    """The status of a kernel that is soon dead by its first process, nothing tried again."""
    status = server.until_dead(kernel)
    told = story(changes(server, kernel), "status")
    assert told in (["starting", "connecting", "dead"], ["connecting", "dead"])
    assert (status["generation"], status["restart_count"], status["connected_at"]) == (0, 0, None)
    assert len(server.history(kernel)["terminations"]) == 1
    assert is_sentence(status["reason"]), status["reason"]
    assert (server.models()[kernel]["reason"], last_words(server, kernel)["cause"]) == (
        status["reason"],
        status["cause"],
    )
    return status


def user_file(folder: Path, name: str, text: str = "mine = 1\n") -> Path:
    """A Python file of the user's, in a folder that is made for it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path
