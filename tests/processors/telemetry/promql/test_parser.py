"""Reading expressions: what is read, what is refused and how, and that nothing is without bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry.promql import Kind, Matcher, PromqlError, Selector, parse, walk
from processors.telemetry.promql.limits import DEPTH_MAX, TEXT_MAX
from processors.telemetry.promql.matchers import Match
from processors.telemetry.promql.nodes import Binary, Number, Side, Subquery, Text, Window, children


def test_a_selector_with_all_it_may_have() -> None:
    assert parse("""a:b{c="d",e!='f', g=~`h.*`,i!~"j",} offset -1h30m # why""") == Selector(
        "a:b",
        (
            Matcher("c", Match.EQUAL, "d"),
            Matcher("e", Match.UNEQUAL, "f"),
            Matcher("g", Match.REGEX, "h.*"),
            Matcher("i", Match.NOT_REGEX, "j"),
        ),
        0,
        -5_400_000,
    )


@pytest.mark.parametrize(
    "text, same",
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("a or b and c unless d", "a or ((b and c) unless d)"),
        ("2 ^ 3 ^ 2", "2 ^ (3 ^ 2)"),
        ("-a ^ 2", "-(a ^ 2)"),
        ("-a * b", "(-a) * b"),
        ("a > b + 1", "a > (b + 1)"),
        ("a == b > c", "(a == b) > c"),
        ("a - b - c", "(a - b) - c"),
        ("sum by (x) (a)", "sum(a) by (x)"),
        ("SUM BY (x) (a)", "sum by (x) (a)"),
        ("+a", "a"),
        ('{__name__="a"}', "a"),
    ],
)
def test_precedence_and_other_ways_to_say_the_same(text: str, same: str) -> None:
    def shape(text: str) -> list[tuple[str, object]]:
        found: list[tuple[str, object]] = []
        for node, depth in walk(parse(text)):
            what = (node.op, node.matching) if isinstance(node, Binary) else getattr(node, "name", None)
            found.append((type(node).__name__, (depth, what)))
        return found

    assert shape(text) == shape(same)


@pytest.mark.parametrize(
    "text, milliseconds",
    [("5m", 300_000), ("1h30m", 5_400_000), ("1y2w3d4h5m6s7ms", 33_019_506_007), ("90s", 90_000)],
)
def test_durations(text: str, milliseconds: int) -> None:
    expr = parse(f"rate(a[{text}])")
    window = children(expr)[0]
    assert isinstance(window, Window)
    assert window.range_ms == milliseconds


@pytest.mark.parametrize(
    "text, value",
    [("0x1f", 31), ("017", 15), ("089", 89), (".5", 0.5), ("5.", 5), ("1e-3", 0.001), ("iNf", float("inf"))],
)
def test_numbers(text: str, value: float) -> None:
    assert parse(text) == Number(value, 0)


def test_strings_with_escapes() -> None:
    assert parse(r'"a\n\"\x41\u00e9\101\\"') == Text('a\n"Aé' + "A\\", 0)
    assert parse(r"`a\n`") == Text(r"a\n", 0)


def test_matching_and_subqueries() -> None:
    expr = parse("a * on (x, y) group_left (z) b")
    assert isinstance(expr, Binary)
    assert (expr.matching.on, expr.matching.labels, expr.matching.many, expr.matching.include) == (
        True,
        ("x", "y"),
        Side.LEFT,
        ("z",),
    )
    subquery = parse("(a + b)[1h:] offset 5m")
    assert isinstance(subquery, Subquery)
    assert (subquery.range_ms, subquery.step_ms, subquery.offset_ms) == (3_600_000, 0, 300_000)
    assert subquery.kind is Kind.MATRIX


@pytest.mark.parametrize(
    "text, position, hint",
    [
        ("", 0, "found the end"),
        ("ratee(a[5m])", 0, "did you mean rate?"),
        ("1 + holt_winters(a[5m], 1, 1)", 4, "not among the functions"),
        ("rate(a)", 5, "range is missing"),
        ("sum(a", 5, "`)`"),
        ("a{b}", 3, "=~"),
        ('a{b="c}', 4, "does not end"),
        ('a{b=~"("}', 5, "regular expression"),
        ("{}", 0, "must not be empty"),
        ('a{__name__="b"}', 0, "twice"),
        ("1 > 2", 2, "> bool"),
        ("a + bool b", 2, "comparison"),
        ("a and 1", 2, "instant vectors"),
        ("a and on (x) group_left b", 2, "group_left"),
        ("a + group_left b", 4, "after on"),
        ("a * on (x) group_left (x) b", 2, "stands in on"),
        ("1 * on (x) a", 2, "between instant vectors"),
        ("a[5m] offset 1m offset 2m", 16, "once"),
        ("a offset 5m [5m]", 12, "before the offset"),
        ("(a)[5m]", 3, "[5m:]"),
        ("a[0s]", 2, "more than 0"),
        ("a[5m30h]", 2, "largest first"),
        ("a @ 5", 2, "offset"),
        ("sum by (a:b) (c)", 8, "no label"),
        ("topk(a, b)", 5, "scalar"),
        ("quantile(a)", 0, "2 arguments"),
        ("sum(a,)", 6, "comma"),
        ("5m", 0, "seconds"),
        ("a b", 2, "did not expect"),
        ('label_replace(a, 1, "", "", "")', 17, "string"),
        ("-a[5m]", 0, "not a range vector"),
        ("a ~ b", 2, "no meaning"),
        ('"\\q"', 0, "backslash"),
    ],
)
def test_an_error_says_where_and_what_to_do(text: str, position: int, hint: str) -> None:
    with pytest.raises(PromqlError) as found:
        parse(text)
    assert found.value.position == position
    assert hint in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        "1" * (TEXT_MAX + 1),
        "(" * 5_000,
        "-" * 5_000 + "1",
        "1" + "+1" * (DEPTH_MAX + 1),
        "2" + "^2" * 3_000,
        "abs(" * 1_000 + "a" + ")" * 1_000,
    ],
)
def test_what_is_too_long_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(PromqlError, match="at most"):
        parse(text)


@given(st.text(alphabet="ab(){}[]<>=!~+-*/^%,: \"'`0159mhs#@\\", max_size=40) | st.text(max_size=30))
def test_any_text_is_an_expression_or_refused_with_a_place_in_it(text: str) -> None:
    places = [0]
    try:
        parse(text)
    except PromqlError as error:
        places.append(error.position)
    assert all(0 <= place <= len(text) for place in places)
