# ruff: noqa: ARG002  # stand-ins take what the protocols say
"""An owner over one lane in memory: what it does when a hop fails. The simulation has the rest."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from processors.ingest import IngestHop, IngestSettings
from processors.ingest.tenant import Policy
from processors.lane import Commit, LaneSettings
from processors.memory import MemoryStore
from processors.vocabulary import topics
from processors.vocabulary.record import PlainRecord, Record
from streams.lanes.owner import LaneOwner
from streams.lanes.ports import Clocks, Took
from tests.processors.lanes import NOW_MS, event


class Store(MemoryStore):
    """A local store that never had anything."""

    def changelog_offset(self) -> int | None:
        return None

    def clear(self) -> None:
        self.values.clear()

    @override
    def apply(self, changes: Mapping[bytes, bytes | None], changelog_offset: int = 0) -> None:
        del changelog_offset
        super().apply(changes)


@dataclass
class Log:
    """Kafka's side of one lane: an input that is given by hand, and the commits."""

    waiting: list[Record] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)

    async def fence(self, lane: int) -> Any:
        assert lane == 0
        return self

    async def committed(self, lane: int) -> Mapping[str, int]:
        return {}

    async def changelog(self, lane: int, start: int | None) -> AsyncIterator[Any]:
        nothing: tuple[Any, ...] = ()
        for part in nothing:
            yield part

    async def read(self, lane: int, start: Mapping[str, int]) -> Any:
        return self

    async def fetch(self, records_max: int, wait_ms: int) -> Mapping[str, Sequence[Record]]:
        found, self.waiting = self.waiting, []
        if found:
            self.at[topics.SIGNALS_IN] = found[-1].offset + 1
        return {topics.SIGNALS_IN: found} if found else {}

    def positions(self) -> Mapping[str, int]:
        return self.at

    def lag(self) -> Mapping[str, int]:
        return {}

    async def close(self) -> None:
        """Nothing to close."""

    async def commit(self, commit: Commit, *, due: Mapping[str, int]) -> int:
        self.commits.append(commit)
        return len(self.commits)

    async def discard(self) -> None:
        """Nothing to discard."""

    def outputs(self, topic: str) -> list[bytes | None]:
        return [value for commit in self.commits for _, value, _ in commit.outputs.get((topic, 0), ())]


class Agents:
    """Work done at once."""

    async def call(self, hop: str, work: Callable[[], None]) -> None:
        del hop
        work()


class Observer:
    """Remembers failures."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []

    def restored(self, lane: int, done: int, end: int) -> None:
        """Nothing is restored."""

    def began(self, lane: int, records: Mapping[str, int]) -> None:
        """Nothing is done yet."""

    def committed(self, lane: int, commit: Commit, took: Took) -> None:
        """Commits are in the log."""

    def failed(self, lane: int, hop: str, hop_error: BaseException) -> None:
        self.failures.append(hop_error)


async def test_a_record_that_fails_when_it_is_released_is_set_aside_and_the_queue_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from processors.ingest import hop  # noqa: PLC0415  # patched, so it is named whole

    honest = hop._once

    def touchy(door: Any, record: Record, *rest: Any) -> None:
        if b'"bad"' in (record.value or b""):
            raise ZeroDivisionError
        honest(door, record, *rest)

    monkeypatch.setattr(hop, "_once", touchy)
    log, now = Log(), [NOW_MS]
    ingest = IngestHop(IngestSettings(Policy(rate_per_second=1, burst=1)))
    clocks = Clocks(wall_ms=lambda: now[0], steady_ms=lambda: float(now[0]))
    observer = Observer()
    owner = LaneOwner(
        LaneSettings(0, 1, (ingest,)), kafka=log, store=Store(), agents=Agents(), clocks=clocks, observer=observer
    )
    await owner.take_over()
    values = [event(id=name) for name in ("a", "bad", "c")]
    log.waiting = [PlainRecord(topics.SIGNALS_IN, 0, n, NOW_MS, None, value, ()) for n, value in enumerate(values)]
    await owner.turn()
    assert len(log.outputs(topics.SIGNALS)) == 1
    for _ in range(4):
        now[0] += 1_000
        await owner.turn()
    assert log.outputs(topics.DEAD_LETTERS) == [values[1]]
    assert len(log.outputs(topics.SIGNALS)) == 2
    assert observer.failures
    condemned = [commit for commit in log.commits if b"ZeroDivisionError" in commit.journal]
    assert len(condemned) == 1, "a fold of the journal must come to the same"
