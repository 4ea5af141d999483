"""The alerts that there are, from `alerts/`, as the shell needs them: the core does not know them and is told."""

from functools import cache

from alerts import catalogue
from processors.alerting.rule import Rule, Threshold


def rules() -> tuple[Rule, ...]:
    """Return all rules."""
    return catalogue.ALL


@cache
def thresholds() -> dict[str, Threshold | None]:
    """Return for each alert what its threshold may be; None for one that has none."""
    return {rule.name: rule.threshold for rule in rules()}


@cache
def cooldown_seconds() -> dict[str, int]:
    """Return for each alert how long it is not told again after it was."""
    return {rule.name: rule.cooldown_seconds for rule in rules()}
