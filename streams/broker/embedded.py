"""Start, watch and stop one real Kafka node (KRaft) on this machine, for as long as this process lives.

    data directory/  server.properties  kafka.log  kafka.log.1  kafka.pid  broker.lock  ports.json  log/

After a broker that was killed, its controller first runs alone, for a second or two, until it has fenced that broker.
Otherwise the new one meets its own old registration, and may not register until that one's session is over (9 s by
default). In the moment when it is, no partition has a leader, and the transaction coordinator, already at work, can
drop commit markers that are still to be written ("these partitions are likely deleted already and hence can be
skipped"). A committed transaction then stays open for ever, and readers wait before it: seen after one kill in four.
"""

import base64
import fcntl
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.broker import probe, warm
from streams.broker.config import HOST, BrokerSettings, Ports, choose_ports, fencing_properties, server_properties
from streams.broker.errors import BrokerError
from streams.broker.explain import hint, last_lines
from streams.broker.guarded import Guarded
from streams.broker.jars import Progress, default_cache_dir, ensure_jars, no_progress
from streams.broker.java import find_java, java_environment

FREE_BYTES_MIN: Final = 1 << 30
TOOL_SECONDS_MAX: Final = 60
TOOL_HEAP_MEGABYTES: Final = 128
"""For the steps before the broker, which hold no data."""
FENCE_SECONDS_MAX: Final = 5
"""How long the controller is given, once active, to fence the old broker; on an idle machine it takes 0.2 s."""
FENCE_WRITES: Final = 2
"""Writes to be seen after it has said so: a batch that waited before, and the one with the fencing in it."""
PROBE_SECONDS_MAX: Final = 2
LOCK_SECONDS_MAX: Final = 3
"""How long the data directory is waited for: a broker whose owner was killed takes a moment to end."""
LOOK_SECONDS: Final = 0.05
_SHORT_LIVED: Final = (f"-Xmx{TOOL_HEAP_MEGABYTES}m", "-XX:TieredStopAtLevel=1")
"""Not for the broker itself: it starts a quarter faster so, but then takes a third more time for each record."""
_PROPERTIES: Final = "server.properties"
_FENCING_PROPERTIES: Final = "fencing.properties"


class EmbeddedKafka:
    """One Kafka node over a data directory. `start` gives its address; all methods block."""

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        cache_dir: Path | None = None,
        progress: Progress = no_progress,
        java_options: Sequence[str] | None = None,
    ) -> None:
        self._settings = settings
        self._data_dir = settings.data_dir.expanduser().resolve()
        self._cache_dir = cache_dir or default_cache_dir()
        self._java_options = java_options
        self._progress = progress
        self._broker: Guarded | None = None
        self._ports: Ports | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients, once started."""
        if self._ports is None:
            raise BrokerError("Kafka has not been started.")
        return f"{HOST}:{self._ports.broker}"

    @property
    def pid(self) -> int | None:
        """The JVM's process id while it runs."""
        broker = self._broker
        return broker.pid if broker is not None and broker.exit_code() is None else None

    @property
    def ready(self) -> bool:
        """Whether this broker serves all its partitions now: one exchange over Kafka's protocol."""
        if self.pid is None or self._ports is None:
            return False
        cluster = probe.ask(HOST, self._ports.broker, PROBE_SECONDS_MAX)
        # The id tells ours from another Kafka that took the port.
        return cluster is not None and cluster.cluster_id == self._cluster_id() and cluster.leaderless == 0

    @property
    def log_path(self) -> Path:
        """What Kafka says; the run before is in the file of the same name with `.1`."""
        return self._data_dir / "kafka.log"

    def start(self) -> str:
        """Start the broker, or find it started; return its address once it serves."""
        if self.pid is not None:
            return self.bootstrap
        self._make_room()
        with self._locked() as lock:
            jars = ensure_jars(self._cache_dir, self._progress)
            java = find_java()
            self._ports = choose_ports(self._settings)
            self._write(_PROPERTIES, server_properties(self._settings, self._ports))
            classpath = os.pathsep.join(map(str, jars))
            warmth = warm.options(self._cache_dir, java)
            tool = [*_jvm(java, classpath, warmth), *_SHORT_LIVED]
            if self._cluster_id() is None:
                self._format(tool)
            elif self._was_killed():
                self._write(_FENCING_PROPERTIES, fencing_properties(self._ports))
                self._fence([*tool, "kafka.Kafka", _FENCING_PROPERTIES], lock)
            jvm = _jvm(java, classpath, warmth if self._java_options is None else self._java_options)
            heap = f"-Xmx{self._settings.heap_megabytes}m"
            self._broker = self._launch([*jvm, heap, "kafka.Kafka", _PROPERTIES], lock)
        self._pid_path.write_text(f"{self._broker.pid}\n", encoding="ascii")
        try:
            self._await_ready(self._broker)
        except BaseException:  # boundary: whatever ends the wait, Ctrl-C too, must not leave a half-started broker
            self.stop()
            raise
        return self.bootstrap

    def stop(self) -> None:
        """End the broker in good order; kill it if it takes longer than the settings allow."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.stop()
            self._pid_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the broker as `kill -9` does, and return when it is gone."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.kill()
            self._pid_path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _pid_path(self) -> Path:
        return self._data_dir / "kafka.pid"

    def _make_room(self) -> None:
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BrokerError(f"Kafka's data directory cannot be made: {error}. Choose another.") from error
        free = shutil.disk_usage(self._data_dir).free
        if free < FREE_BYTES_MIN:
            raise BrokerError(
                f"Only {free >> 20} MiB are free at {self._data_dir}, and Kafka needs {FREE_BYTES_MIN >> 20}. "
                "Free some space, or choose another data directory."
            )

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the data directory. Whoever inherits the descriptor goes on holding it."""
        try:
            lock = os.open(self._data_dir / "broker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BrokerError(f"Kafka's data directory cannot be used: {error}. Choose another.") from error
        try:
            deadline = time.monotonic() + LOCK_SECONDS_MAX
            while not _taken(lock):
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"Another Kafka (process {self._other()}) uses {self._data_dir}. "
                        "End it, or use another directory."
                    )
                time.sleep(LOOK_SECONDS)
            yield lock
        finally:
            os.close(lock)

    def _other(self) -> str:
        try:
            return self._pid_path.read_text(encoding="ascii").strip() or "just starting"
        except OSError:
            return "just starting"

    def _write(self, name: str, properties: str) -> None:
        (self._data_dir / name).write_text(properties, encoding="ascii")

    def _cluster_id(self) -> str | None:
        try:
            lines = (self._data_dir / "log" / "meta.properties").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BrokerError(f"Kafka's data directory cannot be read: {error}. Choose another.") from error
        return dict(line.split("=", 1) for line in lines if "=" in line).get("cluster.id")

    def _was_killed(self) -> bool:
        log = self._data_dir / "log"
        return (log / "__cluster_metadata-0").is_dir() and not (log / ".kafka_cleanshutdown").is_file()

    def _format(self, tool: list[str]) -> None:
        cluster_id = new_cluster_id(uuid.uuid4().bytes)
        command = [
            *tool,
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            "-t",
            cluster_id,
            "-c",
            _PROPERTIES,
        ]
        try:
            run = subprocess.run(  # noqa: S603  # all of it is ours
                command,
                cwd=self._data_dir,
                env=java_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                timeout=TOOL_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"Formatting {self._data_dir} took too long. Is the disk busy?") from error
        if run.returncode != 0:
            self.log_path.write_bytes(run.stdout)
            raise self._failure(f"Formatting {self._data_dir} failed (exit code {run.returncode}).")

    def _fence(self, command: list[str], lock: int) -> None:
        """Run the controller alone until it has fenced the broker that was killed."""
        controller = self._launch(command, lock)
        try:
            deadline = time.monotonic() + TOOL_SECONDS_MAX
            active = False
            while controller.exit_code(LOOK_SECONDS) is None and time.monotonic() < deadline:
                said = self.log_path.read_text(encoding="utf-8", errors="replace")
                if "Fencing broker" in said:
                    self._await_writes(controller)
                    return
                if not active and "Performing controller activation" in said:
                    # It was fenced before: killed while it started. Then there is nothing to be seen.
                    active, deadline = True, time.monotonic() + FENCE_SECONDS_MAX
            if not active:
                raise self._failure("Kafka's controller did not become active.")
        finally:
            controller.stop()

    def _await_writes(self, controller: Guarded) -> None:
        """Wait until what the controller has decided is written: what still waits when it ends is lost."""
        deadline = time.monotonic() + FENCE_SECONDS_MAX
        size, writes = self._metadata_bytes(), 0
        while writes < FENCE_WRITES and controller.exit_code(LOOK_SECONDS) is None and time.monotonic() < deadline:
            before, size = size, self._metadata_bytes()
            writes += size != before

    def _metadata_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self._data_dir / "log" / "__cluster_metadata-0").glob("*.log"))

    def _launch(self, command: list[str], lock: int) -> Guarded:
        seconds = self._settings.stop_seconds_max
        return Guarded(command, folder=self._data_dir, log=self.log_path, stop_seconds_max=seconds, lock=lock)

    def _await_ready(self, broker: Guarded) -> None:
        deadline = time.monotonic() + self._settings.start_seconds_max
        while not self.ready:
            code = broker.exit_code(LOOK_SECONDS)
            if code is not None:
                raise self._failure(f"Kafka ended while it started (exit code {code}).")
            if time.monotonic() > deadline:
                raise self._failure(f"Kafka did not answer within {self._settings.start_seconds_max:g} s.")

    def _failure(self, what: str) -> BrokerError:
        words = last_lines(self.log_path)
        advice = hint(words, self._settings.heap_megabytes)
        return BrokerError(f"{what}{advice} The last lines of {self.log_path}:\n{words}")


def new_cluster_id(randomness: bytes) -> str:
    """Return a cluster id of 16 random bytes, as Kafka writes them. One that starts with `-` would be an option."""
    first = randomness[0] & 0x7F
    return base64.urlsafe_b64encode(bytes([first, *randomness[1:]])).decode().rstrip("=")


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _jvm(java: Path, classpath: str, options: Sequence[str]) -> list[str]:
    """Return what all JVMs here have in common; the heap and the class to run follow."""
    return [
        str(java),
        *options,
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        "-cp",
        classpath,
    ]
