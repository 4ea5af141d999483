"""Variables are put in as Grafana does it, and no value can leave its place."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.filling import EVERY, UnknownVariableError, fill, rate_seconds, variables

QUERY = 'sum(rate(a_total{tenant=~"$tenant",lane=~"${lane}"}[$__rate_interval]))'
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def strings(expr: str) -> list[str]:
    """Return the string literals of a query as PromQL reads them: an oracle of its own."""
    undone = {"n": "\n"}
    return [re.sub(r"\\(.)", lambda found: undone.get(found[1], found[1]), text) for text in _STRING.findall(expr)]


def test_what_is_not_chosen_is_all() -> None:
    assert fill(QUERY, rate_seconds=4) == f'sum(rate(a_total{{tenant=~"{EVERY}",lane=~"{EVERY}"}}[4s]))'


def test_one_stands_as_it_is_and_several_as_alternatives() -> None:
    filled = fill(QUERY, rate_seconds=4, values={"tenant": ["acme"], "lane": ["0", "1"]})
    assert filled == 'sum(rate(a_total{tenant=~"acme",lane=~"(0|1)"}[4s]))'


def test_a_range_is_put_in() -> None:
    assert fill("increase(a[$__range])", rate_seconds=4, range_seconds=900) == "increase(a[900s])"


def test_variables_are_found_in_both_spellings() -> None:
    assert variables(QUERY) == ["tenant", "lane", "__rate_interval"]


def test_one_that_the_dashboard_has_not_got_is_an_error() -> None:
    with pytest.raises(UnknownVariableError):
        fill(QUERY, rate_seconds=4, known=frozenset({"tenant"}))


@pytest.mark.parametrize("step,scrape,wanted", [(15, 15, 60), (60, 15, 75), (1, 1, 4), (300, 15, 315), (2.5, 0.5, 3)])
def test_a_rate_looks_at_four_scrapes_at_least(step: float, scrape: float, wanted: int) -> None:
    assert rate_seconds(step, scrape) == wanted


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4))
def test_whatever_the_values_the_pattern_fits_them_and_nothing_leaves_its_string(values: list[str]) -> None:
    filled = fill(QUERY, rate_seconds=4, values={"tenant": values})
    pattern, lane = strings(filled)
    assert lane == EVERY
    assert all(re.fullmatch(pattern, value) for value in values)
    assert not re.fullmatch(pattern, "".join(values) + "x")
    assert _STRING.sub("", filled) == _STRING.sub("", fill(QUERY, rate_seconds=4))
