"""What a client is told when a request fails: problem details as RFC 9457 has them, with the fields that are wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec

from processors.vocabulary.reasons import EXPLAINED, Problem, Reason, Rejected

CONTENT_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:hopline:problem:"
_STATUS: Final = {
    Reason.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.UNSUPPORTED_MODE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
_DETAIL: Final = {
    **EXPLAINED,
    # The vocabulary's words are for records of Kafka.
    Reason.UNSUPPORTED_MODE: "The content type says neither a CloudEvent in JSON nor a batch of them, and no `ce-` "
    "headers make it one in binary mode.",
}
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request: its status, its kind, and what to do about it."""

    status: HTTPStatus
    kind: str
    title: str
    detail: str
    problems: Sequence[Problem] = ()
    retry_after_ms: int | None = None
    closes: bool = False
    """The body was not read to its end, so the connection cannot be used again."""
    more: Mapping[str, Any] = field(default_factory=dict)

    def members(self) -> dict[str, Any]:
        """Return the members of the problem's JSON object."""
        found: dict[str, Any] = {
            "type": _TYPE + self.kind,
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
            "problems": self.problems,
            **self.more,
        }
        if self.retry_after_ms is not None:
            found["retry_after_ms"] = self.retry_after_ms
        return found

    def body(self) -> bytes:
        """Return the problem as JSON."""
        return _encode(self.members())


def of_rejected(rejected: Rejected) -> Failure:
    """Return the failure of an event that is not one."""
    status = _STATUS.get(rejected.reason, HTTPStatus.BAD_REQUEST)
    return Failure(
        status,
        rejected.reason.value,
        rejected.reason.value.replace("_", " ").capitalize(),
        _DETAIL[rejected.reason],
        rejected.problems,
    )


def too_large(bytes_max: int) -> Failure:
    """Return the failure of a body above the limit."""
    return Failure(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        Reason.TOO_LARGE.value,
        "Too large",
        EXPLAINED[Reason.TOO_LARGE],
        (Problem("body", f"has more than {bytes_max} bytes, which is the limit"),),
        closes=True,
    )


def too_slow(seconds_max: float) -> Failure:
    """Return the failure of a body that did not come in time."""
    return Failure(
        HTTPStatus.REQUEST_TIMEOUT,
        "too_slow",
        "Too slow",
        f"The body did not arrive within {seconds_max:g} s. Send it again.",
        closes=True,
    )


def encoded(encoding: str) -> Failure:
    """Return the failure of a body that is compressed."""
    return Failure(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "content_encoding",
        "Content encoding not supported",
        "Send the body as it is, without a Content-Encoding.",
        (Problem("content-encoding", f"is {encoding!r:.40}; leave it out"),),
        closes=True,
    )


def busy(retry_after_ms: int) -> Failure:
    """Return the failure of a request that came while too much waits for Kafka."""
    return Failure(
        HTTPStatus.TOO_MANY_REQUESTS,
        "busy",
        "Too many events wait",
        "More events wait for Kafka than the gateway keeps. Nothing of this request was written; send it again later.",
        retry_after_ms=retry_after_ms,
    )


def limited(channel: str, retry_after_ms: int) -> Failure:
    """Return the failure of a request above its caller's rate."""
    return Failure(
        HTTPStatus.TOO_MANY_REQUESTS,
        Reason.RATE_LIMITED.value,
        "Rate limited",
        f"More {channel} than this caller may send. Nothing of this request was written; send it again later.",
        retry_after_ms=retry_after_ms,
    )


def cooling(retry_after_ms: int) -> Failure:
    """Return the failure of a request whose caller must wait after too many invalid ones."""
    return Failure(
        HTTPStatus.TOO_MANY_REQUESTS,
        "cool_off",
        "Cooling off",
        "Ten requests of this caller within a minute were invalid, so it must wait. Mend what it sends: the answers to "
        "those requests say what is wrong.",
        retry_after_ms=retry_after_ms,
        closes=True,
    )


def away(why: str, retry_after_ms: int, *, more: Mapping[str, Any] | None = None) -> Failure:
    """Return the failure of a request that Kafka could not take."""
    return Failure(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "kafka_away",
        "Kafka is away",
        why,
        retry_after_ms=retry_after_ms,
        more=more or {},
    )


def foreign_host(host: str) -> Failure:
    """Return the failure of a request that was sent to another name than this machine's own."""
    return Failure(
        HTTPStatus.FORBIDDEN,
        "foreign_host",
        "Host not served",
        "The gateway serves this machine only: call it as localhost or 127.0.0.1.",
        (Problem("host", f"is {host!r:.80}"),),
        closes=True,
    )


def plain(status: int, detail: str) -> Failure:
    """Return a failure that needs no more words than its status has."""
    known = HTTPStatus(status)
    return Failure(known, known.name.lower(), known.phrase, detail)
