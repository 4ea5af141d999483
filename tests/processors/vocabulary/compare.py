"""Hold what Hopline makes of a record against the second opinion, and against itself once it is enriched."""

import base64
import json
from typing import Any, Final

from processors.vocabulary.envelope import decode, enrich
from processors.vocabulary.reasons import EXPLAINED, Reason, Rejected
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Absent, Mode, Signal, attributes, data_of
from tests.processors.vocabulary import oracle

ADDITIONS: Final = {
    "id": 'added "id" \u00e4',
    "time": "2026-11-21T10:11:12.123Z",
    "correlationid": "added-correlation",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-00",
}
BITS: Final = {
    "id": Absent.ID,
    "time": Absent.TIME,
    "correlationid": Absent.CORRELATIONID,
    "traceparent": Absent.TRACEPARENT,
    "tenantid": Absent.TENANTID,
}


_EITHER: Final = {Reason.NOT_JSON, Reason.TOO_DEEP, Reason.NOT_UTF8}
"""What is no JSON has no depth, and may look like another encoding: any of these is right."""


def disagreement(record: PlainRecord) -> str:
    """Return where the two opinions differ, or nothing."""
    expected = oracle.judge(record)
    found = decode(record)
    if isinstance(found, Rejected):
        if found.reason is not expected and {found.reason, expected} <= _EITHER and not _is_json(record.value or b""):
            return ""
        return _of_refusal(expected, found)
    if isinstance(expected, Reason):
        return f"accepted, to be refused as {expected}"
    return _of_signal(expected, found) or _of_enriched(record, expected, found)


def _of_refusal(expected: oracle.Event | Reason, found: Rejected) -> str:
    if found.reason is not expected:
        return f"refused as {found.reason} ({found.problems}), expected {expected}"
    if not found.problems and found.reason is not Reason.NULL_VALUE:
        return "refused without saying what is wrong"
    if any(len(problem.message) + len(problem.field) > 300 for problem in found.problems):
        return "refused with a problem that is not bounded"
    return "" if found.reason in EXPLAINED else "refused for a reason that is not explained"


def _of_signal(expected: oracle.Event, signal: Signal) -> str:
    if signal.tenant != expected.tenant:
        return f"tenant {signal.tenant!r}, expected {expected.tenant!r}"
    for name, text in (("source", signal.source), ("type", signal.type), ("id", signal.id)):
        if text != expected.attributes.get(name, ""):
            return f"{name} {text!r}, expected {expected.attributes.get(name)!r}"
    absent = {name for name, bit in BITS.items() if signal.absent & bit}
    if absent != expected.absent:
        return f"absent {absent}, expected {set(expected.absent)}"
    found = attributes(signal)
    if found != expected.attributes or any(type(found[name]) is not type(expected.attributes[name]) for name in found):
        return f"attributes {found}, expected {expected.attributes}"
    return _of_data(expected, signal)


def _of_data(expected: oracle.Event, signal: Signal) -> str:
    data = data_of(signal)
    if expected.data is ...:
        return "" if data is None else f"data {data!r}, expected none"
    if data is None:
        return "no data"
    if isinstance(expected.data, bytes):
        return "" if data == expected.data else f"data {data!r}, expected {expected.data!r}"
    media_type = str(expected.attributes.get("datacontenttype", "a/json")).partition(";")[0].strip().lower()
    if type(expected.data) is str and media_type[-5:] not in {"/json", "+json"}:
        return "" if data.decode() == expected.data else f"text {data!r}, expected {expected.data!r}"
    if data not in (signal.value or b""):
        return "data is not carried byte for byte"
    return "" if parsed(data) == expected.data else f"data {data!r}, expected {expected.data!r}"


def parsed(data: bytes) -> Any:
    """Return JSON with its numbers and repeated names as they are written."""
    return json.loads(data, object_pairs_hook=oracle.Pairs, parse_int=oracle.Number, parse_float=oracle.Number)


def _of_enriched(record: PlainRecord, expected: oracle.Event, signal: Signal) -> str:
    additions = {name: text for name, text in ADDITIONS.items() if signal.absent & BITS[name]}
    value, headers = enrich(signal, additions)
    if not signal.absent and (value is not record.value or headers != list(record.headers)):
        return "changed although nothing was absent"
    enriched = PlainRecord(record.topic, 0, 0, 0, None, value, headers)
    again = oracle.judge(enriched)
    if isinstance(again, Reason):
        return f"enriched into what is to be refused as {again}: {value!r}"
    if again.attributes != expected.attributes | additions or again.absent:
        return f"enriched to {again.attributes}"
    found = decode(enriched)
    if isinstance(found, Rejected) or found.absent:
        return f"enriched into {found}"
    if found.mode is not signal.mode or data_of(found) != data_of(signal):
        return "enriched with other data"
    kept = [header for header in record.headers if not header[0].startswith("ce_") and header[0] != "content-type"]
    if not set(kept) <= set(headers):
        return "enriched without a header that came"
    if signal.mode is Mode.STRUCTURED and not any(name == "content-type" for name, _ in headers):
        return "enriched without a content type"
    return ""


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def shown(record: PlainRecord) -> str:
    """Return a record so that it can be made again."""
    value = None if record.value is None else base64.b64encode(record.value).decode()
    return json.dumps({"value": value, "key": repr(record.key), "headers": repr(record.headers)})
