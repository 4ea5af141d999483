"""The runbooks: where each alert's stands, whether it has the parts that one must have, and the index of all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from alerts.catalogue import ALL, GROUP_OF, GROUPS
from processors.alerting.rule import Rule, Threshold
from processors.telemetry import catalogue as metrics

FOLDER: Final = Path("docs/runbooks")
INDEX: Final = FOLDER / "README.md"
PARTS: Final = ("**Means:**", "1. ", "**Over when**")
"""What it means, steps to take, and how to know that it is over."""
TITLES: Final = {"slo": "Service level (error budget)"}
"""Headings of groups whose name says too little."""
_GIGABYTE: Final = 1e9
_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)


def section(root: Path, rule: Rule) -> str:
    """Return the text below the rule's heading, nothing if there is none."""
    name, _, anchor = rule.runbook.partition("#")
    path = root / FOLDER / name
    if not path.is_file():
        return ""
    parts = _HEADING.split(path.read_text(encoding="utf-8"))
    return next((text for title, text in zip(parts[1::2], parts[2::2], strict=True) if _anchor(title) == anchor), "")


def _anchor(title: str) -> str:
    """Return a heading's name as pages of Markdown have it."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def problems(root: Path) -> Iterator[str]:
    """Yield what a runbook lacks."""
    for rule in ALL:
        found = section(root, rule)
        if not found:
            yield f"{rule.name}: {FOLDER / rule.runbook.partition('#')[0]} has no heading ## {rule.name}"
        for part in PARTS if found else ():
            if part not in found:
                yield f"{rule.name}: its runbook lacks {part.strip()}"


def index() -> str:
    """Return the page that names all of them."""
    lines = [
        "# Runbooks",
        "What to do when an alert comes: what it means, how to look, what to do, how to know that it is over. This",
        "page is written by `python -m alerts write` from the rules in `alerts/`, those that it points to by people.",
        "",
        "Thresholds here are defaults. `hopline alerts threshold` shows those in force, and moves one while all runs",
        "([alerts.md](../alerts.md)).",
        "",
        f"Where a step is an expression such as `max by (topic) ({metrics.PROBE_LAG_SECONDS.name})`,",
        "ask Prometheus, or the watch:",
        "`curl -sG http://127.0.0.1:8091/api/v1/query --data-urlencode 'query=EXPRESSION' | jq .data.result`.",
        "In compose the watch is not reached: ask Prometheus (<http://127.0.0.1:9090>), or the gateway with a key",
        "([watch.md](../watch.md#over-http)).",
        "",
    ]
    for group in GROUPS:
        lines += [
            f"## {TITLES.get(group, group.capitalize())}",
            "",
            "| alert | severity | default | for | says |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(rule) for rule in ALL if GROUP_OF[rule.name] == group]
        lines.append("")
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    compared = f"{rule.compare.value} {in_words(rule.threshold)}" if rule.threshold else "no threshold"
    lasts = f"{rule.for_seconds} s" if rule.for_seconds else ""
    return f"| [{rule.name}]({rule.runbook}) | {rule.severity.value} | {compared} | {lasts} | {rule.summary} |"


def in_words(threshold: Threshold) -> str:
    """Return a default as people read it, and the number that moves it where that is another one."""
    value = threshold.default
    number = f"{value:,.12g}"
    match threshold.unit:
        case "short":
            return number
        case "s":
            return f"{number} s"
        case "reqps":
            return f"{number} a second"
        case "percentunit":
            return f"{100 * value:g} % ({number})"
        case "bytes":
            return f"{value / _GIGABYTE:g} GB" if value >= _GIGABYTE else f"{number} bytes"
        case unit:
            raise ValueError(f"say here in words what {unit!r} is to Grafana")
