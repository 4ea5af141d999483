"""The names of Hopline's topics: each stands here and nowhere else (partitions, retention: `streams/topics.py`)."""

from typing import Final

SIGNALS_IN: Final = "signals.in"
COMMANDS: Final = "commands"
SIGNALS: Final = "signals"
DIRECTIVES: Final = "directives"
AUDIT: Final = "audit"
DEAD_LETTERS: Final = "dead-letters"
STATE: Final = "state"
JOURNAL: Final = "journal"
REPLAYS: Final = "replays"
TELEMETRY: Final = "telemetry"
