"""`hopline alerts`: which alerts wait or are raised, what changed before, and what other thresholds would have done."""

import math
from collections.abc import Sequence
from typing import Any, Final

import click

from processors.alerting.rule import Rule
from streams import alert_rules
from streams.cli.access import access, loaded, run
from streams.cli.alert_asking import COMMANDS
from streams.cli.errors import FAILED, MISUSED, CommandError
from streams.cli.moments import moment_or_ago_ms
from streams.cli.output import json_option, moment, print_json, print_table
from streams.cli.watch_asking import ask_watch
from streams.watch.backtest import Raised, Trial, backtest
from streams.watch.history import history_of
from streams.watch.words import plain

_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LIST: Final = ("SEVERITY", "ALERT", "STATE", "SINCE", "VALUE", "THRESHOLD", "LABELS", "SUMMARY")
_HISTORY: Final = ("AT", "SEVERITY", "ALERT", "FROM", "TO", "VALUE", "THRESHOLD", "LABELS")
_TRIAL: Final = ("RAISED", "CLEARED", "LASTED", "SEVERITY", "ALERT", "VALUE", "THRESHOLD", "LABELS")
TENANT: Final = "tenant"
DIGITS_MAX: Final = 7


@click.group()
def alerts() -> None:
    """See alerts and their past, silence them, move their thresholds, and try thresholds on the past."""


@alerts.command("list")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--all", "everything", is_flag=True, help="Also those that wait for their time, and the heartbeat.")
@json_option
def list_(*, tenant: str | None, everything: bool, as_json: bool) -> None:
    """Show the alerts that are raised now. Exit code 0, also if there are some."""
    asked = {} if tenant is None else {TENANT: tenant}
    found = run(ask_watch(loaded().settings, "/v1/alerts", **asked))
    shown = [alert for alert in found["alerts"] if everything or _is_raised(alert)]
    if as_json:
        print_json({**found, "alerts": shown})
        return
    if not shown:
        click.echo("no alert is raised")
        return
    print_table(_LIST, [_row(alert) for alert in shown])


@alerts.command()
@click.option("--since", default="24h", show_default=True, help="How far back: 30m, 24h, 7d; or an RFC 3339 time.")
@click.option("--alert", default=None, help="Only this one.")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="The newest so many.")
@json_option
def history(*, since: str, alert: str | None, tenant: str | None, limit: int, as_json: bool) -> None:
    """Show the changes of alerts, oldest first, from the topic `alerts`: no watch needs to run."""
    since_ms = moment_or_ago_ms("--since", since) or 0
    at = access()
    found = run(history_of(at.settings, at.kafka, since_ms=since_ms, limit=limit, alert=alert, tenant=tenant))
    if as_json:
        print_json({"since_ms": since_ms, "changes": [plain(change) for change in found]})
        return
    if not found:
        click.echo("no alert has changed in that time")
        return
    print_table(
        _HISTORY,
        [
            (moment(one.at_ms), one.severity, one.alert, one.from_, one.to, *_numbers(one.value, one.threshold),
             _labels(one.labels))
            for one in found
        ],
    )  # fmt: skip


@alerts.command("backtest")
@click.option("--from", "start", default="1h", show_default=True, help="Begin: 30m, 24h ago, or an RFC 3339 time.")
@click.option("--to", "end", default="0s", show_default=True, help="End, likewise.")
@click.option("--step", default="2s", show_default=True, help="How often the rules are judged: 2s, 1m.")
@click.option(
    "--threshold",
    "moved",
    multiple=True,
    metavar="ALERT[:TENANT]=VALUE",
    help="Judge with this threshold instead of the one in force; may be given often.",
)
@click.option("--alert", "only", multiple=True, help="Judge this rule only; may be given often.")
@json_option
def backtest_(*, start: str, end: str, step: str, moved: Sequence[str], only: Sequence[str], as_json: bool) -> None:
    """Judge the rules over the samples that the topic `metrics` holds, and show what would have been raised when.

    Nothing is told and nothing is changed. Exit code 0, also if alerts would have been raised.
    """
    from_ms, to_ms = moment_or_ago_ms("--from", start) or 0, moment_or_ago_ms("--to", end) or 0
    if to_ms <= from_ms:
        raise CommandError("--to is not after --from", "give a begin that lies before the end", code=MISUSED)
    step_ms, rules = _span_ms(step, "--step"), _rules(only)
    thresholds = [_threshold(text) for text in moved]
    at = access()
    trial = run(
        backtest(
            at.settings,
            at.kafka,
            Trial(rules, from_ms, to_ms, step_ms, tuple(thresholds)),
        )
    )
    if as_json:
        print_json({
            "from_ms": from_ms, "to_ms": to_ms, "samples": trial.samples, "checks": trial.checks,
            "raised": [_raised(one) for one in trial.raised], "failed": list(trial.failed),
        })  # fmt: skip
        return
    click.echo(f"{trial.samples} samples, {trial.checks} checks from {moment(from_ms)} to {moment(to_ms)}")
    for name in trial.failed:
        click.echo(f"{name} could not be judged at times: too little was there, or too much")
    if not trial.samples:
        raise CommandError(
            "the topic has no samples of that time",
            "choose a later time; samples are kept for three days, and told while HOPLINE_TELEMETRY is on",
            code=FAILED,
        )
    if not trial.raised:
        click.echo("no alert would have been raised")
        return
    print_table(_TRIAL, [_trial_row(one) for one in trial.raised])


for _command in COMMANDS:
    alerts.add_command(_command)


def _is_raised(alert: dict[str, Any]) -> bool:
    return bool(alert["state"] == "firing" and alert["severity"] != "info")


def _row(alert: dict[str, Any]) -> Sequence[object]:
    state = f"{alert['state']}, silenced" if alert["silenced"] else alert["state"]
    numbers = _numbers(alert["value"], alert["threshold"])
    labels = _labels(alert["labels"])
    return (alert["severity"], alert["alert"], state, moment(alert["since_ms"]), *numbers, labels, alert["summary"])


def _trial_row(one: Raised) -> Sequence[object]:
    lasted = "" if one.cleared_ms is None else f"{(one.cleared_ms - one.raised_ms) / 1_000:g} s"
    cleared = "not within this time" if one.cleared_ms is None else moment(one.cleared_ms)
    numbers = _numbers(one.value, one.threshold)
    return (moment(one.raised_ms), cleared, lasted, one.severity, one.alert, *numbers, _labels(one.labels))


def _raised(one: Raised) -> dict[str, Any]:
    return {
        "alert": one.alert,
        "severity": one.severity,
        "labels": dict(one.labels),
        "raised_ms": one.raised_ms,
        "cleared_ms": one.cleared_ms,
        "value": one.value,
        "threshold": one.threshold,
    }


def _numbers(*values: float | None) -> list[str]:
    return ["" if value is None else f"{value:.6g}" for value in values]


def _labels(labels: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _rules(only: Sequence[str]) -> tuple[Rule, ...]:
    known = {rule.name: rule for rule in alert_rules.rules()}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise CommandError(f"there is no alert {unknown[0]!r}", f"there are {', '.join(sorted(known))}", code=MISUSED)
    return tuple(known[name] for name in known if not only or name in only)


def _threshold(text: str) -> tuple[str, str, float]:
    """Return the alert, the tenant (empty: all) and the value that `ALERT[:TENANT]=VALUE` says."""
    named, equals, number = text.rpartition("=")
    alert, _, tenant = named.partition(":")
    known = {name: threshold for name, threshold in alert_rules.thresholds().items() if threshold is not None}
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not equals or not math.isfinite(value):
        raise CommandError(f"--threshold {text!r} is none", "write it as LagHigh=5 or as LagHigh:acme=5", code=MISUSED)
    if alert not in known:
        raise CommandError(
            f"there is no alert {alert!r} with a threshold", f"there are {', '.join(sorted(known))}", code=MISUSED
        )
    if tenant and not known[alert].per_tenant:
        raise CommandError(f"{alert} has one threshold for all", f"write it as {alert}={number}", code=MISUSED)
    return alert, tenant, value


def _span_ms(text: str, option: str) -> int:
    number, unit = text[:-1], text[-1:]
    count = int(number) if number.isascii() and number.isdigit() and len(number) <= DIGITS_MAX else 0
    if not count or unit not in _UNITS_MS:
        raise CommandError(f"{option} {text!r} is no time", "write it as 2s, 1m or 1h", code=MISUSED)
    return count * _UNITS_MS[unit]
