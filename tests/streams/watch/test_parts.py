"""Small parts of the watch: where it is, events handed to handlers once, how much a view takes at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from processors.telemetry import catalogue
from processors.vocabulary import topics as names
from streams.cli.ports import choose
from streams.gateway.following import Follower, Turn
from streams.metrics import Metrics
from streams.settings import Settings, load
from streams.tasks import ended
from streams.watch import handling
from streams.watch.asked import address_of
from streams.watch.handling import Handling
from streams.watch.samples import SamplesView
from tests.streams.history.made import free_port
from tests.streams.watch.made import NOW_MS, packed, sample
from tests.streams.watch.place import LANES, now_ms, place, until


@pytest.mark.parametrize(
    "settings, address",
    [
        ({}, "http://127.0.0.1:8091"),
        ({"host": "::1"}, "http://[::1]:8091"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8091"),  # noqa: S104 - what a container may say
        ({"host": "10.0.0.7", "watch_port": 9}, "http://10.0.0.7:9"),
        ({"watch_url": "http://watch:8091/"}, "http://watch:8091"),
    ],
)
def test_where_the_watch_is(settings: dict[str, Any], address: str) -> None:
    assert address_of(Settings(**settings)) == address


class Hearing:
    def __init__(self, *, fails: bool = False) -> None:
        self.heard: list[bytes] = []
        self.fails = fails

    def take(self, topic: str, record: Any) -> None:
        if self.fails:
            raise ZeroDivisionError(topic)
        assert topic == names.TELEMETRY
        self.heard.append(record.value)


@pytest.mark.kafka
async def test_events_are_handed_on_by_who_is_in_charge_and_the_next_goes_on_there(
    kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio  # noqa: PLC0415  # only here

    monkeypatch.setattr(handling, "COMMIT_SECONDS", 0.0)
    async with place(kafka, unique) as here:

        async def wait() -> None:
            return

        async def send(text: str) -> None:
            topic = here.settings.topics.physical(names.TELEMETRY)
            await here.producer.send_and_wait(topic, text.encode(), partition=1)

        def has(hearing: Hearing, value: bytes) -> Callable[[], Any]:
            async def found() -> bool:
                return value in hearing.heard

            return found

        first, second = Hearing(), Hearing()
        charge: Any = SimpleNamespace(wait=wait, held=True)
        task = asyncio.create_task(Handling(here.settings, kafka, charge, (Hearing(fails=True), first)).run())
        number = 0

        async def begun() -> bool:
            # Handed on are those that come after it began, and nobody says when that is.
            nonlocal number
            number += 1
            await send(f"early {number}")
            return bool(first.heard)

        await until(begun)
        await send("one")
        await until(has(first, b"one"))
        # It hands over what it has done when another one is in charge.
        charge.held = False
        await ended(task)
        await send("two")
        charge = SimpleNamespace(wait=wait, held=True)
        task = asyncio.create_task(Handling(here.settings, kafka, charge, (second,)).run())
        await until(has(second, b"two"))
        await ended(task)
        assert b"two" not in first.heard


@pytest.mark.kafka
async def test_a_view_whose_taking_in_is_work_has_a_thread_for_it(kafka: str, unique: str) -> None:
    async with place(kafka, unique) as here:
        begin = now_ms()
        for number in range(25):
            await here.tell(sample(begin + number, [("x", {}, float(number))], instance=f"w:{number % 3}"))
        view = SamplesView(Metrics())
        threads: set[str] = set()
        exact = view.take

        def noting(record: Any) -> None:
            threads.add(threading.current_thread().name)
            exact(record)

        view.take = noting  # type: ignore[method-assign]
        with ThreadPoolExecutor(1, thread_name_prefix="of-its-own") as thread:
            follower = Follower(
                here.settings.cluster(), here.settings.topics, names.METRICS, lanes=LANES, view=view,
                turn=Turn(thread, 7),
            )  # fmt: skip
            follower.start()
            await until(lambda: _set(follower.read))
            assert len(view.copies("x", (), 0, begin * 2)) == 3
            await follower.close()
        assert threads == {"of-its-own_0"}


async def _set(event: Any) -> bool:
    return bool(event.is_set())


def test_what_cannot_be_read_is_counted_and_the_rest_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    view = SamplesView(metrics)
    for value in (b"", b"\xff", b"{}"):
        view.take(SimpleNamespace(value=value, partition=0, offset=1))
    view.take(packed(sample(NOW_MS, [("x", {}, 1.0)])))
    assert metrics.counter(catalogue.TELEMETRY_DROPPED).of()._value.get() == 3
    assert len(caplog.records) == 1
    assert [list(run.numbers) for run in view.copies("x", (), 0, 2 * NOW_MS)] == [[1.0]]
    assert view.look(NOW_MS + 1_000).newest_ms == NOW_MS


def test_no_two_programs_are_given_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("HOPLINE_HISTORY_PORT", "0")
    monkeypatch.setenv("HOPLINE_WATCH_PORT", "0")
    found = load()
    first, _ = choose(found, "history_port")
    second, _ = choose(found, "watch_port", given={first, port})
    assert second not in {first, port}
