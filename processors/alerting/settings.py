"""What was decided about alerts while all runs: thresholds that were moved, and silences; records of `alert-settings`.

Each directive that changes one writes a record into its tenant's lane. Whoever follows the topic knows all of them:
the watch, every worker, `hopline alerts`. Keys name kind, tenant and what it is about, so that a newer one replaces.
"""

import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Final, TypeAlias

import msgspec

from processors.vocabulary.rules import SYSTEM

VERSION: Final = 1
ALL: Final = ""
"""The tenant of what holds for all; the directives for it are the system tenant's."""
PATTERN_CHARACTERS_MAX: Final = 64
ID_CHARACTERS_MAX: Final = 32
LABELS_MAX: Final = 8
LABEL_NAME_CHARACTERS_MAX: Final = 64
LABEL_VALUE_CHARACTERS_MAX: Final = 256
WHY_CHARACTERS_MAX: Final = 500
BY_CHARACTERS_MAX: Final = 256
SILENCES_MAX: Final = 100
"""Of one tenant that are not over."""
SILENCE_MS_MAX: Final = 30 * 24 * 3_600_000
"""What is to be silent for longer is a rule that nobody wants: take it out, or move its threshold."""
KEPT_MAX: Final = 50_000
"""Overrides and silences of all tenants that a reader keeps; what is above is refused and said."""

is_pattern: Final = re.compile(rf"\*|[A-Z][A-Za-z0-9]{{0,{PATTERN_CHARACTERS_MAX - 2}}}\*?").fullmatch
"""An alert's name, the beginning of one with `*` behind it, or `*`."""
is_label: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{LABEL_NAME_CHARACTERS_MAX - 1}}}").fullmatch
_THRESHOLD: Final = b"threshold/"
_SILENCE: Final = b"silence/"


class Override(msgspec.Struct, frozen=True, gc=False):
    """One threshold that was moved."""

    alert: str
    tenant: str
    """Empty: the default of all tenants."""
    value: float
    at_ms: int
    by: str = ""
    v: int = VERSION

    @property
    def key(self) -> bytes:
        """Under which it stands in the topic."""
        return override_key(self.tenant, self.alert)


class Silence(msgspec.Struct, frozen=True):
    """Alerts that nobody is told of until a time. They are judged and shown all the same."""

    id: str
    alert: str
    """See `is_pattern`."""
    tenant: str
    """Empty: of all tenants, and of what belongs to none."""
    until_ms: int
    why: str
    at_ms: int
    by: str = ""
    labels: dict[str, str] = {}
    """Those that an alert must have."""
    v: int = VERSION

    @property
    def key(self) -> bytes:
        """Under which it stands in the topic."""
        return silence_key(self.tenant, self.id)

    def holds(self, alert: str, labels: Mapping[str, str], now_ms: int) -> bool:
        """Tell whether it silences an alert now."""
        if now_ms >= self.until_ms or (self.tenant and labels.get("tenant") != self.tenant):
            return False
        if not matches(self.alert, alert):
            return False
        return all(labels.get(name) == value for name, value in self.labels.items())


Setting: TypeAlias = Override | Silence

_encode: Final = msgspec.json.Encoder().encode
_override: Final = msgspec.json.Decoder(Override).decode
_silence: Final = msgspec.json.Decoder(Silence).decode


class UnreadableSettingError(Exception):
    """A record is none that this version reads; the message says which and why."""


def matches(pattern: str, alert: str) -> bool:
    """Tell whether a silence's pattern means an alert."""
    return alert.startswith(pattern[:-1]) if pattern.endswith("*") else alert == pattern


def tenant_of(directed: str) -> str:
    """Return for whom a setting holds that a directive of this tenant sets."""
    return ALL if directed == SYSTEM else directed


def override_key(tenant: str, alert: str) -> bytes:
    """Return under which key a threshold of a tenant stands in the topic."""
    return b"%b%b\x00%b" % (_THRESHOLD, tenant.encode(), alert.encode())


def silence_key(tenant: str, id_: str) -> bytes:
    """Return under which key a silence stands in the topic."""
    return b"%b%b\x00%b" % (_SILENCE, tenant.encode(), id_.encode())


def pack(setting: Setting) -> bytes:
    """Return the record's value."""
    return _encode(setting)


def unpack(key: bytes, value: bytes) -> Setting:
    """Read a record. Raises `UnreadableSettingError`."""
    try:
        found: Setting = _override(value) if key.startswith(_THRESHOLD) else _silence(value)
    except msgspec.DecodeError as error:
        message = f"{_shown(key)} cannot be read: {error}"
        raise UnreadableSettingError(message) from error
    if found.v > VERSION:
        message = f"{_shown(key)} has format {found.v}; this version reads up to {VERSION}: upgrade it"
        raise UnreadableSettingError(message)
    # JSON has no NaN, but a number can be too large to be one.
    if found.key != key or (isinstance(found, Override) and not isfinite(found.value)):
        message = f"{_shown(key)} holds something else than its key says"
        raise UnreadableSettingError(message)
    return found


def _shown(key: bytes) -> str:
    return ascii(key.decode(errors="replace"))[1:-1][:200]


class AlertSettings:
    """All settings as the topic has them, for whoever follows it. Feed it each record; ask it any time."""

    def __init__(self) -> None:
        self._overrides: dict[bytes, Override] = {}
        self._silences: dict[bytes, Silence] = {}

    def take(self, key: bytes | None, value: bytes | None) -> str:
        """Take over one record; return what is wrong with it, nothing if it was taken."""
        key = key or b""
        if not value:
            self._overrides.pop(key, None)
            self._silences.pop(key, None)
            return ""
        try:
            setting = unpack(key, value)
        except UnreadableSettingError as error:
            return str(error)
        if len(self) >= KEPT_MAX and key not in self._overrides and key not in self._silences:
            return f"{_shown(key)} is one more than {KEPT_MAX}: it is not in force here"
        if isinstance(setting, Override):
            self._overrides[key] = setting
        else:
            self._silences[key] = setting
        return ""

    def __len__(self) -> int:
        """Return how many settings are kept."""
        return len(self._overrides) + len(self._silences)

    def overrides(self) -> Iterator[Override]:
        """Yield the thresholds that were moved."""
        yield from self._overrides.values()

    def override(self, alert: str, tenant: str = ALL) -> Override | None:
        """Return what a tenant's threshold was set to, or the default's of all; None if it was not moved."""
        return self._overrides.get(override_key(tenant, alert))

    def silences(self, now_ms: int) -> Iterator[Silence]:
        """Yield the silences that are not over."""
        return (one for one in self._silences.values() if now_ms < one.until_ms)

    def silenced(self, alert: str, labels: Mapping[str, str], now_ms: int) -> Silence | None:
        """Return the silence that holds longest for an alert now; None if people are to be told of it."""
        found = [one for one in self._silences.values() if one.holds(alert, labels, now_ms)]
        return max(found, key=lambda one: (one.until_ms, one.id), default=None)

    def forget(self, now_ms: int) -> None:
        """Drop the silences that are over: their records stay in the topic until their tenant sets another."""
        for key in [key for key, one in self._silences.items() if one.until_ms <= now_ms]:
            del self._silences[key]
