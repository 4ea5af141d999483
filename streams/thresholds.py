"""Thresholds and silences as they are now: a view of the topic `alert-settings`, and the metric that shows thresholds.

Every process runs it, so that Prometheus compares with the same numbers as the watch, whichever it scrapes.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from processors.alerting.rule import Rule
from processors.alerting.settings import AlertSettings
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.vocabulary import topics as names
from streams import alert_rules
from streams.gateway.following import Follower
from streams.metrics import Metrics
from streams.settings import Settings

log = logging.getLogger(__name__)

PROBLEMS_LOGGED_MAX: Final = 20
"""Of one reading; the topic may be full of what cannot be read."""


class ThresholdsView:
    """What was decided about alerts: a `View`. Before anything was read the rules' own defaults are in force."""

    def __init__(self, rules: Iterable[Rule], metrics: Metrics) -> None:
        self._rules = tuple(rules)
        self._shown = ThresholdsShown(metrics)
        self.settings = AlertSettings()
        self.thresholds = Thresholds(self._rules)
        self._next = AlertSettings()
        self._reading = False
        self._problems = 0
        self._shown.show(self.thresholds)

    def begin(self) -> None:
        """See `View.begin`."""
        self._next = AlertSettings()
        self._reading, self._problems = True, 0

    def take(self, record: Any) -> None:
        """See `View.take`."""
        wrong = (self._next if self._reading else self.settings).take(record.key, record.value)
        if wrong:
            self._say(wrong)
        if not self._reading:
            self._renew()

    def complete(self) -> None:
        """See `View.complete`."""
        self.settings, self._reading = self._next, False
        self._renew()

    def _renew(self) -> None:
        # Made anew and put in place whole: others may be reading the old one.
        thresholds = Thresholds(self._rules)
        for one in self.settings.overrides():
            if why_not := thresholds.set(one.alert, one.tenant, one.value):
                self._say(why_not)
        self.thresholds = thresholds
        self._shown.show(thresholds)

    def _say(self, wrong: str) -> None:
        self._problems += 1
        if self._problems <= PROBLEMS_LOGGED_MAX:
            log.warning("the alerts' settings: %s", wrong)

    def silenced(self, alert: str, labels: Mapping[str, str], now_ms: int) -> bool:
        """Tell whether nobody is to be told of an alert now."""
        return self.settings.silenced(alert, labels, now_ms) is not None


class ThresholdsShown:
    """The thresholds as a metric: all rules' defaults, and what was moved."""

    def __init__(self, metrics: Metrics) -> None:
        self._family = metrics.gauge(catalogue.ALERT_THRESHOLD)

    def show(self, thresholds: Thresholds) -> None:
        """Show these, and nothing else."""
        now = {tuple(value for _, value in point.labels): point.value for point in thresholds.samples()}
        for gone in self._family.children.keys() - now.keys():
            self._family.forget(*gone)
        for labels, value in now.items():
            self._family.of(*labels).set(value)


def follow(
    settings: Settings, bootstrap: str, metrics: Metrics, rules: Iterable[Rule] | None = None
) -> tuple[Follower, ThresholdsView]:
    """Return what keeps this process's view fresh, to be started and closed, and the view; from now on it is shown."""
    view = ThresholdsView(alert_rules.rules() if rules is None else rules, metrics)
    follower = Follower(
        settings.cluster(bootstrap), settings.topics, names.ALERT_SETTINGS, lanes=settings.lanes, view=view
    )
    return follower, view
