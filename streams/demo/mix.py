"""Make the demo's signals from a seed, and tell what must become of each. No I/O, no clock."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import Header
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX
from streams.demo.bad import BAD, ONLY_KAFKA, STRUCTURED, TOO_LARGE, Kind

DUPLICATE_RATIO: Final = 0.05
BAD_RATIO: Final = 0.02
TRICKLE_BAD_RATIO: Final = 0.005
"""Of the source that `make up` starts: some to see, too few to raise a critical alert."""
MISPLACED_RATIO: Final = 0.005
"""In a partition that is not their tenant's, as a producer with another partitioner would put them."""
LARGE_MAX: Final = 3
RECENT_MAX: Final = 1_000
"""Good signals remembered to be sent again."""
PREFIX_OF_TENANTS: Final = "demo-"
_NO_ID_RATIO: Final = 0.1
_TYPES: Final = (
    "com.example.order.placed",
    "com.example.order.paid",
    "com.example.order.shipped",
    "com.example.user.signed_up",
    "com.example.invoice.due",
)
_PRIORITIES: Final = ("low", "normal", "high", "critical")
_CITIES: Final = ("Zürich", "Oslo", "Kraków", "Lisbon", "Århus")


class Route(StrEnum):
    """How a signal is sent."""

    KAFKA = "kafka"
    GATEWAY = "gateway"


class Fate(StrEnum):
    """What must become of a signal."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    DEAD = "dead"
    REFUSED = "refused"
    """By the gateway: it never enters a topic."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One signal as it is sent, and what must become of it."""

    route: Route
    fate: Fate
    reason: Reason | None
    tenant: str
    id: str
    """Empty if it is sent without one."""
    key: bytes
    value: bytes | None
    headers: Sequence[Header]
    misplaced: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What a whole run must come to."""

    sent: int = 0
    handled: int = 0
    duplicates: int = 0
    refused: int = 0
    moved: int = 0
    dead: Mapping[str, int] = field(default_factory=dict)
    """By reason."""

    @property
    def dead_letters(self) -> int:
        """How many records must be set aside."""
        return sum(self.dead.values())


def expected(samples: Iterable[Sample], *, lanes: int) -> Expected:
    """Count what must become of the samples. With one lane there is no wrong one."""
    fates: Counter[Fate] = Counter()
    dead: Counter[str] = Counter()
    moved = 0
    for sample in samples:
        fates[sample.fate] += 1
        moved += sample.misplaced and lanes > 1
        if sample.fate is Fate.DEAD and sample.reason is not None:
            dead[sample.reason.value] += 1
    return Expected(
        sent=fates.total(),
        handled=fates[Fate.HANDLED],
        duplicates=fates[Fate.DUPLICATE],
        refused=fates[Fate.REFUSED],
        moved=moved,
        dead=dict(sorted(dead.items())),
    )


def generate(seed: int, signals: int, tenants: int, *, run: str = "demo") -> list[Sample]:
    """Return so many signals: about 5 % doubled, 2 % bad in every way, some misplaced; half of them over HTTP."""
    endless = stream(seed, tenants, run=run, large_max=LARGE_MAX)
    return [next(endless) for _ in range(signals)]


def stream(
    seed: int, tenants: int, *, run: str = "demo", large_max: int = 0, bad_ratio: float = BAD_RATIO
) -> Iterator[Sample]:
    """Yield the same without an end. `run` goes into the ids, so that two runs share none."""
    names = [f"{PREFIX_OF_TENANTS}{n:02d}" for n in range(tenants)]
    maker = _Maker(random.Random(seed), run, names, large_max, bad_ratio)  # noqa: S311  # a seed is wanted
    while True:
        yield maker.next()


@dataclass(slots=True)
class _Maker:
    """Remembers what was sent, to send some of it again."""

    chance: random.Random
    run: str
    tenants: Sequence[str]
    large_left: int
    bad_ratio: float = BAD_RATIO
    number: int = 0
    bad_number: int = 0
    recent: list[Sample] = field(default_factory=list)

    def next(self) -> Sample:
        self.number += 1
        drawn = self.chance.random()
        if drawn < self.bad_ratio:
            return self._bad()
        if drawn < self.bad_ratio + DUPLICATE_RATIO and self.recent:
            return self._again()
        return self._good()

    def _good(self) -> Sample:
        tenant = self.chance.choice(self.tenants)
        event = self._event(tenant)
        route = self._route()
        misplaced = route is Route.KAFKA and self.chance.random() < MISPLACED_RATIO / (1 - self.bad_ratio) * 2
        if self.chance.random() < _NO_ID_RATIO:
            del event["id"]
        if self.chance.random() < 0.5:  # noqa: PLR2004  # half of each mode
            value, headers = _structured(event)
        else:
            value, headers = _binary(event)
        sample = Sample(
            route, Fate.HANDLED, None, tenant, event.get("id", ""), tenant.encode(), value, headers, misplaced
        )
        if sample.id:
            self._remember(sample)
        return sample

    def _remember(self, sample: Sample) -> None:
        if len(self.recent) < RECENT_MAX:
            self.recent.append(sample)
        else:
            self.recent[self.chance.randrange(RECENT_MAX)] = sample

    def _again(self) -> Sample:
        first = self.chance.choice(self.recent)
        return Sample(
            self._route(), Fate.DUPLICATE, None, first.tenant, first.id, first.key, first.value, first.headers
        )

    def _bad(self) -> Sample:
        tenant = self.chance.choice(self.tenants)
        route = self._route()
        if self.large_left and self.chance.random() < 0.05:  # noqa: PLR2004  # of the bad ones, until there were enough
            self.large_left -= 1
            kind: Kind = TOO_LARGE
        else:
            # In turn, so that no kind is left out by chance.
            kind = BAD[self.bad_number % len(BAD)]
            self.bad_number += 1
        if kind in ONLY_KAFKA:
            route = Route.KAFKA
        reason, key, value, headers = kind(self._event(tenant))
        fate = Fate.DEAD if route is Route.KAFKA else Fate.REFUSED
        return Sample(route, fate, reason, tenant, "", key or tenant.encode(), value, headers)

    def _route(self) -> Route:
        return Route.KAFKA if self.chance.random() < 0.5 else Route.GATEWAY  # noqa: PLR2004  # half each

    def _event(self, tenant: str) -> dict[str, Any]:
        chance = self.chance
        kind = chance.choice(_TYPES)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"{self.run}-{self.number}",
            "source": f"/demo/{kind.split('.')[2]}s",
            "type": kind,
            "tenantid": tenant,
            "subject": f"{kind.split('.')[2]}-{chance.randrange(10_000)}",
            "datacontenttype": "application/json",
            "data": {"amount": chance.randrange(1, 100_000) / 100, "city": chance.choice(_CITIES)},
        }
        if chance.random() < 0.3:  # noqa: PLR2004  # some have a priority, most have the normal one
            event["priority"] = chance.choice(_PRIORITIES)
        if chance.random() < 0.1:  # noqa: PLR2004  # an extension of the sender's own must survive
            event["shop"] = f"shop{chance.randrange(100)}"
        return event


def _structured(event: Mapping[str, Any]) -> tuple[bytes, list[Header]]:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(), [STRUCTURED]


def _binary(event: Mapping[str, Any]) -> tuple[bytes, list[Header]]:
    headers: list[Header] = [(CONTENT_TYPE, str(event["datacontenttype"]).encode())]
    headers += [
        (PREFIX + name, str(value).encode()) for name, value in event.items() if name not in {"data", "datacontenttype"}
    ]
    return json.dumps(event["data"]).encode(), headers
