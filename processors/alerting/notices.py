"""Whom to tell of which alerts, and when: one channel's machine. Time, chance and silences are arguments.

Theory of operation. The machine keeps no queue of messages but, for each alert, how it is and what the channel was
last told of it; what is to be told is the difference. So an alert that comes and goes a hundred times while the
channel is away costs one place, nothing is told twice, and what is told is never older than the moment of telling.

`take` brings news of an alert. `next` hands out a notice when one is due: of one group, with all that it has. At most
one is on its way; `sent` or `failed` says what came of it, and until then `next` hands out nothing. In between:

- A raise waits `group_wait` for others of its group; a group is told of at most once in `group_interval`.
- One that was due and is over before the channel could be told is told as raised and over, in one notice.
- A silence holds raises and repeats back. When it ends and the alert still fires, that is told. That an alert is over
  is told in a silence, too: whoever was told of the raise is not to look for what is gone.
- After a raise the same alert is not told again within its cooldown.
- What fails is tried again, later each time; after `attempts_max` it is given up, and counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from processors.alerting.notice import ALERT, Entry, News, Notice, Pace, Route, What
from processors.vocabulary.ids import derived_id

ALERTS_MAX: Final = 1_000
"""That one channel keeps in mind. What comes above is counted as dropped."""
ENTRIES_MAX: Final = 100
"""Of one notice; what is more follows in the next, at once."""
RETRY_AFTER_MS_MAX: Final = 3_600_000
"""What a channel can ask to be left alone for."""
LOST_MS: Final = 3_600_000
"""After a raise was given up and while it fires, this passes before it is tried anew."""


class Told(StrEnum):
    """What the channel knows of an alert."""

    NO = "no"
    RAISED = "raised"
    LOST = "lost"
    """It was to know that it is raised, and that was given up."""


class Silences(Protocol):
    """What knows which alerts nobody is to be told of now."""

    def silenced(self, alert: str, labels: Mapping[str, str], now_ms: int) -> object | None:
        """Return something if the alert is silenced, else None."""


class Known(msgspec.Struct):
    """An alert, and what the channel knows of it."""

    news: News
    raised: News | None
    """How it was when it fired last."""
    told: Told = Told.NO
    told_ms: int = 0
    """When the channel was last told that it is raised."""
    cooldown_ms: int = 0
    owed: bool = False
    """It was to be told, so that being over does not undo it."""
    attempts: int = 0

    def cools(self, now_ms: int) -> bool:
        """Tell whether it is not to be told again yet."""
        return bool(self.told_ms) and now_ms < self.told_ms + self.cooldown_ms


class Group(msgspec.Struct):
    """When alerts that go together were told, and may be."""

    need_ms: int = -1
    """Since when there is something to tell; -1: there is nothing."""
    sent_ms: int = -1
    not_before_ms: int = 0
    more: bool = False
    """The last notice was full."""


class Counts(msgspec.Struct):
    """What became of it, in alerts."""

    told: int = 0
    given_up: int = 0
    dropped: int = 0


class Memory(msgspec.Struct, array_like=True):
    """Of an alert what a restart needs, beside how it is: that is the same for all channels, and kept once."""

    told: Told
    told_ms: int
    cooldown_ms: int
    owed: bool
    attempts: int
    raised: News | None
    """How it was when it fired last, where it is over and that is still to be told."""


class Memories(msgspec.Struct, array_like=True):
    """All that a machine must know again after a restart."""

    known: dict[str, Memory]
    groups: dict[str, Group]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Memories).decode
_SEPARATOR: Final = "\x00"


@dataclass(slots=True)
class Notices:
    """One channel's machine."""

    channel: str
    route: Route = field(default_factory=Route)
    pace: Pace = field(default_factory=Pace)
    counts: Counts = field(default_factory=Counts)
    _known: dict[str, Known] = field(default_factory=dict)
    _groups: dict[str, Group] = field(default_factory=dict)
    _flying: Notice | None = None
    _failures: int = 0
    """In a row, of the channel as a whole."""
    _not_before_ms: int = 0

    def news(self) -> dict[str, News]:
        """Return how the alerts are that it has in mind, by their ids."""
        return {id_: known.news for id_, known in self._known.items()}

    def pack(self) -> bytes:
        """Return what a restart needs beside `news`."""
        return _encode(Memories({id_: _remembered(known) for id_, known in self._known.items()}, self._groups))

    def unpack(self, packed: bytes, news: Mapping[str, News]) -> None:
        """Go on from what `pack` and `news` returned. Raises `msgspec.DecodeError` for anything else."""
        found = _decode(packed)
        self._groups = found.groups
        self._known = {id_: _recalled(known, news[id_]) for id_, known in found.known.items() if id_ in news}

    def take(self, news: News, silences: Silences, now_ms: int) -> None:
        """Learn how an alert is."""
        known = self._known.get(news.id)
        if known is None:
            if not (news.firing and self.route.takes(news)):
                return
            if len(self._known) >= ALERTS_MAX and not self._make_room():
                self.counts.dropped += 1
                return
            known = self._known[news.id] = Known(news, news, cooldown_ms=news.cooldown_ms)
        # As it was up to now: what it was to be told for is not undone by what comes.
        self._note(known, silences, now_ms)
        known.news = news
        if known.told is Told.LOST and not news.firing:
            known.told, known.told_ms = Told.NO, 0
        if news.firing:
            known.raised, known.cooldown_ms = news, news.cooldown_ms
        self._note(known, silences, now_ms)

    def next(self, silences: Silences, now_ms: int) -> Notice | None:
        """Return what is to be told now; None if that is nothing."""
        if self._flying is not None:
            return None
        needs = self._needs(silences, now_ms)
        if now_ms < self._not_before_ms:
            return None
        due = [(self._due_ms(self._groups[name]), name) for name in needs]
        first_ms, name = min(due, default=(now_ms + 1, ""))
        if first_ms > now_ms:
            return None
        entries = [entry for known in needs[name] for entry in self._entries(known, silences, now_ms)]
        attempt = 1 + max(known.attempts for known in needs[name])
        self._flying = _notice(self.channel, name, tuple(entries[:ENTRIES_MAX]), attempt)
        self._groups[name].more = len(entries) > ENTRIES_MAX
        return self._flying

    def sent(self, now_ms: int) -> None:
        """The notice on its way has arrived."""
        notice = self._landed()
        self._failures = self._not_before_ms = 0
        group = self._groups.setdefault(_SEPARATOR.join(notice.group), Group())
        group.sent_ms, group.need_ms, group.not_before_ms = now_ms, -1, 0
        self.counts.told += len(notice.entries)
        for entry in notice.entries:
            known = self._known[entry.news.id]
            known.attempts, known.owed = 0, False
            known.told = Told.NO if entry.what is What.RESOLVED else Told.RAISED
            if entry.what is not What.RESOLVED:
                known.told_ms = now_ms

    def failed(self, now_ms: int, *, chance: float, retry_after_ms: int = 0, alone: bool = False) -> int:
        """It has not arrived; return after how many milliseconds is tried again.

        `alone`: the channel took offence at this notice, so that others need not wait for it. `chance` is from 0 to 1.
        """
        notice = self._landed()
        failures = notice.attempt if alone else self._failures + 1
        wait_ms = min(self.pace.retry_ms_max, self.pace.retry_ms_min << min(failures - 1, 30))
        # Never less than half: many who failed together are not to come back together.
        wait_ms = max(round(wait_ms * (0.5 + chance / 2)), min(retry_after_ms, RETRY_AFTER_MS_MAX))
        if alone:
            name = _SEPARATOR.join(notice.group)
            self._groups.setdefault(name, Group()).not_before_ms = now_ms + wait_ms
        else:
            self._failures, self._not_before_ms = failures, now_ms + wait_ms
        # Of one that is raised and over the last entry: it is counted once.
        for id_, what in {entry.news.id: entry.what for entry in notice.entries}.items():
            known = self._known[id_]
            known.attempts += 1
            if known.attempts >= self.pace.attempts_max:
                self.counts.given_up += 1
                _give_up(known, what, now_ms)
        return wait_ms

    def waiting(self, silences: Silences, now_ms: int) -> int:
        """Return how many alerts wait to be told."""
        return sum(bool(self._to_tell(known, silences, now_ms)) for known in self._known.values())

    def _landed(self) -> Notice:
        notice, self._flying = self._flying, None
        if notice is None:
            message = f"no notice of {self.channel} is on its way"
            raise LookupError(message)
        return notice

    def _note(self, known: Known, silences: Silences, now_ms: int) -> None:
        """Keep in mind that an alert is to be told, and since when its group has something to tell."""
        news_due = self._to_tell(known, silences, now_ms)
        if not news_due:
            return
        if news_due[0] is What.RAISED:
            known.owed = True
        group = self._groups.setdefault(self._group_of(known.news), Group())
        if group.need_ms < 0:
            group.need_ms = now_ms

    def _to_tell(self, known: Known, silences: Silences, now_ms: int) -> tuple[What, ...]:
        """Return what the channel is to be told of an alert, as things are now."""
        firing = known.news.firing
        if known.told is Told.RAISED:
            if not firing:
                return (What.RESOLVED,) if self.pace.tells_resolved else ()
            if not self._again(known, now_ms) or self._is_silent(known, silences, now_ms):
                return ()
            return (What.REPEATED,)
        if not firing and not known.owed:
            return ()
        if known.told is Told.LOST and now_ms < known.told_ms + LOST_MS:
            return ()
        if not known.owed and known.cools(now_ms):
            return ()
        if self._is_silent(known, silences, now_ms):
            return ()
        if firing:
            return (What.RAISED,)
        return (What.RAISED, What.RESOLVED) if self.pace.tells_resolved else (What.RAISED,)

    def _again(self, known: Known, now_ms: int) -> bool:
        return bool(self.pace.repeat_ms) and now_ms >= known.told_ms + self.pace.repeat_ms

    def _is_silent(self, known: Known, silences: Silences, now_ms: int) -> bool:
        if not self.pace.heeds_silences:
            return False
        return silences.silenced(known.news.alert, known.news.labels, now_ms) is not None

    def _entries(self, known: Known, silences: Silences, now_ms: int) -> Iterator[Entry]:
        for what in self._to_tell(known, silences, now_ms):
            news = known.news if what is not What.RAISED or known.raised is None else known.raised
            yield Entry(what, news)

    def _needs(self, silences: Silences, now_ms: int) -> dict[str, list[Known]]:
        """Return by group the alerts that the channel is to be told of; forget those that nothing is left to say of."""
        needs: dict[str, list[Known]] = {}
        for id_, known in list(self._known.items()):
            self._note(known, silences, now_ms)
            if self._to_tell(known, silences, now_ms):
                needs.setdefault(self._group_of(known.news), []).append(known)
            elif not known.news.firing:
                # Over: silenced while it was owed, or told in full, or never to be told.
                known.told, known.owed = Told.NO, False
                if not known.cools(now_ms):
                    del self._known[id_]
        for name, group in list(self._groups.items()):
            if name not in needs:
                group.need_ms = -1
                if now_ms >= max(group.sent_ms + self.pace.group_interval_ms, group.not_before_ms):
                    del self._groups[name]
        return needs

    def _due_ms(self, group: Group) -> int:
        if group.sent_ms < 0 or group.more:
            return max(group.need_ms + (0 if group.more else self.pace.group_wait_ms), group.not_before_ms)
        earliest_ms = group.sent_ms + self.pace.group_interval_ms
        return max(group.need_ms + self.pace.group_wait_ms, earliest_ms, group.not_before_ms)

    def _make_room(self) -> bool:
        """Forget one that only cools; tell whether there was one."""
        for id_, known in self._known.items():
            if not known.news.firing and known.told is Told.NO and not known.owed:
                del self._known[id_]
                return True
        return False

    def _group_of(self, news: News) -> str:
        names = self.pace.group_by
        return _SEPARATOR.join(news.alert if name == ALERT else news.labels.get(name, "") for name in names)


def _remembered(known: Known) -> Memory:
    raised = known.raised if known.owed and not known.news.firing else None
    return Memory(known.told, known.told_ms, known.cooldown_ms, known.owed, known.attempts, raised)


def _recalled(memory: Memory, news: News) -> Known:
    raised = memory.raised or news
    return Known(news, raised, memory.told, memory.told_ms, memory.cooldown_ms, memory.owed, memory.attempts)


def _give_up(known: Known, what: What, now_ms: int) -> None:
    """Try no more to tell what was last tried."""
    known.attempts, known.owed = 0, False
    if known.told is Told.RAISED and what is What.REPEATED:
        known.told_ms = now_ms
    elif known.news.firing and what is What.RAISED:
        known.told, known.told_ms = Told.LOST, now_ms
    else:
        # Nobody was told of this raise, so that the next one does not cool.
        known.told, known.told_ms = Told.NO, 0 if what is What.RAISED else known.told_ms


def _notice(channel: str, group: str, entries: tuple[Entry, ...], attempt: int) -> Notice:
    content = "/".join(f"{entry.what}:{entry.news.id}:{entry.news.since_ms}:{entry.news.at_ms}" for entry in entries)
    return Notice(derived_id(channel, content), tuple(group.split(_SEPARATOR)), entries, attempt)
