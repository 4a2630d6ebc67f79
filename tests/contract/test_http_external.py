"""Section 6, external kernels: started by somebody else, found by their connection files."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager
from support.external import PORTS, External
from support.held_port import HeldPort
from support.kernel_socket import Upgrade, connect, of_type
from support.server import MARK, Server, eventually, free_port, held_for
from support.stories import MODEL_KEYS, STATUS_KEYS, changes, execute, reply_to, story

Owner = Callable[..., External]

CONFIG = {
    "ServerApp": {"allow_external_kernels": True},
    "KernelManager": {"shutdown_wait_time": 0.5},
    "KernelStatusApp": {"heartbeat_interval": 0.2, "unresponsive_after": 2.0},
}
ACTIONS = {"restart": (200, 409), "interrupt": (204, 409)}


def external_folder(server: Server) -> Path:
    """Where a server looks when it is not told otherwise."""
    folder = server.runtime / "external_kernels"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that looks for kernels of others, and feels hearts often."""
    with Server(config=CONFIG) as server:
        yield server


@pytest.fixture
def owner(server: Server) -> Iterator[Owner]:
    """Somebody who has external kernels, running ones unless `start=False`."""
    owned: list[External] = []

    def own(mode: str = "good", *, start: bool = True, **options: object) -> External:
        owned.append(External(external_folder(server), mode, **options))
        return owned[-1].start() if start else owned[-1]

    yield own
    for external in owned:
        external.close()
    server.models()


def words(server: Server, kernel: str) -> tuple[str, str, str]:
    """The three words of its status."""
    status = server.status(kernel)
    return status["status"], status["execution_state"], status["state"]


def felt(server: Server, kernel: str) -> dict:
    """Its status once it is connected and idle and has been for a while: its heart was felt."""
    server.settled(kernel)
    assert held_for(lambda: words(server, kernel) == ("connected", "idle", "idle"), 1.5)
    return server.status(kernel)


def stopped(server: Server, external: External, kernel: str) -> dict:
    """Stop its process and wait until that is told."""
    external.signal(signal.SIGSTOP)
    answer = server.wait(kernel, status="unresponsive")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_unknown_until_heard(server: Server, owner: Owner) -> None:
    """It is known from the first listing on, unknown as long as nothing answers, then connected."""
    external = owner(start=False)
    kernel = external.id(server)
    assert set(server.models()[kernel]) >= MODEL_KEYS
    assert set(server.status(kernel)) == STATUS_KEYS
    assert held_for(lambda: words(server, kernel) == ("unknown", "unknown", "stopped"), 1.0)
    for model in (server.model(kernel), server.models()[kernel]):
        assert (model["status"], model["execution_state"]) == ("unknown", "unknown")
    assert server.wait(kernel, timeout=0).status_code == 504
    external.start()
    assert server.settled(kernel)["reason"] == ""
    assert words(server, kernel) == ("connected", "idle", "idle")
    assert (server.model(kernel)["status"], server.model(kernel)["execution_state"]) == (
        "connected",
        "idle",
    )
    assert story(changes(server, kernel), "status") == ["unknown", "connected"]


def test_who_waits_hears_that_it_is_there(server: Server, owner: Owner) -> None:
    """A wait that began while it was unknown is answered when its process answers."""
    external = owner(start=False)
    kernel = external.id(server)
    call = server.send_wait(kernel, status="connected", execution_state="idle")
    external.start()
    answer = call.answer()
    assert (answer.status_code, answer.body["status"]) == (200, "connected")


def test_a_running_kernel_is_heard(server: Server, owner: Owner) -> None:
    """One that ran before the server looked is connected without anybody talking to it."""
    external = owner()
    with external.client() as client:
        assert reply_to(client, "shell", execute(client, "nothing"))["content"]["status"] == "ok"
    kernel = external.id(server)
    assert server.settled(kernel)["name"] == external.name
    assert server.model(kernel)["name"] == external.name
    assert external.id(server) == kernel


def test_iopub_is_followed(server: Server, owner: Owner) -> None:
    """Busy while a cell of its owner runs, idle afterwards, again and again."""
    external = owner()
    kernel = external.id(server)
    before = server.settled(kernel)["revision"]
    with external.client() as client:
        for _ in range(2):
            gate, since = server.gate(), server.status(kernel)["revision"]
            execute(client, gate.command)
            told = server.wait(kernel, execution_state="busy", since=since).json()
            assert (told["status"], told["state"]) == ("connected", "running")
            assert server.model(kernel)["execution_state"] == "busy"
            gate.open()
            idle = server.wait(kernel, execution_state="idle", since=told["revision"])
            assert idle.json()["state"] == "idle"
    seen = story(changes(server, kernel, before), "execution_state")
    assert seen == ["busy", "idle", "busy", "idle"]


def test_nobody_is_connected_before_its_iopub_is_heard(server: Server) -> None:
    """One whose iopub stays away is connected late, and then asked what it does."""
    external = External(external_folder(server))
    info = json.loads(external.file.read_text())
    held = HeldPort(info["iopub_port"])
    behind = external.file.parent.parent / f"behind-{external.file.name}"
    behind.write_text(external.file.read_text())
    external.start(behind)
    external.file.write_text(json.dumps({**info, "iopub_port": held.port}))
    try:
        kernel = external.id(server)
        assert held_for(lambda: server.status(kernel)["status"] == "unknown", 1.5)
        since, gate = server.status(kernel)["revision"], server.gate()
        with external.client(behind) as client:
            execute(client, gate.command)
            busy = server.wait(kernel, execution_state="busy", since=since)
            assert busy.status_code == 200, busy.text
            held.release()
            gate.open()
            server.settled(kernel)
    finally:
        held.close()
        behind.unlink()
        external.close()
        server.models()


def test_found_while_it_is_busy(server: Server, owner: Owner) -> None:
    """One that computes while it is found is idle when it is done, whatever was told before."""
    external, gate = owner(), server.gate()
    with external.client() as client:
        cell = execute(client, gate.command)
        kernel = external.id(server)
        assert server.wait(kernel, status="connected", timeout=10).status_code in (200, 504)
        gate.open()
        reply_to(client, "shell", cell)
        server.settled(kernel)
        assert words(server, kernel) == ("connected", "idle", "idle")


def test_a_kernel_of_jupyter_client(server: Server) -> None:
    """An ipykernel that `jupyter_client` has started elsewhere is followed like one of ours."""
    file = external_folder(server) / "theirs.json"
    ports = {name: free_port() for name in PORTS}
    manager = KernelManager(kernel_name="python3", connection_file=str(file), **ports)
    manager.start_kernel(env={name: each for name, each in server.env.items() if name != MARK})
    try:
        assert json.loads(file.read_text())["kernel_name"] == "python3"
        eventually(lambda: "python3" in [each["name"] for each in server.models().values()])
        (kernel,) = [id_ for id_, model in server.models().items() if model["name"] == "python3"]
        before, gate = server.settled(kernel)["revision"], server.gate()
        with connect(server, kernel) as socket:
            assert socket.told()["execution_state"] == "idle"
            cell = socket.execute(f"{gate.cell}\n6 * 7")
            assert server.wait(kernel, execution_state="busy", since=before).status_code == 200
            gate.open()
            (result,) = of_type(socket.finished(cell), "execute_result")
            assert result["data"]["text/plain"] == "42"
        assert server.wait(kernel, execution_state="idle").status_code == 200
    finally:
        manager.shutdown_kernel(now=True)
        file.unlink(missing_ok=True)
    eventually(lambda: kernel not in server.models(), what="it is gone")


def test_a_stopped_one_is_unresponsive_until_it_goes_on(server: Server, owner: Owner) -> None:
    """SIGSTOP is told with a reason, its last state is kept, SIGCONT clears it."""
    external = owner()
    kernel = external.id(server)
    felt(server, kernel)
    told = stopped(server, external, kernel)
    assert (told["execution_state"], told["state"]) == ("idle", "stopped")
    assert " " in told["reason"]
    assert told["cause"]
    assert server.models()[kernel]["status"] == "unresponsive"
    assert server.model(kernel)["reason"] == told["reason"]
    external.signal(signal.SIGCONT)
    back = server.wait(kernel, status="connected", since=told["revision"]).json()
    assert (back["reason"], back["cause"], back["execution_state"]) == ("", None, "idle")


def test_stopped_right_after_they_were_heard(server: Server, owner: Owner) -> None:
    """Those that are stopped the moment they are connected are told as well, and idle, not busy."""
    externals = [owner() for _ in range(4)]
    kernels = {external.id(server): external for external in externals}
    for kernel, external in kernels.items():
        server.settled(kernel)
        external.signal(signal.SIGSTOP)
    for kernel, external in kernels.items():
        answer = server.wait(kernel, status="unresponsive")
        assert answer.status_code == 200, answer.text
        assert (answer.json()["execution_state"], answer.json()["state"]) == ("idle", "stopped")
        external.signal(signal.SIGCONT)
        server.settled(kernel)


def test_a_stopped_busy_one_reads_busy(server: Server, owner: Owner) -> None:
    """One that beat while it was busy and is stopped then is unresponsive and busy."""
    external, gate = owner(), server.gate()
    kernel = external.id(server)
    before = server.settled(kernel)["revision"]
    with external.client() as client:
        execute(client, gate.command)
        server.wait(kernel, execution_state="busy", since=before)
        assert held_for(lambda: words(server, kernel) == ("connected", "busy", "running"), 1.5)
        told = stopped(server, external, kernel)
        assert (told["execution_state"], told["state"]) == ("busy", "running")
        external.signal(signal.SIGCONT)
        gate.open()
        assert server.settled(kernel)["reason"] == ""


def test_a_killed_one_is_unresponsive_until_its_owner_replaces_it(
    server: Server, owner: Owner
) -> None:
    """Nobody here can see its process: a killed one stops answering, the next one is heard."""
    external = owner()
    kernel = external.id(server)
    felt(server, kernel)
    external.signal(signal.SIGKILL)
    told = server.wait(kernel, status="unresponsive")
    assert told.status_code == 200, told.text
    assert told.json()["reason"]
    external.start()
    back = server.wait(kernel, status="connected", since=told.json()["revision"]).json()
    assert (back["id"], back["reason"]) == (kernel, "")
    with connect(server, kernel) as socket:
        assert of_type(socket.run("nothing"), "execute_reply")[0]["status"] == "ok"


def test_two_are_told_apart(server: Server, owner: Owner) -> None:
    """What happens to one external kernel is not told of another, nor of one of ours."""
    one, two = owner(), owner()
    ours = server.connected(server.fake())
    ids = one.id(server), two.id(server)
    assert len({ours, *ids}) == 3
    before = [felt(server, kernel) for kernel in (ids[1], ours)]
    felt(server, ids[0])
    stopped(server, one, ids[0])
    assert [server.status(kernel) for kernel in (ids[1], ours)] == before
    server.delete(ours)


# -- what one asks of them


@pytest.mark.parametrize("situation", ["unknown", "connected", "unresponsive"])
@pytest.mark.parametrize("action", ACTIONS)
def test_actions_work_or_are_refused(
    server: Server, owner: Owner, action: str, situation: str
) -> None:
    """A restart or an interrupt answers success or 409 with a sentence, and nothing gets stuck."""
    external = owner(start=situation != "unknown")
    kernel = external.id(server)
    if situation != "unknown":
        felt(server, kernel)
    if situation == "unresponsive":
        stopped(server, external, kernel)
    response = server.http.post(f"api/kernels/{kernel}/{action}")
    assert response.status_code in ACTIONS[action], response.text
    if response.status_code == 409:
        assert " " in response.json()["message"]
        assert server.status(kernel)["status"] == situation
        assert external.alive() == (situation != "unknown")
        if situation == "unresponsive":
            external.signal(signal.SIGCONT)
        elif situation == "unknown":
            external.start()
    assert server.settled(kernel)["reason"] == ""


@pytest.mark.parametrize("situation", ["unknown", "connected"])
def test_delete_works_or_is_refused(server: Server, owner: Owner, situation: str) -> None:
    """`DELETE` answers 204 or 409 with a sentence; the list answers, also when the file goes."""
    external = owner(start=situation == "connected")
    kernel = external.id(server)
    if situation == "connected":
        server.settled(kernel)
    response = server.http.delete(f"api/kernels/{kernel}")
    assert response.status_code in (204, 409), response.text
    assert (kernel in server.models()) == (response.status_code == 409)
    assert response.status_code == 204 or " " in response.json()["message"]
    external.close()
    assert kernel not in server.models()


def test_websockets(server: Server, owner: Owner) -> None:
    """A websocket waits for one that was not heard yet, reads its state, and runs cells."""
    external = owner(start=False)
    kernel = external.id(server)
    upgrade = Upgrade(server, kernel)
    external.start()
    first = upgrade.accepted()
    assert first.told("idle")
    gate = server.gate()
    cell = first.execute(gate.command)
    first.hear("busy", cell)
    server.wait(kernel, execution_state="busy")
    with connect(server, kernel, 30) as second:
        assert second.told(timeout=30)["execution_state"] == "busy"
        gate.open()
        assert of_type(first.finished(cell), "execute_reply")[0]["status"] == "ok"
    first.close()


def test_a_stopped_one_accepts_a_websocket_at_once(server: Server, owner: Owner) -> None:
    """An unresponsive external kernel holds no upgrade either."""
    external = owner()
    kernel = external.id(server)
    felt(server, kernel)
    stopped(server, external, kernel)
    with connect(server, kernel, 30) as socket:
        assert socket.told(timeout=30)["execution_state"] == "idle"
        external.signal(signal.SIGCONT)
        server.wait(kernel, status="connected")
        assert of_type(socket.run("nothing"), "execute_reply")[0]["status"] == "ok"


# -- gone


@pytest.mark.parametrize("situation", ["unknown", "connected", "unresponsive"])
def test_gone_with_its_connection_file(server: Server, owner: Owner, situation: str) -> None:
    """When its file is removed it is in no list, unknown to every call, waited for no more."""
    external = owner(start=situation != "unknown")
    kernel = external.id(server)
    if situation != "unknown":
        felt(server, kernel)
    if situation == "unresponsive":
        stopped(server, external, kernel)
    waiter = server.send_wait(kernel, status="dead")
    external.file.unlink()
    eventually(lambda: kernel not in server.models(), what="it is not listed")
    for path in ("", "/status", "/wait", "/history"):
        server.get(f"api/kernels/{kernel}{path}", expect=404)
    answer = waiter.answer()
    assert (answer.status_code, answer.body["kernel"]["id"]) in ((409, kernel), (200, kernel))


def test_another_file_is_another_kernel(server: Server, owner: Owner) -> None:
    """After one has gone, the next is a kernel of its own with nothing of the old one's story."""
    first = owner()
    old = first.id(server)
    server.settled(old)
    first.close()
    eventually(lambda: old not in server.models())
    second = owner()
    new = second.id(server)
    server.settled(new)
    assert new != old
    assert server.history(new)["terminations"] == []


def test_what_is_no_connection_file_is_none(server: Server, owner: Owner) -> None:
    """Other files in the folder are passed over, and the others are listed all the same."""
    before, folder = set(server.models()), external_folder(server)
    texts = ["", "no json", "{}", "[]", '{"kernel_name": "x"}', '{"key": "x"}']
    for number, text in enumerate(texts):
        (folder / f"other-{number}.json").write_text(text)
    external = owner()
    kernel = external.id(server)
    assert set(server.models()) == before | {kernel}
    server.settled(kernel)
    for number in range(len(texts)):
        (folder / f"other-{number}.json").unlink()


def test_nothing_grows(server: Server, owner: Owner) -> None:
    """After ten that came and went the server has the descriptors that it had."""
    for turn in range(12):
        if turn == 2:
            before = server.fds()
        external = owner()
        kernel = external.id(server)
        server.settled(kernel)
        with connect(server, kernel) as socket:
            assert socket.told("idle")
        external.close()
        eventually(lambda gone=kernel: gone not in server.models())
    eventually(lambda: server.fds() <= before + 3, what=f"back to {before} descriptors")


def test_the_server_ends_without_them(tmp_path: Path) -> None:
    """A server that looks in a folder of its own stops cleanly, and its owner's kernel lives on."""
    folder = tmp_path / "here"
    folder.mkdir()
    with Server(f"--ServerApp.external_connection_dir={folder}", config=CONFIG) as server:
        external = External(folder).start()
        try:
            server.settled(external.id(server))
            assert server.stop().clean
            assert external.alive()
            with external.client() as client:
                cell = execute(client, "nothing")
                assert reply_to(client, "shell", cell)["content"]["status"] == "ok"
        finally:
            external.close()
