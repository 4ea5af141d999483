"""The demo source: a mix of good, doubled, misplaced and bad signals that knows what must become of each."""

from streams.demo.mix import Expected, Fate, Route, Sample, expected, generate

__all__ = ["Expected", "Fate", "Route", "Sample", "expected", "generate"]
