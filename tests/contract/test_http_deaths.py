"""Contract sections 1 and 2: how kernels die, what is said about it, and what stays."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator

import pytest
from support.server import FAKE_KERNEL, Server, eventually, held_for
from support.stories import TERMINATION_KEYS, changes, come_back, execute, kill, moment, run, story

Starter = Callable[..., str]

SIGNALS = {
    "SIGKILL": "Killed",
    "SIGSEGV": "SegmentationFault",
    "SIGABRT": "Aborted",
    "SIGBUS": "BusError",
    "SIGILL": "IllegalInstruction",
    "SIGFPE": "FloatingPointException",
    "SIGTERM": "Terminated",
    "SIGINT": "Interrupted",
    "SIGXCPU": "CpuLimitExceeded",
    "SIGUSR1": "Signaled",
}


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server that restarts a kernel twice at most."""
    config = {
        "KernelRestarter": {"restart_limit": 2, "stable_start_time": 3600.0},
        "KernelManager": {"shutdown_wait_time": 0.5},
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def passive() -> Iterator[Server]:
    """A server that restarts no kernel and keeps only two dead ones."""
    config = {
        "KernelManager": {"autorestart": False, "shutdown_wait_time": 0.5},
        "KernelStatusApp": {"max_dead_kernels": 2},
    }
    with Server(config=config) as server:
        yield server


def last_words(server: Server, kernel: str) -> dict:
    """The last termination of a kernel, its form checked."""
    last = server.status(kernel)["last_termination"]
    assert set(last) == TERMINATION_KEYS
    assert moment(last["started_at"]) <= moment(last["finished_at"])
    return last


def give_up(server: Server, kernel: str, kills: int, how: signal.Signals = signal.SIGKILL) -> dict:
    """Kill each process of the kernel once it is connected, so often; gives the dead status."""
    for _ in range(kills):
        before = server.settled(kernel)["revision"]
        kill(server, kernel, how)
        status = server.wait(kernel, status="connected,dead", since=before).json()
    assert status["status"] == "dead"
    return status


@pytest.mark.parametrize(
    ("code", "cause"), [(0, "Exited"), (1, "Error"), (3, "Error"), (77, "Error")]
)
def test_exit_code_gives_cause_and_reason(
    server: Server, fake: Starter, code: int, cause: str
) -> None:
    """A kernel that leaves by itself is told by its exit code, and brought back."""
    kernel = fake("good")
    before = server.status(kernel)
    with server.client(kernel) as client:
        execute(client, f"die {code}")
        after = come_back(server, kernel, before["revision"])
    last = last_words(server, kernel)
    assert (last["cause"], last["exit_code"], last["signal"]) == (cause, code, None)
    assert (last["expected"], last["requested_by"]) == (False, None)
    assert (last["generation"], last["pid"]) == (0, before["pid"])
    assert (last["started_at"], after["generation"], after["restart_count"]) == (
        before["started_at"],
        1,
        1,
    )


def test_two_exit_codes_give_two_reasons(server: Server, fake: Starter) -> None:
    """The reason names what was measured: other exit code, other sentence."""
    reasons = []
    for code in (3, 77):
        kernel = fake("good")
        before = server.status(kernel)["revision"]
        with server.client(kernel) as client:
            execute(client, f"die {code}")
            come_back(server, kernel, before)
        reasons.append(last_words(server, kernel)["reason"])
    assert ("3" in reasons[0], "77" in reasons[1]) == (True, True)
    assert reasons[0] != reasons[1]


@pytest.mark.parametrize("name", SIGNALS)
def test_signal_gives_cause(server: Server, fake: Starter, name: str) -> None:
    """A kernel that a signal ends is told by the signal's name, never by an exit code as well."""
    gate = server.gate()
    kernel = fake("die-on-gate,good", gate=gate, signal=int(signal.Signals[name]))
    before = server.status(kernel)["revision"]
    gate.open()
    come_back(server, kernel, before)
    last = last_words(server, kernel)
    assert (last["cause"], last["signal"], last["exit_code"]) == (SIGNALS[name], name, None)
    assert (last["expected"], last["requested_by"]) == (False, None)
    assert name in last["reason"]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_shell_wrapper_counts_as_the_signal(server: Server, start: Starter, name: str) -> None:
    """128+n of a shell around the kernel has the cause of signal n; `exit_code` keeps it."""
    gate, number = server.gate(), int(signal.Signals[name])
    spec = server.fake(mode="die-on-gate,good", gate=gate, signal=number)
    starts = server.data / "kernels" / spec / "starts"
    options = [
        "--mode=die-on-gate,good",
        f"--gate={gate}",
        f"--signal={number}",
        f"--starts={starts}",
    ]
    inner = shlex.join([sys.executable, str(FAKE_KERNEL), *options])
    server.spec(spec, ["sh", "-c", f'{inner} -f "$0"; exit $?', "{connection_file}"])
    kernel = start(spec)
    before = server.status(kernel)["revision"]
    gate.open()
    come_back(server, kernel, before)
    last = last_words(server, kernel)
    assert (last["cause"], last["exit_code"], last["signal"]) == (SIGNALS[name], 128 + number, None)


@pytest.mark.parametrize(
    ("code", "cause", "exit_code", "name"),
    [
        ("import os; os._exit(5)", "Error", 5, None),
        ("import os; os._exit(0)", "Exited", 0, None),
        ("import ctypes; ctypes.string_at(0)", "SegmentationFault", None, "SIGSEGV"),
        ("import os; os.abort()", "Aborted", None, "SIGABRT"),
    ],
)
def test_deaths_of_a_real_kernel(
    server: Server,
    python_kernel: str,
    code: str,
    cause: str,
    exit_code: int | None,
    name: str | None,
) -> None:
    """An ipykernel that dies in a cell is told by its real exit status and comes back."""
    before = server.settled(python_kernel)
    with server.client(python_kernel) as client:
        execute(client, code)
        come_back(server, python_kernel, before["revision"])
    last = last_words(server, python_kernel)
    assert (last["cause"], last["exit_code"], last["signal"]) == (cause, exit_code, name)
    assert last["pid"] == before["pid"]
    assert run(server, python_kernel, "1+1")["status"] == "ok"


def test_dead_at_start_is_dead_at_once(server: Server, fake: Starter) -> None:
    """A kernel that ends before it answered is dead with its exit code and is not started again."""
    kernel = fake("die-at-start", code=5, wait=False)
    status = server.until_dead(kernel)
    assert (status["status"], status["execution_state"], status["state"]) == (
        "dead",
        "dead",
        "stopped",
    )
    assert (status["cause"], status["restart_count"], status["connected_at"]) == (
        "StartFailed",
        0,
        None,
    )
    assert last_words(server, kernel)["exit_code"] == 5
    name = status["name"]
    assert held_for(
        lambda: len(server.starts(name)) == 1 and server.status(kernel)["status"] == "dead", 4
    )


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ({"code": 0}, "StartFailed"),
        ({"code": 6}, "StartFailed"),
        ({"signal": 11}, "SegmentationFault"),
        ({"signal": 9}, "Killed"),
    ],
)
def test_dead_at_start_says_how(
    server: Server, fake: Starter, how: dict[str, int], cause: str
) -> None:
    """A failed start keeps what was measured; a signal says more than that it never answered."""
    kernel = fake("die-at-start", wait=False, **how)
    assert server.until_dead(kernel)["cause"] == cause
    last = last_words(server, kernel)
    name = signal.Signals(how["signal"]).name if "signal" in how else None
    assert (last["exit_code"], last["signal"]) == (how.get("code"), name)
    assert (name or str(how["code"])) in server.status(kernel)["reason"]


def test_dies_while_starting(server: Server, fake: Starter) -> None:
    """A kernel that lives for a while but never answered is dead at once when it ends."""
    gate = server.gate()
    kernel = fake("die-at-start", gate=gate, code=9, wait=False)
    server.wait(kernel, status="connecting")
    before = server.status(kernel)["revision"]
    gate.open()
    assert server.wait(kernel, status="dead", since=before).json()["cause"] == "StartFailed"
    assert "autorestarting" not in story(changes(server, kernel), "status")


def test_start_retries() -> None:
    """With `start_retries=1` a kernel that fails its first start gets a second one."""
    with Server(config={"KernelStatusApp": {"start_retries": 1}}) as server:
        lucky = server.start_kernel(server.fake(mode="die-at-start,good"))
        unlucky_name = server.fake(mode="die-at-start", code=8)
        unlucky = server.start_kernel(unlucky_name)
        assert server.wait(lucky, status="connected").status_code == 200
        server.until_dead(unlucky)
        assert len(server.starts(unlucky_name)) == 2
        assert last_words(server, unlucky)["exit_code"] == 8


def test_crash_loop(strict: Server) -> None:
    """A kernel that dies again and again ends dead, CrashLoop, its last termination kept."""
    name = strict.fake()
    kernel = strict.start_kernel(name)
    status = give_up(strict, kernel, 3, signal.SIGSEGV)
    assert (status["cause"], status["execution_state"], status["state"]) == (
        "CrashLoop",
        "dead",
        "stopped",
    )
    assert (status["generation"], status["restart_count"], len(strict.starts(name))) == (2, 2, 3)
    last = last_words(strict, kernel)
    assert (last["cause"], last["signal"], last["generation"]) == (
        "SegmentationFault",
        "SIGSEGV",
        2,
    )
    assert [each["generation"] for each in strict.history(kernel)["terminations"]] == [0, 1, 2]
    assert strict.models()[kernel]["reason"] == status["reason"] != ""


def test_crash_loop_names_what_happened(strict: Server) -> None:
    """Two ways to crash in a loop give two reasons."""
    reasons = set()
    for how in (signal.SIGKILL, signal.SIGABRT):
        reasons.add(give_up(strict, strict.start_kernel(strict.fake()), 3, how)["reason"])
    assert len(reasons) == 2


def test_restart_that_never_answers_again(strict: Server) -> None:
    """Whose later processes all die at once is dead within the limit, and says why it all began."""
    name = strict.fake(mode="good,die-at-start", code=7)
    kernel = strict.connected(name)
    kill(strict, kernel)
    dead = strict.until_dead(kernel)
    assert dead["cause"] == "CrashLoop"
    assert len(strict.starts(name)) == 3
    last = last_words(strict, kernel)
    assert (last["cause"], last["generation"]) == ("Killed", 0)
    assert "killed by SIGKILL" in dead["reason"]
    assert "exited with code 7" in dead["reason"]
    ends = [each["exit_code"] for each in strict.history(kernel)["terminations"]]
    assert ends == [None, 7, 7]


def test_default_restart_limit_is_jupyter_clients(server: Server, fake: Starter) -> None:
    """Without configuration the sixth death in a row is the last."""
    kernel = fake("good,die-at-start", code=7)
    name = server.status(kernel)["name"]
    kill(server, kernel)
    assert server.until_dead(kernel)["cause"] == "CrashLoop"
    assert len(server.starts(name)) == 6


def test_without_autorestart(passive: Server) -> None:
    """With `autorestart=False` a killed kernel is dead at once, by its own cause, and stays."""
    name = passive.fake()
    kernel = passive.connected(name)
    kill(passive, kernel)
    status = passive.until_dead(kernel)
    assert (status["cause"], status["restart_count"], len(passive.starts(name))) == ("Killed", 0, 1)
    assert last_words(passive, kernel)["signal"] == "SIGKILL"
    assert passive.post(f"api/kernels/{kernel}/interrupt", expect=409)["message"]
    assert passive.models()[kernel]["status"] == "dead"


def test_oldest_dead_goes_beyond_the_limit(passive: Server) -> None:
    """Of more dead kernels than `max_dead_kernels` the oldest goes."""
    dead = []
    for code in (1, 2, 3):
        dead.append(passive.start_kernel(passive.fake(mode="die-at-start", code=code)))
        passive.until_dead(dead[-1])
    eventually(
        lambda: passive.http.get(f"api/kernels/{dead[0]}").status_code == 404,
        what="the oldest is gone",
    )
    assert [kernel in passive.models() for kernel in dead] == [False, True, True]


def test_dead_goes_after_its_retention() -> None:
    """A dead kernel goes after `dead_kernel_retention`, a living one stays."""
    with Server(config={"KernelStatusApp": {"dead_kernel_retention": 1.5}}) as server:
        alive = server.connected(server.fake())
        dead = server.start_kernel(server.fake(mode="die-at-start"))
        since = moment(server.until_dead(dead)["since"])
        assert server.model(dead)["status"] == "dead"
        assert moment(server.status(alive)["started_at"]) < since + 1
        eventually(
            lambda: server.http.get(f"api/kernels/{dead}").status_code == 404,
            what="the dead kernel is gone",
        )
        assert set(server.models()) == {alive}


def test_dead_stays_with_its_session(server: Server) -> None:
    """A dead kernel stays: model, list, status, history, and its session under the same id."""
    session = server.session("stays.ipynb", server.fake(mode="die-at-start", code=2))
    kernel = session["kernel"]["id"]
    status = server.until_dead(kernel)
    assert server.models()[kernel]["status"] == "dead"
    assert server.get(f"api/sessions/{session['id']}")["kernel"]["reason"] == status["reason"]
    assert session["id"] in [each["id"] for each in server.get("api/sessions")]
    assert server.history(kernel)["changes"][-1]["status"] == "dead"
    server.delete(kernel)
    assert session["id"] not in [each["id"] for each in server.get("api/sessions")]


def test_restart_of_a_dead_kernel(server: Server, fake: Starter) -> None:
    """`POST .../restart` starts a dead kernel: next generation, no automatic one, no reason."""
    kernel = fake("die-at-start,good", code=2, wait=False)
    before = server.until_dead(kernel)
    model = server.restart(kernel)
    assert model["status"] in ("restarting", "connected")
    after = come_back(server, kernel, before["revision"])
    assert (after["generation"], after["restart_count"], after["reason"], after["cause"]) == (
        1,
        0,
        "",
        None,
    )
    assert after["last_termination"]["exit_code"] == 2
    assert run(server, kernel, "nothing")["status"] == "ok"


def test_restart_of_a_crashed_kernel(strict: Server) -> None:
    """After CrashLoop a restart gives the kernel its full number of automatic restarts again."""
    kernel = strict.start_kernel(strict.fake())
    dead = give_up(strict, kernel, 3)
    strict.restart(kernel)
    back = come_back(strict, kernel, dead["revision"])
    kill(strict, kernel)
    again = come_back(strict, kernel, back["revision"])
    assert (again["generation"], again["status"]) == (4, "connected")


def test_session_starts_its_dead_kernel_again(server: Server) -> None:
    """`POST /api/sessions` for a dead kernel's path starts it: same session, same kernel id."""
    name = server.fake(mode="die-at-start,good")
    session = server.session("again.ipynb", name)
    kernel = session["kernel"]["id"]
    dead = server.until_dead(kernel)
    again = server.session("again.ipynb", name)
    assert (again["id"], again["kernel"]["id"]) == (session["id"], kernel)
    assert come_back(server, kernel, dead["revision"])["generation"] == 1
    assert len(server.starts(name)) == 2
    server.delete(kernel)


def test_session_of_a_living_kernel_restarts_nothing(server: Server) -> None:
    """`POST /api/sessions` for a living kernel's path only answers the session, as in stock."""
    name = server.fake()
    session = server.session("lives.ipynb", name)
    before = server.settled(session["kernel"]["id"])
    again = server.session("lives.ipynb", name)
    assert (again["id"], again["kernel"]["id"]) == (session["id"], session["kernel"]["id"])
    assert server.status(session["kernel"]["id"])["revision"] == before["revision"]
    assert len(server.starts(name)) == 1
    server.delete(session["kernel"]["id"])


def test_session_of_a_kernel_that_dies_meanwhile(server: Server) -> None:
    """A kernel that dies while its session is made: 201, or an error that carries the reason."""
    body = {
        "path": "dies.ipynb",
        "type": "notebook",
        "kernel": {"name": server.fake(mode="die-at-start", code=1)},
    }
    response = server.http.post("api/sessions", json=body)
    if response.status_code == 201:
        assert server.until_dead(response.json()["kernel"]["id"])["reason"]
        server.delete(response.json()["kernel"]["id"])
    else:
        assert "Unhandled" not in response.json()["message"]


def test_delete_removes_a_dead_kernel(server: Server) -> None:
    """`DELETE` of a dead kernel answers 204; nothing of it is left, no connection file either."""
    kernel = server.start_kernel(server.fake(mode="die-at-start"))
    server.until_dead(kernel)
    server.delete(kernel)
    for path in ("", "/status", "/wait", "/history"):
        server.get(f"api/kernels/{kernel}{path}", expect=404)
    assert kernel not in server.models()
    assert not [path for path in server.connection_files() if kernel in path.name]
    server.delete(kernel, expect=404)


def test_dead_does_not_count_as_running(server: Server) -> None:
    """Core's gauge of running kernels goes with the truth: start, death, restart, death, delete."""
    name = server.fake(mode="die-at-start,good,die-at-start")
    seen = [server.running_gauge(name)]
    kernel = server.start_kernel(name)
    dead = server.until_dead(kernel)
    seen.append(server.running_gauge(name))
    server.restart(kernel)
    come_back(server, kernel, dead["revision"])
    seen.append(server.running_gauge(name))
    server.delete(kernel)
    seen.append(server.running_gauge(name))
    assert seen == [0, 0, 1, 0]


def test_gauge_after_crash_and_delete(strict: Server) -> None:
    """The gauge is 1 through all automatic restarts, 0 after the last and after the DELETE."""
    name = strict.fake()
    kernel = strict.connected(name)
    before = strict.status(kernel)["revision"]
    kill(strict, kernel)
    come_back(strict, kernel, before)
    assert strict.running_gauge(name) == 1
    give_up(strict, kernel, 2)
    assert strict.running_gauge(name) == 0
    strict.delete(kernel)
    assert strict.running_gauge(name) == 0


def test_dies_twice_in_a_row(server: Server, fake: Starter) -> None:
    """A process that dies the moment it is started again is followed like any other."""
    kernel = fake("good,die-at-start,die-at-start,good", code=7)
    before = server.status(kernel)
    kill(server, kernel)
    after = come_back(server, kernel, before["revision"])
    assert (after["generation"], after["restart_count"]) == (3, 3)
    assert [each["generation"] for each in server.history(kernel)["terminations"]] == [0, 1, 2]
    assert story(changes(server, kernel, before["revision"]), "status") == [
        "autorestarting",
        "connected",
    ]


def test_dies_while_restarting(server: Server, fake: Starter) -> None:
    """A new process that dies in a requested restart does not leave the kernel restarting."""
    kernel = fake("good,die-at-start,good", code=7)
    before = server.status(kernel)
    server.restart(kernel)
    after = server.wait(kernel, status="connected,dead", since=before["revision"]).json()
    assert after["status"] in ("connected", "dead")
    assert server.history(kernel)["terminations"][0]["cause"] == "Restarted"


def test_two_kernels_die_apart(server: Server, fake: Starter) -> None:
    """The death of one kernel is not told of another."""
    one, two = fake("good"), fake("good")
    before = server.status(two)
    revision = server.status(one)["revision"]
    kill(server, one)
    come_back(server, one, revision)
    assert server.status(two) == before


def test_reasons_are_sentences(strict: Server) -> None:
    """Every reason is one sentence on one line: a capital, a full stop, no Python in it."""
    gate = strict.gate()
    kernels = [
        strict.start_kernel(strict.fake(mode="die-at-start", **how))
        for how in ({"code": 3}, {"signal": 11})
    ]
    kernels.append(strict.connected(strict.fake(mode="good,die-on-gate,good", gate=gate, code=9)))
    gate.open()
    give_up(strict, kernels[2], 2)
    reasons = {change["reason"] for kernel in kernels for change in changes(strict, kernel)} - {""}
    assert len(reasons) >= 4
    for reason in reasons:
        assert reason[0].isupper(), reason
        assert reason[-1] in ".!?", reason
        assert not {"\n", "None", "Error(", "<"} & {reason, *reason.split()}, reason


@pytest.mark.parametrize("modes", ["die-at-start", "good,die-at-start", "good"])
def test_log_names_the_kernel_that_died(strict: Server, modes: str) -> None:
    """Each death leaves a line in the log with the kernel's id and what is known."""
    kernel = strict.start_kernel(strict.fake(mode=modes, code=3))
    if modes == "die-at-start":
        strict.until_dead(kernel)
    else:
        before = strict.settled(kernel)["revision"]
        kill(strict, kernel)
        strict.wait(kernel, status="connected,dead", since=before)
    last = last_words(strict, kernel)
    words = ("SIGKILL",) if last["signal"] else ("code 3", "status 3")
    assert [
        line
        for line in strict.log().splitlines()
        if kernel in line and any(word in line for word in words)
    ]
