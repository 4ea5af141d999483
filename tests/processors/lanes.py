"""A lane in memory, driven by hand: records in, outputs and state to look at."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from processors.alerting.rule import Threshold
from processors.directives import DirectivesHop, DirectivesSettings
from processors.ingest import IngestHop, IngestSettings
from processors.ingest.tenant import Account, Policy, account_key
from processors.lane import Batch, Commit, LaneSettings, advance
from processors.memory import MemoryStore
from processors.position import Position
from processors.step import Hop, Verdict
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Headers, PlainRecord

NOW_MS: Final = 1_800_000_000_000


def event(tenant: str = "acme", **attributes: Any) -> bytes:
    """Return a structured event."""
    plain = {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "order.created",
        "tenantid": tenant,
        "data": {"total": 12},
    }
    return json.dumps({**plain, **attributes}).encode()


@dataclass(slots=True)
class LaneInMemory:
    """Lane 0 of as many as wanted. `now_ms` is the wall clock."""

    lanes: int = 1
    ingest: IngestSettings = field(default_factory=IngestSettings)
    permissions: frozenset[str] = frozenset({"*"})
    requester_key: bytes = b""
    alerts: Mapping[str, Threshold | None] = field(default_factory=dict)
    more_hops: tuple[Hop, ...] = ()
    now_ms: int = NOW_MS
    position: Position = field(default_factory=Position)
    store: MemoryStore = field(default_factory=MemoryStore)
    commits: list[Commit] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    stays_warm: bool = False
    """Whether what a commit leaves ready is handed on to the next step, as a worker does."""

    @property
    def settings(self) -> LaneSettings:
        """What the lane is told."""
        directives = DirectivesHop(DirectivesSettings(self.ingest, self.permissions, self.requester_key, self.alerts))
        return LaneSettings(0, self.lanes, (IngestHop(self.ingest), directives, *self.more_hops))

    def record(
        self,
        value: bytes | None,
        *,
        topic: str = topics.SIGNALS_IN,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> PlainRecord:
        """Return the next record of a topic."""
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        return PlainRecord(topic, 0, offset, self.now_ms, key, value, headers)

    def step(self, *records: PlainRecord, verdicts: dict[tuple[str, int], Verdict] | None = None) -> Commit:
        """Step a batch and keep what it changed."""
        by_topic: dict[str, list[PlainRecord]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        after = {topic: found[-1].offset + 1 for topic, found in by_topic.items()}
        batch = Batch(by_topic, after, verdicts or {})
        warm = self.commits[-1].warm if self.stays_warm and self.commits else None
        now_ms = max(self.now_ms, self.position.now_ms)
        commit = advance(self.settings, self.position, self.store, batch, now_ms, warm)
        self.store.apply(commit.changes)
        self.position = commit.position
        self.commits.append(commit)
        return commit

    def send(self, *values: bytes | None, **options: Any) -> Commit:
        """Step values as records of `signals.in`."""
        return self.step(*(self.record(value, **options) for value in values))

    def command(self, tenant: str = "acme", id: str = "c1", **data: Any) -> Commit:  # noqa: A002
        """Step a `hopline.tenant.set`."""
        value = event(tenant, id=id, type="hopline.tenant.set", data=data)
        return self.step(self.record(value, topic=topics.COMMANDS))

    def account(self, tenant: str = "acme") -> Account:
        """Return a tenant's account as state has it."""
        return Account.load(self.store.values.get(account_key(tenant)), Policy())

    def outputs(self, topic: str, lane: int = 0) -> list[tuple[bytes | None, bytes | None, dict[str, bytes | None]]]:
        """Return all that was written to a topic's lane so far."""
        return [
            (key, value, dict(headers))
            for commit in self.commits
            for key, value, headers in commit.outputs.get((topic, lane), ())
        ]

    def ids(self) -> list[str]:
        """Return the ids of the signals that the door let in, in their order."""
        signals = self.outputs(topics.SIGNALS)
        return [json.loads(value or b"{}")["id"] for _, value, headers in signals if names.BY not in headers]

    def told(self) -> list[dict[str, Any]]:
        """Return the signals that tell of directives, in their order."""
        return [json.loads(value or b"{}") for _, value, headers in self.outputs(topics.SIGNALS) if names.BY in headers]

    def reasons(self) -> list[str]:
        """Return the reasons of the dead letters, in their order."""
        return [(headers["dl_reason"] or b"").decode() for _, _, headers in self.outputs(topics.DEAD_LETTERS)]


def tenant_of_lane(lane: int, lanes: int) -> str:
    """Return a tenant that lives in that lane."""
    return next(name for n in range(10_000) if lane_of((name := f"tenant-{n}").encode(), lanes) == lane)
