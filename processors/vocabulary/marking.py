"""Mark a signal with the replay that it belongs to, and touch nothing else: data and extensions stay byte for byte."""

from typing import Final

import msgspec

from processors.vocabulary import headers as names
from processors.vocabulary.enrichment import enrich
from processors.vocabulary.ids import coordinate_id
from processors.vocabulary.record import Header, Record
from processors.vocabulary.signal import PREFIX, Absent, Mode, Signal, members_of
from processors.vocabulary.timestamps import rfc3339

ATTRIBUTE: Final = "replayid"
_QUOTED: Final = b'"replayid"'
_encode: Final = msgspec.json.Encoder().encode


def marked(signal: Signal, topic: str, record: Record, replay_id: str) -> tuple[bytes | None, list[Header]]:
    """Return value and headers of a signal as part of a replay.

    `record` is where it stood at first: what it left out and the door derives from there is written down, so that it
    keeps its id and its time. Headers of Hopline's own are taken off.
    """
    identity = coordinate_id(topic, record.partition, record.offset)
    derived = {"id": identity, "time": rfc3339(record.timestamp), "correlationid": signal.id or identity}
    # Its trace is the door's matter, which replaces what stands there unusably.
    absent = signal.absent & ~Absent.TRACEPARENT
    value, headers = enrich(msgspec.structs.replace(signal, absent=absent), derived)
    headers = [header for header in headers if header[0] not in names.OURS]
    if signal.mode is Mode.BINARY:
        name = PREFIX + ATTRIBUTE
        return value, [*(header for header in headers if header[0] != name), (name, replay_id.encode())]
    text = value or b"{}"
    if _QUOTED in text:
        members: dict[str, object] = dict(members_of(text))
        if ATTRIBUTE in members:
            return _encode(members | {ATTRIBUTE: replay_id}), headers
    end = text.rindex(b"}")
    return b'%b,"%b":"%b"%b' % (text[:end], ATTRIBUTE.encode(), replay_id.encode(), text[end:]), headers
