"""``jupyter kernel-status``: the command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import FrameType

from . import demo
from .server import DemoError

SUCCESS, ERROR, USAGE = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT

PROGRAM = "jupyter kernel-status"

EPILOG = """\
example:
  jupyter kernel-status demo    show a kernel's life on a server made for it

exit status: 0 success, 1 error, 2 usage
"""

ENDINGS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGHUP")]
"""Signals that end the command, in good order; not every platform has all."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments, those of the process by default.

    Returns:
        The exit status.
    """
    arguments = parser().parse_args(argv)
    try:
        _end_in_good_order()
        arguments.run()
    except DemoError as error:
        print(f"{PROGRAM} {arguments.command}: {error}", file=sys.stderr)
        return ERROR
    except KeyboardInterrupt:
        print(f"{PROGRAM} {arguments.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more (`| head`). Python's documentation, "Note on SIGPIPE": have the
        # interpreter's last flush succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    return SUCCESS


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line; bad usage ends the process with status 2."""
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="What a Jupyter kernel really does, and why it died.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shown = f"kernel_status_ext {version('kernel_status_ext')}"
    made.add_argument("--version", action="version", version=shown)
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    about = (
        "start a server and a real kernel, show each change of its life, end by itself; "
        "needs nothing running"
    )
    command = commands.add_parser("demo", help=about, description=f"{about.capitalize()}.")
    command.set_defaults(run=demo.run)
    return made


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
