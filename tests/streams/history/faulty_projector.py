"""A projector that dies where a test says: `python -m tests.streams.history.faulty_projector MOMENT NUMBER`.

MOMENT is `before` or `after` the database has committed the batch with this number. With `planted` instead of a number
offsets are written on their own, ahead of their rows: the bug that the test must be able to find.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from streams.history import __main__, postgres, sqlite
from streams.history.rows import Row
from streams.history.store import Place


def main() -> int:
    """Plant what the arguments say, and run it."""
    moment, number = sys.argv[1], int(sys.argv[2])
    for kind in (sqlite.SqliteWriter, postgres.PostgresWriter):
        _plant(kind, moment, number)
    return __main__.main()


def _plant(kind: Any, moment: str, number: int) -> None:
    write, written = kind.write, [0]

    def deadly(self: Any, rows: Sequence[Row], offsets: Mapping[Place, int], *, complete_ms: int, share: float) -> None:
        written[0] += bool(rows)
        dies = bool(rows) and written[0] == number
        if dies and moment == "before":
            _die()
        if moment == "planted":
            write(self, (), offsets, complete_ms=complete_ms, share=share)
            if dies:
                _die()
        write(self, rows, offsets, complete_ms=complete_ms, share=share)
        if dies:
            _die()

    kind.write = deadly


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
