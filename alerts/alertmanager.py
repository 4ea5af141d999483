"""Alertmanager's configuration (0.25 or newer): who is told, grouped how, how often, and what follows from what.

Where secrets are needed a file is named, never a value: put it there and reload. What names no file works as it is.
"""

from collections.abc import Sequence
from typing import Final

from alerts import plain_yaml
from alerts.catalogue import ALL
from alerts.inhibition import ALL as INHIBITIONS
from processors.alerting.rule import Rule, Severity

SECRETS: Final = "/etc/alertmanager/secrets"
GROUP_WAIT: Final = "5s"
"""Long enough that what begins together is told together, and short enough to be told within a minute."""
GROUP_INTERVAL: Final = "30s"
REPEAT: Final = {Severity.CRITICAL: "1h", Severity.WARNING: "4h", Severity.INFO: "24h"}
BEAT_SECONDS: Final = 60
"""How often a dead man's switch is told that alerting works."""
_HEAD: Final = f"""Who is told of Hopline's alerts: written by `python -m alerts write`. A start, to be changed for
your people: copy it, and give your copy to Alertmanager. `amtool check-config` says whether it holds.

The files below {SECRETS}/ are yours: slack-url holds the address of a Slack webhook, pagerduty-key the
routing key of a PagerDuty service. A receiver whose file is missing logs an error each time and tells nobody; take
out of your copy what you do not use. Another channel for all: `hopline alerts` and docs/channels.md."""


def config() -> str:
    """Return the whole file."""
    return plain_yaml.dump(
        {
            "route": {
                "receiver": "people",
                "group_by": ["alertname", "severity"],
                "group_wait": GROUP_WAIT,
                "group_interval": GROUP_INTERVAL,
                "repeat_interval": REPEAT[Severity.WARNING],
                "routes": _routes(),
            },
            "inhibit_rules": _inhibitions(),
            "receivers": _receivers(),
        },
        head=_HEAD,
    )


def _routes() -> list[plain_yaml.Value]:
    """Return the ways, the first that fits counts: the beat, cooldowns, then each severity's."""
    beat: dict[str, plain_yaml.Value] = {
        "receiver": "beat",
        "matchers": ['alertname="Watchdog"'],
        "group_wait": "0s",
        "group_interval": f"{BEAT_SECONDS}s",
        "repeat_interval": f"{BEAT_SECONDS}s",
    }
    return [beat, *(_cooling(rule) for rule in ALL if rule.cooldown_seconds), *(_of(severity) for severity in Severity)]


def _cooling(rule: Rule) -> plain_yaml.Value:
    """Return a rule's own way: a group that was told of is looked at again no sooner than this."""
    return {
        "receiver": _receiver(rule.severity),
        "matchers": [f'alertname="{rule.name}"'],
        "group_interval": f"{rule.cooldown_seconds}s",
        "repeat_interval": REPEAT[rule.severity],
    }


def _of(severity: Severity) -> plain_yaml.Value:
    return {
        "receiver": _receiver(severity),
        "matchers": [f'severity="{severity.value}"'],
        "repeat_interval": REPEAT[severity],
    }


def _receiver(severity: Severity) -> str:
    return {Severity.CRITICAL: "people-now", Severity.WARNING: "people", Severity.INFO: "nobody"}[severity]


def _inhibitions() -> Sequence[plain_yaml.Value]:
    found: list[plain_yaml.Value] = []
    for each in INHIBITIONS:
        rule: dict[str, plain_yaml.Value] = {
            "source_matchers": [f'alertname="{each.cause}"'],
            "target_matchers": [f'alertname=~"{"|".join(each.silenced)}"'],
        }
        if each.equal:
            rule["equal"] = list(each.equal)
        found.append(rule)
    return found


def _receivers() -> Sequence[plain_yaml.Value]:
    slack: dict[str, plain_yaml.Value] = {
        "api_url_file": f"{SECRETS}/slack-url",
        "send_resolved": True,
        "title": "{{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }} ({{ .Alerts.Firing | len }})",
        "text": "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
        "{{ .Annotations.runbook_url }}\n{{ end }}",
    }
    pagerduty: dict[str, plain_yaml.Value] = {
        "routing_key_file": f"{SECRETS}/pagerduty-key",
        "send_resolved": True,
        "severity": "{{ .CommonLabels.severity }}",
        "description": "{{ .CommonAnnotations.summary }}",
    }
    return [
        {"name": "nobody"},
        # Give it the webhook of a dead man's switch, which tells people when it hears nothing.
        {"name": "beat"},
        {"name": "people", "slack_configs": [slack]},
        {"name": "people-now", "slack_configs": [slack], "pagerduty_configs": [pagerduty]},
    ]
