"""Why a record was not handled: a closed set, so that a reason can be a metric label."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The reason of a dead letter. Each value is explained in `EXPLAINED`."""

    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    DUPLICATE_ATTRIBUTE = "duplicate_attribute"
    INVALID_ENVELOPE = "invalid_envelope"
    UNSUPPORTED_MODE = "unsupported_mode"
    WRONG_KEY = "wrong_key"
    MOVED_TWICE = "moved_twice"
    UNKNOWN_FORMAT = "unknown_format"
    UNKNOWN_TENANT = "unknown_tenant"
    TENANT_SUSPENDED = "tenant_suspended"
    TENANT_DELETED = "tenant_deleted"
    RATE_LIMITED = "rate_limited"
    INVALID_DATA = "invalid_data"
    REPLAY_ENDED = "replay_ended"
    BUG = "bug"
    TIMED_OUT = "timed_out"
    STUCK = "stuck"


EXPLAINED: Final[dict[Reason, str]] = {
    Reason.NULL_VALUE: "The record has no value. Send a CloudEvent; a tombstone means nothing here.",
    Reason.TOO_LARGE: "The record is larger than the limit. Send a reference to the data instead.",
    Reason.NOT_UTF8: "A structured CloudEvent must be UTF-8. Encode it so, without a byte order mark.",
    Reason.NOT_JSON: "The value is not valid JSON (RFC 8259; NaN and Infinity are not JSON).",
    Reason.TOO_DEEP: "The JSON is nested deeper than the limit. Flatten it.",
    Reason.DUPLICATE_ATTRIBUTE: "An attribute occurs twice, so readers could disagree. Send it once.",
    Reason.INVALID_ENVELOPE: "CloudEvents attributes are missing or wrong; `problems` names each.",
    Reason.UNSUPPORTED_MODE: "Kafka records carry one event each. Send a batch over HTTP, or singly.",
    Reason.WRONG_KEY: "The record's key names another tenant than `tenantid`. Leave it out or mend it.",
    Reason.MOVED_TWICE: "The record was moved to this lane although it belongs elsewhere. Please report it.",
    Reason.UNKNOWN_FORMAT: "Written by a newer Hopline. Upgrade this worker, then redrive.",
    Reason.UNKNOWN_TENANT: "Tenants are strict: create it first with `hopline tenants set TENANT`.",
    Reason.TENANT_SUSPENDED: "The tenant is suspended. Resume it, then redrive.",
    Reason.TENANT_DELETED: "The tenant is deleted. Create it anew, then redrive.",
    Reason.RATE_LIMITED: "Over the tenant's rate and its queue is full. Slow down, or raise the limit.",
    Reason.INVALID_DATA: "The data does not fit the type that the tenant registered; `problems` says where.",
    Reason.REPLAY_ENDED: "The replay that it belongs to had ended. Start another one, or redrive it.",
    Reason.BUG: "A hop raised an exception on this record; `stack` has it. Please report it.",
    Reason.TIMED_OUT: "A hop did not answer in time on this record.",
    Reason.STUCK: "Workers died while they stepped this record. It was set aside unhandled.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one field, in words that its sender can act on."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is not handled: why, and field by field what is wrong."""

    reason: Reason
    problems: tuple[Problem, ...] = ()
