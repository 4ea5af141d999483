"""All rules, gathered: the two engines, the thresholds, tests and pages take them from here.

Rules for hops that are not there yet come with them: `NoAgentsOnline` and `TasksStuck` with the tasks hop,
`StepStuck` and `RunsNeedOperator` with workflows. A rule without a metric could never be raised.
"""

from typing import Final

from alerts import directives, gateway, history, ingest, ledger, outcomes, pipeline, slo, telemetry, watch, workers
from processors.alerting.rule import Rule

GROUPS: Final[dict[str, tuple[Rule, ...]]] = {
    "pipeline": pipeline.RULES,
    "outcomes": outcomes.RULES,
    "slo": slo.RULES,
    "ingest": ingest.RULES,
    "directives": directives.RULES,
    "ledger": ledger.RULES,
    "workers": workers.RULES,
    "gateway": gateway.RULES,
    "history": history.RULES,
    "watch": watch.RULES,
    "telemetry": telemetry.RULES,
}
"""Rules by the module that they stand in."""
_compared: Final = tuple(rule for rules in GROUPS.values() for rule in rules)
ALL: Final[tuple[Rule, ...]] = (*_compared, telemetry.threshold_missing(_compared))
BY_NAME: Final[dict[str, Rule]] = {rule.name: rule for rule in ALL}
GROUP_OF: Final[dict[str, str]] = {
    **{rule.name: group for group, rules in GROUPS.items() for rule in rules},
    "ThresholdMissing": "telemetry",
}
RECORDINGS: Final = (*slo.RECORDINGS, slo.LEFT)
