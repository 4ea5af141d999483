"""Tests of history: rows, filters, databases, the projector."""
