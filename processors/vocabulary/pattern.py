"""Match event types against patterns: one trie for all, whose cost does not grow with patterns that play no part.

A pattern is segments with dots between. A segment is a literal, `*` (exactly one segment), `**` (zero or more) or
`{a,b}` (one of these). A pattern matches a whole type: `user` does not match `user.created`.

Matches come in this order: priority, highest first; then specificity; then the order in which they were added. A
pattern is more specific than another if, asked in turn, it has more literals, more `{}`, fewer alternatives in them,
fewer `**`, more `*`, or if at the first segment in which they differ in kind, its kind stands earlier in: literal,
`{}`, `*`, `**`. Patterns that agree in all of these are equally specific. So a pattern that matches a part of what
another one matches stands before it.
"""

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Generic, TypeAlias, TypeVar

from processors.vocabulary.limits import (
    PATTERN_ALTERNATIVES_MAX,
    PATTERN_CHARACTERS_MAX,
    PATTERN_PRIORITY_MAX,
    PATTERN_SEGMENTS_MAX,
)
from processors.vocabulary.reasons import Problem

T = TypeVar("T")

_TYPES_REMEMBERED_MAX: Final = 4_096
_MATCHES_REMEMBERED_MAX: Final = 64
"""Of one type. With more of them the memory is worth more than the time."""
_LITERAL: Final = re.compile(r"[^\s.*{},\x00-\x1f\x7f-\x9f]+").fullmatch
_DOTS_OUTSIDE_BRACES: Final = re.compile(r"\.(?![^{}]*\})")


class Kind(IntEnum):
    """What a segment of a pattern is, the most specific first."""

    LITERAL = 0
    ALTERNATIVES = 1
    ONE = 2
    MANY = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a pattern. Only literals and alternatives have texts."""

    kind: Kind
    texts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        match self.kind:
            case Kind.LITERAL:
                return self.texts[0]
            case Kind.ALTERNATIVES:
                return f"{{{','.join(self.texts)}}}"
            case Kind.ONE:
                return "*"
            case Kind.MANY:
                return "**"

    def takes(self, text: str) -> bool:
        """Tell whether it matches one segment of a type."""
        return text in self.texts if self.texts else True


Specificity: TypeAlias = tuple[int, int, int, int, int, tuple[int, ...]]
"""Smaller is more specific; the module's docstring says what it counts."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that was found right."""

    text: str
    """As it was written."""
    segments: tuple[Segment, ...]
    """`**` side by side are one, for they mean the same; so is a literal and `{}` around a single one."""

    @property
    def specificity(self) -> Specificity:
        kinds = [segment.kind for segment in self.segments]
        alternatives = sum(len(segment.texts) for segment in self.segments if segment.kind is Kind.ALTERNATIVES)
        return (
            -kinds.count(Kind.LITERAL),
            -kinds.count(Kind.ALTERNATIVES),
            alternatives,
            kinds.count(Kind.MANY),
            -kinds.count(Kind.ONE),
            tuple(kinds),
        )

    def explain(self, event_type: str) -> tuple[tuple[str, str], ...] | None:
        """Return for each segment what it matched of a type, `**` as little as it can; None if there is no match."""
        texts = event_type.split(".")
        lengths = _lengths(self.segments, texts)
        if lengths is None:
            return None
        found = []
        at = 0
        for segment, length in zip(self.segments, lengths, strict=True):
            found.append((segment.text, ".".join(texts[at : at + length])))
            at += length
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """A registered value whose pattern matches a type."""

    value: T
    pattern: Pattern
    priority: int
    registration: int
    event_type: str

    @property
    def why(self) -> tuple[tuple[str, str], ...]:
        """For each segment of the pattern what it matched; worked out when it is asked for."""
        return self.pattern.explain(self.event_type) or ()


def parse_pattern(text: str) -> Pattern | Problem:
    """Return the pattern that a text is, or what is wrong with it."""
    if not text:
        return Problem("pattern", "is empty; `**` matches everything")
    if len(text) > PATTERN_CHARACTERS_MAX:
        return Problem("pattern", f"is longer than {PATTERN_CHARACTERS_MAX} characters")
    segments: list[Segment] = []
    for written in _DOTS_OUTSIDE_BRACES.split(text):
        segment = _parse_segment(written)
        if isinstance(segment, str):
            return Problem("pattern", segment)
        if not (segments and segment.kind is segments[-1].kind is Kind.MANY):
            segments.append(segment)
    if len(segments) > PATTERN_SEGMENTS_MAX:
        return Problem("pattern", f"has more than {PATTERN_SEGMENTS_MAX} segments")
    return Pattern(text, tuple(segments))


def _parse_segment(text: str) -> Segment | str:
    """Return the segment that a text is, or what is wrong with it."""
    if text in {"*", "**"}:
        return Segment(Kind.ONE if text == "*" else Kind.MANY)
    if text.startswith("{") and text.endswith("}"):
        texts = tuple(dict.fromkeys(part.strip(" ") for part in text[1:-1].split(",")))
        if len(texts) > PATTERN_ALTERNATIVES_MAX:
            return f"has more than {PATTERN_ALTERNATIVES_MAX} alternatives in one segment"
        if not all(map(_LITERAL, texts)):
            return f"has an alternative in {text!a} that is not one plain segment; write {{a,b}}"
        return Segment(Kind.ALTERNATIVES if len(texts) > 1 else Kind.LITERAL, texts)
    if not text:
        return "has an empty segment; take out the dot that is too many"
    if "{" in text or "}" in text:
        return f"has braces within {text!a}; they stand for a whole segment: write {{user_a,user_b}}"
    if "*" in text:
        return f"has a star within {text!a}; `*` and `**` stand for whole segments"
    if _LITERAL(text) is None:
        return f"has a character in {text!a} that no type has"
    return Segment(Kind.LITERAL, (text,))


def _lengths(segments: tuple[Segment, ...], texts: list[str]) -> list[int] | None:
    """Return how many segments of a type each segment of a pattern matches, None if they do not match.

    Each `**` takes as few as it can, the leftmost first. Where the rest does not fit, only the last `**` before it
    needs to take one more: what stands before that one has been placed as far to the left as can be.
    """
    lengths = [0] * len(segments)
    at = place = 0
    last_many = -1
    while at < len(texts) or place < len(segments):
        segment = segments[place] if place < len(segments) else None
        if segment is not None and segment.kind is Kind.MANY:
            lengths[place] = 0
            last_many = place
            place += 1
        elif segment is not None and at < len(texts) and segment.takes(texts[at]):
            lengths[place] = 1
            at += 1
            place += 1
        elif last_many >= 0 and at < len(texts):
            at -= place - last_many - 1
            place = last_many + 1
            lengths[last_many] += 1
            at += 1
        else:
            return None
    return lengths


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    pattern: Pattern
    priority: int
    registration: int
    value: T
    order: tuple[int, Specificity, int]


@dataclass(slots=True, eq=False)
class _Node(Generic[T]):
    """Where a sequence of segments leads."""

    loops: bool = False
    """Reached by `**`, so any segment leads back to it."""
    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    alternatives: "dict[tuple[str, ...], _Node[T]]" = field(default_factory=dict)
    by_alternative: "dict[str, list[_Node[T]]]" = field(default_factory=dict)
    """The same nodes, by each text that leads to them."""
    one: "_Node[T] | None" = None
    many: "_Node[T] | None" = None
    entries: list[_Entry[T]] = field(default_factory=list)

    def child(self, segment: Segment) -> "_Node[T]":
        """Return where a segment leads, made if it is not there."""
        match segment.kind:
            case Kind.LITERAL:
                return self.literals.setdefault(segment.texts[0], _Node())
            case Kind.ALTERNATIVES:
                texts = tuple(sorted(segment.texts))
                found = self.alternatives.get(texts)
                if found is None:
                    found = self.alternatives[texts] = _Node()
                    for text in texts:
                        self.by_alternative.setdefault(text, []).append(found)
                return found
            case Kind.ONE:
                self.one = self.one or _Node()
                return self.one
            case Kind.MANY:
                self.many = self.many or _Node(loops=True)
                return self.many

    def drop(self, segment: Segment) -> None:
        """Forget where a segment leads."""
        match segment.kind:
            case Kind.LITERAL:
                del self.literals[segment.texts[0]]
            case Kind.ALTERNATIVES:
                dropped = self.alternatives.pop(tuple(sorted(segment.texts)))
                for text in segment.texts:
                    self.by_alternative[text].remove(dropped)
                    if not self.by_alternative[text]:
                        del self.by_alternative[text]
            case Kind.ONE:
                self.one = None
            case Kind.MANY:
                self.many = None

    def is_empty(self) -> bool:
        """Tell whether nothing hangs on it."""
        return not (self.entries or self.literals or self.alternatives or self.one or self.many)


class Trie(Generic[T]):
    """Values by pattern. Not a value itself: `add` and `remove` change it in place."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._patterns: dict[int, Pattern] = {}
        self._registrations = 0
        # Types repeat: what matches one is remembered until the patterns change.
        self._remembered: dict[str, tuple[Match[T], ...]] = {}

    def __len__(self) -> int:
        return len(self._patterns)

    def add(self, pattern: Pattern, priority: int, value: T) -> int:
        """Register a value; return the number of the registration, by which it can be removed."""
        if not -PATTERN_PRIORITY_MAX <= priority <= PATTERN_PRIORITY_MAX:
            raise ValueError(f"priority {priority} is not between {-PATTERN_PRIORITY_MAX} and {PATTERN_PRIORITY_MAX}")
        node = self._root
        for segment in pattern.segments:
            node = node.child(segment)
        self._registrations += 1
        registration = self._registrations
        order = (-priority, pattern.specificity, registration)
        node.entries.append(_Entry(pattern, priority, registration, value, order))
        self._patterns[registration] = pattern
        self._remembered.clear()
        return registration

    def remove(self, registration: int) -> bool:
        """Undo a registration; tell whether there was one."""
        pattern = self._patterns.pop(registration, None)
        if pattern is None:
            return False
        nodes = [self._root]
        for segment in pattern.segments:
            nodes.append(nodes[-1].child(segment))
        nodes[-1].entries = [entry for entry in nodes[-1].entries if entry.registration != registration]
        for parent, segment, node in zip(
            reversed(nodes[:-1]), reversed(pattern.segments), reversed(nodes[1:]), strict=True
        ):
            if not node.is_empty():
                break
            parent.drop(segment)
        self._remembered.clear()
        return True

    def match(self, event_type: str) -> tuple[Match[T], ...]:
        """Return all matches in their order. The cost depends on the patterns that share segments with the type."""
        remembered = self._remembered.get(event_type)
        if remembered is not None:
            return remembered
        found = self._match(event_type)
        if len(found) <= _MATCHES_REMEMBERED_MAX:
            if len(self._remembered) >= _TYPES_REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[event_type] = found
        return found

    def _match(self, event_type: str) -> tuple[Match[T], ...]:
        # All ways through the trie side by side, each node at most once: no pattern makes this take exponential time.
        nodes: dict[_Node[T], None] = {}
        _reach(nodes, self._root)
        for text in event_type.split("."):
            reached: dict[_Node[T], None] = {}
            for node in nodes:
                if node.loops:
                    _reach(reached, node)
                if text in node.literals:
                    _reach(reached, node.literals[text])
                for alternative in node.by_alternative.get(text, ()):
                    _reach(reached, alternative)
                if node.one is not None:
                    _reach(reached, node.one)
            nodes = reached
        entries = [entry for node in nodes for entry in node.entries]
        entries.sort(key=lambda entry: entry.order)
        return tuple(
            Match(entry.value, entry.pattern, entry.priority, entry.registration, event_type) for entry in entries
        )


def _reach(nodes: dict[_Node[T], None], node: _Node[T]) -> None:
    """Add a node, and what `**` leads to from there without a segment."""
    nodes[node] = None
    if node.many is not None:
        nodes[node.many] = None
