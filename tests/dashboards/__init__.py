"""Dashboards: what must hold of them, and that each of their queries gets an answer from a real Prometheus."""
