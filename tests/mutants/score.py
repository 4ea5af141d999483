"""Count what mutmut has found: per core how many changes were noticed, and which were not."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CORES: Final = ("ingest", "directives")
SCORE_MIN: Final = 80
NOTICED: Final = frozenset({1, 3, 24, -24, 36, 152, 255})
"""Exit codes of a mutant's tests: a test failed, or did not end."""
_CHECKED_NOT: Final = frozenset({None, 2, 34})


@dataclass(slots=True)
class Score:
    """One core."""

    killed: int = 0
    total: int = 0
    alive: list[str] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """The share that was noticed."""
        return 100 * self.killed / self.total if self.total else 0.0

    def summary(self) -> dict[str, Any]:
        """Return the numbers."""
        return {"killed": self.killed, "total": self.total, "percent": round(self.percent, 1)}


def scores(folder: Path, module: str = "") -> dict[str, Score]:
    """Return the score of each core, or of the part of one whose modules' names begin so."""
    found: dict[str, Score] = {}
    for core in CORES:
        for path in sorted((folder / "processors" / core).rglob("*.py.meta")):
            for name, code in json.loads(path.read_text("utf-8"))["exit_code_by_key"].items():
                if code in _CHECKED_NOT or not name.startswith(module):
                    continue
                score = found.setdefault(core, Score())
                score.total += 1
                if code in NOTICED:
                    score.killed += 1
                else:
                    score.alive.append(name)
    return found
