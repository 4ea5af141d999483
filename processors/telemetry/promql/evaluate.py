"""Answer an expression: at one moment, or at many. Meant to say what Prometheus 2.42 says, to the letter.

A question at many moments is the same question many times; only what is found, and what subqueries gave, is kept
between them.
"""

from collections.abc import Hashable
from typing import Final, assert_never

from processors.telemetry.promql import overtime
from processors.telemetry.promql.aggregates import aggregated
from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.instants import absent_labels, called
from processors.telemetry.promql.limits import LOOKBACK_MS, SAMPLES_MAX, SERIES_MAX, STEPS_MAX
from processors.telemetry.promql.nodes import (
    Aggregation,
    Binary,
    Call,
    Expr,
    Kind,
    Negation,
    Number,
    Selector,
    Subquery,
    Text,
    Window,
)
from processors.telemetry.promql.numbers import NAN
from processors.telemetry.promql.operators import between_scalars, between_vectors, with_scalar
from processors.telemetry.promql.overtime import Span
from processors.telemetry.promql.series import Recorded, Series, Source, nameless
from processors.telemetry.promql.values import Matrix, RangeSeries, Value, Vector, unique

SUBQUERY_STEP_MS: Final = 60_000
"""A subquery's step if it names none: Prometheus' default evaluation interval."""


class _Budget:
    """What may still be looked at. Shared with subqueries."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = SAMPLES_MAX

    def spend(self, samples: int, position: int) -> None:
        self.left -= samples
        if self.left < 0:
            raise PromqlError(
                f"this looks at more than {SAMPLES_MAX} values; ask for fewer series or a shorter time", position
            )


class Evaluation:
    """One question, at one or many moments between two times."""

    def __init__(
        self, source: Source, start_ms: int, end_ms: int, *, lookback_ms: int, budget: _Budget | None = None
    ) -> None:
        self._source = source
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._lookback_ms = lookback_ms
        self._budget = budget or _Budget()
        self._selected: dict[tuple[Selector, int], list[Series]] = {}
        self._subqueries: dict[Subquery, list[Series]] = {}

    # ---- by what an expression gives
    def scalar(self, expr: Expr, at_ms: int) -> float:
        match expr:
            case Number(value=value):
                return value
            case Negation(inner=inner):
                return -self.scalar(inner, at_ms)
            case Binary(op=op, left=left, right=right):
                return between_scalars(op, self.scalar(left, at_ms), self.scalar(right, at_ms))
            case Call(function="time"):
                return at_ms / 1000
            case Call(function="scalar", arguments=(argument,)):
                vector = self.vector(argument, at_ms)
                return vector[0][1] if len(vector) == 1 else NAN
            case _:
                raise PromqlError(f"this is a {expr.kind}, no scalar", expr.position)

    def vector(self, expr: Expr, at_ms: int) -> Vector:
        match expr:
            case Selector():
                return Vector((series.labels, value) for series, _, value in self._newest(expr, at_ms))
            case Call():
                return self._call(expr, at_ms)
            case Aggregation(parameter=parameter):
                number = NAN if parameter is None else self.scalar(parameter, at_ms)
                return aggregated(expr, self.vector(expr.inner, at_ms), number)
            case Binary():
                return self._binary(expr, at_ms)
            case Negation(inner=inner, position=position):
                found = ((nameless(labels), -value) for labels, value in self.vector(inner, at_ms))
                return unique(Vector(found), position)
            case Number() | Text() | Window() | Subquery():
                raise PromqlError(f"this is a {expr.kind}, no instant vector", expr.position)
            case _:
                assert_never(expr)

    def matrix(self, expr: Window | Subquery, at_ms: int) -> Matrix:
        """Return all values in a window, each with its own time."""
        series, span = self._windowed(expr, at_ms)
        found = Matrix()
        for one in series:
            times, values = one.window(span.begin_ms, span.end_ms)
            self._budget.spend(len(times), expr.position)
            if times:
                found.append(RangeSeries(one.labels, list(zip(times, values, strict=True))))
        return found

    # ---- series
    def _select(self, selector: Selector, back_ms: int) -> list[Series]:
        key = (selector, back_ms)
        found = self._selected.get(key)
        if found is None:
            from_ms = self._start_ms - selector.offset_ms - back_ms
            to_ms = self._end_ms - selector.offset_ms
            found = list(self._source.select(selector.name, selector.matchers, from_ms, to_ms))
            if len(found) > SERIES_MAX:
                raise PromqlError(f"this selects more than {SERIES_MAX} series", selector.position)
            self._selected[key] = found
        return found

    def _newest(self, selector: Selector, at_ms: int) -> list[tuple[Series, int, float]]:
        series = self._select(selector, self._lookback_ms)
        self._budget.spend(len(series), selector.position)
        moment_ms = at_ms - selector.offset_ms
        oldest_ms = moment_ms - self._lookback_ms
        found: list[tuple[Series, int, float]] = []
        for one in series:
            newest = one.at(moment_ms, oldest_ms)
            if newest is not None:
                found.append((one, *newest))
        return found

    def _windowed(self, expr: Window | Subquery, at_ms: int) -> tuple[list[Series], Span]:
        """Return the series that a window is cut from, and where it stands."""
        if isinstance(expr, Subquery):
            end_ms = at_ms - expr.offset_ms
            series = self._subquery(expr)
        else:
            end_ms = at_ms - expr.selector.offset_ms
            series = self._select(expr.selector, expr.range_ms)
        self._budget.spend(len(series), expr.position)
        return series, Span(end_ms - expr.range_ms, end_ms, expr.range_ms, at_ms)

    def _subquery(self, expr: Subquery) -> list[Series]:
        """Answer the inner expression at all steps that any window of this question needs. Steps are aligned."""
        known = self._subqueries.get(expr)
        if known is None:
            step_ms = expr.step_ms or SUBQUERY_STEP_MS
            oldest_ms = self._start_ms - expr.offset_ms - expr.range_ms
            start_ms = -(-oldest_ms // step_ms) * step_ms
            end_ms = self._end_ms - expr.offset_ms
            inner = Evaluation(self._source, start_ms, end_ms, lookback_ms=self._lookback_ms, budget=self._budget)
            answers = _steps(expr.inner, inner, (start_ms, end_ms, step_ms))
            known = self._subqueries[expr] = [
                Recorded(
                    answer.labels,
                    [time_ms for time_ms, _ in answer.points],
                    [value for _, value in answer.points],
                )
                for answer in answers
            ]
        return known

    # ---- functions and operators
    def _binary(self, node: Binary, at_ms: int) -> Vector:
        if node.left.kind is Kind.SCALAR:
            scalar = self.scalar(node.left, at_ms)
            return with_scalar(node, self.vector(node.right, at_ms), scalar, swapped=True)
        left = self.vector(node.left, at_ms)
        if node.right.kind is Kind.SCALAR:
            return with_scalar(node, left, self.scalar(node.right, at_ms), swapped=False)
        return between_vectors(node, left, self.vector(node.right, at_ms))

    def _call(self, call: Call, at_ms: int) -> Vector:
        arguments = call.arguments
        windows = [argument for argument in arguments if isinstance(argument, Window | Subquery)]
        scalars = tuple(self.scalar(argument, at_ms) for argument in arguments if argument.kind is Kind.SCALAR)
        if windows:
            return self._over_time(call, windows[0], scalars, at_ms)
        if call.function == "vector":
            return Vector([({}, scalars[0])])
        argument = next(argument for argument in arguments if argument.kind is Kind.VECTOR)
        if call.function == "timestamp":
            return unique(self._timestamps(argument, at_ms), call.position)
        return called(call, self.vector(argument, at_ms), scalars)

    def _timestamps(self, argument: Expr, at_ms: int) -> Vector:
        if isinstance(argument, Selector):
            return Vector((series.bare, time_ms / 1000) for series, time_ms, _ in self._newest(argument, at_ms))
        return Vector((nameless(labels), at_ms / 1000) for labels, _ in self.vector(argument, at_ms))

    def _over_time(self, call: Call, expr: Window | Subquery, scalars: tuple[float, ...], at_ms: int) -> Vector:
        series, span = self._windowed(expr, at_ms)
        found = Vector()
        # Series of one name stay apart without it.
        apart = isinstance(expr, Window) and bool(expr.selector.name)
        by_edges = overtime.BY_EDGES.get(call.function)
        if by_edges is not None:
            for one in series:
                edges = one.edges(span.begin_ms, span.end_ms)
                result = None if edges is None else by_edges(edges, span)
                if result is not None:
                    found.append((one.bare, result))
            return found if apart else unique(found, call.position)
        function = overtime.FUNCTIONS.get(call.function)
        named = call.function == "last_over_time"
        for one in series:
            times, values = one.window(span.begin_ms, span.end_ms)
            if not times:
                continue
            if call.function == "absent_over_time":
                return Vector()
            self._budget.spend(len(times), call.position)
            window = overtime.Window(times, values, span)
            result = overtime.WITH_SCALAR[call.function](window, scalars[0]) if function is None else function(window)
            if result is not None:
                found.append((one.labels if named else one.bare, result))
        if call.function == "absent_over_time":
            return Vector([(absent_labels(expr), 1.0)])
        return found if apart else unique(found, call.position)


def instant(expr: Expr, source: Source, at_ms: int, *, lookback_ms: int = LOOKBACK_MS) -> Value:
    """Answer an expression at one moment: a scalar, a text, a vector or a matrix, as its kind says."""
    evaluation = Evaluation(source, at_ms, at_ms, lookback_ms=lookback_ms)
    match expr:
        case Text(value=text):
            return text
        case Window() | Subquery():
            return evaluation.matrix(expr, at_ms)
        case _ if expr.kind is Kind.SCALAR:
            return evaluation.scalar(expr, at_ms)
        case _:
            return evaluation.vector(expr, at_ms)


def ranged(
    expr: Expr, source: Source, start_ms: int, end_ms: int, step_ms: int, *, lookback_ms: int = LOOKBACK_MS
) -> list[RangeSeries]:
    """Answer an expression at each step between two times, both included. A scalar is a series without labels."""
    if expr.kind not in {Kind.SCALAR, Kind.VECTOR}:
        raise PromqlError(f"over time one can ask for a scalar or an instant vector, not for a {expr.kind}")
    evaluation = Evaluation(source, start_ms, end_ms, lookback_ms=lookback_ms)
    return _steps(expr, evaluation, (start_ms, end_ms, step_ms))


def _steps(expr: Expr, evaluation: Evaluation, steps: tuple[int, int, int]) -> list[RangeSeries]:
    start_ms, end_ms, step_ms = steps
    if step_ms <= 0 or end_ms < start_ms:
        raise PromqlError("the end comes after the start, and a step is more than 0", expr.position)
    if (end_ms - start_ms) // step_ms >= STEPS_MAX:
        raise PromqlError(f"at most {STEPS_MAX} points of each series; make the step longer", expr.position)
    found: dict[Hashable, RangeSeries] = {}
    for at_ms in range(start_ms, end_ms + 1, step_ms):
        if expr.kind is Kind.SCALAR:
            found.setdefault(None, RangeSeries({})).points.append((at_ms, evaluation.scalar(expr, at_ms)))
            continue
        for labels, value in evaluation.vector(expr, at_ms):
            key = frozenset(labels.items())
            series = found.get(key)
            if series is None:
                series = found[key] = RangeSeries(labels)
            series.points.append((at_ms, value))
    return list(found.values())
