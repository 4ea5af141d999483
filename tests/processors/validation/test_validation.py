"""Problems name the field; and schemas say what validation does."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from processors import validation
from processors.directives import kinds
from processors.directives.definition import judged
from processors.ingest.policy import TenantChange
from processors.validation.schemas import ENVELOPE, catalogue
from processors.validation.types import TYPES
from processors.vocabulary import topics
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import CONTENT_TYPE
from tests.processors.directives.test_directives import send
from tests.processors.lanes import LaneInMemory

STRUCTURED = ((CONTENT_TYPE, b"application/cloudevents+json"),)


@pytest.mark.parametrize(
    "data, field",
    [
        (b'{"burst": "x"}', "data.burst"),
        (b'{"brust": 1}', "data.brust"),
        (b'{"over": "never"}', "data.over"),
        (b"[]", "data"),
        (b"{", "data"),
        (b'{"status": {"a": 1}}', "data.status"),
        (b"[" * 10_000, "data"),
    ],
)
def test_a_payloads_problem_names_its_field(data: bytes, field: str) -> None:
    found, (problem,) = validation.payload(TenantChange, data)
    assert found is None
    assert problem.field == field
    assert validation.in_words((problem,)).startswith(field)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    found, problems = validation.payload(TenantChange, data)
    assert (found is None) == bool(problems)


def test_each_schema_is_one_and_directives_and_types_all_have_theirs() -> None:
    for schema in catalogue().values():
        validator_for(schema.schema)
        assert schema.summary
    assert {definition.name for definition in kinds.ALL} <= catalogue().keys()
    assert {one.name for one in TYPES} <= catalogue().keys()


def accepted(event: dict[str, Any]) -> bool:
    record = PlainRecord(topics.SIGNALS_IN, 0, 0, 0, None, json.dumps(event).encode(), STRUCTURED)
    return not isinstance(validation.decode(record), Rejected)


PLAIN: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "tenantid": "t"}
CHANGES: Any = st.dictionaries(
    st.sampled_from(
        [
            "specversion",
            "id",
            "source",
            "type",
            "tenantid",
            "subject",
            "priority",
            "retrycount",
            "data",
            "data_base64",
            "own",
        ]
    ),
    st.sampled_from(
        ["1.0", "", "x", "a.b", "/s", "_t", "low", "urgent", "5", "YQ==", "v" * 300, 5, -1, 1_001, True, None, [], {}]
    ),
    max_size=3,
)


@given(CHANGES, st.sets(st.sampled_from([*PLAIN]), max_size=1))
def test_what_hopline_takes_fits_the_envelopes_schema(changes: dict[str, Any], missing: set[str]) -> None:
    event = {name: value for name, value in {**PLAIN, **changes}.items() if name not in missing and value is not None}
    # One way only: some rules (URIs, bytes instead of characters) are beyond JSON Schema.
    if accepted(event):
        validator_for(catalogue()[ENVELOPE].schema).validate(event)


@given(st.sampled_from(kinds.ALL), st.data())
def test_a_payload_that_is_taken_fits_its_schema(definition: Any, data: st.DataObject) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(definition.payload)]
    values: Any = st.sampled_from([None, 0, 1, 5, 2.5, "x", "defer", "active", "ingest", "signals", "heavy", True, []])
    given_ = data.draw(st.dictionaries(st.sampled_from([*names, "none"]), values, max_size=4))
    found, problems = judged(definition, json.dumps(given_).encode())
    fits = validator_for(catalogue()[definition.name].schema).is_valid(given_)
    if found is not None and not problems:
        assert fits
    if not fits:
        assert found is None


def test_what_hopline_tells_fits_its_own_types() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.set", "k1", {"burst": 7})
    send(lane, "hopline.tenant.set", "k2", {"burst": 0})
    send(lane, "hopline.tenant.set", "k3", {"burst": 7}, notbefore="2099-01-01T00:00:00Z")
    send(lane, "hopline.directive.cancel", "k4", {"key": "k3"})
    send(lane, "hopline.directive.cancel", "k5", {"key": "k3"})
    told = lane.told()
    # Only what is spread over several commits is seen running: nothing so large is made here.
    assert {one["type"] for one in told} == {one.name for one in TYPES} - {"hopline.directive.running"}
    for one in told:
        validator_for(catalogue()[one["type"]].schema).validate(one["data"])
