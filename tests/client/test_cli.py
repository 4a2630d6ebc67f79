"""The command line beside real servers, through pipes and through a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.server import Server, eventually

from kernel_status_ext.client.harmless import harmless, size
from kernel_status_ext.client.tables import short

CLI = (sys.executable, "-m", "kernel_status_ext.client.cli")
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def start(server: Server, *args: str, **env: str) -> subprocess.Popen[str]:
    """Start the command line in the server's root folder, as its user."""
    return subprocess.Popen(
        [*CLI, *args],
        env={**server.env, **env},
        cwd=server.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(server: Server, *args: str, **env: str) -> tuple[int, str, str]:
    """Run the command line to its end: exit status, stdout, stderr."""
    process = start(server, *args, **env)
    out, err = process.communicate(timeout=40)
    return process.returncode, out, err


def on_terminal(server: Server, columns: int, *args: str, **env: str) -> tuple[int, str]:
    """The same on a terminal of this width: exit status, and all that was written to it."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    own = {**server.env, "TERM": "xterm", **env}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        if name not in env:
            own.pop(name, None)
    process = subprocess.Popen(
        [*CLI, *args], env=own, cwd=server.root, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    written = b""
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        while piece := os.read(ours, 65536):
            written += piece
    os.close(ours)
    return process.wait(40), written.decode()


@pytest.fixture(scope="module")
def notebook(server: Server) -> str:
    """The kernel of `work/analysis.ipynb`."""
    kernel_id = server.session("work/analysis.ipynb", server.fake("mine"))["kernel"]["id"]
    server.settled(kernel_id)
    return kernel_id


@pytest.fixture(scope="module")
def dead(server: Server) -> str:
    """A kernel that exited at once."""
    name = server.fake("broken", mode="die-at-start", code=3, gate="/")
    kernel_id = server.start_kernel(name)
    server.until_dead(kernel_id)
    return kernel_id


def test_list_in_a_pipe(server: Server, notebook: str, dead: str) -> None:
    """One line for each kernel, whole ids, the reason last, no escape sequence."""
    code, out, err = run(server, "list")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split()[:3] == ["ID", "STATE", "STATUS"]
    by_id = {line.split()[0]: line for line in lines}
    assert by_id[notebook].split()[1:3] == ["idle", "connected"]
    assert "work/analysis.ipynb" in by_id[notebook]
    assert by_id[dead].endswith(server.status(dead)["reason"])
    assert "\x1b" not in out
    assert {line.index(line.split()[1]) for line in [head, *lines]} == {head.index("STATE")}


def test_list_for_programs(server: Server, notebook: str) -> None:
    """The statuses as the server tells them, with paths and server."""
    code, out, _ = run(server, "list", "--json")
    told = next(each for each in json.loads(out) if each["id"] == notebook)
    assert code == 0
    assert told.items() >= server.status(notebook).items()
    assert told["path"] == "work/analysis.ipynb"
    assert server.token not in out


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_list_on_a_terminal(server: Server, notebook: str, dead: str, columns: int) -> None:
    """Whatever its width: nothing is wider, nothing is lost that matters, colours help."""
    code, written = on_terminal(server, columns, "list")
    lines = [ESCAPE.sub("", line) for line in written.splitlines()]
    assert code == 0
    assert max(map(len, lines)) <= columns
    told = " ".join(" ".join(line.split()) for line in lines)
    for word in (notebook[:8], "connected", "work/analysis.ipynb", dead[:8], "code 3"):
        assert word in told
    assert server.status(dead)["reason"] in told
    assert "\x1b[31m" in written
    assert any(line.startswith("ID") for line in lines) == (columns > 40)


def test_no_colours_wanted(server: Server, notebook: str) -> None:
    """NO_COLOR leaves the table and takes the colours."""
    _, written = on_terminal(server, 120, "list", NO_COLOR="1")
    assert notebook[:8] in written
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", written)


def test_a_malicious_name_is_harmless(server: Server) -> None:
    """Escape sequences in a path are shown, not obeyed, also in a pipe."""
    path = "a\x1b[31m\u202eb.ipynb"
    kernel_id = server.session(path, "mine")["kernel"]["id"]
    server.settled(kernel_id)
    for out in (run(server, "list")[1], on_terminal(server, 200, "list")[1]):
        assert r"a\x1b[31m\u202eb.ipynb" in out
        assert "\u202e" not in out
    assert "\x1b" not in run(server, "show", "--path", path)[1]
    server.delete(kernel_id)


def test_ways_to_name_a_kernel(server: Server, notebook: str) -> None:
    """Id, its beginning, path in all its forms, name: all mean the same one."""
    absolute = str(server.root / "work" / "analysis.ipynb")
    ways = [[notebook], [notebook[:13]], ["--name", "mine"], ["--path", absolute]]
    ways += [
        ["--path", each]
        for each in ("work/analysis.ipynb", "analysis.ipynb", "./work/analysis.ipynb")
    ]
    for way in ways:
        code, out, err = run(server, "show", "--json", *way)
        assert (code, err) == (0, "")
        assert json.loads(out)["id"] == notebook


def test_two_may_be_meant(server: Server, notebook: str) -> None:
    """Two kernels for one path, or of one name: exit status 2 and the candidates."""
    other = server.connected("mine")
    code, out, err = run(server, "show", "--name", "mine")
    assert (code, out) == (2, "")
    assert notebook in err
    assert other in err
    assert "work/analysis.ipynb (idle)" in err
    server.delete(other)
    assert run(server, "show", "no-such")[0] == 1
    code, _, err = run(server, "show")
    assert code == 2
    assert "--path" in err


def test_show_and_history_of_the_dead(server: Server, dead: str) -> None:
    """Why it died, for people and for programs."""
    _, out, _ = run(server, "show", dead)
    assert re.search(r"^exit code +3$", out, re.MULTILINE)
    assert server.status(dead)["reason"] in out
    _, out, _ = run(server, "history", dead)
    assert re.search(r" 0 +dead +dead +stopped ", out)
    _, out, _ = run(server, "history", dead, "--json")
    assert json.loads(out) == server.history(dead)


def test_inspect(server: Server, notebook: str, dead: str) -> None:
    """Figures with units for people, as they came for programs."""
    _, out, _ = run(server, "inspect")
    line = next(each for each in out.splitlines() if notebook in each)
    assert re.search(r"\d+\.\d MiB", line)
    _, out, _ = run(server, "inspect", notebook, "--detail", "full", "--json")
    told = json.loads(out)
    assert told["pid"] == server.status(notebook)["pid"]
    assert told["memory_uss_bytes"] > 0
    _, out, _ = run(server, "inspect", dead)
    assert re.search(r"^alive +no$", out, re.MULTILINE)


def test_wait_and_its_exit_statuses(server: Server, notebook: str, dead: str) -> None:
    """0 reached, 4 not in time, 3 dead, 2 a word that is none."""
    code, out, err = run(server, "wait", "--path", "analysis.ipynb", "--state", "idle", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == server.status(notebook)
    code, out, err = run(server, "wait", notebook, "--state", "running", "--timeout", "0.1")
    assert (code, out) == (4, "")
    assert f"Kernel {notebook} is connected (idle)" in err
    assert "\r" not in err
    code, _, err = run(server, "wait", dead)
    assert code == 3
    assert server.status(dead)["reason"] in err
    code, _, err = run(server, "wait", notebook, "--state", "busy")
    assert code == 2
    assert "allowed are running, idle, stopped" in err
    assert run(server, "wait", notebook, "--state", "idle", "--status", "dead")[0] == 2


def test_a_live_line(server: Server, notebook: str) -> None:
    """A terminal is told what there is meanwhile, in one line that goes away."""
    words = ("wait", notebook, "--state", "running", "--timeout", "1")
    code, written = on_terminal(server, 60, *words)
    assert code == 4
    assert "connected (idle)  waiting for state running" in written
    shown = [ESCAPE.sub("", each) for each in written.split("\r") if "waiting" in each]
    assert max(map(len, shown)) < 60
    assert "\r\x1b[K" in written


def test_wait_is_interrupted(server: Server, notebook: str) -> None:
    """Ctrl-C ends it with 130 and a word."""
    process = start(server, "wait", notebook, "--state", "running")
    eventually(lambda: waits(server, process), 20, "it waits")
    process.send_signal(signal.SIGINT if not ignored() else signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "jupyter kernel-status wait: interrupted\n")


def ignored() -> bool:
    """Whether the tests run in a background in which Ctrl-C is ignored by everybody."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def waits(server: Server, process: subprocess.Popen[str]) -> bool:
    """Whether somebody waits at the server, who can only be this process."""
    assert process.poll() is None, process.communicate()
    return "\nkernel_status_waiters 1.0" in server.http.get("metrics").text


def test_watch_for_programs(server: Server) -> None:
    """One JSON object in each line, as it comes; a reader that goes away ends it."""
    process = start(server, "watch", "--json")
    first = json.loads(process.stdout.readline())
    assert first["event"] == "snapshot"
    kernel_id = (
        server.connected("mine")
        if "mine" in kernelspecs(server)
        else server.connected(server.fake())
    )
    for line in process.stdout:
        told = json.loads(line)
        if told["event"] == "change" and told["data"]["status"] == "connected":
            break
    assert told["data"] == {**told["data"], "id": kernel_id}
    process.stdout.close()
    server.delete(kernel_id)
    assert process.wait(20) == 1
    assert process.stderr.read() == ""


def kernelspecs(server: Server) -> Any:
    """The names of the kernelspecs."""
    return server.get("api/kernelspecs")["kernelspecs"]


def test_watch_for_people(server: Server, fake: Callable[..., str]) -> None:
    """A line for each change, and an end when the one kernel is gone."""
    kernel_id = fake()
    process = start(server, "watch", kernel_id)
    assert "connected" in process.stdout.readline()
    server.delete(kernel_id)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert re.search(rf"{kernel_id}  dead +dead +stopped", out)
    assert out.endswith(f"Kernel {kernel_id} was removed.\n")


def test_no_server(server: Server, tmp_path: Path) -> None:
    """Exit status 3 and what to do; the same for one that does not answer, or 2 for no address."""
    code, _, err = run(server, "list", JUPYTER_RUNTIME_DIR=str(tmp_path))
    assert code == 3
    assert "jupyter lab" in err
    assert run(server, "list", "--url", "http://127.0.0.1:1/")[0] == 3
    assert run(server, "list", "--url", "nonsense")[0] == 2


def test_a_wrong_token(server: Server) -> None:
    """Exit status 1, what to give, and not what was given."""
    url = f"http://127.0.0.1:{server.port}{server.base_url}"
    code, _, err = run(server, "list", "--url", url, "--token", "not-this")
    assert code == 1
    assert "--token" in err
    assert "not-this" not in err
    assert run(server, "list", "--url", url)[0] == 0
    assert run(server, "list", JUPYTER_SERVER_URL=url)[0] == 0


@pytest.fixture
def neighbours(server: Server, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """Another server, and a folder in which both and a third that hangs have written down."""
    with Server() as other:
        for each in (server, other):
            for file in each.runtime.glob("jpserver-*.json"):
                (tmp_path / file.name).write_text(file.read_text())
        gone = {"url": "http://127.0.0.1:1/", "pid": os.getpid(), "root_dir": "/", "token": ""}
        (tmp_path / f"jpserver-{os.getpid()}.json").write_text(json.dumps(gone))
        (tmp_path / "jpserver-1.json").write_text('{"half')
        yield other, tmp_path


def test_several_servers(server: Server, notebook: str, neighbours: tuple[Server, Path]) -> None:
    """All are listed and searched; one that does not answer spoils nothing."""
    other, folder = neighbours
    there = other.connected(other.fake("theirs"))
    runtime = {"JUPYTER_RUNTIME_DIR": str(folder)}
    code, out, err = run(server, "list", **runtime)
    assert code == 0
    assert "SERVER" in out.splitlines()[0]
    assert f"127.0.0.1:{other.port}/" in next(each for each in out.splitlines() if there in each)
    assert notebook in out
    assert "http://127.0.0.1:1/ cannot be reached" in err
    code, out, _ = run(server, "show", "--name", "theirs", "--json", **runtime)
    assert (code, json.loads(out)["id"]) == (0, there)
    code, out, _ = run(server, "inspect", "--json", **runtime)
    assert json.loads(out)["kernels"].keys() >= {there, notebook}


def test_a_server_killed_while_we_wait() -> None:
    """Exit status 3 once it is clear that it does not come back."""
    with Server() as mortal:
        kernel_id = mortal.connected(mortal.fake())
        process = start(mortal, "wait", kernel_id, "--state", "running")
        eventually(lambda: waits(mortal, process), 20, "it waits")
        mortal.process.kill()
        _, err = process.communicate(timeout=40)
    assert process.returncode == 3
    assert "cannot be reached" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["list", "show", "wait", "watch", "history", "inspect", "demo"])
def test_help_has_examples(server: Server, command: str) -> None:
    """Each command shows how it is called and what its exit statuses mean."""
    code, out, _ = run(server, command, "--help")
    assert code == 0
    assert f"jupyter kernel-status {command}" in out.partition("examples:")[2]
    assert "4 the time is over" in out


def test_list_is_quick(server: Server, notebook: str) -> None:
    """The best of five answers within half a second of the interpreter's start."""
    assert notebook
    best = min(timed(lambda: run(server, "list")) for _ in range(5))
    assert best < 0.5


def timed(what: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin


def test_small_things() -> None:
    """Text that is harmless, sizes for people, ids that stay different."""
    assert harmless("tab\there\x9b\u2028") == r"tab\there\x9b\u2028"
    assert harmless("Grüße 漢字") == "Grüße 漢字"
    assert [size(each) for each in (None, 0, 1023, 1024, 5 << 50)] == [
        "",
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5120.0 TiB",
    ]
    assert short(["aaaaaaaaaa", "aaaaaaaaab"])["aaaaaaaaab"] == "aaaaaaaaab"
