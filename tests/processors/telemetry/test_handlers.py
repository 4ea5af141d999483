"""Handlers: what is slow, what was paid, what failed; the same on every replay."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry import catalogue, events
from processors.telemetry.event import Told, told
from processors.telemetry.handlers import handlers
from processors.telemetry.handlers.business import Business
from processors.telemetry.handlers.errors import REASONS_MAX, Errors
from processors.telemetry.handlers.handler import Handler
from processors.telemetry.handlers.performance import KEPT, Performance


def paid(id_: str, amount: float, tenant: str = "acme", currency: str = "EUR") -> Told:
    return told(events.PAYMENT, 1, {"amount": amount}, {"currency": currency}, tenant=tenant, id=id_)


TOLD = st.one_of(
    st.builds(paid, st.text(max_size=2), st.floats(0, 100), st.sampled_from("ab"), st.sampled_from(["EUR", "x"])),
    st.floats(0, 20).map(lambda s: told(events.HOP_SLOW, 1, {"count": 2, "seconds": s}, hop="ingest")),
    st.sampled_from(["bug", "rate_limited"]).map(
        lambda r: told(events.SIGNAL_DEAD, 1, {"count": 3}, {"reason": r}, hop="ingest", tenant="a")
    ),
    st.just(told(events.PURCHASED, 1, {}, {}, tenant="a")),
)


def results(all_of_them: tuple[Handler, ...], stream: list[Told]) -> tuple[Any, ...]:
    counts = Counter[Any]()
    for one in stream:
        for handler in all_of_them:
            if handler.wants(one.event):
                for count in handler.take(one):
                    counts[count.metric.name, count.labels] += round(count.by * 1_000)
    return counts, [handler.summary() for handler in all_of_them]


@given(st.lists(TOLD, max_size=60))
def test_a_replay_finds_the_same(stream: list[Told]) -> None:
    assert results(handlers(5), stream) == results(handlers(5), stream)


@given(st.lists(TOLD, max_size=60), st.integers(0, 59))
def test_reading_some_of_it_again_changes_nothing_of_the_money(stream: list[Told], at: int) -> None:
    named = [one for one in stream if one.id]
    once, twice = Business(), Business()
    for one in named:
        list(once.take(one))
    for one in named + named[at:]:
        list(twice.take(one))
    assert once.summary() == twice.summary()


def test_a_payment_is_revenue_and_a_purchase_is_counted() -> None:
    business = Business()
    assert [(count.metric, count.labels, count.by) for count in business.take(paid("1", 12.5))] == [
        (catalogue.REVENUE, ("acme", "EUR"), 12.5)
    ]
    assert not list(business.take(paid("1", 12.5)))
    bought = told(events.PURCHASED, 1, {"amount": 3}, {}, tenant="acme", id="2")
    assert [count.metric for count in business.take(bought)] == [catalogue.PURCHASES]
    assert [count.labels for count in business.take(paid("3", 1, currency="euro"))] == [("acme", "other")]
    assert business.summary() == {"acme": {"purchases": 1, "revenue": {"EUR": 12.5, "other": 1.0}}}


def test_tenants_with_a_label_are_bounded_and_the_rest_is_not_lost() -> None:
    business, money = Business(), Counter[str]()
    for number in range(60):
        for count in business.take(paid(str(number), 1, tenant=f"t{number}")):
            money[count.labels[0]] += int(count.by)
    assert len(money) == catalogue.TENANTS_MAX + 1
    assert money[catalogue.OTHER_TENANTS] == 60 - catalogue.TENANTS_MAX


def test_slow_is_above_the_limit_and_the_slowest_are_kept() -> None:
    performance = Performance(5)
    assert performance.wants("hop.stop")
    assert not performance.wants("signal.dead_lettered")
    assert not list(performance.take(told(events.HOP_STOP, 1, {"seconds": 5.0})))
    for seconds in range(6, 60):
        list(performance.take(told(events.HOP_STOP, 1, {"seconds": seconds})))
    kept = [one["seconds"] for one in performance.summary()["slowest"]]
    assert kept == list(range(59, 59 - KEPT, -1))


def test_errors_are_counted_by_reason_and_what_they_say_is_no_label() -> None:
    errors = Errors()
    assert errors.wants("signal.dead_lettered")
    assert not errors.wants("hop.stop")
    (count,) = errors.take(told(events.HOP_EXCEPTION, 1, {}, {"error": "ValueError: secret"}))
    assert count.labels == ("hop.exception", "")
    for number in range(2 * REASONS_MAX):
        (count,) = errors.take(told(events.SIGNAL_DEAD, 1, {"count": 2}, {"reason": f"r{number}"}))
    assert count.labels == ("signal.dead_lettered", "other")
    assert sum(one["count"] for one in errors.summary()["counts"]) == 1 + 4 * REASONS_MAX
