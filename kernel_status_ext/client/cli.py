"""The only place that knows the exit codes of ``jupyter kernel-status``, and its signals."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from types import FrameType

from . import swift  # noqa: F401 - first: it spares us what the others would load
from .address import BadAddress
from .arguments import PROGRAM, parser
from .choose import Ambiguous, Nothing
from .errors import (
    BadRequest,
    DemoError,
    KernelStateTimeout,
    KernelStateUnreachable,
    KernelStatusError,
    ServerUnreachable,
)
from .harmless import harmless
from .outcomes import Outcome, RunDied, RunGoesOn, RunOverTime
from .running import NoServer

SUCCESS, ERROR, USAGE, DEAD, TIMEOUT = 0, 1, 2, 3, 4
INTERRUPTED = 128 + signal.SIGINT

EXITS: tuple[tuple[type[Exception], int], ...] = (
    (KernelStateTimeout, TIMEOUT),
    (RunOverTime, TIMEOUT),
    (RunGoesOn, TIMEOUT),
    (RunDied, DEAD),
    (KernelStateUnreachable, DEAD),
    (ServerUnreachable, DEAD),
    (NoServer, DEAD),
    (BadRequest, USAGE),
    (Ambiguous, USAGE),
    (Nothing, USAGE),
    (BadAddress, USAGE),
    (KernelStatusError, ERROR),
    (DemoError, ERROR),
    (Outcome, ERROR),
)
"""The exit status of what can go wrong; the first that fits."""

TOLD = (KernelStatusError, NoServer, Ambiguous, Nothing, BadAddress, DemoError, Outcome)

ENDINGS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGHUP")]
"""Signals that end the command, in good order; not every platform has all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments, those of the process by default.

    Returns:
        The exit status.
    """
    arguments = parser(_demo).parse_args(argv)
    try:
        _end_in_good_order()
        arguments.run(arguments)
    except TOLD as error:
        _say(arguments.command, _told(error))
        return next(code for kind, code in EXITS if isinstance(error, kind))
    except KeyboardInterrupt:
        _say(arguments.command, "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more (`| head`). Python's documentation, "Note on SIGPIPE": have the
        # interpreter's last flush succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    return SUCCESS


def _demo(_given: Namespace) -> None:
    from . import demo  # noqa: PLC0415 - no other command needs it

    demo.run()


def _told(error: Exception) -> str:
    """Say what went wrong, and why the kernel is as it is where the server's sentence does not."""
    reason = error.reason if isinstance(error, KernelStateUnreachable) else ""
    return str(error) if reason in str(error) else f"{error} {reason}"


def _say(command: str, message: str) -> None:
    if not message:
        return
    shown = "\n".join(harmless(line) for line in message.splitlines())
    print(f"{PROGRAM} {command}: {shown}", file=sys.stderr)


def _end_in_good_order() -> None:
    """Have the signals that end this process raise, so that everything that was begun is undone."""
    for each in ENDINGS:
        # What is ignored stays so: nohup, and jobs in the background of a script.
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: what follows is cleaning up, which ends by itself.
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
