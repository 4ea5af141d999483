"""Rules judged over the past: what would have been raised when, and what other thresholds would have done."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from processors.alerting.settings import Override
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.telemetry.samples import Sample
from streams import alert_rules
from streams.cli.main import cli
from streams.watch.backtest import Replayed, Trial, samples_between
from tests.streams.watch.made import NOW_MS, sample
from tests.streams.watch.place import LAG, RULES, now_ms, place


def told(at_ms: int, lag: float, instance: str = "w:1") -> Sample:
    return sample(at_ms, [(catalogue.LAG_SECONDS.name, {"topic": "t"}, lag)], instance=instance)


def replayed(lags: list[float], step_ms: int = 1_000, threshold: float | None = None) -> Replayed:
    """Return a trial over one sample a second, taken half a second before each check."""
    thresholds = Thresholds(RULES)
    if threshold is not None:
        thresholds.set(LAG.name, "", threshold)
    made = Replayed(Trial((LAG,), NOW_MS, NOW_MS + 1_000 * len(lags), step_ms), thresholds)
    for number, lag in enumerate(lags):
        made.take(told(NOW_MS - 500 + 1_000 * number, lag))
    return made


def test_it_says_when_an_alert_would_have_been_raised_and_cleared() -> None:
    found = replayed([1, 40, 40, 1, 1, 50]).finish()
    first, second = found.raised
    assert (first.raised_ms - NOW_MS, first.cleared_ms) == (1_000, NOW_MS + 3_000)
    assert (second.raised_ms - NOW_MS, second.cleared_ms, second.value, second.threshold) == (5_000, None, 50, 30)
    assert (found.samples, found.checks) == (6, 7)


@given(st.lists(st.sampled_from([1.0, 20.0, 40.0]), min_size=1, max_size=30), st.sampled_from([None, 10.0, 100.0]))
def test_it_finds_what_a_plain_look_at_the_values_finds(lags: list[float], threshold: float | None) -> None:
    found = replayed(lags, threshold=threshold).finish()
    above = [lag > (30 if threshold is None else threshold) for lag in lags]
    starts = [number for number, high in enumerate(above) if high and not (number and above[number - 1])]
    assert [(one.raised_ms - NOW_MS) // 1_000 for one in found.raised] == starts


@pytest.mark.kafka
async def test_samples_of_all_lanes_come_in_the_order_of_their_time(kafka: str, unique: str) -> None:
    async with place(kafka, unique) as here:
        begin = now_ms() - 60_000
        instances = [f"w:{number}" for number in range(5)]
        for number in range(40):
            await here.tell(told(begin + 1_000 * number, number, instances[number % 5]))
        settings = here.settings
        wanted = range(10, 30)
        found = [one async for one in samples_between(settings, settings.cluster(), begin + 10_000, begin + 29_500)]
        # Kafka finds by when records were written, which is later here: those before are taken in as well.
        assert [one.at_ms for one in found] == sorted(one.at_ms for one in found)
        assert {(one.at_ms - begin) // 1_000 for one in found} >= set(wanted)
        assert max(one.at_ms for one in found) <= begin + 29_500


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["alerts", *arguments], prog_name="hopline")


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415  # only here

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HOPLINE_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["backtest", "--threshold", "LagHigh"], "write it as LagHigh=5"),
        (["backtest", "--threshold", "LagHigh=much"], "write it as LagHigh=5"),
        (["backtest", "--threshold", "LagHigh=nan"], "write it as LagHigh=5"),
        (["backtest", "--threshold", "NoSuch=1"], "there is no alert 'NoSuch'"),
        (["backtest", "--threshold", "LagHigh:acme=1"], "one threshold for all"),
        (["backtest", "--threshold", "Watchdog=1"], "with a threshold"),
        (["backtest", "--alert", "NoSuch"], "there is no alert 'NoSuch'"),
        (["backtest", "--from", "1m", "--to", "5m"], "--to is not after --from"),
        (["backtest", "--from", "yesterday"], "--from 'yesterday' is no time"),
        (["backtest", "--step", "0s"], "--step '0s'"),
        (["backtest", "--step", "soon"], "--step 'soon'"),
        (["history", "--since", "soon"], "--since 'soon' is no time"),
    ],
)
@pytest.mark.usefixtures("clean")
def test_what_is_called_wrongly_is_said_before_anything_is_read(arguments: list[str], says: str) -> None:
    found = call(*arguments)
    assert (found.exit_code, "  do: " in found.stderr) == (2, True)
    assert says in found.stderr


@pytest.mark.usefixtures("clean")
def test_without_a_watch_a_command_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_WATCH_URL", "http://127.0.0.1:1")
    for command in (["alerts", "list"], ["top", "--once"]):
        found = CliRunner().invoke(cli, command, prog_name="hopline")
        assert found.exit_code == 1
        assert "does not answer" in found.stderr
        assert "python -m streams.watch" in found.stderr


@pytest.mark.kafka
@pytest.mark.usefixtures("clean")
async def test_the_command_shows_what_other_thresholds_would_have_done(
    kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio  # noqa: PLC0415  # only here

    async with place(kafka, unique) as here:
        begin = now_ms() - 200_000
        for number in range(200):
            await here.tell(told(begin + 1_000 * number, 10.0 if number > 20 else 0.0))
        # What is in force counts, unless the command line says otherwise.
        await here.decide(Override("LagVeryHigh", "", 5.0, now_ms()))
        for name, value in (("KAFKA", kafka), ("TOPIC_PREFIX", here.settings.topic_prefix), ("LANES", "2")):
            monkeypatch.setenv(f"HOPLINE_{name}", value)
        since = ["--from", "250s", "--step", "1s", "--json"]

        async def tried(*arguments: str) -> dict[str, Any]:
            answered = await asyncio.to_thread(call, "backtest", *since, *arguments)
            assert answered.exit_code == 0, answered.output
            found: dict[str, Any] = json.loads(answered.stdout)
            return found

        assert {rule.name for rule in alert_rules.rules()} >= {"LagHigh", "LagVeryHigh"}
        plain = await tried("--alert", "LagHigh")
        assert (plain["samples"], plain["raised"]) == (200, [])
        lowered = await tried("--alert", "LagHigh", "--threshold", "LagHigh=5")
        (raised,) = lowered["raised"]
        assert (raised["value"], raised["threshold"]) == (10, 5)
        # It lagged from the 21st second on, and the rule waits for two minutes.
        assert 140_000 <= raised["raised_ms"] - begin <= 143_000
        (in_force,) = (await tried("--alert", "LagVeryHigh"))["raised"]
        assert in_force["threshold"] == 5
        empty = await asyncio.to_thread(call, "backtest", "--from", "2h", "--to", "1h")
        assert (empty.exit_code, "no samples of that time" in empty.stderr) == (1, True)
