"""Everything can be done with keys alone: each stop is seen, none is a trap, shortcuts stand in a list."""

from typing import Any, Final

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.console.browser import PHONE, Page
from tests.console.serving import Canned

STOPS_MAX: Final = 150
FOCUSED: Final = """
const element = document.activeElement;
const style = getComputedStyle(element);
const radio = element.matches(".choice input") ? element.nextElementSibling : null;
const box = element.querySelector(":scope > .outline .box") ?? radio;
const shown = box ? getComputedStyle(box) : style;
return {
  name: element.id || element.dataset.node || element.getAttribute("aria-label") || element.textContent.trim(),
  tag: element.tagName.toLowerCase(),
  seen: shown.outlineStyle !== "none" || parseFloat(shown.strokeWidth) > 3,
  body: element === document.body,
};
"""
FOCUSABLE: Final = """
return [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter((element) =>
  element.checkVisibility({ visibilityProperty: true }) && !element.closest("details:not([open]) > :not(summary)")
  && !(element.type === "radio" && !element.checked)).length
"""


def _press(page: Page, *keys: str) -> None:
    ActionChains(page.driver).send_keys(*keys).perform()


def _focused(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.script(FOCUSED)
    return found


def _walk(page: Page) -> list[dict[str, Any]]:
    """Tab from the beginning until the page is left, or begun anew."""
    page.script("document.activeElement.blur(); getSelection().removeAllRanges()")
    stops: list[dict[str, Any]] = []
    for _ in range(STOPS_MAX):
        _press(page, Keys.TAB)
        stop = _focused(page)
        if stop["body"] or (stops and stop["name"] == "skip"):
            break
        stops.append(stop)
    return stops


def test_tab_reaches_everything_in_the_flows_order_and_leaves_again(page: Page, api: Canned) -> None:
    # A list that stands still: what is replaced under the walk would be counted twice.
    del api
    for where, there in (("", ".map .node"), ("#/charts/ingest", ".series"), ("#/alerts", "[data-rule=LagHigh]")):
        page.open(where)
        page.find(there)
        stops = _walk(page)
        assert len(stops) < STOPS_MAX, "a trap"
        assert stops[0]["name"] == "skip"
        assert all(stop["seen"] for stop in stops), [stop for stop in stops if not stop["seen"]]
        assert len(stops) == page.script(FOCUSABLE)
        if not where:
            names = [stop["name"] for stop in stops]
            order = [names.index(node) for node in ("gateway", "signals.in", "ingest", "signals", "history")]
            assert order == sorted(order)


def test_the_skip_link_leads_to_the_content(page: Page) -> None:
    page.open("#/alerts")
    page.find("[data-rule=LagHigh]")
    page.script("document.activeElement.blur()")
    _press(page, Keys.TAB)
    assert _focused(page)["name"] == "skip"
    assert page.find("#skip").rect["y"] >= 0
    _press(page, Keys.ENTER)
    assert page.script("return document.activeElement.id") == "main"
    _press(page, Keys.TAB)
    assert page.script("return document.getElementById('main').contains(document.activeElement)")
    assert page.driver.current_url.endswith("#/alerts")


def test_enter_on_a_node_opens_its_charts_and_the_focus_comes_along(page: Page) -> None:
    page.open()
    page.find("[data-node=ingest]")
    page.script("document.querySelector('[data-node=ingest]').focus()")
    page.until(lambda: _focused(page)["name"] == "ingest")
    # The map is drawn anew each two seconds; who stands on a node stays there.
    age = page.find("#connection-age")
    said = age.text
    page.until(lambda: age.text != said)
    assert _focused(page)["name"] == "ingest"
    _press(page, Keys.ENTER)
    page.expect(".about", "Charts about ingest")
    assert page.script("return document.activeElement.id") == "main"


def test_arrow_keys_move_the_crosshair_and_it_is_spoken(page: Page) -> None:
    page.open("#/charts/ingest")
    page.find("[data-chart=ingest-lag] .series")
    stage = page.find("[data-chart=ingest-lag] .stage")
    assert stage.get_attribute("role") == "slider"
    page.script("arguments[0].focus()", stage)
    _press(page, Keys.ARROW_LEFT)
    first = int(str(stage.get_attribute("aria-valuenow")))
    text = str(stage.get_attribute("aria-valuetext"))
    assert "signals.in 1" in text
    assert "commands" in text
    _press(page, Keys.ARROW_LEFT)
    assert int(str(stage.get_attribute("aria-valuenow"))) == first - 10
    _press(page, Keys.PAGE_DOWN)
    assert int(str(stage.get_attribute("aria-valuenow"))) == first - 110
    _press(page, Keys.HOME)
    assert stage.get_attribute("aria-valuenow") == stage.get_attribute("aria-valuemin")
    _press(page, Keys.ARROW_LEFT)
    assert stage.get_attribute("aria-valuenow") == stage.get_attribute("aria-valuemin")
    _press(page, Keys.ESCAPE)
    assert str(stage.get_attribute("aria-valuetext")).startswith("latest")


def test_shortcuts_are_listed_and_work_and_can_be_turned_off(page: Page) -> None:
    page.open()
    page.find(".map .node")
    _press(page, "?")
    assert page.find("#help").get_attribute("open") is not None
    listed = [key.text for key in page.all("#help kbd")]
    assert listed == ["1", "2", "3", "r", "p", "n", "t", "k", "?", "Escape"]
    _press(page, "2")
    assert "#/charts" not in page.driver.current_url, "behind a dialog nothing happens"
    _press(page, Keys.ESCAPE)
    page.until(lambda: page.find("#help").get_attribute("open") is None)
    _press(page, "2")
    page.expect("h1", "Charts")
    _press(page, "r")
    page.until(lambda: page.find("input[name=range][value='60']").is_selected())
    _press(page, "p")
    page.expect("#pause", "Go on")
    _press(page, "3")
    page.expect("h1", "Alerts")
    _press(page, "t")
    page.expect("#theme-text", "Light")
    _press(page, "k")
    assert page.find("#key-dialog").get_attribute("open") is not None
    _press(page, "123t", Keys.ESCAPE)
    page.expect("#theme-text", "Light")
    _press(page, "?")
    page.find("#help input").click()
    _press(page, Keys.ESCAPE, "1")
    page.expect("h1", "Alerts")
    page.driver.refresh()
    page.expect("h1", "Alerts")
    _press(page, "1", "?")
    page.expect("h1", "Alerts")


def test_letters_in_a_field_are_letters(page: Page) -> None:
    page.open("#/alerts")
    page.find("#rule-filter").send_keys("1k?t")
    assert page.find("#rule-filter").get_property("value") == "1k?t"
    page.expect("h1", "Alerts")
    assert not page.all("dialog[open]")


def test_a_form_is_filled_and_left_with_keys_alone_on_a_phone(page: Page, api: Canned) -> None:
    page.open("#/alerts", PHONE)
    page.find("[data-rule=LagHigh]")
    page.script("document.querySelector('[data-rule=LagHigh] .button').focus()")
    _press(page, Keys.ENTER)
    page.until(lambda: page.script("return document.activeElement.name") == "value")
    # What stands there is the value in force, selected: a new one is typed over it.
    _press(page, "50", Keys.ENTER)
    page.expect("[data-rule=LagHigh] .outcome", "Done")
    assert api.directives[0]["body"]["data"] == {"alert": "LagHigh", "value": 50}
    _press(page, Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)
    page.until(lambda: not page.all("[data-rule=LagHigh] form"))
    assert "threshold" in _focused(page)["name"].lower()
