"""The names of Hopline's topics: each stands here and nowhere else (partitions, retention: `streams/topics.py`)."""

from typing import Final

SIGNALS_IN: Final = "signals.in"
COMMANDS: Final = "commands"
SIGNALS: Final = "signals"
DIRECTIVES: Final = "directives"
AUDIT: Final = "audit"
EXPORTS: Final = "exports"
DATA_KEYS: Final = "data-keys"
ACCESS: Final = "access"
KEY_USE: Final = "key-use"
DEAD_LETTERS: Final = "dead-letters"
STATE: Final = "state"
JOURNAL: Final = "journal"
REPLAYS: Final = "replays"
TELEMETRY: Final = "telemetry"
