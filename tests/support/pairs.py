"""Two things that happen to one kernel within 50 ms, by a seed, and what is left of it after.

    .venv/bin/python tests/support/pairs.py --pairs 1000 --seed 7

Each round starts some kernels, does two acts to each at the same time, deletes what is still
listed, and looks: no process, no connection file, no `/status`. What is found there is told with
the acts and the milliseconds between them.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import itertools
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from support.server import FAKE_KERNEL, Server, eventually, held_for

CONFIG: dict[str, dict[str, object]] = {
    "ServerApp": {"jpserver_extensions": {"probe_extension": True}},
    "KernelManager": {"shutdown_wait_time": 1.0},
    "AsyncMappingKernelManager": {"cull_idle_timeout": 0},
}
"""Little patience; the culler itself is off, the act `cull` calls what it calls."""

SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "fast": {},
    "slow": {"KernelStatusApp": {"fast_restart": False}},
    "pending": {"AsyncMultiKernelManager": {"use_pending_kernels": True}},
}

POLL = 3.2
"""Seconds within which Jupyter's restarter has looked again."""


@dataclass
class Victim:
    """A kernel to which two things happen."""

    id: str
    name: str
    acts: tuple[str, str]
    between: float
    """Seconds between the two acts."""
    process: psutil.Process
    """Its first one."""
    script: Path | None = None

    def __str__(self) -> str:
        """Tell what happened to it."""
        first, second = self.acts
        return f"{self.id} ({self.name}): {first}, {1000 * self.between:.0f} ms, {second}"


def death(server: Server, victim: Victim) -> None:
    """Kill its process, at once if it is still the first one."""
    with contextlib.suppress(psutil.Error):
        if victim.process.is_running():
            victim.process.kill()
            return
    for process in server.kernel_processes(victim.id):
        with contextlib.suppress(psutil.Error):
            process.kill()


def failing_start(server: Server, victim: Victim) -> None:
    """Kill its process; the one that should follow cannot be launched."""
    if victim.script is not None:
        victim.script.unlink(missing_ok=True)
    death(server, victim)


def restart(server: Server, victim: Victim) -> None:
    """Ask for a restart."""
    server.http.post(f"api/kernels/{victim.id}/restart")


def delete(server: Server, victim: Victim) -> None:
    """Ask for its removal."""
    server.http.delete(f"api/kernels/{victim.id}")


def cull(server: Server, victim: Victim) -> None:
    """Do what Jupyter's culler does to an idle kernel."""
    server.http.post("probe", json={"call": "cull", "with": {"kernel_id": victim.id}})


ACTS: dict[str, Callable[[Server, Victim], None]] = {
    "death": death,
    "failing start": failing_start,
    "restart": restart,
    "delete": delete,
    "cull": cull,
}
PAIRS = tuple(itertools.product(ACTS, repeat=2))
"""Every two of them, in both orders; `death` brings the automatic restart with it."""


class Rounds:
    """Pairs on one server."""

    def __init__(self, server: Server, seed: int, at_once: int = 6) -> None:
        """Begin with fake kernels."""
        self.server, self.chance, self.at_once = server, random.Random(seed), at_once

        self.real = 0
        """How many of every `at_once` are ipykernels."""
        self.kinds = PAIRS
        self.pending = False
        """Whether the server uses pending kernels."""

    def victims(self, acts: list[tuple[str, str]]) -> list[Victim]:
        """Start a kernel for each pair of acts."""
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
            made = list(pool.map(self._victim, acts, range(len(acts))))
        for victim in made:
            victim.between = self.chance.random() * 0.05
        return made

    def _victim(self, acts: tuple[str, str], at: int) -> Victim:
        if at < self.real:
            return self._met("python3", acts)
        script = self.server.script(
            f"kernel-{uuid.uuid4().hex}", f'exec {sys.executable} {FAKE_KERNEL} "$@"'
        )
        name = self.server.spec(script.name, [str(script), "-f", "{connection_file}"])
        return self._met(name, acts, script)

    def _met(self, name: str, acts: tuple[str, str], script: Path | None = None) -> Victim:
        kernel = self.server.connected(name)
        process = psutil.Process(self.server.status(kernel)["pid"])
        return Victim(kernel, name, acts, 0, process, script)

    def run(self, count: int) -> list[str]:
        """Do so many pairs, and tell what they left."""
        found: list[str] = []
        pairs = itertools.islice(self._order(), count)
        while acts := list(itertools.islice(pairs, self.at_once)):
            found += self.round(self.victims(acts))
        return found

    def _order(self) -> Iterator[tuple[str, str]]:
        """Every pair equally often."""
        while True:
            yield from self.chance.sample(self.kinds, len(self.kinds))

    def round(self, victims: list[Victim]) -> list[str]:
        """Let it happen, delete what is still there, and tell what is left of which."""
        happen(self.server, victims)
        for victim in victims:
            delete(self.server, victim)
        if self.pending:
            # Nobody waits for a shutdown there: it is over when the list says so.
            eventually(lambda: not self.server.models(), what="all kernels are removed")
        left = [(victim, leftovers(self.server, victim)) for victim in victims]
        return [f"{victim}: {remains}" for victim, remains in left if remains]


def happen(server: Server, victims: list[Victim]) -> None:
    """Do to each what is to be done to it, all at the same time, and wait for the answers."""

    def do(victim: Victim, act: str, after: float) -> None:
        time.sleep(after)
        # The server may be gone by then: that is one of the things that happen.
        with contextlib.suppress(httpx.HTTPError):
            ACTS[act](server, victim)

    with concurrent.futures.ThreadPoolExecutor(2 * len(victims)) as pool:
        for victim in victims:
            pool.submit(do, victim, victim.acts[0], 0.0)
            pool.submit(do, victim, victim.acts[1], victim.between)


def leftovers(server: Server, victim: Victim) -> list[str]:
    """Tell what is left of a kernel that was deleted."""
    left = [f"process {process.pid}" for process in server.kernel_processes(victim.id)]
    left += [file.name for file in server.connection_files() if victim.id in file.name]
    told = server.http.get(f"api/kernels/{victim.id}/status").status_code
    return left + [f"/status {told}"] * (told != httpx.codes.NOT_FOUND)


def nothing_comes_back(server: Server) -> list[str]:
    """Tell what is there although all was deleted, and what comes within one poll."""

    def nothing() -> bool:
        return not (server.kernel_processes() or server.connection_files() or server.models())

    if held_for(nothing, POLL):
        return []
    pids = [process.pid for process in server.kernel_processes()]
    return [f"later: processes {pids}, {server.connection_files()}, {list(server.models())}"]


def ending(setting: str, seed: int, at_once: int = 6) -> list[str]:
    """Have the server end within 50 ms after something happened to each of its kernels."""
    with Server(config=CONFIG | SETTINGS[setting]) as server:
        rounds = Rounds(server, seed, at_once)
        acts = [rounds.chance.choice(PAIRS) for _ in range(at_once)]
        victims = rounds.victims(acts)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(happen, server, victims)
            time.sleep(rounds.chance.random() * 0.05)
            ended = server.stop()
        left = [] if ended.clean else [str(ended)]
        left += [file.name for file in server.connection_files()]
        told = ", ".join(str(victim) for victim in victims)
        return [f"server's end, {told}: {left}"] if left else []


def main() -> int:
    """Do many, and print what they left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--setting", choices=SETTINGS, default="fast")
    parser.add_argument("--real", type=int, default=0, help="ipykernels in each round")
    parser.add_argument("--ends", type=int, default=0, help="servers that end, with 6 kernels each")
    parser.add_argument("--only", help="two acts, ACT,ACT, in place of every two")
    parser.add_argument("--at-once", type=int, default=6, help="kernels in each round")
    args = parser.parse_args()
    found: list[str] = []
    if args.pairs:
        with Server(config=CONFIG | SETTINGS[args.setting]) as server:
            rounds = Rounds(server, args.seed, args.at_once)
            rounds.real, rounds.pending = args.real, args.setting == "pending"
            if args.only:
                rounds.kinds = (tuple(args.only.split(",")),)
            found += rounds.run(args.pairs)
            found += nothing_comes_back(server)
    for seed in range(args.seed, args.seed + args.ends):
        found += ending(args.setting, seed)
    print(f"{args.pairs} pairs, {args.ends} ends of a server ({args.setting}, seed {args.seed}):")
    print("\n".join(found) or "nothing left")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
