"""Tests against a real Kafka: the embedded one, one in Docker, or one that is there."""
