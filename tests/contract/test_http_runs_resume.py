"""Contract section 3, `GET .../runs/RUN/events`: the same stream again, for whoever asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from support.runs import (
    ended,
    execute,
    followed,
    followed_raw,
    look,
    named,
    place,
    refusal,
    sent,
    sent_raw,
    started,
    submit,
)
from support.server import Server
from support.sse import Stream

Starter = Callable[..., str]

LIMIT = 20_000
"""Bytes of output that are kept of a run here."""

CODE = """
import sys
from IPython.display import clear_output, display
for number in range(3):
    print(number, 'é\\n\\n', flush=True)
    print(number, file=sys.stderr, flush=True)
display({"text/html": "<b>"}, raw=True, display_id="it")
clear_output()
42
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that keeps little."""
    config = {
        "KernelStatusApp": {"run_output_limit": LIMIT},
        "KernelManager": {"shutdown_wait_time": 1.0},
    }
    with Server(config=config) as server:
        yield server


def run_id_of(piece: str) -> str:
    """The run that the first event of a stream, as it travelled, tells of."""
    (data,) = [line for line in piece.split("\n") if line.startswith("data:")]
    return json.loads(data.removeprefix("data:"))["run"]["run_id"]


@pytest.mark.parametrize("code", [CODE, "print(1)\n1 / 0"])
def test_from_every_position(server: Server, python_kernel: str, code: str) -> None:
    """From each event on come the same bytes as at first; after the last there is nothing: 204."""
    first = sent_raw(server, python_kernel, code)
    run_id = run_id_of(first[0])
    assert len(first) >= 4
    assert followed_raw(server, run_id) == first
    for seen in range(len(first) + 1):
        assert followed_raw(server, run_id, seen) == first[seen:]
    answer = server.http.get(place(run_id, "/events"), headers={"Last-Event-ID": str(len(first))})
    assert (answer.status_code, answer.content) == (204, b"")
    assert followed_raw(server, run_id) == first


@pytest.mark.parametrize(
    "after", ["x", "-1", "1.5", "999", "9" * 40, "é".encode().decode("latin-1")]
)
def test_odd_positions(server: Server, fake: Starter, after: str) -> None:
    """What was never an event's id is no fault of the server."""
    run_id = execute(server, fake(), "flood 2").run["run_id"]
    answer = server.http.get(
        place(run_id, "/events"), headers={"Last-Event-ID": after.encode("latin-1")}
    )
    assert answer.status_code in (200, 204, 400)


def test_while_it_runs(server: Server, python_kernel: str) -> None:
    """Whoever comes later has the beginning and then what comes, as does who was there before."""
    gate, code = server.gate(), "print('early', flush=True)\n"
    with sent(server, python_kernel, f"{code}{gate.cell}\nprint('late')\n5") as live:
        live.until(named("stdout"))
        run_id = live.told[0].data["run"]["run_id"]
        with followed(server, run_id) as again, followed(server, run_id, 1) as rest:
            assert [again.next(), again.next()] == live.told
            gate.open()
            tolds = live.whole(), again.whole()
            assert [live.told[0], *rest.ended()] == live.told
    assert tolds[0] == tolds[1]
    assert tolds[0].text("stdout") == "early\nlate\n"
    assert tolds[0].done["output"]["data"] == "5"


def test_a_silent_stream_opens_at_once(server: Server, python_kernel: str) -> None:
    """Whoever has seen all there is hears that the stream is open, long before more comes."""
    gate = server.gate()
    with sent(server, python_kernel, gate.cell) as live:
        run_id = live.next().data["run"]["run_id"]
        started(server, run_id)
        with followed(server, run_id, 1) as rest:  # opens though nothing comes
            gate.open()
            assert [event.name for event in rest.ended()] == ["done"]
        live.whole()


def test_before_it_runs(server: Server, python_kernel: str) -> None:
    """The stream of a queued run says so, and has the rest once it runs."""
    gate = server.gate()
    submit(server, python_kernel, gate.cell)
    run_id = submit(server, python_kernel, "print(5)")["run_id"]
    with followed(server, run_id) as first, followed(server, run_id) as second:
        assert first.next().data["run"]["status"] == "queued"
        assert first.silent()
        gate.open()
        assert first.whole() == second.whole()
    assert first.told[-1].data["success"] is True


def test_a_run_that_was_not_streamed(server: Server, python_kernel: str) -> None:
    """What was answered with 202 has its stream as well, as often as one asks."""
    run_id = submit(server, python_kernel, "print('a'); 5")["run_id"]
    ended(server, run_id)
    for _ in range(2):
        with followed(server, run_id) as stream:
            told = stream.whole()
        assert (told.text("stdout"), told.done["output"]["data"]) == ("a\n", "5")


@pytest.mark.parametrize("how", ["hangs up", "leaves before the first event"])
def test_a_client_that_goes(server: Server, python_kernel: str, how: str) -> None:
    """It changes nothing for the run, whose output is there for the next one."""
    gate, name = server.gate(), f"left-{len(how)}"
    code = f"print('early', flush=True)\n{gate.cell}\nprint('late')"
    with sent(server, python_kernel, code, run_id=name) as stream:
        if how == "hangs up":
            stream.until(named("stdout"))
        stream.hang_up()
    assert started(server, name)["status"] == "running"
    gate.open()
    assert ended(server, name)["status"] == "ok"
    with followed(server, name) as again:
        assert again.whole().text("stdout") == "early\nlate\n"


def test_one_of_two_clients_goes(server: Server, python_kernel: str) -> None:
    """The other one has everything."""
    gate = server.gate()
    with sent(server, python_kernel, f"{gate.cell}\nprint('late')") as stream:
        run_id = stream.next().data["run"]["run_id"]
        with followed(server, run_id) as leaving:
            leaving.next()
        gate.open()
        assert stream.whole().text("stdout") == "late\n"


def test_more_than_is_kept(server: Server, python_kernel: str) -> None:
    """The live stream is whole; the same stream again lacks some, and says how much."""
    code = "for number in range(100): print(number, 'x' * 1000, flush=True)\n5"
    with sent(server, python_kernel, code) as stream:
        live = stream.whole()
    assert live.text("stdout").split()[::2] == [str(number) for number in range(100)]
    assert "truncated" not in live.names
    with Stream(server, place(live.run["run_id"], "/events")) as stream:
        again = stream.ended()
    kept = [event for event in again if event.name != "truncated"]
    (gap,) = [event.data for event in again if event.name == "truncated"]
    by_id = {event.id: event for event in live.events}
    assert [by_id[event.id] for event in kept] == kept
    assert (kept[0].name, again[-1]) == ("run", live.events[-1])
    assert gap["dropped_events"] == len(live.events) - len(kept)
    gone = [event for event in live.events if event not in kept]
    assert gap["dropped_bytes"] >= sum(len(event.data.get("data", "")) for event in gone) > 0
    assert sum(len(json.dumps(event.data)) for event in kept) <= LIMIT + 2000
    ids = [int(event.id) for event in again]
    assert ids == sorted(set(ids))
    assert look(server, live.run["run_id"])["status"] == "ok"


def test_from_every_position_of_what_is_kept(server: Server, python_kernel: str) -> None:
    """Also of a truncated run: from each event on the same, that of the gap included."""
    code = "for number in range(60): print(number, 'x' * 1000, flush=True)"
    run_id = run_id_of(sent_raw(server, python_kernel, code)[0])
    whole = followed_raw(server, run_id)
    assert sum("event: truncated" in piece for piece in whole) == 1
    ids = [piece.partition("id:")[2].split("\n")[0].strip() for piece in whole]
    for at, seen in enumerate(ids, start=1):
        assert followed_raw(server, run_id, seen) == whole[at:]


def test_one_piece_that_is_more_than_is_kept(server: Server, fake: Starter) -> None:
    """It goes by in the live stream, and the end stands in both."""
    kernel = fake()
    live = execute(server, kernel, f"big {LIMIT * 3}")
    assert [len(each["data"]["text/plain"]) for each in live.of("display")] == [LIMIT * 3]
    with Stream(server, place(live.run["run_id"], "/events")) as stream:
        names = [event.name for event in stream.ended()]
    assert names == ["run", "truncated", "done"]
    assert execute(server, kernel, "flood 1").names == ["run", "stdout", "done"]


def test_the_stream_of_nobody(server: Server) -> None:
    """An unknown run has none."""
    refusal(server.http.get(place("nobodys", "/events")), 404)
