"""The only place that says which calls about runs a client has whose caller waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .interrupting import Then
from .opening import Client
from .paths import Words
from .results import Inspection
from .run_calls import Detail, More, asked_for
from .runs import Interruption, OnEvent, Run, RunEvent, Workers
from .steps import Talk

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class Runs(Client):
    """The calls about runs of ``KernelStatusClient``."""

    def run(
        self,
        kernel_id: str,
        code: str,
        *,
        timeout: float | None = None,
        on_event: OnEvent | None = None,
        **more: Unpack[More],
    ) -> Run:
        """Run code and follow it to its end, through connections that break.

        Args:
            kernel_id: The kernel; one that is starting is waited for.
            code: The code.
            timeout: Seconds after its start at which the server interrupts it; None for no limit.
            on_event: Called with each event as it comes: ``RunStarted`` first, ``Done`` last. What
                it raises is raised here, and the run goes on without us.
            more: ``silent``, ``store_history``, ``stop_on_error``, ``subshell_id``, ``metadata`` of
                the request, and a ``run_id`` of one's own.

        Returns:
            The run when it was over, however it ended: look at its ``status``, ``error`` and
            ``reason``; its value is ``output``.

        Raises:
            KernelStateUnreachable: The kernel is dead or ends, so nothing was run.
            KernelNotFound: There is no such kernel.
            BadRequest: A field is none, or ``run_id`` is that of another kernel's run.
            NotAllowed: The token is wrong, or the server lets nobody run code.
            RunNotFound: The server was started anew meanwhile and knows nothing of the run.
            ServerUnreachable: The server could not be reached for longer than ``patience``.
        """
        talk = self._run_calls.run(kernel_id, asked_for(code, timeout, **more))
        return self._carry_on(talk, on_event)

    def submit(
        self, kernel_id: str, code: str, *, timeout: float | None = None, **more: Unpack[More]
    ) -> Run:
        """Have code run and wait for nothing; arguments and errors are those of ``run``.

        Returns:
            The run as it is now: follow it by its ``run_id``.
        """
        return self._carry_on(self._run_calls.submit(kernel_id, asked_for(code, timeout, **more)))

    def follow(self, run_id: str, *, on_event: OnEvent | None = None) -> Run:
        """Follow a run from its beginning to its end, whoever sent it.

        Args:
            run_id: The run.
            on_event: As in ``run``. Of a run whose output the server does not keep (those of
                others, and those long over) it hears ``RunStarted``, ``Truncated`` and ``Done``.

        Returns:
            The run when it was over.

        Raises:
            RunNotFound: There is no such run.
            ServerUnreachable: The server could not be reached for longer than ``patience``.
        """
        return self._carry_on(self._run_calls.follow(run_id), on_event)

    def run_status(self, run_id: str) -> Run:
        """Return all that is known of a run now."""
        return self._carry_on(self._run_calls.status(run_id))

    def runs(
        self,
        kernel_id: str | None = None,
        *,
        status: Words = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[Run]:
        """Return runs, the newest first.

        Args:
            kernel_id: The kernel, also one that was removed; None for all.
            status: Any of these, as a comma list or several words; None for any.
            limit: How many at most, up to 500; None for 50.
            before: Only those that are older than this run, given by its id.

        Returns:
            The runs.
        """
        return self._carry_on(self._run_calls.runs(kernel_id, status, limit, before))

    def workers(self) -> Workers:
        """Return what all kernels work at now."""
        return self._carry_on(self._run_calls.workers())

    def inspect_run(self, run_id: str, *, detail: Detail = None) -> Inspection:
        """Return live figures of the process that works at a run; see ``inspect``."""
        return self._carry_on(self._run_calls.inspect(run_id, detail))

    def interrupt(
        self, run_id: str, *, grace: float | None = None, then: Then = None
    ) -> Interruption:
        """Interrupt a run, and never another one.

        Args:
            run_id: The run.
            grace: Seconds to wait for its end; None to wait for nothing, 5 if ``then`` is given.
            then: What to do to its kernel if it has not ended by then: ``"restart"`` or
                ``"shutdown"``; None for nothing.

        Returns:
            The run as it was then, and what was done.

        Raises:
            NotInterrupted: Its kernel does not work at it (it is queued, or over), or no signal
                would reach it.
            RunNotFound: There is no such run.
            KernelStateUnreachable: Its kernel was to be restarted, and is dead.
        """
        return self._carry_on(self._run_calls.interrupt(run_id, grace, then))

    def _carry_on(self, talk: Talk[T], tell: Callable[[RunEvent], object] | None = None) -> T:
        """Carry on a conversation to its end."""
        raise NotImplementedError
