"""Ends runs whose end nobody hears: requests that a kernel dropped, replies and idles lost.

Nothing is ended because of time alone. When a kernel has been quiet for a while, works on nothing
and still has runs of ours that are not over, its shell is asked; what was sent before is over when
the answer comes, for a shell works in order. Requests of websockets come by other sockets, between
which a shell may choose: it is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.events import ShellAnswered
from ..core.model import Kernel, Request
from ..core.run import Origin, Run, ShellMovedOn
from .desk import Desk
from .errands import TAKES_WORK
from .ledger import Ledger
from .timers import Timers
from .tracker import Tracker

LOOK_EVERY = 1.0
"""Seconds between looks at a kernel that has runs of ours."""

QUIET = 0.5
"""Seconds in which nothing may have been heard; our own questions are, shortly after a look."""

ANSWERS = 2
"""Answers of a quiet shell after which what was sent before is over."""


@dataclass(eq=False, slots=True)
class _Case:
    """A kernel with runs that seem to be left behind.

    Attributes:
        runs: Which.
        answers: How often its shell has answered since.
        is_asked: Whether it is asked now.
    """

    runs: frozenset[str]
    answers: int = 0
    is_asked: bool = False

    def answered(self) -> None:
        """Note an answer."""
        self.is_asked = False
        self.answers += 1


class Stragglers:
    """Looks after the runs of all kernels that came through this server."""

    def __init__(
        self, tracker: Tracker, ledger: Ledger, desk_of: Callable[[str], Desk | None]
    ) -> None:
        """Begin; nothing is done while nothing runs.

        Args:
            tracker: Knows the kernels.
            ledger: Knows the runs.
            desk_of: Gives, of a kernel id, the way to its present process.
        """
        self._tracker = tracker
        self._ledger = ledger
        self._desk_of = desk_of
        self._cases: dict[tuple[str, str], _Case] = {}
        self._timers = Timers()
        ledger.listen(self._changed)

    def close(self) -> None:
        """Look no more."""
        self._timers.close()

    def _changed(self, run: Run) -> None:
        if not run.has_ended:
            self._timers.set_once(run.kernel_id, LOOK_EVERY, lambda: self._look(run.kernel_id))

    def _look(self, kernel_id: str) -> None:
        kernel, runs = self._tracker.get(kernel_id), self._ledger.active(kernel_id)
        if kernel is None or not runs:
            self._forget(kernel_id)
            return
        self._timers.set(kernel_id, LOOK_EVERY, lambda: self._look(kernel_id))
        if kernel.status in TAKES_WORK:
            for run in runs:
                if run.generation is None and run.origin is Origin.WEBSOCKET:
                    # It waited in zmq: if the present process does not have it by now, none will.
                    self._ledger.sent(*run.key)
        desk = self._desk_of(kernel_id)
        left = [] if desk is None else [each for each in runs if _seems_left(each, kernel, desk)]
        desk = desk if left else None
        if desk is None or not desk.has_been_quiet_for(QUIET):
            self._forget(kernel_id)
            return
        for subshell in {each.subshell for each in left}:
            ids = frozenset(each.run_id for each in left if each.subshell == subshell)
            self._consider(kernel, subshell, ids, desk)

    def _forget(self, kernel_id: str) -> None:
        for key in [each for each in self._cases if each[0] == kernel_id]:
            del self._cases[key]

    def _consider(self, kernel: Kernel, subshell: str, left: frozenset[str], desk: Desk) -> None:
        key = kernel.id, subshell
        case = self._cases.get(key)
        if case is None or not case.runs <= left:
            self._cases[key] = _Case(left)
        elif case.answers >= ANSWERS or kernel.requests:
            del self._cases[key]
            self._end(kernel, case.runs)
        elif not case.is_asked:
            case.is_asked = desk.ask(subshell, case.answered)

    def _end(self, kernel: Kernel, left: frozenset[str]) -> None:
        now = self._tracker.now()
        for run in (self._ledger.get(kernel.id, each) for each in left):
            if run is not None and run.generation is not None:
                request = Request(run.run_id, run.subshell, is_run=True)
                event = ShellAnswered(run.generation, now, (request,))
                self._tracker.feed(kernel.id, event)
                self._ledger.heard(kernel.id, event)
                self._ledger.feed(*run.key, ShellMovedOn(run.generation, now))


def _seems_left(run: Run, kernel: Kernel, desk: Desk) -> bool:
    """Tell whether what is known of a run and what its kernel does do not fit together.

    Either nothing runs, or what does came after it in its shell, which has answered it already.
    """
    if run.generation != kernel.generation or desk.holds(run.subshell, run.run_id):
        return False
    others = [each for each in kernel.requests if each.msg_id != run.run_id]
    if run.answer is not None:
        return all(each.subshell == run.subshell for each in others)
    return not kernel.requests
