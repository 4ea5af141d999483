"""The alerts that there are, gathered from `alerts/`: the core does not know them and is told."""

from functools import cache

from alerts.catalogue import ALL
from processors.alerting.rule import Rule, Threshold


def rules() -> tuple[Rule, ...]:
    """Return all rules."""
    return ALL


@cache
def thresholds() -> dict[str, Threshold | None]:
    """Return for each alert what its threshold may be; None for one that has none."""
    return {rule.name: rule.threshold for rule in rules()}
