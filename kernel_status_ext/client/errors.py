"""The only place that says what can go wrong for somebody outside the server.

DemoError
KernelStatusError
 ├── KernelStateTimeout      (also the one of ``kernel_status_ext``, so a TimeoutError)
 ├── KernelStateUnreachable  (also the one of ``kernel_status_ext``)
 ├── RevisionUnknown         (also a LookupError)
 ├── KernelNotFound          (also a LookupError)
 ├── RunNotFound             (also a LookupError)
 ├── NotInterrupted
 ├── BadRequest              (also a ValueError)
 ├── NotAllowed
 ├── TooManyWatchers
 ├── ServerUnreachable       (also a ConnectionError)
 ├── ClientClosed            (also a RuntimeError)
 ├── NoExtension
 └── AnswerNotUnderstood
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import errors as core

if TYPE_CHECKING:
    from .results import Kernel


class KernelStatusError(Exception):
    """Something that was asked for was not had; the message says why, and what to do.

    Attributes:
        reason: The kernel's reason where there is one, else a word of the server's, else ``""``.
        kernel: The kernel as it was last, or None where nothing is known of it.
        status_code: The HTTP status of the answer, or None where none came.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        kernel: Kernel | None = None,
        status_code: int | None = None,
    ) -> None:
        """Say what was not had.

        Args:
            message: A sentence for people.
            reason: The kernel's reason, or a word.
            kernel: The kernel.
            status_code: The HTTP status.
        """
        # Not super(): the classes of the core make their own sentence of other arguments.
        Exception.__init__(self, message)
        self.reason = reason
        self.kernel = kernel
        self.status_code = status_code


class KernelStateTimeout(KernelStatusError, core.KernelStateTimeout):  # type: ignore[misc] # its kernel is ours
    """The state did not come in time; ``kernel`` is how the kernel was then."""


class KernelStateUnreachable(KernelStatusError, core.KernelStateUnreachable):  # type: ignore[misc] # the same
    """The state will not come: the kernel is dead or was removed; ``reason`` says why."""


class RevisionUnknown(KernelStatusError, core.RevisionUnknown):  # type: ignore[misc] # the same
    """A ``since`` that the server never gave or has forgotten: take that of ``kernel``."""


class KernelNotFound(KernelStatusError, LookupError):
    """The server does not know such a kernel (any more)."""


class RunNotFound(KernelStatusError, LookupError):
    """The server does not know such a run (any more)."""


class NotInterrupted(KernelStatusError):
    """A run that cannot be interrupted: it is queued, or over, or a signal would not reach it."""


class BadRequest(KernelStatusError, ValueError):
    """A word or a number that is none; the message lists what is allowed."""


class NotAllowed(KernelStatusError):
    """The server wants a token or a cookie, other ones, or more rights."""


class TooManyWatchers(KernelStatusError):
    """As many watch already as the server allows."""


class ServerUnreachable(KernelStatusError, ConnectionError):
    """No answer came, or only one of a proxy that has no server behind it."""


class ClientClosed(KernelStatusError, RuntimeError):
    """The client was closed before the answer came, or before it was asked."""


class NoExtension(KernelStatusError):
    """A server answers, and it has not loaded the extension."""


class AnswerNotUnderstood(KernelStatusError):
    """The server answered something that makes no sense here."""


class DemoError(Exception):
    """Something did not happen as promised; the message is a sentence for people."""
