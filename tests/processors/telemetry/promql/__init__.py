"""PromQL, compared with Prometheus itself."""
