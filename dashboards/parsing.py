"""Have Prometheus' own parser read every query: each becomes a rule in a file that `promtool check rules` reads."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from dashboards.catalogue import ALL
from dashboards.filling import fill
from dashboards.row import Dashboard, Panel, Query

SECONDS_MAX: Final = 60
RATE_SECONDS: Final = 60
_CHOICES: Final[tuple[Mapping[str, tuple[str, ...]], ...]] = (
    {},
    dict.fromkeys(("job", "instance", "tenant", "lane", "topic", "alert"), ("one",)),
    dict.fromkeys(("job", "instance", "tenant", "lane", "topic", "alert"), ('o"ne.', "t(w)o\\")),
)
"""All; one; two that would break out of their string if they could."""


class NoPromtoolError(Exception):
    """promtool is not installed here."""

    def __init__(self) -> None:
        super().__init__("promtool is not here; Debian's package `prometheus` brings it")


def queries(dashboards: Iterable[Dashboard] = ALL) -> Iterator[tuple[Dashboard, Panel, Query]]:
    """Yield every query with where it stands."""
    for dashboard in dashboards:
        for panel in dashboard.panels:
            for query in panel.queries:
                yield dashboard, panel, query


def of_promtool(exprs: Iterable[str]) -> list[str]:
    """Return what promtool says against these expressions; nothing is good. Raises `NoPromtoolError`."""
    tool = shutil.which("promtool")
    if tool is None:
        raise NoPromtoolError
    rules = [{"record": f"dashboard:query:{number}", "expr": expr} for number, expr in enumerate(exprs)]
    with tempfile.TemporaryDirectory(prefix="hopline-queries-") as folder:
        path = Path(folder) / "queries.yml"
        # JSON is YAML, too.
        path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
        run = subprocess.run(  # noqa: S603  # the tool that was found, on a file of ours
            [tool, "check", "rules", str(path)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
    if run.returncode == 0:
        return []
    return [line.strip() for line in run.stderr.splitlines() if line.strip()] or [run.stdout.strip()]


def filled(expr: str) -> list[str]:
    """Return an expression with its variables put in: for all, for one value, for several hostile ones."""
    return [fill(expr, rate_seconds=RATE_SECONDS, values=values) for values in _CHOICES]


def of_queries() -> list[str]:
    """Return what promtool says against the dashboards' queries."""
    return of_promtool(expr for _, _, query in queries() for expr in filled(query.expr))
