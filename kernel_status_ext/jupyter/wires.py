"""What the tracking needs of a kernel's manager to follow its process, taken from there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from ..core.messages import ID_LENGTH
from ..tracking.wire import Wire
from .charge import Charge
from .sockets import RECONNECT_PATIENTLY, connect


def make_wire(charge: Charge, now: Callable[[], datetime]) -> Wire:
    """Make the wire to the present process of a kernel.

    Args:
        charge: What is held for the kernel.
        now: Tells the time, in UTC.

    Returns:
        The wire.
    """
    manager = charge.manager
    mapping = manager.parent

    def on_activity() -> None:
        # jupyter_server 2.21, MappingKernelManager.start_watching_activity
        mapping.last_kernel_activity = manager.last_activity = now()

    def on_reply(protocol: str) -> None:
        charge.protocol = protocol[:ID_LENGTH]

    return Wire(
        kernel_id=charge.kernel_id,
        connect=partial(connect, manager),
        connect_patiently=partial(connect, manager, reconnect_every=RECONNECT_PATIENTLY),
        session=manager.session.clone(),
        process=charge.child,
        poll=manager.provisioner.poll if manager.provisioner else None,
        tracked=mapping.track_message_type,
        on_activity=on_activity,
        on_reply=on_reply,
    )
