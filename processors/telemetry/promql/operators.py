"""Operators between vectors and scalars, and which series of both sides belong together."""

from collections.abc import Callable, Hashable
from typing import Final

from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.nodes import Binary, Matching, Side
from processors.telemetry.promql.numbers import ARITHMETIC, COMPARE
from processors.telemetry.promql.series import NAME, Labels, nameless
from processors.telemetry.promql.values import Vector, unique, written

_OPPOSITE: Final = {Side.NEITHER: "right", Side.LEFT: "right", Side.RIGHT: "left"}


def between_scalars(op: str, left: float, right: float) -> float:
    """Work on two numbers."""
    compare = COMPARE.get(op)
    return float(compare(left, right)) if compare is not None else ARITHMETIC[op](left, right)


def with_scalar(node: Binary, vector: Vector, scalar: float, *, swapped: bool) -> Vector:
    """Work on each series' value. Swapped: the scalar stands on the left."""
    compare = COMPARE.get(node.op)
    found = Vector()
    if compare is None:
        work = ARITHMETIC[node.op]
        for labels, value in vector:
            result = work(scalar, value) if swapped else work(value, scalar)
            found.append((nameless(labels), result))
        return unique(found, node.position)
    for labels, value in vector:
        holds = compare(scalar, value) if swapped else compare(value, scalar)
        if node.as_bool:
            found.append((nameless(labels), float(holds)))
        elif holds:
            found.append((labels, value))
    return unique(found, node.position) if node.as_bool else found


def between_vectors(node: Binary, left: Vector, right: Vector) -> Vector:
    """Work on the series of both sides that belong together."""
    key = _key(node.matching)
    match node.op:
        case "and":
            keys = {key(labels) for labels, _ in right}
            return Vector(one for one in left if key(one[0]) in keys)
        case "unless":
            keys = {key(labels) for labels, _ in right}
            return Vector(one for one in left if key(one[0]) not in keys)
        case "or":
            keys = {key(labels) for labels, _ in left}
            return unique(Vector([*left, *(one for one in right if key(one[0]) not in keys)]), node.position)
        case _:
            return _joined(node, left, right, key) if left and right else Vector()


def _key(matching: Matching) -> Callable[[Labels], Hashable]:
    """Return what tells by its labels which others a series belongs to. A label that is not there is empty."""
    if matching.on:
        names = matching.labels
        return lambda labels: tuple([labels.get(name, "") for name in names])
    left_out = {NAME, *matching.labels}
    return lambda labels: frozenset([item for item in labels.items() if item[0] not in left_out])


def _joined(node: Binary, left: Vector, right: Vector, key: Callable[[Labels], Hashable]) -> Vector:
    swapped = node.matching.many is Side.RIGHT
    many, one = (right, left) if swapped else (left, right)
    ones: dict[Hashable, tuple[Labels, float]] = {}
    for element in one:
        group = key(element[0])
        if group in ones:
            raise PromqlError(
                f"several series on the {_OPPOSITE[node.matching.many]} side of `{node.op}` belong to one of the "
                f"other: {written(ones[group][0])} and {written(element[0])}; sum them, or match by a label more",
                node.position,
            )
        ones[group] = element
    compare = COMPARE.get(node.op)
    found = Vector()
    taken: set[Hashable] = set()
    for labels, value in many:
        group = key(labels)
        other = ones.get(group)
        if other is None:
            continue
        lower, upper = (other[1], value) if swapped else (value, other[1])
        if compare is None:
            result = ARITHMETIC[node.op](lower, upper)
        elif node.as_bool:
            result = float(compare(lower, upper))
        elif compare(lower, upper):
            result = lower
        else:
            continue
        result_labels = _labels(node, labels, other[0])
        mark = group if node.matching.many is Side.NEITHER else (group, frozenset(result_labels.items()))
        if mark in taken:
            raise PromqlError(_twice(node, labels), node.position)
        taken.add(mark)
        found.append((result_labels, result))
    return unique(found, node.position)


def _twice(node: Binary, labels: Labels) -> str:
    if node.matching.many is Side.NEITHER:
        return (
            f"several series on the left side of `{node.op}` belong to one of the right, {written(labels)} among "
            "them; write group_left or group_right after on(…) or ignoring(…)"
        )
    return f"`{node.op}` with {node.matching.many} gives {written(labels)} twice: its labels must keep them apart"


def _labels(node: Binary, labels: Labels, other: Labels) -> Labels:
    """Return the labels of a result; `labels` are those of the side that may have many."""
    matching = node.matching
    if matching.many is Side.NEITHER:
        if matching.on:
            kept = {name: labels[name] for name in matching.labels if name in labels}
        elif matching.labels:
            kept = {name: value for name, value in labels.items() if name not in matching.labels}
        else:
            kept = labels
    elif matching.include:
        kept = {name: value for name, value in labels.items() if name not in matching.include}
        kept |= {name: other[name] for name in matching.include if name in other}
    else:
        kept = labels
    return nameless(kept) if node.as_bool or node.op in ARITHMETIC else kept
