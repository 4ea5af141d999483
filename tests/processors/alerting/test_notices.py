"""One channel's machine: never told twice, nothing lost below the bounds, over only after raised, silences kept."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from typing_extensions import override

from processors.alerting import notices
from processors.alerting.notice import Entry, News, Notice, Pace, Route, What
from processors.alerting.notices import Notices
from processors.alerting.rule import Severity
from processors.alerting.settings import ALL, AlertSettings, Silence, pack

NOW_MS: Final = 1_800_000_000_000
ALERTS: Final[dict[str, tuple[str, dict[str, str], int]]] = {
    "a": ("LagHigh", {"tenant": "acme"}, 0),
    "b": ("LagHigh", {"tenant": "acme", "hop": "ingest"}, 50_000),
    "c": ("LagHigh", {"tenant": "other"}, 0),
    "d": ("HopSlow", {}, 20_000),
}
PACE: Final = Pace(group_wait_ms=1_000, group_interval_ms=10_000, repeat_ms=100_000, attempts_max=10_000)
STEPS_MS: Final = st.sampled_from((1, 999, 1_000, 5_000, 10_000, 30_000, 100_000, 400_000))


def news(id_: str, now_ms: int, *, firing: bool = True, **more: Any) -> News:
    name, labels, cooldown_ms = ALERTS.get(id_, ("LagHigh", {"tenant": id_}, 0))
    plain: dict[str, Any] = {
        "id": id_,
        "alert": name,
        "severity": Severity.WARNING,
        "labels": labels,
        "value": 31.5,
        "threshold": 30.0,
        "firing": firing,
        "since_ms": now_ms,
        "at_ms": now_ms,
        "summary": "Records wait.",
        "description": "They do.",
        "cooldown_ms": cooldown_ms,
    }
    return News(**{**plain, **more})


def silence(settings: AlertSettings, id_: str, alert: str, tenant: str, until_ms: int) -> None:
    one = Silence(id_, alert, tenant, until_ms, "why", NOW_MS)
    assert settings.take(one.key, pack(one)) == ""


class Told(RuleBasedStateMachine):
    """The machine beside what a patient clerk would write down: each change, each silence, each thing told."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW_MS
        self.notices = Notices("ops", pace=PACE)
        self.silences = AlertSettings()
        self.firing: set[str] = set()
        self.told: list[tuple[int, What, str]] = []
        self.groups: dict[tuple[str, ...], int] = {}
        self.must: set[str] = set()
        """Raised when nothing held it back, and not told yet."""
        self.flying: Notice | None = None

    # What the clerk knows, worked out from the whole log each time.

    def last(self, id_: str) -> What | None:
        return next((what for _, what, whose in reversed(self.told) if whose == id_), None)

    def raised_ms(self, id_: str) -> int:
        found = [at for at, what, whose in self.told if whose == id_ and what is not What.RESOLVED]
        return max(found, default=-(10**15))

    def is_silenced(self, id_: str) -> bool:
        name, labels, _ = ALERTS[id_]
        for one in self.silences.silences(self.now_ms):
            named = name.startswith(one.alert.rstrip("*")) if one.alert.endswith("*") else name == one.alert
            if named and one.tenant in {ALL, labels.get("tenant", ALL)}:
                return True
        return False

    def is_free(self, id_: str) -> bool:
        return not self.is_silenced(id_) and self.now_ms >= self.raised_ms(id_) + ALERTS[id_][2]

    # What happens.

    @rule(id_=st.sampled_from(sorted(ALERTS)))
    def change(self, id_: str) -> None:
        if id_ in self.firing:
            if self.last(id_) in {None, What.RESOLVED} and self.is_free(id_):
                self.must.add(id_)
            self.firing.remove(id_)
        else:
            self.firing.add(id_)
            if self.last(id_) in {None, What.RESOLVED} and self.is_free(id_):
                self.must.add(id_)
        self.notices.take(news(id_, self.now_ms, firing=id_ in self.firing), self.silences, self.now_ms)

    @rule(by_ms=STEPS_MS)
    def time_goes_on(self, by_ms: int) -> None:
        self.now_ms += by_ms

    @rule(
        id_=st.sampled_from("xy"),
        alert=st.sampled_from(("*", "LagHigh", "Hop*")),
        tenant=st.sampled_from((ALL, "acme")),
        lasts_ms=STEPS_MS,
    )
    def silence(self, id_: str, alert: str, tenant: str, lasts_ms: int) -> None:
        silence(self.silences, id_, alert, tenant, self.now_ms + lasts_ms)

    @rule(id_=st.sampled_from("xy"), tenant=st.sampled_from((ALL, "acme")))
    def unsilence(self, id_: str, tenant: str) -> None:
        self.silences.take(Silence(id_, "*", tenant, 0, "", 0).key, None)

    @rule()
    def look(self) -> None:
        found = self.notices.next(self.silences, self.now_ms)
        if self.flying is not None:
            assert found is None, "one at a time"
            return
        # What is over, was not told and is silenced now, nobody has to hear of any more.
        self.must -= {id_ for id_ in self.must - self.firing if self.is_silenced(id_)}
        if found is not None:
            self.judge(found)
        self.flying = found

    @precondition(lambda self: self.flying is not None)
    @rule(ms=st.integers(0, 20_000), chance=st.floats(0, 1), alone=st.booleans())
    def fails(self, ms: int, chance: float, *, alone: bool) -> None:
        wait_ms = self.notices.failed(self.now_ms, chance=chance, retry_after_ms=ms, alone=alone)
        assert max(ms, PACE.retry_ms_min / 2) <= wait_ms <= max(ms, PACE.retry_ms_max)
        self.flying = None

    @precondition(lambda self: self.flying is not None)
    @rule()
    def arrives(self) -> None:
        assert self.flying is not None
        self.notices.sent(self.now_ms)
        for entry in self.flying.entries:
            self.told.append((self.now_ms, entry.what, entry.news.id))
            if entry.what is What.RAISED:
                self.must.discard(entry.news.id)
        self.groups[self.flying.group] = self.now_ms
        self.flying = None

    @rule(by_ms=st.sampled_from((1_000, 2_000, 11_000)))
    def all_goes_well(self, by_ms: int) -> None:
        """What mostly happens: without it few examples come far."""
        self.now_ms += by_ms
        self.look()
        if self.flying is not None:
            self.arrives()

    @rule()
    def starts_anew(self) -> None:
        packed, news = self.notices.pack(), self.notices.news()
        self.notices = Notices("ops", pace=PACE)
        self.notices.unpack(packed, news)
        assert self.notices.pack() == packed
        self.flying = None

    def judge(self, found: Notice) -> None:
        assert found.entries
        assert self.now_ms >= self.groups.get(found.group, 0) + PACE.group_interval_ms, "a group's pace"
        last = {entry.news.id: self.last(entry.news.id) for entry in found.entries}
        for entry in found.entries:
            id_ = entry.news.id
            assert found.group == (entry.news.alert, entry.news.tenant)
            known, last[id_] = last[id_], entry.what
            match entry.what:
                case What.RAISED:
                    assert known in {None, What.RESOLVED}, "never told twice"
                    assert self.now_ms >= self.raised_ms(id_) + ALERTS[id_][2], "cooldown"
                    assert not self.is_silenced(id_)
                case What.REPEATED:
                    assert known in {What.RAISED, What.REPEATED}
                    assert self.now_ms >= self.raised_ms(id_) + PACE.repeat_ms
                    assert not self.is_silenced(id_)
                case What.RESOLVED:
                    assert known in {What.RAISED, What.REPEATED}, "over only after raised"
        for id_, what in last.items():
            assert (what is not What.RESOLVED) == (id_ in self.firing), "as it is at this moment"

    @override
    def teardown(self) -> None:
        """When all silences are over and the channel takes what it is told, all is told that was to be."""
        if self.flying is not None:
            self.arrives()
        self.now_ms += 1_000_000
        for _ in range(40):
            self.now_ms += 1_000
            self.look()
            if self.flying is not None:
                self.arrives()
        for id_ in ALERTS:
            expected = {What.RAISED, What.REPEATED} if id_ in self.firing else {None, What.RESOLVED}
            assert self.last(id_) in expected, id_
        assert not self.must
        counts = self.notices.counts
        assert (counts.given_up, counts.dropped) == (0, 0)


TestTold = Told.TestCase
TestTold.settings = hypothesis_settings(max_examples=300, stateful_step_count=40, deadline=None)


def told(machine: Notices, now_ms: int, silences: AlertSettings | None = None) -> list[tuple[What, str]]:
    """Take and confirm what is due now."""
    found = machine.next(silences or AlertSettings(), now_ms)
    if found is None:
        return []
    machine.sent(now_ms)
    return [(entry.what, entry.news.id) for entry in found.entries]


def test_alerts_of_a_group_wait_for_each_other_and_others_do_not_wait_for_them() -> None:
    machine, silences = Notices("ops", pace=PACE), AlertSettings()
    for id_, at_ms in (("a", 0), ("b", 900), ("d", 500)):
        machine.take(news(id_, NOW_MS + at_ms), silences, NOW_MS + at_ms)
    assert told(machine, NOW_MS + 999) == []
    assert machine.waiting(silences, NOW_MS) == 3
    assert told(machine, NOW_MS + 1_000) == [(What.RAISED, "a"), (What.RAISED, "b")]
    assert told(machine, NOW_MS + 1_499) == []
    assert told(machine, NOW_MS + 1_500) == [(What.RAISED, "d")]
    machine.take(news("a", NOW_MS + 2_000, firing=False), silences, NOW_MS + 2_000)
    assert told(machine, NOW_MS + 10_999) == []
    assert told(machine, NOW_MS + 11_000) == [(What.RESOLVED, "a")]
    assert machine.waiting(silences, NOW_MS + 11_000) == 0


def test_one_that_is_over_before_the_channel_could_be_told_is_told_with_what_it_was() -> None:
    machine, silences = Notices("ops", pace=PACE), AlertSettings()
    machine.take(news("a", NOW_MS, value=77.0), silences, NOW_MS)
    machine.take(news("a", NOW_MS + 5, firing=False, value=1.0), silences, NOW_MS + 5)
    found = machine.next(silences, NOW_MS + 1_000)
    assert found is not None
    assert [(entry.what, entry.news.value) for entry in found.entries] == [(What.RAISED, 77.0), (What.RESOLVED, 1.0)]
    machine.sent(NOW_MS + 1_000)
    assert told(machine, NOW_MS + 1_000_000) == []
    assert machine.pack() == Notices("ops").pack(), "and nothing is kept of it"


def test_one_that_goes_on_is_told_again_and_not_in_a_silence() -> None:
    machine, silences = Notices("ops", pace=PACE), AlertSettings()
    machine.take(news("a", NOW_MS), silences, NOW_MS)
    assert told(machine, NOW_MS + 1_000) == [(What.RAISED, "a")]
    silence(silences, "x", "LagHigh", "acme", NOW_MS + 150_000)
    for after_ms in range(1_000, 150_000, 7_000):
        assert told(machine, NOW_MS + after_ms, silences) == []
    assert told(machine, NOW_MS + 150_000, silences) == [], "the group waits"
    assert told(machine, NOW_MS + 151_000, silences) == [(What.REPEATED, "a")]


def test_what_was_opened_is_closed_in_a_silence_too() -> None:
    machine, silences = Notices("ops", pace=PACE), AlertSettings()
    machine.take(news("a", NOW_MS), silences, NOW_MS)
    assert told(machine, NOW_MS + 1_000) == [(What.RAISED, "a")]
    silence(silences, "x", "*", ALL, NOW_MS + 1_000_000)
    machine.take(news("a", NOW_MS + 20_000, firing=False), silences, NOW_MS + 20_000)
    assert told(machine, NOW_MS + 21_000, silences) == [(What.RESOLVED, "a")]


def test_each_try_waits_longer_and_as_long_as_it_is_asked_to() -> None:
    machine, silences = Notices("ops", pace=PACE), AlertSettings()
    machine.take(news("a", NOW_MS), silences, NOW_MS)
    now_ms, waits, ids = NOW_MS + 1_000, [], set()
    for _ in range(12):
        found = machine.next(silences, now_ms)
        assert found is not None
        ids.add(found.id)
        waits.append(machine.failed(now_ms, chance=1.0))
        assert machine.next(silences, now_ms + waits[-1] - 1) is None
        now_ms += waits[-1]
    assert waits == [1_000 << n for n in range(9)] + [300_000] * 3
    assert len(ids) == 1, "the same content has the same id"
    found = machine.next(silences, now_ms)
    assert found is not None
    assert found.attempt == 13
    assert machine.failed(now_ms, chance=0.0, retry_after_ms=500_000) == 500_000
    assert machine.next(silences, now_ms + 500_000) is not None
    assert machine.failed(now_ms, chance=0.0, retry_after_ms=10**12) == notices.RETRY_AFTER_MS_MAX


def test_a_notice_that_gives_offence_holds_no_other_back() -> None:
    machine, silences = Notices("ops", pace=PACE), AlertSettings()
    machine.take(news("a", NOW_MS), silences, NOW_MS)
    machine.take(news("d", NOW_MS + 1), silences, NOW_MS + 1)
    found = machine.next(silences, NOW_MS + 1_001)
    assert found is not None
    assert found.group == ("LagHigh", "acme")
    machine.failed(NOW_MS + 1_001, chance=0.5, alone=True)
    assert told(machine, NOW_MS + 1_001) == [(What.RAISED, "d")]


def test_after_so_many_tries_it_is_given_up_counted_and_tried_anew_much_later() -> None:
    machine, silences = Notices("ops", pace=Pace(group_wait_ms=0, attempts_max=3)), AlertSettings()
    machine.take(news("a", NOW_MS), silences, NOW_MS)
    now_ms = NOW_MS
    for _ in range(3):
        assert machine.next(silences, now_ms) is not None
        now_ms += machine.failed(now_ms, chance=1.0)
    assert machine.counts.given_up == 1
    assert machine.next(silences, now_ms) is None
    assert machine.next(silences, now_ms + notices.LOST_MS) is not None
    machine.failed(now_ms, chance=1.0)
    machine.take(news("a", now_ms + 5, firing=False), silences, now_ms + 5)
    assert machine.next(silences, now_ms + notices.LOST_MS) is None or machine.counts.given_up == 1


def test_of_a_raise_that_was_given_up_the_end_is_not_told_and_the_next_raise_is() -> None:
    pace = Pace(group_wait_ms=0, group_interval_ms=0, attempts_max=1)
    machine, silences = Notices("ops", pace=pace), AlertSettings()
    machine.take(news("b", NOW_MS), silences, NOW_MS)
    assert machine.next(silences, NOW_MS) is not None
    now_ms = NOW_MS + machine.failed(NOW_MS, chance=1.0)
    machine.take(news("b", now_ms, firing=False), silences, now_ms)
    assert told(machine, now_ms) == []
    machine.take(news("b", now_ms + 1), silences, now_ms + 1)
    assert told(machine, now_ms + 1) == [(What.RAISED, "b")], "nobody heard of the first: the next does not cool"


def test_a_repeat_that_was_given_up_leaves_the_raise_told() -> None:
    pace = Pace(group_wait_ms=0, group_interval_ms=0, repeat_ms=1_000, attempts_max=1)
    machine, silences = Notices("ops", pace=pace), AlertSettings()
    machine.take(news("a", NOW_MS), silences, NOW_MS)
    assert told(machine, NOW_MS) == [(What.RAISED, "a")]
    assert machine.next(silences, NOW_MS + 1_000) is not None
    now_ms = NOW_MS + 1_000 + machine.failed(NOW_MS + 1_000, chance=1.0)
    machine.take(news("a", now_ms, firing=False), silences, now_ms)
    assert told(machine, now_ms) == [(What.RESOLVED, "a")]


def test_above_the_bound_it_is_dropped_and_counted_and_what_only_cools_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices, "ALERTS_MAX", 2)
    machine, silences = Notices("ops", pace=Pace(group_wait_ms=0, group_interval_ms=0)), AlertSettings()
    for id_ in ("b", "x", "y"):
        machine.take(news(id_, NOW_MS), silences, NOW_MS)
    assert machine.counts.dropped == 1
    machine.take(news("y", NOW_MS, firing=False), silences, NOW_MS)
    machine.take(news("b", NOW_MS + 1, firing=False), silences, NOW_MS + 1)
    assert [told(machine, NOW_MS + 1) for _ in range(2)] != [[], []]
    machine.take(news("z", NOW_MS + 2), silences, NOW_MS + 2)
    assert machine.counts.dropped == 1, "b is over and told: it only cools"


def test_a_full_notice_is_followed_by_the_rest_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "ENTRIES_MAX", 2)
    machine, silences = Notices("ops", pace=Pace(group_by=(), group_wait_ms=0)), AlertSettings()
    for id_ in "abcd":
        machine.take(news(id_, NOW_MS), silences, NOW_MS)
    machine.take(news("a", NOW_MS, firing=False), silences, NOW_MS)
    parts = [told(machine, NOW_MS) for _ in range(4)]
    assert [len(part) for part in parts] == [2, 2, 1, 0]
    assert [pair for part in parts for pair in part] == [
        (What.RAISED, "a"),
        (What.RESOLVED, "a"),
        *((What.RAISED, id_) for id_ in "bcd"),
    ]


def test_only_what_its_route_takes_goes_to_a_channel() -> None:
    route = Route(frozenset({Severity.CRITICAL}), ("Lag*", "HopSlow"), frozenset({"acme"}))
    wanted = news("a", NOW_MS, severity=Severity.CRITICAL)
    assert route.takes(wanted)
    assert not route.takes(news("a", NOW_MS))
    assert not route.takes(msgspec.structs.replace(wanted, alert="WorkerDown"))
    assert not route.takes(msgspec.structs.replace(wanted, labels={"tenant": "other"}))
    assert not route.takes(msgspec.structs.replace(wanted, labels={}))
    assert Route().takes(news("d", NOW_MS))
    machine = Notices("ops", route)
    machine.take(news("a", NOW_MS), AlertSettings(), NOW_MS)
    assert machine.pack() == Notices("ops").pack()


def test_a_channel_may_leave_out_what_is_over_and_have_silences_of_its_own() -> None:
    pace = Pace(group_wait_ms=0, group_interval_ms=0, tells_resolved=False, heeds_silences=False)
    machine, silences = Notices("ops", pace=pace), AlertSettings()
    silence(silences, "x", "*", ALL, NOW_MS + 1_000_000)
    machine.take(news("a", NOW_MS), silences, NOW_MS)
    assert told(machine, NOW_MS, silences) == [(What.RAISED, "a")]
    machine.take(news("a", NOW_MS + 1, firing=False), silences, NOW_MS + 1)
    assert told(machine, NOW_MS + 1, silences) == []
    machine.take(news("a", NOW_MS + 2), silences, NOW_MS + 2)
    assert told(machine, NOW_MS + 2, silences) == [(What.RAISED, "a")]


def test_nothing_is_confirmed_that_is_not_on_its_way() -> None:
    with pytest.raises(LookupError, match="no notice of ops is on its way"):
        Notices("ops").sent(NOW_MS)


def test_a_notice_can_be_written_down() -> None:
    notice = Notice("id", ("LagHigh",), (Entry(What.RAISED, news("a", NOW_MS)),))
    assert msgspec.json.decode(msgspec.json.encode(notice), type=Notice) == notice
