"""Draw panels from what Prometheus answers: one SVG, no library. For the docs; Grafana draws the same queries."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from dashboards.row import Panel

WIDTH: Final = 480
HEIGHT: Final = 250
GAP: Final = 12
LEFT: Final = 62
RIGHT: Final = 14
TOP: Final = 40
BOTTOM: Final = 62
TICKS: Final = 4
GAP_STEPS: Final = 2
LEGEND_MAX: Final = 6
"""Series that the legend names: the greatest ones."""
COLOURS: Final = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#c0d8ff")
_PAPER: Final = "#111217"
_PANEL: Final = "#181b1f"
_GRID: Final = "#2c3235"
_TEXT: Final = "#ccccdc"
_FAINT: Final = "#8e8e9b"
_STEPS: Final = (1, 2, 2.5, 5, 10)
_BOTTOMLESS: Final = 1e-9

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line: how the legend calls it, and its values by time."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Drawn:
    """A panel and what was answered to it."""

    panel: Panel
    series: tuple[Series, ...]


def picture(drawn: Sequence[Drawn], *, columns: int = 2, title: str = "") -> str:
    """Return panels side by side as an SVG."""
    rows = -(-len(drawn) // columns)
    width = columns * (WIDTH + GAP) + GAP
    height = rows * (HEIGHT + GAP) + GAP
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Inter,Helvetica,Arial,sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
    ]
    for index, each in enumerate(drawn):
        x = GAP + (index % columns) * (WIDTH + GAP)
        y = GAP + (index // columns) * (HEIGHT + GAP)
        parts += [f'<g transform="translate({x},{y})">', *_panel(each), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(drawn: Drawn) -> Iterator[str]:
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" rx="3" fill="{_PANEL}" stroke="{_GRID}"/>'
    yield _text(14, 24, drawn.panel.title, _TEXT, size=14)
    shown = _stacked(drawn.series) if drawn.panel.stacked else [(each, each.points) for each in drawn.series]
    times = [at for _, points in shown for at, _ in points]
    if not times:
        yield _text(WIDTH / 2, HEIGHT / 2, "no data", _FAINT, anchor="middle")
        return
    first, last = min(times), max(times)
    step = nice(max(value for _, points in shown for _, value in points) / TICKS)
    most = step * TICKS
    yield from _grid(step, drawn.panel.unit, last - first)
    # The lowest last: in a stack each lies before the one above it.
    order = reversed(list(enumerate(shown))) if drawn.panel.stacked else enumerate(shown)
    for index, (_, points) in order:
        for whole in _without_gaps(points):
            placed = [_place(at, value, first, last, most) for at, value in whole]
            yield from _line(placed, COLOURS[index % len(COLOURS)], filled=drawn.panel.stacked)
    yield from _legend([each.name for each, _ in shown][:LEGEND_MAX])


def _stacked(series: Sequence[Series]) -> list[tuple[Series, Points]]:
    """Put each on top of the ones before it."""
    below: dict[float, float] = {}
    result: list[tuple[Series, Points]] = []
    for each in series:
        points: list[tuple[float, float]] = []
        for at, value in each.points:
            below[at] = below.get(at, 0.0) + value
            points.append((at, below[at]))
        result.append((each, points))
    return result


def _without_gaps(points: Points) -> Iterator[list[tuple[float, float]]]:
    """Yield the parts between which nothing was seen: a line across would tell what nobody knows."""
    apart = min((after - at for (at, _), (after, _) in pairwise(points)), default=0.0)
    part: list[tuple[float, float]] = []
    for point in points:
        if part and point[0] - part[-1][0] > GAP_STEPS * apart:
            yield part
            part = []
        part.append(point)
    if part:
        yield part


def _grid(step: float, unit: str, seconds: float) -> Iterator[str]:
    for tick in range(TICKS + 1):
        y = HEIGHT - BOTTOM - tick / TICKS * (HEIGHT - TOP - BOTTOM)
        yield f'<path d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}" stroke="{_GRID}"/>'
        yield _text(LEFT - 6, y + 4, in_unit(tick * step, unit), _FAINT, anchor="end")
    for part in range(3):
        x = LEFT + part / 2 * (WIDTH - LEFT - RIGHT)
        ago = seconds * (1 - part / 2)
        yield _text(x, HEIGHT - BOTTOM + 16, f"-{ago:.0f} s" if part < 2 else "now", _FAINT, anchor="middle")


def _place(at: float, value: float, first: float, last: float, most: float) -> tuple[float, float]:
    across = (at - first) / max(last - first, _BOTTOMLESS)
    up = value / most
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _line(placed: Sequence[tuple[float, float]], colour: str, *, filled: bool) -> Iterator[str]:
    path = "L".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    if filled:
        floor = HEIGHT - BOTTOM
        ends = f"L{placed[-1][0]:.1f},{floor}L{placed[0][0]:.1f},{floor}Z"
        yield f'<path d="M{path}{ends}" fill="{colour}" opacity=".75"/>'
    else:
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _legend(names: Sequence[str]) -> Iterator[str]:
    x, y = float(LEFT), HEIGHT - 24
    for index, name in enumerate(names):
        wide = 22 + 6.4 * len(name)
        if x + wide > WIDTH - RIGHT:
            x, y = float(LEFT), y + 16
        yield f'<rect x="{x:.0f}" y="{y - 4}" width="12" height="3" fill="{COLOURS[index % len(COLOURS)]}"/>'
        yield _text(x + 16, y, name, _TEXT, size=11)
        x += wide


def _text(x: float, y: float, text: str, colour: str, *, size: int = 12, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def nice(step: float) -> float:
    """Return the next round number that is not less."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in _STEPS if factor * power >= step * (1 - _BOTTOMLESS))


def in_unit(value: float, unit: str) -> str:
    """Return a value as Grafana writes it in this unit, about."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return "0 s" if not value else f"{value * 1_000:.3g} ms" if value < 1 else f"{value:.3g} s"
    short = f"{value / 1_000:.3g} k" if value >= 1_000 else f"{value:.3g}"
    return f"{short}/s" if unit.endswith("ps") and unit != "bps" else short
