"""From a record of a topic to a row of history. Pure: the same record gives the same row whenever it is read."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from processors.directives import audit
from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.arrival import Envelope
from processors.vocabulary.enrichment import STRUCTURED_TYPE
from processors.vocabulary.ids import coordinate_id, digest, signal_ref
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Header, PlainRecord, Record
from processors.vocabulary.signal import CONTENT_TYPE, Signal, attributes, data_of

TOPICS: Final = (topics.SIGNALS, topics.DEAD_LETTERS, topics.AUDIT)
"""What history is made of."""
HANDLED: Final = "handled"
DEAD: Final = "dead-lettered"
AUDITED: Final = "audit"
STATUSES: Final = (HANDLED, DEAD, AUDITED)
DATA_BYTES_MAX: Final = 65_536
"""Of one row. The topic holds the whole for as long as its retention says."""
STACK_CHARACTERS_MAX: Final = 8_192
NUMBER_CHARACTERS_MAX: Final = 18
AT_MS_MAX: Final = (1 << 42) - 1
"""What fits into a key beside a row's place (`streams/history/keys.py`): until the year 2109."""
SUM_BYTES: Final = 16

_DEAD_NAMES: Final = frozenset(value for name, value in vars(names).items() if name.startswith("DEAD_"))
_AUDIT_SOURCE: Final = "/hopline/audit"
_decode_event: Final = msgspec.json.Decoder(Envelope).decode
_pack: Final = msgspec.msgpack.Encoder().encode


class Row(NamedTuple):
    """One end of a record: admitted, set aside, or a line of the audit. Never changed once it is written."""

    topic: str
    lane: int
    offset: int
    at_ms: int
    """When it was written: the time that history is sorted by."""
    entered_ms: int
    """When the signal entered the log; 0 where nothing says."""
    origin: str
    """Where it entered: topic and lane/offset, and where it was moved from."""
    tenant: str
    """Empty if nobody can say whose it is: then only operators see it."""
    id: str
    source: str
    type: str
    subject: str
    correlation: str
    cause: str
    time: str
    by: str
    """The hop that made the signal, or who asked for what is audited."""
    status: str
    reason: str
    hop: str
    problems: str
    stack: str
    content_type: str
    data: bytes | None
    cut: int
    """1 if there was more data than a row holds."""

    @property
    def ref(self) -> str:
        """The reference of the signal that it tells of; of what is no signal, one of the record's own."""
        if self.id and self.source:
            return signal_ref(self.tenant, self.source, self.id)
        return coordinate_id(self.topic, self.lane, self.offset)


def row_of(topic: str, record: Record) -> Row:
    """Return the row of a committed record."""
    if topic == topics.SIGNALS:
        return _signal(record)
    if topic == topics.DEAD_LETTERS:
        return _dead(record)
    return _audit(record)


def sum_of(rows: Iterable[Row]) -> tuple[int, int]:
    """Return how many rows there are, and a sum of their digests that no order changes."""
    count = total = 0
    for row in rows:
        count += 1
        total += int.from_bytes(blake2b(_pack(row), digest_size=SUM_BYTES).digest(), "big")
    return count, total % (1 << 8 * SUM_BYTES)


def number_of(*parts: str) -> int:
    """Return 64 bits that stand for the parts, signed as databases have them."""
    return int.from_bytes(digest(*(part.encode() for part in parts))[:8], "big", signed=True)


def _last(record: Record) -> dict[str, bytes]:
    """Return the last header of each name: ours come after what a sender wrote."""
    return {name: value for name, value in record.headers if value is not None}


def _signal(record: Record) -> Row:
    last = _last(record)
    came = last.get(names.CAME, b"").decode(errors="replace").split("/", 2)
    offset, entered, moved = (*came, "", "", "")[:3]
    origin = f"{topics.SIGNALS_IN} {record.partition}/{offset}" if offset else ""
    row = _event(topics.SIGNALS, record, last)
    return row._replace(
        entered_ms=_number(entered),
        origin=f"{origin} from {moved}" if moved else origin,
        by=_text(last.get(names.BY)),
    )


def _dead(record: Record) -> Row:
    last = _last(record)
    kept: list[Header] = [each for each in record.headers if each[0] not in _DEAD_NAMES and each[0] not in names.OURS]
    bare = PlainRecord(
        record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, tuple(kept)
    )
    row = _event(topics.DEAD_LETTERS, bare, _last(bare))
    where = [_text(last.get(name)) for name in (names.DEAD_TOPIC, names.DEAD_PARTITION, names.DEAD_OFFSET)]
    entered = _text(last.get(names.DEAD_TIMESTAMP))
    return row._replace(
        entered_ms=_number(entered),
        origin=f"{where[0]} {where[1]}/{where[2]}",
        # What the hop knew goes before what the record says: it may be the key that lies.
        tenant=_text(last.get(names.DEAD_TENANT)) or row.tenant,
        status=DEAD,
        reason=_text(last.get(names.DEAD_REASON)),
        hop=_text(last.get(names.DEAD_HOP)),
        problems=_text(last.get(names.DEAD_PROBLEMS)),
        stack=_text(last.get(names.DEAD_STACK))[:STACK_CHARACTERS_MAX],
    )


def _audit(record: Record) -> Row:
    line = record.value or b""
    row = _blank(topics.AUDIT, record, line)._replace(status=AUDITED)
    try:
        entry = audit.read(line)
    except (msgspec.DecodeError, UnicodeError):
        return row
    return row._replace(
        tenant=_clean(entry.tenant),
        id=str(entry.sequence),
        source=_AUDIT_SOURCE,
        type=_clean(entry.directive),
        subject=_clean(entry.key),
        by=_clean(entry.requester),
        reason=entry.outcome.value,
    )


def _event(topic: str, record: Record, last: dict[str, bytes]) -> Row:
    """Return the row of a record that holds an event, or at least was meant to."""
    if last.get(CONTENT_TYPE) == STRUCTURED_TYPE and topic == topics.SIGNALS and record.value:
        try:
            event = _decode_event(record.value)
        except (msgspec.DecodeError, UnicodeError):
            pass
        else:
            raw = bytes(event.data)
            if not raw.startswith(b'"') and not event.data_base64:
                return _plain(record, event, raw or None)
    passed = [header for header in record.headers if header[0] not in names.OURS]
    bare = PlainRecord(
        record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, passed
    )
    signal = envelope.decode(bare, reserved_ok=True)
    if isinstance(signal, Rejected):
        # Whose it is nobody can say: the key of what is not well formed may name anybody.
        return _blank(topic, record, record.value)
    return _decoded(topic, record, signal)


def _plain(record: Record, event: Envelope, data: bytes | None) -> Row:
    """The quick way of what the lane wrote itself: its own key says whose it is."""
    tenant = _text(record.key) or event.tenantid
    return _blank(topics.SIGNALS, record, data)._replace(
        tenant=tenant,
        id=_clean(event.id),
        source=_clean(event.source),
        type=_clean(event.type),
        subject=_clean(event.subject),
        correlation=_clean(event.correlationid),
        cause=_clean(event.causationid),
        time=_clean(event.time),
        content_type=_clean(event.datacontenttype),
    )


def _decoded(topic: str, record: Record, signal: Signal) -> Row:
    found = attributes(signal)

    def text(name: str) -> str:
        return _clean(str(found.get(name, "")))

    return _blank(topic, record, data_of(signal))._replace(
        tenant=signal.tenant,
        id=_clean(signal.id),
        source=_clean(signal.source),
        type=_clean(signal.type),
        subject=text("subject"),
        correlation=text("correlationid"),
        cause=text("causationid"),
        time=text("time"),
        content_type=text("datacontenttype"),
    )


def _blank(topic: str, record: Record, data: bytes | None) -> Row:
    return Row(
        topic=topic,
        lane=record.partition,
        offset=record.offset,
        at_ms=min(max(record.timestamp, 0), AT_MS_MAX),
        entered_ms=0,
        origin="",
        tenant="",
        id="",
        source="",
        type="",
        subject="",
        correlation="",
        cause="",
        time="",
        by="",
        status=HANDLED,
        reason="",
        hop="",
        problems="",
        stack="",
        content_type="",
        data=None if data is None else bytes(data[:DATA_BYTES_MAX]),
        cut=int(data is not None and len(data) > DATA_BYTES_MAX),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= NUMBER_CHARACTERS_MAX else 0


def _text(raw: bytes | None) -> str:
    return "" if raw is None else _clean(raw.decode(errors="replace"))


def _clean(text: str) -> str:
    """Return the text without NUL, which PostgreSQL does not take."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text
