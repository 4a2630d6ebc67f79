"""What was done to one server and what it said: the ground that actions and truth stand on."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from support.server import PATIENCE, Server
from support.sse import Event, Stream
from support.watching import WATCH

from .cells import Cell

REMEMBERED = 60
"""So many actions are shown beside a fault."""
OWED = {"dead", "autorestarting", "unresponsive"}
"""Statuses in which a reason is never empty."""


@dataclass
class Fault:
    """Something that the server said or did and that is not true, with what led to it."""

    what: str
    actions: list[str]
    story: list[str]

    def __str__(self) -> str:
        """The fault, the last actions and the kernel's story, for people."""
        return "\n".join(
            [f"FAULT: {self.what}", "  actions:", *self.actions, "  story:", *self.story]
        )


def configuration(dice: random.Random) -> dict[str, dict[str, Any]]:
    """One of the ways to run a server."""
    culling = dice.random() < 0.3
    return {
        "KernelStatusApp": {
            "fast_restart": dice.random() < 0.7,
            "heartbeat_interval": 1.0,
            "unresponsive_after": 4.0,
        },
        "KernelManager": {"shutdown_wait_time": 1.0, "autorestart": dice.random() < 0.85},
        "KernelRestarter": {"time_to_dead": 1.0},
        "AsyncMultiKernelManager": {"use_pending_kernels": dice.random() < 0.3},
        "MappingKernelManager": (
            {"cull_idle_timeout": 4, "cull_interval": 1}
            if culling
            else {"buffer_offline_messages": True}
        ),
    }


SPECS: dict[str, dict[str, object]] = {
    "good": {},
    "no-starting": {"mode": "no-starting"},
    "deaf": {"mode": "deaf"},
    "garbage": {"mode": "garbage"},
    "single-loop": {"mode": "single-loop"},
    "die-at-start": {"mode": "die-at-start", "code": 3},
    "second-dies": {"mode": "good,die-at-start,good"},
    "never-binds": {"mode": "never-binds"},
    "mute": {"mode": "mute"},
}
RESTLESS = {"never-binds", "mute"}
"""Kernels that never answer: they are deleted before anything is compared."""


@dataclass(frozen=True)
class Options:
    """What whoever begins this may choose beside the seed."""

    seconds: float
    """After so long no further round begins."""
    patience: float = 2 * PATIENCE
    """Seconds after which what does not come to rest is a fault."""
    servers: int = 10**6
    """So many are begun at most, one after the other."""
    without: frozenset[str] = frozenset()
    """Actions and kinds of cells that are left out."""


class World:
    """One server, all that was done to it, and all that it told meanwhile.

    Args:
        dice: decides everything; the same seed gives the same plan.
        options: what whoever began this has chosen.
    """

    def __init__(self, dice: random.Random, options: Options) -> None:
        self.dice, self.patience = dice, options.patience
        self.without = options.without
        self.config = configuration(dice)
        self.server = Server(config=self.config, specs=SPECS)
        self.server.http = unshared(self.server)
        self.server.spec("missing", ["/nonexistent/kernel", "{connection_file}"])
        self.marks = self.server.folder / "marks"
        self.marks.mkdir()
        self.round = 0
        self.begin = time.monotonic()
        self.done = 0
        self.lock = threading.Lock()
        self.actions: deque[str] = deque(maxlen=REMEMBERED)
        self.stories: dict[str, list[str]] = defaultdict(list)
        self.terminations: dict[tuple[str, int], dict[str, Any]] = {}
        self.names: dict[str, str] = {}
        self.cells: list[Cell] = []
        self.signalled: dict[int, set[str]] = defaultdict(set)
        self.stopped: list[psutil.Process] = []
        self.open = contextlib.ExitStack()
        self.deleted: set[str] = set()
        self.asked_for: set[str] = set()
        """Kernels that a session names: jupyter_server starts one of that id where it is gone."""
        self.faults: list[Fault] = []
        self.ending = False
        self.watcher = Stream(self.server, WATCH)
        self.watcher.__enter__()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    @property
    def culls(self) -> bool:
        """Whether kernels go by themselves."""
        return "cull_idle_timeout" in self.config["MappingKernelManager"]

    @property
    def pending(self) -> bool:
        """Whether calls are answered before they are done, as `use_pending_kernels` has it."""
        return self.config["AsyncMultiKernelManager"]["use_pending_kernels"]

    @property
    def gate(self) -> Path:
        """What the cells of this round wait for."""
        return self.marks / f"gate-{self.round}"

    def note(self, text: str) -> None:
        """Remember what was done and what was answered."""
        at = time.monotonic() - self.begin
        with self.lock:
            self.actions.append(f"    {at:8.3f} {text}")
            self.done += 1

    def fault(self, what: str, kernel: str = "") -> None:
        """Remember a fault, once."""
        if self.ending or any(each.what == what for each in self.faults):
            return
        with self.lock:
            actions, story = list(self.actions), list(self.stories[kernel][-30:])
        self.faults.append(Fault(what, actions, story))
        print(self.faults[-1], flush=True)

    def call(self, method: str, path: str, allowed: tuple[int, ...], **more: Any) -> httpx.Response:
        """Ask; an answer that nobody may give is a fault."""
        answer = self.server.http.request(method, path, **more)
        said = answer.text[:300].replace("\n", " ")
        wish = {**more.get("json", {}), **more.get("params", {})}
        wish.pop("code", None)
        self.note(
            f"{method} {path} {wish or ''} -> {answer.status_code}"
            + (f" {said:.200}" if answer.status_code >= 400 else "")
        )
        if answer.status_code not in allowed:
            self.fault(f"{method} {path} answered {answer.status_code}: {said}", id_in(path))
        return answer

    def send_signal(self, pid: int | None, how: signal.Signals) -> None:
        """Signal a process of this server's, as anybody could from outside."""
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            process = psutil.Process(pid)
            if pid and process.ppid() == self.server.process.pid:
                self.signalled[pid].add(how.name)
                process.send_signal(how)
                if how == signal.SIGSTOP:
                    self.stopped.append(process)

    def let_go(self) -> None:
        """Whatever waits or is stopped goes on."""
        self.gate.touch()
        for process in self.stopped:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
        self.stopped.clear()

    # -- what is told by itself

    def _watch(self) -> None:
        with contextlib.suppress(AssertionError):
            while True:
                self._take(self.watcher.next(timeout=3600))
        if not self.ending:
            self.fault(f"the stream of changes ended: {self.watcher.broken}")

    def _take(self, event: Event) -> None:
        kernels = event.data["kernels"] if event.name == "snapshot" else [event.data]
        for kernel in kernels if event.name != "removed" else []:
            self._told(kernel)
        if event.name == "removed":
            self._tell(event.data["id"], "removed")

    def _tell(self, kernel: str, text: str) -> None:
        at = time.monotonic() - self.begin
        with self.lock:
            self.stories[kernel].append(f"    {at:8.3f} {text}")

    def _told(self, kernel: dict[str, Any]) -> None:
        if "status" not in kernel:
            return  # its queue
        words = [str(kernel[key]) for key in ("generation", "pid", "status", "execution_state")]
        self._tell(kernel["id"], f"{' '.join(words)} {kernel['cause'] or ''} {kernel['reason']}")
        self.names[kernel["id"]] = kernel["name"]
        last = kernel["last_termination"]
        if last is not None:
            self.terminations[kernel["id"], last["generation"]] = last
        for claim in wrong_words(kernel):
            self.fault(f"{kernel['id']} {claim}", kernel["id"])

    def close(self) -> None:
        """End all that is left."""
        self.ending = True
        self.open.close()
        with contextlib.suppress(OSError, httpx.HTTPError, AssertionError):
            self.watcher.__exit__(None, None, None)
        self.server.close()


def unshared(server: Server) -> httpx.Client:
    """Its client with a connection for each call: a kept one may be closed at any time."""
    server.http.close()
    return httpx.Client(
        base_url=server.http.base_url,
        headers=server.http.headers,
        timeout=server.http.timeout,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def wrong_words(kernel: dict[str, Any]) -> list[str]:
    """What in one status contradicts itself."""
    status, doing, reason = kernel["status"], kernel["execution_state"], kernel["reason"]
    claims = {
        f"is {status} without a reason": status in OWED and not reason,
        f"has the cause {kernel['cause']} and the reason {reason!r}": (
            bool(reason) != bool(kernel["cause"])
        ),
        f"is {status} and {doing}": (status == "dead") != (doing == "dead"),
        f"is {status} and does {doing} instead of starting": (
            status in ("starting", "connecting", "restarting", "autorestarting")
            and doing != "starting"
        ),
    }
    return [claim for claim, wrong in claims.items() if wrong]


def id_in(path: str) -> str:
    """The kernel that a path speaks of."""
    return next((part for part in path.split("/") if part.count("-") == 4), "")


@dataclass
class Target:
    """A kernel that this round is about, as it was at the begin of the round."""

    id: str
    name: str
    pid: int | None
    seen: set[str] = field(default_factory=set)

    @property
    def python(self) -> bool:
        """Whether it is a real ipykernel."""
        return self.name == "python3"
