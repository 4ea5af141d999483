"""The alerts that there are, gathered from `alerts/`: the core does not know them and is told."""

import importlib
import pkgutil
from functools import cache

import alerts
from processors.alerting.rule import Rule, Threshold


@cache
def rules() -> tuple[Rule, ...]:
    """Return all rules, each module's in its order."""
    names = sorted(module.name for module in pkgutil.iter_modules(alerts.__path__))
    modules = [importlib.import_module(f"{alerts.__name__}.{name}") for name in names]
    return tuple(rule for module in modules for rule in getattr(module, "RULES", ()))


@cache
def thresholds() -> dict[str, Threshold | None]:
    """Return for each alert what its threshold may be; None for one that has none."""
    return {rule.name: rule.threshold for rule in rules()}
