"""The ledger check: follows what the lanes commit, keeps their books, tells what does not add up.

It stands outside of the workers: it reads with consumers of its own, joins no group and writes nothing to Kafka. While
Kafka is away it waits; then it goes on where it was. When it is too far behind it begins anew with what comes, and
counts the commits that it has left out: what it says, it says of the ones that it has judged.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka.errors import KafkaError

from processors import HOPS, journal
from processors.ledger import EXPLAINED, Books, Finding
from processors.ledger.books import OWN
from processors.ledger.finding import LANE
from processors.ledger.inputs import DOOR
from processors.position import Position
from processors.telemetry import catalogue
from processors.vocabulary import topics as names
from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError, admin_client
from streams.changelog import Changelog, committed_consumer
from streams.ledger import bookmark
from streams.ledger.reader import LedgerReader
from streams.metrics import PROCESS, Metrics
from streams.prober.asking import Place
from streams.settings import KafkaSettings, Settings
from streams.topics import TopicNames

log = logging.getLogger(__name__)

POLL_MS: Final = 200
LOOK_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 10.0
TRIMMED_SECONDS: Final = 20.0
"""How often it is asked whether retention has overtaken the check."""
BACKOFF_SECONDS: Final = 1.0
BACKOFF_SECONDS_MAX: Final = 15.0
BEHIND_MAX: Final = 400_000
"""Records. Further behind, the check begins anew with what comes rather than fall behind for ever."""
SHARE_MAX: Final = 0.35
"""Of the time, at the most, is spent on judging records: a process has other duties, and lanes share the machine."""
HELD_SECONDS: Final = 3_600.0
"""How long a finding stays in the gauge."""
RECENT_MAX: Final = 200

Told = Callable[[Sequence[Finding]], None]


class LedgerCheck:
    """A background part: `run()` until it is cancelled.

    `path` is where it notes how far it is, if it is to. `hurried` is for who has nothing else to do and leaves nothing
    out. `told` hears of each finding.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicNames,
        lanes: int,
        *,
        metrics: Metrics = PROCESS,
        path: Path | None = None,
        told: Told | None = None,
        since_ms: int | None = None,
        hurried: bool = False,
    ) -> None:
        self.books = Books(lanes)
        self.recent: deque[Finding] = deque(maxlen=RECENT_MAX)
        self.found = self.looks = 0
        self.behind = 0
        self.drained = False
        """Whether all that there was has been read and judged, at the last look."""
        self._kafka = kafka
        self._topics = topics
        self._lanes = lanes
        self._path = path
        self._told = told
        self._since_ms = since_ms
        self._hurried = hurried
        self._cluster = ""
        self._first = True
        self._read: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._held: dict[tuple[str, int], deque[tuple[float, int]]] = {}
        self._looked = self._saved = self._asked_begins = 0.0
        self._checked = metrics.gauge(catalogue.LEDGER_CHECKED)
        self._behind = metrics.gauge(catalogue.LEDGER_BEHIND)
        self._commits = metrics.counter(catalogue.LEDGER_COMMITS)
        self._skipped = metrics.counter(catalogue.LEDGER_SKIPPED)
        self._findings = metrics.counter(catalogue.LEDGER_FINDINGS)
        self._counted = (0, 0)
        for hop in (*HOPS, LANE):
            for lane in range(lanes):
                self._checked.of(hop, str(lane)).set(0)

    @classmethod
    def of(
        cls, settings: Settings, bootstrap: str, metrics: Metrics = PROCESS, *, told: Told | None = None
    ) -> "LedgerCheck":
        """Return the check of a cluster as settings have it; it notes in the data folder how far it is."""
        path = settings.data_dir / bookmark.FILE
        kafka = settings.cluster(bootstrap)
        return cls(kafka, settings.topics, settings.lanes, metrics=metrics, path=path, told=told)

    async def run(self) -> None:
        """Check until cancelled, whatever Kafka does."""
        backoff = BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except (KafkaAwayError, TopicsMissingError, TopicMismatchError, KafkaError, OSError) as error:
                log.warning("the ledger check waits %.0f s: %s", backoff, error)
            except Exception:  # boundary: a bug of the check must not end the process that hosts it
                log.exception("the ledger check failed and begins anew")
                self._read.clear()
            backoff = BACKOFF_SECONDS if time.monotonic() - began > BACKOFF_SECONDS_MAX else backoff
            await asyncio.sleep(backoff)
            backoff = min(BACKOFF_SECONDS_MAX, backoff * 2)

    async def _session(self) -> None:
        """Connect, and check until something fails."""
        self.drained = False
        reader = LedgerReader(self._kafka, self._topics, self._lanes)
        try:
            await reader.open()
            await self._place(reader)
            while True:
                await self._round(reader)
        finally:
            if self._path is not None and self._read:
                self._save()
            await reader.close()

    async def _place(self, reader: LedgerReader) -> None:
        """Stand where it was; or where the file says; or at the end of what there is."""
        if not self._cluster:
            async with admin_client(self._kafka) as admin:
                self._cluster = f"{(await admin.describe_cluster())['cluster_id']}/{self._topics.prefix}"
        first, self._first = self._first, False
        begins, ends = await reader.begins(), await reader.ends()
        if self._read and not self._trimmed(begins) and all(at <= ends[place] for place, at in self._read.items()):
            reader.seek(self._read)
        elif first and self._since_ms is not None:
            await self._begin_at(reader, self._since_ms)
        elif not first or not self._resume(reader, begins, ends):
            await self.begin(reader)

    def _resume(self, reader: LedgerReader, begins: dict[Place, int], ends: dict[Place, int]) -> bool:
        known = bookmark.read(self._path, self._cluster) if self._path is not None else None
        if known is None:
            return False
        offsets = {place: known.offsets.get(place[0], {}).get(place[1], -1) for place in reader.places}
        positions = {lane: at for lane in range(self._lanes) if (at := bookmark.position_of(known, lane)) is not None}
        for place, offset in offsets.items():
            topic, lane = place
            if lane in positions and topic in DOOR and offset >= positions[lane].applied.get(topic, 0):
                # What retention has taken of it was judged.
                offsets[place] = max(offset, begins[place])
        if len(positions) < self._lanes or not all(begins[at] <= offsets[at] <= ends[at] for at in offsets):
            return False
        for lane, at in positions.items():
            self.books.begin(lane, at, offsets[names.DIRECTIVES, lane])
        self._seek(reader, offsets)
        return True

    async def begin(self, reader: LedgerReader) -> None:
        """Begin with what is committed from now on."""
        first = await reader.ends()
        async with committed_consumer(self._kafka) as consumer:
            changelog = Changelog(consumer, self._topics.physical(names.STATE), self._lanes)
            positions = await changelog.positions()
        # After the positions: no commit that is fed may lie before them, for inputs are read from there on.
        stable, offsets = await reader.stable(), await reader.ends()
        from_ = {lane: offsets[names.DIRECTIVES, lane] for lane in range(self._lanes)}
        for lane in range(self._lanes):
            base = positions.get(lane)
            applied = base.applied if base is not None else {}
            # Nothing was under way while the position was read: so nothing after it is missed.
            still = all(first[topic, lane] == stable[topic, lane] == offsets[topic, lane] for topic in OWN)
            if still:
                self.books.begin(lane, base, from_[lane])
            else:
                self.books.restart(lane, from_[lane], base.sequence if base is not None else -1)
            for topic in (*DOOR, names.DIRECTIVES):
                offsets[topic, lane] = min(applied.get(topic, 0), offsets[topic, lane])
        self._seek(reader, offsets)

    async def _begin_at(self, reader: LedgerReader, at_ms: int) -> None:
        """Begin with what was committed at a time in the past."""
        offsets = await reader.at_time(at_ms)
        firsts = await self._firsts(reader, offsets)
        for lane in range(self._lanes):
            self.books.restart(lane, offsets[names.DIRECTIVES, lane])
            for topic in (*DOOR, names.DIRECTIVES):
                place = (topic, lane)
                offsets[place] = min(firsts.get(place, offsets[place]), offsets[place])
        self._seek(reader, offsets)

    async def _firsts(self, reader: LedgerReader, offsets: dict[Place, int]) -> dict[Place, int]:
        """Return from where on each input was stepped since, as the journal says."""
        journals = [(names.JOURNAL, lane) for lane in range(self._lanes)]
        ends, found = await reader.stable(), dict[Place, int]()
        reader.seek({place: offsets[place] for place in journals})
        open_ = [place for place in journals if offsets[place] < ends[place]]
        while open_:
            for place, records in (await reader.poll(open_, POLL_MS)).items():
                for record in records:
                    entry = journal.unpack(record.value or b"")
                    for topic, first, _ in entry.ranges if entry is not None else ():
                        found.setdefault((topic, place[1]), first)
            positions = await reader.positions()
            open_ = [place for place in open_ if positions[place] < ends[place]]
        return found

    def _seek(self, reader: LedgerReader, offsets: dict[Place, int]) -> None:
        reader.seek(offsets)
        self._read, self._ends = dict(offsets), dict(offsets)

    async def _round(self, reader: LedgerReader) -> None:
        """Read some, and look when it is time."""
        found = await reader.poll(self._wanted(reader.places), POLL_MS)
        began = time.perf_counter()
        for (topic, lane), records in found.items():
            self.books.take(topic, lane, records)
            self._read[topic, lane] = records[-1].offset + 1
        if self.books.overfull():
            await self._jump(reader, "too much waits to be judged")
            return
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            await self._look(reader)
        # Half of the work is the client's, which this does not see.
        spent = 2 * (time.perf_counter() - began) if found else 0.0
        await asyncio.sleep(0 if self._hurried else min(LOOK_SECONDS, spent * (1 / SHARE_MAX - 1)))

    def _wanted(self, places: Iterable[Place]) -> list[Place]:
        """Return what is to be read: of the door's topics no more than their lanes have stepped.

        Of a lane of which much waits, only the partition that is furthest behind in time: what waits is judged when
        all of them have passed it.
        """
        read, ends, wanted = self._read, self._ends, self.books.wanted
        last: dict[int, Place] = {}
        for lane in range(self._lanes):
            if self.books.full(lane):
                unread = [topic for topic in OWN if read[topic, lane] < ends[topic, lane]]
                if unread:
                    last[lane] = (min(unread, key=lambda topic: self.books.reached_ms(topic, lane)), lane)
        return [
            place
            for place in places
            if (read[place] < wanted(*place) if place[0] in DOOR else last.get(place[1], place) == place)
        ]

    async def _look(self, reader: LedgerReader) -> None:
        positions = await reader.positions()
        for place, at in positions.items():
            self._read[place] = max(self._read[place], at)
        ends = await reader.ends()
        live = {lane for lane in range(self._lanes) if self._read[names.STATE, lane] >= self._ends[names.STATE, lane]}
        self.books.look(ends, self._read, live)
        self._ends, self._looked = ends, time.monotonic()
        self.looks += 1
        self._measure(ends)
        self._tell(self.books.drain())
        await self._keep_up(reader)

    def _measure(self, ends: dict[Place, int]) -> None:
        behind = 0
        for (topic, lane), end in ends.items():
            upto = min(end, self.books.wanted(topic, lane)) if topic in DOOR else end
            behind += max(0, upto - self._read[topic, lane])
        self.behind = behind
        self.drained = behind == 0
        judged, skipped = self.books.judged, self.books.skipped
        self._commits.of().inc(judged - self._counted[0])
        self._skipped.of().inc(skipped - self._counted[1])
        self._counted = (judged, skipped)
        self._behind.of().set(behind)

    def _tell(self, found: Sequence[Finding]) -> None:
        now = time.monotonic()
        for finding in found:
            log.error("ledger: %s (%s)", finding, EXPLAINED[finding.fault])
            self._findings.of(finding.fault.value).inc()
            self._held.setdefault((finding.hop, finding.lane), deque(maxlen=RECENT_MAX)).append(
                (now, max(1, abs(finding.records)))
            )
        self.recent.extend(found)
        self.found += len(found)
        for (hop, lane), held in self._held.items():
            while held and now - held[0][0] > HELD_SECONDS:
                held.popleft()
            self._checked.of(hop, str(lane)).set(sum(records for _, records in held))
        if found and self._told is not None:
            self._told(found)

    async def _keep_up(self, reader: LedgerReader) -> None:
        """Write down how far it is; leave out what it cannot catch up with, or what retention has taken."""
        now = time.monotonic()
        if self._path is not None and now - self._saved > SAVE_SECONDS:
            self._saved = now
            self._save()
        if self.behind > BEHIND_MAX and not self._hurried:
            await self._jump(reader, f"{self.behind} records behind")
        elif now - self._asked_begins > TRIMMED_SECONDS:
            self._asked_begins = now
            if self._trimmed(await reader.begins()):
                await self._jump(reader, "retention has taken records that were not read yet")

    def _trimmed(self, begins: dict[Place, int]) -> bool:
        """Tell whether retention has taken what was still to be read; what its lane has not stepped does not count."""
        wanted = self.books.wanted
        return any(
            self._read[place] < (min(begin, wanted(*place)) if place[0] in DOOR else begin)
            for place, begin in begins.items()
        )

    async def _jump(self, reader: LedgerReader, why: str) -> None:
        log.warning("the ledger check begins anew with what comes: %s", why)
        await self.begin(reader)

    def _save(self) -> None:
        anchors: dict[int, Position] = {}
        for lane, books in enumerate(self.books.lanes):
            if books.anchor is not None:
                anchors[lane] = books.anchor
        offsets = {}
        for place, read in self._read.items():
            needed = self.books.needed_from(*place)
            offsets[place] = read if needed is None else min(read, needed)
        if self._path is not None and len(anchors) == self._lanes:
            bookmark.write(self._path, bookmark.of(self._cluster, anchors, offsets))


def note_of(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON has it."""
    return {
        "fault": finding.fault.value,
        "lane": finding.lane,
        "hop": finding.hop,
        "records": finding.records,
        "at_ms": finding.at_ms,
        "text": finding.text,
        "means": EXPLAINED[finding.fault],
    }
