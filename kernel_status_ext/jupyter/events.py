"""The only place that tells Jupyter's event bus what becomes of kernels."""

from __future__ import annotations

from collections.abc import Iterator
from logging import Logger
from pathlib import Path

from jupyter_events import EventLogger

from .. import views
from ..core.model import Terminated
from ..tracking.tracker import Change

STATUS = "https://events.jupyter.org/kernel_status_ext/kernel_status/v1"
TERMINATION = "https://events.jupyter.org/kernel_status_ext/kernel_termination/v1"

FOLDER = Path(__file__).parent / "event_schemas"

SCHEMAS = {
    STATUS: FOLDER / "kernel_status_v1.yaml",
    TERMINATION: FOLDER / "kernel_termination_v1.yaml",
}
"""The published schema of each kind of event."""

Told = tuple[str, views.JSON]
"""The id of a schema, and data that it describes."""


class Events:
    """One per server."""

    def __init__(self, bus: EventLogger, log: Logger) -> None:
        """Register the schemas, so that whoever subscribes from now on gets their events.

        Args:
            bus: The server's.
            log: The server's log.
        """
        self._bus = bus
        self._log = log
        self._failures: set[tuple[str, type[Exception]]] = set()
        for schema_id, path in SCHEMAS.items():
            if schema_id not in bus.schemas:
                bus.register_event_schema(path)

    def changed(self, change: Change) -> None:
        """Emit what follows from a change; for the tracker's ``listen``."""
        for schema_id, data in told(change):
            self._emit(schema_id, data)

    def _emit(self, schema_id: str, data: views.JSON) -> None:
        try:
            self._bus.emit(schema_id=schema_id, data=data)
        except Exception as error:  # noqa: BLE001
            # A boundary: whatever validators, modifiers and handlers raise, what comes is emitted.
            self._note(schema_id, data, error)

    def _note(self, schema_id: str, data: views.JSON, error: Exception) -> None:
        kind = (schema_id, type(error))
        if kind in self._failures:
            return
        self._failures.add(kind)
        self._log.error(
            "Kernel %s is %s, and the event %s could not be emitted: look for an extension that "
            "changes or handles it. Further failures of this kind are not logged.",
            data["kernel_id"],
            data["status"],
            schema_id,
            exc_info=error,
        )


def told(change: Change) -> Iterator[Told]:
    """Give the events that a change makes, in their order.

    Args:
        change: What the tracker tells.

    Yields:
        The id of the schema and the data: terminations first, then the new status if it is one.
    """
    kernel, before = change.after, change.before
    if kernel is None:
        return
    for notice in change.notices:
        if isinstance(notice, Terminated):
            yield TERMINATION, views.termination_event(kernel, notice.termination)
    if before is None or before.status is not kernel.status:
        yield STATUS, views.status_event(kernel)
