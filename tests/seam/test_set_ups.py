"""The extension under every set-up of managers that people have: nothing lost, the truth told."""

from __future__ import annotations

import os
import signal

import pytest
from support.server import PATIENCE, Server, eventually
from support.stories import come_back, execute

pytestmark = pytest.mark.xdist_group("seam-set-ups")

STOCK_FIELDS = {"id", "name", "last_activity", "execution_state", "connections"}


def killed_and_back(server: Server, name: str) -> dict:
    """Start a kernel, kill it, and return its status when it is back."""
    kernel = server.connected(name)
    before = server.status(kernel)
    os.kill(kernel_pid(server, kernel), signal.SIGKILL)
    answer = server.wait(kernel, status="autorestarting", since=before["revision"])
    assert answer.status_code == 200, answer.text
    back = server.wait(kernel, status="connected", since=before["revision"])
    assert back.status_code == 200, back.text
    server.delete(kernel)
    return back.json()


def kernel_pid(server: Server, kernel: str) -> int:
    """Find the process by an independent look at the process table."""
    (process,) = server.kernel_processes(kernel)
    return process.pid


def test_users_mapping_and_kernel_classes_keep_their_config_and_overrides() -> None:
    """Classes of the user's, their traits and overrides work, and the truth is told over them."""
    config = {
        "ServerApp": {"kernel_manager_class": "user_classes.HouseMapping"},
        "HouseMapping": {
            "house": "ours",
            "kernel_manager_class": "user_classes.HouseKernel",
            "buffer_offline_messages": False,
        },
        "MappingKernelManager": {"default_kernel_name": "good"},
        "HouseKernel": {"motto": "slow and steady"},
        "KernelManager": {"shutdown_wait_time": 2.5},
    }
    with Server(config=config, specs={"good": {}}) as server:
        kernel = server.connected("good")
        assert server.model(kernel)["house"] == "ours"
        assert server.model(kernel)["status"] == "connected"
        assert server.models()[kernel]["house"] == "ours"
        server.restart(kernel)
        assert server.wait(kernel).json()["generation"] == 1
        assert server.status(kernel)["last_termination"]["cause"] == "Restarted"
        server.delete(kernel)
        assert killed_and_back(server, "good")["last_termination"]["cause"] == "Killed"
        assert "house starts a kernel" in server.log()
        assert "house restarts with motto slow and steady" in server.log()
        assert server.stop().clean


def test_a_kernel_that_only_its_provisioner_can_see() -> None:
    """Without a child process the provisioner is asked, and its exit code gives the reason."""
    config = {"ServerApp": {"kernel_manager_class": "user_classes.HidingMapping"}}
    with Server(config=config) as server:
        metadata = {"kernel_provisioner": {"provisioner_name": "hidden"}}
        server.fake("hidden", "good")
        spec = server.data / "kernels" / "hidden" / "kernel.json"
        spec.write_text(spec.read_text()[:-1] + f', "metadata": {metadata!r}}}'.replace("'", '"'))
        status = killed_and_back(server, "hidden")
        assert status["last_termination"]["signal"] == "SIGKILL"
        assert status["last_termination"]["reason"].startswith("The kernel's provisioner says that")
        assert status["restart_count"] == 1
        assert server.stop().clean


@pytest.mark.parametrize(
    ("code", "told", "cause", "words"),
    [
        (0, None, "Lost", "its provisioner does not say why"),
        (3, 3, "Error", "The kernel's provisioner says that it exited with code 3"),
    ],
)
def test_what_a_provisioner_says_of_an_end_is_hearsay(
    code: int, told: int | None, cause: str, words: str
) -> None:
    """Many say 0 of all that is gone, so it is no exit code; another code is the provisioner's."""
    config = {"ServerApp": {"kernel_manager_class": "user_classes.HidingMapping"}}
    with Server(config=config) as server:
        metadata = {"kernel_provisioner": {"provisioner_name": "hidden"}}
        server.fake("hidden", "good")
        spec = server.data / "kernels" / "hidden" / "kernel.json"
        spec.write_text(spec.read_text()[:-1] + f', "metadata": {metadata!r}}}'.replace("'", '"'))
        kernel = server.connected("hidden")
        before = server.status(kernel)["revision"]
        with server.client(kernel) as client:
            execute(client, f"die {code}")
            last = come_back(server, kernel, before)["last_termination"]
        assert (last["exit_code"], last["signal"], last["cause"]) == (told, None, cause)
        assert words in last["reason"]
        assert "exit()" not in last["reason"]
        assert "stderr" not in last["reason"]


def test_a_provisioner_that_decides_about_stderr() -> None:
    """It is asked for nothing else: its kernels start, and nothing is said of what they wrote."""
    config = {"ServerApp": {"kernel_manager_class": "user_classes.HidingMapping"}}
    with Server(config=config) as server:
        metadata = {"kernel_provisioner": {"provisioner_name": "loud"}}
        server.fake("loud", "good")
        spec = server.data / "kernels" / "loud" / "kernel.json"
        spec.write_text(spec.read_text()[:-1] + f', "metadata": {metadata!r}}}'.replace("'", '"'))
        assert killed_and_back(server, "loud")["last_termination"]["traceback"] is None


def test_where_pidfds_are_refused_a_thread_waits() -> None:
    """A refused pidfd_open costs nothing but a thread: the signal is still told."""
    config = {"ServerApp": {"kernel_manager_class": "user_classes.NoPidfdMapping"}}
    with Server("--debug", config=config, specs={"good": {}}) as server:
        assert killed_and_back(server, "good")["last_termination"]["cause"] == "Killed"
        assert "waiting in a thread" in server.log()
        assert server.stop().clean


def test_blocking_kernel_managers_are_followed_too() -> None:
    """The old blocking manager of jupyter_client is followed and its deaths are told."""
    blocking = "jupyter_client.ioloop.IOLoopKernelManager"
    config = {"MultiKernelManager": {"kernel_manager_class": blocking}}
    config["AsyncMultiKernelManager"] = config["MultiKernelManager"]
    with Server(config=config, specs={"good": {}}) as server:
        kernel = server.connected("good")
        before = server.status(kernel)["revision"]
        os.kill(kernel_pid(server, kernel), signal.SIGKILL)
        told = server.wait(kernel, status="autorestarting,dead", since=before).json()
        assert told["cause"] == "Killed"
        assert server.stop().clean


def test_late_plugging_when_linking_did_not_happen() -> None:
    """A server whose extension was never linked takes the managers over when it is loaded."""
    with Server(wait=False, specs={"good": {}}) as server:
        server.stop()
        script = server.root / "late.py"
        script.write_text(
            "from kernel_status_ext.app import KernelStatusApp\n"
            "del KernelStatusApp._link_jupyter_server_extension\n"
        )
        server.args = (f"--config={script}",)
        server.launch()
        assert killed_and_back(server, "good")["last_termination"]["cause"] == "Killed"
        assert server.stop().clean


@pytest.fixture(scope="module")
def remote():
    """A server without the extension that kernels run on."""
    with Server("--ServerApp.disable_check_xsrf=True", stock=True) as remote:
        yield remote


def behind(remote: Server, *, stock: bool = False) -> Server:
    """Start a server whose kernels run on another one."""
    return Server(
        f"--gateway-url=http://127.0.0.1:{remote.port}{remote.base_url}",
        f"--GatewayClient.auth_token={remote.token}",
        stock=stock,
    )


def walk(server: Server) -> list[tuple[str, int, frozenset[str]]]:
    """Do what a client does with a kernel, and note each answer's code and fields."""
    answers = []

    def note(what: str, response) -> None:
        body = response.json() if response.content else {}
        models = body if isinstance(body, list) else [body]
        fields = frozenset().union(*models) if models else frozenset()
        answers.append((what, response.status_code, fields - {"status", "reason"}))

    created = server.http.post("api/kernels", json={"name": "python3"})
    note("start", created)
    path = f"api/kernels/{created.json()['id']}"
    note("model", server.http.get(path))
    note("list", server.http.get("api/kernels"))
    note("interrupt", server.http.post(f"{path}/interrupt"))
    note("restart", server.http.post(f"{path}/restart"))
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    note("session", server.http.post("api/sessions", json=body))
    note("sessions", server.http.get("api/sessions"))
    note("delete", server.http.delete(path))
    note("gone", server.http.get(path))
    note("unknown spec", server.http.post("api/kernels", json={"name": "nope"}))
    return answers


def test_behind_a_gateway_no_answer_is_worse_than_stock(remote: Server) -> None:
    """Every call behind a gateway answers with the code and the fields that stock gives."""
    with behind(remote, stock=True) as stock, behind(remote) as ours:
        assert walk(ours) == walk(stock)
        assert stock.stop().clean
        assert ours.stop().clean


def test_behind_a_gateway_the_models_carry_the_remote_state(remote: Server) -> None:
    """A model behind a gateway says what the remote says, with a status that fits it."""
    with behind(remote) as server:
        kernel = server.start_kernel("python3")
        model = server.model(kernel)
        assert set(model) >= STOCK_FIELDS
        assert (model["status"], model["execution_state"]) == ("connecting", "starting")
        with remote.client(kernel) as client:

            def told() -> bool:
                # Stock may miss the statuses of a first cell: it has to be given another one.
                client.execute("1")
                client.get_shell_msg(timeout=PATIENCE)
                return server.models()[kernel]["execution_state"] == "idle"

            eventually(told)
        assert server.model(kernel)["status"] == "connected"
        assert server.status(kernel)["pid"] is None
        server.delete(kernel)
        assert kernel not in remote.models()


def test_behind_a_gateway_that_goes_away_the_server_still_stops() -> None:
    """The list still answers when a remote is gone, and the server stops on SIGTERM."""
    with (
        Server("--ServerApp.disable_check_xsrf=True", stock=True) as remote,
        behind(remote) as server,
    ):
        server.start_kernel("python3")
        remote.stop()
        assert server.http.get("api/kernels").status_code == 200
        assert server.stop().returncode == 0
