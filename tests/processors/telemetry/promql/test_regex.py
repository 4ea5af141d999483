"""Regular expressions: as Python's own where both are defined, in bounded time where Python's is not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.limits import PATTERN_MAX
from processors.telemetry.promql.regex import Regex

ATOMS = st.sampled_from(["a", "b", "ab", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\w", r"\.", "(?:a|b)", "^", "$", r"\b"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + "|".join(parts) + ")"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        inner.map(lambda part: f"({part})"),
    ),
    max_leaves=8,
)
TEXTS = st.text(alphabet="abc.1_ ", max_size=8)


@given(PATTERNS, TEXTS)
def test_what_matches_is_what_matches_in_python(pattern: str, text: str) -> None:
    assert Regex(pattern).matches(text) is (re.fullmatch(rf"(?a:{pattern})", text) is not None)


@given(st.lists(st.sampled_from(["(a|ab)", "(b*)", "(c?)", "(.)", "(a+?)", "(ab|c)*?", "x"]), max_size=4), TEXTS)
def test_groups_are_those_of_python(parts: list[str], text: str) -> None:
    pattern = "".join(parts)
    found = re.fullmatch(pattern, text)
    groups = pattern.count("(")
    expected = None if found is None else "/".join(found.group(number) or "" for number in range(groups + 1))
    replacement = "/".join(f"${{{number}}}" for number in range(groups + 1))
    assert Regex(pattern).expand(text, replacement) == expected


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", "(.*.*)*x", "(?:a?){30}a{30}b"])
def test_what_stops_others_is_quick(pattern: str) -> None:
    assert not Regex(pattern).matches("a" * 2_000)


@pytest.mark.parametrize(
    "pattern, text, whether",
    [
        ("(?i)HOP", "hop", True),
        ("a(?i:B)c", "abc", True),
        ("a(?i:B)c", "abC", False),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
        ("[[:alpha:]]+", "ab1", False),
        ("[[:^digit:]]", "x", True),
        (r"\x41\x{1F600}", "A😀", True),
        ("a|b", "b", True),
        ("", "", True),
        ("", "a", False),
        ("a{,2}", "a{,2}", True),
        (r"[\]\-a]+", "]-a", True),
        ("[]a]", "]", True),
        (r"\d", "٣", False),
    ],
)
def test_what_re2_says(pattern: str, text: str, whether: bool) -> None:
    assert Regex(pattern).matches(text) is whether


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "[", "[z-a]", "a**", "*a", "(?=a)", r"(a)\1", "a{3,2}", "a{2000}", "(?P<x>a)(?P<x>b)", "\\"),
        *("a" * (PATTERN_MAX + 1), "((a{100}){100}){100}", "(?:(?:(?:){1000}){1000}){1000}", "(" * 200 + ")" * 200),
        *("[[:nope:]]", r"\pL", "|*", r"\Qa\E"),
    ],
)
def test_what_is_no_pattern_or_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(PromqlError):
        Regex(pattern)


@pytest.mark.parametrize(
    "replacement, result",
    [
        ("$1-$2", "w-7"),
        ("${1}x", "wx"),
        ("$1x", ""),
        ("$$1", "$1"),
        ("$name", "7"),
        ("$9", ""),
        ("$0", "w7"),
        ("$", "$"),
    ],
)
def test_replacements_are_those_of_go(replacement: str, result: str) -> None:
    assert Regex("(w)(?P<name>[0-9])").expand("w7", replacement) == result


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    said = ""
    try:
        Regex(text).matches("some text")
    except PromqlError as error:
        said = error.message
    assert not said or "regular expression" in said or "class" in said
