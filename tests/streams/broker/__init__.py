"""Tests of the embedded Kafka's parts that need no Kafka."""
