"""Contract section 3, runs with `allow_tracebacks=False`: that it failed is told, how is not.

The secrets are put together by the code that fails, so that the echo of the code is none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.kernel_socket import connect
from support.runs import (
    RUNS,
    ended,
    execute,
    followed_raw,
    listed,
    look,
    place,
    runs_of,
    sent,
    sent_raw,
    started,
    submit,
)
from support.server import Server
from support.stories import execute as execute_by_zmq

REPLACEMENT = "Ask the people who run this server, mentioning the hour."
SECRET = "hush" * 3
FAILURES = ["int('hush' * 3)", "{}['hush' * 3]", "exec('hush' * 3 + ' = = 1')"]
STDERR = f"ModuleNotFoundError: No module named '{SECRET}'"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that hides tracebacks and restarts no kernel."""
    config = {
        "KernelManager": {"autorestart": False, "shutdown_wait_time": 0.5},
        "MappingKernelManager": {
            "allow_tracebacks": False,
            "traceback_replacement_message": REPLACEMENT,
        },
    }
    with Server(config=config) as server:
        yield server


def everything(server: Server, kernel: str) -> str:
    """All that the API tells of runs and of their kernel, JSON escapes undone."""
    told = [server.get(path) for path in (RUNS, runs_of(kernel), "api/kernels/workers/active")]
    told += [server.get(place(run["run_id"])) for run in listed(server, kernel)]
    told += [server.get(place(run["run_id"], "/inspect")) for run in listed(server, kernel)]
    told += [server.status(kernel), server.history(kernel), server.model(kernel)]
    return json.dumps(told, ensure_ascii=False)


def on_disk(server: Server) -> bytes:
    """All that the server has written into its data directory, kernelspecs left out."""
    files = [file for file in server.data.rglob("*") if file.is_file()]
    kept = [file for file in files if file.name != "kernel.json"]
    assert kept
    return b"".join(file.read_bytes() for file in kept)


@pytest.mark.parametrize("code", FAILURES)
def test_an_error_of_a_run(server: Server, python_kernel: str, code: str) -> None:
    """Its streams have the replacement instead, live and again; nothing else tells more."""
    told = sent_raw(server, python_kernel, f"print('said')\n{code}")
    run = listed(server, python_kernel, limit=1)[0]
    assert REPLACEMENT in "".join(told)
    assert '"said' in "".join(told)
    assert followed_raw(server, run["run_id"]) == told
    assert run["status"] == "error"
    assert all(isinstance(each, str) for each in run["error"].values())
    assert SECRET not in "".join(told) + everything(server, python_kernel)
    assert SECRET.encode() not in on_disk(server)


@pytest.mark.parametrize("code", FAILURES)
def test_an_error_of_others(server: Server, python_kernel: str, code: str) -> None:
    """What a websocket or a stranger runs is told without its traceback just so."""
    with connect(server, python_kernel) as socket:
        cells = [socket.execute(code)]
        socket.finished(cells[0])
    with server.client(python_kernel) as client:
        cells.append(execute_by_zmq(client, code))
        ends = [ended(server, cell)["status"] for cell in cells]
    assert ends == ["error", "error"]
    assert SECRET not in everything(server, python_kernel)
    assert SECRET.encode() not in on_disk(server)


def test_output_is_not_touched(server: Server, python_kernel: str) -> None:
    """What a run prints, on stderr as well, and its result, are told as they are."""
    code = "import sys\nprint('hush' * 3)\nprint('hush' * 3, file=sys.stderr)\n'hush' * 3"
    told = execute(server, python_kernel, code)
    assert [told.text(stream) for stream in ("stdout", "stderr")] == [SECRET + "\n"] * 2
    assert told.done["output"]["data"] == repr(SECRET)


def test_input_is_refused_without_more(server: Server, python_kernel: str) -> None:
    """An error of Jupyter's own has no traceback either."""
    told = execute(server, python_kernel, "input()")
    assert (told.status, told.text("stderr").strip()) == ("error", REPLACEMENT)


def test_the_reason_of_a_death(server: Server) -> None:
    """A run that dies with its kernel says how the process ended and quotes nothing of it."""
    gate = server.gate()
    kernel = server.connected(server.fake(mode="die-on-gate", stderr=STDERR, gate=gate, code=3))
    with sent(server, kernel, "wait nowhere") as stream:
        started(server, stream.next().data["run"]["run_id"])
        gate.open()
        told = stream.whole()
    server.until_dead(kernel)
    reason = look(server, told.run["run_id"])["reason"]
    assert told.status == "died"
    assert "3" in reason
    assert SECRET not in everything(server, kernel) + json.dumps(
        [each.data for each in told.events]
    )
    server.delete(kernel)


def test_the_reason_of_a_run_that_waits(server: Server) -> None:
    """Nor does one that has waited for a kernel that never came up."""
    gate = server.gate()
    name = server.fake(mode="die-at-start", stderr=STDERR, gate=gate)
    kernel = server.start_kernel(name)
    run_id = submit(server, kernel, "nothing")["run_id"]
    gate.open()
    assert ended(server, run_id)["status"] == "aborted"
    server.until_dead(kernel)
    assert SECRET not in everything(server, kernel) + "".join(followed_raw(server, run_id))
    assert SECRET.encode() not in on_disk(server)
    server.delete(kernel)
