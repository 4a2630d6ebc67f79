"""What can go wrong for somebody who starts a kernel or waits for its state.

LookupError
 └── RevisionUnknown
TimeoutError
 └── KernelStateTimeout
RuntimeError
 └── KernelNotOursError
Exception
 ├── KernelLaunchError
 └── KernelStateUnreachable
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Kernel
    from .targets import Target
    from .words import Cause


class KernelStateTimeout(TimeoutError):
    """The state did not come in time.

    Attributes:
        kernel: The kernel when the time was over.
        reason: The kernel's reason, ``""`` when nothing is wrong with it.
    """

    def __init__(self, kernel: Kernel, target: Target, waited: float) -> None:
        """Say which kernel, how it is, what was expected and what to do."""
        super().__init__(
            f"Kernel {kernel.id} is {kernel.status} ({kernel.execution_state}) after {waited:g} s, "
            f"expected {target}; wait again or look at its reason"
            + (f": {kernel.reason}" if kernel.reason else ".")
        )
        self.kernel = kernel
        self.reason = kernel.reason


class KernelStateUnreachable(Exception):
    """The state will not come: the kernel is dead or was removed.

    Attributes:
        kernel: The kernel as it was last.
        reason: Why it is dead, or who removed it.
    """

    def __init__(self, kernel: Kernel, target: Target, reason: str) -> None:
        """Say which kernel, how it is, what was expected and why it will not come."""
        super().__init__(
            f"Kernel {kernel.id} is {kernel.status}, it will not come to {target}: {reason}"
        )
        self.kernel = kernel
        self.reason = reason


class KernelLaunchError(Exception):
    """A kernel could not be launched.

    Attributes:
        cause: One of the causes of "never launched".
        sentence: The same for people, with the next step.
    """

    cause: Cause
    sentence: str


class KernelNotOursError(RuntimeError):
    """Somebody else started the kernel, so it cannot be restarted here."""


class RevisionUnknown(LookupError):
    """A ``since`` that this server never gave or does not remember any more."""

    def __init__(self, kernel: Kernel, since: int, oldest: int, newest: int) -> None:
        """Say which revisions can be asked for."""
        super().__init__(
            f"Revision {since} of kernel {kernel.id} is not known; this server remembers "
            f"{oldest} to {newest}: take a fresh one from its status."
        )
        self.kernel = kernel
