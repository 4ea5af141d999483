"""The small gateway: CloudEvents over HTTP into `signals.in`, answered once Kafka has them durably."""
