"""How the page asks: while it is seen, no request upon another, within what a key may."""

from itertools import pairwise
from typing import Final

from tests.console.browser import Page
from tests.console.serving import Canned, problem

TOGETHER_MAX: Final = 3
HIDE: Final = """
Object.defineProperty(document, "hidden", { configurable: true, get: () => arguments_hidden });
document.dispatchEvent(new Event("visibilitychange"));
"""


def _hide(page: Page, *, hidden: bool) -> None:
    page.script(HIDE.replace("arguments_hidden", str(hidden).lower()))


def _ask_more(page: Page, api: Canned, count: int) -> None:
    """Wait until so many requests more have come."""
    asked = len(api.asked)
    page.until(lambda: len(api.asked) >= asked + count)


def test_nothing_is_asked_while_nobody_looks(page: Page, api: Canned) -> None:
    page.open()
    page.find(".map .node")
    _hide(page, hidden=True)
    page.until(lambda: api.flying == 0)
    asked = len(api.asked)
    page.driver.execute_async_script("setTimeout(arguments[0], 5000)")
    assert len(api.asked) == asked
    # The events stay: a title that changes is for who looks elsewhere.
    assert len(api.listeners) == 1
    _hide(page, hidden=False)
    page.until(lambda: len(api.asked) > asked)


def test_requests_never_pile_up_however_slow_the_answers(page: Page, api: Canned) -> None:
    api.delay_seconds = 0.7
    page.open("#/charts")
    page.find("[data-chart=overview-signals-in-and-out] .series")
    for minutes in (5, 60, 360, 15):
        page.find(f"input[name=range][value='{minutes}']").click()
    page.until(lambda: sum("minutes=15" in path for path in api.asked) > 4)
    # The server works on with what the page has dropped: three each for the first range and four others.
    assert api.flying_most <= 5 * TOGETHER_MAX
    page.find(".tabs a").click()
    page.until(lambda: "/v1/map" in api.asked[-4:])
    # When those are all answered, it counts what the page has under way.
    _ask_more(page, api, 4 * TOGETHER_MAX)
    api.flying_most = 0
    _ask_more(page, api, 8)
    assert api.flying_most <= TOGETHER_MAX


def test_a_limited_key_is_asked_with_more_slowly_and_that_is_said(page: Page, api: Canned) -> None:
    api.limited = True
    page.open()
    page.expect("#connection", "slowed down")
    begun = len(api.times)
    page.until(lambda: len(api.times) > begun + 5)
    gaps = [after - before for before, after in pairwise(api.times[begun:])]
    # 60 a minute are allowed, and others may use the key, too.
    assert min(gaps) > 1.0


def test_a_refusal_for_too_many_is_waited_out(page: Page, api: Canned) -> None:
    page.open()
    page.find(".map .node")
    api.instead["/v1/map"] = lambda: problem(
        429, "rate_limited", "More reads than this caller may.", retry_after_ms=6_000
    )
    page.expect("#connection", "More reads than this caller may.")
    page.until(lambda: api.flying == 0)
    refused, asked = api.times[-1], len(api.asked)
    del api.instead["/v1/map"]
    page.until(lambda: len(api.asked) > asked)
    assert api.times[asked] - refused > 4.0
    page.expect("#connection", "Live")


def test_an_address_that_is_none_shows_the_overview(page: Page) -> None:
    for where in ("#/nothing", "#/charts/%E0%A4%A", "#nowhere"):
        page.open(where)
        page.find("h1")
        page.expect("#connection", "Live")
