"""A record of any topic as it is shown to people and programs: where it stands, whose it is, what it holds."""

import json
from typing import Any, Final

from processors import journal
from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Record
from processors.vocabulary.signal import attributes, data_of
from processors.vocabulary.timestamps import rfc3339

SHOWN_CHARACTERS_MAX: Final = 300
_SIGNALS: Final = frozenset({topics.SIGNALS, topics.SIGNALS_IN, topics.COMMANDS, topics.DEAD_LETTERS})
_DEAD: Final = {
    "reason": names.DEAD_REASON,
    "hop": names.DEAD_HOP,
    "from_topic": names.DEAD_TOPIC,
    "from_lane": names.DEAD_PARTITION,
    "from_offset": names.DEAD_OFFSET,
    "tenant": names.DEAD_TENANT,
    "stack": names.DEAD_STACK,
}


def described(topic: str, record: Record) -> dict[str, Any]:
    """Return a record as it is shown: where it stands, whose it is, what it holds."""
    shown: dict[str, Any] = {
        "topic": topic,
        "lane": record.partition,
        "offset": record.offset,
        "written": rfc3339(record.timestamp),
    }
    headers = {name: value.decode(errors="replace") for name, value in record.headers if value is not None}
    if topic == topics.DEAD_LETTERS:
        shown |= {name: headers.get(header, "") for name, header in _DEAD.items()}
        shown["problems"] = json.loads(headers.get(names.DEAD_PROBLEMS, "[]"))
    if topic == topics.JOURNAL:
        return shown | _entry(record.value or b"")
    if topic in _SIGNALS:
        shown |= _event(record, dead=topic == topics.DEAD_LETTERS)
    else:
        shown["key"] = repr(record.key)[2:-1]
        shown["bytes"] = None if record.value is None else len(record.value)
    return shown


def _entry(value: bytes) -> dict[str, Any]:
    entry = journal.unpack(value)
    if entry is None:
        return {"unreadable": "of another format version"}
    return {"sequence": entry.sequence, "now": rfc3339(entry.now_ms), "ranges": entry.ranges, "ticked": entry.ticked}


def _event(record: Record, *, dead: bool) -> dict[str, Any]:
    signal = envelope.decode(record, reserved_ok=True)
    if isinstance(signal, Rejected):
        text = (record.value or b"").decode(errors="replace")
        found: dict[str, Any] = {"value": text[:SHOWN_CHARACTERS_MAX]}
        if not dead:
            found["unreadable"] = signal.reason.value
        return found
    data = data_of(signal)
    shown = attributes(signal)
    tenant = shown.pop("tenantid")
    return {"tenant": tenant, **shown, "data": None if data is None else _readable(data)}


def _readable(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
