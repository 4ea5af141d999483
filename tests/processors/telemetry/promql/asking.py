"""Expressions, made up from a seed: all of the subset, in all combinations, most of them with an answer."""

import random
import re
from typing import Final

NAMES: Final = ("signals_total", "wait_seconds_bucket", "wait_seconds_sum", "wait_seconds_count", "lag", "odd", "up")
COUNTERS: Final = ("signals_total", "wait_seconds_count", "wait_seconds_bucket")
LABELS: Final = ("hop", "outcome", "lane", "instance", "job", "le", "version")
RANGES: Final = ("20s", "1m", "1m30s", "5m", "10m", "17s", "30m", "1h", "1h5m")
SUBQUERIES: Final = ("5m:1m", "10m:30s", "3m:1s", "7m:17s", "30m:5m")
OFFSETS: Final = ("1m", "5m", "37s", "-1m", "20m")
CONDITIONS: Final = (
    'hop="ingest"',
    'hop!="ingest"',
    'hop=~"ing.*|skills"',
    'hop!~"(?i)INGEST"',
    'instance=~"w[0-9]"',
    'outcome=~".+"',
    'outcome=""',
    'lane!=""',
    'job="worker"',
    'le="+Inf"',
    'hop=~"[^i].*"',
    'instance=~"w0|g0"',
)
PLAIN: Final = ("abs", "ceil", "floor", "ln", "log2", "log10", "exp", "sqrt", "sgn", "timestamp", "sort", "sort_desc")
OVER_TIME: Final = (
    *("rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets", "avg_over_time", "min_over_time"),
    *("max_over_time", "sum_over_time", "count_over_time", "last_over_time", "present_over_time"),
    *("stddev_over_time", "stdvar_over_time", "absent_over_time"),
)
AGGREGATIONS: Final = ("sum", "min", "max", "avg", "count", "group", "stddev", "stdvar")
ARITHMETIC: Final = ("+", "-", "*", "/", "%", "^")
COMPARISONS: Final = ("==", "!=", ">", "<", ">=", "<=")
NUMBERS: Final = ("0", "1", "2", "0.5", "-1", "10", "0x1f", "1e3", "1e-3", "Inf", "-Inf", "NaN", "3.7", "100")
PIECES: Final = re.compile(r'"[^"]*"|[A-Za-z0-9_.]+|[=!<>]=|[=!]~|\S')


class Asker:
    """One who asks."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def broken(self) -> str:
        """Return an expression with one piece taken out, doubled or put elsewhere: most of them are none any more."""
        pieces = PIECES.findall(self.expression())
        at = self._random.randrange(len(pieces))
        match self._random.randint(0, 3):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, pieces[at])
            case 2:
                pieces.insert(self._random.randrange(len(pieces)), pieces[at])
            case _:
                pieces[at] = self._one(tuple(pieces))
        return " ".join(pieces)

    def expression(self) -> str:
        return self._vector(3) if self._random.random() < 0.95 else self._scalar(3)

    def _one(self, many: tuple[str, ...]) -> str:
        return self._random.choice(many)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _selector(self, names: tuple[str, ...] = NAMES) -> str:
        conditions = self._random.sample(CONDITIONS, self._random.choice((0, 0, 1, 1, 2)))
        if self._chance(0.03):
            return '{__name__=~"wait_seconds_.*",' + ",".join(conditions) + "}"
        return self._one(names) + ("{" + ",".join(conditions) + "}" if conditions else "")

    def _offset(self) -> str:
        return f" offset {self._one(OFFSETS)}" if self._chance(0.15) else ""

    def _matrix(self, depth: int) -> str:
        if depth > 0 and self._chance(0.12):
            return f"({self._vector(depth - 1)})[{self._one(SUBQUERIES)}]{self._offset()}"
        names = COUNTERS if self._chance(0.6) else NAMES
        return f"{self._selector(names)}[{self._one(RANGES)}]{self._offset()}"

    def _scalar(self, depth: int) -> str:
        match self._random.randint(0, 9) if depth > 0 else 0:
            case 7:
                return f"scalar({self._vector(depth - 1)})"
            case 8:
                return f"({self._scalar(depth - 1)} {self._one(ARITHMETIC)} {self._scalar(depth - 1)})"
            case 9:
                return f"({self._scalar(depth - 1)} {self._one(COMPARISONS)} bool time())"
            case _:
                return self._one(NUMBERS)

    def _labels(self) -> str:
        return ", ".join(self._random.sample(LABELS, self._random.randint(0, 3)))

    def _vector(self, depth: int) -> str:
        if depth <= 0:
            return self._selector() + self._offset()
        choices = (
            (10, self._leaf),
            (25, self._windowed),
            (10, self._called),
            (20, self._aggregated),
            (18, self._joined),
            (12, self._with_scalar),
            (6, self._quantile),
            (4, self._relabelled),
            (3, self._other),
        )
        weights = [weight for weight, _ in choices]
        return self._random.choices([make for _, make in choices], weights)[0](depth - 1)

    def _leaf(self, depth: int) -> str:
        assert depth >= 0
        return self._selector() + self._offset()

    def _windowed(self, depth: int) -> str:
        match self._random.randint(0, 11):
            case 0:
                return f"quantile_over_time({self._scalar(1)}, {self._matrix(depth)})"
            case 1:
                return f"predict_linear({self._matrix(depth)}, {self._scalar(1)})"
            case _:
                return f"{self._one(OVER_TIME)}({self._matrix(depth)})"

    def _called(self, depth: int) -> str:
        inner = self._vector(depth)
        match self._random.randint(0, 9):
            case 0:
                return f"round({inner}, {self._one(('0.1', '5', '0', '0.25'))})"
            case 1:
                return f"clamp({inner}, {self._scalar(1)}, {self._scalar(1)})"
            case 2:
                return f"clamp_min({inner}, {self._scalar(1)})"
            case 3:
                return f"clamp_max({inner}, {self._scalar(1)})"
            case 4:
                return f"-{inner}" if not inner.startswith("-") else inner
            case 5:
                return f"round({inner})"
            case _:
                return f"{self._one(PLAIN)}({inner})"

    def _aggregated(self, depth: int) -> str:
        grouping = f"{self._one(('by', 'without', 'BY'))} ({self._labels()})" if self._chance(0.7) else ""
        inner = self._vector(depth)
        match self._random.randint(0, 9):
            case 0:
                inner = f"{self._scalar(1)}, {inner}"
                return f"quantile {grouping} ({inner})"
            case 1:
                # Counted: which ones of equal values are kept is nobody's promise.
                return f"count(topk {grouping} ({self._one(('1', '3', '0', '2.9', 'NaN'))}, {inner}))"
            case 2:
                return f"sum {grouping} (bottomk {grouping} ({self._one(('1', '2', '100'))}, {inner}))"
            case _:
                op = self._one(AGGREGATIONS)
                return f"{op} {grouping} ({inner})" if self._chance(0.5) else f"{op}({inner}) {grouping}"

    def _joined(self, depth: int) -> str:
        if self._chance(0.4):
            labels = self._labels()
            sides = [f"sum by ({labels}) ({self._vector(depth)})" for _ in range(2)]
            modifier = ""
        else:
            sides = [self._vector(depth), self._vector(depth)]
            modifier = f"{self._one(('on', 'ignoring'))} ({self._labels()})" if self._chance(0.6) else ""
        if self._chance(0.35):
            return f"({sides[0]} {self._one(('and', 'or', 'unless'))} {modifier} {sides[1]})"
        op = self._one(ARITHMETIC + COMPARISONS)
        as_bool = "bool" if op in COMPARISONS and self._chance(0.4) else ""
        if modifier and self._chance(0.6):
            include = f"({self._labels()})" if self._chance(0.5) else ""
            modifier = f"{modifier} {self._one(('group_left', 'group_right'))} {include}"
            matched = self._one(("hop", "instance", "hop, instance"))
            one = f"max by ({matched}) ({self._vector(depth)})"
            modifier = f"on ({matched}) " + modifier.split(") ", 1)[1]
            sides = [sides[0], one] if "group_left" in modifier else [one, sides[1]]
        return f"({sides[0]} {op} {as_bool} {modifier} {sides[1]})"

    def _with_scalar(self, depth: int) -> str:
        sides = [self._vector(depth), self._scalar(1)]
        self._random.shuffle(sides)
        op = self._one(ARITHMETIC + COMPARISONS)
        as_bool = "bool" if op in COMPARISONS and self._chance(0.4) else ""
        return f"({sides[0]} {op} {as_bool} {sides[1]})"

    def _quantile(self, depth: int) -> str:
        inner = f"rate(wait_seconds_bucket[{self._one(RANGES)}])" if self._chance(0.8) else self._vector(depth)
        if self._chance(0.7):
            inner = f"sum by (le, {self._one(('hop', 'instance', 'job'))}) ({inner})"
        return f"histogram_quantile({self._one(('0.5', '0.9', '0.99', '0', '1', '-1', '2', 'NaN', '0.25'))}, {inner})"

    def _relabelled(self, depth: int) -> str:
        inner = self._vector(depth)
        if self._chance(0.3):
            return f'label_join({inner}, "{self._one(LABELS)}", "-", "hop", "instance", "nothing")'
        replacement = self._one(("$1", "${1}x", "new", "", "$2-$1", "$$", "$x"))
        pattern = self._one(("(.*)", "(w)([0-9])", "i(.)(.*)", "(?P<x>[a-z]+).*", "ingest|(skills)", "(a*)*"))
        return f'label_replace({inner}, "{self._one(LABELS)}", "{replacement}", "{self._one(LABELS)}", "{pattern}")'

    def _other(self, depth: int) -> str:
        match self._random.randint(0, 3):
            case 0:
                return f"absent({self._vector(depth)})"
            case 1:
                return f'absent(nothing{{hop="x", lane=~"1", job="{self._one(LABELS)}"}})'
            case 2:
                return f"vector({self._scalar(2)})"
            case _:
                return f'absent_over_time(nothing{{hop="x"}}[{self._one(RANGES)}])'
