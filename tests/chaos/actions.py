"""What is done to kernels: each action is one thing that a user, an administrator or bad luck does.

An action is a method of `Actions`; its weight stands in `WEIGHTS`. All it needs by chance is drawn
before the round begins, so that threads do not decide what a seed means.
"""

from __future__ import annotations

import random
import signal
import uuid
from collections.abc import Callable
from functools import partial

import httpx
from support.kernel_socket import KernelSocket, Upgrade
from support.runs import place, runs_of, sent
from support.server import PATIENCE
from support.watching import SlowReader

from .cells import KINDS, Cell
from .world import Target, World

Action = Callable[[], object]

DOES = (200, 404, 409)
TAKES = (200, 202, 404, 409, 412, 429)
WEIGHTS = {
    "kill": 8,
    "stop": 2,
    "go_on": 2,
    "crash": 2,
    "delete": 5,
    "restart": 6,
    "interrupt": 3,
    "start": 2,
    "start_badly": 2,
    "post": 12,
    "follow": 6,
    "by_websocket": 6,
    "on_both": 1,
    "cancel": 2,
    "wait": 5,
    "read_nothing": 2,
    "look": 4,
    "visit": 2,
}


class Actions:
    """All actions on one world; each method prepares one, with its luck, and gives it."""

    def __init__(self, world: World) -> None:
        self.world, self.dice = world, world.dice

    def any(self, target: Target, other: Target) -> Action:
        """One of them."""
        name = self._drawn(WEIGHTS)
        return getattr(self, name)(target, other)

    def _drawn(self, weights: dict[str, int]) -> str:
        chosen = {name: each for name, each in weights.items() if name not in self.world.without}
        return self.dice.choices(list(chosen), list(chosen.values()))[0]

    # -- processes

    def _signal(self, target: Target, how: signal.Signals) -> Action:
        def act() -> None:
            pid = self.pid(target)
            self.world.note(f"{how.name} to {pid} of {target.id}")
            self.world.send_signal(pid, how)

        return act

    def pid(self, target: Target) -> int | None:
        """Its present process by the process table: the server is not asked."""
        found = self.world.server.kernel_processes(target.id)
        return found[-1].pid if found else target.pid

    def kill(self, target: Target, _: Target) -> Action:
        """`kill -9`, without a look at the table: the process of the round's begin."""
        if self.dice.random() < 0.5:
            return self._signal(target, signal.SIGKILL)

        def at_once() -> None:
            self.world.note(f"SIGKILL to {target.pid} of {target.id}")
            self.world.send_signal(target.pid, signal.SIGKILL)

        return at_once

    def stop(self, target: Target, _: Target) -> Action:
        """SIGSTOP."""
        return self._signal(target, signal.SIGSTOP)

    def go_on(self, target: Target, _: Target) -> Action:
        """SIGCONT."""
        return self._signal(target, signal.SIGCONT)

    def crash(self, target: Target, _: Target) -> Action:
        """SIGSEGV."""
        return self._signal(target, signal.SIGSEGV)

    # -- the manager's calls

    def _call(self, method: str, path: str, allowed: tuple[int, ...], **more: object) -> Action:
        return partial(self.world.call, method, path, allowed, **more)

    def delete(self, target: Target, _: Target) -> Action:
        """DELETE; nothing is left of the kernel when it is answered."""

        def act() -> None:
            answer = self.world.call("DELETE", f"api/kernels/{target.id}", (204, 404, 409))
            if answer.status_code == 204:
                self.world.deleted.add(target.id)
                if target.id in self.world.asked_for:
                    return
                left = self.world.server.kernel_processes(target.id)
                if left and not self.world.pending:
                    self.world.fault(f"{target.id} was deleted and {left} is left", target.id)

        return act

    def restart(self, target: Target, _: Target) -> Action:
        """Restart."""
        return self._disturb(target, self._call("POST", f"api/kernels/{target.id}/restart", DOES))

    def interrupt(self, target: Target, _: Target) -> Action:
        """Interrupt."""
        path = f"api/kernels/{target.id}/interrupt"
        return self._disturb(target, self._call("POST", path, (204, 404, 409)))

    def _disturb(self, target: Target, action: Action) -> Action:
        """The cells of the kernel may end as their code does not say, before and after."""

        def act() -> None:
            target.seen.add("disturbed")
            self._disturbed(target)
            action()
            self._disturbed(target)

        return act

    def _disturbed(self, target: Target) -> None:
        for cell in self.world.cells:
            cell.disturbed |= cell.kernel == target.id

    def start(self, *_: Target) -> Action:
        """A kernel more."""
        name = self.dice.choice(["good", "python3", "deaf", "never-binds", "mute", "second-dies"])
        return self._call("POST", "api/kernels", (201,), json={"name": name})

    def start_badly(self, *_: Target) -> Action:
        """A start that fails."""
        name = self.dice.choice(["die-at-start", "unknown", "missing"])
        return self._call("POST", "api/kernels", (201, 404, 500), json={"name": name})

    # -- cells

    def _cell(self, target: Target) -> Cell:
        kind = self._drawn(KINDS)
        run_id = uuid.UUID(int=self.dice.getrandbits(128)).hex
        return Cell(target.id, kind, self.world.marks, self.world.gate, run_id)

    def _sent(self, cell: Cell, target: Target, how: str) -> str:
        cell.disturbed |= "disturbed" in target.seen
        self.world.cells.append(cell)
        self.world.note(f"{how} {cell.kind} {cell.run_id[:12]} to {cell.kernel}")
        return cell.code(python=target.python)

    def post(self, target: Target, _: Target) -> Action:
        """A run whose stream nobody reads; now and then it is sent twice."""
        cell, twice = self._cell(target), self.dice.random() < 0.3

        def act() -> None:
            code = self._sent(cell, target, "post")
            for _ in range(1 + twice):
                self._post(cell, code)

        return act

    def _post(self, cell: Cell, code: str) -> None:
        body = {"code": code, "run_id": cell.run_id}
        answer = self.world.call("POST", runs_of(cell.kernel), TAKES, json=body)
        if answer.status_code in (200, 202):
            cell.taken = "api"

    def on_both(self, target: Target, other: Target) -> Action:
        """The same run_id to two kernels at once, by websocket."""
        first = self._cell(target)
        second = Cell(other.id, "nap", first.folder, first.gate, first.run_id)

        def act() -> None:
            for cell, to in ((first, target), (second, other))[: 1 + (target is not other)]:
                self._by_websocket(to, [cell], vanish=False)

        return act

    def follow(self, target: Target, _: Target) -> Action:
        """A run whose stream is read to its end, or left at once."""
        cell, stays = self._cell(target), self.dice.random() < 0.7

        def act() -> None:
            stream = sent(
                self.world.server,
                target.id,
                self._sent(cell, target, "follow"),
                run_id=cell.run_id,
            )
            try:
                stream.__enter__()
            except AssertionError as refusal:
                self.world.note(f"refused {cell.run_id[:12]}: {refusal!s:.160}")
                if int(str(refusal)[:3]) not in TAKES:
                    self.world.fault(f"a run was answered {refusal}", target.id)
                return
            cell.taken = "api"
            if not stays:
                stream.__exit__()
                return
            self.world.open.callback(stream.__exit__, None, None, None)
            ended = stream.ended(3 * PATIENCE)
            cell.dones += [event.data["status"] for event in ended if event.name == "done"] or [
                f"nothing, and it ended: {stream.broken or 'regularly'}"
            ]

        return act

    def by_websocket(self, target: Target, _: Target) -> Action:
        """Some cells by one websocket, which stays, goes, or vanishes."""
        cells = [self._cell(target) for _ in range(self.dice.choice([1, 1, 2, 3]))]
        return partial(self._by_websocket, target, cells, vanish=self.dice.random() < 0.3)

    def _by_websocket(self, target: Target, cells: list[Cell], *, vanish: bool) -> None:
        upgrade = Upgrade(self.world.server, target.id)
        try:
            code, body = upgrade.answer(3 * PATIENCE)
        except AssertionError as answer:
            if "(404, b'<!DOCTYPE HTML>" not in str(answer):  # core's own, of a kernel that is gone
                raise
            return
        self.world.note(f"websocket to {target.id} -> {code} {body!s:.160}")
        if code != 101:
            if code not in (404, 503) or (code == 503 and not body["reason"]):
                self.world.fault(f"a websocket was refused with {code} {body}", target.id)
            return
        socket = KernelSocket(upgrade)
        for cell in cells:
            code_of = self._sent(cell, target, "websocket")
            socket.execute(code_of, msg_id=cell.run_id)
            cell.taken, cell.unheard = "websocket", vanish
        if vanish:
            socket.vanish()
        else:
            self.world.open.callback(socket.close)

    def cancel(self, target: Target, _: Target) -> Action:
        """Cancel, or interrupt, a run of this kernel."""
        luck, way = self.dice.random(), self.dice.choice(["DELETE", "POST"])

        def act() -> None:
            mine = [cell for cell in self.world.cells if cell.kernel == target.id]
            if mine:
                cell = mine[int(luck * len(mine))]
                self._disturbed(target)
                below = "" if way == "DELETE" else "/interrupt"
                path = place(cell.run_id, below)
                self.world.call(way, path, (202, 204, 404, 405, 409))

        return act

    # -- readers

    def wait(self, target: Target, _: Target) -> Action:
        """Some who wait for states."""
        targets = self.dice.choice(
            [{"status": "connected"}, {"status": "dead"}, {"execution_state": "idle"}]
        )
        limit = self.dice.choice([0, 0.05, 2, 10])
        path = f"api/kernels/{target.id}/wait"

        def act() -> None:
            answer = self.world.call(
                "GET", path, (200, 404, 409, 504), params={**targets, "timeout": limit}
            )
            (key, word), body = next(iter(targets.items())), answer.json()
            if answer.status_code == 200 and body[key] != word:
                self.world.fault(f"waited for {word} and got {body}", target.id)
            if answer.status_code == 409 and not body["reason"]:
                self.world.fault(f"409 without a reason: {body}", target.id)

        return act

    def read_nothing(self, target: Target, _: Target) -> Action:
        """Readers that take nothing; some vanish at once, the rest later."""
        paths = ["api/kernels/watch", f"api/kernels/{target.id}/watch"]
        chosen = [self.dice.choice(paths) for _ in range(self.dice.choice([1, 5, 15]))]
        vanish = self.dice.random() < 0.5

        def act() -> None:
            for path in chosen:
                reader = SlowReader(self.world.server, path)
                if vanish:
                    reader.vanish()
                else:
                    self.world.open.callback(reader.vanish)

        return act

    def look(self, target: Target, _: Target) -> Action:
        """A page that shows the kernel."""
        path, allowed = self.dice.choice(
            [
                (f"api/kernels/{target.id}", (200, 404)),
                (f"api/kernels/{target.id}/status", (200, 404)),
                (f"api/kernels/{target.id}/inspect", (200, 404)),
                (f"api/kernels/{target.id}/history", (200, 404)),
                (f"api/kernels/{target.id}/runs", (200, 404)),
                ("api/kernels", (200,)),
                ("api/kernels/inspect", (200,)),
                ("api/kernels/workers/active", (200,)),
                ("api/kernels/runs", (200,)),
            ]
        )
        return self._call("GET", path, allowed)

    def visit(self, target: Target, _: Target) -> Action:
        """A session for a notebook, whose kernel is the one of the round or a new one."""
        path = f"{self.dice.choice('abc')}.ipynb"
        kernel = self.dice.choice([{"id": target.id}, {"name": "good"}])
        body = {"path": path, "type": "notebook", "name": path, "kernel": kernel}
        if "id" in kernel:
            self.world.asked_for.add(target.id)
        return self._call("POST", "api/sessions", (201, 404, 500, 501), json=body)


def quietly(world: World, action: Action) -> None:
    """Do it; what breaks in our own hands is noted, what breaks in the server's is a fault."""
    try:
        action()
    except (httpx.HTTPError, OSError, AssertionError) as error:
        world.note(f"{action} broke: {error!r:.300}")
        world.fault(f"a connection broke: {error!r:.300}")


def offsets(dice: random.Random, count: int) -> list[float]:
    """When each action of a round begins, in seconds: most within tens of ms of each other."""
    span = dice.choice([0.0, 0.01, 0.03, 0.06, 0.06, 0.3, 1.5])
    return sorted(dice.uniform(0, span) for _ in range(count))
