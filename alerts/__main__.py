"""Write what Prometheus and Alertmanager read, or check that it is fresh and holds: `python -m alerts write|check`."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from alerts import alertmanager, prometheus, promtool, runbooks
from alerts.catalogue import ALL, RECORDINGS
from alerts.series.catalogue import ALL as CASES

ROOT: Final = Path(__file__).resolve().parents[1]
RULES: Final = Path("alerts/generated/hopline.rules.yml")
ALERTMANAGER: Final = Path("deploy/alertmanager/alertmanager.yml")
PROMETHEUS: Final = Path("deploy/prometheus/prometheus.yml")


def written(prefix: str = prometheus.RUNBOOKS) -> dict[Path, str]:
    """Return each file that is written, by its place below the root."""
    return {RULES: prometheus.rules_file(prefix), ALERTMANAGER: alertmanager.config(), runbooks.INDEX: runbooks.index()}


def write(root: Path, prefix: str) -> None:
    """Write all files anew."""
    for place, text in written(prefix).items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def stale(root: Path) -> list[str]:
    """Return the files that are not what would be written."""
    found = []
    for place, text in written().items():
        path = root / place
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            found.append(f"{place} is not what the rules say: python -m alerts write")
    return found


def tools(root: Path) -> list[promtool.Ran]:
    """Let Prometheus' and Alertmanager's own tools check everything."""
    with tempfile.TemporaryDirectory(prefix="hopline-alerts-") as folder:
        return [
            promtool.run("promtool", "check", "rules", str(root / RULES)),
            promtool.run("promtool", "check", "config", str(root / PROMETHEUS)),
            promtool.test_rules(CASES, Path(folder)),
            promtool.run("amtool", "check-config", str(root / ALERTMANAGER)),
        ]


def check(root: Path, *, as_json: bool) -> int:
    """Check everything and say it. Returns the exit code; a tool that is not installed is no failure, but said."""
    ran = tools(root)
    wrong = [*stale(root), *runbooks.problems(root)]
    wrong += [f"{each.tool}: {each.said}" for each in ran if each.found and not each.passed]
    missing = sorted({each.said for each in ran if not each.found})
    said = {
        "rules": len(ALL),
        "recordings": len(RECORDINGS),
        "series": len(CASES),
        "moments": sum(len(case.moments) for case in CASES),
        "rules_never_fired": len(never_raised()),
        "tools": [{"tool": each.tool, "ran": each.found, "passed": each.passed} for each in ran],
        "missing": missing,
        "problems": wrong,
    }
    if as_json:
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
    else:
        sys.stdout.write(f"{len(ALL)} rules, {len(CASES)} series, {said['moments']} moments\n")
        for line in [*(f"SKIPPED: {each}" for each in missing), *wrong]:
            sys.stdout.write(line + "\n")
    return 1 if wrong else 0


def never_raised() -> list[str]:
    """Return the rules that no series raises."""
    raised = {case.rule for case in CASES if any(at.raised for at in case.moments)}
    return [rule.name for rule in ALL if rule.name not in raised]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m alerts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    writes = commands.add_parser("write", help="write the files anew")
    writes.add_argument("--root", type=Path, default=ROOT, help="where to write them (default: this checkout)")
    writes.add_argument("--runbooks", default=prometheus.RUNBOOKS, help="what stands before a runbook's name")
    checks = commands.add_parser("check", help="compare, and run promtool and amtool")
    checks.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    if given.command == "write":
        write(given.root, given.runbooks)
        return 0
    return check(ROOT, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
