"""Thresholds and silences through a real worker: asked for at the command line, in force for who follows the topic."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner, Result

from processors.alerting.settings import AlertSettings
from processors.vocabulary import topics
from streams.changelog import newest_everywhere
from streams.cli import alert_asking
from streams.cli.directives import directives
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.integration.pipeline import Pipeline, pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

TENANT: Final = "acme"
GROUP: Final = click.Group("alerts", commands=list(alert_asking.COMMANDS))


def call(*arguments: str, group: click.Group = GROUP) -> Result:
    found = CliRunner().invoke(group, arguments)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def told(*arguments: str, group: click.Group = GROUP) -> Any:
    found = call(*arguments, "--json", group=group)
    assert found.exit_code == 0, found.stderr
    return json.loads(found.stdout)


async def _followed(pipe: Pipeline) -> AlertSettings:
    found = AlertSettings()
    names = TopicNames(pipe.prefix)
    settings = KafkaSettings(pipe.kafka)
    for key, value in (await newest_everywhere(settings, names, pipe.lanes, topics.ALERT_SETTINGS)).items():
        assert found.take(key, value) == ""
    return found


def test_what_is_asked_for_is_in_force_listed_and_taken_back(
    kafka: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("HOPLINE_")]:
        monkeypatch.delenv(name)
    with pipeline(kafka, unique, tmp_path / "data") as pipe:
        asyncio.run(pipe.prepare())
        asyncio.run(pipe.start().ready())
        for name, value in (("KAFKA", kafka), ("TOPIC_PREFIX", pipe.prefix), ("LANES", str(pipe.lanes))):
            monkeypatch.setenv(f"HOPLINE_{name}", value)
        told("send", "hopline.tenant.create", "--tenant", TENANT, group=directives)

        (row,) = told("threshold", "LagHigh", "5")
        assert (row["value"], row["tenant"], row["by"]) == (5, "all", "kafka")
        assert row["default"] != 5
        rows = told("threshold", "TenantFailureRate", "0.25", "--tenant", TENANT)
        assert [(one["tenant"], one["value"]) for one in rows][1:] == [(TENANT, 0.25)]
        refused = call("threshold", "LagHigh", "5", "--tenant", TENANT)
        assert refused.exit_code == 1
        assert "judged over all tenants together" in refused.stderr
        assert call("threshold", "LagHigh", "1e12").exit_code == 1
        assert "there is no alert 'Nothing'" in call("threshold", "Nothing", "5").stderr

        silence = told("silence", "Lag*", "--for", "2h", "--why", "we move", "--label", "topic=signals")
        own = told("silence", "*", "--for", "10m", "--why", "night", "--tenant", TENANT)
        assert [one["id"] for one in told("silences")] == [own["id"], silence["id"]]
        assert told("silences", "--tenant", TENANT)[0]["why"] == "night"
        assert "we move" in call("silences").stdout
        kept = asyncio.run(_followed(pipe))
        now_ms = time.time_ns() // 1_000_000
        assert kept.silenced("LagHigh", {"topic": "signals"}, now_ms)
        assert kept.silenced("HopSlow", {"tenant": TENANT}, now_ms)
        assert not kept.silenced("HopSlow", {"tenant": "other"}, now_ms)

        assert told("unsilence", silence["id"])["status"] == "ended"
        assert "has no silence" in call("unsilence", silence["id"]).stderr
        told("threshold", "LagHigh", "--reset")
        told("send", "hopline.tenant.delete", "--tenant", TENANT, group=directives)
        assert len(asyncio.run(_followed(pipe))) == 0
        assert call("silences").stdout == "nothing is silenced\n"
