"""Contract section 2: the kernel models of the calls that exist already, sessions included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.server import Server, eventually, held_for
from support.stories import MODEL_KEYS, ask, come_back, kill, moment, run

Starter = Callable[..., str]


def test_model_gains_status_and_reason_only(server: Server, python_kernel: str) -> None:
    """The model of a living kernel is the stock one with `status` and `reason`, nothing else."""
    model = server.model(python_kernel)
    assert set(model) == MODEL_KEYS
    assert (model["id"], model["name"], model["status"], model["reason"]) == (
        python_kernel,
        "python3",
        "connected",
        "",
    )


def test_list_tells_the_same(server: Server, python_kernel: str, fake: Starter) -> None:
    """Each model of the list is the single model."""
    gate = server.gate()
    other = fake("slow", gate=gate, wait=False)
    server.wait(other, status="connecting")
    models = server.models()
    assert models[python_kernel] == server.model(python_kernel)
    assert (models[other]["status"], models[python_kernel]["status"]) == ("connecting", "connected")
    assert set(models[other]) == MODEL_KEYS
    gate.open()


def test_post_answers_a_model(server: Server) -> None:
    """`POST /api/kernels` answers 201 with a model and the kernel's Location."""
    response = server.http.post("api/kernels", json={"name": server.fake()})
    model = response.json()
    assert (response.status_code, set(model)) == (201, MODEL_KEYS)
    assert model["status"] in ("starting", "connecting", "connected")
    assert response.headers["Location"].endswith(f"/api/kernels/{model['id']}")
    server.settled(model["id"])
    server.delete(model["id"])


def test_post_without_body_starts_the_default(server: Server) -> None:
    """A POST without a body starts the default kernel, as in stock."""
    response = server.http.post("api/kernels")
    assert (response.status_code, response.json()["name"]) == (201, "python3")
    server.settled(response.json()["id"])
    server.delete(response.json()["id"])


def test_post_with_a_kernel_id(server: Server) -> None:
    """A kernel can be asked for under an id of the caller's, as in stock."""
    name = server.fake()
    wanted = "0a1b2c3d-0000-4000-8000-00000000beef"
    kernel = server.start_kernel(name, kernel_id=wanted)
    if kernel != wanted:
        server.delete(kernel)
        pytest.skip("this jupyter_server does not take a kernel_id")
    server.settled(wanted)
    server.delete(wanted)


def test_session_carries_the_kernel_model(server: Server) -> None:
    """The kernel of a session, in a list and in the POST's answer too, is a kernel model."""
    session = server.session("carries.ipynb", server.fake())
    assert set(session["kernel"]) == MODEL_KEYS
    server.settled(session["kernel"]["id"])
    model = server.model(session["kernel"]["id"])
    assert server.get(f"api/sessions/{session['id']}")["kernel"] == model
    assert [
        each["kernel"] for each in server.get("api/sessions") if each["id"] == session["id"]
    ] == [model]
    server.http.delete(f"api/sessions/{session['id']}")


def test_session_of_an_existing_kernel(server: Server, fake: Starter) -> None:
    """A session for a kernel that runs already takes that kernel."""
    kernel = fake("good")
    body = {"path": "taken.ipynb", "type": "notebook", "name": "", "kernel": {"id": kernel}}
    session = server.post("api/sessions", body, expect=201)
    assert (session["kernel"]["id"], session["kernel"]["status"]) == (kernel, "connected")


def test_session_moves_to_another_kernel(server: Server) -> None:
    """Changing the kernel of a session starts the new one and, as in stock, ends the old one."""
    session = server.session("moves.ipynb", server.fake())
    old = session["kernel"]["id"]
    name = server.fake()
    response = server.http.patch(
        f"api/sessions/{session['id']}", json={"kernel": {"name": name, "id": None}}
    )
    assert (response.status_code, response.json()["kernel"]["name"]) == (200, name)
    server.settled(response.json()["kernel"]["id"])
    eventually(
        lambda: server.http.get(f"api/kernels/{old}").status_code == 404,
        what="the old kernel is gone",
    )
    server.http.delete(f"api/sessions/{session['id']}")


def test_delete_of_the_session_ends_the_kernel(server: Server) -> None:
    """A session that is deleted takes its kernel along: 404 for both."""
    session = server.session("ends.ipynb", server.fake())
    kernel = session["kernel"]["id"]
    pid = server.settled(kernel)["pid"]
    assert server.http.delete(f"api/sessions/{session['id']}").status_code == 204
    assert server.http.get(f"api/sessions/{session['id']}").status_code == 404
    assert server.http.get(f"api/kernels/{kernel}").status_code == 404
    assert pid not in [process.pid for process in server.kernel_processes()]


def quiet_since(server: Server, kernel: str) -> str:
    """Run a cell, wait until all of it has been heard, and give `last_activity`."""
    before = server.status(kernel)["revision"]
    run(server, kernel, "1")
    assert server.wait(kernel, execution_state="idle", since=before).status_code == 200
    server.taken_up()
    return server.model(kernel)["last_activity"]


def test_last_activity_moves_with_a_cell(server: Server, python_kernel: str) -> None:
    """`last_activity` has the one form of times and moves when a cell runs."""
    before = server.model(python_kernel)["last_activity"]
    run(server, python_kernel, "1")
    eventually(
        lambda: server.model(python_kernel)["last_activity"] != before, what="last_activity moves"
    )
    assert moment(server.model(python_kernel)["last_activity"]) > moment(before)


def test_last_activity_is_not_moved_by_control(server: Server, python_kernel: str) -> None:
    """Whoever watches a kernel by control requests does not keep it from being culled."""
    before = quiet_since(server, python_kernel)
    with server.client(python_kernel) as client:
        for _ in range(3):
            ask(client, "kernel_info_request", "control")
            ask(client, "usage_request", "control")
    server.taken_up()
    assert server.model(python_kernel)["last_activity"] == before


def test_last_activity_is_not_moved_by_looking(server: Server, python_kernel: str) -> None:
    """Status, wait, history and the models are looks, not activity."""
    before = quiet_since(server, python_kernel)
    server.status(python_kernel)
    server.wait(python_kernel)
    server.history(python_kernel)
    server.models()
    assert server.model(python_kernel)["last_activity"] == before


def test_model_follows_a_death(server: Server, fake: Starter) -> None:
    """A kernel killed while nobody talks to it reads idle again, the process table agrees."""
    kernel = fake("good")
    before = server.status(kernel)["revision"]
    killed = kill(server, kernel)
    pid = come_back(server, kernel, before)["pid"]
    model = server.model(kernel)
    assert (model["status"], model["execution_state"], model["reason"]) == ("connected", "idle", "")
    alive = [process.pid for process in server.kernel_processes()]
    assert (killed in alive, pid in alive) == (False, True)


def test_model_of_a_dead_kernel(server: Server, fake: Starter) -> None:
    """A dead kernel's model says `dead` twice and gives the same reason everywhere."""
    kernel = fake("die-at-start", code=4, wait=False)
    reason = server.until_dead(kernel)["reason"]
    model = server.model(kernel)
    assert (model["status"], model["execution_state"], model["reason"]) == ("dead", "dead", reason)
    assert MODEL_KEYS <= set(model) <= MODEL_KEYS | {"traceback"}
    listed = server.models()[kernel]
    assert (set(listed), listed["reason"]) == (MODEL_KEYS, reason)


def test_our_own_questions_do_not_move_last_activity(server: Server) -> None:
    """While a silent cell runs ``last_activity`` stands still, as on stock.

    The interpreter is asked after a second of work, and answers at once.
    """
    kernel = server.connected("python3")
    body = {"code": "import time; time.sleep(600)"}
    run = server.http.post(f"api/kernels/{kernel}/runs", json=body).json()["run"]["run_id"]
    place = f"api/kernels/runs/{run}"
    eventually(lambda: server.http.get(place).json()["run"]["execution_count"])
    begun = server.model(kernel)["last_activity"]
    assert held_for(lambda: server.model(kernel)["last_activity"] == begun, 2.5)
    server.delete(kernel)
