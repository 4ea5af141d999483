"""The simulation's hops: the real door with touchy records in front, and a second hop that counts.

A record's header `touch` says what it does to a hop: `ingest:raise`, `echo:hang`, `ingest:kill` …
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import Struct
from typing import Final

from processors.dead_letters import condemn
from processors.ingest import IngestHop
from processors.state import value_key
from processors.step import Outcome, Step, format_header
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.record import Record
from tests.simulation.log import ECHO
from tests.simulation.scheduler import ProcessDiedError

TOUCH: Final = "touch"
SEQ: Final = "seq"
"""The header by which the simulation knows a record again, whatever became of it."""
COUNT: Final = Struct(">Q16s")


class HangError(Exception):
    """Stands for a hop that does not answer."""


class PoisonError(Exception):
    """Stands for a bug of a hop that one record meets."""


def header_of(record: Record, wanted: str) -> bytes | None:
    """Return the last header of a name."""
    for name, value in reversed(record.headers):
        if name == wanted:
            return value
    return None


def touch(step: Step, hop: str, topic: str, records: Sequence[Record]) -> None:
    """Do to this hop what a record says."""
    for record in records:
        what = header_of(record, TOUCH)
        if what is None or not what.startswith(hop.encode()) or (topic, record.offset) in step.verdicts:
            continue
        if what.endswith(b"kill"):
            raise ProcessDiedError
        if what.endswith(b"hang"):
            raise HangError
        raise PoisonError(f"a bug that record {record.offset} meets")


@dataclass(frozen=True, slots=True)
class Door:
    """The real ingest hop. A touchy record strikes after the hop has done its work."""

    ingest: IngestHop
    name: str = "ingest"
    inputs: Sequence[str] = (topics.COMMANDS, topics.SIGNALS_IN)

    def step(self, step: Step, topic: str, records: Sequence[Record]) -> None:
        """See `processors.step.Hop.step`."""
        self.ingest.step(step, topic, records)
        touch(step, self.name, topic, records)

    def tick(self, step: Step) -> None:
        """See `processors.step.Hop.tick`."""
        self.ingest.tick(step)


def count_key(tenant: str) -> bytes:
    """Return where the second hop keeps a tenant's count."""
    return value_key(tenant, "echo", b"count")


def chained(before: bytes, seq: bytes) -> bytes:
    """Return a digest of a sequence: what was before, and one more."""
    return blake2b(before + seq, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Echo:
    """Counts signals per tenant and chains their numbers, so that a change of order shows in state."""

    name: str = "echo"
    inputs: Sequence[str] = field(default=(topics.SIGNALS,))

    def step(self, step: Step, topic: str, records: Sequence[Record]) -> None:
        """See `processors.step.Hop.step`."""
        for record in records:
            if verdict := step.verdicts.get((topic, record.offset)):
                condemn(step, self.name, topic, record, verdict)
                continue
            tenant = (record.key or b"").decode()
            if header_of(record, names.BY) is not None:
                # What another hop tells is not what the simulation has sent.
                step.count(self.name, tenant, Outcome.HANDLED)
                continue
            key, seq = count_key(tenant), header_of(record, SEQ) or b""
            count, chain = COUNT.unpack(step.overlay.get(key) or COUNT.pack(0, b""))
            step.overlay.put(key, COUNT.pack(count + 1, chained(chain, seq)))
            value = b"%d" % (count + 1)
            step.emit(ECHO, step.lane, (record.key, value, [(SEQ, seq), format_header(step.write_format)]))
            step.count(self.name, tenant, Outcome.HANDLED)
        touch(step, self.name, topic, records)

    def tick(self, step: Step) -> None:
        """See `processors.step.Hop.tick`."""


def is_moved(record: Record) -> bool:
    """Tell whether a record says that it was moved."""
    return any(name == names.MOVED for name, _ in record.headers)
