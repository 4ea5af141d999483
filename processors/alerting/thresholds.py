"""What each alert compares with: its rule's default, unless somebody moved it, for all or for one tenant."""

import math
from collections.abc import Iterable
from typing import Final

from processors.alerting.rule import Rule, Threshold
from processors.telemetry import catalogue
from processors.telemetry.samples import Point

ALL_TENANTS: Final = ""
"""Stands for all tenants that have none of their own."""
OVERRIDES_MAX: Final = 500
"""Tenants with a threshold of their own, over all rules. Each is a series in every process."""


class Thresholds:
    """Defaults from the rules, and what was moved."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules: dict[str, Threshold] = {rule.name: rule.threshold for rule in rules if rule.threshold is not None}
        self._moved: dict[tuple[str, str], float] = {}

    def default(self, alert: str) -> float:
        """Return what the rule itself says."""
        return self._rules[alert].default

    def of(self, alert: str, tenant: str = ALL_TENANTS) -> float:
        """Return what is compared with now: the tenant's own, else what is for all."""
        if not self._moved:
            return self._rules[alert].default
        for_all = self._moved.get((alert, ALL_TENANTS), self._rules[alert].default)
        return self._moved.get((alert, tenant), for_all)

    def refusal(self, alert: str, tenant: str, value: float) -> str | None:
        """Return why this cannot be set, or None if it can."""
        threshold = self._rules.get(alert)
        if threshold is None:
            return f"there is no alert {alert} with a threshold"
        if tenant and not threshold.per_tenant:
            return f"{alert} has one threshold for all tenants; leave the tenant out"
        if not math.isfinite(value) or not threshold.least <= value <= threshold.most:
            return f"{alert}'s threshold lies between {threshold.least:g} and {threshold.most:g} {threshold.unit}"
        if (alert, tenant) not in self._moved and len(self._moved) >= OVERRIDES_MAX:
            return f"{OVERRIDES_MAX} thresholds are moved already; unset one that is no longer needed"
        return None

    def set(self, alert: str, tenant: str, value: float) -> str | None:
        """Move a threshold. Returns why not, if it cannot be."""
        why_not = self.refusal(alert, tenant, value)
        if why_not is None:
            self._moved[alert, tenant] = value
        return why_not

    def unset(self, alert: str, tenant: str = ALL_TENANTS) -> bool:
        """Go back to what it was without that. Returns whether there was anything."""
        return self._moved.pop((alert, tenant), None) is not None

    def overrides(self, alert: str) -> list[tuple[str, float]]:
        """Return what was moved for an alert, by tenant."""
        return sorted((tenant, value) for (moved, tenant), value in self._moved.items() if moved == alert)

    def samples(self) -> list[Point]:
        """Return all that is in force as the metric that Prometheus' rules compare with."""
        in_force = {(alert, ALL_TENANTS): threshold.default for alert, threshold in self._rules.items()} | self._moved
        return [
            Point(catalogue.ALERT_THRESHOLD.name, (("alert", alert), ("tenant", tenant)), value)
            for (alert, tenant), value in sorted(in_force.items())
        ]
