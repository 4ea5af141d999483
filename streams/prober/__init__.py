"""The prober: looks at Kafka and at what lanes have applied, from outside of the workers, and measures."""

from streams.prober.prober import Prober

__all__ = ["Prober"]
