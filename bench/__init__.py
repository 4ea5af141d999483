"""Benchmarks: what Hopline's work costs, beside the same work done by others, in one run."""
