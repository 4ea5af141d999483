"""How it looks, where a measure exists: contrast in both themes, room on a phone, focus that is seen."""

from pathlib import Path
from typing import Any, Final

import pytest
from selenium.webdriver.common.by import By

from tests.console.browser import PHONE, WIDE, Page
from tests.console.serving import Canned

CONTRAST: Final = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
TEXT_MIN: Final = 4.5
GRAPHIC_MIN: Final = 3.0
VIEWS: Final = {"": ".map .node", "#/charts": ".series", "#/alerts": "[data-rule=LagHigh]"}
AWAY: Final = {"state": "away", "old": "old", "live": "live"}


def _contrasts(page: Page) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = page.script(CONTRAST)
    return found


def _too_low(page: Page) -> list[str]:
    found = _contrasts(page)
    assert len(found["text"]) > 30, "it must have looked at something"
    wrong = [each for each in found["text"] if each["ratio"] < TEXT_MIN]
    wrong += [each for each in found["graphics"] if each["ratio"] < GRAPHIC_MIN]
    return sorted({f"{each['what']}: {each['ratio']:.2f} of {each['colour']} on {each['ground']}" for each in wrong})


@pytest.mark.parametrize("where", VIEWS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_signs_have_contrast(page: Page, theme: str, where: str) -> None:
    page.prefer(prefers_color_scheme=theme)
    page.open(where)
    page.find(VIEWS[where])
    if where == "#/alerts":
        page.find("[data-alert=DeadLetters] .button").click()
        page.find("[data-rule=LagHigh] summary").click()
        page.find("[data-rule=LagHigh] .button").click()
    for state in ("live", "away", "old"):
        page.script("document.getElementById('connection').dataset.state = arguments[0]", state)
        assert not _too_low(page), state


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_dialogs_have_contrast(page: Page, theme: str) -> None:
    page.prefer(prefers_color_scheme=theme)
    page.open()
    page.find(".map .node")
    page.find("#help-button").click()
    assert not _too_low(page)


def test_the_measure_finds_what_is_too_pale(page: Page) -> None:
    page.open()
    page.find(".map .node")
    assert not _too_low(page)
    page.script("document.querySelector('.tile-title').style.color = '#a9a9a9'")
    page.script("document.querySelector('.node-title').style.fill = '#c0c0c0'")
    found = " ".join(_too_low(page))
    assert "tile-title" in found
    assert "node-title" in found


def test_the_theme_follows_the_system_until_it_is_chosen_and_then_stays(page: Page) -> None:
    page.open()
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.script(ground)
    page.prefer(prefers_color_scheme="dark")
    dark = page.script(ground)
    assert light != dark
    page.find("#theme-button").click()
    page.expect("#theme-text", "Light")
    assert page.script(ground) == light
    page.driver.refresh()
    assert page.script(ground) == light
    page.find("#theme-button").click()
    page.prefer(prefers_color_scheme="light")
    assert page.script(ground) == dark
    page.find("#theme-button").click()
    page.expect("#theme-text", "Auto")
    assert page.script(ground) == light
    assert page.script("return localStorage.length") == 0


@pytest.mark.parametrize("where", VIEWS)
@pytest.mark.parametrize("width", [PHONE[0], 390, 768, 1_024])
def test_nothing_needs_to_be_scrolled_sideways(page: Page, api: Canned, where: str, width: int) -> None:
    del api
    page.open(where, (width, PHONE[1]))
    page.find(VIEWS[where])
    if where == "#/alerts":
        page.find("[data-alert=DeadLetters] .button").click()
        page.find("[data-rule=LagHigh] .button").click()
    page.find("#help-button").click()
    assert page.script("return document.documentElement.scrollWidth") <= width
    # What is wider than the page may only be so inside of something that scrolls by itself.
    wide = page.script(
        """return [...document.querySelectorAll('body *')].filter((element) => {
          const box = element.getBoundingClientRect();
          return box.width > 0 && box.right > innerWidth + 0.5 && !element.closest('.scroll, .unseen');
        }).map((element) => element.outerHTML.slice(0, 120))"""
    )
    assert not wide


def test_on_a_phone_the_map_stands_upright_and_its_parts_can_be_hit(page: Page) -> None:
    page.open("", PHONE)
    page.find(".map.narrow .node")
    boxes = [node.rect for node in page.all(".map .node")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0] for box in boxes)
    assert max(box["y"] for box in boxes) - min(box["y"] for box in boxes) > PHONE[0]
    for button in page.driver.find_elements(By.CSS_SELECTOR, ".tool, .tabs a"):
        assert min(button.size.values()) >= 40
    page.resize(WIDE)
    page.until(lambda: not page.all(".map.narrow"))


def test_texts_stay_within_their_nodes(page: Page) -> None:
    for size in (WIDE, PHONE, (700, 900)):
        page.open("", size)
        page.find(".map .node")
        out = page.script(
            """return [...document.querySelectorAll('.map .node')].flatMap((node) => {
              const box = node.querySelector('.box').getBoundingClientRect();
              return [...node.querySelectorAll('text')].filter((text) => text.textContent)
                .filter((text) => text.getBoundingClientRect().right > box.right + 1).map((text) => text.textContent);
            })"""
        )
        assert not out, size
