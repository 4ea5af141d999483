"""Changes are told to all who should hear them, in order, bounded, and to nobody twice."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.watch import telling
from streams.watch.telling import Changes, FullError, Listener, Telling
from streams.watch.words import ToldChange, change_of, pack, plain, state_of
from tests.streams.watch.made import change, record

SECONDS = 20.0


class Noting:
    def __init__(self) -> None:
        self.heard: list[int] = []

    def told(self, change: ToldChange) -> None:
        self.heard.append(change.number)


class Failing:
    def told(self, change: ToldChange) -> None:
        raise ZeroDivisionError(change.alert)


def test_a_notifier_that_fails_keeps_nobody_else_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    noting = Noting()
    both = Telling((Failing(), noting))
    both.told(change(1))
    assert noting.heard == [1]
    assert "Failing could not be told" in caplog.text


async def heard(listener: Listener, count: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    async with asyncio.timeout(SECONDS):
        async for kind, text in listener.events(SECONDS):
            if kind:
                found.append(json.loads(text))
            if len(found) == count:
                break
    return found


def read(changes: Changes, told: Sequence[ToldChange]) -> None:
    changes.begin()
    for one in told:
        changes.take(record(one))
    changes.complete()


async def test_who_listens_hears_what_comes_from_now_on_and_after_an_outage_what_was_missed() -> None:
    changes = Changes()
    read(changes, [change(1), change(2)])
    listener = changes.join("")
    changes.take(record(change(3)))
    # Kafka was away: all is read anew, and one more was written meanwhile.
    read(changes, [change(1), change(2), change(3), change(4)])
    changes.take(record(change(5)))
    assert [one["id"] for one in await heard(listener, 3)] == [f"{number:032x}" for number in (3, 4, 5)]
    assert [one.number for one in changes.history(limit=10, since_ms=0, only="")] == [5, 4, 3, 2, 1]


async def test_a_tenant_hears_and_sees_its_own_only() -> None:
    changes = Changes()
    read(changes, [])
    listener = changes.join("acme")
    for number, tenant in enumerate(("", "bolt", "acme", "acme2"), start=1):
        changes.take(record(change(number, tenant=tenant)))
    assert [one["labels"] for one in await heard(listener, 1)] == [{"tenant": "acme"}]
    assert [one.number for one in changes.history(limit=10, since_ms=0, only="acme")] == [3]


async def test_one_who_takes_nothing_is_told_how_many_it_missed() -> None:
    changes = Changes()
    read(changes, [])
    listener = changes.join("")
    for number in range(telling.WAITING_MAX + 3):
        changes.take(record(change(number)))
    first, second = await heard(listener, 2)
    assert (first, second["id"]) == ({"missed": 3}, f"{3:032x}")


async def test_signs_of_life_come_while_nothing_happens_and_all_are_let_go_at_the_end() -> None:
    changes = Changes()
    listener = changes.join("")
    events = listener.events(0.01)
    async with asyncio.timeout(SECONDS):
        assert await anext(events) == ("", b"")
        changes.close()
        assert [kind async for kind, _ in events] == []


def test_no_more_than_so_many_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "LISTENERS_MAX", 1)
    changes = Changes()
    listener = changes.join("")
    with pytest.raises(FullError):
        changes.join("")
    changes.leave(listener)
    assert changes.join("") is not listener


@given(st.integers(1, 40), st.integers(0, 40), st.sampled_from(["", "acme", "bolt"]))
def test_history_is_the_newest_of_what_may_be_seen(limit: int, since_ms: int, only: str) -> None:
    changes = Changes()
    tenants = ["acme", "bolt", ""]
    known = [change(number, tenant=tenants[number % 3]) for number in range(30)]
    read(changes, known)
    expected = [one for one in known if one.at_ms >= since_ms and (not only or one.labels.get("tenant") == only)]
    assert changes.history(limit=limit, since_ms=since_ms, only=only) == expected[::-1][:limit]


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"v":1,"what":"told"}', b'{"v":99}', b"[]", b"\xff"])
def test_what_else_stands_in_the_topic_is_skipped(value: bytes | None) -> None:
    assert change_of(value) is None
    assert state_of(b"state", value) is None


def test_a_change_is_read_as_it_was_written_and_what_is_shown_has_the_interfaces_names() -> None:
    one = change(7)
    assert change_of(pack(one)) == one
    shown = plain(one)
    assert shown["from"], shown["to"] == ("pending", "firing")
    assert not {"v", "what", "number", "from_"} & shown.keys()
    newer = json.loads(pack(one)) | {"v": 99}
    assert change_of(json.dumps(newer).encode()) is None
