"""The format versions that a worker can read and write, so that upgrades can roll."""

from typing import Final

NEWEST: Final = 2
OLDEST_READ: Final = 1
"""n and n - 1: every worker reads both and writes the one that the operator's setting names."""


def readable(version: int) -> bool:
    """Tell whether this worker can read records of that version."""
    return OLDEST_READ <= version <= NEWEST
