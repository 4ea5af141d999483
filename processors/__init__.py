"""The pure core: state machines with time and ids as arguments. No clock, no I/O, no Kafka."""

from typing import Final

HOPS: Final = ("ingest", "directives")
"""The hops in flow order. One name, five places: `tests/architecture` checks each of them."""
