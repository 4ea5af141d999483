"""Whatever a label, a name or a message holds is shown as text: it makes no element, runs nothing, leads nowhere."""

import json
from typing import Any, Final

import pytest

from tests.console import answers
from tests.console.browser import PHONE, Page
from tests.console.serving import Canned, now_ms

HOSTILE: Final = (
    '<img src=x onerror="window.broken=1"><script>window.broken=1</script>"\'`${window.broken=1}\u202e'
    "</title></style>--> <svg onload=window.broken=1>"
)
ELEMENTS: Final = (
    "return document.querySelectorAll('img, script:not([src]), iframe, object, style, [onerror], [onload]').length"
)


def _spoiled(value: Any) -> Any:
    """Put the hostile text into each string, and in place of each label's name."""
    if isinstance(value, dict):
        spoiled = {key: _spoiled(each) for key, each in value.items()}
        if "labels" in value:
            spoiled["labels"] = {HOSTILE: HOSTILE, "tenant": HOSTILE}
        return spoiled
    if isinstance(value, list):
        return [_spoiled(each) for each in value]
    return value + HOSTILE if isinstance(value, str) else value


def _spoil(api: Canned) -> None:
    pipeline = answers.pipeline(now_ms())
    for node in pipeline["nodes"]:
        node["title"] += HOSTILE
    chart = answers.chart("ingest-lag", 15, now_ms())
    assert chart is not None
    for series in chart["series"]:
        series["legend"] += HOSTILE
    charts = answers.charts()
    for each in charts["charts"]:
        each["title"] += HOSTILE
        each["group"] += HOSTILE
        each["description"] += HOSTILE
    metrics = answers.metrics(now_ms())
    for name in ("tenants", "queues", "latency_seconds", "agents"):
        metrics[name] = {key + HOSTILE: value for key, value in metrics[name].items()}
    metrics["errors"]["by_reason"] = {HOSTILE: 3.0}
    alerts = _spoiled(answers.alerts(now_ms()))
    alerts["alerts"][0]["runbook"] = "javascript:window.broken=1//"
    alerts["alerts"][1]["runbook"] = "https://ok.example/" + HOSTILE
    for alert in alerts["alerts"]:
        alert["state"] = "firing"
    for path, content in (
        ("/v1/map", pipeline),
        ("/v1/charts", charts),
        ("/v1/charts/ingest-lag", chart),
        ("/v1/alerts", alerts),
        ("/v1/alerts/history", _spoiled(answers.history(now_ms()))),
        ("/v1/alerts/rules", _spoiled(answers.rules())),
        ("/api/metrics", metrics),
    ):
        api.instead[path] = lambda content=content: (200, content)  # type: ignore[misc]


@pytest.mark.parametrize("where, there", [("", ".map .node"), ("#/charts", ".series"), ("#/alerts", "[data-rule]")])
def test_it_is_text(page: Page, api: Canned, where: str, there: str) -> None:
    _spoil(api)
    for size in ((1_280, 900), PHONE):
        page.open(where, size)
        page.find(there)
        page.expect("#view", "onerror")
        event = {"at_ms": now_ms(), "from": HOSTILE, "to": "firing", "alert": _spoiled(answers.alert(now_ms(), id="e"))}
        page.until(lambda: len(api.listeners) == 1)
        api.tell(event)
        page.expect(".toast", "onerror")
        assert page.script(ELEMENTS) == 0
        assert page.script("return window.broken === undefined")
        assert page.script("return document.documentElement.scrollWidth") <= size[0]
    page.find("#help-button").click()


def test_no_link_leads_anywhere_but_to_the_page_and_the_web(page: Page, api: Canned) -> None:
    _spoil(api)
    page.open("#/alerts")
    page.find("[data-rule]")
    links: list[str] = page.script("return [...document.querySelectorAll('a')].map(a => a.href.baseVal ?? a.href)")
    assert links
    assert all(link.startswith((page.url, "https://")) for link in links)
    assert "javascript:window.broken=1//" in page.text(".alert-list")


def test_a_hostile_address_is_only_a_name(page: Page) -> None:
    page.open("#/charts/" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    page.expect(".about", "<img src=x onerror=alert(1)>")
    assert page.script(ELEMENTS) == 0


def test_a_hostile_problem_is_text(page: Page, api: Canned) -> None:
    wrong = {"title": HOSTILE, "detail": HOSTILE, "problems": [{"field": HOSTILE, "message": HOSTILE}]}
    api.instead["/v1/map"] = lambda: (500, wrong)
    api.directive_answer = lambda: (400, wrong)
    page.open("#/alerts")
    page.find("[data-rule=LagHigh] .button").click()
    page.find("[data-rule=LagHigh] [type=submit]").click()
    page.expect("[data-rule=LagHigh] .outcome", "onerror")
    page.find(".tabs a").click()
    page.expect("#connection", "onerror")
    assert page.script(ELEMENTS) == 0


def test_so_much_of_everything_is_cut(page: Page, api: Canned) -> None:
    node = answers.pipeline(now_ms())["nodes"][0]
    many = [{**node, "id": f"n{number}", "title": "x" * 500} for number in range(2_000)]
    edges = [{"from": f"n{number}", "to": f"n{number + 1}", "per_second": 1} for number in range(1_000)]
    found = [answers.alert(now_ms(), id=f"a{number}", alert=f"A{number}") for number in range(3_000)]
    api.instead["/v1/map"] = lambda: (200, {"at_ms": now_ms(), "nodes": many, "edges": edges})
    api.instead["/v1/alerts"] = lambda: (200, {"at_ms": now_ms(), "alerts": found})
    page.open()
    page.find(".map .node")
    assert len(page.all(".map .node")) == 80
    api.instead["/v1/map"] = lambda: (200, {"at_ms": now_ms(), "nodes": [], "edges": [], "more": "x" * 9_000_000})
    page.expect("#connection", "larger than this page reads")
    page.open("#/alerts")
    page.expect(".quiet", "2500 more are not shown")
    assert len(page.all(".alert")) == 500


def test_what_the_policy_forbids_is_seen_by_these_tests(page: Page) -> None:
    page.open()
    page.find(".map .node")
    assert not page.complaints()
    page.script("document.querySelector('.tile').setAttribute('style', 'color: red')")
    page.script(
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)"
    )
    page.until(lambda: page.script("return window.broken === undefined"))
    complaints = page.complaints()
    assert len(complaints) == 2, json.dumps(complaints)
    assert all("Content Security Policy" in each for each in complaints)
