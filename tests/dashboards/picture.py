"""`python -m tests.dashboards.picture FILE`: run a pipeline and a Prometheus, and draw some panels of what it saw.

Halfway the worker is killed; its successor takes its lanes over.
"""

import argparse
import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from dashboards.catalogue import ALL
from dashboards.filling import fill, rate_seconds
from dashboards.row import Panel, Query
from tests.dashboards import feed
from tests.dashboards.drawing import Drawn, Series, picture
from tests.dashboards.prometheus import SCRAPE_SECONDS, Prometheus, running

SECONDS: Final = 120.0
STEP_SECONDS: Final = 1
PANELS: Final = (
    ("hop-ingest", "Ingest: records by outcome"),
    ("gateway", "Answered within"),
    ("overview", "Dead letters"),
    ("gateway", "Requests"),
)


def chosen() -> list[Panel]:
    """Return the panels that are drawn."""
    by_place = {(dashboard.slug, panel.title): panel for dashboard in ALL for panel in dashboard.panels}
    return [by_place[place] for place in PANELS]


def answered(prometheus: Prometheus, panel: Panel, start: float, end: float) -> Drawn:
    """Ask a panel's queries as Grafana does."""
    series = []
    for query in panel.queries:
        expr = fill(query.expr, rate_seconds=rate_seconds(STEP_SECONDS, SCRAPE_SECONDS))
        series += [_series(query, each) for each in prometheus.over(expr, start, end, STEP_SECONDS)]
    # The greatest first: the legend has room for some.
    drawn = [each for each in series if each.points and max(value for _, value in each.points) > 0]
    return Drawn(panel, tuple(sorted(drawn, key=lambda each: -sum(value for _, value in each.points))))


def _series(query: Query, found: dict[str, Any]) -> Series:
    name = query.legend
    for label, value in found["metric"].items():
        name = name.replace(f"{{{{{label}}}}}", value)
    points = [(float(at), float(value)) for at, value in found["values"]]
    return Series(name, [(at, value) for at, value in points if math.isfinite(value)])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


async def draw(seconds: float) -> str:
    """Run everything for so long, and draw what came of it."""
    with tempfile.TemporaryDirectory(prefix="hopline-picture-") as folder:
        async with feed.site(Path(folder) / "site", _say) as site:
            with running(Path(folder) / "prometheus", site.targets()) as prometheus:
                traffic = asyncio.create_task(feed.feed(site, kill_after_seconds=seconds / 2))
                try:
                    await asyncio.wait((traffic,), timeout=seconds)
                    if traffic.done():
                        await traffic
                finally:
                    traffic.cancel()
                    await asyncio.wait((traffic,))
                end = time.time()
                drawn = [answered(prometheus, panel, end - seconds, end) for panel in chosen()]
    return picture(drawn, title="Panels of Hopline's dashboards, drawn from what a real Prometheus saw")


def main() -> int:
    """Do it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.dashboards.picture", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    options.file.write_text(asyncio.run(draw(options.seconds)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
