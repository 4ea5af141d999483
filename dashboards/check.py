"""`python -m dashboards.check --json`: lint, Prometheus' own parser, and every query against a real Prometheus.

The last part runs a whole pipeline (Kafka, worker, gateway, history) with traffic of all kinds; it stands in
`tests/dashboards`, for it needs what nothing here may import. `--lint` leaves it out.
"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from dashboards import lint, parsing
from dashboards.__main__ import FOLDER, stale
from dashboards.catalogue import ALL, PAGE
from dashboards.grafana import files


def findings() -> list[str]:
    """Return all that the lint finds."""
    found = [*lint.of_all(), *lint.of_page()]
    for name, text in files().items():
        found += [f"{name}: {each}" for each in lint.of_grafana(json.loads(text))]
    return found + [f"{name} is not as the code has it; run `python -m dashboards write`" for name in stale(FOLDER)]


def _content(options: argparse.Namespace) -> dict[str, Any]:
    found, unread = findings(), parsing.of_queries()
    content: dict[str, Any] = {
        "dashboards": len(ALL),
        "panels": sum(len(dashboard.panels) for dashboard in ALL),
        "queries": len(list(parsing.queries())),
        "on_page": len(PAGE),
        "lint_errors": len(found),
        "lint": found,
        "parse_errors": len(unread),
        "parse": unread,
    }
    if not options.lint:
        from tests.dashboards import live  # noqa: PLC0415  # the tests are no part of an installation

        report = live.run(quick=options.quick, say=lambda text: print(text, file=sys.stderr))  # noqa: T201
        content |= {"live": asdict(report)}
        content |= {"empty_queries": len(report.empty), "untold_queries": len(report.untold)}
        content["empty_charts"] = len(report.charts)
    return content


def main(arguments: list[str] | None = None) -> int:
    """Do it; return the exit code: 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.check", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--lint", action="store_true", help="lint and parse only: takes seconds")
    parser.add_argument("--quick", action="store_true", help="wait less long for what is rare")
    options = parser.parse_args(arguments)
    try:
        content = _content(options)
    except parsing.NoPromtoolError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(json.dumps(content, indent=2) + "\n" if options.json else _text(content))
    wrong = ("lint_errors", "parse_errors", "empty_queries", "untold_queries", "empty_charts")
    return 1 if any(content.get(name) for name in wrong) else 0


def _text(content: dict[str, Any]) -> str:
    counts = [f"{name:<16}{value:>6}" for name, value in content.items() if isinstance(value, int)]
    live = content.get("live", {})
    named = [f"empty   {each}" for each in live.get("empty", ())]
    named += [f"chart   {each}" for each in live.get("charts", ())]
    named += [f"untold  {metric}: {', '.join(panels)}" for metric, panels in live.get("untold_metrics", {}).items()]
    return "\n".join([*counts, *content["lint"], *content["parse"], *named]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
