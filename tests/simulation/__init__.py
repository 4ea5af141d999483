"""The real lane owner on a simulated Kafka, from a seed: `python -m tests.simulation`, `docs/simulation.md`."""
