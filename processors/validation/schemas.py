"""What Hopline takes and sends, as JSON Schema: the envelope, each directive's payload, each built-in signal's data."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec

from processors.directives import kinds
from processors.validation.types import TYPES
from processors.vocabulary.limits import (
    ATTRIBUTE_COUNT_MAX,
    ATTRIBUTE_NAME_CHARACTERS_MAX,
    ID_BYTES_MAX,
    RETRYCOUNT_MAX,
    SOURCE_BYTES_MAX,
    TENANT_CHARACTERS_MAX,
    TYPE_CHARACTERS_MAX,
)
from processors.vocabulary.rules import PRIORITIES, SPECVERSION

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE: Final = "cloudevent"


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema, and what it is for."""

    name: str
    kind: str
    """`envelope`, `directive` (its data) or `signal` (its data)."""
    summary: str
    version: int
    schema: dict[str, Any]
    permission: str = ""
    deprecated_since: str = ""
    replaced_by: str = ""

    def head(self) -> dict[str, Any]:
        """Return all but the schema itself."""
        found: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "version": self.version,
            "summary": self.summary,
        }
        more = {
            "permission": self.permission,
            "deprecated_since": self.deprecated_since,
            "replaced_by": self.replaced_by,
        }
        return found | {name: text for name, text in more.items() if text}


def _text(what: str, **more: str | int) -> dict[str, Any]:
    return {"type": "string", "description": what, **more}


def envelope() -> dict[str, Any]:
    """Return what a structured event looks like.

    What does not fit is refused. Some of what fits is, too: limits in bytes, URIs, control characters.
    """
    return {
        "$schema": DIALECT,
        "title": "A CloudEvent as Hopline takes it",
        "type": "object",
        "required": ["specversion", "source", "type"],
        "maxProperties": ATTRIBUTE_COUNT_MAX + 2,
        "not": {"required": ["data", "data_base64"]},
        "properties": {
            "specversion": {"const": SPECVERSION},
            "id": _text("unique for its source; without one it gets one", minLength=1, maxLength=ID_BYTES_MAX),
            "source": _text("a URI-reference that names the producer", minLength=1, maxLength=SOURCE_BYTES_MAX),
            "type": _text(
                "what happened, as segments with dots between",
                maxLength=TYPE_CHARACTERS_MAX,
                pattern=r"^[^\s.*{},]+(\.[^\s.*{},]+)*$",
            ),
            "tenantid": _text(
                "whose it is",
                pattern=rf"^(?!_|pool:)[A-Za-z0-9_:-][A-Za-z0-9_.:-]{{0,{TENANT_CHARACTERS_MAX - 1}}}$",
            ),
            "subject": _text("what it is about", minLength=1),
            "time": _text("when it happened", format="date-time"),
            "datacontenttype": _text("the data's media type", minLength=3, pattern="/"),
            "dataschema": _text("the data's schema", format="uri"),
            "priority": {"enum": sorted(PRIORITIES)},
            "retrycount": {
                "type": ["integer", "string"],
                "minimum": 0,
                "maximum": RETRYCOUNT_MAX,
                "pattern": "^-?(0|[1-9][0-9]{0,9})$",
            },
            "correlationid": _text("what it belongs to", minLength=1),
            "causationid": _text("the id of what caused it", minLength=1),
            "replayid": _text("the replay that sent it anew", minLength=1),
            "traceparent": _text("W3C trace context"),
            "tracestate": _text("W3C trace context"),
            "data": {"description": "anything"},
            "data_base64": _text("the data, if it is bytes", contentEncoding="base64"),
        },
        "patternProperties": {
            rf"^[a-z0-9]{{1,{ATTRIBUTE_NAME_CHARACTERS_MAX}}}$": {
                "description": "an extension: any other attribute is carried as it is"
            }
        },
    }


def _of(kind: type[Any]) -> dict[str, Any]:
    """Return the schema of a struct with its own definition at the top."""
    found = msgspec.json.schema(kind)
    definitions = dict(found.get("$defs", {}))
    own = definitions.pop(kind.__name__, found)
    return {"$schema": DIALECT, **own, **({"$defs": definitions} if definitions else {})}


@cache
def catalogue() -> dict[str, Schema]:
    """Return all schemas by their names."""
    found = [Schema(ENVELOPE, "envelope", "an event, in structured mode", 1, envelope())]
    found += [
        Schema(kind.name, "directive", kind.summary, 1, _of(kind.payload), permission=kind.permission)
        for kind in kinds.ALL
    ]
    found += [
        Schema(
            one.name,
            "signal",
            one.summary,
            one.version,
            _of(one.data),
            deprecated_since=one.deprecated_since,
            replaced_by=one.replaced_by,
        )
        for one in TYPES
    ]
    return {schema.name: schema for schema in found}
