"""The command line beside a real server, through pipes and through a terminal."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from support.clients import waiters
from support.command import on_terminal, run, start
from support.server import PATIENCE, Server, eventually
from support.watching import FEEDING, born, remove

from kernel_status_ext.client.choose import choose
from kernel_status_ext.client.roster import everything
from kernel_status_ext.client.running import Running

NEEDLESS = (
    "click",
    "ipykernel",
    "jupyter_client",
    "jupyter_server",
    "kernel_status_ext.client.demo",
    "rich.console",
    "tornado",
    "zmq",
)
"""What takes long to load and is of no use for a list in a pipe."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the extension that can be fed kernels whose ids the test chooses."""
    config = {"KernelManager": {"shutdown_wait_time": 1.0}, "ServerApp": FEEDING}
    with Server(config=config) as server:
        yield server


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
    shown = on_terminal(server, columns, "list")
    lines = shown.lines
    assert shown.code == 0
    assert max(map(len, lines)) <= columns
    told = " ".join(" ".join(line.split()) for line in lines)
    for word in (notebook[:8], "connected", "work/analysis.ipynb", dead[:8], "code 3"):
        assert word in told
    assert server.status(dead)["reason"] in told
    assert "\x1b[31m" in shown.written
    assert any(line.startswith("ID") for line in lines) == (columns > 40)


def test_no_colours_wanted(server: Server, notebook: str) -> None:
    """NO_COLOR leaves the table and takes the colours."""
    written = on_terminal(server, 120, "list", NO_COLOR="1").written
    assert notebook[:8] in written
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", written)


def test_a_malicious_name_is_harmless(server: Server) -> None:
    """Escape sequences in a path are shown, not obeyed, also in a pipe."""
    path = "a\x1b[31m\u202eb.ipynb"
    kernel_id = server.session(path, "mine")["kernel"]["id"]
    server.settled(kernel_id)
    for out in (run(server, "list")[1], on_terminal(server, 200, "list").written):
        assert r"a\x1b[31m\u202eb.ipynb" in out
        assert "\u202e" not in out
    assert "\x1b" not in run(server, "show", "--path", path)[1]
    server.delete(kernel_id)


def test_ways_to_name_a_kernel(
    server: Server, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Id, its beginning, path in all its forms, name: all mean the same one."""
    ways: list[tuple[str | None, str | None, str | None]] = [
        (notebook, None, None),
        (notebook[:13], None, None),
        (None, None, "mine"),
        (notebook[:13], "analysis.ipynb", "mine"),
    ]
    paths = ("work/analysis.ipynb", "./work/analysis.ipynb", "analysis.ipynb", "./analysis.ipynb")
    ways += [(None, each, None) for each in (*paths, str(server.root / paths[0]))]
    here = Running(f"http://127.0.0.1:{server.port}{server.base_url}", server.token, server.root)
    folder = server.root / "work"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    listed = everything([here], pytest.fail)
    for way in ways:
        assert choose(listed, *way).kernel.id == notebook, way
    for way in ([notebook[:13]], ["--path", paths[0]]):
        code, out, err = run(server, "show", "--json", *way)
        assert (code, err, json.loads(out)["id"]) == (0, "", notebook)


def test_nothing_is_meant(server: Server, notebook: str) -> None:
    """No such kernel is an error that lists those there are; naming none is wrong usage."""
    code, out, err = run(server, "show", "no-such")
    assert (code, out) == (1, "")
    assert notebook in err
    code, _, err = run(server, "show")
    assert code == 2
    assert "--path" in err


def test_two_kernels_for_one_path(server: Server, notebook: str) -> None:
    """A notebook and a console of one path, of one name: exit status 2 and the candidates."""
    console = server.session("console", "mine")
    other = console["kernel"]["id"]
    change = {"path": "work/analysis.ipynb", "type": "console"}
    assert server.http.patch(f"api/sessions/{console['id']}", json=change).status_code == 200
    for words in (
        ("wait", "--path", "work/analysis.ipynb", "--timeout", "0"),
        ("history", "--name", "mine", "--json"),
    ):
        code, out, err = run(server, *words)
        assert (code, out) == (2, "")
        assert f"{notebook} mine work/analysis.ipynb (" in err
        assert f"{other} mine work/analysis.ipynb (" in err
        assert "say which one by its id" in err
    assert run(server, "show", other, "--path", "analysis.ipynb")[0] == 0
    server.delete(other)


def test_two_paths_that_end_alike(server: Server, notebook: str) -> None:
    """The last part of a path may mean both; the path as the server has it means one."""
    other = server.session("analysis.ipynb", "mine")["kernel"]["id"]
    third = server.session("other/analysis.ipynb", "mine")["kernel"]["id"]
    code, out, _ = run(server, "show", "--path", "analysis.ipynb", "--json")
    assert (code, json.loads(out)["id"]) == (0, other)
    server.delete(other)
    code, _, err = run(server, "show", "--path", "analysis.ipynb")
    assert code == 2
    assert notebook in err
    assert third in err
    server.delete(third)


def test_an_ambiguous_beginning_of_an_id(server: Server, notebook: str) -> None:
    """The candidates are listed, and no other; a whole id is no beginning."""
    kernels = born(server, "same-1", "same-11", "same-2")
    code, out, err = run(server, "wait", "same")
    assert (code, out) == (2, "")
    assert all(f"  {each} artificial (idle)\n" in err for each in kernels)
    assert "3 kernels have id 'same'" in err
    assert notebook not in err
    code, out, _ = run(server, "wait", "same-1", "--json")
    assert (code, json.loads(out)["id"]) == (0, "same-1")
    remove(server, *kernels)


def test_show_and_history_of_the_dead(server: Server, dead: str) -> None:
    """Why it died, for people and for programs."""
    _, out, _ = run(server, "show", dead)
    assert re.search(r"^exit code +3$", out, re.MULTILINE)
    assert server.status(dead)["reason"] in out
    _, out, _ = run(server, "history", dead)
    assert re.search(r" 0 +dead +dead +stopped ", out)
    _, out, _ = run(server, "history", dead, "--json")
    assert json.loads(out) == server.history(dead)


@pytest.mark.parametrize("columns", [40, 80])
def test_a_story_tells_milliseconds(server: Server, dead: str, columns: int) -> None:
    """Changes that follow each other within a second have different times, on any terminal."""
    shown = on_terminal(server, columns, "history", dead)
    times = [each["at"] for each in server.history(dead)["changes"]]
    assert shown.code == 0
    assert max(map(len, shown.lines)) <= columns
    for each in times:
        moment = datetime.fromisoformat(each.replace("Z", "+00:00")).astimezone()
        assert f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}" in shown.written


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
    """0 reached, 4 not in time, 3 dead, 2 states that never hold together."""
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
    assert run(server, "wait", notebook, "--state", "idle", "--status", "dead")[0] == 2


@pytest.mark.parametrize("columns", [40, 80])
def test_a_live_line(server: Server, notebook: str, columns: int) -> None:
    """A terminal is told what there is meanwhile, in one line that goes away, on stderr."""
    words = ("wait", notebook, "--state", "running", "--timeout", "0.5")
    shown = on_terminal(server, columns, *words, streams=["stderr"])
    assert (shown.code, shown.elsewhere) == (4, "")
    whole = "0 s  connected (idle)  waiting for state running"
    assert whole[: columns - 1] in shown.changing
    assert max(map(len, shown.changing)) < columns
    assert "\r\x1b[K" in shown.written
    assert "is connected (idle) after 0.5 s" in shown.written.rpartition("\r\x1b[K")[2]


def test_no_live_line_in_a_file(server: Server, notebook: str) -> None:
    """Where stderr is no terminal there is none, whatever stdout is."""
    words = ("wait", notebook, "--state", "running", "--timeout", "0.5")
    shown = on_terminal(server, 80, *words, streams=["stdin", "stdout"])
    assert (shown.code, shown.written) == (4, "")
    assert "waiting" not in shown.elsewhere
    assert "\r" not in shown.elsewhere
    assert shown.elsewhere.count("\n") == 1


def test_what_is_reached_goes_to_stdout(server: Server, notebook: str) -> None:
    """A pipe gets the plain line also where stderr is a terminal, and the other way round."""
    shown = on_terminal(server, 80, "wait", notebook, streams=["stdin", "stderr"])
    assert shown.code == 0
    assert notebook in shown.elsewhere
    assert "\x1b" not in shown.elsewhere
    shown = on_terminal(server, 80, "wait", notebook, streams=["stdout"])
    assert (shown.code, shown.elsewhere) == (0, "")
    assert f"  {notebook[:8]}  " in shown.written
    assert "\x1b[32m" in shown.written


def test_wait_is_interrupted(server: Server, notebook: str) -> None:
    """Ctrl-C ends it with 130 and a word."""
    process = start(server, "wait", notebook, "--state", "running")
    eventually(lambda: waiters(server) == 1, what="it waits")
    process.send_signal(signal.SIGINT if not ignored() else signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "jupyter kernel-status wait: interrupted\n")


def ignored() -> bool:
    """Whether the tests run in a background in which Ctrl-C is ignored by everybody."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_watch_for_programs(server: Server) -> None:
    """One JSON object in each line, as it comes; a reader that goes away ends it."""
    process = start(server, "watch", "--json")
    first = json.loads(process.stdout.readline())
    assert first["event"] == "snapshot"
    kernel_id = server.connected(server.fake())
    for line in process.stdout:
        told = json.loads(line)
        if told["event"] == "change" and told["data"]["status"] == "connected":
            break
    assert told["data"] == {**told["data"], "id": kernel_id}
    process.stdout.close()
    server.delete(kernel_id)
    assert process.wait(PATIENCE) == 1
    assert process.stderr.read() == ""


def test_watch_for_people(server: Server, fake: Callable[..., str]) -> None:
    """A line for each change, and an end when the one kernel is gone."""
    kernel_id = fake()
    process = start(server, "watch", kernel_id)
    assert "connected" in process.stdout.readline()
    server.delete(kernel_id)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert re.search(rf"{kernel_id}  dead +dead +stopped", out)
    assert out.endswith(f"Kernel {kernel_id} was removed.\n")


def test_a_list_loads_little(server: Server, notebook: str) -> None:
    """In a pipe neither the server's libraries are loaded nor what only a terminal needs."""
    code = "import sys; from kernel_status_ext.client.cli import main; main(['list'])"
    code += "; print(*sys.modules, file=sys.stderr)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=server.env, capture_output=True, text=True, check=True)
    loaded = done.stderr.split()
    assert notebook in done.stdout
    assert "httpx" in loaded
    assert [each for each in NEEDLESS if each in loaded] == []
