"""Contract section 3: `GET /api/kernels/ID/wait`, each of its lines."""

from __future__ import annotations

import resource
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from support.server import Call, Server, eventually
from support.stories import (
    STATUS_KEYS,
    changes,
    come_back,
    execute,
    heard,
    kill,
    reply_to,
    run,
)

Starter = Callable[..., str]

IMPOSSIBLE = [
    {"status": "connected", "execution_state": "starting"},
    {"status": "connected", "execution_state": "dead"},
    {"status": "dead", "execution_state": "idle"},
    {"status": "starting", "execution_state": "idle"},
    {"status": "connecting", "execution_state": "busy"},
    {"status": "unknown", "execution_state": "idle"},
    {"status": "restarting", "execution_state": "dead"},
    {"status": "autorestarting", "execution_state": "busy"},
    {"status": "dead,starting", "execution_state": "idle,busy"},
    {"status": "dead", "state": "idle"},
    {"status": "connecting", "state": "running"},
    {"status": "connected", "state": "stopped"},
    {"status": "unresponsive", "state": "idle"},
    {"execution_state": "busy", "state": "idle"},
    {"execution_state": "dead", "state": "running"},
    {"execution_state": "starting", "state": "idle"},
]


@pytest.fixture(scope="module")
def short() -> Iterator[Server]:
    """A server where nobody waits longer than one second."""
    with Server(config={"KernelStatusApp": {"max_wait": 1.0}}) as server:
        yield server


@pytest.fixture(scope="module")
def many_files() -> None:
    """Room for a thousand connections in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))


def test_default_target_is_connected(server: Server, fake: Starter) -> None:
    """Without a target it waits for `connected`, and answers the body of `/status`."""
    gate = server.gate()
    kernel = fake("slow", gate=gate, wait=False)
    waiter = server.send_wait(kernel)
    gate.open()
    answer = waiter.answer()
    assert (answer.status_code, answer.json()["status"]) == (200, "connected")
    assert set(answer.json()) == STATUS_KEYS
    assert answer.json() == server.status(kernel)


def test_what_holds_is_answered_at_once(server: Server, python_kernel: str) -> None:
    """A target that holds already is answered with the present status."""
    answer = server.wait(python_kernel, status="connected", execution_state="idle", state="idle")
    assert (answer.status_code, answer.json()) == (200, server.status(python_kernel))


@pytest.mark.parametrize(
    "targets",
    [
        {"status": "dead,connected"},
        {"status": "connected,terminating", "execution_state": "idle"},
        {"execution_state": "busy,idle"},
        {"state": "running,idle"},
        {"status": "dead,connected", "execution_state": "idle", "state": "idle,running"},
    ],
)
def test_comma_list_is_any_of(server: Server, python_kernel: str, targets: dict[str, str]) -> None:
    """Of a comma list any word will do; what can hold makes the whole possible."""
    assert server.wait(python_kernel, **targets, timeout=0).status_code == 200


@pytest.mark.parametrize(
    "targets",
    [
        {"status": "dead,connecting"},
        {"execution_state": "busy"},
        {"state": "running,stopped"},
        {"status": "connected", "execution_state": "busy"},
        {"status": "connected", "state": "running"},
        {"execution_state": "idle", "state": "stopped", "status": "unresponsive,terminating"},
    ],
)
def test_all_targets_must_hold_together(
    server: Server, python_kernel: str, targets: dict[str, str]
) -> None:
    """One target that does not hold is enough to wait on."""
    assert server.wait(python_kernel, **targets, timeout=0).status_code == 504


@pytest.mark.parametrize("targets", IMPOSSIBLE, ids=lambda targets: "+".join(targets.values()))
def test_impossible_combination_is_400(
    server: Server, python_kernel: str, targets: dict[str, str]
) -> None:
    """Words that section 1 excludes together are refused at once with a sentence."""
    answer = server.wait(python_kernel, **targets)
    assert answer.status_code == 400, answer.text
    assert " " in answer.json()["message"]


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("status", ["connected", "autorestarting", "unresponsive", "terminating", "dead"]),
        ("execution_state", ["starting", "idle", "busy", "dead", "unknown"]),
        ("state", ["running", "idle", "stopped"]),
    ],
)
@pytest.mark.parametrize("word", ["ready", "connected,nonsense", "IDLE", ""])
def test_unknown_word_is_400_and_lists_the_allowed(
    server: Server, python_kernel: str, target: str, allowed: list[str], word: str
) -> None:
    """A word that does not exist is refused, and the message lists those that do."""
    answer = server.wait(python_kernel, **{target: word})
    assert answer.status_code == 400, answer.text
    assert all(each in answer.json()["message"] for each in allowed)


@pytest.mark.parametrize(
    "timeout", ["-1", "-0.001", "nan", "inf", "-inf", "1e999", "soon", "", "1,5", "0x10"]
)
def test_bad_timeout_is_400(server: Server, python_kernel: str, timeout: str) -> None:
    """A timeout that is negative, not finite or no number is refused, the parameter named."""
    answer = server.wait(python_kernel, status="dead", timeout=timeout)
    assert answer.status_code == 400, answer.text
    assert "timeout" in answer.json()["message"]


@pytest.mark.parametrize("since", ["-1", "1.5", "nan", "inf", "now", "", "0x10", "1_0", "\u0661"])
def test_bad_since_is_400(server: Server, python_kernel: str, since: str) -> None:
    """A revision that is no non-negative whole number is refused, the parameter named."""
    answer = server.wait(python_kernel, since=since, timeout=1)
    assert answer.status_code == 400, answer.text
    assert "since" in answer.json()["message"]


@pytest.mark.parametrize("kernel", [str(uuid.UUID(int=3)), "a-b-c-d-e", "nobody"])
@pytest.mark.parametrize("call", ["wait", "status", "history"])
def test_unknown_kernel_is_404(server: Server, kernel: str, call: str) -> None:
    """An unknown kernel is 404 in JSON whose message names it."""
    answer = server.http.get(f"api/kernels/{kernel}/{call}")
    assert answer.status_code == 404
    assert kernel in answer.json()["message"]


def test_timeout_zero_looks_once(server: Server, fake: Starter) -> None:
    """`timeout=0` answers at once: 504 when it does not hold, 200 when it does."""
    gate = server.gate()
    kernel = fake("slow", gate=gate, wait=False)
    assert server.wait(kernel, timeout=0).status_code == 504
    gate.open()
    server.settled(kernel)
    assert server.wait(kernel, timeout=0).status_code == 200


@pytest.mark.parametrize("timeout", [0, 0.3, 1.2])
def test_timeout_is_504_with_the_kernel(server: Server, python_kernel: str, timeout: float) -> None:
    """After `timeout` seconds, no earlier: 504 with a sentence, `timeout` and the status."""
    begin = time.monotonic()
    answer = server.wait(python_kernel, execution_state="busy", timeout=timeout)
    took = time.monotonic() - begin
    assert (answer.status_code, set(answer.json())) == (504, {"message", "reason", "kernel"})
    assert answer.json()["reason"] == "timeout"
    assert python_kernel in answer.json()["message"]
    assert answer.json()["kernel"] == server.status(python_kernel)
    assert took >= timeout * 0.95


def test_timeout_is_no_fault_in_the_log(server: Server, python_kernel: str) -> None:
    """A wait that times out leaves no warning and no error in the log."""
    before = len(server.log())
    server.wait(python_kernel, execution_state="busy", timeout=0)
    lines = server.log()[before:].splitlines()
    assert not [
        line for line in lines if line.startswith(("[W", "[E", "[C")) or "Traceback" in line
    ]


def test_timeout_is_cut_to_max_wait(short: Server) -> None:
    """A timeout beyond `max_wait` is cut to it, the default of 30 s as well."""
    kernel = short.connected(short.fake())
    for timeout in (50, 1e300, None):
        begin = time.monotonic()
        assert short.wait(kernel, timeout, execution_state="busy").status_code == 504
        assert 0.9 <= time.monotonic() - begin < 25


def test_dead_kernel_is_409_at_once(server: Server, fake: Starter) -> None:
    """Who waits for work of a dead kernel gets 409, its reason and its status, at once."""
    kernel = fake("die-at-start", code=6, wait=False)
    status = server.until_dead(kernel)
    for targets in (
        {},
        {"status": "connecting"},
        {"execution_state": "idle"},
        {"state": "idle,running"},
    ):
        answer = server.wait(kernel, timeout=0, **targets)
        assert (answer.status_code, set(answer.json())) == (409, {"message", "reason", "kernel"})
        assert (answer.json()["reason"], answer.json()["kernel"]) == (status["reason"], status)


@pytest.mark.parametrize(
    "targets",
    [
        {"status": "dead"},
        {"execution_state": "dead"},
        {"state": "stopped"},
        {"status": "connected,dead"},
    ],
)
def test_dead_can_be_waited_for(server: Server, fake: Starter, targets: dict[str, str]) -> None:
    """A target that a dead kernel fulfils is answered with 200."""
    kernel = fake("die-at-start", wait=False)
    server.until_dead(kernel)
    answer = server.wait(kernel, **targets)
    assert (answer.status_code, answer.json()["status"]) == (200, "dead")


def test_becoming_dead_ends_the_wait(server: Server, fake: Starter) -> None:
    """A kernel that dies while somebody waits for it: 409 with the reason at that moment."""
    gate = server.gate()
    kernel = fake("die-at-start", gate=gate, code=6, wait=False)
    waiter = server.send_wait(kernel)
    gate.open()
    answer = waiter.answer()
    assert (answer.status_code, answer.json()["kernel"]["status"]) == (409, "dead")
    assert answer.json()["reason"] == server.status(kernel)["reason"] != ""


def test_autorestart_does_not_end_the_wait(server: Server, fake: Starter) -> None:
    """A death that is followed by an automatic restart is not the end: the waiter gets its 200."""
    kernel = fake("good")
    waiter = server.send_wait(kernel, status="connected", since=server.status(kernel)["revision"])
    kill(server, kernel)
    answer = waiter.answer()
    assert (answer.status_code, answer.json()["generation"]) == (200, 1)


@pytest.mark.parametrize("targets", [{"execution_state": "busy"}, {"status": "connecting"}])
def test_removed_while_waiting(server: Server, fake: Starter, targets: dict[str, str]) -> None:
    """A kernel that is removed while somebody waits: 409, the last status, and who removed it."""
    kernel = fake("good")
    waiter = server.send_wait(kernel, **targets)
    server.delete(kernel)
    answer = waiter.answer()
    told = answer.json()
    assert (answer.status_code, set(told)) == (409, {"message", "reason", "kernel"})
    assert (told["kernel"]["id"], told["kernel"]["cause"]) == (kernel, "Shutdown")
    assert told["reason"] == told["kernel"]["reason"] != ""


def test_removed_dead_kernel_ends_the_wait(server: Server, fake: Starter) -> None:
    """Also who waits for any change of a dead kernel is not left behind when it is removed."""
    kernel = fake("die-at-start", wait=False)
    revision = server.until_dead(kernel)["revision"]
    answer = server.wait(kernel, since=revision)
    assert answer.status_code == 409


def test_since_has_no_race(server: Server, python_kernel: str) -> None:
    """The revision of an idle kernel, a cell, wait for idle: never the idle before the cell."""
    for number in range(5):
        before = server.status(python_kernel)["revision"]
        with server.client(python_kernel) as client:
            cell = execute(client, f"import time; time.sleep(0.05); x = {number}")
            done = server.wait(python_kernel, execution_state="idle", since=before)
            assert reply_to(client, "shell", cell)["content"]["status"] == "ok"
        assert (done.status_code, done.json()["revision"] >= before + 2) == (200, True)


def test_since_tells_what_is_over(server: Server, fake: Starter) -> None:
    """A target that came true and is over by now still counts."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        cell = execute(client, "nothing")
        heard(client, "idle", cell)
    server.wait(kernel, execution_state="idle", since=before)
    assert server.status(kernel)["execution_state"] == "idle"
    for targets in (
        {"execution_state": "busy"},
        {"state": "running"},
        {"execution_state": "busy", "status": "connected"},
    ):
        assert server.wait(kernel, **targets, since=before, timeout=0).status_code == 200


def test_since_ignores_what_merely_lasts(server: Server, fake: Starter) -> None:
    """A target that held at REV and still holds has not come true: 504."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    for targets in ({"status": "connected"}, {"execution_state": "idle"}, {"state": "idle"}, {}):
        assert server.wait(kernel, **targets, since=before, timeout=0).status_code == 504


def test_since_ignores_what_lasts_through_changes(server: Server, fake: Starter) -> None:
    """Through busy and idle the status stayed connected: that never came true, while idle did."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    run(server, kernel, "nothing")
    assert server.wait(kernel, execution_state="idle", since=before).status_code == 200
    assert server.wait(kernel, status="connected", since=before, timeout=0).status_code == 504
    assert (
        server.wait(
            kernel, status="connected", execution_state="idle", since=before, timeout=0
        ).status_code
        == 200
    )
    assert (
        server.wait(kernel, execution_state="idle,busy", since=before, timeout=0).status_code == 504
    )


def test_since_looks_after_its_revision_only(server: Server, fake: Starter) -> None:
    """What came true before REV does not count: busy was before the last revision."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    run(server, kernel, "nothing")
    last = server.wait(kernel, execution_state="idle", since=before).json()["revision"]
    assert server.wait(kernel, execution_state="busy", since=last, timeout=0).status_code == 504
    middle = changes(server, kernel, before)[0]["revision"]
    assert server.wait(kernel, execution_state="idle", since=middle, timeout=0).status_code == 200
    assert server.wait(kernel, execution_state="busy", since=middle, timeout=0).status_code == 504


def test_since_alone_is_any_change(server: Server, fake: Starter) -> None:
    """Without a target `since` waits for any later change of this kernel, not of another."""
    gate = server.gate()
    kernel, other = fake("good"), fake("good")
    before = server.status(kernel)["revision"]
    run(server, other, "nothing")
    assert server.wait(kernel, since=before, timeout=0).status_code == 504
    with server.client(kernel) as client:
        waiter = server.send_wait(kernel, since=before)
        execute(client, gate.command)
        told = waiter.answer().json()
        gate.open()
    assert (told["execution_state"], told["revision"] > before) == ("busy", True)


def test_since_of_another_kernel(server: Server, fake: Starter) -> None:
    """Revisions are the server's: one taken from another kernel orders this one's changes too."""
    kernel, other = fake("good"), fake("good")
    server.wait(other, execution_state="idle")
    revision = max(server.status(kernel)["revision"], server.status(other)["revision"])
    assert server.wait(kernel, execution_state="idle", since=revision, timeout=0).status_code == 504
    run(server, kernel, "nothing")
    assert server.wait(kernel, execution_state="idle", since=revision).status_code == 200


def test_since_tells_a_restart_that_is_over(server: Server, fake: Starter) -> None:
    """Who asks after a restart what came true since REV hears which statuses it had."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    server.restart(kernel)
    come_back(server, kernel, before)
    assert server.wait(kernel, status="restarting", since=before, timeout=0).status_code == 200
    assert server.wait(kernel, status="connected", since=before, timeout=0).status_code == 200
    assert server.wait(kernel, status="autorestarting", since=before, timeout=0).status_code == 504


def test_since_of_a_dead_kernel(server: Server, fake: Starter) -> None:
    """What came true before the death is still told; what did not never will: 409."""
    gate = server.gate()
    kernel = fake("die-at-start", gate=gate, wait=False)
    server.wait(kernel, status="connecting")
    before = server.status(kernel)["revision"]
    gate.open()
    dead = server.until_dead(kernel)
    assert server.wait(kernel, status="dead", since=before, timeout=0).status_code == 200
    assert server.wait(kernel, status="connected", since=before).status_code == 409
    assert server.wait(kernel, status="connected", since=dead["revision"]).status_code == 409


@pytest.mark.parametrize("ahead", [1, 10**6, 2**63])
def test_future_revision_is_410(server: Server, python_kernel: str, ahead: int) -> None:
    """A revision that was never given is not known: 410, in JSON with a sentence."""
    newest = max(server.status(kernel)["revision"] for kernel in server.models())
    answer = server.wait(python_kernel, since=newest + ahead + 1_000, timeout=0)
    assert (answer.status_code, " " in answer.json()["message"]) == (410, True)


def test_forgotten_revision_is_410(server: Server, fake: Starter) -> None:
    """The history is bounded: a revision older than what is kept is 410, others are answered."""
    kernel = fake("good")
    first = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        for _ in range(600):
            cell = execute(client, "nothing")
            reply_to(client, "shell", cell)
    server.wait(kernel, execution_state="idle")
    kept = changes(server, kernel)
    forgotten = kept[0]["revision"] > first
    assert len(kept) < 1_200
    assert forgotten
    assert server.wait(kernel, execution_state="busy", since=first, timeout=0).status_code == 410
    assert (
        server.wait(
            kernel, execution_state="busy", since=kept[-4]["revision"], timeout=0
        ).status_code
        == 200
    )


@pytest.mark.usefixtures("many_files")
def test_thousand_waiters_on_one_change(server: Server, fake: Starter) -> None:
    """A thousand waiters hear of one change, all of the same, and leave nothing behind."""
    gate = server.gate()
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    fds = server.fds()
    waiters = []
    for _ in range(20):
        path = f"api/kernels/{kernel}/wait"
        waiters += [
            Call(server, "GET", path, execution_state="busy", since=before, timeout=60)
            for _ in range(50)
        ]
        server.taken_up()
    assert server.fds() >= fds + 1_000
    with server.client(kernel) as client:
        execute(client, gate.command)
        answers = [waiter.answer() for waiter in waiters]
        gate.open()
    told = {
        (answer.status_code, answer.json()["revision"], answer.json()["execution_state"])
        for answer in answers
    }
    assert told == {(200, before + 1, "busy")}
    eventually(lambda: server.fds() <= fds + 3, what="the connections are closed")


@pytest.mark.usefixtures("many_files")
def test_waiters_that_hang_up_leave_nothing(server: Server, fake: Starter) -> None:
    """Two hundred clients that go away while they wait leave no descriptor and no traceback."""
    kernel = fake("good")
    server.taken_up()
    fds, log = server.fds(), len(server.log())
    calls = [
        Call(server, "GET", f"api/kernels/{kernel}/wait", execution_state="busy", timeout=120)
        for _ in range(200)
    ]
    server.taken_up()
    assert server.fds() >= fds + 200
    for call in calls:
        call.hang_up()
    eventually(lambda: server.fds() <= fds + 3, what="the connections are closed")
    assert run(server, kernel, "nothing")["status"] == "ok"
    assert "Traceback" not in server.log()[log:]


def test_waiters_of_different_targets(server: Server, fake: Starter) -> None:
    """Each waiter is answered by its own target, in the order in which these come true."""
    gate, second = server.gate(), server.gate()
    kernel = fake("slow,slow", gate=gate, wait=False)
    server.wait(kernel, status="connecting")
    revision = server.status(kernel)["revision"]
    ready = server.send_wait(kernel)
    busy = server.send_wait(kernel, execution_state="busy")
    done = server.send_wait(kernel, execution_state="idle", status="connected", since=revision)
    gate.open()
    answers = [ready.answer(), done.answer()]
    with server.client(kernel) as client:
        execute(client, second.command)
        answers.append(busy.answer())
        second.open()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.json()["execution_state"] for answer in answers] == ["idle", "idle", "busy"]


def test_only_get(server: Server, python_kernel: str) -> None:
    """The new calls are reads: POST is not allowed."""
    for call in ("wait", "status", "history"):
        assert server.http.post(f"api/kernels/{python_kernel}/{call}").status_code == 405
