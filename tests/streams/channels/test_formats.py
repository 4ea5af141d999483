"""What each channel's format looks like, within the bounds that its receiver has."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from processors.alerting.notice import Entry, News, Notice, What
from processors.alerting.rule import Severity
from processors.alerting.settings import ALL, Silence
from streams.channels import alertmanager, slack, words
from streams.channels.http import Http
from streams.channels.sending import Hidden
from tests.streams.channels.receiving import NOW_MS, Changed, hosting, loaded, receiving, until

LONG: Final = "x" * 5_000


def entry(what: What = What.RAISED, **more: Any) -> Entry:
    plain: dict[str, Any] = {
        "id": "a1",
        "alert": "LagHigh",
        "severity": Severity.CRITICAL,
        "labels": {"tenant": "acme"},
        "value": 31.5,
        "threshold": 30.0,
        "firing": what is not What.RESOLVED,
        "since_ms": NOW_MS,
        "at_ms": NOW_MS,
        "summary": "Records wait.",
        "description": "They do.",
        "runbook": "lag.md",
    }
    return Entry(what, News(**{**plain, **more}))


def notice(*entries: Entry) -> Notice:
    return Notice("id", ("LagHigh", "acme"), entries)


@pytest.mark.parametrize(
    "entries,title",
    [
        ((entry(),), "RAISED: LagHigh (critical) of acme"),
        ((entry(What.REPEATED),), "STILL RAISED: LagHigh (critical) of acme"),
        ((entry(), entry(What.RESOLVED)), "OVER: LagHigh (critical) of acme"),
        ((entry(), entry(id="a2"), entry(What.RESOLVED, id="a3")), "2 RAISED, 1 OVER: LagHigh of acme"),
        ((entry(labels={}),), "RAISED: LagHigh (critical)"),
    ],
)
def test_titles(entries: tuple[Entry, ...], title: str) -> None:
    assert words.title(notice(*entries)) == title


def test_slack_takes_it_and_nobody_is_called() -> None:
    hostile = entry(labels={"tenant": "acme", "a": "<!channel> & <https://example.com|click>"}, description=LONG)
    message = slack.message(notice(hostile), "https://example.com/runbooks")
    text = json.dumps(message)
    assert "<!" not in text
    assert "<http" not in text
    assert "&lt;!channel&gt; &amp;" in text
    assert "https://example.com/runbooks/lag.md" in text
    many = slack.message(notice(*(entry(id=str(number), description=LONG, summary=LONG) for number in range(100))))
    for made in (message, many):
        assert len(made["blocks"]) <= slack.BLOCKS_MAX
        assert [block["type"] for block in made["blocks"]][:2] == ["header", "section"]
        assert len(made["blocks"][0]["text"]["text"]) <= 150
        assert all(len(block["text"]["text"]) <= 3_000 for block in made["blocks"] if block["type"] == "section")
    assert "And 53 more." in json.dumps(many)


async def test_pagerduty_gets_an_incident_for_each_alert_and_no_event_twice(tmp_path: Path) -> None:
    async with receiving() as receiver:
        text = f"""
[channels.pager]
kind = "pagerduty"
url = "{receiver.url}/v2/enqueue"
routing_key_env = "KEY"
group_by = []
group_wait_seconds = 0
group_interval_seconds = 0
"""
        receiver.answers.extend([(202, {}, b""), (500, {}, b""), (202, {}, b"")])
        async with hosting(loaded(tmp_path, text, KEY="R0UT1NG")) as hosted:
            hosted.channels.told(Changed(summary=LONG))
            hosted.channels.told(Changed(id="a2", severity="warning", labels={}))
            await until(lambda: hosted.results("pager") == ["failed", "told"])
            hosted.channels.told(Changed(to="cleared"))
            await until(lambda: len(hosted.results("pager")) == 3)
            assert (await hosted.channels.test("pager")).ok
        events = [json.loads(got.body) for got in receiver.got]
    assert {event["routing_key"] for event in events} == {"R0UT1NG"}
    told = [(event["event_action"], event["dedup_key"]) for event in events]
    assert told[:4] == [
        ("trigger", "hopline/a1"),
        ("trigger", "hopline/a2"),
        ("trigger", "hopline/a2"),
        ("resolve", "hopline/a1"),
    ]
    first, second = events[0]["payload"], events[1]["payload"]
    assert len(first["summary"]) == 1_024
    assert (first["severity"], first["source"], first["class"]) == ("critical", "hopline-test", "LagHigh")
    assert (first["timestamp"], second["severity"]) == ("2027-01-15T08:00:00.000Z", "warning")
    assert first["custom_details"]["labels"] == {"tenant": "acme"}
    assert [action for action, _ in told[4:]] == ["trigger", "resolve"], "a test wakes nobody for long"
    assert told[4][1] == told[5][1]


def test_alertmanagers_alert_is_what_prometheus_would_have_sent() -> None:
    made = alertmanager.Alertmanager(Http("http://example.com", Hidden(), timeout_seconds=1), keeps_ms=180_000)
    hostile = {"tenant": "acme", "not-a-name": "x", "empty": "", "alertname": "Other"}
    alert = made.alert(entry(labels=hostile), NOW_MS + 5_000)
    assert alert["labels"] == {"alertname": "LagHigh", "severity": "critical", "tenant": "acme"}
    assert (alert["startsAt"], alert["endsAt"]) == ("2027-01-15T08:00:00.000Z", "2027-01-15T08:03:05.000Z")
    over = made.alert(entry(What.RESOLVED, at_ms=NOW_MS + 1_000), NOW_MS + 5_000)
    assert over["endsAt"] == "2027-01-15T08:00:01.000Z"


@pytest.mark.parametrize(
    "alert,tenant,labels,matchers",
    [
        ("*", ALL, {}, ["alertname=~.+"]),
        ("Lag*", ALL, {}, ["alertname=~Lag.*"]),
        ("LagHigh", "acme", {"hop": "ingest"}, ["alertname=LagHigh", "tenant=acme", "hop=ingest"]),
    ],
)
def test_a_silence_matches_there_what_it_means_here(
    alert: str, tenant: str, labels: dict[str, str], matchers: list[str]
) -> None:
    made = alertmanager.silence(Silence("s", alert, tenant, NOW_MS + 1, "why", NOW_MS, "ann", labels))
    found = [f"{one['name']}{'=~' if one['isRegex'] else '='}{one['value']}" for one in made["matchers"]]
    assert found == matchers
    assert made["comment"] == f"why (ann) [hopline {tenant}/s]"
