"""The page `/kernel-status` on all devices, for all eyes; and the pictures of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from support.server import Server
from support.stories import come_back

if TYPE_CHECKING:
    from kernel_page import KernelPage

pytest_plugins = ["kernel_page_fixtures"]

SALES = "frames = [bytearray(30_000_000) for month in range(5)]"

TRAINING = """
import os, time
model, held = None, []
def train(model, epoch):
    while not os.path.exists({gate!r}):
        held.append(b"x" * 200_000)
        if len(held) > 600:
            held.clear()
        sum(range(100_000))
        time.sleep(0.02)
"""
"""Defines what is seen as work: memory that grows, some processor time, until a gate opens."""

NARROW = 400

TREND = 10
"""Figures, one every two seconds, until a trend is one to be looked at."""


@pytest.fixture(scope="module")
def busy_server(page_server: Server) -> Iterator[dict[str, str]]:
    """Kernels in many states: running with a queue, idle, died and back, dead for good."""
    start = {
        path: page_server.session(path, "python3")["kernel"]["id"]
        for path in ("reports/2026/sales.ipynb", "training.ipynb", "notes/scratch.ipynb")
    }
    for kernel in start.values():
        page_server.settled(kernel)
    sales, training, _ = start.values()
    run(page_server, sales, SALES)
    revision = page_server.settled(sales)["revision"]
    run(page_server, sales, "import os\nos.write(2, b'Fatal error: out of luck')\nos.abort()")
    come_back(page_server, sales, revision)
    run(page_server, training, "open('missing.csv')", stop_on_error=False)
    page_server.settled(training)
    gate = page_server.gate()
    revision = page_server.status(training)["revision"]
    run(page_server, training, TRAINING.format(gate=str(gate)))
    page_server.wait(training, execution_state="idle", since=revision)
    run(page_server, training, "for epoch in range(40): train(model, epoch)")
    page_server.wait(training, execution_state="busy")
    run(page_server, training, "model.save('best')")
    code = "import no_module_of_this_name"
    broken = page_server.spec("broken", ["python3", "-c", code, "{connection_file}"])
    dead = page_server.start_kernel(broken)
    page_server.until_dead(dead)
    yield start | {"dead": dead}
    gate.open()


def run(server: Server, kernel: str, code: str, **fields: object) -> None:
    """Have a kernel run code, not waiting for it."""
    server.post(f"api/kernels/{kernel}/runs", {"code": code, **fields}, expect=202)


@pytest.fixture
def settled(kernel_page: KernelPage, busy_server: dict[str, str]) -> Callable[..., None]:
    """Open the page in some shape, and wait until it has all that it will show."""
    page, training = kernel_page, busy_server["training.ipynb"]

    def open_page(width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        page.shape(width, height, dark=dark)
        page.open()
        page.until(lambda: len(page.rows()) == len(busy_server), "all rows")
        page.until(lambda: page.cell(training, "runs"), "the code is shown")
        page.until(lambda: "%" in page.cell(training, "cpu"), "the figures are shown")
        page.until(lambda: points(page, training) >= TREND, "the trends are shown")

    return open_page


def points(page: KernelPage, kernel: str) -> int:
    """How many figures the trend of a kernel's memory has."""
    line = page.find(".memory .line", page.row(kernel))
    return len((line.get_attribute("points") or "").split())


def overflow(page: KernelPage) -> int:
    """By how many pixels the page is wider than the window."""
    script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return page.driver.execute_script(script)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_serious_fault(
    kernel_page: KernelPage,
    settled: Callable[..., None],
    busy_server: dict[str, str],
    dark: bool,
) -> None:
    """axe-core finds nothing serious: all rows closed, one open, a question asked, narrow."""
    settled(dark=dark)
    assert kernel_page.faults() == []
    sales = busy_server["reports/2026/sales.ipynb"]
    detail = kernel_page.unfold(sales)
    kernel_page.until(lambda: "SIGABRT" in detail.text, "its story is told")
    assert kernel_page.faults() == []
    kernel_page.press(sales, "Restart")
    assert kernel_page.faults() == []
    kernel_page.answer("Cancel")
    kernel_page.shape(NARROW, dark=dark)
    assert kernel_page.faults() == []


def test_a_table_for_screen_readers(kernel_page: KernelPage, settled: Callable[..., None]) -> None:
    """Whatever it looks like, it is a table with headers, rows and cells in Chromium's tree."""
    settled()
    tree = kernel_page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node.get("role", {}).get("value") for node in tree if not node.get("ignored")]
    assert roles.count("table") == 1
    assert roles.count("columnheader") == 9
    assert roles.count("rowheader") == 4
    assert roles.count("row") == 5


@pytest.mark.parametrize("width", [NARROW, 700, 1024, 1920])
def test_nothing_is_cut_off(
    kernel_page: KernelPage, settled: Callable[..., None], busy_server: dict[str, str], width: int
) -> None:
    """No page is wider than its window, also with a row open; narrow rows are cards with labels."""
    settled(width)
    kernel_page.unfold(busy_server["reports/2026/sales.ipynb"])
    assert overflow(kernel_page) <= 0
    head = kernel_page.find("thead")
    assert (head.size["height"] > 1) == (width > 900)
    kernel_page.chromium.photograph(f"{width}")


def test_dark_is_dark(kernel_page: KernelPage, settled: Callable[..., None]) -> None:
    """Who wants it dark gets light text on dark paper."""
    settled(dark=True)
    script = "return getComputedStyle(document.body).backgroundColor"
    assert kernel_page.driver.execute_script(script) == "rgb(20, 23, 27)"


def test_calm_for_who_wants_it(kernel_page: KernelPage) -> None:
    """With reduced motion a death is marked without a fading colour."""
    kernel_page.open()
    reduced = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    kernel_page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": reduced})
    script = """
    const row = document.querySelector("table").appendChild(document.createElement("tbody"));
    row.className = "died";
    return getComputedStyle(row).animationName;
    """
    assert kernel_page.driver.execute_script(script) == "died-calmly"


def test_pictures(
    kernel_page: KernelPage, settled: Callable[..., None], busy_server: dict[str, str]
) -> None:
    """The pictures of the documentation show what the page shows."""
    settled(1400, 480)
    kernel_page.picture("kernel-page")
    detail = kernel_page.unfold(busy_server["reports/2026/sales.ipynb"])
    kernel_page.until(lambda: "SIGABRT" in detail.text, "its story is told")
    kernel_page.find("summary", detail).click()
    kernel_page.shape(1400, 860)
    kernel_page.picture("kernel-page-open")
    kernel_page.opener(busy_server["reports/2026/sales.ipynb"]).click()
    kernel_page.shape(1400, 480, dark=True)
    kernel_page.picture("kernel-page-dark")
    kernel_page.shape(NARROW, 860)
    kernel_page.picture("kernel-page-narrow")
