"""The command line and its demo, as a user runs them: in a process of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from support.server import PATIENCE, eventually

from kernel_status_ext.client import memory_group as memory_groups
from kernel_status_ext.client.acts import NO_MODULE
from kernel_status_ext.client.lines import Lines, local_time, wants_colour
from kernel_status_ext.client.memory_group import LIMIT, MemoryGroup, memory_group
from kernel_status_ext.client.server import DemoError

# One run of the demo serves most tests here: keep them in one process.
pytestmark = pytest.mark.xdist_group("demo")

MARK = "KERNEL_STATUS_TEST_DEMO"
CLI = ("-m", "kernel_status_ext.client.cli")
CHANGE = re.compile(
    r"^ +(?P<time>\d\d:\d\d:\d\d\.\d{3})  "
    r"(?P<status>[a-z]+) +(?P<execution>[a-z]+) +(?P<state>[a-z]+)$",
    re.MULTILINE,
)
# A job in the background ignores Ctrl-C, one of `nohup` a hangup, and so do their tests: undo that.
HEARING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
)
SETUP = (
    "import contextlib, sys; from kernel_status_ext.client import acts, cli, demo, server, stage"
)
MAIN = f"{SETUP}; sys.exit(cli.main(['demo']))"
NO_GROUP = "demo.memory_group = contextlib.nullcontext"
"""What makes the demo believe that no memory group can be made here."""
ONLY_MEMORY = "all_acts = acts.acts; demo.acts = lambda group: all_acts(group)[5:6]"
"""What leaves out the acts before and after."""

A_LIFE = [
    ("starting", "starting", "stopped"),
    ("connecting", "starting", "stopped"),
    ("connected", "idle", "idle"),
    ("connected", "busy", "running"),
    ("connected", "idle", "idle"),
    ("connected", "busy", "running"),
    ("autorestarting", "starting", "stopped"),
    ("connected", "idle", "idle"),
    ("restarting", "starting", "stopped"),
    ("connected", "idle", "idle"),
    ("terminating", "idle", "stopped"),
    ("dead", "dead", "stopped"),
]
A_SHORTAGE = [
    ("starting", "starting", "stopped"),
    ("connecting", "starting", "stopped"),
    ("connected", "idle", "idle"),
    ("connected", "busy", "running"),
    ("autorestarting", "starting", "stopped"),
    ("connected", "idle", "idle"),
]
A_FAILED_START = [
    ("starting", "starting", "stopped"),
    ("connecting", "starting", "stopped"),
    ("dead", "dead", "stopped"),
]


class Place:
    """Where a demo runs: a home and a temporary folder of its own, and a mark on its processes."""

    def __init__(self, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.home, self.tmp, self.config = (folder / name for name in ("home", "tmp", "config"))
        for each in (self.home, self.tmp, self.config):
            each.mkdir()

    def env(self, **more: object) -> dict[str, str]:
        """The environment of a demo here."""
        own = {"HOME": self.home, "TMPDIR": self.tmp, MARK: self.mark}
        foreign = ("JUPYTER", "COLUMNS", "NO_COLOR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | {name: str(value) for name, value in (own | more).items()}

    def start(self, *args: str, **env: object) -> subprocess.Popen[str]:
        """Start Python with these arguments."""
        return subprocess.Popen(
            [sys.executable, *args],
            env=self.env(**env),
            cwd=self.home,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def processes(self) -> list[psutil.Process]:
        """All living processes that were started here."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def is_clean(self) -> bool:
        """Whether nothing is left: no process, no file."""
        files = [*self.tmp.iterdir(), *self.home.iterdir()]
        return not self.processes() and not files


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place for one demo; what it should leave behind is ended."""
    place = Place(tmp_path)
    yield place
    for process in place.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()


def spoiled(*changes: str) -> str:
    """A program that runs the demo after these changes to it."""
    setup, run = MAIN.rsplit("; ", 1)
    return "\n".join([setup, *changes, run])


def groups_of(nest: Path | None, process: subprocess.Popen[str]) -> list[Path]:
    """The memory groups that this demo has made."""
    return list(nest.glob(f"kernel-status-demo-{process.pid}-*")) if nest else []


@pytest.fixture(scope="module")
def nest() -> Path | None:
    """Where a demo makes its memory group; None where this machine lets it make none."""
    with memory_group() as group:
        return group and group.folder.parent


@pytest.fixture
def real_nest(nest: Path | None) -> Path:
    """The same, or no test."""
    return nest or pytest.skip("no writable memory cgroup")


class Shown:
    """What a demo that ran to its end has left."""

    def __init__(self, place: Place, nest: Path | None, *args: str) -> None:
        # The configuration of a user whose servers do not even start: none of the demo's business.
        (place.config / "jupyter_server_config.json").write_text(
            json.dumps({"ServerApp": {"kernel_manager_class": "nobody.has.This"}})
        )
        process = place.start(*args, JUPYTER_CONFIG_DIR=place.config, HTTP_PROXY="http://[::1]:1")
        self.out, self.err = process.communicate(timeout=100)
        self.returncode = process.returncode
        self.left = place.processes() or groups_of(nest, process)
        self.files = [each.name for folder in (place.tmp, place.home) for each in folder.rglob("*")]

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """Each change it has shown."""
        return [each.group("status", "execution", "state") for each in CHANGE.finditer(self.out)]

    def below(self, status: str, nth: int = 0) -> str:
        """The line below the n-th change to a status."""
        ends = [each.end() for each in CHANGE.finditer(self.out) if each["status"] == status]
        return self.out[ends[nth] :].splitlines()[1].strip()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, nest: Path | None) -> Shown:
    """The demo, run once."""
    return Shown(Place(tmp_path_factory.mktemp("demo")), nest, *CLI, "demo")


@pytest.fixture(scope="module")
def shown_without(tmp_path_factory: pytest.TempPathFactory, nest: Path | None) -> Shown:
    """The demo as most machines show it: no memory group can be made there."""
    return Shown(Place(tmp_path_factory.mktemp("demo")), nest, "-c", spoiled(NO_GROUP))


def test_the_demo_succeeds(shown: Shown) -> None:
    """It ends by itself, with success and without a complaint."""
    assert (shown.returncode, shown.err) == (0, ""), shown.out + shown.err


def test_it_shows_each_change(shown: Shown, nest: Path | None) -> None:
    """A whole life, no change left out, none twice, a lack of memory, a start that fails."""
    assert shown.changes == A_LIFE + (A_SHORTAGE if nest else A_FAILED_START) + A_FAILED_START


def test_changes_come_in_order_of_time(shown: Shown) -> None:
    """Each line carries the time of its change (the clock may pass midnight once)."""
    times = [each["time"] for each in CHANGE.finditer(shown.out)]
    assert sum(later < earlier for earlier, later in pairwise(times)) <= 1


def test_it_says_why_the_kernel_died(shown: Shown) -> None:
    """The reason of the restart names the signal; both processes are told apart."""
    assert "SIGKILL" in shown.below("autorestarting")
    assert re.search(r"> kill -KILL (\d+)\n", shown.out)[1] in shown.out.split("(generation 0)")[0]
    assert "(generation 0) ended by SIGKILL, cause Killed" in shown.out
    assert "(generation 1) is its successor, restart_count 1" in shown.out


def test_a_requested_restart_is_no_crash(shown: Shown) -> None:
    """It makes a generation, but does not count as an automatic restart."""
    assert "Generation 2; restart_count is still 1" in shown.out


def test_who_waits_for_a_removed_kernel_is_told(shown: Shown) -> None:
    """The waiter gets 409 with the reason of the shutdown."""
    told = shown.out.split("answered 409 with the reason:\n")[1].splitlines()[0].strip()
    assert told == shown.below("dead")
    assert "shut down" in told


def test_it_names_a_missing_executable(shown: Shown) -> None:
    """The answer of POST is no "Unhandled error" but names the command."""
    line = next(each for each in shown.out.splitlines() if "Answered" in each)
    assert "/nowhere/python" in line
    assert "not found" in line
    assert "Unhandled" not in shown.out


def test_it_names_an_exit_code(shown: Shown) -> None:
    """A kernel that exits at once is dead with its exit code, and stays listed."""
    assert "code 3" in shown.below("dead", -1)
    assert "It stays listed" in shown.out


@pytest.mark.usefixtures("real_nest")
def test_it_shows_a_lack_of_memory(shown: Shown) -> None:
    """The reason tells of the memory group's kill, the remark what was held and what to do."""
    reason = shown.below("autorestarting", 1)
    assert "its memory group counted an out-of-memory kill; it held " in reason
    told = re.search(r"cause OOMKilled, peak_memory (\d+)\. What to do: (.*)\.\n", shown.out)
    # Pages that it shares with others may be counted for those.
    assert 0.8 * LIMIT < int(told[1]) < 1.5 * LIMIT
    assert "300.0 MiB" in told[2]
    assert NO_MODULE not in shown.out


def test_else_it_shows_a_missing_module(shown_without: Shown) -> None:
    """Where there can be no memory group a module is missing: which one, and in which Python."""
    assert (shown_without.returncode, shown_without.err) == (0, ""), shown_without.out
    assert shown_without.changes == A_LIFE + A_FAILED_START + A_FAILED_START
    reason = shown_without.below("dead", 1)
    assert f": {sys.executable} has no module named '{NO_MODULE}' (" in reason
    assert "For programs: cause ModuleNotFound.\n" in shown_without.out
    assert "out-of-memory kill;" not in shown_without.out


def test_it_leaves_nothing_behind(shown: Shown) -> None:
    """No process, no memory group, no file in the temporary folder, none in the user's home."""
    assert (shown.left, shown.files) == ([], [])


def test_a_file_gets_no_colours(shown: Shown) -> None:
    """Escape sequences are for terminals."""
    assert "\033" not in shown.out


def run_until(process: subprocess.Popen[str], word: str) -> str:
    """Read what it shows up to the first line with this word, and return that line."""
    return next(line for line in process.stdout if word in line)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_cleans_up(place: Place, how: signal.Signals) -> None:
    """Ctrl-C, a polite kill and a closed terminal end it early, with 130, and nothing is left."""
    process = place.start("-c", HEARING + MAIN)
    run_until(process, "busy")
    assert place.processes()
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "jupyter kernel-status demo: interrupted\n"
    assert place.is_clean()


def test_impatience_leaves_nothing(place: Place) -> None:
    """Pressing Ctrl-C again and again does not disturb the cleaning up."""
    process = place.start("-c", HEARING + MAIN)
    run_until(process, "connected")
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    process.communicate()
    assert process.returncode == 130
    assert place.is_clean()


def test_an_interrupted_shortage_cleans_up(place: Place, real_nest: Path) -> None:
    """Ctrl-C while a kernel is in the memory group removes the group, too."""
    process = place.start("-c", HEARING + spoiled(ONLY_MEMORY))
    run_until(process, "It may hold")
    assert groups_of(real_nest, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "jupyter kernel-status demo: interrupted\n")
    assert groups_of(real_nest, process) == []
    assert place.is_clean()


def test_nobody_reads(place: Place) -> None:
    """`demo | head -1`: it ends without a traceback, and nothing is left."""
    process = place.start(*CLI, "demo")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1
    assert place.is_clean()


def test_the_server_goes_away(place: Place) -> None:
    """A server that is killed meanwhile gives a sentence and exit status 1, not a traceback."""
    process = place.start(*CLI, "demo")
    run_until(process, "busy")
    servers = [each for each in place.processes() if "jupyter_server" in " ".join(each.cmdline())]
    servers[0].kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The temporary server does not answer any more" in err
    assert "Traceback" not in err
    eventually(place.is_clean, what="its kernel misses its parent and ends")


def test_the_server_goes_away_with_a_kernel_in_the_group(place: Place, real_nest: Path) -> None:
    """Its kernel, which nobody ends any more, is ended with the memory group."""
    process = place.start("-c", spoiled(ONLY_MEMORY, "acts.TOO_MUCH = acts.LONG_CELL"))
    run_until(process, "busy")
    servers = [each for each in place.processes() if "jupyter_server" in " ".join(each.cmdline())]
    servers[0].kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert groups_of(real_nest, process) == []
    assert place.is_clean()


BROKEN_PROMISES = [
    ("sys.modules['ipykernel'] = None", "pip install ipykernel"),
    ("server.EXTENSIONS['kernel_status_ext'] = False", "Waited in vain for status connected"),
    ("server.EXTENSIONS = 3", "ended at once with exit code 1"),
    ("stage.PATIENCE = 0", "Waited in vain for status"),
    ("acts.SHORT_CELL += '; import os; os._exit(9)'", "died while it ran a harmless cell"),
    ("acts.signal.SIGKILL = acts.signal.SIGTERM", "cause is Terminated"),
    (f"{ONLY_MEMORY}; {NO_GROUP}; acts.NO_MODULE = 'json'", "the cause of its end is StartFailed"),
]


@pytest.mark.parametrize(("change", "says"), BROKEN_PROMISES)
def test_a_broken_promise_is_told(place: Place, change: str, says: str) -> None:
    """What is missing or does not happen is named in a sentence, with exit status 1."""
    is_told(place, change, says)


@pytest.mark.usefixtures("real_nest")
def test_a_broken_promise_of_memory_is_told(place: Place) -> None:
    """A kernel in the memory group that dies of something else does not count as out of memory."""
    killed = "acts.TOO_MUCH = 'import os; os.kill(os.getpid(), 9)'"
    is_told(place, f"{ONLY_MEMORY}; {killed}", "the cause of its end is Killed")


def is_told(place: Place, change: str, says: str) -> None:
    """Check that the demo, changed so, ends with this in a sentence."""
    process = place.start("-c", spoiled(change))
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1, err
    assert err.startswith("jupyter kernel-status demo: ")
    told, _, _log = err.partition("The end of the server's log:\n")
    assert says in told
    assert len(told.splitlines()) == 1
    eventually(place.is_clean, what="a kernel that was just being started ends, too")


# -- the memory group ------------------------------------------------------------------------


def a_machine(monkeypatch: pytest.MonkeyPatch, mount: Path, inner: str) -> None:
    """Have the machine's groups below this folder, and this process in one of them."""
    monkeypatch.setattr(memory_groups, "_memberships", lambda: [(mount, inner)])
    own = mount / inner.strip("/")
    own.mkdir(parents=True)
    for folder in (mount, own):
        (folder / "cgroup.procs").touch()


def test_no_limit_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a child can be made that cannot be limited there is no group, and no child is left."""
    a_machine(monkeypatch, tmp_path, "/own")
    before = sorted(tmp_path.rglob("*"))
    with memory_group() as group:
        assert group is None
    assert sorted(tmp_path.rglob("*")) == before


def test_no_groups_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that knows no memory groups."""
    monkeypatch.setattr(memory_groups, "_read", lambda _file: "")
    with memory_group() as group:
        assert group is None


def test_our_own_group_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of the group we are in hold on for its children; then the groups around it."""
    a_machine(monkeypatch, tmp_path, "/around/own")
    (tmp_path / "around" / "cgroup.procs").touch()
    tried: list[Path] = []

    def is_made(group: MemoryGroup) -> bool:
        tried.append(group.folder.parent)
        return False

    monkeypatch.setattr(memory_groups, "_is_made", is_made)
    with memory_group():
        pass
    assert tried == [tmp_path / "around" / "own", tmp_path / "around", tmp_path]


def test_a_group_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be removed is named, with the command that removes it."""
    a_machine(monkeypatch, tmp_path, "/own")
    monkeypatch.setattr(memory_groups, "STOPPING", 0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(memory_group())
        child = next((tmp_path / "own").glob("kernel-status-demo-*"))
        (child / "something").touch()
        with pytest.raises(DemoError, match=f"rmdir {child}"):
            stack.close()


# -- the command line ------------------------------------------------------------------------


def run_cli(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, *CLI, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_help_has_an_example() -> None:
    """`--help` shows how to call it and what the exit statuses mean."""
    done = run_cli("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "jupyter kernel-status demo" in done.stdout
    assert "2 usage" in done.stdout


def test_version() -> None:
    """`--version` tells the version that is installed."""
    done = run_cli("--version")
    assert done.returncode == 0
    assert done.stdout == f"kernel_status_ext {version('kernel_status_ext')}\n"


@pytest.mark.parametrize("args", [(), ("nonsense",), ("demo", "more"), ("demo", "--more")])
def test_bad_usage(args: Sequence[str]) -> None:
    """A wrong call ends with status 2 and shows the usage, starting nothing."""
    done = run_cli(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: jupyter kernel-status")


def test_jupyter_finds_the_command() -> None:
    """`jupyter kernel-status` is installed where `jupyter` looks."""
    jupyter = shutil.which("jupyter", path=str(Path(sys.executable).parent))
    assert jupyter is not None
    command = [jupyter, "kernel-status", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == run_cli("--help").stdout


def test_the_client_needs_no_server() -> None:
    """Importing the command line loads nothing of the server, ours or Jupyter's, nor zmq."""
    code = "import sys, kernel_status_ext.client.cli; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    loaded = done.stdout.split()
    top = {name.split(".")[0] for name in loaded}
    ours = {name.split(".")[1] for name in loaded if name.startswith("kernel_status_ext.")}
    assert not top & {"jupyter_server", "jupyter_client", "tornado", "traitlets", "zmq"}
    assert not ours & {"api", "app", "jupyter", "tracking", "views"}


# -- lines -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """What says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(
    ("out", "environ", "wanted"),
    [
        (Terminal, {"TERM": "xterm"}, True),
        (Terminal, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Terminal, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {"TERM": "xterm"}, False),
    ],
)
def test_when_to_colour(
    out: Callable[[], io.StringIO], environ: dict[str, str], wanted: bool
) -> None:
    """On a terminal that can, unless NO_COLOR is set to something."""
    assert wants_colour(out(), environ) is wanted


def kernel(**more: str) -> dict[str, str]:
    """As much of a status as a line shows."""
    since = "2026-01-02T03:04:05.678901Z"
    words = {"status": "dead", "execution_state": "dead", "state": "stopped"}
    return {"since": since, "reason": "", **words, **more}


def test_columns_stand_below_each_other() -> None:
    """The status is where the head of the table says, coloured or not."""
    out = io.StringIO()
    Lines(out).columns()
    Lines(out).change(kernel())
    Lines(out, colour=True).change(kernel(status="of a later version"))
    head, plain, unknown = out.getvalue().splitlines()
    assert plain.index("dead") == head.index("status") == unknown.index("of a later")


def test_a_status_has_its_colour() -> None:
    """Red is the dead one."""
    out = io.StringIO()
    Lines(out, colour=True).change(kernel())
    assert "\033[31mdead" in out.getvalue()


@pytest.mark.parametrize(("width", "lines"), [(0, 1), (60, 2), (10, 1)])
def test_sentences_fit_the_terminal(width: int, lines: int) -> None:
    """A long reason is broken where the terminal ends, if it has an end and is not silly."""
    out = io.StringIO()
    reason = "The kernel exited with code 3 after 12 s, restart it to go on."
    Lines(out, width=width).change(kernel(reason=reason))
    told = out.getvalue().splitlines()[1:]
    assert len(told) == lines
    assert " ".join(each.strip() for each in told) == reason
    assert width < 20 or max(map(len, told)) <= width


def test_local_time() -> None:
    """Times of the API are UTC; people read their own clock, with milliseconds."""
    code = "from kernel_status_ext.client import lines; print(lines.local_time('{}'))"
    code = code.format("2026-01-02T03:04:05.678901Z")
    env = os.environ | {"TZ": "XYZ-5:30"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=env, timeout=PATIENCE
    )
    assert done.stdout == "08:34:05.678\n"
    assert len(local_time("2026-01-02T03:04:05.000000Z")) == len("08:34:05.678")
