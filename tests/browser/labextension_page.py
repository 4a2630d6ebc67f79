"""What our extension of JupyterLab shows: status bar, Running panel, notifications, details.

Every look waits for a state of the page; see `jupyterlab_page` for the notebook itself.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyterlab_server import JUPYTERLAB, jupyterlab_server
from support.server import Server

if TYPE_CHECKING:
    from jupyterlab_page import NotebookPage
    from selenium.webdriver.remote.webelement import WebElement

NAME = "kernel-status-ext"
BUILT = Path(__file__).parents[2] / "kernel_status_ext/ui/labextension/built"

ITEM = ".jp-KernelStatus-item button"
DETAILS = ".jp-KernelStatus-details"
TOAST = ".jp-Notification-Toast-error"
TOAST_TEXT = f"{TOAST} .jp-toast-message"
RUNNING_TAB = '.lm-TabBar-tab[data-id="jp-running-sessions"]'
RUNNING_ITEM = ".jp-KernelStatus-running"

SETTINGS = f"lab/user-settings/{NAME}/plugin.jupyterlab-settings"

PATIENCE = 60
"""Seconds until a state of the page has to be there; a busy machine takes some of them."""


def labextensions(folder: Path) -> Path:
    """Make a folder of extensions that holds ours, as it is built in this checkout."""
    extensions = folder / "labextensions"
    extensions.mkdir()
    (extensions / NAME).symlink_to(BUILT)
    return extensions


@contextlib.contextmanager
def labextension_server(
    folder: Path, more: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
) -> Iterator[Server]:
    """Run a server with JupyterLab and our extension of it; for `options` see `Server`."""
    lab = JUPYTERLAB["LabApp"] | {"extra_labextensions_path": [str(labextensions(folder))]}
    with jupyterlab_server({"LabApp": lab, **(more or {})}, **options) as server:
        yield server


def choose(server: Server, **choices: object) -> None:
    """Have the user choose these settings of the extension."""
    file = server.config / SETTINGS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(choices))


def watchers(server: Server) -> int:
    """How many streams the server sends."""
    found = re.search(
        r"^kernel_status_watchers (\d+)", server.http.get("metrics").text, re.MULTILINE
    )
    assert found, "no kernel_status_watchers in the metrics"
    return int(found[1])


class Extension:
    """What the extension shows on a page of JupyterLab."""

    def __init__(self, page: NotebookPage) -> None:
        self.page, self.driver = page, page.driver

    # -- what a person reads

    def texts(self, selector: str) -> list[str]:
        """What can be read in the elements that match."""
        return [text for one in self._all(selector) if (text := one.text)]

    def until_texts(self, selector: str, *parts: str) -> str:
        """Wait until one element has all these texts, and give its text."""

        def look() -> str:
            texts = self.texts(selector)
            return next((text for text in texts if all(part in text for part in parts)), "")

        what = f"{selector} reads {parts}"
        return self.page.chromium.until(look, PATIENCE, what, lambda: self.texts(selector))

    def until_gone(self, selector: str) -> None:
        """Wait until nothing that matches can be seen."""
        self.page.chromium.until(
            lambda: not any(one.is_displayed() for one in self._all(selector)),
            PATIENCE,
            f"no {selector}",
            lambda: self.texts(selector),
        )

    def item(self, *parts: str) -> str:
        """Wait until the status bar item reads all these, and give its text."""
        return self.until_texts(ITEM, *parts)

    def toast(self, *parts: str) -> str:
        """Wait for a notification that reads all these, and give its text."""
        return self.until_texts(TOAST_TEXT, *parts)

    def toasts(self) -> list[str]:
        """What the notifications say that are shown now."""
        return self.texts(TOAST_TEXT)

    def details(self, *parts: str) -> str:
        """Wait until the details read all these, and give their text."""
        return self.until_texts(DETAILS, *parts)

    def running(self, *parts: str) -> str:
        """Wait until a line of the Running panel's section reads all these, and give it."""
        return self.until_texts(RUNNING_ITEM, *parts)

    def is_loaded(self) -> bool:
        """Whether JupyterLab has loaded the extension, whatever it shows."""
        return self.driver.execute_script("return arguments[0] in (window._JUPYTERLAB ?? {})", NAME)

    def elements_of_markup(self) -> list[str]:
        """The images that the extension shows: it has none of its own."""
        script = (
            "return Array.from(document.querySelectorAll(arguments[0]), (one) => one.outerHTML)"
        )
        shown = (DETAILS, ITEM, RUNNING_ITEM, TOAST)
        return self.driver.execute_script(script, ", ".join(f"{one} img" for one in shown))

    # -- what a person does

    def find(self, selector: str) -> WebElement:
        """The element that matches."""
        return self.driver.find_element("css selector", selector)

    def _all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def click(self, selector: str) -> None:
        """Click on an element as soon as it is there."""

        def done() -> bool:
            self.find(selector).click()
            return True

        self.page.chromium.until(done, PATIENCE, f"a click on {selector}", self.page.dialogs)

    def press(self, label: str) -> None:
        """Press the button of a notification."""
        next(one for one in self._all(f"{TOAST} button") if one.text == label).click()

    def escape(self) -> None:
        """Press the key Escape where the focus is."""
        self.driver.switch_to.active_element.send_keys("\ue00c")

    def has_focus(self, selector: str) -> bool:
        """Whether keys go to the element that matches."""
        return self.driver.switch_to.active_element == self.find(selector)

    def shut_down(self, kernel: str) -> None:
        """Press the button of a kernel's line in the Running panel; it comes with the mouse."""
        from selenium.webdriver import ActionChains  # noqa: PLC0415 - selenium may be missing

        line = f'{RUNNING_ITEM}[data-context="{kernel}"]'
        button = self.find(f"{line} .jp-RunningSessions-itemShutdown")
        ActionChains(self.driver).move_to_element(self.find(line)).click(button).perform()

    def visit(self, path: str) -> None:
        """Go to another page of the server."""
        server = self.page.server
        self.driver.get(f"http://127.0.0.1:{server.port}{server.base_url}{path}")

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Look at another tab meanwhile."""
        own = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        yield
        self.driver.close()
        self.driver.switch_to.window(own)
