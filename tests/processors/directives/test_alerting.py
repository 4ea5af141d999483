"""`hopline.alert.threshold.set|silence|unsilence`: in force for who follows the topic, bounded, refused in words."""

import json
from typing import Any, Final

import pytest

from processors.alerting import settings
from processors.alerting.rule import Threshold
from processors.alerting.settings import ALL, SILENCE_MS_MAX, SILENCES_MAX, AlertSettings
from processors.directives import alerting, audit
from processors.directives.kinds.alert_silence import silence_id
from processors.vocabulary import topics
from processors.vocabulary.timestamps import rfc3339
from tests.processors.directives.test_directives import balanced, lines, send, statuses
from tests.processors.lanes import NOW_MS, LaneInMemory

THRESHOLD: Final = "hopline.alert.threshold.set"
SILENCE: Final = "hopline.alert.silence"
UNSILENCE: Final = "hopline.alert.unsilence"
SYSTEM: Final = {"tenantid": "_system"}
ALERTS: Final = {
    "LagHigh": Threshold(30, "s", least=1, most=3_600),
    "FailureRate": Threshold(0.5, "percentunit", most=1, per_tenant=True),
    "Watchdog": None,
}
QUIET: Final = {"alert": "FailureRate", "minutes": 10, "why": "we move"}


def lane_with_alerts() -> LaneInMemory:
    lane = LaneInMemory(alerts=ALERTS)
    send(lane, "hopline.tenant.create", "t")
    return lane


def followed(lane: LaneInMemory) -> AlertSettings:
    """Return what somebody knows who has followed the topic from its beginning."""
    kept = AlertSettings()
    for key, value, _ in lane.outputs(topics.ALERT_SETTINGS):
        assert kept.take(key, value) == ""
    return kept


def last_error(lane: LaneInMemory) -> str:
    return str(lane.told()[-1]["data"]["error"])


def test_a_threshold_is_moved_for_all_and_for_one_tenant_and_goes_back() -> None:
    lane = lane_with_alerts()
    send(lane, THRESHOLD, "1", {"alert": "FailureRate", "value": 0.25}, **SYSTEM, requester="ann")
    send(lane, THRESHOLD, "2", {"alert": "FailureRate", "value": 0.75})
    send(lane, THRESHOLD, "3", {"alert": "FailureRate", "value": 1})
    kept = followed(lane)
    found = [(one.tenant, one.value, one.at_ms, one.by) for one in kept.overrides()]
    assert sorted(found) == [(ALL, 0.25, NOW_MS, "kafka:ann"), ("acme", 1, NOW_MS, "kafka")]
    entry = audit.read(lines(lane)[-1])
    assert entry.before == {"alert": "FailureRate", "value": 0.75}
    assert entry.after == {"alert": "FailureRate", "value": 1}
    send(lane, THRESHOLD, "4", {"alert": "FailureRate", "value": None})
    send(lane, THRESHOLD, "5", {"alert": "FailureRate", "value": None})
    assert set(statuses(lane)) == {"succeeded"}
    assert [one.tenant for one in followed(lane).overrides()] == [ALL]
    assert not lane.store.scan(alerting.settings_prefix("acme"), 10)
    assert balanced(lane)


@pytest.mark.parametrize(
    "data,tenant,says",
    [
        ({"alert": "Nothing", "value": 1}, "_system", "there is no alert 'Nothing'; `hopline alerts threshold` lists"),
        ({"alert": "Watchdog", "value": 1}, "_system", "Watchdog has no threshold"),
        ({"alert": "LagHigh", "value": 0.5}, "_system", "the threshold of LagHigh must be from 1 to 3600 (s)"),
        ({"alert": "LagHigh", "value": 3_601}, "_system", "the threshold of LagHigh must be from 1 to 3600 (s)"),
        ({"alert": "LagHigh", "value": 2}, "acme", "LagHigh is judged over all tenants together"),
        ({"alert": "FailureRate", "value": 0.1}, "nobody", "there is no tenant 'nobody'"),
        ({"alert": "LagHigh"}, "_system", "data.value is missing"),
        ({"alert": "LagHigh", "value": "much"}, "_system", "data.value is wrong"),
        ({"alert": "LagHigh", "value": 2, "more": 1}, "_system", "data.more is not known here"),
    ],
)
def test_what_cannot_be_a_threshold_is_refused_and_reaches_nobody(data: dict[str, Any], tenant: str, says: str) -> None:
    lane = lane_with_alerts()
    send(lane, THRESHOLD, "1", data, tenantid=tenant)
    assert last_error(lane).startswith(says)
    assert not lane.outputs(topics.ALERT_SETTINGS)
    assert balanced(lane)


def test_a_silence_holds_for_its_time_and_says_who_and_why() -> None:
    lane = lane_with_alerts()
    send(lane, SILENCE, "1", {**QUIET, "labels": {"hop": "ingest"}}, requester="ann")
    kept = followed(lane)
    (found,) = kept.silences(lane.now_ms)
    assert (found.id, found.by, found.why) == (silence_id("c1"), "kafka:ann", "we move")
    labels = {"tenant": "acme", "hop": "ingest"}
    assert kept.silenced("FailureRate", labels, NOW_MS + 600_000 - 1) == found
    assert kept.silenced("FailureRate", labels, NOW_MS + 600_000) is None
    assert kept.silenced("FailureRate", {**labels, "tenant": "other"}, NOW_MS) is None
    assert kept.silenced("FailureRate", {"tenant": "acme"}, NOW_MS) is None
    assert audit.read(lines(lane)[-1]).after["until_ms"] == NOW_MS + 600_000
    assert balanced(lane)


def test_a_silence_until_a_time_and_of_everything() -> None:
    lane = lane_with_alerts()
    send(lane, SILENCE, "1", {"alert": "*", "until": rfc3339(NOW_MS + 5_000), "why": "night"}, **SYSTEM)
    kept = followed(lane)
    assert kept.silenced("Watchdog", {}, NOW_MS + 4_999)
    assert kept.silenced("FailureRate", {"tenant": "other"}, NOW_MS)
    assert not kept.silenced("Watchdog", {}, NOW_MS + 5_000)


def test_a_silence_is_ended_once_and_before_its_time() -> None:
    lane = lane_with_alerts()
    send(lane, SILENCE, "1", QUIET)
    (found,) = followed(lane).silences(NOW_MS)
    send(lane, UNSILENCE, "2", {"id": found.id}, **SYSTEM)
    assert "has no silence" in last_error(lane), "another tenant's"
    send(lane, UNSILENCE, "3", {"id": found.id})
    assert len(followed(lane)) == 0
    send(lane, UNSILENCE, "4", {"id": found.id})
    assert statuses(lane)[-3:] == ["failed", "succeeded", "failed"]
    assert audit.read(lines(lane)[-2]).before["id"] == found.id
    send(lane, SILENCE, "5", QUIET)
    lane.now_ms += 600_000
    send(lane, UNSILENCE, "6", {"id": silence_id("c5")})
    assert "has no silence" in last_error(lane), "it is over"


@pytest.mark.parametrize(
    "change,says",
    [
        ({"alert": "lag"}, "data.alert must be an alert's name"),
        ({"alert": "Nothing*"}, "there is no alert 'Nothing*'"),
        ({"why": " "}, "data.why must say why"),
        ({"why": "x" * 501}, "data.why must say why"),
        ({"minutes": None}, "data.minutes or data.until must be there"),
        ({"until": rfc3339(NOW_MS + 1)}, "data.minutes or data.until must be there"),
        ({"minutes": 0}, "data.minutes must be above 0"),
        ({"minutes": 43_201}, "data.minutes must be above 0, up to 43200"),
        ({"minutes": None, "until": "tomorrow"}, "data.until must be a time"),
        ({"minutes": None, "until": rfc3339(NOW_MS)}, "data.until must be in the future"),
        ({"minutes": None, "until": rfc3339(NOW_MS + SILENCE_MS_MAX + 1)}, "data.until must be in the future"),
        ({"labels": {str(n): "" for n in range(9)}}, "data.labels are more than 8"),
        ({"labels": {"a-b": ""}}, "data.labels must be named by"),
        ({"labels": {"a": "x" * 257}}, "data.labels must have values"),
        ({"labels": {"a": 1}}, "data.labels"),
    ],
)
def test_what_cannot_be_a_silence_is_refused_and_reaches_nobody(change: dict[str, Any], says: str) -> None:
    lane = lane_with_alerts()
    send(lane, SILENCE, "1", {name: value for name, value in {**QUIET, **change}.items() if value is not None})
    assert last_error(lane).startswith(says)
    assert not lane.outputs(topics.ALERT_SETTINGS)


def test_there_is_a_bound_and_what_is_over_makes_room() -> None:
    lane = lane_with_alerts()
    for number in range(SILENCES_MAX):
        send(lane, SILENCE, str(number), {**QUIET, "minutes": number + 1})
    send(lane, SILENCE, "more", QUIET)
    assert "100 silences of tenant 'acme' hold, which is the limit" in last_error(lane)
    lane.now_ms += 60_000
    send(lane, SILENCE, "again", QUIET)
    assert statuses(lane)[-2:] == ["failed", "succeeded"]
    kept = followed(lane)
    assert len(kept) == SILENCES_MAX == len(list(kept.silences(lane.now_ms))), "the one that is over was taken out"
    assert len(lane.store.scan(alerting.settings_prefix("acme"), 1_000)) == SILENCES_MAX


def test_a_deleted_tenant_takes_all_of_it_along_and_gets_nothing_new() -> None:
    lane = lane_with_alerts()
    send(lane, SILENCE, "1", QUIET)
    send(lane, THRESHOLD, "2", {"alert": "FailureRate", "value": 0.75})
    send(lane, THRESHOLD, "3", {"alert": "FailureRate", "value": 0.5}, **SYSTEM)
    send(lane, "hopline.tenant.delete", "4")
    assert [one.tenant for one in followed(lane).overrides()] == [ALL]
    assert len(followed(lane)) == 1
    assert not lane.store.scan(alerting.settings_prefix("acme"), 10)
    send(lane, SILENCE, "5", QUIET)
    send(lane, THRESHOLD, "6", {"alert": "FailureRate", "value": 0.75})
    assert statuses(lane)[-2:] == ["failed", "failed"]
    assert "is deleted" in last_error(lane)
    assert balanced(lane)


def test_an_export_shows_them() -> None:
    lane = lane_with_alerts()
    send(lane, SILENCE, "1", QUIET)
    send(lane, THRESHOLD, "2", {"alert": "FailureRate", "value": 0.75})
    send(lane, "hopline.state.export", "3")
    ((_, part, _),) = lane.outputs(topics.EXPORTS)
    values = {row["name"]: row["value"] for row in json.loads(part or b"")["values"]}
    assert values["alerting/threshold/acme\x00FailureRate"]["value"] == 0.75
    assert values[f"alerting/silence/acme\x00{silence_id('c1')}"]["why"] == "we move"


def test_without_alerts_there_is_nothing_to_set() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.create", "t")
    send(lane, SILENCE, "1", {**QUIET, "alert": "*"})
    assert "there is no alert '*'" in last_error(lane)
    assert settings.is_pattern("*")
