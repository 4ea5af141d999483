"""A directive whose work is spread over several commits, across deaths: it runs, ends, and has done it all once."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from processors.directives import audit
from processors.directives.record import ENDED, RUNNING, Directive, Status, prefix, unpack
from processors.state import Overlay, Store
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Header
from tests.simulation.hops import SEQ
from tests.simulation.log import Cluster
from tests.simulation.scheduler import sleep
from tests.simulation.violation import ensure

FIRST: Final = 2_000_000
"""Their numbers begin here, so that nobody takes them for somebody else's."""
TENANT: Final = "spread"
CLEAR: Final = "hopline.state.clear"
SET: Final = "hopline.tenant.set"


@dataclass(slots=True)
class Clearer:
    """Fills a tenant's state with answers, then has them cleared while more come."""

    chance: random.Random
    cluster: Cluster
    clock: Callable[[], int]
    clears: set[str] = field(default_factory=set)
    sent: int = 0
    done: bool = False

    async def run(self) -> None:
        """Ask for some changes, and now and then for a clearing."""
        for _ in range(self.chance.randrange(6, 25)):
            if self.sent > 3 and self.chance.random() < 0.15:
                self.clears.add(f"k{self.sent}")
                self._send(CLEAR, {"hops": ["directives"]})
            else:
                self._send(SET, {"burst": self.sent + 1})
            await sleep(self.chance.randrange(400))
        self.done = True

    def _send(self, name: str, data: dict[str, Any]) -> None:
        event = {
            "specversion": "1.0",
            "id": f"spread-{self.sent}",
            "source": "/simulation/spread",
            "type": name,
            "tenantid": TENANT,
            "idempotencykey": f"k{self.sent}",
            "data": data,
        }
        headers: list[Header] = [(SEQ, b"%d" % (FIRST + self.sent))]
        lane = lane_of(TENANT.encode(), self.cluster.lanes)
        self.sent += 1
        self.cluster.send(topics.COMMANDS, lane, None, json.dumps(event).encode(), headers, self.clock())

    def check(self, store_of: Callable[[int], Store]) -> dict[str, int]:
        """Raise on the first rule that does not hold."""
        lane = lane_of(TENANT.encode(), self.cluster.lanes)
        records = self.cluster.partitions[topics.AUDIT, lane].committed()
        lines = [record for record in records if record.key == TENANT.encode()]
        entries = [audit.read(line.value or b"") for line in sorted(lines, key=lambda line: line.offset)]
        ensure(not audit.broken(line.value or b"" for line in lines), "spread", "the chain is broken")
        counts = {"spread_running": 0, "spread_cleared": 0}
        cleared, finished = 0, 0
        for at, entry in enumerate(entries):
            finished += entry.outcome not in {Status.RUNNING, Status.REQUESTED}
            if entry.outcome is Status.RUNNING:
                counts["spread_running"] += 1
                ends = [later.outcome for later in entries[at + 1 :] if later.key == entry.key]
                ensure(ends == [Status.SUCCEEDED], "spread", f"{entry.key} ran, and then it was {ends}")
            elif entry.key in self.clears:
                cleared += entry.before["directives"]["answers"]
        counts["spread_cleared"] = cleared
        self._check_left(store_of(lane), finished - cleared)
        return counts

    def _check_left(self, store: Store, wanted: int) -> None:
        """What was not cleared is there, and one reminder each to forget it; nothing runs."""
        left: list[Directive] = [unpack(packed) for _, packed in store.scan(prefix(TENANT), 10_000)]
        overlay = Overlay(store)
        ensure(RUNNING.first_ms(overlay) is None, "spread", "something runs still")
        ensure(all(one.status is not Status.RUNNING for one in left), "spread", "something is left as running")
        reminders = [
            name for _, name in ENDED.due(overlay, 1 << 62, 10_000) if name.startswith(TENANT.encode() + b"\0")
        ]
        keys = sorted(f"{TENANT}\0{one.key}".encode() for one in left)
        ensure(keys == sorted(reminders), "spread", f"{len(left)} answers are kept, {len(reminders)} to be forgotten")
        # Those that were forgotten because their week was over are no longer there either.
        ensure(len(left) <= wanted, "spread", f"{len(left)} answers are left, and {wanted} were not cleared")
