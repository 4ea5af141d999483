"""Replays against a model of a few lines: any order of starting, ending, sending and time passing."""

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from processors.ingest import IngestSettings, Policy
from processors.ingest.replay import KEPT_MS, replays_key, unpack
from processors.lane import ledger_mismatches
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from tests.processors.lanes import LaneInMemory, event

WINDOW_MS = 5_000
LASTS_MS = 60_000
REPLAYS = st.sampled_from(["r", "s"])
IDS = st.sampled_from(["a", "b", "c"])


class Replays(RuleBasedStateMachine):
    """One tenant. The model: what each replay has met, what is seen live, and which replay runs until when."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = LaneInMemory(ingest=IngestSettings(Policy(dedupe_window_ms=WINDOW_MS)))
        self.lane.send(event(id="begin"))
        self.ends: dict[str, int] = {}
        """Known replays: until when they run (0: they have ended)."""
        self.forgotten: dict[str, int] = {}
        self.redrives: set[str] = set()
        self.met: dict[str, set[str]] = {}
        self.seen: dict[str, int] = {}
        self.wanted: list[tuple[str, str]] = [("begin", "")]
        self.dead = 0
        self.count = 0

    def _direct(self, verb: str, replay: str, **data: object) -> str:
        self.count += 1
        value = event(id=f"c{self.count}", type=f"hopline.replay.{verb}", data={"replay": replay, **data})
        self.lane.step(self.lane.record(value, topic=topics.COMMANDS))
        return str(self.lane.told()[-1]["data"]["status"])

    def _pass(self) -> None:
        """Bring the model to the lane's time: what has run out has ended, what ended long ago is forgotten."""
        now_ms = self.lane.now_ms
        for replay, end_ms in list(self.ends.items()):
            if end_ms and now_ms >= end_ms:
                self.ends[replay] = 0
                self.forgotten[replay] = now_ms + KEPT_MS
            elif not end_ms and now_ms >= self.forgotten[replay]:
                del self.ends[replay]

    @rule(replay=REPLAYS, redrive=st.booleans())
    def start(self, replay: str, redrive: bool) -> None:
        self._pass()
        status = self._direct("start", replay, lasts_ms=LASTS_MS, rate_per_second=10_000, redrive=redrive)
        assert status == ("failed" if replay in self.ends else "succeeded")
        if status == "succeeded":
            self.ends[replay] = self.lane.now_ms + LASTS_MS
            self.met[replay] = set()
            (self.redrives.add if redrive else self.redrives.discard)(replay)

    @rule(replay=REPLAYS)
    def finish(self, replay: str) -> None:
        self._pass()
        status = self._direct("finish", replay)
        assert status == ("succeeded" if self.ends.get(replay) else "failed")
        if status == "succeeded":
            self.ends[replay] = 0
            self.forgotten[replay] = self.lane.now_ms + KEPT_MS

    @rule(replay=st.one_of(st.just(""), REPLAYS, st.just("made-up")), ids=st.lists(IDS, min_size=1, max_size=4))
    def send(self, replay: str, ids: list[str]) -> None:
        self._pass()
        claims = {"replayid": replay} if replay else {}
        self.lane.send(*(event(id=one, **claims) for one in ids))
        for one in ids:
            self._take(one, replay)

    def _take(self, one: str, replay: str) -> None:
        if replay in self.ends and not self.ends[replay]:
            self.dead += 1
            return
        known = replay in self.ends
        if known and one in self.met[replay]:
            return
        if known:
            self.met[replay].add(one)
        if not known or replay in self.redrives:
            seen_ms = self.seen.get(one)
            if seen_ms is not None and self.lane.now_ms - seen_ms < WINDOW_MS:
                return
            self.seen[one] = self.lane.now_ms
        self.wanted.append((one, replay if known else ""))

    @rule(ms=st.sampled_from([1, 1_000, WINDOW_MS, LASTS_MS - 1, LASTS_MS, KEPT_MS]))
    def wait(self, ms: int) -> None:
        self.lane.now_ms += ms
        self.lane.step()
        self._pass()

    @invariant()
    def as_the_model_says(self) -> None:
        got = [
            (json.loads(value or b"{}")["id"], (headers.get(names.REPLAYED) or b"").decode())
            for _, value, headers in self.lane.outputs(topics.SIGNALS)
            if names.BY not in headers
        ]
        assert got == self.wanted
        assert self.lane.reasons() == ["replay_ended"] * self.dead
        known = unpack(self.lane.store.values.get(replays_key("acme")))
        assert known.keys() <= self.ends.keys()
        assert not ledger_mismatches(self.lane.position.ledger)
        waiting = any(key.startswith(b"K\x00ingest\x00due/") for key in self.lane.store.values)
        assert waiting == bool(known), "each replay that is known is looked at when its time comes, and no other"


TestReplays = Replays.TestCase
TestReplays.settings = settings(max_examples=60, stateful_step_count=30)
