"""The page `/kernel-status` and what goes wrong: odd names, lost servers, lost logins."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.server import Server, eventually
from support.watching import FEEDING, born, remove, tell

if TYPE_CHECKING:
    from kernel_page import KernelPage

pytest_plugins = ["kernel_page_fixtures"]

EVIL = '<img src=x onerror="window.evil=1"><b>bold'

DOWN = (r"net::ERR_", r"status of 403 \(Forbidden\)", r"status of 503")
"""What Chromium says by itself while a server is not there, or refuses."""

SHOW = """
const [address, kernel, done] = arguments;
const modules = ["row.js", "entry.js"].map((name) => import(`${address}/${name}`));
Promise.all(modules).then(([{Row}, {Entry}]) => {
  const row = new Row(new Entry(kernel), () => {});
  done([row.element.textContent, row.element.querySelectorAll("img, b").length]);
});
"""


HIDE = """
const [hidden] = arguments;
Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
document.dispatchEvent(new Event("visibilitychange"));
"""
"""Another tab comes in front, or this one again."""


@pytest.fixture
def short_lived(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that is started again at the same port."""
    with Server(config={"ServerApp": FEEDING}) as server:
        monkeypatch.setattr("support.server.free_port", lambda *_: server.port)
        yield server


@pytest.fixture
def lonely(request: pytest.FixtureRequest, short_lived: Server) -> Iterator[KernelPage]:
    """A page of that server."""
    from kernel_page import opened  # noqa: PLC0415 - imports selenium, which may be missing

    with opened(short_lived, request.node.name) as page:
        page.chromium.expect(*DOWN)
        yield page


def unharmed(page: KernelPage) -> None:
    """Check that nothing of what came from kernels became part of the page."""
    assert page.driver.execute_script("return window.evil") is None
    assert (
        page.driver.execute_script("return document.querySelectorAll('main img, main b').length")
        == 0
    )


def test_html_stays_text(kernel_page: KernelPage, page_server: Server) -> None:
    """Paths, code and errors that are HTML are shown as they are written."""
    session = page_server.session(f"{EVIL}.ipynb", "python3")
    kernel = session["kernel"]["id"]
    page_server.settled(kernel)
    kernel_page.open()
    kernel_page.until(lambda: "<b>bold" in kernel_page.cell(kernel, "notebook"), "its path")
    gate = page_server.gate()
    code = f"{EVIL!r}\n{gate.cell}\nraise ValueError({EVIL!r})"
    page_server.post(f"api/kernels/{kernel}/runs", {"code": code}, expect=202)
    kernel_page.until(lambda: "<b>bold" in kernel_page.cell(kernel, "runs"), "its code")
    detail = kernel_page.unfold(kernel)
    gate.open()
    kernel_page.until(lambda: f"ValueError: {EVIL}" in detail.text, "its error")
    unharmed(kernel_page)


def test_ids_and_reasons_stay_text(kernel_page: KernelPage, page_server: Server) -> None:
    """So are ids and reasons, in the row, below it, and in the log of deaths."""
    kernel = f"<b>{uuid.uuid4().hex}</b>"
    born(page_server, kernel)
    kernel_page.open()
    kernel_page.until_word(kernel, "idle")
    reason = f"{EVIL}."
    tell(page_server, [kernel], ("died", {"code": 1}), ("launch_failed", {"reason": reason}))
    kernel_page.until(lambda: reason in kernel_page.cell(kernel, "state"), "its reason")
    kernel_page.opener(kernel).click()
    kernel_page.until(lambda: reason in kernel_page.text(".whole-reason"), "its whole reason")
    unharmed(kernel_page)
    remove(page_server, kernel)


def test_names_stay_text(kernel_page: KernelPage, page_server: Server) -> None:
    """So are the names of kernels, which another server behind a gateway may choose freely."""
    (kernel,) = born(page_server, f"named-{uuid.uuid4().hex}")
    kernel_page.open()
    place = f"{page_server.base_url}static/kernel_status_ext/kernel-status"
    status = page_server.status(kernel) | {"name": EVIL}
    text, elements = kernel_page.driver.execute_async_script(SHOW, place, status)
    assert (EVIL in text, elements) == (True, 0)
    remove(page_server, kernel)


def test_a_long_reason(kernel_page: KernelPage, page_server: Server) -> None:
    """Of a reason of 10 KB the row shows the beginning, in three lines, and the opened row all."""
    (kernel,) = born(page_server, f"long-{uuid.uuid4().hex}")
    reason = f"{'It went on and on ' * 600}to this end."
    tell(page_server, [kernel], ("died", {"code": 1}), ("launch_failed", {"reason": reason}))
    kernel_page.open()
    kernel_page.until_word(kernel, "dead")
    row = kernel_page.row(kernel)
    assert row.size["height"] < 110
    kernel_page.opener(kernel).click()
    kernel_page.until(lambda: "to this end." in kernel_page.text(".whole-reason"), "all of it")
    assert kernel_page.driver.execute_script("return document.documentElement.scrollWidth") <= 1280
    remove(page_server, kernel)


def test_the_token_leaves_the_address(kernel_page: KernelPage, page_server: Server) -> None:
    """A token in the address works and is gone from it; the rest of the address stays."""
    kernel_page.open(more="yes")
    assert page_server.token not in kernel_page.driver.current_url
    assert kernel_page.driver.current_url == f"{kernel_page.address}?more=yes"
    assert page_server.token not in kernel_page.driver.page_source


def test_a_server_that_is_gone_and_comes_back(lonely: KernelPage, short_lived: Server) -> None:
    """The page says that nobody answers and greys what it shows; the new snapshot makes it true."""
    born(short_lived, "before")
    lonely.open()
    lonely.until_word("before", "idle")
    short_lived.process.kill()
    short_lived.process.wait()
    lonely.until_connection("Reconnecting …")
    assert "The server does not answer." in lonely.text(".notice")
    assert lonely.rows() == ["before"]
    lonely.chromium.photograph("lost")
    short_lived.launch()
    born(short_lived, "after")
    lonely.until_connection("Live")
    lonely.until(lambda: lonely.rows() == ["after"], "it shows what is true now")
    assert lonely.text(".notice") == ""


def test_a_server_that_stops_says_good_bye(lonely: KernelPage, short_lived: Server) -> None:
    """When a server stops by itself its kernels leave the page before it is lost."""
    kernel = short_lived.connected()
    lonely.open()
    lonely.until_word(kernel, "idle")
    assert short_lived.stop().clean
    lonely.until_connection("Reconnecting …")
    short_lived.launch()
    lonely.until_connection("Live")
    lonely.until(lambda: "No kernels." in lonely.text(".empty"), "there are none")


def test_a_login_that_is_over(lonely: KernelPage, short_lived: Server) -> None:
    """Who is logged out meanwhile is told so, and where to log in."""
    lonely.open()
    short_lived.process.kill()
    short_lived.process.wait()
    lonely.until_connection("Reconnecting …")
    lonely.driver.delete_all_cookies()
    short_lived.launch()
    lonely.until_connection("Not allowed")
    lonely.until(lambda: "Log in" in lonely.text(".notice"), "it says where to log in")
    lonely.find(".login").click()
    lonely.until(lambda: "/login?next=" in lonely.driver.current_url, "it leads there")


def test_one_watcher_too_many(request: pytest.FixtureRequest) -> None:
    """Where no more may watch the page says so in the server's own sentence, and tries again."""
    from kernel_page import opened  # noqa: PLC0415 - imports selenium, which may be missing

    config = {"KernelStatusApp": {"max_watchers": 0}}
    with Server(config=config) as server, opened(server, request.node.name) as page:
        page.chromium.expect(*DOWN)
        page.driver.get(f"{page.address}?token={server.token}")
        page.until(lambda: "no more are allowed" in page.text(".notice"), "the refusal is said")
        page.until_connection("Reconnecting …")
        eventually(lambda: "watch?figures=2" in server.log(), what="the refusal is logged")


def test_a_server_that_hangs(lonely: KernelPage, short_lived: Server) -> None:
    """A server that says nothing any more, its connections open, is not taken for a calm one."""
    lonely.open()
    short_lived.process.send_signal(signal.SIGSTOP)
    lonely.until_connection("Reconnecting …")
    short_lived.process.send_signal(signal.SIGCONT)
    lonely.until_connection("Live")


def test_a_page_that_nobody_sees(kernel_page: KernelPage) -> None:
    """It lets go of its stream, for others need the connection, and begins anew when it is seen."""
    kernel_page.open()
    kernel_page.driver.execute_script(HIDE, True)
    kernel_page.until_connection("Paused")
    kernel_page.driver.execute_script(HIDE, False)
    kernel_page.until_connection("Live")
