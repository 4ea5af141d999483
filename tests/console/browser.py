"""Debian's chromium, driven by its chromedriver; nothing is downloaded. One browser for many tests."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")

CHROMIUM: Final = shutil.which("chromium")
DRIVER: Final = shutil.which("chromedriver")
MISSING: Final = "" if CHROMIUM and DRIVER else "needs Debian's chromium and chromium-driver"
SECONDS_MAX: Final = 40.0
WIDE: Final = (1_280, 900)
PHONE: Final = (360, 740)


@contextmanager
def browser() -> Iterator[Chrome]:
    """Give a browser without a window."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--hide-scrollbars",
        "--lang=en",
        f"--window-size={WIDE[0]},{WIDE[1]}",
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        # Chromium refuses to be root's otherwise.
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        driver.set_page_load_timeout(SECONDS_MAX)
        driver.set_script_timeout(SECONDS_MAX)
        yield driver
    finally:
        driver.quit()


class Page:
    """The page as somebody sees it."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, where: str = "", size: tuple[int, int] = WIDE) -> None:
        """Load it anew, of this size, with nothing remembered."""
        self.resize(size)
        self.driver.get("about:blank")
        self._log()
        self.driver.get(self.url + "icon.svg")
        self.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
        self.driver.get(self.url + where)

    def resize(self, size: tuple[int, int]) -> None:
        """Give the page exactly this room, also less than a window may have."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, **features: str) -> None:
        """Say what the system prefers: `prefers_color_scheme="dark"`."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})

    def find(self, selector: str) -> WebElement:
        """Return the first element, once it is there."""
        return self.until(lambda: self.driver.find_element(By.CSS_SELECTOR, selector), selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that are there now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return what an element says, thin spaces as plain ones."""
        return self.find(selector).text.replace("\u202f", " ")

    def script(self, code: str, *arguments: Any) -> Any:
        """Run a script on the page."""
        return self.driver.execute_script(code, *arguments)

    def until(self, condition: Callable[[], T], what: str = "") -> T:
        """Wait until a condition holds, and return what it gives."""

        def holds(_: Chrome) -> T:
            return condition()

        wait: WebDriverWait[Chrome] = WebDriverWait(
            self.driver,
            SECONDS_MAX,
            poll_frequency=0.1,
            ignored_exceptions=[NoSuchElementException, StaleElementReferenceException],
        )
        return wait.until(holds, what)

    def expect(self, selector: str, text: str) -> None:
        """Wait until an element says something."""
        self.until(lambda: text in self.text_now(selector), f"{selector} to say {text!r}")

    def text_now(self, selector: str) -> str:
        """Return what an element says now, hidden or not."""
        return str(self.driver.find_element(By.CSS_SELECTOR, selector).get_property("textContent")).replace(
            "\u202f", " "
        )

    def _log(self) -> list[dict[str, Any]]:
        """Return what the console says since it was asked last."""
        found: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return found

    def complaints(self) -> list[str]:
        """Return what the console has, but for answers that are no success: those a test wants."""
        return [
            str(entry["message"])
            for entry in self._log()
            if entry["level"] in {"SEVERE", "WARNING"} and "Failed to load resource" not in entry["message"]
        ]
