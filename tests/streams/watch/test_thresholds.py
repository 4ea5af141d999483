"""Thresholds as they are now: the rules' defaults from the start, what was decided instead, nothing left behind."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alerting.settings import Override, Setting, Silence, pack
from processors.telemetry import catalogue
from streams import thresholds
from streams.metrics import Metrics
from streams.settings import Settings
from streams.thresholds import ThresholdsView
from tests.streams.watch.made import NOW_MS
from tests.streams.watch.place import LAG, OF_TENANTS, RULES, now_ms, place, until

DEFAULTS = {(LAG.name, ""): 30.0, (OF_TENANTS.name, ""): 50.0}


def record(setting: Setting | None, key: bytes = b"") -> Any:
    return SimpleNamespace(key=setting.key if setting else key, value=pack(setting) if setting else None)


def shown(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (dict(labels)["alert"], dict(labels)["tenant"]): value
        for name, labels, value in metrics.points()
        if name == catalogue.ALERT_THRESHOLD.name
    }


def test_defaults_are_shown_from_the_start_and_stay_while_all_is_read_anew() -> None:
    metrics = Metrics()
    view = ThresholdsView(RULES, metrics)
    assert shown(metrics) == DEFAULTS
    override = Override(LAG.name, "", 5.0, NOW_MS)
    view.begin()
    view.take(record(override))
    assert shown(metrics) == DEFAULTS
    view.complete()
    assert shown(metrics) == {**DEFAULTS, (LAG.name, ""): 5}
    view.begin()
    assert shown(metrics)[LAG.name, ""] == 5
    view.complete()
    assert shown(metrics) == DEFAULTS


def test_what_is_taken_back_is_gone_at_once() -> None:
    metrics = Metrics()
    view = ThresholdsView(RULES, metrics)
    override = Override(OF_TENANTS.name, "acme", 7.0, NOW_MS)
    for one in (record(override), record(None, override.key)):
        view.take(one)
        assert ((OF_TENANTS.name, "acme") in shown(metrics)) == (one.value is not None)
    assert view.thresholds.of(OF_TENANTS.name, "acme") == 50


def test_silences_hold_for_what_they_name() -> None:
    view = ThresholdsView(RULES, Metrics())
    view.take(record(Silence("s" * 8, LAG.name, "", NOW_MS + 1_000, "", NOW_MS)))
    assert view.silenced(LAG.name, {}, NOW_MS)
    assert not view.silenced(LAG.name, {}, NOW_MS + 1_000)
    assert not view.silenced(OF_TENANTS.name, {}, NOW_MS)


@pytest.mark.parametrize(
    "bad",
    [
        SimpleNamespace(key=b"threshold/\x00X", value=b"{"),
        SimpleNamespace(key=None, value=b"x"),
        record(Override("NoSuchAlert", "", 1.0, NOW_MS)),
        record(Override(LAG.name, "acme", 1.0, NOW_MS)),
        record(Override(LAG.name, "", -1.0, NOW_MS)),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    view = ThresholdsView(RULES, metrics)
    view.take(bad)
    assert shown(metrics) == DEFAULTS
    assert "the alerts' settings" in caplog.text


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.one_of(st.none(), st.floats(0, 1e6))), max_size=20))
def test_the_newest_decision_for_each_tenant_is_in_force(decided: list[tuple[str, float | None]]) -> None:
    metrics = Metrics()
    view = ThresholdsView(RULES, metrics)
    expected = dict(DEFAULTS)
    for tenant, value in decided:
        override = Override(OF_TENANTS.name, tenant, value or 0.0, NOW_MS)
        at = (OF_TENANTS.name, tenant)
        view.take(record(override if value is not None else None, override.key))
        expected.pop(at, None)
        if value is not None:
            expected[at] = value
        elif at in DEFAULTS:
            expected[at] = DEFAULTS[at]
    assert shown(metrics) == expected


@pytest.mark.kafka
async def test_a_process_that_follows_the_topic_has_it_moments_later(kafka: str, unique: str) -> None:
    async with place(kafka, unique) as here:
        metrics = Metrics()
        follower, view = thresholds.follow(here.settings, kafka, metrics, RULES)
        follower.start()
        try:
            await here.decide(Override(LAG.name, "", 5.0, now_ms()))

            async def moved() -> bool:
                return shown(metrics)[LAG.name, ""] == 5

            await until(moved)
            assert view.thresholds.of(LAG.name) == 5
        finally:
            await follower.close()


def test_every_rule_of_the_real_ones_is_shown() -> None:
    metrics = Metrics()
    _, view = thresholds.follow(Settings(kafka="127.0.0.1:1"), "127.0.0.1:1", metrics)
    assert len(shown(metrics)) == len(view.thresholds.samples()) > 20
