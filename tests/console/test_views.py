"""What the page shows is what the API says: map, figures, charts, alerts, rules, history."""

from collections.abc import Callable
from typing import Any

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from tests.console import answers
from tests.console.browser import Page
from tests.console.serving import Canned, now_ms, problem


def test_it_loads_and_says_that_it_is_live(page: Page) -> None:
    page.open()
    page.expect("#connection", "Live")
    page.expect("#connection-age", "old")
    assert page.driver.title == "(2) Hopline"


def test_the_map_shows_each_node_its_figures_and_its_state_in_more_than_colour(page: Page) -> None:
    page.open()
    page.find("[data-node=ingest]")
    expected = answers.pipeline(now_ms())
    nodes = {node.get_attribute("data-node"): node for node in page.all(".map .node")}
    assert set(nodes) == {node["id"] for node in expected["nodes"]}
    for node in expected["nodes"]:
        label = str(nodes[node["id"]].get_attribute("aria-label"))
        assert label.startswith(f"{node['title']}, {node['kind']}, {node['state']}")
        assert nodes[node["id"]].find_elements(By.CSS_SELECTOR, f".sign-{node['state']}")
    assert "1.2k/s" in nodes["gateway"].text
    assert "lag 37" in nodes["ingest"].text
    assert "p99 45.6" in nodes["ingest"].text
    assert "6.2/s dead" in nodes["ingest"].text
    assert len(page.all(".map .edges > g")) == len(expected["edges"])
    # A tube, an arrow, a box: kinds are told apart by their outline.
    assert nodes["signals.in"].find_elements(By.CSS_SELECTOR, ".cap")
    assert nodes["gateway"].find_elements(By.CSS_SELECTOR, ".bar")


def test_an_edge_is_as_wide_and_as_fast_as_what_flows(page: Page) -> None:
    page.open()
    page.find(".map .moves")
    widths = {
        float(rate): float(width)
        for rate, width in page.script(
            "return [...document.querySelectorAll('.edges > g')].map(g => [g.dataset.rate.replace('k', 'e3'),"
            " parseFloat(getComputedStyle(g.querySelector('.edge')).strokeWidth)])"
        )
    }
    ordered = [widths[rate] for rate in sorted(widths)]
    assert ordered == sorted(ordered)
    assert ordered[0] < ordered[-1]
    assert page.script("return getComputedStyle(document.querySelector('.moves .flow')).animationName") == "flow"
    page.prefer(prefers_reduced_motion="reduce")
    assert page.script("return getComputedStyle(document.querySelector('.moves .flow')).animationName") == "none"


def test_the_map_can_be_read_as_a_table(page: Page) -> None:
    page.open()
    page.find(".map .node")
    page.find(".map-card summary").click()
    rows = [row.text.replace("\u202f", " ") for row in page.all(".map-card tbody tr")]
    assert "ingest hop warning 1.2k 37 – 45.6 ms 6.2/s" in rows
    assert len(rows) == len(answers.pipeline(0)["nodes"])


def test_figures_tenants_and_reasons_stand_below(page: Page) -> None:
    page.open()
    page.expect("[data-tile=rate]", "1.2k/s")
    page.expect("[data-tile=p99]", "45.6 ms")
    page.expect("[data-tile=lag]", "348")
    page.expect("[data-tile=errors]", "0.51 %")
    page.expect("[data-tile=busy]", "42 %")
    page.expect("[data-tile=alerts]", "2")
    assert "acme 512 3.4 % 37" in page.text("[aria-labelledby=tenants-title]")
    assert "invalid json" in page.text("[aria-labelledby=reasons-title]")


def test_a_click_on_a_node_opens_its_charts(page: Page) -> None:
    page.open()
    page.find("[data-node=ingest] .node-title").click()
    page.expect(".about", "Charts about ingest")
    page.until(lambda: len(page.all("[data-chart]")) == 2)
    assert {card.get_attribute("data-chart") for card in page.all("[data-chart]")} == {
        "ingest-lag",
        "ingest-signals-by-outcome",
    }
    page.find(".about a").click()
    page.until(lambda: len(page.all("[data-chart]")) == len(answers.charts()["charts"]))
    page.driver.back()
    page.expect(".about", "Charts about ingest")


def test_a_node_without_charts_of_its_own_shows_all_and_says_so(page: Page) -> None:
    page.open("#/charts/watch")
    page.expect(".about", "No chart is about watch alone")
    assert len(page.all("[data-chart]")) == len(answers.charts()["charts"])


def test_a_topic_without_charts_of_its_own_has_those_that_tell_topics_apart(page: Page, api: Canned) -> None:
    found = answers.charts()
    found["charts"][0]["queries"][0]["legend"] = "{{topic}}"
    api.instead["/v1/charts"] = lambda: (200, found)
    page.open("#/charts/signals.in")
    page.until(
        lambda: [card.get_attribute("data-chart") for card in page.all("[data-chart]")] == [found["charts"][0]["id"]]
    )
    assert page.text(".about").startswith("Charts about signals.in.")


def test_a_chart_draws_its_series_with_a_gap_where_there_is_no_value(page: Page) -> None:
    page.open("#/charts")
    page.find("[data-chart=overview-end-to-end] .series")
    paths = [path.get_attribute("d") for path in page.all("[data-chart=overview-end-to-end] .series")]
    assert [str(path).count("M") for path in paths] == [1, 2, 1]
    ticks = [tick.text.replace("\u202f", " ") for tick in page.all("[data-chart=overview-end-to-end] .tick")]
    assert "20 ms" in ticks
    assert any(":" in tick for tick in ticks)


def test_other_shapes_show_their_last_values_with_units(page: Page) -> None:
    page.open("#/charts")
    expected = answers.chart("overview-memory", 15, now_ms())
    assert expected is not None
    page.expect("[data-chart=overview-memory]", "worker-1")
    page.expect("[data-chart=overview-memory] .bar-value", "MiB")
    page.expect("[data-chart=overview-error-budget-left] .number-value", "%")


def test_a_legend_hides_and_shows_its_series(page: Page) -> None:
    page.open("#/charts/ingest")
    chosen = "[data-chart=ingest-signals-by-outcome]"
    page.find(f"{chosen} .series")
    assert len(page.all(f"{chosen} .series")) == 4
    button = page.find(f"{chosen} .legend-button")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    page.until(lambda: len(page.all(f"{chosen} .series")) == 3)
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    page.until(lambda: len(page.all(f"{chosen} .series")) == 4)


def test_pointing_at_a_chart_reads_its_values_on_all_charts(page: Page) -> None:
    page.open("#/charts/ingest")
    page.find("[data-chart=ingest-lag] .series")
    stage = page.find("[data-chart=ingest-lag] .stage")
    before = page.text_now("[data-chart=ingest-lag] .legend-value")
    ActionChains(page.driver).move_to_element_with_offset(stage, -90, 0).perform()
    page.until(lambda: len(page.all(".cross:not([visibility]) .cross-line")) == 2)
    page.until(lambda: page.text_now("[data-chart=ingest-lag] .legend-value") != before)
    times = {element.text for element in page.all(".cross-time")}
    assert len(times) == 1


def test_a_charts_values_stand_in_a_table(page: Page) -> None:
    page.open("#/charts/ingest")
    page.find("[data-chart=ingest-lag] .series")
    page.find("[data-chart=ingest-lag] summary").click()
    head = page.text("[data-chart=ingest-lag] thead")
    assert "Time" in head
    assert "signals.in" in head
    rows = page.all("[data-chart=ingest-lag] tbody tr")
    assert 20 <= len(rows) <= 60
    assert any("–" in row.text for row in rows)


def test_range_tenant_and_pause_decide_what_is_asked(page: Page, api: Canned) -> None:
    page.open("#/charts/ingest")
    page.find("[data-chart=ingest-lag] .series")
    page.find("input[name=range][value='60']").click()
    page.until(lambda: "/v1/charts/ingest-lag?minutes=60" in api.asked)
    page.find("#tenant").send_keys("acme\n")
    page.until(lambda: "/v1/charts/ingest-lag?minutes=60&tenant=acme" in api.asked)
    page.find("input[name=range][value='5']").click()
    page.until(lambda: "/v1/charts/ingest-lag?minutes=5&tenant=acme" in api.asked)
    page.find("#pause").click()
    page.expect("#pause", "Go on")
    page.until(lambda: api.flying == 0)
    before = len([path for path in api.asked if "/charts/ingest" in path])
    beats = len(api.asked)
    page.until(lambda: len(api.asked) > beats + 4)
    assert len([path for path in api.asked if "/charts/ingest" in path]) == before
    # A range that is chosen while paused is shown all the same, once.
    page.find("input[name=range][value='360']").click()
    page.until(lambda: "/v1/charts/ingest-lag?minutes=360&tenant=acme" in api.asked)


def test_a_chart_that_fails_says_why_and_the_others_go_on(page: Page, api: Canned) -> None:
    api.instead["/v1/charts/ingest-lag"] = lambda: problem(400, "invalid", "The tenant has no such series.")
    page.open("#/charts/ingest")
    page.expect("[data-chart=ingest-lag] .card-note", "The tenant has no such series.")
    page.find("[data-chart=ingest-signals-by-outcome] .series")
    page.expect("#connection", "Live")


def test_alerts_show_severity_state_value_threshold_and_runbook(page: Page) -> None:
    page.open("#/alerts")
    page.expect("[data-alert=DeadLetters] .alert-value", "3.4 % > 1 %")
    first = page.text("[data-alert=DeadLetters]")
    for part in ("critical", "firing", "Too many signals are set aside.", "tenant acme", "7 min"):
        assert part in first
    link = page.find("[data-alert=DeadLetters] a")
    assert link.get_attribute("href") == answers.RUNBOOK_URL
    assert "noopener" in str(link.get_attribute("rel"))
    assert "docs/runbooks/lag.md" in page.text("[data-alert=HopSlow] code")
    # A bare file's name is told with its folder.
    assert "docs/runbooks/lag.md" in page.text("[data-alert=LagHigh] code")
    assert "pending" in page.text("[data-alert=LagHigh]")
    assert "silenced" in page.text("[data-alert=WorkerDown]")
    names = [card.get_attribute("data-alert") for card in page.all(".alert")]
    assert names == ["DeadLetters", "HopSlow", "LagHigh", "WorkerDown"]
    assert page.text("#tab-count") == "2"


def test_one_of_the_severity_info_is_listed_and_counts_nowhere(page: Page, api: Canned) -> None:
    watchdog = answers.alert(now_ms(), alert="Watchdog", severity="info", labels={}, value=None, threshold=None)
    api.instead["/v1/alerts"] = lambda: (200, {"at_ms": now_ms(), "alerts": [watchdog]})
    page.open()
    page.expect("[data-tile=alerts]", "all quiet")
    page.expect("[aria-labelledby=now-title]", "Nothing fires")
    assert page.driver.title == "Hopline"
    page.open("#/alerts")
    page.expect("[data-alert=Watchdog]", "info")


def test_rules_show_what_is_in_force_and_what_was_moved(page: Page) -> None:
    page.open("#/alerts")
    page.expect("[data-rule=LagHigh] .rule-effective", "> 45 s for 2 min")
    page.expect("[data-rule=LagHigh] .rule-standard", "default 30 s")
    page.expect("[data-rule=LagHigh] .rule-overrides", "acme 2 min, globex 60 s")
    page.expect("[data-rule=HopSlow] .rule-standard", "default")
    page.find("#rule-filter").send_keys("slow")
    page.until(lambda: [row.get_attribute("data-rule") for row in page.all("[data-rule]")] == ["HopSlow"])


def test_the_history_is_listed_the_newest_first(page: Page) -> None:
    page.open("#/alerts")
    page.expect("#history-title ~ .scroll", "QueueGrowing")
    rows = [row.text.replace("\u202f", " ") for row in page.all("#history-title ~ .scroll tbody tr")]
    assert len(rows) == 5
    assert rows[0].split()[1:6] == ["critical", "DeadLetters", "pending", "→", "to"]
    assert "412, threshold 100" in rows[3]


def test_nothing_to_tell_is_said(page: Page, api: Canned) -> None:
    api.instead["/v1/alerts"] = lambda: (200, {"at_ms": now_ms(), "alerts": []})
    api.instead["/v1/map"] = lambda: (200, {"at_ms": now_ms(), "nodes": [], "edges": []})
    api.instead["/v1/charts"] = lambda: (200, {"charts": []})
    api.instead["/v1/alerts/rules"] = lambda: (200, {"rules": []})
    api.instead["/v1/alerts/history"] = lambda: (200, {"changes": []})
    page.open()
    page.expect(".map-note", "knows of no process yet")
    page.expect("[aria-labelledby=now-title]", "Nothing fires")
    assert page.driver.title == "Hopline"
    page.open("#/charts")
    page.expect(".notice", "no charts")
    page.open("#/alerts")
    page.expect(".view", "There are no rules.")
    page.expect(".view", "Nothing has changed yet.")


def test_an_answer_of_another_shape_is_said_and_breaks_nothing(page: Page, api: Canned) -> None:
    odd: list[Callable[[], tuple[int, Any]]] = [
        lambda: (200, {"nodes": "none"}),
        lambda: (200, []),
        lambda: (200, None),
        lambda: (200, {"nodes": [None, 3, {"id": "x"}, {"id": "x"}], "edges": [{"from": "x", "to": "y"}, "e"]}),
    ]
    for answer in odd[:3]:
        api.instead["/v1/map"] = answer
        page.open()
        page.expect("#connection", "another version")
    api.instead["/v1/map"] = odd[3]
    page.open()
    page.until(lambda: len(page.all(".map .node")) == 1)
    page.expect("#connection", "Live")
