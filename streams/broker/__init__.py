"""A real Kafka of our own: its jars, its Java, its process. Nothing else of Hopline knows how it is run."""
