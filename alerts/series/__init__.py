"""For each rule series that raise it, and series that must not. Prometheus and the built-in engine get the same."""
