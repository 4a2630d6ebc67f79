"""The only place that says what can be typed after ``jupyter kernel-status``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from ..core.words import ExecutionState, State, Status, Word
from . import commands

PROGRAM = "jupyter kernel-status"

EXIT_STATUS = """\
exit status: 0 success, 1 error, 2 usage, 3 the kernel is dead or no server can be reached,
4 the time is over
"""

EPILOG = f"""\
examples:
  jupyter kernel-status list    all kernels of all servers of yours
  jupyter kernel-status wait --path analysis.ipynb --state idle && notify-send done
  jupyter kernel-status demo    show a kernel's life on a server made for it

{EXIT_STATUS}"""

Run = Callable[[argparse.Namespace], None]


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        about: What it does, for the list of commands.
        run: Does it.
        examples: How it is called, and what for.
        options: Names of the groups of options that it takes, besides its own.
    """

    about: str
    run: Run
    examples: tuple[tuple[str, str], ...]
    options: tuple[str, ...] = ("json", "server")


COMMANDS = {
    "list": Command(
        "list all kernels of all servers of yours",
        commands.show_all,
        (("list", "a table"), ("list --json | jq '.[].id'", "for programs")),
    ),
    "show": Command(
        "show all that is known of a kernel, and why its last process ended",
        commands.show,
        (("show 3f2a", "by the beginning of its id"), ("show --path analysis.ipynb", "")),
        ("kernel", "json", "server"),
    ),
    "wait": Command(
        "wait until a kernel is in a state",
        commands.wait,
        (
            ("wait --path analysis.ipynb --state idle && notify-send done", ""),
            ("wait 3f2a --status connected --timeout 30", "exit status 4 after 30 s"),
            ("wait 3f2a --status dead,unresponsive", "one or the other"),
        ),
        ("kernel", "wait", "json", "server"),
    ),
    "watch": Command(
        "show each change as it comes, of one kernel or of all",
        commands.watch,
        (("watch", "all kernels"), ("watch 3f2a --figures 5", "and its memory every 5 s")),
        ("kernel", "figures", "json", "server"),
    ),
    "history": Command(
        "show a kernel's changes, and the ends of its processes",
        commands.history,
        (("history 3f2a", ""), ("history --name python3 --json", "")),
        ("kernel", "json", "server"),
    ),
    "inspect": Command(
        "show live figures of the process of one kernel or of all",
        commands.inspect,
        (("inspect", "all kernels"), ("inspect 3f2a --detail full", "")),
        ("kernel", "detail", "json", "server"),
    ),
}


def parser(demo: Run) -> argparse.ArgumentParser:
    """Make the parser of the command line; bad usage ends the process with status 2.

    Args:
        demo: Runs the demo.
    """
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="What a Jupyter kernel really does, and why it died.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shown = f"kernel_status_ext {version('kernel_status_ext')}"
    made.add_argument("--version", action="version", version=shown)
    added = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    about = (
        "start a server and a real kernel, show each change of its life, end by itself; "
        "needs nothing running"
    )
    show = Command(about, demo, (("demo", ""),), ())
    for name, command in {**COMMANDS, "demo": show}.items():
        one = added.add_parser(
            name,
            help=command.about,
            description=f"{command.about.capitalize()}.",
            epilog=_epilog(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(run=command.run)
        for group in command.options:
            _OPTIONS[group](one)
    return made


def _epilog(command: Command) -> str:
    told = [f"  {PROGRAM} {call}".ljust(60) + f"  {what}" for call, what in command.examples]
    return "\n".join(["examples:", *(each.rstrip() for each in told), "", EXIT_STATUS])


def _server(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("which server (all that run on this machine, if not given)")
    told = "its address, as http://host:8888/; else JUPYTER_SERVER_URL"
    group.add_argument("--url", help=told)
    told = "its token; else that of the running server with this address, or JUPYTER_TOKEN"
    group.add_argument("--token", help=told)


def _kernel(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("which kernel")
    group.add_argument("kernel", nargs="?", metavar="ID", help="its id, or how that begins")
    group.add_argument("--path", help="the path of its notebook, or the last parts of it")
    group.add_argument("--name", help="the name of its kernelspec or of its session")


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="write JSON, for programs")


def _wait(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what for (--status connected, if not given)")
    kinds: dict[str, type[Word]] = {
        "--status": Status,
        "--execution-state": ExecutionState,
        "--state": State,
    }
    for name, kind in kinds.items():
        told = f"any of these, with commas between: {', '.join(each.value for each in kind)}"
        group.add_argument(name, type=_words(kind), metavar="WORD", help=told)
    told = "seconds; for ever, if not given; 0 looks once"
    group.add_argument("--timeout", type=_seconds, metavar="N", help=told)
    told = "the revision after which the state must come true; if not given, it may hold already"
    group.add_argument("--since", type=_revision, metavar="REV", help=told)


def _figures(command: argparse.ArgumentParser) -> None:
    told = "also live figures, every so many seconds, 2 at least"
    command.add_argument("--figures", type=_seconds, metavar="S", help=told)


def _detail(command: argparse.ArgumentParser) -> None:
    told = "full: also what takes longer, as the memory that is shared with nobody"
    command.add_argument("--detail", choices=["full"], help=told)


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "server": _server,
    "kernel": _kernel,
    "json": _json,
    "wait": _wait,
    "figures": _figures,
    "detail": _detail,
}


def _words(kind: type[Word]) -> Callable[[str], str]:
    allowed = [each.value for each in kind]

    def read(text: str) -> str:
        words = [each.strip() for each in text.split(",")]
        unknown = ", ".join(repr(each) for each in words if each not in allowed)
        if unknown:
            told = f"{unknown} is none; allowed are {', '.join(allowed)}"
            raise argparse.ArgumentTypeError(told)
        return ",".join(words)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is none; allowed are seconds, 0 or more")
    return seconds


def _revision(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is none; allowed is a whole number, 0 or more")
    return int(text)
