"""One browser and one canned API for all tests of the page; each test begins with nothing remembered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.console.browser import MISSING, Page, browser
from tests.console.serving import Canned, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one process: each process would start a browser of its own."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.xdist_group("console"))


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """A browser."""
    if MISSING:
        pytest.skip(MISSING)
    with browser() as found:
        yield found


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[str, Canned]]:
    """The page's address and its API."""
    with serving() as found:
        yield found


@pytest.fixture
def api(served: tuple[str, Canned]) -> Canned:
    """The canned API, as it is at first."""
    served[1].reset()
    return served[1]


@pytest.fixture
def page(driver: Chrome, served: tuple[str, Canned], api: Canned) -> Iterator[Page]:
    """The page, not loaded yet. After the test, the console must hold nothing that is wrong."""
    found = Page(driver, served[0])
    found.prefer(prefers_color_scheme="light")
    yield found
    complaints = found.complaints()
    driver.get("about:blank")
    assert not complaints, f"of {len(api.asked)} answers"
