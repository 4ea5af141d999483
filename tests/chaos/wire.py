"""Ask the broker what it knows of offsets and transactions: three requests of Kafka's protocol on a plain socket.

Measuring goes round the client that the workers use, so a fault of that client's cannot hide itself.
"""

import asyncio
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

ANSWER_SECONDS_MAX: Final = 5.0
ANSWER_BYTES_MAX: Final = 1 << 22
ONGOING: Final = "Ongoing"
"""A transaction's state from its first partition until its producer asks to end it."""
_CLIENT: Final = b"hopline-chaos"
_OFFSET_FETCH: Final = (9, 3)
_LIST_OFFSETS: Final = (2, 2)
_DESCRIBE_TRANSACTIONS: Final = (65, 0)
_LATEST: Final = -1
_MORE: Final = 0x80


class AwayError(Exception):
    """The broker does not answer now, or not with what was asked for."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What the coordinator says of one transactional id. Two equal ones are the same transaction."""

    state: str
    started_ms: int
    producer_id: int
    epoch: int


class Wire:
    """One connection to the one broker, made again whenever it breaks. Several tasks take turns."""

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.partition(":")
        self._address = (host, int(port))
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self._sent = 0

    async def committed(self, group: str, topic: str, lanes: int) -> tuple[int, ...]:
        """Return the group's committed offset of each lane; 0 where there is none yet."""
        body = _string(group) + _one_topic(topic, [struct.pack(">i", lane) for lane in range(lanes)])
        answer = await self._ask(_OFFSET_FETCH, body)
        answer.skip(4)  # throttled for
        found = [0] * lanes
        for _ in range(answer.int32()):
            answer.string()
            for _ in range(answer.int32()):
                lane, offset = answer.int32(), answer.int64()
                answer.string()
                _check(answer.int16())
                found[lane] = max(0, offset)
        _check(answer.int16())
        return tuple(found)

    async def ends(self, topic: str, lanes: int, *, stable: bool = False) -> tuple[int, ...]:
        """Return each lane's high watermark, or its last stable offset."""
        partitions = [struct.pack(">iq", lane, _LATEST) for lane in range(lanes)]
        body = struct.pack(">ib", -1, int(stable)) + _one_topic(topic, partitions)
        answer = await self._ask(_LIST_OFFSETS, body)
        answer.skip(4)
        found = [0] * lanes
        for _ in range(answer.int32()):
            answer.string()
            for _ in range(answer.int32()):
                lane = answer.int32()
                _check(answer.int16())
                answer.skip(8)  # timestamp
                found[lane] = answer.int64()
        return tuple(found)

    async def transactions(self, ids: Iterable[str]) -> dict[str, Transaction]:
        """Return what the coordinator says of these transactional ids, as far as it knows them."""
        texts = [text.encode() for text in ids]
        body = _varint(len(texts) + 1) + b"".join(_varint(len(text) + 1) + text for text in texts) + b"\0"
        answer = await self._ask(_DESCRIBE_TRANSACTIONS, body, flexible=True)
        answer.skip(4)
        found = {}
        for _ in range(answer.varint() - 1):
            error, name, state = answer.int16(), answer.compact(), answer.compact()
            answer.skip(4)  # its time-out
            started_ms, producer_id, epoch = answer.int64(), answer.int64(), answer.int16()
            for _ in range(answer.varint() - 1):
                answer.compact()
                answer.skip(4 * (answer.varint() - 1))
                answer.tags()
            answer.tags()
            if not error:
                found[name] = Transaction(state, started_ms, producer_id, epoch)
        return found

    async def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _ask(self, api: tuple[int, int], body: bytes, *, flexible: bool = False) -> "_Answer":
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    return await self._exchange(api, body, flexible=flexible)
            except (OSError, EOFError, TimeoutError, struct.error) as error:
                await self.close()
                raise AwayError(f"{type(error).__name__}: {error}") from error

    async def _exchange(self, api: tuple[int, int], body: bytes, *, flexible: bool) -> "_Answer":
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        self._sent += 1
        head = struct.pack(">hhih", *api, self._sent, len(_CLIENT)) + _CLIENT + (b"\0" if flexible else b"")
        writer.write(struct.pack(">i", len(head) + len(body)) + head + body)
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        if not 4 <= length <= ANSWER_BYTES_MAX:
            raise EOFError(f"an answer of {length} bytes")
        answer = _Answer(await reader.readexactly(length))
        if answer.int32() != self._sent:
            raise EOFError("an answer to another question")
        if flexible:
            answer.tags()
        return answer


def _check(code: int) -> None:
    if code:
        raise AwayError(f"Kafka's error {code}")


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _one_topic(topic: str, partitions: Sequence[bytes]) -> bytes:
    return struct.pack(">i", 1) + _string(topic) + struct.pack(">i", len(partitions)) + b"".join(partitions)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= _MORE:
        found.append(number & 0x7F | _MORE)
        number >>= 7
    found.append(number)
    return bytes(found)


class _Answer:
    """A cursor over an answer's bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def _number(self, form: str, size: int) -> int:
        (found,) = struct.unpack_from(form, self._content, self._at)
        self._at += size
        return int(found)

    def int16(self) -> int:
        return self._number(">h", 2)

    def int32(self) -> int:
        return self._number(">i", 4)

    def int64(self) -> int:
        return self._number(">q", 8)

    def varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._number(">B", 1)
            found |= (byte & 0x7F) << shift
            if byte < _MORE:
                return found
            shift += 7

    def string(self) -> str:
        return self._text(self.int16())

    def compact(self) -> str:
        return self._text(self.varint() - 1)

    def _text(self, length: int) -> str:
        at = self._at
        self._at += max(0, length)
        return self._content[at : self._at].decode()

    def tags(self) -> None:
        """Pass over the tagged fields."""
        for _ in range(self.varint()):
            self.varint()
            self.skip(self.varint())

    def skip(self, count: int) -> None:
        self._at += count
