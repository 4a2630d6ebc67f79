"""Heals what a lost idle leaves behind: a kernel that would be busy for ever.

A status can be lost where output floods, and then only there. So there must be a reason to doubt
before a kernel is asked: a flood since the work began, or a later request of the same shell that
has ended already. Then the shell is sent one ``kernel_info_request``: a shell that works in order
answers it after everything that came before. One that does not work in order gives itself away,
for its work is heard of again, and is never believed so again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..core.events import Event, RequestBegan, RequestEnded, ShellAnswered
from ..core.model import Kernel, Request
from .iopub import Reader
from .probe import Question
from .timers import Timers
from .tracker import Tracker
from .wire import Wire

QUIET_AFTER = 1.0
"""Seconds without a message after which a busy kernel is asked whether it is idle."""

REMEMBERED = 32
"""Requests remembered that were taken for ended, to notice if they are heard of again."""


class Doubts:
    """Whether the work of one process that does not end has ended."""

    def __init__(
        self,
        tracker: Tracker,
        kernel: Kernel,
        wire: Wire,
        reader: Reader,
        tell: Callable[[Event], None],
    ) -> None:
        """Begin without doubts.

        Args:
            tracker: Tells the time, and what runs.
            kernel: The kernel with its process.
            wire: How the process is asked.
            reader: Reads its answers.
            tell: Gets to know what has ended, and what goes on.
        """
        self._tell = tell
        self._tracker = tracker
        self._generation = kernel.generation
        self._wire = wire
        self._reader = reader
        self._id = kernel.id
        self._timers = Timers()
        self._worked_at = time.monotonic()
        self._doubtful = False
        self._works_in_order = True
        self._taken_for_ended: list[Request] = []
        self._questions: dict[str, Question] = {}

    def heard_work(self, msg_id: str | None, running: tuple[Request, ...]) -> None:
        """Note that it works, where a message is about something that runs."""
        if any(msg_id == each.msg_id for each in running):
            self._worked_at = time.monotonic()

    def worked_within(self, seconds: float) -> bool:
        """Tell whether its work was heard of lately."""
        return time.monotonic() - self._worked_at < seconds

    def watch(self) -> None:
        """Look as long as it works whether it has been quiet for long."""
        self._timers.set_once("quiet", QUIET_AFTER, self._is_it_quiet)

    def _is_it_quiet(self) -> None:
        kernel = self._tracker.get(self._id)
        if kernel is None or not kernel.requests:
            return
        if not self.worked_within(QUIET_AFTER):
            self.ask(kernel)
        self.watch()

    def consider(self, event: Event, running: tuple[Request, ...]) -> None:
        """Look at a status before it counts: does it leave older work of its shell behind?"""
        if isinstance(event, RequestEnded):
            self._taken_for_ended = [
                each for each in self._taken_for_ended if each.msg_id != event.request.msg_id
            ]
            left = any(each.msg_id != event.request.msg_id for each in running)
            self._doubtful = left and (self._doubtful or _overtook(event.request, running))
        elif isinstance(event, RequestBegan) and not running:
            self._doubtful = False

    def heard(self, msg_id: str | None, *, flood: bool) -> None:
        """Take in a message that is no status: a flood, or news of work that was over."""
        self._doubtful = self._doubtful or flood
        for request in self._taken_for_ended:
            if request.msg_id == msg_id:
                self._works_in_order = False
                self._taken_for_ended.remove(request)
                event = RequestBegan(self._generation, self._tracker.now(), request)
                self._tell(event)
                return

    def ask(self, kernel: Kernel) -> None:
        """Ask each shell that has been quiet at its work, if there is a reason to doubt."""
        if self._doubtful and self._works_in_order:
            for subshell in {each.subshell for each in kernel.requests}:
                self._ask_shell(kernel, subshell)

    def _ask_shell(self, kernel: Kernel, subshell: str) -> None:
        asked = tuple(each for each in kernel.requests if each.subshell == subshell)

        def answered() -> None:
            self._questions.pop(subshell).close()
            self._taken_for_ended = [*self._taken_for_ended, *asked][-REMEMBERED:]
            event = ShellAnswered(self._generation, self._tracker.now(), asked)
            self._tell(event)

        if subshell not in self._questions:
            question = Question(self._reader, self._wire, "shell", answered, subshell)
            self._questions[subshell] = question

    def close(self) -> None:
        """Ask no more."""
        self._timers.close()
        for question in self._questions.values():
            question.close()
        self._questions.clear()


def _overtook(ended: Request, running: tuple[Request, ...]) -> bool:
    """Tell whether an older request of the same shell is left behind."""
    same_shell = [each.msg_id for each in running if each.subshell == ended.subshell]
    return ended.msg_id in same_shell[1:]
