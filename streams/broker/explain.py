"""Say why a broker ended, from its last words, and what to do about it."""

from collections import deque
from pathlib import Path
from typing import Final

LINES_SHOWN: Final = 12
TAIL_BYTES_MAX: Final = 65_536

_NO_MEMORY: Final = (
    "Kafka was not given the memory it asked for. "
    "Lower its heap (HOPLINE_KAFKA_HEAP_MEGABYTES, now {heap}), or free some."
)
_IN_USE: Final = "Another Kafka uses this data directory. End it, or choose another directory."
_HINTS: Final = (
    ("Could not reserve enough space", _NO_MEMORY),
    ("insufficient memory for the Java Runtime", _NO_MEMORY),
    ("Cannot allocate memory", _NO_MEMORY),
    (
        "Too small maximum heap",
        "Kafka's heap is too small. Raise it (HOPLINE_KAFKA_HEAP_MEGABYTES, now {heap}); 512 is the default.",
    ),
    (
        "Invalid maximum heap size",
        "Kafka's heap cannot be that size (HOPLINE_KAFKA_HEAP_MEGABYTES, now {heap}). 512 is the default.",
    ),
    (
        "OutOfMemoryError",
        "Kafka's heap is too small for its work. Raise it (HOPLINE_KAFKA_HEAP_MEGABYTES, now {heap}).",
    ),
    ("No space left on device", "The disk is full. Free some space, or move the data directory."),
    ("Address already in use", "Its port was taken in the meantime. Start again, or choose one (HOPLINE_KAFKA_PORT)."),
    ("Failed to acquire lock on file .lock", _IN_USE),
    ("UnsupportedClassVersionError", "The Java that was found is too old for Kafka. Install Java 17 or newer."),
    ("Could not find or load main class", "Kafka's jars are not whole. Delete their folder and run `make setup`."),
    ("Read-only file system", "The data directory cannot be written to. Choose another."),
    ("Permission denied", "The data directory cannot be written to. Mend its permissions, or choose another."),
)


def hint(last_words: str, heap_megabytes: int) -> str:
    """Return what to do, as far as the words say it, with a space in front; else nothing."""
    for sign, advice in _HINTS:
        if sign in last_words:
            return " " + advice.format(heap=heap_megabytes)
    return ""


def last_lines(path: Path) -> str:
    """Return the end of a log, without reading all of it."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(stream.tell() - TAIL_BYTES_MAX, 0))
            text = stream.read().decode(errors="replace")
    except OSError as error:
        return f"(no log: {error})"
    # A stack's frames say little to a user, and would push out what does.
    said = (line for line in text.splitlines() if not line.startswith("\tat "))
    return "\n".join(deque(said, maxlen=LINES_SHOWN))
