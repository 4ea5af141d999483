"""All channels: one task and one bounded memory each, so that one that is away, slow or hangs delays no other."""

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from processors.alerting.notice import Entry, News, Notice, What
from processors.alerting.notices import Notices
from processors.alerting.rule import Severity
from processors.alerting.settings import AlertSettings
from processors.telemetry import catalogue
from processors.vocabulary.ids import derived_id
from streams.channels.alertmanager import Alertmanager
from streams.channels.loading import Channel
from streams.channels.sending import Answer
from streams.metrics import Metrics
from streams.tasks import ended

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often each channel looks for what has fallen due without news: silences end, repeats come."""
SLACK_SECONDS: Final = 2.0
"""Beside a channel's own timeout, which is for each request."""
SEND_SECONDS_MAX: Final = 120.0
TEST_ALERT: Final = "ChannelTest"
FIRING: Final = "firing"
CLEARED: Final = "cleared"


class Change(Protocol):
    """A change of an alert, as the topic `alerts` has it."""

    @property
    def at_ms(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def alert(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def value(self) -> float | None: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def since_ms(self) -> int: ...
    @property
    def summary(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def runbook(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Became:
    """What became of telling a channel something."""

    channel: str
    notice: str
    """Its id."""
    result: str
    """`told`, `failed` (it is tried again) or `given_up`."""
    alerts: tuple[str, ...]
    """The ids of the alerts in it."""
    attempt: int
    seconds: float
    """Told: since the oldest change in it. Else: how long the attempt took."""
    words: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a channel is."""

    name: str
    kind: str
    address: str
    up: bool | None
    """Whether it took what it was told last; None before it was told anything."""
    waiting: int
    told: int
    failed: int
    given_up: int
    dropped: int
    last: str
    """What it said last."""


class Packed(msgspec.Struct, array_like=True):
    """What all channels have in mind. How an alert is stands here once: to all of them it is the same."""

    news: dict[str, News]
    lines: dict[str, bytes]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Packed).decode


def news_of(change: Change, cooldown_seconds: int) -> News | None:
    """Return what a change means to channels; None for one that nobody is told of."""
    if change.to not in {FIRING, CLEARED}:
        return None
    return News(
        change.id,
        change.alert,
        Severity(change.severity),
        dict(change.labels),
        change.value,
        change.threshold,
        firing=change.to == FIRING,
        since_ms=change.since_ms,
        at_ms=change.at_ms,
        summary=change.summary,
        description=change.description,
        runbook=change.runbook,
        cooldown_ms=cooldown_seconds * 1_000,
    )


class Channels:
    """All of them. Made once; tell it each change, start it, close it. `pack` is for who goes on after a restart."""

    def __init__(
        self,
        channels: Iterable[Channel],
        *,
        settings: Callable[[], AlertSettings],
        metrics: Metrics,
        cooldown_seconds: Mapping[str, int],
        became: Callable[[Became], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._lines = {channel.name: Line(channel, settings, metrics, became, chance, now) for channel in channels}
        self._cooldown_seconds = cooldown_seconds

    def told(self, change: Change) -> None:
        """Take a change over. Never waits."""
        news = news_of(change, self._cooldown_seconds.get(change.alert, 0))
        if news is not None:
            for line in self._lines.values():
                line.take(news)

    def start(self) -> None:
        """Begin to tell, in the background."""
        for line in self._lines.values():
            line.start()

    async def close(self) -> None:
        """Tell no more, and let go. What waits is in `pack`."""
        await asyncio.gather(*(line.close() for line in self._lines.values()))

    async def test(self, name: str) -> Answer:
        """Send a notice that says it is a test. Raises `KeyError` if there is no such channel."""
        return await self._lines[name].test()

    def standing(self) -> list[Standing]:
        """Return how each channel is."""
        return [line.standing() for line in self._lines.values()]

    def pack(self) -> bytes:
        """Return what each channel was told and is still to be told."""
        news = {id_: news for line in self._lines.values() for id_, news in line.machine.news().items()}
        return _encode(Packed(news, {name: line.machine.pack() for name, line in self._lines.items()}))

    def unpack(self, packed: bytes) -> None:
        """Go on from there; channels that are new begin anew. Raises `msgspec.DecodeError` for anything else."""
        found = _decode(packed)
        for name, own in found.lines.items():
            if name in self._lines:
                self._lines[name].machine.unpack(own, found.news)


class Line:
    """One channel: its machine, its task, its figures."""

    def __init__(
        self,
        channel: Channel,
        settings: Callable[[], AlertSettings],
        metrics: Metrics,
        became: Callable[[Became], None],
        chance: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self.channel = channel
        self.machine = Notices(channel.name, channel.route, channel.pace)
        self._settings = settings
        self._became = became
        self._chance = chance
        self._now = now
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._up: bool | None = None
        self._failed = 0
        self._last = ""
        name = channel.name
        results = metrics.counter(catalogue.NOTIFICATIONS)
        self._results = {result: results.of(name, result) for result in ("told", "failed", "given_up", "dropped")}
        self._waiting = metrics.gauge(catalogue.NOTIFICATIONS_WAITING).of(name)
        self._duration = metrics.histogram(catalogue.NOTIFICATION_DURATION).of(name)
        self._is_up = metrics.gauge(catalogue.CHANNEL_UP)

    def take(self, news: News) -> None:
        """Learn how an alert is."""
        dropped = self.machine.counts.dropped
        self.machine.take(news, self._settings(), self._now_ms())
        if self.machine.counts.dropped > dropped:
            self._results["dropped"].inc()
            log.error("channel %s has too many alerts in mind: %s is not told there", self.channel.name, news.alert)
        self._wake.set()

    def start(self) -> None:
        """Begin, in the background."""
        self._task = asyncio.create_task(self._run(), name=f"channel {self.channel.name}")

    async def close(self) -> None:
        """End; what is on its way is broken off."""
        await ended(self._task)
        await self.channel.sender.close()

    async def test(self) -> Answer:
        """Send a notice that says it is a test, beside all others."""
        now_ms = self._now_ms()
        name = self.channel.name
        news = News(
            derived_id(f"test/{name}", str(now_ms)),
            TEST_ALERT,
            Severity.INFO,
            {"channel": name},
            None,
            None,
            firing=True,
            since_ms=now_ms,
            at_ms=now_ms,
            summary=f"This is a test of the channel {name}: there is nothing to do.",
            description="",
        )
        notice = Notice(news.id, (TEST_ALERT,), (Entry(What.RAISED, news),), test=True)
        answer = await self._sent(notice)
        # So that an operator who has mended it need not wait for the next alert to see that.
        self._mark(up=answer.ok)
        return answer

    def standing(self) -> Standing:
        """Return how it is."""
        channel, counts = self.channel, self.machine.counts
        waiting = self.machine.waiting(self._settings(), self._now_ms())
        return Standing(
            channel.name,
            channel.kind,
            channel.sender.address,
            self._up,
            waiting,
            counts.told,
            self._failed,
            counts.given_up,
            counts.dropped,
            self._last,
        )

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                busy = await self._turn()
            except Exception as error:  # boundary: a bug in one channel must not silence it for ever
                self._bug(error)
                busy = False
            if not busy:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _turn(self) -> bool:
        """Tell what is due; return whether something was."""
        settings, sender = self._settings(), self.channel.sender
        if isinstance(sender, Alertmanager):
            # Before its alerts: else it would tell of what is silenced.
            await self._tend(sender, settings)
        notice = self.machine.next(settings, self._now_ms())
        self._waiting.set(self.machine.waiting(settings, self._now_ms()))
        if notice is None:
            return False
        began = self._now()
        answer = await self._sent(notice)
        if answer.ok:
            self._arrived(notice, answer)
        else:
            self._missed(notice, answer, self._now() - began)
        self._last = answer.words
        return True

    async def _tend(self, sender: Alertmanager, settings: AlertSettings) -> None:
        behind = sender.silences_behind
        try:
            async with asyncio.timeout(self.channel.timeout_seconds + SLACK_SECONDS):
                await sender.tend(settings)
        except TimeoutError:
            log.warning("channel %s takes too long to take its silences", self.channel.name)
        if sender.silences_behind and sender.silences_behind != behind:
            log.warning("channel %s does not take our silences: %s", self.channel.name, sender.silences_behind)

    async def _sent(self, notice: Notice) -> Answer:
        """Send a notice; whatever happens is an answer, and comes in time."""
        seconds = min(self.channel.timeout_seconds * max(1, len(notice.entries) // 4) + SLACK_SECONDS, SEND_SECONDS_MAX)
        try:
            # One after the other: a sender may keep what it needs for one.
            async with self._sending, asyncio.timeout(seconds):
                return await self.channel.sender.send(notice)
        except TimeoutError:
            return Answer(ok=False, words=f"{self.channel.sender.address} was not done within {seconds:g} s")
        except Exception as error:  # boundary: whatever a sender raises, others are told and this is tried again
            self._bug(error)
            return Answer(ok=False, words=f"failed with a bug: {type(error).__name__}; see the log", alone=True)

    def _arrived(self, notice: Notice, answer: Answer) -> None:
        now_ms = self._now_ms()
        self.machine.sent(now_ms)
        waits = [max(0, now_ms - entry.news.at_ms) / 1_000 for entry in notice.entries if entry.what != What.REPEATED]
        self._duration.observe_many(waits)
        self._results["told"].inc(len(notice.entries))
        if self._up is False:
            log.info("channel %s takes what it is told again", self.channel.name)
        self._mark(up=True)
        self._say(notice, "told", max(waits, default=0.0), answer.words)

    def _missed(self, notice: Notice, answer: Answer, seconds: float) -> None:
        given_up = self.machine.counts.given_up
        wait_ms = self.machine.failed(
            self._now_ms(), chance=self._chance(), retry_after_ms=answer.retry_after_ms, alone=answer.alone
        )
        self._failed += 1
        self._results["failed"].inc()
        self._mark(up=False)
        given_up = self.machine.counts.given_up - given_up
        log.warning(
            "channel %s did not take a notice (attempt %d): %s. %s",
            self.channel.name,
            notice.attempt,
            answer.words,
            f"{given_up} alerts are given up." if given_up else f"Again in {wait_ms / 1_000:.1f} s.",
        )
        self._results["given_up"].inc(given_up)
        self._say(notice, "given_up" if given_up else "failed", seconds, answer.words)

    def _bug(self, error: Exception) -> None:
        """Log where it is; its own words, and those of what led to it, may hold what must not be shown."""
        frames = traceback.extract_tb(error.__traceback__)
        at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
        log.error("channel %s failed with a bug: %s at %s", self.channel.name, type(error).__name__, at)

    def _mark(self, *, up: bool) -> None:
        self._up = up
        self._is_up.of(self.channel.name).set(up)

    def _say(self, notice: Notice, result: str, seconds: float, words: str) -> None:
        alerts = tuple({entry.news.id: None for entry in notice.entries})
        self._became(Became(self.channel.name, notice.id, result, alerts, notice.attempt, seconds, words))

    def _now_ms(self) -> int:
        return round(self._now() * 1_000)
