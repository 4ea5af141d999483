"""Patterns match whole types, in an order that can be told beforehand; named after what went wrong elsewhere."""

import itertools
import random
import time
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.vocabulary.limits import PATTERN_ALTERNATIVES_MAX, PATTERN_SEGMENTS_MAX
from processors.vocabulary.pattern import Match, Pattern, Trie, parse_pattern
from processors.vocabulary.reasons import Problem

SEGMENTS: Final = ("a", "b", "c", "*", "**", "{a,b}", "{b,c}", "{a,b,c}")
PATTERNS: Final = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=5).map(".".join)
TYPES: Final = st.lists(st.sampled_from("abcx"), min_size=1, max_size=6).map(".".join)


def pattern(text: str) -> Pattern:
    parsed = parse_pattern(text)
    assert isinstance(parsed, Pattern), parsed
    return parsed


def trie(*texts: str) -> Trie[str]:
    made: Trie[str] = Trie()
    for text in texts:
        made.add(pattern(text), 0, text)
    return made


def values(matches: tuple[Match[str], ...]) -> list[str]:
    return [match.value for match in matches]


def matches_plainly(text: str, event_type: str) -> bool:
    """The slow matcher: what a pattern means, word for word."""
    return _matches(text.replace(",", "|").split("."), event_type.split("."))


def _matches(segments: list[str], texts: list[str]) -> bool:
    if not segments:
        return not texts
    if segments[0] == "**":
        return any(_matches(segments[1:], texts[skipped:]) for skipped in range(len(texts) + 1))
    if not texts or not (segments[0] == "*" or texts[0] in segments[0].strip("{}").split("|")):
        return False
    return _matches(segments[1:], texts[1:])


def _order(text: str) -> tuple[object, ...]:
    """Specificity as the module's docstring says it."""
    kinds: list[int] = []
    for segment in text.split("."):
        kind = {"*": 2, "**": 3}.get(segment, 1 if segment.startswith("{") else 0)
        if not (kind == 3 and kinds and kinds[-1] == 3):
            kinds.append(kind)
    alternatives = sum(segment.count(",") + 1 for segment in text.split(".") if segment.startswith("{"))
    return -kinds.count(0), -kinds.count(1), alternatives, kinds.count(3), -kinds.count(2), kinds


def test_two_stars_match_any_number_of_segments_not_just_one() -> None:
    made = trie("user.**")
    for event_type in ("user", "user.created", "user.profile.updated", "user.a.b.c.d"):
        assert values(made.match(event_type)) == ["user.**"]
    assert made.match("users") == ()
    assert values(trie("**.created").match("created")) == ["**.created"]
    assert values(trie("a.**.b").match("a.b")) == ["a.**.b"]


def test_one_star_matches_exactly_one_segment() -> None:
    made = trie("user.*")
    assert values(made.match("user.created")) == ["user.*"]
    assert made.match("user") == ()
    assert made.match("user.profile.updated") == ()


def test_user_does_not_match_user_created() -> None:
    made = trie("user")
    assert made.match("user.created") == ()
    assert made.match("use") == ()
    assert values(made.match("user")) == ["user"]


def test_specificity_never_beats_priority() -> None:
    made: Trie[str] = Trie()
    made.add(pattern("user.created"), 0, "exact")
    made.add(pattern("**"), 1, "anything")
    made.add(pattern("user.*"), -1, "one")
    assert values(made.match("user.created")) == ["anything", "exact", "one"]


def test_ties_stand_in_the_order_of_registration() -> None:
    made: Trie[int] = Trie()
    for number in range(20):
        made.add(pattern("a.{b,c}" if number % 2 else "a.{b,d}"), 5, number)
    assert [match.value for match in made.match("a.b")] == list(range(20))


def test_more_specific_first() -> None:
    texts = [
        "a.b.c",
        "a.b.{c,d}",
        "a.{b,x}.c",
        "a.b.{c,d,e}",
        "a.b.*",
        "a.*.c",
        "a.b.**",
        "a.**.c",
        "*.*.*",
        "*.**",
        "**",
    ]
    assert values(trie(*reversed(texts)).match("a.b.c")) == texts


def test_alternatives() -> None:
    made = trie("user.{created,deleted}.v1")
    assert values(made.match("user.created.v1")) == ["user.{created,deleted}.v1"]
    assert values(made.match("user.deleted.v1")) == ["user.{created,deleted}.v1"]
    assert made.match("user.updated.v1") == ()
    assert made.match("user.created") == ()


def test_alternatives_and_literals_stand_side_by_side() -> None:
    made = trie("{a,b}.x", "a.x", "{b,a}.x", "{a,c}.x", "{a}.x")
    assert values(made.match("a.x")) == ["a.x", "{a}.x", "{a,b}.x", "{b,a}.x", "{a,c}.x"]
    assert values(made.match("b.x")) == ["{a,b}.x", "{b,a}.x"]
    assert values(made.match("c.x")) == ["{a,c}.x"]


def test_why() -> None:
    made = trie("a.**.{c,d}.*")
    (match,) = made.match("a.x.c.y.d.z")
    assert match.why == (("a", "a"), ("**", "x.c.y"), ("{c,d}", "d"), ("*", "z"))
    (match,) = made.match("a.c.z")
    assert match.why == (("a", "a"), ("**", ""), ("{c,d}", "c"), ("*", "z"))
    assert pattern("a.b").explain("a.c") is None


def test_removed_is_gone_and_leaves_nothing_behind() -> None:
    made: Trie[str] = Trie()
    numbers = [made.add(pattern(text), 0, text) for text in ("a.b", "a.{b,c}", "a.*.c", "a.**", "**.b")]
    assert len(made.match("a.b")) == 4
    for number in numbers:
        assert made.remove(number)
        assert not made.remove(number)
    assert made.match("a.b") == ()
    assert len(made) == 0
    assert made._root.is_empty()


def test_added_later_is_found_by_types_seen_before() -> None:
    made = trie("a.*")
    assert values(made.match("a.b")) == ["a.*"]
    made.add(pattern("a.b"), 0, "a.b")
    assert values(made.match("a.b")) == ["a.b", "a.*"]


def test_removing_one_of_two_keeps_the_other() -> None:
    made: Trie[str] = Trie()
    first = made.add(pattern("a.b"), 0, "first")
    made.add(pattern("a.b.c"), 0, "longer")
    made.add(pattern("a.b"), 0, "second")
    made.remove(first)
    assert values(made.match("a.b")) == ["second"]
    assert values(made.match("a.b.c")) == ["longer"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "empty"),
        ("a..b", "empty segment"),
        (".a", "empty segment"),
        ("a.", "empty segment"),
        ("a.user_*", "whole segments"),
        ("***", "whole segments"),
        ("a.user_{a,b}", "whole segment: write {user_a,user_b}"),
        ("{a,b", "braces"),
        ("a}.b", "braces"),
        ("{a.b,c}", "not one plain segment"),
        ("{a,}", "not one plain segment"),
        ("{}", "not one plain segment"),
        ("{a,*}", "not one plain segment"),
        ("{{a,b},c}", "not one plain segment"),
        ("a b", "no type has"),
        ("a,b", "no type has"),
        ("a.\x1b", "no type has"),
        (".".join("a" * (PATTERN_SEGMENTS_MAX + 1)), "segments"),
        ("{" + ",".join(map(str, range(PATTERN_ALTERNATIVES_MAX + 1))) + "}", "alternatives"),
        ("a" * 2_000, "longer"),
    ],
)
def test_what_is_no_pattern_is_explained(text: str, words: str) -> None:
    problem = parse_pattern(text)
    assert isinstance(problem, Problem)
    assert words in problem.message


@pytest.mark.parametrize("priority", [-101, 101])
def test_priorities_have_limits(priority: int) -> None:
    with pytest.raises(ValueError, match="between -100 and 100"):
        Trie[str]().add(pattern("a"), priority, "a")


@settings(max_examples=500)
@given(
    st.lists(st.tuples(PATTERNS, st.integers(-2, 2)), max_size=14),
    st.lists(TYPES, min_size=1, max_size=6),
    st.sets(st.integers(0, 13)),
)
def test_the_trie_is_the_slow_matcher(
    registered: list[tuple[str, int]], event_types: list[str], removed: set[int]
) -> None:
    made: Trie[int] = Trie()
    numbers = [made.add(pattern(text), priority, place) for place, (text, priority) in enumerate(registered)]
    for event_type in event_types:
        made.match(event_type)
    for place in removed:
        if place < len(numbers):
            made.remove(numbers[place])
    for event_type in event_types:
        expected = [
            (-priority, _order(text), place)
            for place, (text, priority) in enumerate(registered)
            if place not in removed and matches_plainly(text, event_type)
        ]
        assert [match.value for match in made.match(event_type)] == [place for _, _, place in sorted(expected)]


@settings(max_examples=500)
@given(PATTERNS, TYPES)
def test_why_covers_the_type_segment_by_segment(text: str, event_type: str) -> None:
    explained = pattern(text).explain(event_type)
    assert (explained is not None) == matches_plainly(text, event_type)
    if explained is not None:
        assert ".".join(part for _, part in explained if part) == event_type
        assert all(matches_plainly(segment, part) for segment, part in explained if part)


def _every_type() -> Iterator[str]:
    for length in range(1, 6):
        yield from map(".".join, itertools.product("abcx", repeat=length))


def test_what_matches_a_part_of_another_stands_before_it() -> None:
    draw = random.Random(1)
    texts = {".".join(draw.choices(SEGMENTS, k=draw.randrange(1, 4))) for _ in range(90)}
    found = {text: {one for one in _every_type() if matches_plainly(text, one)} for text in texts}
    for narrow, wide in itertools.permutations(sorted(texts), 2):
        if found[narrow] < found[wide]:
            assert pattern(narrow).specificity < pattern(wide).specificity, (narrow, wide)


def test_many_double_stars_take_no_exponential_time() -> None:
    made = trie(".".join(["**", "a"] * 15), ".".join(["**", "*"] * 15))
    started = time.process_time()
    assert len(made.match(".".join("a" * 120))) == 2
    assert made.match(".".join("a" * 120) + ".b")[0].why
    assert time.process_time() - started < 1


def test_routes_that_play_no_part_cost_nothing() -> None:
    made = trie(*(f"tenant{number}.*.{{created,deleted}}" for number in range(20_000)), "user.*")
    visited = len(made._root.literals)
    assert visited == 20_001
    started = time.process_time()
    for number in range(1_000):
        assert len(made.match(f"user.x{number}")) == 1
    assert time.process_time() - started < 1


def test_what_is_remembered_of_types_is_bounded() -> None:
    made = trie("**")
    for number in range(5_000):
        made.match(f"a.x{number}")
    assert len(made._remembered) < 5_000
    crowded = trie(*["**"] * 100)
    crowded.match("a")
    assert not crowded._remembered
