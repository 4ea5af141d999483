"""Spans on their way out: made of plain data after the fact, sent where the settings say, never in the work's way."""

from streams.tracing.tracer import Tracer, tracer_of

__all__ = ["Tracer", "tracer_of"]
