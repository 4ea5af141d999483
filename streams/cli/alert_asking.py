"""`hopline alerts threshold|silence|unsilence|silences|channels|test`: what people decide about alerts; who is told.

Thresholds and silences are directives, so that they are audited and in force everywhere at the next check. They are
read from the topic `alert-settings`, channels from their file: none of it needs the watch to run.
"""

import json
import re
from typing import Any, Final

import click

from processors.alerting.settings import ALL, AlertSettings
from processors.directives.kinds.alert_silence import SILENCE, UNSILENCE, silence_id
from processors.directives.kinds.alert_threshold import SET_THRESHOLD
from processors.directives.record import Directive
from processors.vocabulary import topics as names
from processors.vocabulary.rules import SYSTEM
from streams import alert_rules
from streams.changelog import newest_everywhere
from streams.channels import Answer, Channels, ChannelsError, load
from streams.cli.access import Access, access, loaded, run
from streams.cli.asking import ask, require_name, require_payload, require_success
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.clock import wall_ms
from streams.metrics import Metrics
from streams.settings import Settings

_UNITS_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_span: Final = re.compile(r"([0-9]{1,7})([smhd])").fullmatch
_THRESHOLDS: Final = ("ALERT", "IN FORCE", "DEFAULT", "FROM", "TO", "UNIT", "TENANT", "SET BY")
_SILENCES: Final = ("ID", "ALERT", "TENANT", "LABELS", "UNTIL", "BY", "WHY")
_CHANNELS: Final = ("CHANNEL", "KIND", "GOES TO", "SEVERITIES", "ALERTS", "TENANTS")
_tenant_option: Final = click.option("--tenant", help="Only this tenant's. Default: of all.")


@click.command()
@click.argument("alert", required=False)
@click.argument("value", required=False, type=float)
@click.option("--tenant", help="For this tenant only, instead of for all.")
@click.option("--reset", is_flag=True, help="Go back to what it was before anybody set it.")
@json_option
def threshold(*, alert: str | None, value: float | None, tenant: str | None, reset: bool, as_json: bool) -> None:
    """Show thresholds; with a VALUE, set one. It is in force at the next check, without a restart."""
    if alert is not None and alert not in alert_rules.thresholds():
        known = ", ".join(sorted(alert_rules.thresholds()))
        raise CommandError(f"there is no alert {alert!r}", f"there are {known}", code=MISUSED)
    if value is None and not reset:
        rows = _thresholds(run(_settings(access())), alert, tenant)
        if as_json:
            print_json(rows)
        else:
            print_table(_THRESHOLDS, [tuple(row.values()) for row in rows])
        return
    if alert is None or (value is not None and reset):
        raise CommandError("what is to be set?", "give ALERT and VALUE, or ALERT and --reset", code=MISUSED)
    _asked(tenant, SET_THRESHOLD, {"alert": alert, "value": None if reset else value})
    rows = _thresholds(run(_settings(access())), alert, tenant)
    if as_json:
        print_json(rows)
        return
    whose = "for all" if tenant is None else f"for {tenant}"
    click.echo(f"{alert} goes back to its default {whose}" if reset else f"{alert} compares with {value:g} {whose}")


@click.command()
@click.argument("alert")
@click.option("--for", "lasts", required=True, metavar="TIME", help="How long: 30m, 2h, 7d.")
@click.option("--why", required=True, help="For who wonders why it is quiet.")
@_tenant_option
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only alerts with it; may be given often.")
@json_option
def silence(*, alert: str, lasts: str, why: str, tenant: str | None, labels: tuple[str, ...], as_json: bool) -> None:
    """Tell nobody of an alert for a while. ALERT is a name, the beginning of one as 'Lag*', or '*'.

    It is judged and shown all the same. If it still fires when the silence ends, that is told.
    """
    found = _span(lasts)
    if found is None:
        raise CommandError(f"--for {lasts!r} is no time", "write it as 30m, 2h or 7d", code=MISUSED)
    wanted: dict[str, Any] = {"alert": alert, "why": why, "minutes": int(found[1]) * _UNITS_SECONDS[found[2]] / 60}
    if labels:
        wanted["labels"] = dict(map(_label, labels))
    directive = _asked(tenant, SILENCE, wanted)
    id_ = silence_id(directive.id)
    if as_json:
        print_json({"id": id_, "alert": alert, "tenant": tenant, "minutes": wanted["minutes"]})
    else:
        whose = "" if tenant is None else f" --tenant {tenant}"
        click.echo(f"silence {id_} holds for {lasts}; `hopline alerts unsilence {id_}{whose}` ends it")


@click.command()
@click.argument("id")
@_tenant_option
@json_option
def unsilence(*, id: str, tenant: str | None, as_json: bool) -> None:  # noqa: A002  # what it is called
    """End a silence before its time."""
    _asked(tenant, UNSILENCE, {"id": id})
    if as_json:
        print_json({"id": id, "tenant": tenant, "status": "ended"})
    else:
        click.echo(f"silence {id} is over")


@click.command()
@_tenant_option
@json_option
def silences(*, tenant: str | None, as_json: bool) -> None:
    """List the silences that hold, those that end first at first."""
    now_ms = wall_ms()
    found = sorted(run(_settings(access())).silences(now_ms), key=lambda one: (one.until_ms, one.id))
    rows = [one for one in found if tenant is None or one.tenant == tenant]
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "alert": one.alert,
                    "tenant": one.tenant or None,
                    "labels": one.labels,
                    "until": moment(one.until_ms),
                    "since": moment(one.at_ms),
                    "by": one.by,
                    "why": one.why,
                }
                for one in rows
            ]
        )
        return
    if not rows:
        click.echo("nothing is silenced")
        return
    print_table(
        _SILENCES,
        [
            (one.id, one.alert, one.tenant or "all", _shown(one.labels), moment(one.until_ms), one.by, one.why)
            for one in rows
        ],
    )


@click.command()
@json_option
def channels(*, as_json: bool) -> None:
    """List the channels that alerts are told to, as their file has them."""
    settings = loaded().settings
    rows = [
        {
            "channel": one.name,
            "kind": one.kind,
            "address": one.sender.address,
            "severities": sorted(severity.value for severity in one.route.severities),
            "alerts": list(one.route.alerts),
            "tenants": sorted(one.route.tenants),
        }
        for one in _loaded(settings)
    ]
    if as_json:
        print_json({"file": settings.channels_file, "channels": rows})
        return
    if not rows:
        click.echo("only the console is told; HOPLINE_CHANNELS_FILE names a file with more (docs/channels.md)")
        return
    shown = [
        (
            row["channel"],
            row["kind"],
            row["address"],
            ", ".join(row["severities"]),
            ", ".join(row["alerts"]),
            ", ".join(row["tenants"]) or "all",
        )
        for row in rows
    ]
    print_table(_CHANNELS, shown)


@click.command("test")
@click.argument("channel")
@json_option
def try_(*, channel: str, as_json: bool) -> None:
    """Send a notice that says it is a test through a channel, and say what came back. Exit code 1 if it failed."""
    answer = run(_tried(loaded().settings, channel))
    if as_json:
        print_json({"channel": channel, "ok": answer.ok, "words": answer.words})
    elif answer.ok:
        click.echo(f"channel {channel} took the test: {answer.words}")
    if not answer.ok:
        raise CommandError(f"channel {channel} did not take the test: {answer.words}", "see docs/channels.md")


COMMANDS: Final = (threshold, silence, unsilence, silences, channels, try_)
"""For the group `hopline alerts`."""


def _asked(tenant: str | None, name: str, wanted: dict[str, Any]) -> Directive:
    """Ask for a directive for a tenant, or for all; wait until it is in force."""
    if tenant is not None:
        require_name(tenant)
    data = json.dumps(wanted)
    require_payload(name, data)
    directive = run(ask(access(), tenant or SYSTEM, name, data))
    require_success(directive)
    return directive


async def _settings(at: Access) -> AlertSettings:
    """Return the thresholds and silences as the topic has them now."""
    found = AlertSettings()
    for key, value in (await newest_everywhere(at.kafka, at.topics, at.lanes, names.ALERT_SETTINGS)).items():
        if problem := found.take(key, value):
            click.echo(f"warning: {problem}", err=True)
    return found


def _thresholds(settings: AlertSettings, alert: str | None, tenant: str | None) -> list[dict[str, Any]]:
    """Return a row for each threshold that holds for all, and one for each that a tenant has of its own."""
    rows = []
    for name, known in sorted(alert_rules.thresholds().items()):
        if known is None or alert not in {None, name}:
            continue
        own = [one for one in settings.overrides() if one.alert == name and one.tenant]
        for one in (settings.override(name), *sorted(own, key=lambda one: one.tenant)):
            whose = ALL if one is None else one.tenant
            if tenant not in {None, whose} and whose != ALL:
                continue
            rows.append(
                {
                    "alert": name,
                    "value": known.default if one is None else one.value,
                    "default": known.default,
                    "least": known.least,
                    "most": known.most,
                    "unit": known.unit,
                    "tenant": whose or "all",
                    "by": "" if one is None else one.by,
                }
            )
    return rows


def _loaded(settings: Settings) -> Any:
    try:
        return load(settings.channels_file, application=settings.application)
    except ChannelsError as error:
        raise CommandError(
            str(error), "mend the file; docs/channels.md has an example of each", code=MISUSED
        ) from error


async def _tried(settings: Settings, name: str) -> Answer:
    found = _loaded(settings)
    chosen = [one for one in found if one.name == name]
    if not chosen:
        there = ", ".join(one.name for one in found) or "none"
        raise CommandError(f"there is no channel {name!r}", f"the file has {there}", code=MISUSED)
    hosted = Channels(chosen, settings=AlertSettings, metrics=Metrics(), cooldown_seconds={})
    try:
        return await hosted.test(name)
    finally:
        await hosted.close()


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"--label {text!r} is none", "write it as hop=ingest", code=MISUSED)
    return name, value


def _shown(labels: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
