"""One batch of one lane on its way through the hops: what it reads, what it will write, what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Final, Protocol, TypeAlias

from processors.state import Overlay
from processors.telemetry.event import Event, Told, Value, told
from processors.telemetry.trace import NOTED_MAX, SLOW_NOTED_MAX, Span
from processors.vocabulary import headers as names
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import Header, Record

Output: TypeAlias = tuple[bytes | None, bytes | None, list[Header]]
"""Key, value, headers (a list, as aiokafka's builder insists). The topic and lane are what `Step.outputs` groups by."""

Warm: TypeAlias = dict[str, dict[str, Any]]
"""For each hop what it knows of the lane's state in a form that is ready for use, by names of its own.

It is a copy: the same comes out without it. Whoever steps hands it over; a step that is dropped takes it along.
"""

STACK_CHARACTERS_MAX: Final = 4_000
"""Of the stack that a dead letter and the journal keep: its end, where the error is."""
LOOPS_MAX: Final = 10_000
"""Records stepped again in the same transaction, at the most."""


class Outcome(StrEnum):
    """How a record ended at a hop. Closed: the ledger adds these up to what came in."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    MOVED = "moved"
    DEFERRED = "deferred"
    DEAD = "dead_lettered"
    OUT_OF_SCOPE = "out_of_scope"
    REJECTED = "rejected"
    """A directive that must not be carried out; only the directives hop ends records so."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A record that must not be stepped (again): why, and what it did to its hop."""

    reason: Reason
    stack: str = ""


class CulpritError(Exception):
    """A record that waited in state fails whenever a tick takes it up; its cause says how."""

    def __init__(self, topic: str, offset: int) -> None:
        super().__init__(f"the record {topic}/{offset} that waited fails when it is released")
        self.topic = topic
        self.offset = offset


@dataclass(slots=True)
class Step:
    """Mutable, and alive for one batch only: a batch that fails is dropped with all of it."""

    lane: int
    lanes: int
    now_ms: int
    sequence: int
    write_format: int
    overlay: Overlay
    warm: Warm = field(default_factory=dict)
    verdicts: Mapping[tuple[str, int], Verdict] = field(default_factory=dict)
    outputs: dict[tuple[str, int], list[Output]] = field(default_factory=dict)
    looped: dict[str, int] = field(default_factory=dict)
    """For each topic how many of this batch's own outputs were stepped at once."""
    backlog: dict[str, int] = field(default_factory=dict)
    """For each topic how many of the lane's own outputs wait to be read back."""
    tally: dict[tuple[str, Outcome], dict[str, int]] = field(default_factory=dict)
    """By hop and outcome: for each tenant how many records."""
    handled_ms: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    """Events that are written with what they tell of, in one transaction."""
    dead: dict[tuple[str, str, Reason, str], list[int]] = field(default_factory=dict)
    """By hop, tenant, reason and topic: how many records were set aside, the first one's and the last one's offset."""
    replayed: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """By hop, tenant and replay: how many signals were let in again."""
    ended: dict[tuple[str, str], int] = field(default_factory=dict)
    """Directives by kind and status."""
    late_ms: dict[str, list[int]] = field(default_factory=dict)
    """By hop: how late each was that fell due."""
    spans_noted: int = 0
    """Of them, those that nobody sampled."""
    spans_slow: int = 0
    """Signals that nobody sampled and that are slow, whether there is room for them or not."""
    spans_dropped: int = 0
    slow_before_ms: int = 0
    """A record that entered the log before this is slow."""
    due_ms: int | None = None

    def emit(self, topic: str, lane: int, output: Output) -> None:
        """Add a record to what the transaction will write."""
        group = self.outputs.get((topic, lane))
        if group is None:
            group = self.outputs[topic, lane] = []
        group.append(output)

    def count(self, hop: str, tenant: str, outcome: Outcome, by: int = 1) -> None:
        """Add to the tally of a hop."""
        tenants = self.tally_of(hop, outcome)
        tenants[tenant] = tenants.get(tenant, 0) + by

    def tally_of(self, hop: str, outcome: Outcome) -> dict[str, int]:
        """Return the tally of one outcome by tenant, to be added to."""
        tenants = self.tally.get((hop, outcome))
        if tenants is None:
            tenants = self.tally[hop, outcome] = {}
        return tenants

    def tell(
        self,
        event: Event,
        measurements: Mapping[str, float] | None = None,
        metadata: Mapping[str, Value] | None = None,
        *,
        hop: str,
        tenant: str,
        id: str = "",  # noqa: A002  # what it is called in the record
    ) -> None:
        """Tell of something that this commit does: whoever reads the one reads the other."""
        self.told.append(
            told(event, self.now_ms, measurements, metadata, hop=hop, lane=self.lane, tenant=tenant, id=id)
        )

    def may_note(self, *, slow: bool = False) -> bool:
        """Tell whether there is room for a span that nobody sampled; count it either way."""
        if slow:
            self.spans_slow += 1
        if self.spans_noted < NOTED_MAX and not (slow and self.spans_slow > SLOW_NOTED_MAX):
            self.spans_noted += 1
            return True
        self.spans_dropped += 1
        return False

    def wake_at(self, due_ms: int) -> None:
        """Ask for a tick no later than then."""
        if self.due_ms is None or due_ms < self.due_ms:
            self.due_ms = due_ms


class Hop(Protocol):
    """A state machine over one lane's records."""

    @property
    def name(self) -> str:
        """One of `processors.HOPS`."""

    @property
    def inputs(self) -> Sequence[str]:
        """The topics it reads, in the order in which a batch steps them."""

    def step(self, step: Step, topic: str, records: Sequence[Record]) -> None:
        """Step the records of one topic, in their order. Raising drops the whole batch."""

    def tick(self, step: Step) -> None:
        """Do what has fallen due. Called before the records of each batch, and when idle."""


@cache
def format_header(version: int) -> Header:
    """Return the header that says in which format version a record is written."""
    return (names.FORMAT, b"%d" % version)
