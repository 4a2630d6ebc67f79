"""The only place that says what can be typed after ``jupyter kernel-status``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ..core.words import ExecutionState, RunStatus, State, Status, Word
from . import commands, run_commands

PROGRAM = "jupyter kernel-status"

EXIT_STATUS = """\
exit status: 0 success, 1 error, 2 usage, 3 the kernel is dead or no server can be reached,
4 the time is over
"""

EPILOG = f"""\
examples:
  jupyter kernel-status list    all kernels of all servers of yours
  jupyter kernel-status wait --path analysis.ipynb --state idle && notify-send done
  jupyter kernel-status run 3f2a 'print(6 * 7)'
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
    "run": Command(
        "run code in a kernel, show what it puts out, and end as it ends",
        run_commands.run,
        (
            ("run 3f2a 'print(1 + 1)'", ""),
            ("run --path analysis.ipynb --file job.py --timeout 600", "exit status 4 after 600 s"),
            ("run 3f2a - < job.py", "code from stdin"),
            ("run 3f2a 'fit()' --detach", "only start it; writes the run's id"),
        ),
        ("kernel", "code", "json", "server"),
    ),
    "runs": Command(
        "list what kernels ran and run, the newest first",
        run_commands.runs,
        (
            ("runs", "all kernels"),
            ("runs 3f2a --status error,died --limit 10", ""),
            ("runs --json | jq '.runs[].code'", "for programs"),
        ),
        ("kernel", "runs", "json", "server"),
    ),
    "interrupt": Command(
        "interrupt a run, and never another one",
        run_commands.interrupt,
        (
            ("interrupt 8c1f", "by the beginning of its id"),
            ("interrupt 8c1f --grace 10", "exit status 4 if it has not ended by then"),
            ("interrupt 8c1f --grace 10 --then restart", "restart its kernel then"),
        ),
        ("interrupt", "json", "server"),
    ),
    "workers": Command(
        "list what kernels work at now, and what that takes",
        run_commands.workers,
        (("workers", "a table"), ("workers --json | jq .count", "for programs")),
    ),
}


class Intermixed(argparse.ArgumentParser):
    """A parser that lets options stand between words that may be left out."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse so: the usual way gives all such words what stands before the first option."""
        if self._is_inside:  # Python 3.11, parse_known_intermixed_args: it calls this one
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False


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
    added = made.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Intermixed
    )
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


def _code(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("what")
    group.add_argument("code", nargs="?", metavar="CODE", help="the code; - reads it from stdin")
    group.add_argument("--file", metavar="F", help="a file with the code; - is stdin")
    told = "seconds after its start at which the server interrupts it; no limit, if not given"
    group.add_argument("--timeout", type=_seconds, metavar="S", help=told)
    told = "do not wait for its end; write its id, as soon as the server has it"
    group.add_argument("--detach", action="store_true", help=told)


def _runs(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("which runs")
    told = f"any of these, with commas between: {', '.join(each.value for each in RunStatus)}"
    group.add_argument("--status", type=_words(RunStatus), metavar="WORD", help=told)
    told = "so many at most, up to 500; 50, if not given"
    group.add_argument("--limit", type=_revision, metavar="N", help=told)
    told = "only those that are older than this one, given by its whole id"
    group.add_argument("--before", metavar="RUN", help=told)


def _interrupt(command: argparse.ArgumentParser) -> None:
    command.add_argument("run_id", metavar="RUN", help="its id, or how that begins")
    told = "seconds to wait for its end; 5 with --then, else not at all, if not given"
    command.add_argument("--grace", type=_seconds, metavar="S", help=told)
    told = "what to do to its kernel if it has not ended by then"
    command.add_argument("--then", choices=["restart", "shutdown"], help=told)


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
    "code": _code,
    "runs": _runs,
    "interrupt": _interrupt,
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
