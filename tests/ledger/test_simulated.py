"""The check beside simulated runs: no false alarm whatever strikes, and bugs that break conservation are found."""

import pytest

from tests.ledger.simulated import run
from tests.simulation.planted import BUGS

pytestmark = pytest.mark.timeout(300)

SEEDS = 12
CAUGHT = (
    ("fence skipped", {"output_twice", "journal_repeated", "term_differs", "without_commit"}),
    ("begins one record late", {"term_differs"}),
    ("dead letter not written", {"term_differs"}),
    ("stepped in the wrong lane", {"wrong_lane"}),
    ("journal without one of its topics", {"term_differs"}),
    ("told and not kept", {"audit_broken"}),
    ("token given although others wait", {"out_of_order"}),
    ("looped and not marked", {"term_differs"}),
)


@pytest.mark.parametrize("live, jumps", [(True, False), (True, True), (False, False)])
def test_nothing_is_found_where_nothing_is_wrong(live: bool, jumps: bool) -> None:
    judged = 0
    for seed in range(SEEDS):
        shown = run(seed, live=live, jumps=jumps)
        assert [str(finding) for finding in shown.found] == []
        assert not shown.failed
        judged += shown.judged
    assert judged > SEEDS * 50


@pytest.mark.parametrize("name, faults", CAUGHT)
def test_a_bug_that_breaks_conservation_is_found(name: str, faults: set[str]) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    with bug.planted():
        found = {finding.fault.value for seed in range(SEEDS) for finding in run(seed).found}
    assert found & faults
