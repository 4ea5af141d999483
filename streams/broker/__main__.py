"""Run the embedded Kafka alone, in the foreground: `python -m streams.broker`, or `make kafka`."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.broker.errors import BrokerError

LOOK_SECONDS = 0.5


def main() -> int:
    """Start Kafka, say where it is, and keep it until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m streams.broker", description=main.__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".hopline/kafka"), help="default: .hopline/kafka")
    parser.add_argument("--port", type=int, default=0, help="default: a free one, the same at each start")
    parser.add_argument("--heap-megabytes", type=int, default=512, help="default: 512")
    parser.add_argument("--fsync", action="store_true", help="flush each message to the disk before it counts")
    options = parser.parse_args()
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    kafka = EmbeddedKafka(BrokerSettings(options.data_dir, options.port, options.heap_megabytes, options.fsync))
    try:
        address = kafka.start()
        sys.stdout.write(f"Kafka serves at {address} (process {kafka.pid}; log: {kafka.log_path}). Ctrl-C ends it.\n")
        sys.stdout.flush()
        while not asked_to_end.wait(LOOK_SECONDS):
            if kafka.pid is None:
                sys.stderr.write(f"Kafka has ended by itself. Its last words are in {kafka.log_path}.\n")
                return 1
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        kafka.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
