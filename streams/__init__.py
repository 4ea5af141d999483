"""The shell: Kafka, Faust, HTTP and the command line around the pure core."""
