"""Chaos on a real Kafka: workers and broker are killed, stopped and joined under load; then everything is counted."""
