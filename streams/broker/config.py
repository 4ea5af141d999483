"""The embedded broker's settings, its server.properties and its ports."""

import json
import random
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.broker.errors import BrokerError

HOST: Final = "127.0.0.1"
PORT_LOW: Final = 20_000
PORT_HIGH: Final = 29_999
"""Below the range that systems take for outgoing connections: a client that keeps trying to reach a dead broker in that
range can connect to itself, and hold the port."""
PORT_ATTEMPTS_MAX: Final = 200
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
OFFSETS_KEPT_MINUTES: Final = 30 * 24 * 60
COORDINATOR_PARTITIONS: Final = 8
"""Of the two internal topics: Kafka's 50 make the first start slow."""
COORDINATOR_SEGMENT_BYTES: Final = 10 * 1024 * 1024
"""Of the same: only closed segments are compacted, and all of them are read when a broker starts."""
SESSION_MS: Final = 18_000
"""Twice Kafka's default: where there is no second broker, fencing one that merely paused helps nobody. One that was
killed is fenced by `fencing_properties`."""
FENCING_SESSION_MS: Final = 200
_PORTS_FILE: Final = "ports.json"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What a user can choose about the embedded Kafka."""

    data_dir: Path
    port: int = 0
    """0: a free one, the same at each start if it is still free."""
    heap_megabytes: int = 512
    fsync: bool = False
    """Flush each message to the disk before it counts: a power cut then loses nothing either."""
    start_seconds_max: float = 60
    stop_seconds_max: float = 20


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the broker listens, and where its controller does."""

    broker: int
    controller: int


def choose_ports(settings: BrokerSettings) -> Ports:
    """Return the settings' port or the last start's, or free ones where those are taken; remember them."""
    path = settings.data_dir / _PORTS_FILE
    last = _remembered(path)
    if settings.port and not _is_free(settings.port):
        raise BrokerError(
            f"Port {settings.port} of {HOST} is taken by another program. "
            "Choose another (HOPLINE_KAFKA_PORT), or 0 for any."
        )
    broker = settings.port or (last.broker if last and _is_free(last.broker) else _free_port(without=0))
    keeps = last is not None and last.controller != broker and _is_free(last.controller)
    ports = Ports(broker, last.controller if last and keeps else _free_port(without=broker))
    path.write_text(json.dumps({"broker": ports.broker, "controller": ports.controller}), encoding="ascii")
    return ports


def server_properties(settings: BrokerSettings, ports: Ports) -> str:
    """Return the broker's configuration. Paths in it are relative to the data directory, which it runs in."""
    lines = {
        **_node(ports),
        "process.roles": "broker,controller",
        "listeners": f"PLAINTEXT://{HOST}:{ports.broker},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{ports.broker}",
        "inter.broker.listener.name": "PLAINTEXT",
        "broker.session.timeout.ms": SESSION_MS,
        "auto.create.topics.enable": "false",
        "message.max.bytes": MESSAGE_BYTES_MAX,
        "replica.fetch.max.bytes": MESSAGE_BYTES_MAX,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": COORDINATOR_PARTITIONS,
        "offsets.topic.segment.bytes": COORDINATOR_SEGMENT_BYTES,
        "offsets.retention.minutes": OFFSETS_KEPT_MINUTES,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": COORDINATOR_PARTITIONS,
        "transaction.state.log.segment.bytes": COORDINATOR_SEGMENT_BYTES,
        # A transaction whose producer is gone ends soon after its timeout; Kafka looks every 10 s by default.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
        # One group of few members: there is nobody to wait for.
        "group.initial.rebalance.delay.ms": 0,
    }
    if settings.fsync:
        lines["log.flush.interval.messages"] = 1
    return _text(lines)


def fencing_properties(ports: Ports) -> str:
    """Return the configuration of the same node as a controller alone, which gives up a silent broker at once."""
    lines = {
        **_node(ports),
        "process.roles": "controller",
        "listeners": f"CONTROLLER://{HOST}:{ports.controller}",
        "broker.session.timeout.ms": FENCING_SESSION_MS,
        "broker.heartbeat.interval.ms": FENCING_SESSION_MS // 2,
        # It writes so often when there is nothing to write: thus it shows that what came before is written.
        "metadata.max.idle.interval.ms": FENCING_SESSION_MS // 2,
    }
    return _text(lines)


def _node(ports: Ports) -> dict[str, str | int]:
    return {
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": "log",
    }


def _text(lines: dict[str, str | int]) -> str:
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _remembered(path: Path) -> Ports | None:
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        return Ports(int(content["broker"]), int(content["controller"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _free_port(*, without: int) -> int:
    for _ in range(PORT_ATTEMPTS_MAX):
        port = random.randint(PORT_LOW, PORT_HIGH)  # noqa: S311  # not a secret
        if port != without and _is_free(port):
            return port
    raise BrokerError(
        f"No free port between {PORT_LOW} and {PORT_HIGH} on {HOST}. Choose one yourself (HOPLINE_KAFKA_PORT)."
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the broker does it: connections of a broker that was killed may still be closing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
