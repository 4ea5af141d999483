"""A short run of chaos finds nothing wrong, and finds what is wrong where a bug was planted."""

from pathlib import Path

import pytest

from tests.chaos.faults import IN_FLIGHT_MIN, Blow
from tests.chaos.run import Chaos, Outcome, Wish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SIGNALS = 10_000
SESSION_MS = 6_000


async def _run(folder: Path, *strikes: tuple[Blow, ...], plant: str = "") -> Outcome:
    kills = sum(map(len, strikes))
    wish = Wish(SIGNALS, kills, 7, SESSION_MS, folder, planned=strikes, plant=plant)
    async with Chaos(wish) as chaos:
        return await chaos.run()


async def test_nothing_is_lost_doubled_or_reordered_when_broker_and_workers_die(tmp_path: Path) -> None:
    outcome = await _run(tmp_path, (Blow.BROKER,), (Blow.WORKER, Blow.STOP))
    assert not outcome.failure
    assert outcome.verdict.cases == []
    assert outcome.facts["kills_in_transaction"] == 3
    assert outcome.facts["in_flight_min"] >= IN_FLIGHT_MIN
    assert outcome.facts["hanging_partitions"] == 0
    assert outcome.facts["workers_ended_by_themselves"] == []


async def test_outputs_outside_of_the_transaction_are_caught(tmp_path: Path) -> None:
    outcome = await _run(tmp_path, (Blow.WORKER, Blow.WORKER), plant="outputs_first")
    assert outcome.verdict.duplicated > 0
    assert outcome.verdict.counters_wrong > 0
