"""What runs outside the server: a client for programs and the command line.

Importing this package is cheap: the HTTP library is loaded with the first client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aio import AsyncKernelStatusClient
    from .errors import (
        AnswerNotUnderstood,
        BadRequest,
        ClientClosed,
        KernelNotFound,
        KernelStateTimeout,
        KernelStateUnreachable,
        KernelStatusError,
        NoExtension,
        NotAllowed,
        NotInterrupted,
        RevisionUnknown,
        RunNotFound,
        ServerUnreachable,
        TooManyWatchers,
    )
    from .results import (
        Change,
        Children,
        Event,
        Figures,
        History,
        Inspection,
        Io,
        Kernel,
        Moment,
        Removed,
        Session,
        Snapshot,
        Termination,
    )
    from .runs import (
        Clear,
        Display,
        Done,
        Failure,
        Interruption,
        Output,
        Run,
        RunEvent,
        RunResult,
        RunStarted,
        Stderr,
        Stdout,
        Truncated,
        Worker,
        Workers,
    )
    from .sync import KernelStatusClient

__all__ = [
    "AnswerNotUnderstood",
    "AsyncKernelStatusClient",
    "BadRequest",
    "Change",
    "Children",
    "Clear",
    "ClientClosed",
    "Display",
    "Done",
    "Event",
    "Failure",
    "Figures",
    "History",
    "Inspection",
    "Interruption",
    "Io",
    "Kernel",
    "KernelNotFound",
    "KernelStateTimeout",
    "KernelStateUnreachable",
    "KernelStatusClient",
    "KernelStatusError",
    "Moment",
    "NoExtension",
    "NotAllowed",
    "NotInterrupted",
    "Output",
    "Removed",
    "RevisionUnknown",
    "Run",
    "RunEvent",
    "RunNotFound",
    "RunResult",
    "RunStarted",
    "ServerUnreachable",
    "Session",
    "Snapshot",
    "Stderr",
    "Stdout",
    "Termination",
    "TooManyWatchers",
    "Truncated",
    "Worker",
    "Workers",
]

_HOMES = ("errors", "results", "runs", "sync", "aio")


def __getattr__(name: str) -> Any:
    """Load what is asked for, and no more than that."""
    if name in __all__:
        for home in _HOMES:
            module = import_module(f".{home}", __name__)
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List also what is not loaded yet."""
    return sorted({*globals(), *__all__})
