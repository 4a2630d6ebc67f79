"""Joins Jupyter and the runs: by which way they go, for which session, and who records them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_core.utils import ensure_async

from ..core.model import Kernel
from ..core.routing import Routing
from ..core.run import Run
from ..tracking.desk import Desk
from ..tracking.errands import Errands
from ..tracking.history import History
from ..tracking.ledger import Ledger, Session
from ..tracking.run_reading import RunReading
from ..tracking.stragglers import Stragglers
from ..tracking.tracker import Tracker
from .charge import Charge, Settings


class Runs:
    """The runs of one server's kernels."""

    def __init__(
        self,
        tracker: Tracker,
        settings: Settings,
        charge_of: Callable[[str], Charge | None],
        log: Any,
    ) -> None:
        """Begin without any.

        Args:
            tracker: Knows the kernels.
            settings: The administrator's.
            charge_of: Gives what is held for a kernel id.
            log: The server's log.
        """
        self.mapping: Any = None
        """The server's manager of all kernels, once there is one."""
        self.sessions: Any = None
        """The server's session manager, once there is one."""
        self._tracker = tracker
        self._charge_of = charge_of
        self.ledger = Ledger(tracker, settings.recording, self._session_of, log)
        self.history = History(settings.history_path, settings.keep, log, tracker.now)
        self.ledger.listen(self._note)
        self.errands = Errands(tracker, self.ledger, self.desk_of, self._interrupt, log)
        self.stragglers = Stragglers(tracker, self.ledger, self.desk_of)

    def _note(self, run: Run) -> None:
        self.history.note(self.ledger.recording.of_run(run))

    def reading(self, kernel: Kernel) -> RunReading:
        """Make the readers for the runs of a process."""
        return RunReading(self._tracker, self.ledger, self.errands, kernel, self.instead)

    def desk_of(self, kernel_id: str) -> Desk | None:
        """Return our way to a kernel's present process, None if it has none that is here."""
        charge = self._charge_of(kernel_id)
        follower = charge.follower if charge is not None else None
        return None if follower is None or follower.closed else follower.desk

    def routing_of(self, kernel_id: str) -> Routing | None:
        """Return who reads what passes between clients and a kernel; None for one that is gone."""
        charge, kernel = self._charge_of(kernel_id), self._tracker.get(kernel_id)
        follower = charge.follower if charge is not None else None
        if follower is not None and not follower.closed:
            return follower.routing
        if kernel is None:
            return None
        # Between two processes: requests wait in zmq for the next one.
        between = Routing()
        between.register(self.reading(kernel))
        return between

    def instead(self) -> str | None:
        """Tell what stands in the place of tracebacks, None if they may be seen."""
        # jupyter_server 2.21, MappingKernelManager.allow_tracebacks
        if self.mapping is None or self.mapping.allow_tracebacks:
            return None
        replacement: str = self.mapping.traceback_replacement_message
        return replacement

    async def _interrupt(self, kernel_id: str) -> None:
        await ensure_async(self.mapping.interrupt_kernel(kernel_id))

    def _session_of(self, kernel_id: str) -> Session:
        """Look up which session a kernel works for; its own table is in memory."""
        # jupyter_server 2.21, SessionManager.cursor; get_session would make a kernel's model.
        cursor = getattr(self.sessions, "cursor", None)
        if cursor is None:
            return None, None
        query = "SELECT session_id, path FROM session WHERE kernel_id=?"
        row = cursor.execute(query, (kernel_id,)).fetchone()
        return (row[0], row[1]) if row else (None, None)

    def ended(self) -> None:
        """Note that all kernels are shut down: what is still under way is lost."""
        self.ledger.server_ended()
        self.stragglers.close()
        self.history.close()
