"""Grafana dashboards as code, one module a hop. What a hop shows stands here as data."""
