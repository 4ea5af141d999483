"""Put values into a query's variables as Grafana does. The page, the watch and the tests do it by this.

    fill(query.expr, rate_seconds=20)                                  all tenants, all lanes
    fill(query.expr, rate_seconds=20, values={"tenant": ["acme"]})     one

A variable that no value is given for is «all»: `.+`, which Grafana's variables have as `allValue`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

EVERY: Final = ".+"
SCRAPES_MIN: Final = 4
"""`$__rate_interval` is at least so many scrapes: a rate needs two values, and one may be missed."""
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_SPECIAL: Final = re.compile(r"[\\^$*+?.()|{}\[\]]")


class UnknownVariableError(Exception):
    """A query names a variable that its dashboard has not got."""


def rate_seconds(step_seconds: float, scrape_seconds: float) -> int:
    """Return what `$__rate_interval` is: the step and a scrape more, and four scrapes at the least."""
    exact = max(step_seconds + scrape_seconds, SCRAPES_MIN * scrape_seconds)
    return int(-(-exact // 1))


def variables(expr: str) -> list[str]:
    """Return the variables that a query names, Grafana's own included."""
    return [braced or bare for braced, bare in _VARIABLE.findall(expr)]


def fill(
    expr: str,
    *,
    rate_seconds: int,
    range_seconds: int = 3_600,
    values: Mapping[str, Sequence[str]] | None = None,
    known: frozenset[str] | None = None,
) -> str:
    """Return the query with everything put in. Raises `UnknownVariableError` if `known` has not got one of them."""
    built_in = {
        "__rate_interval": f"{rate_seconds}s",
        "__interval": f"{rate_seconds}s",
        "__range": f"{range_seconds}s",
    }

    def put(found: "re.Match[str]") -> str:
        name = found[1] or found[2]
        if name in built_in:
            return built_in[name]
        if known is not None and name not in known:
            raise UnknownVariableError(f"${name} in {expr}")
        return _pattern((values or {}).get(name, ()))

    return _VARIABLE.sub(put, expr)


def _pattern(chosen: Sequence[str]) -> str:
    """Return a pattern for `=~` that fits these values and no others. It stands between double quotes."""
    if not chosen:
        return EVERY
    exact = [_quoted(value) for value in chosen]
    return exact[0] if len(exact) == 1 else f"({'|'.join(exact)})"


def _quoted(value: str) -> str:
    # Once for the regular expression, then for PromQL's string: no value can leave it.
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", value)
    return escaped.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
