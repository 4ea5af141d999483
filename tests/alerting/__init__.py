"""Alerts from fault to channel: real faults, a real Prometheus and Alertmanager, the built-in engine beside them."""
