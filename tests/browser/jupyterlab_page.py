"""A notebook in JupyterLab in a headless Chromium: what a person does there, and what they read.

    with Chromium("a name for screenshots") as chromium:
        page = chromium.open_notebook(server, "python3")
        page.until_kernel_reads("Idle")

Nothing of JupyterLab is changed or extended; every look waits for a state of its page.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from support.server import Server

T = TypeVar("T")

SCREENSHOTS = "KERNEL_STATUS_SCREENSHOTS"
"""The environment variable with the folder that screenshots go to; none are made without it."""

IMAGES = "KERNEL_STATUS_IMAGES"
"""The environment variable with the folder of the documentation's pictures; none made without."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
)

KERNEL_STATUS = '#jp-main-statusbar .jp-StatusBar-TextItem[title^="Change kernel for"]'
"""`Python 3 (ipykernel) | Idle`. The circle in the toolbar says idle also before it knows."""

DIALOG = ".jp-Dialog"
RUN = '[data-command="notebook:run-cell-and-select-next"]'

MOVING = (NoSuchElementException, StaleElementReferenceException)
"""What a look meets while JupyterLab is rebuilding that part of the page: look again."""

PATIENCE = 60
"""Seconds until a state of the page has to be there; a busy machine takes some of them."""


@dataclass(frozen=True)
class Dialog:
    """What a dialog of JupyterLab says."""

    title: str
    body: str
    """Everything below the title that can be read without a click."""
    details: str = ""
    """What a click on "Details" shows."""


class Chromium:
    """A browser with a new, empty profile."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.expected: list[str] = []
        self.profile = tempfile.mkdtemp(prefix="kernel-status-chromium-")
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # With the path given, selenium looks for nothing and downloads nothing.
        self.driver = Chrome(options, Service(executable_path=shutil.which("chromedriver")))

    def __enter__(self) -> Chromium:  # noqa: PYI034 - Self is younger than Python 3.10
        """Give the running browser."""
        return self

    def __exit__(self, *_: object) -> None:
        """Keep a last screenshot, end the browser, remove its profile."""
        try:
            self.photograph("end")
        finally:
            self.driver.quit()
            shutil.rmtree(self.profile, ignore_errors=True)

    def open_notebook(
        self,
        server: Server,
        kernel_name: str = "python3",
        source: str = "",
        headers: dict[str, str] | None = None,
        application: str = "lab/tree",
        port: int | None = None,
    ) -> NotebookPage:
        """Write a notebook with one cell and open it, alone in its workspace.

        Args:
            server: where.
            kernel_name: its kernelspec.
            source: the cell's code.
            headers: what each request has more than a browser would send.
            application: the path of what opens it, JupyterLab if it is not said.
            port: of a proxy before the server, if it is to be opened through one.
        """
        if headers:
            self.driver.execute_cdp_cmd("Network.enable", {})
            self.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": headers})
        path = f"{uuid.uuid4().hex[:8]}.ipynb"
        (server.root / path).write_text(json.dumps(notebook(kernel_name, source)))
        url = f"http://127.0.0.1:{port or server.port}{server.base_url}{application}/{path}"
        self.driver.get(f"{url}?reset&token={server.token}")
        return NotebookPage(self, server, path)

    def until(
        self, look: Callable[[], T], timeout: float, what: str, seen: Callable[[], object]
    ) -> T:
        """Look again until `look` gives something true; else tell what is `seen` instead."""
        wait = WebDriverWait(self.driver, timeout, 0.1, MOVING)
        try:
            return wait.until(lambda _: look())
        except TimeoutException:
            self.photograph("failed")
            raise AssertionError(f"not within {timeout} s: {what}; {seen()}") from None

    def photograph(self, moment: str) -> None:
        """Save a screenshot, if somebody wants them."""
        self._save(SCREENSHOTS, re.sub(r"\W+", "-", f"{self.name}-{moment}"))

    def illustrate(self, name: str) -> None:
        """Write a picture of the documentation, if somebody wants them made."""
        self._save(IMAGES, name)

    def _save(self, variable: str, name: str) -> None:
        if folder := os.environ.get(variable):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))

    def expect(self, *patterns: str) -> None:
        """Take console entries with these texts as part of the story."""
        self.expected += patterns

    def complaints(self) -> list[str]:
        """The severe entries of the browser's console that nobody expected."""
        entries = self.driver.get_log("browser")
        severe = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
        return [
            text for text in severe if not any(re.search(known, text) for known in self.expected)
        ]


class NotebookPage:
    """One notebook, open in JupyterLab."""

    def __init__(self, chromium: Chromium, server: Server, path: str) -> None:
        self.chromium, self.driver = chromium, chromium.driver
        self.server, self.path = server, path

    @property
    def kernel(self) -> str:
        """The id of the kernel that JupyterLab has started for this notebook."""
        sessions = self.server.get("api/sessions")
        return next(one["kernel"]["id"] for one in sessions if one["path"] == self.path)

    # -- what a person reads

    def kernel_reads(self) -> str:
        """The word behind the kernel's name in the status bar, `""` while there is none."""
        texts = [item.text for item in self.driver.find_elements(By.CSS_SELECTOR, KERNEL_STATUS)]
        return texts[0].rpartition(" | ")[2] if texts else ""

    def until_kernel_reads(self, word: str, timeout: float = PATIENCE) -> None:
        """Wait until the status bar has this word behind the kernel's name."""
        self._until(lambda: self.kernel_reads() == word, timeout, f"the kernel reads {word}")

    def dialogs(self) -> list[Dialog]:
        """What every dialog says that is open now."""
        return [
            Dialog(
                title=dialog.find_element(By.CSS_SELECTOR, ".jp-Dialog-header").text,
                body=dialog.find_element(By.CSS_SELECTOR, ".jp-Dialog-body").text,
                details="".join(
                    one.get_property("textContent")
                    for one in dialog.find_elements(By.CSS_SELECTOR, "details pre")
                ),
            )
            for dialog in self.driver.find_elements(By.CSS_SELECTOR, DIALOG)
        ]

    def until_dialog(self, timeout: float = PATIENCE) -> Dialog:
        """Wait for a dialog and give it; there must be only one."""
        dialogs = self._until(self.dialogs, timeout, "a dialog is open")
        assert len(dialogs) == 1, dialogs
        return dialogs[0]

    # -- what a person does

    def accept(self) -> None:
        """Press the dialog's button and wait until it is gone."""
        self.driver.find_element(By.CSS_SELECTOR, f"{DIALOG} .jp-mod-accept").click()
        self._until(lambda: not self.dialogs(), PATIENCE, "the dialog is gone")

    def run_cell(self) -> None:
        """Press the toolbar's button that runs the selected cell."""
        self.driver.find_element(By.CSS_SELECTOR, f".jp-NotebookPanel {RUN}").click()

    def run_to_its_end(self) -> None:
        """Run the cell and wait for its number; most of what JupyterLab asks at first is over."""
        self.run_cell()
        prompt = ".jp-NotebookPanel .jp-InputPrompt"
        self._until(
            lambda: self.driver.find_element(By.CSS_SELECTOR, prompt).text == "[1]:",
            PATIENCE,
            "the cell has a number",
        )
        self.until_kernel_reads("Idle")

    def reload(self) -> None:
        """Load the page again."""
        self.driver.refresh()

    def photograph(self, moment: str) -> None:
        """Save a screenshot, if somebody wants them."""
        self.chromium.photograph(moment)

    def expect(self, *patterns: str) -> None:
        """Take console entries with these texts as part of the story."""
        self.chromium.expect(*patterns)

    def _until(self, look: Callable[[], T], timeout: float, what: str) -> T:
        return self.chromium.until(
            look,
            timeout,
            what,
            lambda: f"it reads {self.kernel_reads()!r}, dialogs {self.dialogs()}",
        )


def notebook(kernel_name: str, source: str) -> dict[str, object]:
    """A notebook of one code cell."""
    cell = {"cell_type": "code", "id": "cell", "metadata": {}, "source": source}
    kernelspec = {"name": kernel_name, "display_name": kernel_name, "language": "python"}
    return {
        "cells": [cell | {"outputs": [], "execution_count": None}],
        "metadata": {"kernelspec": kernelspec},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
