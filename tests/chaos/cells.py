"""Cells that leave a mark when they truly begin and one when they truly end."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AGAIN = "os.execv(sys.executable, open('/proc/self/cmdline').read().split('\\0')[:-1])"
"""A new kernel in the old process."""

PYTHON = {
    "quick": "pass",
    "nap": "import time; time.sleep(0.2)",
    "wait": "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.01)",
    "raise": "raise ValueError('wanted')",
    "exit": "os._exit(3)",
    "leave": "os._exit(0)",
    "kill": "os.kill(os.getpid(), 9)",
    "segv": "os.kill(os.getpid(), 11)",
    "exec": AGAIN,
    "flood": "for line in range(20_000): print(line)",
    "huge": "raise ValueError('x' * 3_000_000)",
    "bulk": "print('y' * 5_000_000)",
}
FAKE = {
    "quick": "nothing",
    "nap": "nothing",
    "wait": "wait {gate}",
    "raise": "error wanted",
    "exit": "die 3",
    "leave": "die 0",
    "kill": "signal 9",
    "segv": "signal 11",
    "exec": "exec import os, sys; " + AGAIN,
    "flood": "flood 20000",
    "huge": "error wanted",
    "bulk": "big 5000000",
}
KINDS = dict(zip(PYTHON, (6, 3, 4, 2, 2, 1, 2, 1, 1, 1, 1, 1), strict=True))
"""All kinds, and how often each comes."""
ENDS = {"exit": "Error", "leave": "Exited", "kill": "Killed", "segv": "SegmentationFault"}
"""The cause of the death that such a cell is."""
REPLACES = "exec"
FAILS = ("raise", "huge")


@dataclass
class Cell:
    """One cell that was sent, and what was answered to it.

    Args:
        kernel: whom it was sent to.
        kind: one of `KINDS`.
        folder: where its marks go.
        gate: the file that a cell of the kind `wait` waits for.
        run_id: of its run; a new one by default.
    """

    kernel: str
    kind: str
    folder: Path
    gate: Path
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    taken: str | None = None
    """How the server took it; `None` while nothing, or a refusal, was answered."""
    dones: list[str] = field(default_factory=list)
    """The statuses of all `done` events that its reader got."""
    unheard: bool = False
    """Its websocket vanished and heard no reply; the fake kernel fails by its reply alone."""
    disturbed: bool = False
    """Somebody has cancelled or interrupted it."""

    def __post_init__(self) -> None:
        """Choose its own place for marks: one id may be sent to two kernels."""
        self.mark = self.folder / f"{self.run_id[:12]}-{self.kernel[:8]}"

    def code(self, *, python: bool) -> str:
        """What the kernel is told to do."""
        kinds = PYTHON if python else FAKE
        body = kinds[self.kind].format(gate=str(self.gate))
        if not python:
            return f"mark {self.mark} {body}"
        mark = "import os, sys\nwith open({!r}, 'a') as file: print(os.getpid(), file=file)\n"
        return mark.format(str(self.mark)) + body + "\n" + mark.format(f"{self.mark}.end")

    @property
    def began(self) -> list[int]:
        """The pids of all processes in which it truly began."""
        return pids(self.mark)

    @property
    def finished(self) -> list[int]:
        """The pids of all processes in which its last line was reached."""
        return pids(Path(f"{self.mark}.end"))


def pids(mark: Path) -> list[int]:
    """What stands in a mark."""
    return [int(line) for line in mark.read_text().split()] if mark.exists() else []


def lies(cell: Cell, run: dict[str, Any]) -> list[str]:
    """What a run's end says that its marks refute."""
    status, began, finished = run["status"], cell.began, cell.finished
    claims = {
        "it was told as ok and never reached its last line": (
            status == "ok" and not finished and not (cell.unheard and cell.kind in FAILS)
        ),
        "it ran more than once": len(began) > 1,
        "it was told as never begun and it ran": (
            status == "aborted" and run["started_at"] is None and bool(began)
        ),
        "it was told as failed and it never ran": status == "error"
        and not began
        and not cell.disturbed,
        "it was told as failed and it raises nothing": (
            status == "error" and bool(finished) and not cell.disturbed
        ),
        "it was told as lost and the server lives": status == "lost",
        "its worker_pid is another process": bool(
            began and run["worker_pid"] and run["worker_pid"] not in began
        ),
        f"its readers were told {cell.dones}": bool(cell.dones) and cell.dones != [status],
        "it ended badly without a reason": status in ("aborted", "died") and not run["reason"],
    }
    return [claim for claim, refuted in claims.items() if refuted]
