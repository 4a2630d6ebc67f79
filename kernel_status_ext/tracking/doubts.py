"""Heals what a lost idle leaves behind: a kernel that would be busy for ever.

A status can be lost where output floods, and then only there. So there must be a reason to doubt
before a kernel is asked: a flood since the work began, or a later request of the same shell that
has ended already. Then the shell is sent one ``kernel_info_request``: a shell that works in order
answers it after everything that came before. One that does not work in order gives itself away,
for its work is heard of again, and is never believed so again.
"""

from __future__ import annotations

from ..core.model import Event, Kernel, Request, RequestBegan, RequestEnded, ShellAnswered
from .iopub import Reader
from .probe import Question
from .tracker import Tracker
from .wire import Wire

REMEMBERED = 32
"""Requests remembered that were taken for ended, to notice if they are heard of again."""


class Doubts:
    """Whether the work of one process that does not end has ended."""

    def __init__(self, tracker: Tracker, kernel: Kernel, wire: Wire, reader: Reader) -> None:
        """Begin without doubts.

        Args:
            tracker: Gets to know what has ended.
            kernel: The kernel with its process.
            wire: How the process is asked.
            reader: Reads its answers.
        """
        self._tracker = tracker
        self._id = kernel.id
        self._generation = kernel.generation
        self._wire = wire
        self._reader = reader
        self._doubtful = False
        self._works_in_order = True
        self._taken_for_ended: list[Request] = []
        self._questions: dict[str, Question] = {}

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
                self._tracker.feed(self._id, event)
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
            self._tracker.feed(self._id, event)

        if subshell not in self._questions:
            question = Question(self._reader, self._wire, "shell", answered, subshell)
            self._questions[subshell] = question

    def close(self) -> None:
        """Ask no more."""
        for question in self._questions.values():
            question.close()
        self._questions.clear()


def _overtook(ended: Request, running: tuple[Request, ...]) -> bool:
    """Tell whether an older request of the same shell is left behind."""
    same_shell = [each.msg_id for each in running if each.subshell == ended.subshell]
    return ended.msg_id in same_shell[1:]
