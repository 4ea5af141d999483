"""What a user can act on when the embedded Kafka cannot do what was asked."""


class BrokerError(Exception):
    """The embedded Kafka cannot be fetched, started or stopped; the text says why and what to do."""
