"""The command line runs code at a real server: through pipes, a terminal, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from support.cells import at_work, swallows
from support.command import on_terminal, run
from support.server import PATIENCE, Server, eventually

CTRL_C = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from kernel_status_ext.client.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""The command line where Ctrl-C has its usual meaning: in a script's background it is ignored."""


def started(server: Server, *args: str) -> subprocess.Popen[str]:
    """Start the command line."""
    return subprocess.Popen(
        [sys.executable, "-c", CTRL_C, *args],
        env=server.env,
        cwd=server.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_in_a_pipe(server: Server, python_kernel: str) -> None:
    """Each stream to its own, the value in a line of its own; code from stdin."""
    process = started(server, "run", python_kernel, "-")
    out, err = process.communicate(
        "import sys\nprint('ä', end='')\nsys.stderr.write('e')\n7", PATIENCE
    )
    assert (process.returncode, out, err) == (0, "ä\n7\n", "e")


def test_a_failure_in_a_pipe(server: Server, python_kernel: str) -> None:
    """Exit status 1; the traceback on stderr, without colours, ending its line."""
    code, out, err = run(server, "run", python_kernel[:8], "print(1)\n1/0")
    assert (code, out) == (1, "1\n")
    assert "ZeroDivisionError: division by zero\n" in err
    assert "\x1b" not in err


def test_on_a_terminal(server: Server, python_kernel: str) -> None:
    """The traceback keeps its colours."""
    shown = on_terminal(server, 80, "run", python_kernel, "print(1)\n1/0")
    assert shown.code == 1
    assert "\x1b[31m" in shown.written
    assert shown.lines[0] == "1"
    assert shown.lines[-1] == "ZeroDivisionError: division by zero"


def test_other_ends(server: Server, python_kernel: str, fake: Callable[..., str]) -> None:
    """4 when its time is over, 3 when its kernel dies, with the reason; 3 when it is dead."""
    words = ("run", python_kernel, "import time; time.sleep(60)", "--timeout", "0.2")
    code, _, err = run(server, *words)
    assert code == 4
    assert "limit of 0.2 s" in err
    mortal, gate = fake("good,die-at-start", gate="/"), server.gate()
    process = started(server, "run", mortal, gate.command)
    eventually(lambda: server.status(mortal)["running"], what="it works")
    os.kill(server.status(mortal)["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert "SIGKILL" in err
    server.until_dead(mortal)
    code, out, err = run(server, "run", mortal, "1")
    assert (code, out) == (3, "")
    assert server.status(mortal)["reason"] in err


def test_detached_listed_interrupted(server: Server, python_kernel: str) -> None:
    """The id that is written names the run in every other command."""
    gate = server.gate()
    code, out, err = run(server, "run", python_kernel, "--detach", gate.cell)
    run_id = out.strip()
    assert (code, err) == (0, "")
    at_work(server, python_kernel, gate.reached.exists)
    assert run_id in run(server, "workers")[1]
    _, out, _ = run(server, "runs", python_kernel, "--status", "running", "--json")
    assert [each["run_id"] for each in json.loads(out)["runs"]] == [run_id]
    code, out, _ = run(server, "interrupt", run_id[:12], "--grace", "20")
    assert (code, out) == (0, f"Run {run_id} ended: error (KeyboardInterrupt).\n")
    shown = on_terminal(server, 80, "runs", "--limit", "3")
    assert max(map(len, shown.lines)) <= 80
    assert any(line.startswith(run_id[:8]) and "error" in line for line in shown.lines)


def test_ctrl_c(server: Server, python_kernel: str) -> None:
    """It interrupts the run, and what the run says to that is shown: exit status 1."""
    code = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
    process = started(server, "run", python_kernel, code)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "KeyboardInterrupt" in err


def test_ctrl_c_again(server: Server, python_kernel: str) -> None:
    """A run that does not give way is left, at once; its own command ends it."""
    process = started(server, "run", python_kernel, swallows(server.gate()))
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "no\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    (run_id,) = server.status(python_kernel)["running"]
    assert process.returncode == 1
    assert (
        err == f"jupyter kernel-status run: left run {run_id} to itself; "
        f"`interrupt {run_id}` ends it\n"
    )
    words = ("interrupt", run_id, "--grace")
    code, _, err = run(server, *words, "0.1")
    assert code == 4
    assert "--then restart" in err
    code, out, _ = run(server, *words, "0", "--then", "restart", "--json")
    told = json.loads(out)
    assert (code, told["did"], told["run"]["status"]) == (0, "restart", "aborted")
    server.settled(python_kernel)


def test_nobody_reads_any_more(server: Server, python_kernel: str) -> None:
    """A pipe that is closed ends the command without a word, and not the run."""
    gate = server.gate()
    code = f"print(1, flush=True)\n{gate.cell}\nprint(2, flush=True)\n3"
    process = started(server, "run", python_kernel, code)
    assert process.stdout.readline() == "1\n"
    process.stdout.close()
    gate.open()
    assert process.wait(PATIENCE) == 1
    assert process.stderr.read() == ""
    assert server.settled(python_kernel)["running"] == []
    assert server.get(f"api/kernels/{python_kernel}/runs")["runs"][0]["status"] == "ok"


def test_nothing_is_meant(server: Server) -> None:
    """No such kernel is an error that lists those there are; nothing is run."""
    code, out, err = run(server, "run", "no-such", "1")
    assert (code, out) == (1, "")
    assert "No kernel has id 'no-such'" in err
