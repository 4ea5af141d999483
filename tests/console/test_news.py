"""What comes while one looks: alerts as toasts and in the title; the watch away, said and back."""

from typing import Any, Final

from tests.console import answers
from tests.console.browser import Page
from tests.console.serving import EVENTS_PATH, Canned, now_ms, problem

AWAY: Final = problem(503, "watch_away", "The watch cannot be reached at 127.0.0.1:8091.", retry_after_ms=2_000)


def _raised(**changed: Any) -> dict[str, Any]:
    found = answers.alert(
        now_ms(), id="new", alert="HopStalled", summary="A hop stands still.", labels={"hop": "ingest"}
    )
    return {"at_ms": now_ms(), "from": "pending", "to": "firing", "alert": found | changed}


def _loaded(page: Page, api: Canned, where: str = "") -> None:
    page.open(where)
    page.expect("#tab-count", "2")
    page.until(lambda: len(api.listeners) == 1)


def test_an_alert_that_is_raised_is_a_toast_and_changes_the_title(page: Page, api: Canned) -> None:
    _loaded(page, api, "#/charts")
    api.instead["/v1/alerts"] = lambda: (
        200,
        {"at_ms": now_ms(), "alerts": [*answers.alerts(now_ms())["alerts"], _raised()["alert"]]},
    )
    api.tell(_raised())
    page.expect(".toast", "HopStalled")
    page.expect(".toast", "A hop stands still. hop ingest")
    page.expect("#said-now", "critical: HopStalled")
    page.until(lambda: page.driver.title == "(3) Charts · Hopline")
    assert len(page.all(".toast")) == 1, "the list has it, too, and it is told once"
    page.find(".toast a").click()
    page.expect("h1", "Alerts")
    page.until(lambda: not page.all(".toast"))


def test_one_that_is_flat_as_the_history_has_it_is_understood(page: Page, api: Canned) -> None:
    _loaded(page, api)
    inner = _raised()
    api.tell({**inner["alert"], **inner, "alert": "HopStalled"})
    page.expect(".toast", "HopStalled")


def test_one_that_is_over_is_told_and_a_silenced_one_is_not(page: Page, api: Canned) -> None:
    _loaded(page, api)
    api.tell(_raised(id="quiet", alert="Quiet", silenced=True))
    api.tell(_raised(id="untold", alert="Untold") | {"told": False})
    api.tell(_raised(id="always", alert="Watchdog", severity="info"))
    api.tell(_raised() | {"from": "firing", "to": "cleared"})
    page.expect(".toast", "HopStalled is over")
    assert len(page.all(".toast")) == 1


def test_toasts_are_few_and_can_be_dismissed(page: Page, api: Canned) -> None:
    _loaded(page, api)
    for number in range(9):
        api.tell(_raised(id=f"n{number}", alert=f"Alert{number}"))
    page.expect("#toasts", "Alert8")
    assert len(page.all(".toast")) == 4
    page.find(".toast-close").click()
    page.until(lambda: len(page.all(".toast")) == 3)
    # A burst of events is one question, not nine.
    page.until(lambda: api.flying == 0)
    assert len([path for path in api.asked if path == "/v1/alerts"]) < 6


def test_without_events_the_list_says_what_is_new(page: Page, api: Canned) -> None:
    api.instead[EVENTS_PATH] = lambda: AWAY
    page.open()
    page.expect("#tab-count", "2")
    assert not page.all(".toast"), "what fires already is no news"
    new = {**_raised()["alert"], "state": "firing"}
    api.instead["/v1/alerts"] = lambda: (200, {"at_ms": now_ms(), "alerts": [*answers.alerts(now_ms())["alerts"], new]})
    page.expect(".toast", "HopStalled")


def test_events_that_break_off_are_listened_to_again(page: Page, api: Canned) -> None:
    _loaded(page, api)
    assert api.loop is not None
    first = next(iter(api.listeners))
    api.instead[EVENTS_PATH] = lambda: AWAY
    # Half of an event, then the end.
    page.driver.refresh()
    page.expect("#tab-count", "2")
    page.until(lambda: first not in api.listeners)
    del api.instead[EVENTS_PATH]
    page.until(lambda: len(api.listeners) == 1)
    api.tell(_raised())
    page.expect(".toast", "HopStalled")


def test_a_watch_that_is_away_is_said_and_the_page_recovers_by_itself(page: Page, api: Canned) -> None:
    _loaded(page, api)
    paths = ("/v1/map", "/v1/alerts", "/api/metrics", EVENTS_PATH)
    for path in paths:
        api.instead[path] = lambda: AWAY
    page.expect("#connection", "The watch cannot be reached")
    page.expect("#connection", "is it running?")
    assert page.find("#connection").get_attribute("data-state") == "away"
    page.expect("#connection", "Try now")
    assert page.all(".map .node"), "what was known stays, and its age is said"
    for path in paths:
        del api.instead[path]
    page.expect("#connection", "Live")


def test_a_gateway_that_does_not_answer_is_said_and_the_page_recovers_by_itself(page: Page, api: Canned) -> None:
    _loaded(page, api)
    page.driver.set_network_conditions(offline=True, latency=0, throughput=-1)
    try:
        page.expect("#connection", "The gateway does not answer.")
    finally:
        page.driver.delete_network_conditions()
    page.expect("#connection", "Live")


def test_who_does_not_want_to_wait_presses(page: Page, api: Canned) -> None:
    for path in ("/v1/map", "/v1/alerts", "/api/metrics"):
        api.instead[path] = lambda: problem(429, "cool_off", "Cooling off.", retry_after_ms=300_000)
    page.open()
    page.expect("#connection", "Cooling off.")
    page.expect("#retry-button", "else in")
    api.instead.clear()
    page.find("#retry-button").click()
    page.expect("#connection", "Live")


def test_old_figures_are_called_old(page: Page, api: Canned) -> None:
    stale_ms = now_ms() - 95_000
    api.instead["/v1/map"] = lambda: (200, answers.pipeline(stale_ms))
    api.instead["/v1/alerts"] = lambda: (200, answers.alerts(stale_ms))
    api.instead["/api/metrics"] = lambda: (200, answers.metrics(stale_ms))
    page.open()
    page.expect("#connection", "The figures are old")
    page.expect("#connection-age", "1 min old")
