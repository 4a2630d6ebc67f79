"""Contract section 3: the bodies of `GET .../status` and `GET .../history`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import psutil
from support.server import Server
from support.stories import (
    CHANGE_KEYS,
    STATUS_KEYS,
    TERMINATION_KEYS,
    changes,
    come_back,
    execute,
    kill,
    moment,
    run,
)

Starter = Callable[..., str]

WORDS = ("status", "execution_state", "state", "reason", "cause")


def test_status_has_every_field(server: Server, python_kernel: str) -> None:
    """Unknown values are null, never left out, and nothing else is there."""
    status = server.status(python_kernel)
    assert set(status) == STATUS_KEYS
    assert (status["id"], status["name"], status["last_termination"]) == (
        python_kernel,
        "python3",
        None,
    )
    assert (status["generation"], status["restart_count"], status["cause"], status["reason"]) == (
        0,
        0,
        None,
        "",
    )


def test_status_has_every_field_in_every_status(server: Server, fake: Starter) -> None:
    """The same fields stand in the status of a kernel that starts and of one that is dead."""
    gate = server.gate()
    starting, dead = fake("slow", gate=gate, wait=False), fake("die-at-start", wait=False)
    server.until_dead(dead)
    assert set(server.status(starting)) == set(server.status(dead)) == STATUS_KEYS
    assert set(server.status(dead)["last_termination"]) == TERMINATION_KEYS
    gate.open()


def test_status_is_json_for_programs(server: Server, python_kernel: str) -> None:
    """The answers are JSON by their header as well."""
    for call in ("status", "wait", "history"):
        response = server.http.get(f"api/kernels/{python_kernel}/{call}")
        assert response.headers["Content-Type"].startswith("application/json")


def test_times_have_one_form_and_the_right_order(server: Server, fake: Starter) -> None:
    """Times are UTC with microseconds, and the process table confirms the start."""
    begin = time.time()
    kernel = fake("good")
    status = server.status(kernel)
    created = psutil.Process(status["pid"]).create_time()
    started, connected, since = (
        moment(status[name]) for name in ("started_at", "connected_at", "since")
    )
    assert begin - 0.1 <= started <= connected <= since + 0.001 <= time.time() + 0.1
    assert abs(started - created) < 1


def test_started_at_is_of_this_process(server: Server, fake: Starter) -> None:
    """After a restart the times are those of the new process."""
    kernel = fake("good")
    before = server.status(kernel)
    server.restart(kernel)
    after = come_back(server, kernel, before["revision"])
    assert moment(after["started_at"]) > moment(before["connected_at"])
    assert moment(after["connected_at"]) >= moment(after["started_at"])


def test_numbers_are_numbers(server: Server, python_kernel: str) -> None:
    """Counts are whole numbers, lists are lists, the rest is null."""
    status = server.status(python_kernel)
    assert all(
        type(status[name]) is int for name in ("revision", "generation", "pid", "restart_count")
    )
    assert isinstance(status["subshells"], dict)
    assert all(status[name] in ([], None) for name in ("running", "queued"))


def test_termination_names_its_process(server: Server, fake: Starter) -> None:
    """A termination has the pid, the generation and the times of the process that ended."""
    kernel = fake("good")
    before = server.status(kernel)
    kill(server, kernel)
    last = come_back(server, kernel, before["revision"])["last_termination"]
    assert (last["pid"], last["generation"], last["started_at"]) == (
        before["pid"],
        0,
        before["started_at"],
    )
    assert moment(last["finished_at"]) > moment(before["connected_at"])
    assert last["reason"] != ""


def test_history_is_a_story(server: Server, fake: Starter) -> None:
    """The changes are oldest first, revisions and times grow, and each one changes a word."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    run(server, kernel, "nothing")
    server.wait(kernel, execution_state="idle", since=before)
    kill(server, kernel)
    come_back(server, kernel, before)
    history = server.history(kernel)
    told = history["changes"]
    assert set(history) == {"changes", "terminations"}
    assert all(set(change) == CHANGE_KEYS for change in told)
    numbers = [change["revision"] for change in told]
    times = [moment(change["at"]) for change in told]
    assert (numbers, times) == (sorted(set(numbers)), sorted(times))
    pairs = itertools.pairwise(told)
    assert all(any(one[word] != two[word] for word in WORDS) for one, two in pairs)


def test_history_ends_with_the_present(server: Server, fake: Starter) -> None:
    """The last change is the status of now."""
    kernel = fake("good")
    status, last = server.status(kernel), server.history(kernel)["changes"][-1]
    assert {word: last[word] for word in (*WORDS, "revision", "generation")} == {
        word: status[word] for word in (*WORDS, "revision", "generation")
    }
    assert last["at"] == status["since"]


def test_history_keeps_every_termination(server: Server, fake: Starter) -> None:
    """Two deaths with two exit codes are two terminations, oldest first, the last in the status."""
    kernel = fake("good")
    for code in (3, 4):
        before = server.status(kernel)["revision"]
        with server.client(kernel) as client:
            execute(client, f"die {code}")
            come_back(server, kernel, before)
    history = server.history(kernel)
    told = history["terminations"]
    assert [(each["generation"], each["exit_code"]) for each in told] == [(0, 3), (1, 4)]
    assert all(set(each) == TERMINATION_KEYS for each in told)
    assert told[-1] == server.status(kernel)["last_termination"]
    assert told[0]["reason"] != told[1]["reason"]


def test_history_mixes_expected_and_unexpected_ends(server: Server, fake: Starter) -> None:
    """A restart that was asked for and a crash stand side by side, each with its own `expected`."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    server.restart(kernel)
    back = come_back(server, kernel, before)["revision"]
    kill(server, kernel)
    come_back(server, kernel, back)
    told = server.history(kernel)["terminations"]
    assert [(each["cause"], each["expected"], each["requested_by"]) for each in told] == [
        ("Restarted", True, "restart"),
        ("Killed", False, None),
    ]


def test_history_of_a_living_kernel_has_no_termination(server: Server, python_kernel: str) -> None:
    """Nothing ended, nothing is told; and looking leaves no change."""
    before = changes(server, python_kernel)
    assert server.history(python_kernel)["terminations"] == []
    server.status(python_kernel)
    assert changes(server, python_kernel) == before
