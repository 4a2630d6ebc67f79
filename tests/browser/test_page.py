"""The page `/kernel-status`: what people read there, and what its buttons do."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from support.authorizers import HEADER
from support.server import Gate, Server, eventually, held_for
from support.stories import come_back, kill

if TYPE_CHECKING:
    from kernel_page import KernelPage

pytest_plugins = ["kernel_page_fixtures"]

WITHIN = 0.5
"""Seconds until a death is shown."""

DEATHS = 5

NOTE = """
const row = document.querySelector(`.opener[title="${arguments[0]}"]`).closest("tbody");
window.noted = [];
const note = () => window.noted.push([row.dataset.word, Date.now() / 1000]);
new MutationObserver(note).observe(row, {attributes: true, attributeFilter: ["data-word"]});
"""
"""Has the page note when a row's word changes, in seconds since the epoch."""


def run(server: Server, kernel: str, code: str) -> str:
    """Have a kernel run code, not waiting for it; gives the run's id."""
    answer = server.post(f"api/kernels/{kernel}/runs", {"code": code}, expect=202)
    return answer["run"]["run_id"]


def busy(server: Server, kernel: str, comment: str = "# to be read") -> Gate:
    """Have a kernel work until a gate opens; the code begins with a comment."""
    gate = server.gate()
    run(server, kernel, f"{comment}\n{gate.cell}")
    eventually(gate.reached.exists, what="the cell runs")
    return gate


def test_who_is_not_logged_in_logs_in_first(kernel_page: KernelPage, page_server: Server) -> None:
    """Without login the address leads to the server's login page, and from there to the page."""
    driver = kernel_page.driver
    driver.get(kernel_page.address)
    assert "/login?next=" in driver.current_url
    kernel_page.find("input[name=password]").send_keys(page_server.token)
    kernel_page.type("ENTER")
    kernel_page.until_connection("Live")
    assert driver.current_url == kernel_page.address


def test_no_kernels_is_said(kernel_page: KernelPage, page_server: Server) -> None:
    """Where nothing runs the page says so, until a kernel comes, and after it has gone."""
    kernel_page.open()
    none = "No kernels. One appears here as soon as"
    kernel_page.until(lambda: none in kernel_page.text(".empty"), "it says that there are none")
    kernel = page_server.connected()
    kernel_page.until_word(kernel, "idle")
    assert kernel_page.text(".empty") == ""
    page_server.delete(kernel)
    kernel_page.until(lambda: none in kernel_page.text(".empty"), "it says so again")


def test_an_empty_page_has_no_serious_fault(kernel_page: KernelPage) -> None:
    """axe-core finds nothing serious where nothing runs."""
    kernel_page.open()
    kernel_page.until(lambda: "No kernels." in kernel_page.text(".empty"), "it says so")
    assert kernel_page.faults() == []


def test_a_kill_is_shown_at_once(kernel_page: KernelPage, page_server: Server) -> None:
    """Each kill is on the page, without reload, within half a second, with its sentence."""
    kernel = page_server.connected()
    kernel_page.open()
    kernel_page.until_word(kernel, "idle")
    kernel_page.driver.execute_script(NOTE, kernel)
    took = []
    for _ in range(DEATHS):
        revision = page_server.status(kernel)["revision"]
        count = len(kernel_page.driver.execute_script("return noted"))
        killed = time.time()
        kill(page_server, kernel)
        shown = kernel_page.until(
            lambda count=count: kernel_page.driver.execute_script("return noted")[count:],
            "the death is shown",
        )
        assert shown[0][0] == "autorestarting"
        took.append(shown[0][1] - killed)
        come_back(page_server, kernel, revision)
        kernel_page.until_word(kernel, "idle")
    print("seconds until a kill was shown:", [f"{each:.3f}" for each in took])
    assert median(took) < WITHIN
    last = page_server.status(kernel)["last_termination"]
    assert last["reason"] in kernel_page.cell(kernel, "last")
    assert kernel_page.cell(kernel, "last").startswith("Killed")
    assert kernel_page.cell(kernel, "restarts") == str(DEATHS)


def test_what_it_runs(kernel_page: KernelPage, page_server: Server) -> None:
    """A row has the notebook, the first line of what runs and how long, and what waits."""
    session = page_server.session("work/figures.ipynb", "python3")
    kernel = session["kernel"]["id"]
    page_server.settled(kernel)
    kernel_page.open()
    gate = busy(page_server, kernel, "# the first line")
    kernel_page.until_word(kernel, "running")
    cell = kernel_page.cell
    kernel_page.until(lambda: "# the first line" in cell(kernel, "runs"), "the code is shown")
    kernel_page.until(lambda: cell(kernel, "runs").endswith(" s"), "and how long it has run")
    assert "import os" not in cell(kernel, "runs")
    kernel_page.until(lambda: cell(kernel, "notebook") == "work/figures.ipynb", "the notebook")
    run(page_server, kernel, "2")
    run(page_server, kernel, "3")
    kernel_page.opener(kernel).click()
    kernel_page.until(lambda: cell(kernel, "queue") == "2", "two wait")
    kernel_page.until(lambda: "MiB" in cell(kernel, "memory"), "its memory is shown")
    kernel_page.until(lambda: "%" in cell(kernel, "cpu"), "and what it takes of a processor")
    gate.open()
    kernel_page.until_word(kernel, "idle")
    assert (cell(kernel, "runs"), cell(kernel, "queue")) == ("", "")


def test_an_opened_row_tells_the_story(kernel_page: KernelPage, page_server: Server) -> None:
    """Below a row stand what it went through, how it died with its traceback, and its runs."""
    kernel = page_server.connected()
    run(page_server, kernel, "print('hello')")
    page_server.settled(kernel)
    revision = page_server.status(kernel)["revision"]
    # Not at once: its busy would die with it, and nobody would know that it had begun.
    last = "import os, time; os.write(2, b'last words'); time.sleep(0.3); os.abort()"
    run(page_server, kernel, last)
    come_back(page_server, kernel, revision)
    kernel_page.open()
    detail = kernel_page.unfold(kernel)
    for told in ("Aborted", "SIGABRT", "autorestarting", "print('hello')", "died", "generation 1"):
        kernel_page.until(lambda told=told: told in detail.text, f"it tells {told!r}")
    kernel_page.find("summary", detail).click()
    assert "last words" in kernel_page.find("pre", detail).text
    assert kernel_page.find(".timeline rect[data-word=autorestarting]", detail)
    run(page_server, kernel, "'more'")
    kernel_page.until(lambda: "'more'" in detail.text, "what came since is told, too")
    assert kernel_page.find("pre", detail).is_displayed()
    kernel_page.opener(kernel).click()
    assert kernel_page.opener(kernel).get_attribute("aria-expanded") == "false"


def test_interrupt(kernel_page: KernelPage, page_server: Server) -> None:
    """The button interrupts what runs, without a question."""
    kernel = page_server.connected()
    kernel_page.open()
    busy(page_server, kernel)
    kernel_page.until_word(kernel, "running")
    detail = kernel_page.unfold(kernel)
    kernel_page.press(kernel, "Interrupt")
    kernel_page.until_word(kernel, "idle")
    kernel_page.until(lambda: "KeyboardInterrupt" in detail.text, "the run's end is told")
    assert "The interrupt was sent." in detail.text


def test_restart_is_asked_for_twice(kernel_page: KernelPage, page_server: Server) -> None:
    """The button asks first; no means no, yes restarts the kernel."""
    kernel = page_server.connected()
    kernel_page.open()
    kernel_page.unfold(kernel)
    kernel_page.press(kernel, "Restart")
    question = kernel_page.text("dialog")
    assert "Restart this kernel?" in question
    assert kernel[:8] in question
    kernel_page.answer("Cancel")
    assert held_for(lambda: page_server.status(kernel)["generation"] == 0, 0.5)
    kernel_page.press(kernel, "Restart")
    kernel_page.answer("Restart")
    kernel_page.until(lambda: page_server.status(kernel)["generation"] == 1, "it is restarted")
    kernel_page.until_word(kernel, "idle")


def test_shut_down_takes_the_row_away(kernel_page: KernelPage, page_server: Server) -> None:
    """Asked and answered, the kernel is gone, so is its row; the focus is on the next one."""
    first, second = sorted(page_server.connected() for _ in range(2))
    kernel_page.open()
    kernel_page.unfold(first)
    kernel_page.press(first, "Shut down")
    kernel_page.answer("Shut down")
    kernel_page.until(lambda: kernel_page.rows() == [second], "its row is gone")
    assert first not in page_server.models()
    assert kernel_page.focused == kernel_page.opener(second)


def test_a_refusal_is_said(kernel_page: KernelPage, page_server: Server) -> None:
    """Who may read and not write is told so in the server's own sentence."""
    kernel = page_server.connected()
    kernel_page.driver.execute_cdp_cmd("Network.enable", {})
    denied = {"headers": {HEADER: "write:kernels"}}
    kernel_page.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", denied)
    kernel_page.chromium.expect(r"status of 403 \(Forbidden\)")
    kernel_page.open()
    kernel_page.unfold(kernel)
    sentence = "User is not authorized to write on resource: kernels."
    for label in ("Interrupt", "Restart", "Shut down"):
        kernel_page.driver.refresh()
        kernel_page.until_word(kernel, "idle")
        kernel_page.unfold(kernel)
        kernel_page.press(kernel, label)
        if label != "Interrupt":
            kernel_page.answer(label)
        kernel_page.until(lambda: sentence in kernel_page.text(".refused"), "the refusal is said")
    assert page_server.status(kernel)["generation"] == 0


def test_those_in_trouble_come_first(kernel_page: KernelPage, page_server: Server) -> None:
    """A kernel that died for good goes to the top; who works in its row keeps the focus."""
    kernels = sorted(page_server.connected() for _ in range(2))
    broken = page_server.start_kernel(page_server.fake(mode="die-at-start", code=3))
    page_server.until_dead(broken)
    kernel_page.open()
    kernel_page.until(lambda: kernel_page.rows() == [broken, *kernels], "the dead one is on top")
    busy(page_server, kernels[1]).open()
    page_server.settled(kernels[1])
    assert kernel_page.rows() == [broken, *kernels]
    kernel_page.until(lambda: kernel_page.driver.title == "(1) Kernels", "the title counts them")


def test_filters_and_search(kernel_page: KernelPage, page_server: Server) -> None:
    """The buttons show one group with its number; the field finds by name, notebook and id."""
    kernel, other = sorted(page_server.connected() for _ in range(2))
    gate = busy(page_server, kernel)
    kernel_page.open()
    kernel_page.until_word(kernel, "running")
    kernel_page.show("running")
    kernel_page.until(lambda: kernel_page.rows() == [kernel], "only what runs")
    kernel_page.show("attention")
    kernel_page.until(lambda: "No kernel is like that now." in kernel_page.text(".empty"), "none")
    kernel_page.find(".show-all").click()
    kernel_page.until(lambda: len(kernel_page.rows()) == 2, "all")
    kernel_page.find(".search").send_keys(other[:8].upper())
    kernel_page.until(lambda: kernel_page.rows() == [other], "what is looked for")
    assert kernel_page.text(".filters") == "All 2\nAttention 0\nRunning 1\nIdle 1"
    gate.open()


def test_all_by_keyboard(kernel_page: KernelPage, page_server: Server) -> None:
    """Tab and Enter open a row and answer a question; the focus survives the kernel's death."""
    kernel = page_server.connected()
    kernel_page.open()
    kernel_page.until_word(kernel, "idle")
    kernel_page.find(".search").click()
    kernel_page.type("TAB")
    assert kernel_page.focused == kernel_page.opener(kernel)
    kernel_page.type("ENTER")
    kernel_page.until(lambda: "generation 0" in kernel_page.text(".detail"), "the row is open")
    kernel_page.type("TAB", "TAB")
    assert kernel_page.focused.text == "Restart"
    kernel_page.type("ENTER", "ESCAPE")
    assert kernel_page.focused.text == "Restart"
    revision = page_server.status(kernel)["revision"]
    kill(page_server, kernel)
    come_back(page_server, kernel, revision)
    kernel_page.until(lambda: "generation 1" in kernel_page.text(".detail"), "it is alive again")
    assert kernel_page.focused.text == "Restart"


def test_a_death_is_told_to_screen_readers(kernel_page: KernelPage, page_server: Server) -> None:
    """A live region says which kernel died and why; what was dead before is no news."""
    page_server.until_dead(page_server.start_kernel(page_server.fake(mode="die-at-start", code=3)))
    kernel = page_server.connected()
    kernel_page.open()
    kernel_page.until_word(kernel, "idle")
    log = kernel_page.find("[role=log][aria-live=polite]")
    assert log.get_property("textContent") == ""
    kill(page_server, kernel)
    kernel_page.until(lambda: log.get_property("textContent"), "the death is told")
    told = log.get_property("textContent")
    assert f"{kernel[:8]} died: " in told
    assert "SIGKILL" in told


def test_nothing_is_polled(kernel_page: KernelPage, page_server: Server) -> None:
    """A page that lives asks for nothing more, and never anybody but this server."""
    kernel = page_server.connected()
    kernel_page.open()
    kernel_page.until_word(kernel, "idle")
    kernel_page.until(lambda: kernel_page.requests()[-1].endswith("api/sessions"), "it is settled")
    asked = kernel_page.requests()
    assert held_for(lambda: kernel_page.requests() == asked, 5)
    place = f"http://127.0.0.1:{page_server.port}{page_server.base_url}"
    assert not [each for each in asked if not each.startswith(place)]
