"""Contract section 3: what others send, print and read is bounded, and the rest comes later."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.runs import (
    RUNS,
    ended,
    execute,
    followed,
    listed,
    named,
    place,
    post,
    refusal,
    runs_of,
    sent,
    submit,
)
from support.server import Server
from support.sse import EVENT_STREAM

LARGEST = 16 * 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose streams of runs two may read."""
    config = {"KernelStatusApp": {"max_run_readers": 2, "run_output_limit": 100_000}}
    with Server(config=config) as server:
        yield server


def refused(answer: httpx.Response) -> None:
    """Hold an answer to what a program relies on."""
    assert "max_run_readers" in refusal(answer, 429)
    assert answer.json()["code"] == "TooManyReaders"
    assert int(answer.headers["Retry-After"]) > 0


def test_so_many_read_the_streams_of_runs(server: Server) -> None:
    """The next is refused before anything is run; who wants no stream is not."""
    kernel, gate = server.connected(server.fake()), server.gate()
    with sent(server, kernel, gate.command) as first:
        run_id = first.until(named("run")).data["run"]["run_id"]
        with followed(server, run_id) as second:
            second.until(named("run"))
            refused(server.http.get(place(run_id, "/events")))
            streams = {"Accept": EVENT_STREAM}
            refused(server.http.post(runs_of(kernel), json={"code": "nothing"}, headers=streams))
            assert [run["run_id"] for run in listed(server, kernel)] == [run_id]
            assert submit(server, kernel, "nothing")["status"] in ("queued", "running")
            gate.open()
            second.until(named("done"))
    assert execute(server, kernel, "nothing").of("done")


def test_an_answer_is_never_larger_than_16_mib(server: Server) -> None:
    """Then it has fewer runs, and says what to ask for next: all are told, each once."""
    kernel = server.connected(server.fake())
    code = "nothing " + "é" * 30_000  # six bytes each in an answer
    sent_ids = [post(server, kernel, code).json()["run"]["run_id"] for _ in range(110)]
    for run_id in (sent_ids[0], sent_ids[-1]):
        ended(server, run_id, timeout=60)
    found: list[str] = []
    answers, before = 0, None
    while True:
        query = {"limit": 500, **({"before": before} if before else {})}
        answer = server.http.get(runs_of(kernel), params=query)
        assert len(answer.content) <= LARGEST
        found += [run["run_id"] for run in answer.json()["runs"]]
        answers, before = answers + 1, answer.json()["next"]
        if before is None:
            break
        assert before == found[-1]
    assert found == sent_ids[::-1]
    assert answers == 2
    few = server.get(RUNS, limit=10)
    assert [run["run_id"] for run in few["runs"]] == sent_ids[:-11:-1]
    assert few["next"] == sent_ids[-10]


def test_what_nobody_reads_is_counted(server: Server) -> None:
    """What came before it is kept, what comes after it works, and how much it was is told."""
    kernel = server.connected(server.fake())
    run_id = submit(server, kernel, "big 20000000")["run_id"]
    assert ended(server, run_id)["status"] == "ok"
    with followed(server, run_id) as stream:
        gap = stream.until(named("truncated"))
        done = stream.until(named("done"))
    assert gap.data["dropped_events"] == 1
    assert 20_000_000 < gap.data["dropped_bytes"] < 20_001_000
    assert done.data["success"] is True
