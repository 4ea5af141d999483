"""Everything on one machine: Kafka, topics, workers, gateway, history, watch, source; brought up and ended in order."""

import asyncio
import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Self

import aiohttp

from streams import cluster, secret
from streams.admin import ensure_topics
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.broker.errors import BrokerError
from streams.cli import ports
from streams.cli.children import GuardedChild, Keeper, Program
from streams.cli.errors import CommandError
from streams.cluster import RunningCluster
from streams.gateway.hosts import require_loopback
from streams.settings import KafkaSettings, Loaded, Settings

READY_SECONDS_MAX: Final = 90.0
READY_POLL_SECONDS: Final = 0.1
REQUEST_SECONDS_MAX: Final = 5.0
BROKER_LOOK_SECONDS: Final = 1.0
LOCK: Final = "up.lock"
_PORTS: Final = {"web_port": True, "gateway_port": False, "history_port": False, "watch_port": False}
"""Settings of ports, and whether each worker has one of its own."""
_OK: Final = 200

Tell = Callable[[str], None]


class Stack:
    """What `hopline up` and `hopline demo` start. As a context it is all stopped again, whatever happens."""

    def __init__(
        self, found: Loaded, *, processes: int, tell: Tell, overrides: Mapping[str, str] | None = None
    ) -> None:
        self.settings: Settings = found.settings
        self.bootstrap = ""
        self.gateway_url = ""
        self.history_url = ""
        self.watch_url = ""
        self.worker_urls: tuple[str, ...] = ()
        self._found = found
        self._processes = processes
        self._tell = tell
        self._overrides = dict(overrides or {})
        self._environment: dict[str, str] = {}
        self._data_dir = found.settings.data_dir.expanduser().resolve()
        self._lock = -1
        self._broker: EmbeddedKafka | None = None
        self._watch: asyncio.Task[None] | None = None
        self._workers: list[Keeper] = []
        self._gateway: Keeper | None = None
        self._history: Keeper | None = None
        self._watching: Keeper | None = None
        self._source: Keeper | None = None

    @property
    def kafka(self) -> KafkaSettings:
        """How the cluster is reached."""
        return self.settings.cluster(self.bootstrap)

    @property
    def logs(self) -> Path:
        """Where the children's words are."""
        return self._data_dir / "logs"

    @property
    def keepers(self) -> list[Keeper]:
        """All programs that are kept running."""
        return [*self._workers, *filter(None, (self._gateway, self._history, self._watching, self._source))]

    async def __aenter__(self) -> Self:
        require_loopback(self.settings.host)
        self._lock = _take_lock(self.settings, self._data_dir)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start(self) -> None:
        settings = self.settings
        self.bootstrap = settings.kafka or await self._start_broker()
        self._tell(f"Kafka is at {self.bootstrap}")
        await ensure_topics(
            self.kafka,
            settings.topics,
            lanes=settings.lanes,
            replication=settings.replication,
            min_insync_replicas=settings.min_insync_replicas,
        )
        chosen = self._choose_ports()
        self._environment = {
            **os.environ,
            "HOPLINE_KAFKA": self.bootstrap,
            "HOPLINE_DATA_DIR": str(self._data_dir),
            **{f"HOPLINE_{name.upper()}": str(port) for name, port in chosen.items()},
            **secret.environment(settings),
            **self._overrides,
        }
        self._workers = [self._keeper(f"worker-{slot}", ("streams.worker",), slot) for slot in range(self._processes)]
        self._gateway = self._keeper("gateway", ("streams.gateway",), 0)
        # Nobody waits for these: the pipeline is ready without.
        self._history = self._keeper("history", ("streams.history",), 0)
        # A watch whose settings have become wrong must not end what it looks at.
        self._watching = self._keeper("watch", ("streams.watch",), 0, spare=True)
        for keeper in self.keepers:
            keeper.begin()
        self._leave_word()
        await self._until_ready()
        # Once more: now the processes' ids are known.
        self._leave_word()

    def _choose_ports(self) -> dict[str, int]:
        """Return the ports by their settings' names; say which had to be other ones than those."""
        settings, found, given = self.settings, dict[str, int](), set[int]()
        for name, one_each in _PORTS.items():
            wanted: int = getattr(settings, name)
            count = self._processes if one_each else 1
            found[name], own = ports.choose(self._found, name, count, given=given)
            given.update(range(found[name], found[name] + count))
            if wanted and not own:
                self._tell(f"port {wanted} is taken; {found[name]} is used instead")
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.worker_urls = tuple(f"http://{host}:{found['web_port'] + slot}" for slot in range(self._processes))
        self.gateway_url = f"http://{host}:{found['gateway_port']}"
        self.history_url = f"http://{host}:{found['history_port']}"
        self.watch_url = f"http://{host}:{found['watch_port']}"
        return found

    async def _start_broker(self) -> str:
        settings = self.settings
        self._tell("starting Kafka")
        self._broker = broker = EmbeddedKafka(
            BrokerSettings(
                self._data_dir / "kafka",
                port=settings.kafka_port,
                heap_megabytes=settings.kafka_heap_megabytes,
                fsync=settings.kafka_fsync,
            ),
            progress=lambda done, total, name: self._tell(f"fetching Kafka: {done} of {total}  {name}"),
        )
        starting = asyncio.create_task(asyncio.to_thread(broker.start))
        try:
            bootstrap = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Its thread cannot be cancelled; without its process it ends by itself.
            await asyncio.to_thread(broker.stop)
            with suppress(BrokerError):
                await starting
            raise
        self._watch = asyncio.create_task(self._watch_broker(broker))
        return bootstrap

    async def _watch_broker(self, broker: EmbeddedKafka) -> None:
        """Start the broker again when it has died. Everything else waits for it and goes on."""
        while True:
            await asyncio.sleep(BROKER_LOOK_SECONDS)
            if broker.pid is not None:
                continue
            self._tell(f"Kafka has ended; it is started again. Its log is {broker.log_path}")
            await asyncio.to_thread(broker.stop)
            try:
                await asyncio.to_thread(broker.start)
            except BrokerError as error:
                self._tell(f"Kafka could not be started: {error}")
            else:
                self._tell(f"Kafka is at {broker.bootstrap} again")
                self._leave_word()

    def _keeper(
        self, name: str, arguments: tuple[str, ...], slot: int, *, may_end: bool = False, spare: bool = False
    ) -> Keeper:
        log = self.logs / f"{name}.log"
        program = Program(name, ("-m", *arguments), {**self._environment, "HOPLINE_SLOT": str(slot)})
        start = partial(GuardedChild.start, program, log, self._lock)
        return Keeper(program, start, log=log, tell=self._tell, may_end=may_end, spare=spare)

    async def start_source(self, *, per_second: float, signals: int | None) -> None:
        """Start the demo source: a steady trickle, for ever or up to a number."""
        arguments = ["streams.demo", "--gateway", self.gateway_url, "--rate", str(per_second)]
        if signals is not None:
            arguments += ["--signals", str(signals)]
        self._source = self._keeper("source", tuple(arguments), 0, may_end=True)
        self._source.begin()

    async def _until_ready(self) -> None:
        """Return when all workers and the gateway say that they are ready."""
        waiting = {f"{url}/readyz": keeper for url, keeper in zip(self.worker_urls, self._workers, strict=True)}
        if self._gateway is not None:
            waiting[f"{self.gateway_url}/readyz"] = self._gateway
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        try:
            async with asyncio.timeout(READY_SECONDS_MAX), aiohttp.ClientSession(timeout=timeout) as http:
                while waiting:
                    for url, keeper in list(waiting.items()):
                        if keeper.task.done():
                            await keeper.task
                        if await _is_ready(http, url):
                            del waiting[url]
                    if waiting:
                        await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError as error:
            names = ", ".join(keeper.program.name for keeper in waiting.values())
            raise CommandError(
                f"{names} did not get ready within {READY_SECONDS_MAX:g} s", f"see the logs in {self.logs}"
            ) from error

    def _leave_word(self) -> None:
        cluster.write(
            self.settings,
            RunningCluster(
                bootstrap=self.bootstrap,
                supervisor_pid=os.getpid(),
                broker_pid=self._broker.pid if self._broker else None,
                gateway_url=self.gateway_url,
                worker_urls=self.worker_urls,
                watch_url=self.watch_url,
                pids={keeper.program.name: keeper.pid for keeper in self.keepers if keeper.pid is not None},
            ),
        )

    async def stop(self) -> None:
        """Stop the source, the gateway, the workers and the broker, in this order, each within a bounded time."""
        for group in ([self._source], [self._gateway], self._workers, [self._history, self._watching]):
            await asyncio.gather(*(keeper.stop() for keeper in group if keeper is not None))
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait((self._watch,))
        if self._broker is not None:
            await asyncio.to_thread(self._broker.stop)
        if self._lock >= 0:
            cluster.clear(self.settings)
            os.close(self._lock)
            self._lock = -1


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == _OK
    except (aiohttp.ClientError, TimeoutError):
        return False


def _take_lock(settings: Settings, data_dir: Path) -> int:
    """Hold the data directory; our children go on holding it should we be killed."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CommandError(f"the data directory cannot be used: {error}", "set HOPLINE_DATA_DIR to another") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        running = cluster.read(settings)
        who = f"process {running.supervisor_pid}" if running else "its processes are just starting or ending"
        raise CommandError(
            f"Hopline runs already with the data in {data_dir} ({who})",
            "use it (`hopline topics`, `hopline tail`), end it with Ctrl-C, or set HOPLINE_DATA_DIR to run another",
        ) from error
    return lock
