"""`hopline.alert.silence|unsilence`: tell nobody of an alert for a while; judged and shown it is all the same."""

from typing import Any, Final

import msgspec

from processors.alerting.settings import (
    LABEL_NAME_CHARACTERS_MAX,
    LABEL_VALUE_CHARACTERS_MAX,
    LABELS_MAX,
    SILENCE_MS_MAX,
    SILENCES_MAX,
    WHY_CHARACTERS_MAX,
    Silence,
    is_label,
    is_pattern,
    matches,
    tenant_of,
)
from processors.directives import alerting
from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.ingest.tenant import Status
from processors.vocabulary.ids import derived_id
from processors.vocabulary.permissions import ALERT_WRITE
from processors.vocabulary.reasons import Problem
from processors.vocabulary.rules import SYSTEM
from processors.vocabulary.timestamps import is_time, milliseconds

SILENCE: Final = "hopline.alert.silence"
UNSILENCE: Final = "hopline.alert.unsilence"
MINUTES_MAX: Final = SILENCE_MS_MAX // 60_000
_ID_CHARACTERS: Final = 12


class SilenceAlerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which, why, and for how long: `minutes` from when it is carried out, or `until` a time, one of the two."""

    alert: str
    """A name, the beginning of one with `*` behind it, or `*`."""
    why: str
    minutes: float | None = None
    until: str = ""
    """RFC 3339."""
    labels: dict[str, str] = {}
    """Those that an alert must have to be silenced."""


class EndSilence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one."""

    id: str


def _judge(wanted: SilenceAlerts) -> tuple[Problem, ...]:
    problems = []
    if not is_pattern(wanted.alert):
        problems.append(Problem("data.alert", "must be an alert's name, the beginning of one and *, or *"))
    if not wanted.why.strip() or len(wanted.why) > WHY_CHARACTERS_MAX:
        problems.append(Problem("data.why", f"must say why, in at most {WHY_CHARACTERS_MAX} characters"))
    if (wanted.minutes is None) == (not wanted.until):
        problems.append(Problem("data.minutes", "or data.until must be there, one of the two"))
    # Written so that a NaN is out of bounds, too.
    if wanted.minutes is not None and not 0 < wanted.minutes <= MINUTES_MAX:
        problems.append(Problem("data.minutes", f"must be above 0, up to {MINUTES_MAX}"))
    if wanted.until and not is_time(wanted.until):
        problems.append(Problem("data.until", "must be a time as 2026-11-21T10:00:00Z"))
    return (*problems, *_problems_of_labels(wanted.labels))


def _problems_of_labels(labels: dict[str, str]) -> tuple[Problem, ...]:
    if len(labels) > LABELS_MAX:
        return (Problem("data.labels", f"are more than {LABELS_MAX}"),)
    if not all(is_label(name) for name in labels):
        wanted = f"letters, digits and underscores, at most {LABEL_NAME_CHARACTERS_MAX}, no digit first"
        return (Problem("data.labels", f"must be named by {wanted}"),)
    if any(len(value) > LABEL_VALUE_CHARACTERS_MAX for value in labels.values()):
        return (Problem("data.labels", f"must have values of at most {LABEL_VALUE_CHARACTERS_MAX} characters"),)
    return ()


def silence_id(cause: str) -> str:
    """Return the id of the silence that the event with this id asks for."""
    return derived_id(cause, "silence")[:_ID_CHARACTERS]


def _silence(place: Place, wanted: SilenceAlerts) -> Applied:
    step, tenant = place.step, place.tenant
    if tenant != SYSTEM and place.require().status is Status.DELETED:
        message = f"tenant {tenant!r} is deleted; hopline.tenant.create makes it anew"
        raise RefusedError(message)
    if not any(matches(wanted.alert, name) for name in place.alerts):
        message = f"there is no alert {wanted.alert!r}; `hopline alerts threshold` lists them"
        raise RefusedError(message)
    until_ms = milliseconds(wanted.until) if wanted.until else step.now_ms + round((wanted.minutes or 0) * 60_000)
    if not step.now_ms < until_ms <= step.now_ms + SILENCE_MS_MAX:
        message = f"data.until must be in the future, by at most {MINUTES_MAX} minutes"
        raise RefusedError(message)
    if not alerting.make_room(step, tenant):
        message = f"{SILENCES_MAX} silences of tenant {tenant!r} hold, which is the limit; end some"
        raise RefusedError(message)
    by = alerting.signed(place.requester)
    id_ = silence_id(place.cause)
    labels = dict(wanted.labels)
    silence = Silence(id_, wanted.alert, tenant_of(tenant), until_ms, wanted.why, step.now_ms, by, labels)
    alerting.put(step, tenant, silence)
    return Applied(None, silence)


def _end(place: Place, wanted: EndSilence) -> Applied:
    silence = alerting.silence_of(place.step, place.tenant, wanted.id)
    if silence is None:
        message = f"tenant {place.tenant!r} has no silence {wanted.id[:100]!r} that holds; `hopline alerts silences`"
        raise RefusedError(message)
    alerting.drop(place.step, place.tenant, silence.key)
    return Applied(silence, None)


DEFINITIONS: Final[tuple[Definition[Any], ...]] = (
    Definition(
        SILENCE, "tell nobody of an alert for a while", ALERT_WRITE, SilenceAlerts, _silence, _judge, for_system=True
    ),
    Definition(UNSILENCE, "end a silence before its time", ALERT_WRITE, EndSilence, _end, for_system=True),
)
