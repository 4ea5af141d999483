"""Filters: the index never hides what matches, expressions mean what they say, cursors belong to their filter."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from processors.vocabulary.reasons import Problem
from streams.history.expression import parse_expression
from streams.history.filters import Filter, FilterError, compiled, indexed
from streams.history.keys import KEY_MAX, key_of, keyed, time_of
from streams.history.rows import Row
from streams.history.words import words, words_of
from tests.streams.history.made import expressions, filters, row, rows_


@given(rows_(most=5), filters)
def test_the_index_gives_every_row_that_matches(rows: list[Row], asked: Filter) -> None:
    query = compiled(asked)
    plan = query.plan()
    for each in rows:
        if not query.matches(each):
            continue
        terms = set(indexed(each))
        assert all(terms & set(group) for group in plan.groups), plan.groups
        assert plan.least <= key_of(each) <= plan.most
        assert plan.tenant in {None, each.tenant}
        assert plan.correlation in {None, each.correlation}


@given(rows_(), st.integers(0, 3))
def test_each_row_has_a_key_of_its_own_in_the_order_of_time(rows: list[Row], taken: int) -> None:
    others = {key_of(each, attempt) for each in rows[:5] for attempt in range(taken)}
    made = keyed(rows, lambda keys: others & set(keys))
    assert len({key for key, _ in made} - others) == len(rows)
    assert [time_of(key) for key, _ in made] == sorted(each.at_ms for each in rows)
    assert sorted(each for _, each in made) == sorted(rows)


@given(filters, filters, st.integers(0, KEY_MAX))
def test_a_cursor_leads_back_and_fits_its_filter_only(one: Filter, other: Filter, key: int) -> None:
    cursor = compiled(one).cursor(key)
    assert compiled(one).after(cursor) == key
    assume(one != other)
    with pytest.raises(FilterError, match="another filter"):
        compiled(other).after(cursor)


@given(st.text(max_size=40))
def test_a_cursor_that_nobody_gave_is_refused_in_words(text: str) -> None:
    with pytest.raises(FilterError, match="cursor"):
        compiled(Filter()).after(text)


@given(st.text(max_size=60))
def test_what_anybody_asks_gives_an_answer_or_words(text: str) -> None:
    for name in ("tenant", "pattern", "subject", "source", "correlation", "status", "reason", "where", "text"):
        asked: dict[str, Any] = {name: text}
        try:
            query = compiled(Filter(**asked))
        except FilterError:
            # In words, whatever it was.
            continue
        else:
            query.plan()
            query.matches(row())


@given(expressions(), st.text(max_size=3), st.integers(0, 20))
def test_an_expression_with_something_in_it_is_read_or_refused(text: str, more: str, at: int) -> None:
    found = parse_expression(text[:at] + more + text[at:])
    assert isinstance(found, Problem) or found.conditions


@pytest.mark.parametrize(
    "text,data,holds",
    [
        ("data.total = 12", {"total": 12}, True),
        ("data.total = 12", {"total": 12.0}, True),
        ("data.total = 12", {"total": "12"}, False),
        ("data.total = 1", {"total": True}, False),
        ("data.total != 12", {"total": 13}, True),
        ("data.total != 12", {}, False),
        ("data.total > 11.5", {"total": 12}, True),
        ("data.total > 11", {"total": "high"}, False),
        ('data.city < "Bern"', {"city": "Basel"}, True),
        ("data.a.b.0 = null", {"a": {"b": [None]}}, True),
        ("data.a.b.1 exists", {"a": {"b": [None]}}, False),
        ("data.a exists", {"a": None}, True),
        ('data.note contains "late"', {"note": "too late"}, True),
        ('data.note contains "late"', {"note": ["late"]}, True),
        ('data.note contains "late"', {"note": {"late": 1}}, False),
        ("data.a = 1 and data.b = 2", {"a": 1, "b": 2}, True),
        ("data.a = 1 and data.b = 2", {"a": 1, "b": 3}, False),
        ('data.a = "x\\"y"', {"a": 'x"y'}, True),
        ("data.a-b = -1.5e1", {"a-b": -15}, True),
    ],
)
def test_an_expression_means_what_it_says(text: str, data: object, holds: bool) -> None:
    found = parse_expression(text)
    assert not isinstance(found, Problem), found
    assert found.holds(json.dumps(data).encode()) is holds


@pytest.mark.parametrize(
    "text",
    ["", "data", "data.a", "data.a =", "data.a = b", "total = 1", "data.a = 1 or data.b = 2", "data.a ; drop",
     "data.a = 'x'", "data.a = 1 and", "data.a < true", "data.a == 1", "data.a = 1 data.b = 2",
     " and ".join(["data.a = 1"] * 9), "data" + ".a" * 17 + " exists"],
)  # fmt: skip
def test_an_expression_that_is_none_is_refused_in_words(text: str) -> None:
    assert isinstance(parse_expression(text), Problem)


def test_words_are_the_same_in_whatever_case_and_escape() -> None:
    assert words("Half past_NINE, straße!") == ["half", "past", "nine", "strasse"]
    assert words_of(rb'{"\u00fcber": "a\nb", "n": 12.5}')[0] == ["über", "a", "b", "n", "12", "5"]
    assert words_of(b"\xff\xfe") == ([], False)
    assert words_of(" ".join(map(str, range(2_000))).encode())[1]
