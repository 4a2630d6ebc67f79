"""Reads what messages say of runs, wherever they pass: iopub, shell, stdin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..core.messages import RUN
from ..core.model import MAIN_SHELL, Kernel
from ..core.routing import Channel, Claim, Message, Reading
from ..core.run import (
    AskedForInput,
    CodePublished,
    FailurePublished,
    GotInput,
    Origin,
    RunAnswered,
)
from ..core.run_messages import (
    OUTPUTS,
    read_content,
    read_error,
    read_input,
    read_output,
    read_reply,
    read_request,
)
from .errands import TAKES_WORK, Errands
from .ledger import Ledger
from .tracker import Tracker


class RunReading:
    """The bundle of readers for the runs of one process."""

    def __init__(
        self,
        tracker: Tracker,
        ledger: Ledger,
        errands: Errands,
        kernel: Kernel,
        instead: Callable[[], str | None],
    ) -> None:
        """Begin.

        Args:
            tracker: Tells the time, and the kernel.
            ledger: Gets to know what is heard of runs.
            errands: The runs whose output is wanted.
            kernel: The kernel with its process.
            instead: Tells what stands in the place of tracebacks; None if they may be seen.
        """
        self._tracker = tracker
        self._ledger = ledger
        self._errands = errands
        self._id = kernel.id
        self._generation = kernel.generation
        self._instead = instead

    def claims(self) -> Mapping[Claim, Reading]:
        """Name what it reads."""
        return {
            (Channel.SHELL, RUN): self._requested,
            (Channel.SHELL, "execute_reply"): self._replied,
            (Channel.STDIN, "input_request"): self._asked,
            (Channel.STDIN, "input_reply"): self._told,
            (Channel.IOPUB, "execute_input"): self._published,
            (Channel.IOPUB, "error"): self._failed,
            **{(Channel.IOPUB, kind): self._put_out for kind in OUTPUTS},
        }

    # -- what passes by --------------------------------------------------------------------

    def _requested(self, message: Message) -> None:
        kernel, sender = self._tracker.get(self._id), message.sender
        run_id = message.header.msg_id or ""
        if kernel is None or sender is None:
            return
        code, silent = read_request(read_content(message.content))
        run = self._ledger.new(
            run_id,
            kernel,
            Origin.WEBSOCKET,
            code=self._ledger.recording.of(code),
            silent=silent,
            subshell=message.header.subshell_id or MAIN_SHELL,
            username=sender.username,
            queued_at=self._tracker.now(),
        )
        if not self._ledger.came(run, sender):
            return
        if kernel.status in TAKES_WORK:
            self._ledger.sent(self._id, run_id)
        else:
            # It waits in zmq, and the process that is to come will have it.
            self._ledger.waits(run)

    def _replied(self, message: Message) -> None:
        run_id = message.parent.msg_id or ""
        if not self._ledger.expects_reply(self._id, run_id, message.sender):
            return
        reply = read_reply(read_content(message.content), self._instead())
        errand = self._errands.get(self._id, run_id)
        if errand is not None and reply.error is not None:
            errand.failed_late(reply.error.traceback)
        failure = reply.error.failure if reply.error else None
        event = RunAnswered(
            self._generation, self._tracker.now(), reply.status, reply.execution_count, failure
        )
        self._ledger.feed(self._id, run_id, event)

    def _asked(self, message: Message) -> None:
        event = AskedForInput(self._generation, self._tracker.now())
        self._ledger.feed(self._id, message.parent.msg_id, event)

    def _told(self, message: Message) -> None:
        for run in self._ledger.active(self._id):
            if run.asks:
                self._ledger.feed(*run.key, GotInput(self._generation, self._tracker.now()))

    # -- what is published -----------------------------------------------------------------

    def _published(self, message: Message) -> None:
        run = self._ledger.get(self._id, message.parent.msg_id or "")
        if run is None or not message.is_genuine():
            return
        code, count = read_input(read_content(message.content))
        recorded = self._ledger.recording.of(code)
        event = CodePublished(self._generation, self._tracker.now(), recorded, count)
        self._ledger.feed(*run.key, event)

    def _failed(self, message: Message) -> None:
        run_id = message.parent.msg_id or ""
        if self._ledger.get(self._id, run_id) is None or not message.is_genuine():
            return
        error = read_error(read_content(message.content), self._instead())
        errand = self._errands.get(self._id, run_id)
        if errand is not None:
            errand.failed(error.traceback)
        event = FailurePublished(self._generation, self._tracker.now(), error.failure)
        self._ledger.feed(self._id, run_id, event)

    def _put_out(self, message: Message) -> None:
        errand = self._errands.get(self._id, message.parent.msg_id or "")
        kind = message.header.msg_type or ""
        # Before anything is made of it: a signature and a JSON of a gigabyte take seconds.
        if errand is None or errand.skips(kind, len(message.content)):
            return
        if message.is_genuine():
            errand.put(read_output(kind, message.content))
