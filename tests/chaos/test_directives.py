"""A short run of chaos with directives finds nothing wrong; with a bug planted, each counter finds its own."""

from pathlib import Path

import pytest

from tests.chaos.directives import DirectedChaos
from tests.chaos.faults import Blow
from tests.chaos.run import Outcome, Wish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SIGNALS = 10_000
DIRECTIVES = 1_000
SESSION_MS = 6_000


async def _run(folder: Path, *strikes: tuple[Blow, ...], plant: str = "") -> Outcome:
    kills = sum(map(len, strikes))
    wish = Wish(SIGNALS, kills, 7, SESSION_MS, folder, planned=strikes, plant=plant, directives=DIRECTIVES)
    async with DirectedChaos(wish) as chaos:
        return await chaos.run()


async def test_directives_end_once_audited_and_never_told_early(tmp_path: Path) -> None:
    outcome = await _run(tmp_path, (Blow.WORKER, Blow.STOP))
    assert not outcome.failure
    assert outcome.judgement.cases == []
    assert outcome.verdict.cases == []
    assert outcome.facts["directives_accepted"] == DIRECTIVES
    assert outcome.judgement.statuses_seen > DIRECTIVES / 2
    assert outcome.facts["kills_in_transaction"] == 2
    assert {"succeeded", "failed", "rejected", "requested", "running", "cancelled"} <= outcome.facts["outcomes"].keys()


# These three strike at each or each fifth commit: that they are caught is not left to where a blow hits.


async def test_what_is_told_before_the_change_is_caught(tmp_path: Path) -> None:
    outcome = await _run(tmp_path, (Blow.WORKER,), plant="status_first")
    assert outcome.judgement.status_early > 0


async def test_what_is_told_again_is_caught(tmp_path: Path) -> None:
    outcome = await _run(tmp_path, (Blow.WORKER,), plant="told_again")
    assert outcome.judgement.duplicated > 0
    assert outcome.judgement.chains_broken > 0


async def test_what_is_not_told_is_caught(tmp_path: Path) -> None:
    outcome = await _run(tmp_path, (Blow.WORKER,), plant="untold")
    assert outcome.judgement.lost > 0
    assert outcome.judgement.chains_broken > 0
