"""The small schema beside a whole JSON Schema validator: the same verdict on everything."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from processors.validation.shape import NODES_MAX, problems_of_data, problems_of_schema
from processors.vocabulary.limits import PROBLEMS_MAX

NAMES = st.sampled_from(["a", "b", "c", "é"])
SCALARS: Any = st.sampled_from([None, True, False, 0, 1, 1.0, -3, 2.5, 7, "", "a", "abcdef", "éé"])
VALUES: Any = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
KINDS = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])


def schemas() -> Any:
    def grown(inner: Any) -> Any:
        return st.fixed_dictionaries(
            {},
            optional={
                "type": KINDS | st.lists(KINDS, min_size=1, max_size=3, unique=True),
                "required": st.lists(NAMES, max_size=2, unique=True),
                "properties": st.dictionaries(NAMES, inner, max_size=3),
                "additionalProperties": st.booleans() | inner,
                "items": st.booleans() | inner,
                "enum": st.lists(VALUES, min_size=1, max_size=4),
                "minimum": st.sampled_from([-3, 0, 1.5]),
                "maximum": st.sampled_from([0, 2, 2.5]),
                "maxLength": st.integers(0, 3),
            },
        )

    return st.recursive(st.just({}), grown, max_leaves=6)


@settings(max_examples=500)
@given(schemas(), VALUES)
def test_the_verdict_is_that_of_json_schema(schema: dict[str, Any], value: Any) -> None:
    assert problems_of_schema(schema) == []
    assert (problems_of_data(schema, value) == ()) == validator_for(schema).is_valid(value)


@given(VALUES)
def test_whatever_is_given_as_a_schema_it_is_refused_or_can_be_checked(schema: Any) -> None:
    if not problems_of_schema(schema):
        assert problems_of_data(schema, {"a": [1]}) is not None


def test_problems_name_the_field() -> None:
    schema = {
        "type": "object",
        "required": ["id"],
        "properties": {"lines": {"items": {"properties": {"count": {"type": "integer", "minimum": 1}}}}},
        "additionalProperties": False,
    }
    found = problems_of_data(schema, {"lines": [{"count": 1}, {"count": 0}, {"count": "x"}], "more": 1})
    assert [problem.field for problem in found] == [
        "data.id",
        "data.lines[1].count",
        "data.lines[2].count",
        "data.more",
    ]


@pytest.mark.parametrize(
    "schema, field",
    [
        ({"pattern": "(a+)+$"}, "data.schema.pattern"),
        ({"$ref": "#"}, "data.schema.$ref"),
        ({"type": "text"}, "data.schema.type"),
        ({"properties": {"a": {"maxLength": -1}}}, "data.schema.properties.a.maxLength"),
        ({"items": []}, "data.schema.items"),
        ([], "data.schema"),
    ],
)
def test_what_is_not_looked_at_is_refused(schema: Any, field: str) -> None:
    assert problems_of_schema(schema)[0].field == field


def test_schemas_and_problems_are_bounded() -> None:
    wide: dict[str, Any] = {"properties": {str(number): {} for number in range(NODES_MAX + 1)}}
    assert problems_of_schema(wide)
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"items": deep}
    assert problems_of_schema(deep)
    assert len(problems_of_data({"items": {"type": "string"}}, [0] * 10_000)) == PROBLEMS_MAX
