"""What all that follow processes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from logging import Logger

from ..core.model import Kernel
from ..core.routing import Bundle
from .iopub import Reader
from .ledger import Ledger
from .tracker import Tracker
from .vitals import Ward


@dataclass(frozen=True, slots=True)
class Senses:
    """What all followers of a server share.

    Attributes:
        tracker: Gets the events.
        ledger: Gets those about runs.
        bundles: Each makes readers for the messages of a kernel's process.
        reader: Reads the sockets.
        ward: Where the bodies of processes are looked after.
        log: For what is odd about a kernel.
    """

    tracker: Tracker
    ledger: Ledger
    bundles: tuple[Callable[[Kernel], Bundle], ...]
    reader: Reader
    ward: Ward
    log: Logger
