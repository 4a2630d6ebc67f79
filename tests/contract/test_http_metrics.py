"""Contract section 6: Prometheus metrics on the server's own `/metrics`."""

from __future__ import annotations

import itertools
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from support.server import Server, eventually
from support.sse import Stream
from support.stories import come_back, kill

from kernel_status_ext.core.events import Answered, ProcessExited, ProcessStarted
from kernel_status_ext.core.model import Exit
from kernel_status_ext.core.words import Status
from kernel_status_ext.jupyter.metrics import MOST_NAMES, OTHER, Metrics
from kernel_status_ext.tracking.tracker import Tracker

Starter = Callable[..., str]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

FAMILIES = {
    "kernel_status_kernels": "gauge",
    "kernel_status_waiters": "gauge",
    "kernel_status_watchers": "gauge",
    "kernel_status_terminations": "counter",
    "kernel_status_restarts": "counter",
    "kernel_status_runs": "counter",
    "kernel_status_connect_seconds": "histogram",
}
PAGES = [
    Path(__file__).parents[2] / "docs" / name
    for name in ("reference/metrics.md", "how-to/hub-dashboard.md")
]
BEGAN = datetime(2026, 1, 2, tzinfo=timezone.utc)


def read(text: str) -> Samples:
    """Give the samples of ours that a scrape has, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("kernel_status_")
    }


def scrape(server: Server) -> Samples:
    """Scrape a server."""
    response = server.http.get("metrics")
    assert response.status_code == 200, response.text
    return read(response.text)


def value(samples: Samples, name: str, **labels: str) -> float:
    """Give one sample, 0 where there is none yet."""
    return samples.get((f"kernel_status_{name}", frozenset(labels.items())), 0)


def by_status(samples: Samples) -> dict[str, float]:
    """Give the number of kernels in each status."""
    return {
        dict(labels)["status"]: value
        for (name, labels), value in samples.items()
        if name == "kernel_status_kernels"
    }


def moved(before: Samples, after: Samples, name: str) -> dict[str, float]:
    """Give what was added to the counters of one kernel name, by their other label."""
    return {
        f"{sample}:{'/'.join(value for key, value in sorted(labels) if key != 'kernel_name')}": (
            now - before.get((sample, labels), 0)
        )
        for (sample, labels), now in after.items()
        if sample.endswith(("_total", "_count"))
        and ("kernel_name", name) in labels
        and now != before.get((sample, labels), 0)
    }


def test_families_have_types_and_help(server: Server, fake: Starter) -> None:
    """Every family of ours is there with its type, a help text and a name that says its unit."""
    fake("good")
    families = {
        family.name: family
        for family in text_string_to_metric_families(server.http.get("metrics").text)
        if family.name.startswith("kernel_status_") and not family.name.endswith("_created")
    }
    assert {name: family.type for name, family in families.items()} == FAMILIES
    assert all(family.documentation.endswith(".") for family in families.values())


def test_every_status_is_there_and_their_sum_is_right(server: Server) -> None:
    """The nine statuses are printed from the first scrape on, and add up to the kernels listed."""
    assert by_status(scrape(server)) == dict.fromkeys(map(str, Status), 0)
    alive = server.connected(server.fake())
    dead = server.start_kernel(server.fake(mode="die-at-start"))
    server.until_dead(dead)
    now = by_status(scrape(server))
    assert (now["connected"], now["dead"], sum(now.values())) == (1, 1, len(server.models()))
    server.delete(dead)
    server.delete(alive)
    assert by_status(scrape(server)) == dict.fromkeys(map(str, Status), 0)


def test_a_life_moves_each_counter_by_one(server: Server) -> None:
    """Start, kill, restart and delete count exactly what happened, each once."""
    name = server.fake()
    scrapes = [scrape(server)]
    kernel = server.connected(name)
    scrapes.append(scrape(server))
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    back = come_back(server, kernel, before)
    scrapes.append(scrape(server))
    server.restart(kernel)
    come_back(server, kernel, back["revision"])
    scrapes.append(scrape(server))
    server.delete(kernel)
    scrapes.append(scrape(server))
    assert [moved(*pair, name) for pair in itertools.pairwise(scrapes)] == [
        {"kernel_status_connect_seconds_count:": 1},
        {
            "kernel_status_terminations_total:Killed": 1,
            "kernel_status_restarts_total:automatic": 1,
            "kernel_status_connect_seconds_count:": 1,
        },
        {
            "kernel_status_terminations_total:Restarted": 1,
            "kernel_status_restarts_total:requested": 1,
            "kernel_status_connect_seconds_count:": 1,
        },
        {"kernel_status_terminations_total:Shutdown": 1},
    ]


def test_each_run_is_counted_once_by_how_it_ended(server: Server) -> None:
    """A run counts when it is over, and only then."""
    name = server.fake()
    kernel = server.connected(name)
    before = scrape(server)
    headers = {"Accept": "text/event-stream"}
    asked = {"code": "nothing"}
    answer = server.http.post(f"api/kernels/{kernel}/runs", json=asked, headers=headers)
    assert '"status": "ok"' in answer.text
    assert moved(before, scrape(server), name) == {"kernel_status_runs_total:ok": 1}
    server.delete(kernel)


def test_seconds_until_connected(server: Server) -> None:
    """The histogram has the time that the status tells, in its bucket and not below."""
    name = server.fake()
    kernel = server.connected(name)
    status = server.status(kernel)
    began, ready = (
        datetime.strptime(status[each], "%Y-%m-%dT%H:%M:%S.%f%z")
        for each in ("started_at", "connected_at")
    )
    seconds, samples = (ready - began).total_seconds(), scrape(server)
    assert value(samples, "connect_seconds_sum", kernel_name=name) == pytest.approx(seconds)
    counts = {
        float(dict(labels)["le"]): count
        for (sample, labels), count in samples.items()
        if sample == "kernel_status_connect_seconds_bucket" and ("kernel_name", name) in labels
    }
    assert counts == {limit: float(seconds <= limit) for limit in counts}
    assert len(counts) > 10
    server.delete(kernel)


def test_waiters_and_watchers_come_and_go(server: Server, fake: Starter) -> None:
    """Both gauges tell who waits and who watches now."""
    kernel = fake("good")
    names = ("waiters", "watchers")

    def now() -> list[float]:
        samples = scrape(server)
        return [value(samples, name) for name in names]

    assert now() == [0, 0]
    call = server.send_wait(kernel, state="running")
    with Stream(server, "api/kernels/watch") as stream:
        stream.next()
        assert now() == [1, 1]
    call.hang_up()
    eventually(lambda: now() == [0, 0], what="nobody waits or watches")


def test_core_metrics_stay_and_core_decides_who_may_read(server: Server) -> None:
    """Ours stand beside core's own, behind the same door."""
    assert "http_request_duration_seconds" in server.http.get("metrics").text
    stranger = httpx.get(f"{server.http.base_url}metrics")
    assert (stranger.status_code, "kernel_status" in stranger.text) == (403, False)


TWO_SERVERS = """
import asyncio
from jupyter_server.serverapp import ServerApp
from prometheus_client import REGISTRY, generate_latest

def printed():
    return "kernel_status_kernels" in generate_latest(REGISTRY).decode()

async def live(stop):
    app = ServerApp()
    app.initialize(["--allow-root", "--port=0"], new_httpserver=False)
    assert "kernel_status" in app.web_app.settings
    assert printed()
    if stop:
        await app._cleanup()
    return app

for stop in (True, False, False):
    app = asyncio.run(live(stop))
    assert printed() is not stop
asyncio.run(app._cleanup())
assert not printed()
"""


def test_servers_that_share_a_process(server: Server) -> None:
    """One after another, stopped or not: each is loaded, and the last to stop prints no more."""
    command = [sys.executable, "-W", "ignore", "-c", TWO_SERVERS]
    done = subprocess.run(
        command, env=server.env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


# -- without a server


@pytest.fixture
def tracker() -> Tracker:
    """A tracker whose clock stands still."""
    return Tracker(logging.getLogger("test"), clock=lambda: BEGAN)


@pytest.fixture
def metrics(tracker: Tracker) -> Iterator[Metrics]:
    """Its metrics, registered."""
    metrics = Metrics(tracker, lambda: 3, lambda: 5)
    tracker.listen(metrics.changed)
    metrics.register()
    yield metrics
    metrics.unregister()


def registered() -> Samples:
    """Give what the process's registry prints of ours."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("kernel_status_")
    }


def live_and_die(tracker: Tracker, name: str, seconds: float = 1) -> None:
    """Have a kernel of this kernelspec start, answer and be killed."""
    later = BEGAN + timedelta(seconds=seconds)
    tracker.add(name, name)
    tracker.feed(name, ProcessStarted(0, BEGAN, pid=1))
    tracker.feed(name, Answered(0, later))
    tracker.feed(name, ProcessExited(0, later, Exit(signal=9), restarter=False))


@pytest.mark.usefixtures("metrics")
def test_labels_are_bounded(tracker: Tracker) -> None:
    """The first kernelspecs have their names, all others share one, and nothing is lost."""
    for number in range(MOST_NAMES + 20):
        live_and_die(tracker, f"spec-{number}")
    samples = registered()
    for sample in ("kernel_status_terminations_total", "kernel_status_connect_seconds_count"):
        counts = {
            dict(labels)["kernel_name"]: count
            for (name, labels), count in samples.items()
            if name == sample
        }
        assert counts == {f"spec-{number}": 1 for number in range(MOST_NAMES)} | {OTHER: 20}
    assert value(samples, "waiters") == 3
    assert value(samples, "watchers") == 5


@pytest.mark.usefixtures("metrics")
def test_a_clock_that_is_set_back(tracker: Tracker) -> None:
    """A time that went backwards is no time: the sum of a histogram only grows."""
    live_and_die(tracker, "back", seconds=-3600)
    assert value(registered(), "connect_seconds_sum", kernel_name="back") == 0
    assert value(registered(), "connect_seconds_count", kernel_name="back") == 1


def test_a_second_server_takes_the_place_of_the_first(tracker: Tracker, metrics: Metrics) -> None:
    """Two at a time: the later one is printed, and the end of the first changes nothing."""
    live_and_die(tracker, "first")
    second = Metrics(Tracker(logging.getLogger("test")), lambda: 0, lambda: 0)
    second.register()
    metrics.unregister()
    assert sum(by_status(registered()).values()) == 0
    metrics.register()
    assert by_status(registered())["dead"] == 1
    second.unregister()
    assert by_status(registered())["dead"] == 1
    metrics.unregister()
    assert not registered()


def test_a_registry_that_somebody_has_emptied(metrics: Metrics) -> None:
    """A server stops and the next one starts, whatever was done to the registry."""
    REGISTRY.unregister(metrics)
    metrics.unregister()
    metrics.register()
    assert registered()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_name_what_exists(page: Path) -> None:
    """A page names no metric that is not printed; the reference names all of them."""
    text = page.read_text()
    suffixes = r"_total|_bucket|_sum|_count|_created"
    named = {
        re.sub(rf"({suffixes})$", "", name)
        for name in re.findall(r"\bkernel_status_[a-z_]+", text)
        if name != "kernel_status_ext"
    }
    assert named <= set(FAMILIES)
    if page.parent.name == "reference":
        assert named == set(FAMILIES)


def test_the_dashboard_can_be_imported() -> None:
    """The dashboard in the docs is JSON, and each panel asks for something and says its unit."""
    (block,) = re.findall(r"```json\n(.*?)```", PAGES[1].read_text(), re.DOTALL)
    panels = json.loads(block)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 4
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["expr"] for target in panel["targets"])
