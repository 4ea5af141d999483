"""Handlers are run: each event to those that want it, one that fails harms nobody, an operator's own is one module."""

import sys
from pathlib import Path
from typing import Any

import pytest

from processors.telemetry import catalogue, event, events
from processors.telemetry.event import Told, told
from processors.telemetry.handlers.handler import Count
from streams.handlers import FAILURES_MAX, Handlers, gathered
from streams.metrics import Metrics
from streams.settings import Settings, SettingsError

OWN = """
from processors.telemetry import catalogue
from processors.telemetry.handlers.handler import Count


class Cities:
    name = "cities"

    def __init__(self):
        self.seen = 0

    def wants(self, event):
        return event.startswith("billing.")

    def take(self, one):
        self.seen += 1
        return (Count(catalogue.PURCHASES, (one.tenant,)),)

    def summary(self):
        return {"seen": self.seen}


def handlers(slow_seconds):
    return (Cities(),)
"""


class Broken:
    name = "broken"

    def __init__(self) -> None:
        self.asked = 0

    def wants(self, event: str) -> bool:
        return bool(event)

    def take(self, one: Told) -> list[Count]:
        self.asked += 1
        raise ZeroDivisionError(one.event)

    def summary(self) -> dict[str, Any]:
        return {}


def test_one_of_ones_own_is_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_cities.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    metrics = Metrics()
    running = Handlers(gathered(Settings(handlers="my_cities")), metrics)
    running.give(told(events.PAYMENT, 1, {"amount": 2}, {"currency": "EUR"}, tenant="acme", id="1"))
    assert running.summary()["cities"] == {"seen": 1}
    shown = metrics.exposition().decode()
    assert f'{catalogue.PURCHASES.name}{{tenant="acme"}} 1.0' in shown
    assert f'{catalogue.REVENUE.name}{{currency="EUR",tenant="acme"}} 2.0' in shown
    sys.modules.pop("my_cities")


@pytest.mark.parametrize("name", ["no_such_module_anywhere", "json"])
def test_what_is_no_handler_module_is_said(name: str) -> None:
    with pytest.raises(SettingsError, match="handlers"):
        gathered(Settings(handlers=name))


def test_one_that_fails_harms_nobody_and_is_asked_no_more() -> None:
    broken, metrics = Broken(), Metrics()
    running = Handlers((broken, *gathered(Settings())), metrics)
    for number in range(FAILURES_MAX + 5):
        running.give(told(events.PAYMENT, 1, {"amount": 1}, {"currency": "EUR"}, tenant="acme", id=str(number)))
    assert broken.asked == FAILURES_MAX
    assert running.summary()["business"]["acme"]["revenue"] == {"EUR": FAILURES_MAX + 5}


def test_what_cannot_be_read_is_counted() -> None:
    running = Handlers(gathered(Settings()))

    class Record:
        value = b"no event"

    running.take("telemetry", Record())
    assert running.unreadable == 1
    assert event.VERSION == 1
