"""An expression as a tree. Each node knows where in the text it stands and what it gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from processors.telemetry.promql.matchers import Matcher


class Kind(StrEnum):
    """What an expression gives, in Prometheus' words."""

    SCALAR = "scalar"
    VECTOR = "instant vector"
    MATRIX = "range vector"
    STRING = "string"


class Side(StrEnum):
    """Which side of an operator may have several series for one of the other."""

    NEITHER = "one-to-one"
    LEFT = "group_left"
    RIGHT = "group_right"


@dataclass(frozen=True, slots=True)
class Number:
    """`0.5`."""

    value: float
    position: int

    @property
    def kind(self) -> Kind:
        return Kind.SCALAR


@dataclass(frozen=True, slots=True)
class Text:
    """`"text"`, where a function takes one."""

    value: str
    position: int

    @property
    def kind(self) -> Kind:
        return Kind.STRING


@dataclass(frozen=True, slots=True)
class Selector:
    """`name{label="value"} offset 5m`."""

    name: str
    matchers: tuple[Matcher, ...]
    """Without the name's own."""
    position: int
    offset_ms: int = 0

    @property
    def kind(self) -> Kind:
        return Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Window:
    """`selector[5m]`."""

    selector: Selector
    range_ms: int
    position: int

    @property
    def kind(self) -> Kind:
        return Kind.MATRIX


@dataclass(frozen=True, slots=True)
class Subquery:
    """`expression[1h:1m]`. A step of 0 is the default one, a minute."""

    inner: "Expr"
    range_ms: int
    step_ms: int
    position: int
    offset_ms: int = 0

    @property
    def kind(self) -> Kind:
        return Kind.MATRIX


@dataclass(frozen=True, slots=True)
class Negation:
    """`-expression`."""

    inner: "Expr"
    position: int

    @property
    def kind(self) -> Kind:
        return self.inner.kind


@dataclass(frozen=True, slots=True)
class Matching:
    """`on (a, b) group_left (c)`: which series of both sides belong together."""

    on: bool = False
    labels: tuple[str, ...] = ()
    many: Side = Side.NEITHER
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """`left + right`."""

    op: str
    left: "Expr"
    right: "Expr"
    matching: Matching
    as_bool: bool
    position: int

    @property
    def kind(self) -> Kind:
        both = self.left.kind is Kind.SCALAR and self.right.kind is Kind.SCALAR
        return Kind.SCALAR if both else Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`sum by (a) (expression)`."""

    op: str
    inner: "Expr"
    parameter: "Expr | None"
    labels: tuple[str, ...]
    without: bool
    position: int

    @property
    def kind(self) -> Kind:
        return Kind.VECTOR


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`."""

    function: str
    arguments: tuple["Expr", ...]
    gives: Kind
    position: int

    @property
    def kind(self) -> Kind:
        return self.gives


Expr: TypeAlias = Number | Text | Selector | Window | Subquery | Negation | Binary | Aggregation | Call


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return what an expression is made of."""
    match expr:
        case Number() | Text() | Selector():
            return ()
        case Window(selector=selector):
            return (selector,)
        case Subquery(inner=inner) | Negation(inner=inner):
            return (inner,)
        case Binary(left=left, right=right):
            return (left, right)
        case Aggregation(inner=inner, parameter=parameter):
            return (inner,) if parameter is None else (parameter, inner)
        case Call(arguments=arguments):
            return arguments


def walk(expr: Expr) -> Iterator[tuple[Expr, int]]:
    """Yield each node with its depth. Not recursive: what is too deep is found by this."""
    waiting = [(expr, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((child, depth + 1) for child in children(node))
