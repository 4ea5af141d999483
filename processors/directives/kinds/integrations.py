"""`hopline.integration.set|delete`, `hopline.secrets.erase`: what a tenant works with; senders seal its secrets."""

from typing import Any, Final

import msgspec

from processors.directives import integrations
from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.directives.integrations import (
    FIELDS_MAX,
    INTEGRATIONS_MAX,
    NAME,
    SEALED,
    SETTINGS_BYTES_MAX,
    Integration,
    Sealed,
)
from processors.ingest.tenant import Status
from processors.vocabulary.permissions import INTEGRATION_WRITE
from processors.vocabulary.reasons import Problem

INTEGRATION_SET: Final = "hopline.integration.set"
INTEGRATION_DELETE: Final = "hopline.integration.delete"
SECRETS_ERASE: Final = "hopline.secrets.erase"
_NAMED: Final = "must be small letters, digits, dots, dashes and underscores, at most 63, a letter or digit first"


class SetIntegration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings replace those that are there; of the secrets only those change that are named."""

    name: str
    settings: dict[str, Any] | None = None
    secrets: dict[str, str] = {}
    """By field: sealed. One in clear is rejected, but then it has been on a topic: take it for leaked."""
    remove: tuple[str, ...] = ()
    """Secrets that are to go."""


class DeleteIntegration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one."""

    name: str


class EraseSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for who reads the audit."""

    reason: str = ""


def _judge(wanted: SetIntegration) -> tuple[Problem, ...]:
    """Nothing that is said here repeats a value."""
    problems = []
    if not NAME.fullmatch(wanted.name):
        problems.append(Problem("data.name", _NAMED))
    if len(msgspec.json.encode(wanted.settings)) > SETTINGS_BYTES_MAX:
        problems.append(Problem("data.settings", f"are more than {SETTINGS_BYTES_MAX} bytes"))
    for at, (field, text) in enumerate(wanted.secrets.items()):
        # Not by its name unless that is one: it may be the secret, put in the wrong place.
        named = NAME.fullmatch(field) is not None
        if not named:
            problems.append(Problem(f"data.secrets[{at}]", f"has no name: it {_NAMED}"))
        if not SEALED.fullmatch(text):
            place = f"data.secrets.{field}" if named else f"data.secrets[{at}]"
            problems.append(Problem(place, "is not sealed; `hopline integrations set` seals it"))
    if wanted.secrets.keys() & set(wanted.remove):
        problems.append(Problem("data.remove", "names a secret that is set as well"))
    return tuple(problems)


def _set(place: Place, wanted: SetIntegration) -> Applied:
    if place.require().status is Status.DELETED:
        message = f"tenant {place.tenant!r} is deleted; hopline.tenant.create makes it anew"
        raise RefusedError(message)
    step, tenant = place.step, place.tenant
    before = integrations.integration_of(step, tenant, wanted.name)
    if before is None and len(integrations.integrations_of(step, tenant)) >= INTEGRATIONS_MAX:
        message = f"tenant {tenant!r} has {INTEGRATIONS_MAX} integrations already; delete some"
        raise RefusedError(message)
    secrets = {} if before is None else dict(before.secrets)
    for field in wanted.remove:
        secrets.pop(field, None)
    secrets |= {field: Sealed(text, step.now_ms) for field, text in wanted.secrets.items()}
    if len(secrets) > FIELDS_MAX:
        message = f"integration {wanted.name!r} would have {len(secrets)} secrets, {FIELDS_MAX} are the limit"
        raise RefusedError(message)
    settings = wanted.settings
    if settings is None:
        settings = {} if before is None else before.settings
    after = Integration(wanted.name, settings, secrets, step.now_ms)
    integrations.put(step, tenant, after)
    return Applied(None if before is None else before.shown(), after.shown())


def _delete(place: Place, wanted: DeleteIntegration) -> Applied:
    before = integrations.integration_of(place.step, place.tenant, wanted.name)
    if before is None:
        message = f"tenant {place.tenant!r} has no such integration; `hopline integrations list` has them"
        raise RefusedError(message)
    integrations.drop(place.step, place.tenant, wanted.name)
    return Applied(before.shown(), None)


def _erase(place: Place, _: EraseSecrets) -> Applied:
    """Take the sealed secrets out of state. That nobody opens the copies is done by destroying the data keys."""
    found = [one for one in integrations.integrations_of(place.step, place.tenant) if one.secrets]
    after = [Integration(one.name, one.settings, {}, place.step.now_ms) for one in found]
    for one in after:
        integrations.put(place.step, place.tenant, one)
    return Applied([one.shown() for one in found], [one.shown() for one in after])


DEFINITIONS: Final[tuple[Definition[Any], ...]] = (
    Definition(
        INTEGRATION_SET, "set an integration, its secrets sealed", INTEGRATION_WRITE, SetIntegration, _set, _judge
    ),
    Definition(INTEGRATION_DELETE, "delete an integration", INTEGRATION_WRITE, DeleteIntegration, _delete),
    Definition(SECRETS_ERASE, "forget all of a tenant's secrets", INTEGRATION_WRITE, EraseSecrets, _erase),
)
