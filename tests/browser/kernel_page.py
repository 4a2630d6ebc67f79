"""The page `/kernel-status` in a headless Chromium: what a person does there, and what they read.

    with Chromium("a name for screenshots") as chromium:
        page = KernelPage(chromium, server)
        page.open()
        page.until_word(kernel, "idle")

Every look waits for a state of the page; nothing of it is changed or extended.
"""

from __future__ import annotations

import contextlib
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from jupyterlab_page import MOVING, PATIENCE, Chromium
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from support.server import Server

T = TypeVar("T")

TABLE = "table.kernels tbody"

AXE = "KERNEL_STATUS_AXE"
"""The environment variable with the path of `axe.min.js`, from the npm package axe-core."""

SERIOUS = {"serious", "critical"}


class KernelPage:
    """The page of one server's kernels, open in a browser."""

    def __init__(self, chromium: Chromium, server: Server) -> None:
        self.chromium, self.driver, self.server = chromium, chromium.driver, server

    # -- getting there

    @property
    def address(self) -> str:
        """Where the page is, without a token."""
        return f"http://127.0.0.1:{self.server.port}{self.server.base_url}kernel-status"

    def open(self, **query: str) -> None:
        """Open it as somebody who was given the address with the token, and wait until it lives."""
        asked = urllib.parse.urlencode({"token": self.server.token} | query)
        self.driver.get(f"{self.address}?{asked}")
        self.until_connection("Live")

    def shape(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Make it so large, and dark or light, as on another device."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    # -- what a person reads

    def row(self, kernel: str) -> WebElement:
        """The row of a kernel, with what stands below it when it is open."""
        return self.driver.find_element(By.XPATH, f'//tbody[.//button[@title="{kernel}"]]')

    def rows(self) -> list[str]:
        """The ids of the kernels whose rows are shown, in order."""
        script = (
            f"return [...document.querySelectorAll('{TABLE}')]"
            ".filter((row) => row.checkVisibility())"
            ".map((row) => row.querySelector('.opener').title)"
        )
        return self.driver.execute_script(script)

    def cell(self, kernel: str, name: str) -> str:
        """What stands in a cell of a kernel's row."""
        return self.find(f"td.{name}", self.row(kernel)).text

    def text(self, selector: str) -> str:
        """What is read at this place, `""` where nothing is."""
        return " ".join(each.text for each in self.driver.find_elements(By.CSS_SELECTOR, selector))

    def until_connection(self, word: str) -> None:
        """Wait until the page says this of its connection."""
        self.until(lambda: self.text(".connection .said") == word, f"the connection reads {word}")

    def until_word(self, kernel: str, word: str) -> None:
        """Wait until a kernel's row says this word."""
        self.until(
            lambda: self.find(".word", self.row(kernel)).text == word,
            f"{kernel} reads {word}",
        )

    def until(self, look: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
        """Wait until `look` gives something true, and give it."""
        try:
            return WebDriverWait(self.driver, timeout, 0.05, MOVING).until(lambda _: look())
        except TimeoutException:
            self.chromium.photograph("failed")
            seen = f"it reads {self.text('main')[:2000]!r}, the console {self.console()}"
            raise AssertionError(f"not within {timeout} s: {what}; {seen}") from None

    def console(self) -> list[str]:
        """The errors and warnings of the console that nobody expected, since the last look."""
        told = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in {"SEVERE", "WARNING"}
        ]
        expected = self.chromium.expected
        return [text for text in told if not any(re.search(each, text) for each in expected)]

    def requests(self) -> list[str]:
        """The addresses of all that the page has asked for, in order."""
        script = "return performance.getEntriesByType('resource').map((each) => each.name)"
        return self.driver.execute_script(script)

    # -- what a person does

    def find(self, selector: str, within: WebElement | None = None) -> WebElement:
        """The first element at this place, of the page or of a part of it."""
        return (within or self.driver).find_element(By.CSS_SELECTOR, selector)

    @property
    def focused(self) -> WebElement:
        """Where the keyboard's input goes."""
        return self.driver.switch_to.active_element

    def type(self, *keys: str) -> None:
        """Press keys, by the names that selenium has for them."""
        for key in keys:
            self.focused.send_keys(getattr(Keys, key))

    def opener(self, kernel: str) -> WebElement:
        """The button that opens a kernel's row."""
        return self.find(".opener", self.row(kernel))

    def unfold(self, kernel: str) -> WebElement:
        """Open a kernel's row and wait for its story; gives what stands below it."""
        self.opener(kernel).click()
        detail = self.find(".detail", self.row(kernel))
        self.until(lambda: "Asking the server" not in detail.text, "the story has come")
        return detail

    def press(self, kernel: str, label: str) -> None:
        """Press a button of an open row."""
        self.row(kernel).find_element(By.XPATH, f'.//button[text()="{label}"]').click()

    def answer(self, label: str) -> None:
        """Answer the question with this button."""
        self.driver.find_element(By.XPATH, f'//dialog[@open]//button[text()="{label}"]').click()

    def show(self, group: str) -> None:
        """Press a filter."""
        self.find(f"button[data-filter={group}]").click()

    # -- what is looked at later

    def picture(self, name: str) -> None:
        """Write a picture of the documentation, if somebody wants them made."""
        ActionChains(self.driver).move_to_element(self.find("h1")).perform()
        self.chromium.illustrate(name)

    def faults(self) -> list[str]:
        """What axe-core calls serious or critical on the page as it is now."""
        axe = Path(os.environ.get(AXE, ""))
        if not axe.is_file():
            pytest.skip(f"axe-core is not installed: {AXE} names no axe.min.js")
        self.driver.execute_script(axe.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run().then((result) => done(result.violations))"
        )
        return [described(each) for each in found if each["impact"] in SERIOUS]


def described(fault: dict[str, Any]) -> str:
    """A fault that axe-core found: what, and where at first."""
    where = [f"{node['target']} {node['failureSummary']}" for node in fault["nodes"][:3]]
    return f"{fault['id']}: {fault['help']} {where}"


@contextlib.contextmanager
def opened(server: Server, name: str) -> Iterator[KernelPage]:
    """A page in a new browser; in the end nothing unexpected stands on the console."""
    with Chromium(name) as chromium:
        page = KernelPage(chromium, server)
        page.shape(1280)
        yield page
        complaints = page.console()
        assert not complaints, "\n".join(complaints)
