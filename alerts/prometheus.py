"""The rules as Prometheus takes them (2.42 or newer): the same thresholds, moved by the same metric, without a reload.

A rule compares with `hopline_alert_threshold`, which each process shows: the default where its label `tenant` is empty,
a tenant's own where there is one. So a directive that moves a threshold is in force at Prometheus' next evaluation.
"""

import re
from collections.abc import Sequence
from typing import Final

from alerts import plain_yaml
from alerts.catalogue import ALL, GROUP_OF, GROUPS, RECORDINGS
from alerts.recording import Recording, with_recorded
from processors.alerting.rule import Rule
from processors.telemetry import catalogue as metrics

LINE_CHARACTERS_MAX: Final = 110
RUNBOOKS: Final = "docs/runbooks/"
"""Put before a rule's runbook. Where people read them elsewhere: `python -m alerts write --runbooks ADDRESS`."""
SLOW_GROUPS: Final = {"slo": 60}
"""Groups with an interval of their own, in seconds: their windows are days, and a minute more does not count."""
VALUE: Final = re.compile(r"\{\{ \$value \}\}")
_HEAD: Final = """Hopline's alerts for Prometheus: written by `python -m alerts write` from the rules in alerts/.
Do not change this file: change the rules, and write it anew. `python -m alerts check` compares."""


def threshold_of(name: str, tenant: str = "") -> str:
    """Return the threshold's selector."""
    return f'{metrics.ALERT_THRESHOLD.name}{{alert="{name}",tenant="{tenant}"}}'


def expression(rule: Rule, recordings: Sequence[Recording] = RECORDINGS) -> str:
    """Return what Prometheus evaluates: the signal against its threshold.

    The threshold stands alone on its side. With arithmetic there (`> 14.4 * on () …`) the vectors would be matched by
    all their labels and never meet: such a rule passes every check and is never raised.
    """
    signal = with_recorded(rule.signal, recordings)
    if rule.threshold is None:
        return wrapped(signal)
    compare, default = rule.compare.value, f"max({threshold_of(rule.name)})"
    if not rule.threshold.per_tenant:
        return f"{wrapped(f'({signal})')}\n{compare} on () group_left () {default}"
    own = f'max by (tenant) ({metrics.ALERT_THRESHOLD.name}{{alert="{rule.name}",tenant!=""}})'
    return (
        f"{wrapped(f'({signal})')}\n{compare} on (tenant) group_left () {own}\n"
        f"or\n({wrapped(f'({signal})')}\nunless on (tenant) {own})\n{compare} on () group_left () {default}"
    )


def wrapped(expr: str) -> str:
    """Break a long expression into lines, before the words that join its parts."""
    lines = [""]
    for part in re.split(r"(?= (?:or|and|unless|/) )", expr):
        if lines[-1] and len(lines[-1]) + len(part) > LINE_CHARACTERS_MAX:
            lines.append(part.lstrip())
        else:
            lines[-1] += part
    return "\n".join(lines)


def threshold_shown(rule: Rule) -> str:
    """Return the template of the threshold in force.

    `max` makes it one sample: the first of several would be somebody's, not this alert's.
    """
    default = f"max({threshold_of(rule.name)})"
    if rule.threshold is not None and rule.threshold.per_tenant:
        own = f"max({threshold_of(rule.name, '%s')})"
        asked = f"printf {_go(f'{own} or {default}')} $labels.tenant | query"
    else:
        asked = f"query {_go(default)}"
    return f'{{{{ range {asked} }}}}{{{{ printf "%.6g" .Value }}}}{{{{ end }}}}'


def _go(text: str) -> str:
    """Return a string as Go's templates take it, without escapes where it can be."""
    return f"`{text}`"


def annotations(rule: Rule, runbooks: str = RUNBOOKS) -> dict[str, plain_yaml.Value]:
    """Return what a person reads."""
    found: dict[str, plain_yaml.Value] = {
        "summary": rule.summary,
        "description": rule.words,
        "runbook_url": runbooks + rule.runbook,
    }
    if rule.threshold is not None:
        found["threshold"] = threshold_shown(rule)
    return found


def alert(rule: Rule, runbooks: str = RUNBOOKS) -> dict[str, plain_yaml.Value]:
    """Return the rule as an entry of a group. Its cooldown is Alertmanager's: see `alerts/alertmanager.py`."""
    found: dict[str, plain_yaml.Value] = {"alert": rule.name, "expr": expression(rule)}
    if rule.for_seconds:
        found["for"] = f"{rule.for_seconds}s"
    if rule.keep_seconds:
        found["keep_firing_for"] = f"{rule.keep_seconds}s"
    return {**found, "labels": {"severity": rule.severity.value}, "annotations": annotations(rule, runbooks)}


def rules_file(runbooks: str = RUNBOOKS) -> str:
    """Return the whole file. Names come first in a group: rules below use what they stand for."""
    groups: list[plain_yaml.Value] = []
    for name in GROUPS:
        group: dict[str, plain_yaml.Value] = {"name": f"hopline-{name}"}
        if name in SLOW_GROUPS:
            group["interval"] = f"{SLOW_GROUPS[name]}s"
        recorded = [{"record": each.name, "expr": wrapped(each.expr)} for each in RECORDINGS] if name == "slo" else []
        group["rules"] = [*recorded, *(alert(rule, runbooks) for rule in ALL if GROUP_OF[rule.name] == name)]
        groups.append(group)
    return plain_yaml.dump({"groups": groups}, head=_HEAD)
