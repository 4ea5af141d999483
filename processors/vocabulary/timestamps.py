"""RFC 3339 timestamps: judged as they come in, written from milliseconds of the epoch. Reads no clock."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from processors.vocabulary.limits import TIME_CHARACTERS_MAX

TIME_MS_MAX: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write."""
_SECONDS_REMEMBERED_MAX: Final = 256

# The length of each month is in the expression; February's 29th is looked at apart. RFC 3339 lets T and Z be small.
# A leap second (:60) is let through in any minute: which minutes have one is not known in advance.
_OF_DAY: Final = (
    r"[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_SHAPE: Final = re.compile(
    r"[0-9]{4}-"
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))" + _OF_DAY
).fullmatch
_LEAP_DAY: Final = re.compile(r"([0-9]{4})-02-29" + _OF_DAY).fullmatch


def is_time(text: str) -> bool:
    """Tell whether a text is an RFC 3339 timestamp of a day that exists."""
    if len(text) > TIME_CHARACTERS_MAX:
        return False
    if _SHAPE(text) is not None:
        return True
    found = _LEAP_DAY(text)
    return found is not None and _is_leap_year(int(found[1]))


def rfc3339(time_ms: int) -> str:
    """Write milliseconds of the epoch, such as `2026-11-21T10:11:12.123Z`.

    A moment before 1970 or after 9999, which a producer's clock can claim, is written as the nearest one between.
    """
    second, milliseconds = divmod(min(max(time_ms, 0), TIME_MS_MAX), 1_000)
    return f"{_second(second)}.{milliseconds:03d}Z"


def milliseconds(text: str) -> int:
    """Return the milliseconds of the epoch of a timestamp that `is_time` has found right; 0 for one before."""
    if text.startswith("0000"):
        # A year that RFC 3339 has and the calendar here does not; long before 1970 in any case.
        return 0
    text = text.upper().replace(":60", ":59")
    zone = text[-6:] if text[-1] != "Z" else "+00:00"
    whole, _, fraction = text.removesuffix("Z").removesuffix(zone).partition(".")
    at = datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}{zone}")
    return max(0, round(at.timestamp() * 1_000))


@lru_cache(maxsize=_SECONDS_REMEMBERED_MAX)
def _second(second: int) -> str:
    # Records come in the order of time, so a second is asked for many times over.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _is_leap_year(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
