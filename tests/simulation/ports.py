"""The lane owner's ports on the simulated cluster: each request can be lost, late, slow or unanswered.

Between any two requests, and between a request and its answer, other tasks run and processes die.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from processors.lane import Commit
from processors.vocabulary import topics as names
from processors.vocabulary.record import Record
from streams.lanes.ports import LaneLostError, OutcomeUnknownError
from tests.simulation.log import BusyError, Cluster, FencedError, InvalidStateError, Transaction
from tests.simulation.scheduler import Scheduler, sleep, switch

COMMIT_MS_MAX: Final = 15_000
FENCE_MS_MAX: Final = 30_000
SLOW_MS_MAX: Final = 8_000
FETCH_RECORDS_MAX: Final = 14
CHANGELOG_RECORDS_MAX: Final = 25
BUSY_MS: Final = 5

T = TypeVar("T")


@dataclass(slots=True)
class Network:
    """What goes wrong between a client and the cluster. All zero once faults have stopped."""

    chance: random.Random
    lost: float = 0.0
    late: float = 0.0
    unanswered: float = 0.0
    slow: float = 0.0
    stale: float = 0.0
    """Of the topics of a new reader: how many return records from before the seek first."""
    lazy: float = 0.0
    """Of the fetches: how many leave the reader's position before the markers."""
    in_flight: list[Callable[[], None]] = field(default_factory=list)
    """Requests whose sender has given up, and which arrive all the same."""
    counts: dict[str, int] = field(default_factory=dict)

    def calm(self) -> None:
        """No more faults. What is in flight arrives still."""
        self.lost = self.late = self.unanswered = self.slow = self.stale = 0.0

    def hit(self, kind: str, share: float) -> bool:
        """Tell whether this kind of fault strikes now, and count it."""
        if share and self.chance.random() < share:
            self.count(kind)
            return True
        return False

    def count(self, kind: str) -> None:
        """Count something that happened."""
        self.counts[kind] = self.counts.get(kind, 0) + 1


@dataclass(slots=True)
class SimulatedKafka:
    """See `streams.lanes.ports.Kafka`."""

    cluster: Cluster
    network: Network
    scheduler: Scheduler
    inputs: Sequence[str]

    async def request(self, send: Callable[[], T], *, late: Callable[[], object] | None = None) -> T:
        """Carry a request there and its answer back. `late` is what it does if it comes too late."""
        network = self.network
        await switch()
        if network.hit("slow", network.slow):
            await sleep(network.chance.randrange(SLOW_MS_MAX))
        if network.hit("lost", network.lost):
            raise OutcomeUnknownError("the request was lost")
        if late is not None and network.hit("late", network.late):
            network.in_flight.append(lambda: _ignored(late))
            raise OutcomeUnknownError("no answer yet")
        try:
            while True:
                try:
                    answer = send()
                    break
                except BusyError:
                    await sleep(BUSY_MS)
        except FencedError as error:
            raise LaneLostError(str(error)) from error
        except InvalidStateError as error:
            raise OutcomeUnknownError(f"invalid state: {error}") from error
        if network.hit("unanswered", network.unanswered):
            raise OutcomeUnknownError("the answer was lost")
        await switch()
        return answer

    async def fence(self, lane: int) -> "SimulatedWriter":
        """See `streams.lanes.ports.Kafka.fence`."""
        producer = f"lane-{lane}"
        epoch = await self.request(lambda: self.cluster.fence(producer), late=lambda: self.cluster.fence(producer))
        self.scheduler.note(f"lane {lane} fenced, epoch {epoch}")
        return SimulatedWriter(self, lane, producer, epoch)

    async def committed(self, lane: int) -> Mapping[str, int]:
        """See `streams.lanes.ports.Kafka.committed`."""
        return await self.request(lambda: self.group_offsets(lane))

    def group_offsets(self, lane: int) -> dict[str, int]:
        """Return the group's offsets of a lane now."""
        offsets = self.cluster.offsets
        return {topic: offsets[topic, lane] for topic in self.inputs if (topic, lane) in offsets}

    def changelog(self, lane: int, start: int | None) -> AsyncIterator["Part"]:
        """See `streams.lanes.ports.Kafka.changelog`."""
        return Changelog(self, lane, start)

    async def read(self, lane: int, start: Mapping[str, int]) -> "SimulatedReader":
        """See `streams.lanes.ports.Kafka.read`."""
        await switch()
        reader = SimulatedReader(self, lane, start)
        await switch()
        return reader


def _ignored(late: Callable[[], object]) -> None:
    """Carry out a request whose sender does not wait any more."""
    try:
        late()
    except (FencedError, BusyError, InvalidStateError):
        return


@dataclass(frozen=True, slots=True)
class Part:
    """See `streams.lanes.ports.ChangelogBatch`."""

    changes: Mapping[bytes, bytes | None]
    next_offset: int
    end_offset: int
    restart: bool = False


class Changelog:
    """Reads a lane's changelog to its last stable offset, in parts of any size."""

    def __init__(self, kafka: SimulatedKafka, lane: int, start: int | None) -> None:
        self._kafka = kafka
        self._partition = kafka.cluster.partitions[names.STATE, lane]
        self._start = start
        self._at = 0
        self._end: int | None = None

    def __aiter__(self) -> "Changelog":
        return self

    async def __anext__(self) -> Part:
        kafka = self._kafka
        if self._end is None:
            self._end = await kafka.request(self._last)
            start = self._start
            self._at = start if start is not None and start <= self._end else 0
            if start is not None and self._at != start:
                return Part({}, self._at, self._end, restart=True)
        if self._at >= self._end:
            raise StopAsyncIteration
        limit = kafka.network.chance.randrange(1, CHANGELOG_RECORDS_MAX)
        found, after = await kafka.request(lambda: self._partition.read(self._at, limit))
        self._at = after
        return Part({record.key or b"": record.value for record in found}, after, self._end)

    def _last(self) -> int:
        return self._partition.stable


class SimulatedWriter:
    """See `streams.lanes.ports.Writer`."""

    def __init__(self, kafka: SimulatedKafka, lane: int, producer: str, epoch: int) -> None:
        self._kafka = kafka
        self._lane = lane
        self._producer = producer
        self._epoch = epoch

    @property
    def newest(self) -> bool:
        """Whether no other owner has fenced this one so far."""
        return self._kafka.cluster.epochs[self._producer] == self._epoch

    async def commit(self, commit: Commit, *, due: Mapping[str, int]) -> int:
        """See `streams.lanes.ports.Writer.commit`."""
        kafka, scheduler = self._kafka, self._kafka.scheduler
        deadline_ms = scheduler.now_ms + COMMIT_MS_MAX
        transaction = await kafka.request(self._begin)
        ends: list[int] = []
        for send in self._requests(commit, due, ends):
            await kafka.request(send, late=lambda send=send: self._still_open(transaction) and send())
            if scheduler.now_ms > deadline_ms:
                raise OutcomeUnknownError("the transaction takes too long")
        await kafka.request(self._end, late=self._end)
        scheduler.note(f"lane {self._lane} committed {commit.position.sequence}: {commit.records} records")
        return max(ends)

    def _requests(self, commit: Commit, due: Mapping[str, int], ends: list[int]) -> list[Callable[[], object]]:
        """Return the transaction's requests, in any order: they are under way side by side."""
        cluster, lane = self._kafka.cluster, self._lane
        producer, epoch, now_ms = self._producer, self._epoch, commit.position.now_ms
        requests: list[Callable[[], object]] = [
            lambda topic=topic, target=target, outputs=outputs: cluster.produce(
                producer, epoch, topic, target, outputs, now_ms
            )
            for (topic, target), outputs in commit.outputs.items()
        ]
        changes = [(key, value, ()) for key, value in commit.changes.items()]
        # The changelog may go in two produce requests, as large ones do.
        half = self._kafka.network.chance.randrange(len(changes))
        for part in (changes[:half], changes[half:]):
            if part:
                requests.append(
                    lambda part=part: ends.append(cluster.produce(producer, epoch, names.STATE, lane, part, now_ms))
                )
        if commit.journal:
            entry = (b"%d" % lane, commit.journal, ())
            requests.append(lambda: cluster.produce(producer, epoch, names.JOURNAL, lane, (entry,), now_ms))
        if due:
            offsets = {(topic, lane): offset for topic, offset in due.items()}
            requests.append(lambda: cluster.add_offsets(producer, epoch, offsets))
        self._kafka.network.chance.shuffle(requests)
        return requests

    def _begin(self) -> Transaction:
        return self._kafka.cluster.begin(self._producer, self._epoch)

    def _still_open(self, transaction: Transaction) -> bool:
        # Kafka 4 verifies that a produce request belongs to the transaction that is open.
        return transaction.commits is None

    def _end(self) -> None:
        self._kafka.cluster.end(self._producer, self._epoch, commits=True)

    async def discard(self) -> None:
        """See `streams.lanes.ports.Writer.discard`."""
        await switch()


class SimulatedReader:
    """See `streams.lanes.ports.Reader`. It may return what it had fetched before the seek."""

    def __init__(self, kafka: SimulatedKafka, lane: int, start: Mapping[str, int]) -> None:
        self._kafka = kafka
        self._lane = lane
        self._positions: dict[str, int] = {}
        network = kafka.network
        for topic in kafka.inputs:
            at = start.get(topic, 0)
            if at and network.hit("stale", network.stale):
                at -= network.chance.randrange(1, min(at, FETCH_RECORDS_MAX) + 1)
            self._positions[topic] = at

    async def fetch(self, records_max: int, wait_ms: int) -> Mapping[str, Sequence[Record]]:
        """See `streams.lanes.ports.Reader.fetch`."""
        network = self._kafka.network
        await switch()
        if network.hit("lost", network.lost):
            raise OutcomeUnknownError("the fetch was lost")
        found: dict[str, Sequence[Record]] = {}
        asked = [topic for topic in self._positions if network.chance.random() < 0.8]
        for topic in asked:
            limit = min(network.chance.randrange(1, FETCH_RECORDS_MAX), records_max)
            partition = self._kafka.cluster.partitions[topic, self._lane]
            records, after = partition.read(self._positions[topic], limit)
            if records:
                found[topic] = records
                records_max -= len(records)
                if network.hit("lazy", network.lazy):
                    after = records[-1].offset + 1
            self._positions[topic] = after
            if records_max <= 0:
                break
        if found:
            await switch()
        else:
            await sleep(wait_ms)
        return found

    def positions(self) -> Mapping[str, int]:
        """See `streams.lanes.ports.Reader.positions`."""
        return self._positions

    def lag(self) -> Mapping[str, int]:
        """See `streams.lanes.ports.Reader.lag`."""
        return {}

    async def close(self) -> None:
        """See `streams.lanes.ports.Reader.close`."""
        await switch()
