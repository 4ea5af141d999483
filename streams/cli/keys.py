"""`hopline keys`: make API keys, see when they were last used, rotate and revoke them; each change is a directive."""

import json
import re
from typing import Any, Final

import click

from processors.admission import Tier
from processors.directives.kinds.key_create import CREATE
from processors.directives.kinds.key_revoke import REVOKE
from processors.directives.kinds.key_rotate import GRACE_SECONDS, ROTATE
from processors.vocabulary.access import TIER, AccessKey
from processors.vocabulary.permissions import EVERYTHING, PERMISSIONS, SIGNAL_WRITE
from processors.vocabulary.rules import SYSTEM
from streams.cli.access import Access, access, run
from streams.cli.asking import ask, require_name, require_payload, require_success
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.clock import wall_ms
from streams.keys import Pepper, new_key, new_prefix, prefix_of
from streams.known_keys import KnownKeys

OPERATOR: Final = "operator"
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_span: Final = re.compile(r"([0-9]{1,7})([smhd])").fullmatch
_LIST: Final = ("KEY", "TENANT", "PERMISSIONS", "STATUS", "CREATED", "EXPIRES", "LAST USED", "LABEL")
_tenant_option: Final = click.option("--tenant", help="Whose; needed only if two tenants have a key of this name.")


@click.group()
def keys() -> None:
    """Make API keys for the gateway, see who uses them, rotate and revoke them."""


@keys.command()
@click.option("--tenant", help="The only tenant that the key speaks for.")
@click.option("--operator", is_flag=True, help="Instead of a tenant: a key that speaks for every tenant.")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    type=click.Choice([*PERMISSIONS, EVERYTHING]),
    help="May be given several times. Default: signal:write, for an operator everything.",
)
@click.option(
    "--tier",
    type=click.Choice([tier.value for tier in Tier]),
    default=TIER,
    show_default=True,
    help="Whose rate limits hold for it.",
)
@click.option("--label", default="", help="What it is for, in words.")
@click.option("--expires", default="", metavar="TIME", help="RFC 3339: good until then. Default: until it is revoked.")
@json_option
def create(
    *,
    tenant: str | None,
    operator: bool,
    permissions: tuple[str, ...],
    tier: str,
    label: str,
    expires: str,
    as_json: bool,
) -> None:
    """Make a key. It is shown once, here; nobody can show it again."""
    if operator == (tenant is not None):
        raise CommandError("whose is the key to be?", "give --tenant NAME or --operator", code=MISUSED)
    if tenant is not None:
        require_name(tenant)
    prefix = new_prefix()
    wanted = {
        "prefix": prefix,
        "permissions": permissions or ((EVERYTHING,) if operator else (SIGNAL_WRITE,)),
        "tier": tier,
        "label": label,
        "expires": expires,
    }
    at = access()
    text = _ask_for_new(at, tenant or SYSTEM, CREATE, prefix, wanted)
    _print_new(text, prefix, tenant or OPERATOR, as_json=as_json)


@keys.command()
@click.argument("key")
@_tenant_option
@click.option(
    "--grace",
    default=f"{GRACE_SECONDS}s",
    show_default=True,
    metavar="TIME",
    help="How long the old secret is still good: 0s, 30m, 24h, 7d.",
)
@json_option
def rotate(*, key: str, tenant: str | None, grace: str, as_json: bool) -> None:
    """Give a key a new secret. It is shown once, here; the old one is good for the grace time."""
    found = _span(grace)
    if found is None:
        raise CommandError(f"--grace {grace!r} is no time", "write it as 0s, 30m, 24h or 7d", code=MISUSED)
    at = access()
    there = _one(at, key, tenant)
    wanted = {"prefix": there.prefix, "grace_seconds": int(found[1]) * _UNITS[found[2]]}
    text = _ask_for_new(at, there.tenant, ROTATE, there.prefix, wanted)
    _print_new(text, there.prefix, _shown_tenant(there.tenant), as_json=as_json)


@keys.command()
@click.argument("key")
@_tenant_option
@json_option
def revoke(*, key: str, tenant: str | None, as_json: bool) -> None:
    """Let a key be good no more, at once and for ever. KEY is its name, as `list` shows it."""
    at = access()
    there = _one(at, key, tenant)
    _ask(at, there.tenant, REVOKE, {"prefix": there.prefix})
    content = {"key": there.prefix, "tenant": _shown_tenant(there.tenant), "status": "revoked"}
    if as_json:
        print_json(content)
    else:
        click.echo(f"key {there.prefix} of {content['tenant']} is revoked")


@keys.command("list")
@click.option("--tenant", help="Only this one's.")
@click.option("--operator", is_flag=True, help="Only operators'.")
@json_option
def list_(*, tenant: str | None, operator: bool, as_json: bool) -> None:
    """List the keys: what they may, whether they are good, when they were last used (to the minute)."""
    wanted = SYSTEM if operator else tenant
    found, used = run(_read(access()))
    now_ms = wall_ms()
    rows = [
        _shown(key, used.get(key.name, 0), now_ms)
        for key in sorted(found, key=lambda key: (key.tenant, key.created_ms))
        if wanted in {None, key.tenant}
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        _LIST,
        [
            (
                row["key"],
                row["tenant"],
                " ".join(row["permissions"]),
                row["status"],
                row["created"],
                row["expires"],
                row["last_used"] or "never",
                row["label"],
            )
            for row in rows
        ],
    )


async def _read(at: Access) -> tuple[list[AccessKey], dict[bytes, int]]:
    found = KnownKeys(at.kafka, at.topics, at.lanes)
    return await found.keys(), await found.last_used_ms()


def _one(at: Access, name: str, tenant: str | None) -> AccessKey:
    """Return the key of a name; who gives a whole key means its name."""
    prefix = prefix_of(name) or name
    found = [key for key in run(_read(at))[0] if key.prefix == prefix and tenant in {None, _shown_tenant(key.tenant)}]
    if not found:
        raise CommandError(f"there is no key {prefix[:40]!r}", "`hopline keys list` lists them")
    if len(found) > 1:
        whose = ", ".join(_shown_tenant(key.tenant) for key in found)
        raise CommandError(f"several tenants have a key {prefix!r}: {whose}", "give --tenant", code=MISUSED)
    return found[0]


def _ask_for_new(at: Access, tenant: str, name: str, prefix: str, wanted: dict[str, Any]) -> str:
    """Make a secret, ask for the directive that puts its hash in force, and return the key."""
    text = new_key(prefix)
    _ask(at, tenant, name, {**wanted, "hash": Pepper.of(at.settings).hash(text)})
    return text


def _ask(at: Access, tenant: str, name: str, wanted: dict[str, Any]) -> None:
    """Refuse at once what the pipeline would refuse later; else ask for it, and see it succeed."""
    data = json.dumps(wanted)
    require_payload(name, data)
    require_success(run(ask(at, tenant, name, data)))


def _print_new(text: str, prefix: str, whose: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"secret": text, "key": prefix, "tenant": whose})
        return
    click.echo(text)
    click.echo(
        f"This is the key {prefix} of {whose}, shown this once. Send it as `Authorization: Bearer hop_...`.", err=True
    )


def _shown_tenant(tenant: str) -> str:
    return OPERATOR if tenant == SYSTEM else tenant


def _shown(key: AccessKey, used_ms: int, now_ms: int) -> dict[str, Any]:
    return {
        "key": key.prefix,
        "tenant": _shown_tenant(key.tenant),
        "permissions": list(key.permissions),
        "tier": key.tier,
        "status": key.dead(now_ms) or "good",
        "label": key.label,
        "created": moment(key.created_ms),
        "expires": moment(key.expires_ms),
        "old_secret_until": moment(key.previous_until_ms) if key.previous_until_ms > now_ms else "",
        "revoked": moment(key.revoked_ms),
        "last_used": moment(used_ms),
    }
