"""Contract section 6: changes and terminations on Jupyter's event bus, seen from outside and in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_events import EventLogger
from jupyter_events.schema import EventSchema
from support.server import Server, eventually
from support.stories import come_back, kill, run
from support.subscription import Subscription

from kernel_status_ext.core.events import ProcessStarted
from kernel_status_ext.core.words import ExecutionState, RequestedBy, Status
from kernel_status_ext.jupyter.events import SCHEMAS, STATUS, TERMINATION, told
from kernel_status_ext.tracking.tracker import Tracker, utcnow

Starter = Callable[..., str]

COMMON = {"kernel_id", "kernel_name", "generation", "revision"} | {
    *("status", "execution_state", "cause", "reason")
}
PAGE = (Path(__file__).parents[2] / "docs/reference/events.md").read_text()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a second extension that listens on the bus."""
    config: dict[str, Any] = {"ServerApp": {"jpserver_extensions": {"event_listeners": True}}}
    with Server(config=config | {"KernelManager": {"shutdown_wait_time": 1.0}}) as server:
        yield server


@pytest.fixture
def events(server: Server) -> Iterator[Subscription]:
    """A subscription from outside."""
    with Subscription(server) as subscription:
        yield subscription


@pytest.fixture
def guest(server: Server) -> Iterator[Callable[[str], None]]:
    """Let somebody on the bus until the test is over."""
    yield lambda name: server.post("heard", {"add": name}, expect=204)
    assert server.http.delete("heard").status_code == 204


def life(server: Server, events: Subscription, kernel: str) -> list[dict[str, Any]]:
    """Kill, restart and delete a kernel, and give all events until its end."""
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    back = come_back(server, kernel, before)
    server.restart(kernel)
    come_back(server, kernel, back["revision"])
    server.delete(kernel)
    events.until(lambda event: (event["schema_id"], event["status"]) == (STATUS, "dead"))
    return [event for event in events.told if event["kernel_id"] == kernel]


def heard_of(server: Server, kernel: str) -> list[dict[str, Any]]:
    """What the listener in the server was told of a kernel."""
    return [event for event in server.get("heard") if event["kernel_id"] == kernel]


def test_a_life_as_a_subscriber_sees_it(server: Server, events: Subscription) -> None:
    """Start, kill, restart and delete give every status once, and each end before what follows."""
    told = life(server, events, server.connected(server.fake()))
    assert [
        event["status"] if event["schema_id"] == STATUS else event["cause"] for event in told
    ] == [
        *("starting", "connecting", "connected"),
        *("Killed", "autorestarting", "connected"),
        *("restarting", "Restarted", "connected"),
        *("terminating", "Shutdown", "dead"),
    ]
    assert [event["generation"] for event in told] == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_events_say_what_history_says(server: Server, events: Subscription) -> None:
    """Each event has the revision and the words of that change, and of that termination."""
    kernel = server.connected(server.fake())
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)
    history = server.history(kernel)
    told = events.until(lambda event: event["generation"] == 1 and event["status"] == "connected")
    changes = {change["revision"]: change for change in history["changes"]}
    for event in told:
        if event["schema_id"] == STATUS:
            assert set(event) == COMMON | {"schema_id"}
            change = changes[event["revision"]]
            assert {name: change.get(name, event[name]) for name in COMMON}.items() <= event.items()
    (ended,) = [event for event in told if event["schema_id"] == TERMINATION]
    (termination,) = history["terminations"]
    shared = set(ended) & set(termination)
    assert shared == {
        *("generation", "cause", "reason", "exit_code", "signal", "expected"),
        *("requested_by", "peak_memory", "cpu_seconds", "started_at", "finished_at"),
    }
    assert {name: ended[name] for name in shared} == {name: termination[name] for name in shared}
    assert (ended["kernel_id"], ended["status"], ended["execution_state"], ended["signal"]) == (
        kernel,
        "autorestarting",
        "starting",
        "SIGKILL",
    )
    server.delete(kernel)


def test_busy_and_idle_are_not_told(server: Server, events: Subscription) -> None:
    """What only the execution state does is for the stream of changes, not for the bus."""
    kernel = server.connected(server.fake())
    events.until(lambda event: event["status"] == "connected")
    before = server.status(kernel)["revision"]
    run(server, kernel, "nothing")
    server.wait(kernel, execution_state="idle", since=before)
    kill(server, kernel)
    assert events.next()["schema_id"] == TERMINATION
    assert server.status(kernel)["revision"] >= before + 2
    server.delete(kernel)


def test_a_kernel_that_never_came(server: Server, events: Subscription) -> None:
    """A kernel that dies at its start ends with `dead` and why; its removal tells nothing."""
    kernel = server.start_kernel(server.fake(mode="die-at-start", code=3))
    dead = server.until_dead(kernel)
    told = events.until(lambda event: (event["schema_id"], event["status"]) == (STATUS, "dead"))
    assert (told[-1]["reason"], told[-1]["cause"]) == (dead["reason"], dead["cause"])
    assert (told[-2]["schema_id"], told[-2]["exit_code"]) == (TERMINATION, 3)
    server.delete(kernel)
    other = server.connected(server.fake())
    assert events.next()["kernel_id"] == other
    server.delete(other)


def test_a_launch_that_failed(server: Server, events: Subscription) -> None:
    """Without a process there is no termination, and `dead` names the cause."""
    server.spec("nowhere", ["/no/such/python", "{connection_file}"])
    server.post("api/kernels", {"name": "nowhere"}, expect=500)
    told = events.until(lambda event: event["status"] == "dead")
    assert [event["status"] for event in told] == ["starting", "dead"]
    assert told[-1]["cause"] == "ExecutableNotFound"


def test_listeners_in_the_server_hear_the_same(server: Server, events: Subscription) -> None:
    """An extension that began to listen before the schemas were registered is told everything."""
    kernel = server.connected(server.fake())
    told = life(server, events, kernel)
    assert eventually(lambda: heard_of(server, kernel) == told), heard_of(server, kernel)


@pytest.mark.parametrize("name", ["raising", "no_coroutine"])
def test_a_listener_that_fails(
    server: Server, events: Subscription, guest: Callable[[str], None], name: str
) -> None:
    """A listener that raises, at once or later, stops neither the kernel nor the next events."""
    guest(name)
    kernel = server.connected(server.fake())
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    assert come_back(server, kernel, before)["generation"] == 1
    assert events.until(lambda event: event["schema_id"] == TERMINATION)[-1]["cause"] == "Killed"
    server.delete(kernel)


def test_an_event_that_is_not_valid(
    server: Server, events: Subscription, guest: Callable[[str], None]
) -> None:
    """Events that somebody spoils are not sent and break nothing; it is logged once per kind."""
    guest("spoiler")
    kernel = server.connected(server.fake())
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    back = come_back(server, kernel, before)
    told = [line for line in server.log().splitlines() if "could not be emitted" in line]
    of_this = [line for line in told if f"Kernel {kernel} is " in line]
    assert [[each in line for each in SCHEMAS] for line in of_this] == [
        [True, False],
        [False, True],
    ]
    assert "ValidationError" in server.log()
    server.http.delete("heard")
    server.restart(kernel)
    assert events.next()["status"] == "restarting"
    come_back(server, kernel, back["revision"])
    server.delete(kernel)


def test_a_subscriber_acts_on_its_own_behalf(server: Server, guest: Callable[[str], None]) -> None:
    """A restart that a listener asks for is a requested one, whoever caused the event."""
    guest("restarter")
    kernel = server.connected(server.fake())
    for _ in range(2):
        before = server.settled(kernel)["revision"]
        kill(server, kernel)
        come_back(server, kernel, before)
    assert server.status(kernel)["restart_count"] == 1
    assert [each["status"] for each in server.history(kernel)["changes"]][-3:] == [
        *("autorestarting", "restarting", "connected")
    ]
    server.delete(kernel)


def test_the_servers_end_is_told(tmp_path: Path) -> None:
    """Where the administrator writes events to a file, it tells how the last kernels ended."""
    file = tmp_path / "events.log"
    with Server(wait=False) as server:
        server.stop()
        script = server.root / "events.py"
        script.write_text(
            f"import logging\nc.EventLogger.handlers = [logging.FileHandler({str(file)!r})]\n"
        )
        server.args = (f"--config={script}",)
        server.launch()
        server.connected(server.fake())
        assert server.stop().clean
    lines = file.read_text().splitlines()
    assert any(f'"__schema__": "{TERMINATION}"' in line for line in lines), lines
    assert '"cause": "ServerStopped"' in lines[-1]
    assert '"status": "dead"' in lines[-1]


def test_an_end_that_nobody_saw() -> None:
    """A process that is found to be replaced ended in its own generation, not in the next."""
    tracker, began, emitted = Tracker(logging.getLogger("test")), utcnow(), []
    tracker.listen(lambda change: emitted.extend(told(change)))
    tracker.add("id", "name")
    tracker.feed("id", ProcessStarted(0, began, pid=1))
    tracker.feed("id", ProcessStarted(1, began, pid=2))
    ((schema_id, data),) = emitted[2:]
    assert (schema_id, data["generation"], data["cause"]) == (TERMINATION, 0, "StartFailed")
    assert (data["exit_code"], data["signal"], data["expected"]) == (None, None, False)


@pytest.mark.parametrize("schema_id", SCHEMAS)
def test_schemas_are_valid_and_complete(schema_id: str) -> None:
    """A schema requires and describes each of its properties, and knows the words."""
    schema = EventSchema(SCHEMAS[schema_id])
    assert (schema.id, schema.version) == (schema_id, "1")
    assert schema._schema["required"] == list(schema.properties)
    assert set(schema.properties) >= COMMON
    assert all(each["description"].strip() for each in schema.properties.values())
    assert schema.properties["status"]["enum"] == list(Status)
    assert schema.properties["execution_state"]["enum"] == list(ExecutionState)
    if schema_id == TERMINATION:
        assert schema.properties["requested_by"]["enum"] == [*RequestedBy, None]


@pytest.mark.parametrize("schema_id", SCHEMAS)
def test_the_page_tells_of_every_property(schema_id: str) -> None:
    """The documentation names each schema and each of its properties."""
    assert schema_id in PAGE
    for name in EventSchema(SCHEMAS[schema_id]).properties:
        assert f"`{name}`" in PAGE, name


def test_every_schema_is_published_beside_the_code() -> None:
    """Each file is one that is registered, and the bus takes all of them."""
    assert set(SCHEMAS.values()) == set(next(iter(SCHEMAS.values())).parent.iterdir())
    bus = EventLogger()
    for path in SCHEMAS.values():
        bus.register_event_schema(path)
    assert set(bus.schemas.schema_ids) == set(SCHEMAS)
