"""An integration in state: public settings as they are, secrets sealed. The core carries those and opens none."""

import re
from typing import Any, Final

import msgspec

from processors.directives.record import HOP
from processors.state import value_key
from processors.step import Step

INTEGRATIONS_MAX: Final = 100
"""Of one tenant."""
FIELDS_MAX: Final = 32
"""Secrets of one integration."""
SETTINGS_BYTES_MAX: Final = 8_192
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""Of an integration, and of a secret's field."""
SEALED: Final = re.compile(r"s1\.([0-9a-f]{16})\.([A-Za-z0-9_-]{38,12000})")
"""Version, which of the tenant's data keys, nonce and what AES-GCM made of the secret in base64url."""


class Sealed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One secret, and when it was set."""

    text: str
    set_ms: int

    @property
    def data_key(self) -> str:
        """Which data key opens it."""
        return self.text.split(".")[1]


class Integration(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a tenant has set for one thing that it works with."""

    name: str
    settings: dict[str, Any]
    secrets: dict[str, Sealed]
    changed_ms: int
    version: int = 1

    def shown(self) -> dict[str, Any]:
        """Return it as people and the audit see it: of a secret only that it is there, and since when."""
        secrets = {field: {"sealed_with": one.data_key, "set_ms": one.set_ms} for field, one in self.secrets.items()}
        return {"name": self.name, "settings": self.settings, "secrets": secrets, "changed_ms": self.changed_ms}


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Integration).decode


def integrations_prefix(tenant: str) -> bytes:
    """Return what the keys of a tenant's integrations begin with."""
    return value_key(tenant, HOP, b"integration/")


def integration_key(tenant: str, name: str) -> bytes:
    """Return where an integration stands."""
    return integrations_prefix(tenant) + name.encode()


def unpack_integration(packed: bytes) -> Integration:
    """Read an integration."""
    return _decode(packed)


def integration_of(step: Step, tenant: str, name: str) -> Integration | None:
    """Return an integration; None if there is none."""
    packed = step.overlay.get(integration_key(tenant, name))
    return None if packed is None else _decode(packed)


def integrations_of(step: Step, tenant: str) -> list[Integration]:
    """Return all of a tenant's integrations, by name."""
    found = step.overlay.scan(integrations_prefix(tenant), INTEGRATIONS_MAX + 1)
    return [_decode(packed) for _, packed in found]


def put(step: Step, tenant: str, integration: Integration) -> None:
    """Keep an integration."""
    step.overlay.put(integration_key(tenant, integration.name), _encode(integration))


def drop(step: Step, tenant: str, name: str) -> None:
    """Forget an integration."""
    step.overlay.put(integration_key(tenant, name), None)
