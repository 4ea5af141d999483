"""The key: asked for, sent in a header and nowhere else, refused in words, forgotten."""

from typing import Final

from tests.console.browser import Page
from tests.console.serving import Canned, problem

GOOD: Final = "hop_good0000000000000000000000000"
BAD: Final = "hop_bad00000000000000000000000000"


def _give(page: Page, key: str) -> None:
    page.until(lambda: page.find("#key-dialog").get_attribute("open") is not None)
    field = page.find("#key-input")
    field.clear()
    field.send_keys(key + "\n")


def test_it_is_asked_for_taken_and_forgotten(page: Page, api: Canned) -> None:
    api.key = GOOD
    page.open()
    page.until(lambda: page.find("#key-dialog").get_attribute("open") is not None)
    page.expect("#connection", "asks for a key")
    assert page.script("return document.activeElement.id") == "key-input"
    _give(page, BAD)
    page.expect("#key-why", "The key was refused: This key was revoked.")
    assert page.find("#key-input").get_attribute("aria-invalid") == "true"
    assert "refused" in page.text("#connection")
    _give(page, GOOD)
    page.find(".map .node")
    page.expect("#connection", "Live")
    page.until(lambda: len(api.listeners) == 1)
    assert page.script("return sessionStorage.getItem('hopline.key')") == GOOD
    # Still there after the page is loaded again, in this tab.
    page.driver.refresh()
    page.find(".map .node")
    page.find("#key-button").click()
    assert page.find("#key-input").get_property("value") == ""
    page.find("#key-forget").click()
    page.until(lambda: page.find("#key-dialog").get_attribute("open") is not None)
    assert not page.all(".map .node"), "what the key let see is gone with it"
    assert page.script("return sessionStorage.length + localStorage.length") == 0


def test_it_is_in_no_address_and_in_no_text(page: Page, api: Canned) -> None:
    api.key = GOOD
    page.open("#/alerts")
    _give(page, GOOD)
    page.find("[data-rule=LagHigh]")
    assert f"Bearer {GOOD}" in api.keys_seen
    assert not any(GOOD in path for path in api.asked)
    assert GOOD not in page.driver.current_url
    assert GOOD not in page.driver.page_source
    assert GOOD not in str(page.script("return performance.getEntries().map((entry) => entry.name).join()"))
    assert page.find("#key-button").get_attribute("aria-label") == "API key: one is in use"


def test_with_a_refused_key_nothing_more_is_asked(page: Page, api: Canned) -> None:
    api.key = GOOD
    page.open()
    _give(page, BAD)
    page.expect("#key-why", "refused")
    page.until(lambda: api.flying == 0)
    asked = len(api.asked)
    page.driver.execute_async_script("setTimeout(arguments[0], 4500)")
    assert len(api.asked) == asked


def test_one_that_cannot_be_a_key_is_not_sent(page: Page, api: Canned) -> None:
    page.open()
    page.find(".map .node")
    page.find("#key-button").click()
    for wrong, said in (("", "Type or paste"), ("hop with spaces", "no spaces"), ("hop_ü", "no spaces")):
        _give(page, wrong)
        page.expect("#key-why", said)
    assert {*api.keys_seen} == {""}


def test_a_permission_that_is_lacking_is_named(page: Page, api: Canned) -> None:
    lacking = problem(403, "permission_lacking", "key:hop_1 lacks the permission metric:read. Use a key that has it.")
    for path in ("/v1/map", "/api/metrics"):
        api.instead[path] = lambda: lacking
    page.open()
    page.expect("#connection", "lacks the permission metric:read")
    page.expect("[data-tile=alerts]", "2")
    assert not page.all("dialog[open]")
