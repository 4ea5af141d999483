"""Times as people write them on the command line."""

import time
from datetime import UTC, datetime
from typing import Final

from streams.cli.errors import MISUSED, CommandError

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DIGITS_MAX: Final = 9


def moment_or_ago_ms(name: str, text: str | None) -> int | None:
    """Return the milliseconds of the epoch that an option means: a time, or so long ago. Raises `CommandError`."""
    if text is None:
        return None
    if text[:-1].isascii() and text[:-1].isdigit() and text[-1] in _UNITS and len(text) <= _DIGITS_MAX:
        return int((time.time() - int(text[:-1]) * _UNITS[text[-1]]) * 1_000)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        remedy = "write such as 2026-11-21T10:00:00Z, or 15m, 2h, 3d for so long ago"
        raise CommandError(f"{name} {text!r} is no time", remedy, code=MISUSED) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)
