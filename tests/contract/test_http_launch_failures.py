"""Contract section 2: a start that fails says why, pending kernels or not, on both POSTs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from support.server import FAKE_KERNEL, Server, eventually
from support.stories import MODEL_KEYS, changes, come_back, kill, story

MISSING = "/nowhere/to/be/found/python-of-nobody"

FAILURES = {
    "unknown": "KernelspecNotFound",
    "missing": "ExecutableNotFound",
    "forbidden": "PermissionDenied",
}


@pytest.fixture(scope="module")
def pending() -> Iterator[Server]:
    """A server with pending kernels."""
    config = {
        "AsyncMultiKernelManager": {"use_pending_kernels": True},
        "KernelManager": {"shutdown_wait_time": 0.5},
    }
    with Server(config=config) as server:
        yield server


def broken(server: Server, failure: str) -> tuple[str, str]:
    """A kernel name that cannot be launched, and a word that its reason must name."""
    if failure == "unknown":
        return "no-such-kernelspec", "no-such-kernelspec"
    if failure == "missing":
        return server.spec("missing", [MISSING, "-f", "{connection_file}"]), MISSING
    script = server.script("forbidden-kernel", "exit 1")
    script.chmod(0o644)
    return server.spec("forbidden", [str(script), "{connection_file}"]), str(script)


@pytest.mark.parametrize(
    ("failure", "code"), [("unknown", 404), ("missing", 500), ("forbidden", 500)]
)
def test_post_kernel_names_the_cause(server: Server, failure: str, code: int) -> None:
    """`POST /api/kernels` answers an error that names what is missing, and leaves no kernel."""
    name, word = broken(server, failure)
    before = set(server.models())
    answer = server.post("api/kernels", {"name": name}, expect=code)
    assert word in answer["message"]
    assert "Unhandled error" not in str(answer)
    assert set(server.models()) == before


@pytest.mark.parametrize(
    ("failure", "code"), [("unknown", 501), ("missing", 500), ("forbidden", 500)]
)
def test_post_session_names_the_cause(server: Server, failure: str, code: int) -> None:
    """`POST /api/sessions` answers the same cause, 501 for a kernelspec, and leaves no session."""
    name, word = broken(server, failure)
    answer = server.session(f"{failure}.ipynb", name, expect=code)
    assert word in answer["message"]
    assert "Unhandled error" not in str(answer)
    assert [each["path"] for each in server.get("api/sessions")] == []


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_start_leaves_no_file(server: Server, failure: str) -> None:
    """A launch that failed leaves no connection file and no running kernel in core's gauge."""
    name, _ = broken(server, failure)
    before = server.connection_files()
    server.http.post("api/kernels", json={"name": name})
    assert server.connection_files() == before
    assert server.running_gauge(name) == 0


@pytest.mark.parametrize(
    "text",
    ["{not json", "[1]", "null", '{"display_name": "x"}', '{"argv": [], "language": "x"}'],
)
def test_a_kernelspec_that_cannot_be_used(pending: Server, text: str) -> None:
    """A broken kernel.json is told as that, whatever it is broken by."""
    name = pending.fake()
    (pending.data / "kernels" / name / "kernel.json").write_text(text)
    answer = pending.post("api/kernels", {"name": name}, expect=201)
    status = pending.until_dead(answer["id"], timeout=20)
    assert status["cause"] == "InvalidKernelspec"
    assert f"The kernelspec {name!r} cannot be used" in status["reason"]
    assert "kernel.json" in status["reason"]
    pending.delete(answer["id"])


def test_what_is_no_missing_command_is_not_told_as_one() -> None:
    """A missing runtime folder, a script without its interpreter, a text that is no program."""
    with Server() as server:
        script = server.script("no-interpreter", "exit 1")
        script.write_text("#!/nowhere/to/be/found/sh\nexit 1\n")
        told = server.post("api/kernels", {"name": server.spec("odd", [str(script)])}, expect=500)
        assert told["reason"] == "LaunchFailed"
        assert "was not found" not in told["message"]
        script.write_text("exit 1\n")
        told = server.post("api/kernels", {"name": server.spec("odd2", [str(script)])}, expect=500)
        assert told["reason"] == "LaunchFailed"
        assert "no program for this machine" in told["message"]
        name = server.fake()
        folder = server.runtime
        folder.rename(folder.with_name("moved away"))
        told = server.post("api/kernels", {"name": name}, expect=500)
        folder.with_name("moved away").rename(folder)
        assert told["reason"] == "LaunchFailed"
        assert str(folder) in told["message"]
        assert "command" not in told["message"]


def test_pending_kernel_answers_starting_at_once(pending: Server) -> None:
    """With pending kernels the POST answers 201 and `starting` before there is a process."""
    answer = pending.post("api/kernels", {"name": pending.fake()}, expect=201)
    assert (answer["status"], answer["execution_state"], answer["reason"]) == (
        "starting",
        "starting",
        "",
    )
    assert set(answer) == MODEL_KEYS
    assert pending.settled(answer["id"])["generation"] == 0
    told = story(changes(pending, answer["id"]), "status")
    assert told == ["starting", "connecting", "connected"]
    pending.delete(answer["id"])


def test_pending_session_answers_starting_at_once(pending: Server) -> None:
    """The same holds for the kernel of a session."""
    session = pending.session("pending.ipynb", pending.fake())
    assert (session["kernel"]["status"], session["kernel"]["execution_state"]) == (
        "starting",
        "starting",
    )
    assert pending.settled(session["kernel"]["id"])["status"] == "connected"
    pending.delete(session["kernel"]["id"])


@pytest.mark.parametrize("failure", FAILURES)
def test_pending_failure_turns_dead(pending: Server, failure: str) -> None:
    """With pending kernels a failing launch answers 201, `starting`, then turns dead."""
    name, word = broken(pending, failure)
    answer = pending.post("api/kernels", {"name": name}, expect=201)
    assert (answer["status"], answer["execution_state"]) == ("starting", "starting")
    status = pending.until_dead(answer["id"])
    assert (status["cause"], status["execution_state"], status["generation"]) == (
        FAILURES[failure],
        "dead",
        0,
    )
    assert (status["pid"], status["last_termination"], status["restart_count"]) == (None, None, 0)
    assert word in status["reason"]
    model = pending.model(answer["id"])
    assert (model["status"], model["reason"]) == ("dead", status["reason"])
    pending.delete(answer["id"])
    pending.get(f"api/kernels/{answer['id']}", expect=404)


@pytest.mark.parametrize("failure", FAILURES)
def test_pending_session_keeps_its_dead_kernel(pending: Server, failure: str) -> None:
    """A session whose pending kernel fails is kept and shows the dead kernel and its reason."""
    name, word = broken(pending, failure)
    session = pending.session(f"{failure}.ipynb", name)
    kernel = session["kernel"]["id"]
    pending.until_dead(kernel)
    assert word in pending.get(f"api/sessions/{session['id']}")["kernel"]["reason"]
    assert pending.http.delete(f"api/sessions/{session['id']}").status_code == 204
    pending.get(f"api/kernels/{kernel}", expect=404)


def test_pending_failure_can_be_mended(pending: Server) -> None:
    """A kernel that could not be launched is started by a restart once its executable exists."""
    script = pending.folder / "comes-later"
    name = pending.spec("later", [str(script), "-f", "{connection_file}"])
    kernel = pending.start_kernel(name)
    before = pending.until_dead(kernel)
    pending.script("comes-later", f'exec {sys.executable} {FAKE_KERNEL} "$@"')
    pending.restart(kernel)
    assert come_back(pending, kernel, before["revision"])["reason"] == ""
    pending.delete(kernel)


@pytest.mark.parametrize("failure", FAILURES)
def test_waiter_of_a_pending_kernel_hears_the_reason(pending: Server, failure: str) -> None:
    """Who waits for a kernel that cannot be launched gets 409 with the reason, soon."""
    name, word = broken(pending, failure)
    kernel = pending.start_kernel(name)
    answer = pending.wait(kernel)
    assert (answer.status_code, word in answer.json()["reason"]) == (409, True)
    pending.delete(kernel)


def test_pending_delete_at_once(pending: Server) -> None:
    """A pending kernel deleted right after its POST is gone in the end, process included."""
    kernel = pending.start_kernel(pending.fake())
    response = pending.http.delete(f"api/kernels/{kernel}")
    assert response.status_code in (204, 409)
    if response.status_code == 409:
        pending.settled(kernel)
        pending.delete(kernel)
    eventually(
        lambda: pending.http.get(f"api/kernels/{kernel}").status_code == 404,
        what="the kernel is gone",
    )
    assert pending.kernel_processes(kernel) == []


@pytest.mark.parametrize("action", ["restart", "interrupt"])
@pytest.mark.parametrize("name", ["good", "missing"])
def test_pending_kernel_takes_or_refuses_actions(pending: Server, action: str, name: str) -> None:
    """An action right after the POST of a pending kernel is done or refused, never 500."""
    kernel = pending.start_kernel(
        pending.fake() if name == "good" else broken(pending, "missing")[0]
    )
    response = pending.http.post(f"api/kernels/{kernel}/{action}")
    assert response.status_code in (200, 204, 409), response.text
    assert response.status_code != 409 or " " in response.json()["message"]
    wanted = "connected" if name == "good" else "dead"
    answer = pending.wait(kernel, status=wanted)
    assert answer.status_code == 200, f"{response.text} {answer.text}"
    pending.delete(kernel)


def test_restart_whose_launch_fails_is_dead(server: Server) -> None:
    """A restart whose launch fails answers the dead model with the reason; a later one works."""
    script = server.script("vanishes", f'exec {sys.executable} {FAKE_KERNEL} "$@"')
    kernel = server.connected(server.spec("vanishes", [str(script), "-f", "{connection_file}"]))
    script.unlink()
    model = server.restart(kernel)
    if model["status"] == "restarting":
        server.until_dead(kernel)
        model = server.model(kernel)
    assert (model["status"], model["execution_state"]) == ("dead", "dead")
    assert str(script) in model["reason"]
    status = server.status(kernel)
    assert (status["cause"], status["last_termination"]["cause"]) == (
        "ExecutableNotFound",
        "Restarted",
    )
    server.script("vanishes", f'exec {sys.executable} {FAKE_KERNEL} "$@"')
    server.restart(kernel)
    assert come_back(server, kernel, status["revision"])["status"] == "connected"
    server.delete(kernel)


def test_autorestart_whose_launch_fails_is_dead(server: Server) -> None:
    """A death whose automatic restart cannot be launched ends dead with a reason."""
    script = server.script("vanishes-too", f'exec {sys.executable} {FAKE_KERNEL} "$@"')
    kernel = server.connected(server.spec("vanishes-too", [str(script), "-f", "{connection_file}"]))
    script.unlink()
    kill(server, kernel)
    status = server.until_dead(kernel)
    assert status["reason"]
    assert status["last_termination"]["cause"] == "Killed"
    server.delete(kernel)


def test_failure_after_failure(server: Server) -> None:
    """After failed starts a good one works as if nothing had been."""
    for failure in FAILURES:
        server.http.post("api/kernels", json={"name": broken(server, failure)[0]})
    kernel = server.connected(server.fake())
    assert server.models()[kernel]["status"] == "connected"
    server.delete(kernel)
