"""The HTTP binding of CloudEvents: what a request holds, as the value and headers of a Kafka record."""

import re
from collections.abc import Mapping
from typing import Final

from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.record import Header
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX

HTTP_PREFIX: Final = "ce-"
BATCH_TYPE: Final = "application/cloudevents-batch"
_CLOUDEVENTS: Final = "application/cloudevents"
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_ESCAPED: Final = re.compile(r"\\(.)")


def is_batch(content_type: str | None) -> bool:
    """Tell whether a body is a batch, to be given to `decode_batch`."""
    return content_type is not None and content_type.strip().lower().startswith(BATCH_TYPE)


def from_http(
    content_type: str | None, headers: Mapping[str, str], body: bytes
) -> tuple[bytes | None, list[Header]] | Rejected:
    """Return a request as the value and headers of a record, to be judged by `decode`.

    Only `ce-*` headers are taken over, and only in binary mode. A body without bytes and without a content type is no
    data. Headers that the binding forbids are refused here, as the record could not show them.
    """
    content_type = content_type.strip() if content_type else None
    kept: list[Header] = [(CONTENT_TYPE, content_type.encode(errors="replace"))] if content_type else []
    if content_type is not None and content_type.lower().startswith(_CLOUDEVENTS):
        return body, kept
    problems = []
    for header, text in headers.items():
        name = header.lower()
        if not name.startswith(HTTP_PREFIX):
            continue
        try:
            kept.append((PREFIX + name.removeprefix(HTTP_PREFIX), _unescaped(text).encode()))
        except UnicodeError:
            problems.append(Problem(name, "is not UTF-8 once its percent-encoding is undone; encode it anew"))
    if problems:
        return Rejected(Reason.NOT_UTF8, tuple(problems))
    return (body if body or content_type else None), kept


def _unescaped(text: str) -> str:
    """Undo quotes (older producers send them) and one round of percent-encoding."""
    text = text.strip(" \t")
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = _ESCAPED.sub(r"\1", text[1:-1])
    raw = text.encode("utf-8", "surrogateescape")
    return _PERCENT.sub(lambda found: bytes.fromhex(found[1].decode()), raw).decode()
