"""Read series as promtool takes them: `0+10x3` is 0, 10, 20, 30; `_x3` is none three times; `stale` is an end."""

import re
from typing import Final

from processors.telemetry.promql import STALE

_RUN: Final = re.compile(r"(?P<first>-?[\d.]+(?:e[+-]?\d+)?)(?P<step>[+-][\d.]+(?:e[+-]?\d+)?)x(?P<times>\d+)")
_NONE: Final = re.compile(r"_(?:x(?P<times>\d+))?")
_SELECTOR: Final = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})?")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def values(notation: str) -> list[float | None]:
    """Return a value for each step; None where there is none."""
    found: list[float | None] = []
    for word in notation.split():
        if run := _RUN.fullmatch(word):
            first, step = float(run["first"]), float(run["step"])
            value = first
            for _ in range(int(run["times"]) + 1):
                found.append(value)
                value += step
        elif none := _NONE.fullmatch(word):
            found += [None] * int(none["times"] or 1)
        else:
            found.append(STALE if word == "stale" else float(word))
    return found


def selector(text: str) -> tuple[str, dict[str, str]]:
    """Return name and labels."""
    found = _SELECTOR.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return found["name"], dict(_LABEL.findall(found["labels"] or ""))
