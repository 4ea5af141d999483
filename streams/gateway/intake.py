"""From a request's parts to records of `signals.in`, or what is wrong with them. No I/O: clock and ids are given."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import structs
from multidict import MultiMapping

from processors import validation
from processors.vocabulary import envelope, rules, topics
from processors.vocabulary.ids import signal_ref
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.record import Header, Headers, PlainRecord
from processors.vocabulary.signal import CONTENT_TYPE, Absent, Mode, Signal

BATCH_TYPE: Final = "application/cloudevents-batch+json"
_CLOUDEVENTS: Final = "application/cloudevents"
_BINARY_PREFIX: Final = "ce-"
_TRACEPARENT: Final = "traceparent"
_TRACESTATE: Final = "tracestate"
_TRACESTATE_BYTES_MAX: Final = 512
"""As W3C asks vendors to carry at least."""
BATCH: Final = "batch"
_NO_MODE: Final = Rejected(
    Reason.UNSUPPORTED_MODE,
    (
        Problem(
            "content-type",
            "send application/cloudevents+json, application/cloudevents-batch+json, or `ce-` headers beside the data",
        ),
    ),
)

NewId: TypeAlias = Callable[[str, int], str]
"""Gives an id to the event of a tenant at a place in its request."""


class Entry(msgspec.Struct, frozen=True):
    """An event that is well formed, as the record that will carry it. Without a key of its own it has its tenant's."""

    id: str
    tenant: str
    source: str
    value: bytes | None
    headers: list[Header]
    topic: str = topics.SIGNALS_IN
    key: bytes | None = None

    @property
    def ref(self) -> str:
        """What the signal is called in the history, whoever asks."""
        return signal_ref(self.tenant, self.source, self.id)


def mode_of(content_type: str | None, headers: Mapping[str, str]) -> str | Rejected:
    """Return how a request carries its event or events: structured, binary or batch."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == BATCH_TYPE:
        return BATCH
    if media_type.startswith(_CLOUDEVENTS):
        # Other formats than JSON are refused by `decode`, with the right words.
        return _NO_MODE if validation.is_batch(media_type) else Mode.STRUCTURED.value
    if any(name.lower().startswith(_BINARY_PREFIX) for name in headers):
        return Mode.BINARY.value
    return _NO_MODE


def single(
    content_type: str | None, headers: Mapping[str, str], body: bytes, new_id: NewId, tenant: str | None = None
) -> Entry | Rejected:
    """Return the one event of a request, judged as the lane will judge it. `tenant` is whose it is if it names none."""
    if content_type is not None and _TRACEPARENT not in headers and content_type.lower().startswith(_CLOUDEVENTS):
        declared = content_type.strip().encode(errors="replace")
        signal = validation.decode_structured_event(body, declared, tenant)
        return signal if isinstance(signal, Rejected) else _with_id(signal, [(CONTENT_TYPE, declared)], new_id, 0)
    arrived = validation.from_http(content_type, headers, body)
    if isinstance(arrived, Rejected):
        return arrived
    value, kept = arrived
    headers_ = [*kept, *_trace(headers)]
    signal = validation.decode(_record(value, headers_), tenant)
    return signal if isinstance(signal, Rejected) else _with_id(signal, headers_, new_id, 0)


def batch(
    headers: Mapping[str, str], body: bytes, count_max: int, new_id: NewId, tenant: str | None = None
) -> list[Entry | Rejected] | Rejected:
    """Return the events of a batch, each by itself; a refusal if the batch as a whole is none."""
    found = validation.decode_batch(body, count_max=count_max, tenant_default=tenant)
    if isinstance(found, Rejected):
        return found
    trace = list(_trace(headers))
    return [
        item if isinstance(item, Rejected) else _with_id(item, [*item.headers, *trace], new_id, index)
        for index, item in enumerate(found)
    ]


def _with_id(signal: Signal, headers: list[Header], new_id: NewId, index: int) -> Entry | Rejected:
    """Return the event with an id of ours if it came without one."""
    if not signal.absent & Absent.ID:
        return Entry(signal.id, signal.tenant, signal.source, signal.value, headers)
    own = new_id(signal.tenant, index)
    # The id and nothing else: the rest is for the lane to add.
    absent = signal.absent & (Absent.ID | Absent.UNUSABLE)
    value, headers = envelope.enrich(structs.replace(signal, headers=headers, absent=absent), {"id": own})
    # Once more, for the id may have made it too large for the lane.
    judged = validation.decode(_record(value, headers), signal.tenant)
    return judged if isinstance(judged, Rejected) else Entry(own, judged.tenant, judged.source, value, headers)


def _record(value: bytes | None, headers: Headers) -> PlainRecord:
    return PlainRecord(topics.SIGNALS_IN, -1, -1, 0, None, value, headers)


def parent_of(headers: Mapping[str, str]) -> str | None:
    """Return a request's traceparent; None without one, and with several: nobody can say which one is meant."""
    if isinstance(headers, MultiMapping) and len(headers.getall(_TRACEPARENT, ())) > 1:
        return None
    return headers.get(_TRACEPARENT)


def _trace(headers: Mapping[str, str]) -> Iterator[Header]:
    """Yield the request's W3C trace context as headers of the record; what is not one is left out."""
    parent = parent_of(headers)
    if parent is None or not rules.is_traceparent(parent):
        return
    yield _TRACEPARENT, parent.encode()
    state = headers.get(_TRACESTATE, "").encode(errors="replace")
    if 0 < len(state) <= _TRACESTATE_BYTES_MAX:
        yield _TRACESTATE, state
