"""Ask a broker over Kafka's own protocol whether it serves: ApiVersions, then Metadata, on a plain socket."""

import socket
import struct
from dataclasses import dataclass
from typing import Final, Self

ANSWER_BYTES_MAX: Final = 16 << 20
_API_VERSIONS: Final = 18
_METADATA: Final = 3
_METADATA_VERSION: Final = 2
"""The oldest version that carries the cluster's id."""
_CLIENT_ID: Final = b"hopline-probe"
_LENGTH: Final = struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a serving broker says of its cluster."""

    cluster_id: str
    brokers: int
    leaderless: int
    """Partitions that nobody serves: a broker that has just started takes them up one after the other."""


def ask(host: str, port: int, seconds_max: float) -> Cluster | None:
    """Return what the broker says, or None if it does not serve (yet)."""
    try:
        with socket.create_connection((host, port), timeout=seconds_max) as connection:
            connection.settimeout(seconds_max)
            if not _speaks_metadata(_exchange(connection, _API_VERSIONS, 0, b"")):
                return None
            # The absence of a list (-1) asks for all topics.
            return _cluster(_exchange(connection, _METADATA, _METADATA_VERSION, struct.pack(">i", -1)))
    except (OSError, struct.error, UnicodeDecodeError, EOFError):
        return None


def _exchange(connection: socket.socket, api: int, version: int, body: bytes) -> "_Answer":
    request = struct.pack(">hhih", api, version, 1, len(_CLIENT_ID)) + _CLIENT_ID + body
    connection.sendall(_LENGTH.pack(len(request)) + request)
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    if not _LENGTH.size <= length <= ANSWER_BYTES_MAX:
        raise EOFError
    return _Answer(_read(connection, length)).skip(4)  # the correlation id


def _read(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


class _Answer:
    """A cursor over an answer's bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def skip(self, count: int) -> Self:
        self._at += count
        return self

    def number(self, layout: str) -> int:
        value: int
        (value,) = struct.unpack_from(">" + layout, self._content, self._at)
        self._at += struct.calcsize(layout)
        return value

    def text(self) -> str:
        length = self.number("h")
        start, self._at = self._at, self._at + max(length, 0)
        return self._content[start : self._at].decode()


def _speaks_metadata(answer: _Answer) -> bool:
    if answer.number("h") != 0:
        return False
    ranges = [(answer.number("h"), answer.number("h"), answer.number("h")) for _ in range(answer.number("i"))]
    return any(api == _METADATA and low <= _METADATA_VERSION <= high for api, low, high in ranges)


def _cluster(answer: _Answer) -> Cluster | None:
    brokers = answer.number("i")
    for _ in range(brokers):
        answer.skip(4).text()
        answer.skip(4).text()
    cluster_id = answer.text()
    answer.skip(4)  # the controller's id
    leaderless = sum(_leaderless(answer) for _ in range(answer.number("i")))
    # KRaft lists a broker only once it is unfenced, so an empty list means: not ready.
    return Cluster(cluster_id, brokers, leaderless) if brokers > 0 else None


def _leaderless(answer: _Answer) -> int:
    """Read one topic; return how many of its partitions have no leader."""
    answer.skip(2).text()
    answer.skip(1)
    count = 0
    for _ in range(answer.number("i")):
        leader = answer.skip(6).number("i")
        count += leader < 0
        answer.skip(4 * answer.number("i"))  # replicas
        answer.skip(4 * answer.number("i"))  # those in sync
    return count
