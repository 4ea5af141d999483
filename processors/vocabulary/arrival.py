"""A record on its way to becoming a signal: what both content modes need to know, and settle, alike."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from processors.vocabulary import rules
from processors.vocabulary.limits import TENANT_CHARACTERS_MAX
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.record import Headers
from processors.vocabulary.signal import Absent, Mode, Scalar, Signal

KEY_DIFFERS: Final = Rejected(
    Reason.WRONG_KEY,
    (Problem("key", "differs from `tenantid`; key the record by its tenant, or send it without a key"),),
)


ADDABLE: Final[dict[str, int]] = {
    "id": Absent.ID,
    "time": Absent.TIME,
    "correlationid": Absent.CORRELATIONID,
    "traceparent": Absent.TRACEPARENT,
    "tenantid": Absent.TENANTID,
}
"""The attributes that Hopline adds where they are absent."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """What came, and what the caller says about it."""

    value: bytes | None
    headers: Headers
    key: bytes | None
    tenant_default: str | None
    reserved_ok: bool
    absent: int
    """The bits of `Absent` that the headers show."""


class Envelope(msgspec.Struct, gc=False):
    """The attributes that have rules, as text; empty where absent. Decoding into it is faster than into a dict."""

    specversion: str = ""
    id: str = ""
    source: str = ""
    type: str = ""
    time: str = ""
    tenantid: str = ""
    subject: str = ""
    datacontenttype: str = ""
    dataschema: str = ""
    priority: str = ""
    correlationid: str = ""
    causationid: str = ""
    traceparent: str = ""
    tracestate: str = ""
    replayid: str = ""
    retrycount: int | None = None
    data_base64: str = ""
    data: msgspec.Raw = msgspec.Raw()


def tenant_of(tenantid: str, arrival: Arrival) -> str | Rejected:
    """Return whose signal it is: `tenantid`, else the record's key, else the default of the topic."""
    key = arrival.key or None
    if tenantid:
        if not rules.is_tenant(tenantid, reserved_ok=arrival.reserved_ok):
            return rules.invalid([Problem("tenantid", _wrong_tenant(tenantid))])
        return tenantid if key is None or key == tenantid.encode() else KEY_DIFFERS
    if key is not None:
        named = key.decode(errors="replace")
        if rules.is_tenant(named, reserved_ok=arrival.reserved_ok):
            return named
    if arrival.tenant_default is not None:
        return arrival.tenant_default
    if key is not None:
        message = "is missing, and the record's key is no tenant's name either; send `tenantid`"
        return rules.invalid([Problem("tenantid", message)])
    return rules.invalid([Problem("tenantid", "is missing; send the tenant's name, or key the record by it")])


def signal_of(arrival: Arrival, mode: Mode, tenant: str, envelope: Envelope) -> Signal:
    """Return the signal of an envelope that was found right."""
    absent = arrival.absent
    if not envelope.id:
        absent |= Absent.ID
    if not envelope.time:
        absent |= Absent.TIME
    if not envelope.tenantid:
        absent |= Absent.TENANTID
    if not envelope.correlationid:
        absent |= Absent.CORRELATIONID
    traceparent = envelope.traceparent
    if not traceparent:
        # A tracestate belongs to the traceparent that it came with: without one it must not join a new trace.
        absent |= Absent.TRACEPARENT | Absent.UNUSABLE if envelope.tracestate else Absent.TRACEPARENT
    elif not rules.is_traceparent(traceparent):
        absent |= Absent.TRACEPARENT | Absent.UNUSABLE
        traceparent = ""
    return Signal(
        tenant,
        envelope.source,
        envelope.id,
        envelope.type,
        mode,
        arrival.value,
        arrival.headers,
        absent,
        envelope.replayid,
        traceparent,
    )


def conclude(
    arrival: Arrival, mode: Mode, attributes: Mapping[str, Scalar], problems: list[Problem], nulls: AbstractSet[str]
) -> Signal | Rejected:
    """Judge attributes the exact way, field by field: a signal, or all that is wrong.

    `nulls` are attributes that stand there without a value, which means absent.
    """
    tenant = _tenant(attributes.get("tenantid"), arrival)
    found = rules.problems_of(attributes)
    if isinstance(tenant, Rejected):
        if not problems and not found:
            return tenant
        found.extend(tenant.problems)
    # What is said about a field first is why it is not among the attributes: it is not missing as well.
    said = {problem.field for problem in problems}
    problems = [*problems, *(problem for problem in found if problem.field not in said)]
    if problems or isinstance(tenant, Rejected):
        return rules.invalid(problems)
    lone_tracestate = "tracestate" in attributes and "traceparent" not in attributes
    if lone_tracestate or attributes.get("traceparent") == "" or not nulls.isdisjoint(ADDABLE.keys()):
        arrival = msgspec.structs.replace(arrival, absent=arrival.absent | Absent.UNUSABLE)
    texts = {name: str(attributes[name]) for name in _DECISIVE if name in attributes}
    return signal_of(arrival, mode, tenant, msgspec.convert(texts, Envelope))


_DECISIVE: Final = (
    "id",
    "source",
    "type",
    "time",
    "tenantid",
    "correlationid",
    "traceparent",
    "tracestate",
    "replayid",
)


def _tenant(tenantid: Scalar | None, arrival: Arrival) -> str | Rejected:
    if tenantid is None or (tenantid and isinstance(tenantid, str)):
        return tenant_of(tenantid or "", arrival)
    return rules.invalid([Problem("tenantid", "must be a string that is not empty")])


def _wrong_tenant(tenantid: str) -> str:
    if rules.is_tenant(tenantid, reserved_ok=True):
        return "is a name that Hopline keeps for itself (`_...` and `pool:...`); use another one"
    return f"must be 1 to {TENANT_CHARACTERS_MAX} letters, digits or any of _ . : - and not start with a dot"
