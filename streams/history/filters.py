"""What is asked of history: judged, turned into conditions for an index, and checked again on each row. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product
from typing import Final

from processors.vocabulary import rules
from processors.vocabulary.ids import digest
from processors.vocabulary.pattern import Kind, Pattern, parse_pattern
from processors.vocabulary.reasons import Problem, Reason
from streams.history.expression import Expression, parse_expression
from streams.history.keys import KEY_MAX, least_key
from streams.history.rows import AUDITED, STATUSES, Row
from streams.history.words import words, words_of

TEXT_CHARACTERS_MAX: Final = 1_024
TEXT_WORDS_MAX: Final = 16
PREFIXES_MAX: Final = 16
"""Beginnings of types that a pattern is turned into; with more of them the index is not asked."""
_PREFIX_SEGMENTS_MAX: Final = 2
_CURSOR: Final = re.compile(r"([0-9a-f]{1,16})\.([0-9a-f]{16})").fullmatch
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]").search
TAGS_REMEMBERED_MAX: Final = 16_384
"""Tenants, sources and types come again and again."""
CUT_TAG: Final = "z:cut"
"""On rows whose words are not all in the index."""


class FilterError(Exception):
    """What is asked cannot be; the problems say field by field why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{problem.field} {problem.message}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is asked for, as it was written. None asks nothing."""

    tenant: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    """Up to and without this moment."""
    pattern: str | None = None
    subject: str | None = None
    source: str | None = None
    correlation: str | None = None
    status: str | None = None
    reason: str | None = None
    where: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Conditions that an index answers. Rows that it gives are checked again; the others do not match."""

    least: int
    most: int
    """Keys, both included."""
    groups: tuple[tuple[str, ...], ...]
    """One of each group must be among a row's tags and words."""
    tenant: str | None
    correlation: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """A filter that was found right."""

    filter: Filter
    pattern: Pattern | None
    expression: Expression | None
    words: tuple[str, ...]

    def matches(self, row: Row) -> bool:
        """Tell whether a row is asked for: the one definition, which the index only makes fast."""
        asked = self.filter
        if asked.tenant is not None and row.tenant != asked.tenant:
            return False
        if (row.status == AUDITED) != (asked.status == AUDITED):
            return False
        wanted = (
            (asked.status, row.status),
            (asked.subject, row.subject),
            (asked.source, row.source),
            (asked.correlation, row.correlation),
            (asked.reason, row.reason),
        )
        if any(wish is not None and wish != found for wish, found in wanted):
            return False
        if asked.since_ms is not None and row.at_ms < asked.since_ms:
            return False
        if asked.until_ms is not None and row.at_ms >= asked.until_ms:
            return False
        if self.pattern is not None and self.pattern.explain(row.type) is None:
            return False
        if self.words and not set(self.words) <= set(words_of(row.data)[0]):
            return False
        return self.expression is None or self.expression.holds(row.data)

    def plan(self) -> Plan:
        """Return what an index is asked."""
        asked = self.filter
        groups: list[tuple[str, ...]] = [(_tag(name, value),) for name, value in _named(asked) if value is not None]
        if self.pattern is not None and (begins := _beginnings(self.pattern)):
            groups.append(begins)
        groups += [(word,) for word in self.words]
        if self.expression is not None:
            needed = dict.fromkeys(word for text in self.expression.texts for word in words(text))
            groups += [(word, CUT_TAG) for word in needed]
        return Plan(
            0 if asked.since_ms is None else least_key(asked.since_ms),
            KEY_MAX if asked.until_ms is None else least_key(asked.until_ms) - 1,
            tuple(groups),
            asked.tenant,
            # What has none stands in no index.
            asked.correlation or None,
        )

    @property
    def fingerprint(self) -> str:
        """What binds a cursor to what was asked."""
        parts = [f"{field.name}={getattr(self.filter, field.name)!r}" for field in fields(self.filter)]
        return digest(*(part.encode() for part in parts)).hex()[:16]

    def cursor(self, key: int) -> str:
        """Return where the next page begins: behind the row with this key."""
        return f"{key:x}.{self.fingerprint}"

    def after(self, cursor: str | None) -> int:
        """Return the key that a page lies below. Raises `FilterError`."""
        if cursor is None:
            return KEY_MAX
        found = _CURSOR(cursor)
        if found is None or (key := int(found[1], 16)) > KEY_MAX:
            raise FilterError((Problem("cursor", "is none that an answer gave"),))
        if found[2] != self.fingerprint:
            raise FilterError((Problem("cursor", "belongs to another filter; ask for the first page again"),))
        return key


def compiled(asked: Filter) -> Query:
    """Judge a filter. Raises `FilterError`, which names all that is wrong."""
    problems: list[Problem] = []
    pattern = None if asked.pattern is None else parse_pattern(asked.pattern)
    if isinstance(pattern, Problem):
        problems.append(pattern)
    expression = None if asked.where is None else parse_expression(asked.where)
    if isinstance(expression, Problem):
        problems.append(expression)
    if asked.tenant is not None and not rules.is_tenant(asked.tenant, reserved_ok=True):
        problems.append(Problem("tenant", f"{asked.tenant!r} is no tenant's name"))
    if asked.status is not None and asked.status not in STATUSES:
        problems.append(Problem("status", f"must be one of {', '.join(STATUSES)}"))
    if asked.reason is not None and asked.status != AUDITED and asked.reason not in set(Reason):
        problems.append(Problem("reason", f"must be one of {', '.join(Reason)}"))
    found = _searched(asked.text, problems)
    problems.extend(
        Problem(name, f"is longer than {TEXT_CHARACTERS_MAX} characters, or has one that no text has")
        for name in ("subject", "source", "correlation", "where", "text", "reason")
        if not _is_text(getattr(asked, name) or "")
    )
    if problems or isinstance(pattern, Problem) or isinstance(expression, Problem):
        raise FilterError(tuple(problems))
    return Query(asked, pattern, expression, found)


def _is_text(text: str) -> bool:
    """Tell whether it is short enough, and can be written as UTF-8 for every database."""
    return len(text) <= TEXT_CHARACTERS_MAX and "\x00" not in text and not _SURROGATE(text)


def _searched(text: str | None, problems: list[Problem]) -> tuple[str, ...]:
    if text is None:
        return ()
    found = words(text[:TEXT_CHARACTERS_MAX])
    if not found:
        problems.append(Problem("text", "has no word: letters or digits"))
    if len(found) > TEXT_WORDS_MAX:
        problems.append(Problem("text", f"has more than {TEXT_WORDS_MAX} words"))
    return tuple(found)


def _named(asked: Filter) -> Iterator[tuple[str, str | None]]:
    yield "t", asked.tenant
    yield "s", asked.source
    yield "o", asked.subject or None
    yield "k", asked.status
    yield "x", asked.reason or None


def tags_of(row: Row) -> list[str]:
    """Return what a row is found by besides its words. A tag has a colon, which no word has."""
    found = [_tag("t", row.tenant), _tag("s", row.source), _tag("k", row.status)]
    if row.subject:
        found.append(_tag("o", row.subject))
    if row.reason:
        found.append(_tag("x", row.reason))
    segments = row.type.split(".")
    lengths = {*range(1, min(_PREFIX_SEGMENTS_MAX, len(segments)) + 1), len(segments)}
    found += [_tag("y", ".".join(segments[:length])) for length in sorted(lengths)]
    return found


def indexed(row: Row) -> list[str]:
    """Return all tags and words of a row: what goes into the index."""
    found, more = words_of(row.data)
    tags = tags_of(row)
    if more or row.cut:
        tags.append(CUT_TAG)
    return tags + found


@lru_cache(maxsize=TAGS_REMEMBERED_MAX)
def _tag(name: str, value: str) -> str:
    return f"{name}:{digest(value.replace(chr(0), chr(0xFFFD)).encode()).hex()[:16]}"


def _beginnings(pattern: Pattern) -> tuple[str, ...]:
    """Return the tags of the beginnings that a pattern's types have; none if it says nothing of how they begin."""
    choices: list[tuple[str, ...]] = []
    for segment in pattern.segments:
        if segment.kind not in {Kind.LITERAL, Kind.ALTERNATIVES}:
            break
        choices.append(segment.texts)
    whole = len(choices) == len(pattern.segments)
    if not whole:
        choices = choices[:_PREFIX_SEGMENTS_MAX]
    if not choices:
        return ()
    count = 1
    for texts in choices:
        count *= len(texts)
    if count > PREFIXES_MAX:
        return ()
    return tuple(_tag("y", ".".join(texts)) for texts in product(*choices))
