"""What expressions give."""

from dataclasses import dataclass, field
from typing import TypeAlias

from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.series import Labels


class Vector(list[tuple[Labels, float]]):
    """Series with one value each."""


@dataclass(slots=True)
class RangeSeries:
    """A series with a value for each step at which it had one."""

    labels: Labels
    points: list[tuple[int, float]] = field(default_factory=list)


class Matrix(list[RangeSeries]):
    """Series with many values each."""


Value: TypeAlias = Vector | Matrix | float | str


def unique(vector: Vector, position: int) -> Vector:
    """Refuse two series that cannot be told apart: their names were taken away, or their labels rewritten."""
    if len(vector) > 1 and len({frozenset(labels.items()) for labels, _ in vector}) < len(vector):
        raise PromqlError("two series of the answer have the same labels; sum them, or keep a label more", position)
    return vector


def written(labels: Labels) -> str:
    """Return labels as one writes them, for errors."""
    return "{" + ", ".join(f'{label}="{value}"' for label, value in sorted(labels.items())) + "}"
