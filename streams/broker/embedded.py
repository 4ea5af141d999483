"""Start, watch and stop one real Kafka node (KRaft) on this machine, for as long as this process lives.

    data directory/  server.properties  kafka.log  kafka.log.1  kafka.pid  broker.lock  ports.json  log/

The JVM is the child of a small guard process (`guard.py`) in a session of its own: the terminal's Ctrl-C does not reach
it, and it ends when we do, however we end.
"""

import base64
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

from streams.broker import probe
from streams.broker.config import HOST, BrokerSettings, Ports, choose_ports, server_properties
from streams.broker.errors import BrokerError
from streams.broker.explain import hint, last_lines
from streams.broker.jars import Progress, ensure_jars, no_progress
from streams.broker.java import find_java, java_environment

FREE_BYTES_MIN: Final = 1 << 30
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
FORMAT_SECONDS_MAX: Final = 60
FORMAT_HEAP_MEGABYTES: Final = 64
PROBE_SECONDS_MAX: Final = 2
LOOK_SECONDS: Final = 0.05
KILL_SECONDS_MAX: Final = 10
"""How long the kernel may take to end what was killed."""
_GUARD: Final = Path(__file__).with_name("guard.py")


class EmbeddedKafka:
    """One Kafka node over a data directory. `start` gives its address; all methods block."""

    def __init__(
        self, settings: BrokerSettings, *, cache_dir: Path | None = None, progress: Progress = no_progress
    ) -> None:
        self._settings = settings
        self._data_dir = settings.data_dir.expanduser().resolve()
        self._cache_dir = cache_dir
        self._progress = progress
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
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
        return self._pid if self._guard is not None and self._guard.poll() is None else None

    @property
    def ready(self) -> bool:
        """Whether this broker answers now: one exchange over Kafka's protocol, at most two seconds."""
        if self.pid is None or self._ports is None:
            return False
        cluster = probe.ask(HOST, self._ports.broker, PROBE_SECONDS_MAX)
        # The id tells ours from another Kafka that took the port.
        return cluster is not None and cluster.cluster_id == self._cluster_id()

    def start(self) -> str:
        """Start the broker, or find it started; return its address once it serves."""
        if self.pid is not None:
            return self.bootstrap
        self._make_room()
        with self._locked() as lock:
            jars = ensure_jars(self._cache_dir, self._progress)
            java = find_java()
            ports = choose_ports(self._settings)
            properties = server_properties(self._settings, ports)
            (self._data_dir / "server.properties").write_text(properties, encoding="ascii")
            classpath = os.pathsep.join(map(str, jars))
            if self._cluster_id() is None:
                self._format(java, classpath)
            self._launch(self._command(java, classpath), lock)
        self._ports = ports
        try:
            self._await_ready()
        except BaseException:  # boundary: whatever ends the wait, Ctrl-C too, must not leave a half-started broker
            self.stop()
            raise
        return self.bootstrap

    def stop(self) -> None:
        """End the broker in good order; kill it if it takes longer than the settings allow."""
        guard, self._guard = self._guard, None
        if guard is None:
            return
        if guard.stdin is not None:
            with suppress(OSError):
                guard.stdin.close()
        try:
            guard.wait(self._settings.stop_seconds_max + KILL_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            # The guard leads a session of its own: the group is the two of them.
            with suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
            guard.wait(KILL_SECONDS_MAX)
        self._forget(guard)

    def kill(self) -> None:
        """End the broker as `kill -9` does, and return when it is gone."""
        guard, pid = self._guard, self.pid
        if guard is None or pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        guard.wait(KILL_SECONDS_MAX)
        self._guard = None
        self._forget(guard)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log_path(self) -> Path:
        """What Kafka says; the run before is in the file of the same name with `.1`."""
        return self._data_dir / "kafka.log"

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
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BrokerError(
                    f"Another Kafka (process {self._other()}) uses {self._data_dir}. End it, or use another directory."
                ) from error
            yield lock
        finally:
            os.close(lock)

    def _other(self) -> str:
        try:
            return self._pid_path.read_text(encoding="ascii").strip() or "just starting"
        except OSError:
            return "just starting"

    def _cluster_id(self) -> str | None:
        try:
            lines = (self._data_dir / "log" / "meta.properties").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BrokerError(f"Kafka's data directory cannot be read: {error}. Choose another.") from error
        return dict(line.split("=", 1) for line in lines if "=" in line).get("cluster.id")

    def _format(self, java: Path, classpath: str) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster_id, "-c", "server.properties"]
        heap = min(FORMAT_HEAP_MEGABYTES, self._settings.heap_megabytes)
        command = [str(java), f"-Xmx{heap}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, *tool]
        try:
            run = subprocess.run(  # noqa: S603  # all of it is ours
                command,
                cwd=self._data_dir,
                env=java_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                timeout=FORMAT_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"Formatting {self._data_dir} took too long. Is the disk busy?") from error
        if run.returncode != 0:
            self.log_path.write_bytes(run.stdout)
            raise self._failure(f"Formatting {self._data_dir} failed (exit code {run.returncode}).")

    def _command(self, java: Path, classpath: str) -> list[str]:
        return [
            str(java),
            f"-Xmx{self._settings.heap_megabytes}m",
            "-XX:+UseSerialGC",
            "-Xshare:auto",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
            "-cp",
            classpath,
            "kafka.Kafka",
            "server.properties",
        ]

    def _launch(self, command: list[str], lock: int) -> None:
        numbers = [str(LOG_BYTES_MAX), str(self._settings.stop_seconds_max), str(lock)]
        guard = subprocess.Popen(  # noqa: S603  # all of it is ours
            [sys.executable, "-I", "-S", str(_GUARD), str(self.log_path), *numbers, *command],
            cwd=self._data_dir,
            env=java_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,
        )
        self._guard = guard
        with cast("IO[bytes]", guard.stdout) as said:
            first = said.readline().strip()
            if not first.isdigit():
                text = (first + b"\n" + said.read()).decode(errors="replace")
                self.stop()
                raise BrokerError(f"Kafka's process could not be started: {text.strip()}")
        self._pid = int(first)
        self._pid_path.write_bytes(first + b"\n")

    def _await_ready(self) -> None:
        guard = self._guard
        deadline = time.monotonic() + self._settings.start_seconds_max
        while guard is not None and not self.ready:
            with suppress(subprocess.TimeoutExpired):
                code = guard.wait(LOOK_SECONDS)
                raise self._failure(f"Kafka ended while it started (exit code {code}).")
            if time.monotonic() > deadline:
                raise self._failure(f"Kafka did not answer within {self._settings.start_seconds_max:g} s.")

    def _failure(self, what: str) -> BrokerError:
        words = last_lines(self.log_path)
        advice = hint(words, self._settings.heap_megabytes)
        return BrokerError(f"{what}{advice} The last lines of {self.log_path}:\n{words}")

    def _forget(self, guard: subprocess.Popen[bytes]) -> None:
        self._pid = None
        self._pid_path.unlink(missing_ok=True)
        if guard.stdin is not None:
            with suppress(OSError):
                guard.stdin.close()
