"""Questions and answers as Prometheus' HTTP API has them, so that Grafana can ask the watch instead of it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, assert_never

from processors.telemetry.promql import Matrix, RangeSeries, Selector, Source, Value, Vector, instant, parse, ranged
from streams.watch.questions import WrongError

POINTS_MAX: Final = 11_000
"""Of one series, as in Prometheus itself."""
SERIES_MAX: Final = 5_000
SELECTORS_MAX: Final = 20
BACK_MS: Final = 3_600_000
"""How far back series are looked for if nobody says."""
QUERY_CHARACTERS_MAX: Final = 8_192
_UNITS_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PIECE: Final = re.compile(r"([0-9]{1,9})(ms|[smhdw])")
_TIME_SECONDS_MAX: Final = 253_402_300_799
"""The year 9999 ends then."""


def moment_ms(text: str, name: str) -> int:
    """Return a time: seconds of the epoch, or RFC 3339. Raises `WrongError`."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = datetime.fromisoformat(text).timestamp()
        except ValueError as error:
            raise WrongError(f"`{name}` is neither seconds of the epoch nor an RFC 3339 time") from error
    if not math.isfinite(seconds) or not 0 <= seconds <= _TIME_SECONDS_MAX:
        raise WrongError(f"`{name}` is out of range")
    return int(seconds * 1_000)


def span_ms(text: str, name: str) -> int:
    """Return a duration: seconds, or such as `1m30s`. Raises `WrongError`."""
    pieces = _PIECE.findall(text)
    if pieces and "".join(number + unit for number, unit in pieces) == text:
        found = sum(int(number) * _UNITS_SECONDS[unit] for number, unit in pieces)
    else:
        try:
            found = float(text)
        except ValueError as error:
            raise WrongError(f"`{name}` is no duration; write seconds, or such as 15s or 1m30s") from error
    if not math.isfinite(found) or not 0 < found <= _TIME_SECONDS_MAX:
        raise WrongError(f"`{name}` must be more than nothing")
    return max(1, int(found * 1_000))


def wanted(asked: Mapping[str, str]) -> str:
    """Return the query that is asked. Raises `WrongError`."""
    text = asked.get("query", "")
    if not text.strip() or len(text) > QUERY_CHARACTERS_MAX:
        raise WrongError(f"`query` must have 1 to {QUERY_CHARACTERS_MAX} characters")
    return text


def query(source: Source, asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """Answer `/api/v1/query`. Raises `PromqlError` or `WrongError`."""
    expr = parse(wanted(asked))
    at_ms = moment_ms(asked["time"], "time") if "time" in asked else now_ms
    return _success(*_instant(instant(expr, source, at_ms), at_ms))


def query_range(source: Source, asked: Mapping[str, str]) -> dict[str, Any]:
    """Answer `/api/v1/query_range`. Raises `PromqlError` or `WrongError`."""
    expr = parse(wanted(asked))
    missing = [name for name in ("start", "end", "step") if name not in asked]
    if missing:
        raise WrongError(f"`{missing[0]}` is missing")
    start_ms, end_ms = moment_ms(asked["start"], "start"), moment_ms(asked["end"], "end")
    step_ms = span_ms(asked["step"], "step")
    if end_ms < start_ms:
        raise WrongError("`end` is before `start`")
    if (end_ms - start_ms) // step_ms > POINTS_MAX:
        raise WrongError(f"these are more than {POINTS_MAX} points; ask for a larger `step`")
    found = ranged(expr, source, start_ms, end_ms, step_ms)
    return _success("matrix", [_row(row) for row in found[:SERIES_MAX]])


def series(source: Source, asked: Mapping[str, Sequence[str]], now_ms: int) -> dict[str, Any]:
    """Answer `/api/v1/series`. Raises `PromqlError` or `WrongError`."""
    return {"status": "success", "data": [dict(found) for found in _found(source, asked, now_ms)]}


def labels(source: Source, asked: Mapping[str, Sequence[str]], now_ms: int) -> dict[str, Any]:
    """Answer `/api/v1/labels`: the names of labels."""
    return {"status": "success", "data": sorted({name for found in _found(source, asked, now_ms) for name in found})}


def values(source: Source, name: str, asked: Mapping[str, Sequence[str]], now_ms: int) -> dict[str, Any]:
    """Answer `/api/v1/label/NAME/values`: what Grafana's variables are filled from."""
    found = {one[name] for one in _found(source, asked, now_ms) if name in one}
    return {"status": "success", "data": sorted(found)}


def _found(source: Source, asked: Mapping[str, Sequence[str]], now_ms: int) -> Iterator[Mapping[str, str]]:
    """Yield the labels of the series that any of the selectors finds: all series, if there is none."""
    start_ms = moment_ms(asked["start"][0], "start") if asked.get("start") else now_ms - BACK_MS
    end_ms = moment_ms(asked["end"][0], "end") if asked.get("end") else now_ms
    selectors = asked.get("match[]", ())
    if len(selectors) > SELECTORS_MAX:
        raise WrongError(f"`match[]` stands more than {SELECTORS_MAX} times")
    count = 0
    for text in selectors or ('{__name__=~".+"}',):
        selector = parse(text)
        if not isinstance(selector, Selector):
            raise WrongError('`match[]` must be a selector, such as up{job="worker"}')
        for found in source.select(selector.name, selector.matchers, start_ms, end_ms):
            count += 1
            if count > SERIES_MAX:
                return
            yield found.labels


def error(kind: str, text: str) -> dict[str, Any]:
    """Return an answer that says what is wrong."""
    return {"status": "error", "errorType": kind, "error": text}


def number(value: float) -> str:
    """Return a value as Prometheus writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact


def _success(kind: str, result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def _instant(found: Value, at_ms: int) -> tuple[str, Any]:
    match found:
        case Vector():
            rows = [{"metric": labels, "value": [at_ms / 1_000, number(value)]} for labels, value in found[:SERIES_MAX]]
            return "vector", rows
        case Matrix():
            return "matrix", [_row(row) for row in found[:SERIES_MAX]]
        case str():
            return "string", [at_ms / 1_000, found]
        case float():
            return "scalar", [at_ms / 1_000, number(found)]
        case _:
            assert_never(found)


def _row(row: RangeSeries) -> dict[str, Any]:
    return {"metric": row.labels, "values": [[at_ms / 1_000, number(value)] for at_ms, value in row.points]}
