"""Each query of each dashboard is answered by a real Prometheus over a real pipeline, under traffic of all kinds."""

import pytest

from tests.dashboards import live
from tests.dashboards.prometheus import NEEDS, PROMETHEUS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kafka,
    pytest.mark.timeout(480),
    pytest.mark.xdist_group("heavy"),
    pytest.mark.skipif(PROMETHEUS is None, reason=NEEDS),
]


def test_no_query_is_empty_and_no_metric_is_asked_for_that_nobody_tells() -> None:
    report = live.run(quick=False, say=print)
    assert set(report.scraped.values()) == {"up"}
    assert report.refused == []
    assert report.empty_variables == []
    assert report.empty == []
    assert report.untold_metrics == {}
    assert report.charts == []
