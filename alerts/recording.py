"""An expression that Prometheus works out once and keeps under a name, so that rules need not do it again.

It changes nothing in what a rule means: `alerts/prometheus.py` puts the name where the very expression stands, and the
built-in engine evaluates the expression itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recording:
    """A name, `level:what:how`, and what stands behind it."""

    name: str
    expr: str


def with_recorded(expr: str, recordings: Iterable[Recording]) -> str:
    """Put names for what they stand for. The longest first: one may be part of another."""
    for each in sorted(recordings, key=lambda each: -len(each.expr)):
        expr = expr.replace(each.expr, each.name)
    return expr
