"""What lanes did becomes metrics and events; labels are bounded; a failure in here never stops a hop."""

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from processors.ingest import IngestSettings
from processors.telemetry import catalogue, events
from processors.telemetry.event import Event, Told
from processors.vocabulary import topics
from streams.lanes.ports import Took
from streams.metrics import Metrics
from streams.telemetry import LaneObserver
from tests.processors.lanes import LaneInMemory, event

TOOK = Took(stepped_ms=4.0, committed_ms=6.0, hops_ms={"ingest": 3.0, "directives": 1.0})
NAMED_MAX = catalogue.TENANTS_MAX


class Heard:
    """Listens to everything."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def tell(self, one: Told) -> None:
        self.told.append(one)

    def sample(self, event: Event, make: Callable[[], Told]) -> None:
        del event
        self.told.append(make())


def values(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return values(metrics)[name, frozenset(labels.items())]


def series(metrics: Metrics, name: str) -> list[dict[str, str]]:
    return [dict(labels) for found, labels in values(metrics) if found == name]


def test_each_hop_has_its_own_input_duration_and_outcomes() -> None:
    lane, metrics, heard = LaneInMemory(), Metrics(), Heard()
    observer = LaneObserver(metrics, None, heard)
    bad, good = lane.record(b"no json"), lane.record(event())
    asked = lane.record(event(type="hopline.tenant.suspend", data={}), topic=topics.COMMANDS)
    commit = lane.step(good, bad, asked)
    observer.began(0, {topics.SIGNALS_IN: 2, topics.COMMANDS: 1})
    observer.committed(0, commit, TOOK)
    assert value(metrics, catalogue.HOP_INPUT.name, hop="ingest") == 3
    assert value(metrics, catalogue.HOP_INPUT.name, hop="directives") == 1
    assert value(metrics, f"{catalogue.HOP_DURATION.name}_sum", hop="ingest") == pytest.approx(0.003)
    assert value(metrics, f"{catalogue.HOP_DURATION.name}_sum", hop="directives") == pytest.approx(0.001)
    assert value(metrics, catalogue.SIGNALS.name, hop="ingest", tenant="acme", outcome="handled") == 2
    assert value(metrics, catalogue.DEAD_LETTERS.name, hop="ingest", reason="not_json") == 1
    assert value(metrics, catalogue.DIRECTIVES.name, kind="hopline.tenant.suspend", status="succeeded") == 1
    names = [one.event for one in heard.told]
    assert events.HOP_START.name in names
    assert names.count(events.HOP_STOP.name) == 2
    assert events.DIRECTIVE_SUCCEEDED.name in names


def test_of_ten_thousand_tenants_few_have_a_label_and_none_is_lost_from_the_sum() -> None:
    lane, metrics = LaneInMemory(), Metrics()
    observer = LaneObserver(metrics)
    for at in range(0, 10_000, 500):
        records = [lane.record(event(tenant=f"t{n}", id=str(n))) for n in range(at, at + 500)]
        observer.committed(0, lane.step(*records), TOOK)
    handled = [one for one in series(metrics, catalogue.SIGNALS.name) if one["outcome"] == "handled"]
    assert len(handled) <= NAMED_MAX + 1
    total = sum(value(metrics, catalogue.SIGNALS.name, **one) for one in handled)
    assert total == 10_000
    overflow = value(metrics, catalogue.TENANTS_OVERFLOW.name, hop="ingest")
    assert overflow == value(
        metrics, catalogue.SIGNALS.name, hop="ingest", tenant=catalogue.OTHER_TENANTS, outcome="handled"
    )
    assert len(values(metrics)) < 500


def test_a_tenant_of_which_everything_fails_has_a_label() -> None:
    lane, metrics = LaneInMemory(), Metrics()
    lane.command(status="suspended")
    # A worker that is started afterwards has never seen it do well.
    observer = LaneObserver(metrics)
    observer.committed(0, lane.step(*(lane.record(event(id=str(n))) for n in range(20))), TOOK)
    assert value(metrics, catalogue.SIGNALS.name, hop="ingest", tenant="acme", outcome="dead_lettered") == 20


def test_names_that_are_no_tenants_take_no_label_from_anybody() -> None:
    lane, metrics = LaneInMemory(ingest=IngestSettings(strict=True)), Metrics()
    observer = LaneObserver(metrics)
    for at in range(3):
        strangers = [lane.record(event(tenant=f"made-up-{n}", id=f"{at}-{n}")) for n in range(2 * NAMED_MAX)]
        observer.committed(0, lane.step(*strangers), TOOK)
    named = {one["tenant"] for one in series(metrics, catalogue.SIGNALS.name)}
    assert named == {catalogue.OTHER_TENANTS}


def test_a_signal_that_took_too_long_is_counted_and_told() -> None:
    lane, metrics, heard = LaneInMemory(), Metrics(), Heard()
    observer = LaneObserver(metrics, None, heard, slow_seconds=5)
    lane.now_ms -= 60_000_000_000
    observer.committed(0, lane.step(lane.record(event())), TOOK)
    assert value(metrics, catalogue.SLOW.name, hop="ingest") == 1
    (one,) = [one for one in heard.told if one.event == events.HOP_SLOW.name]
    assert one.measurements["seconds"] > 5


def test_a_sampled_signal_is_an_exemplar_for_who_asks_for_openmetrics() -> None:
    lane, metrics = LaneInMemory(), Metrics()
    trace_id = "a" * 32
    traced = event(traceparent=f"00-{trace_id}-{'b' * 16}-01")
    LaneObserver(metrics).committed(0, lane.step(lane.record(traced)), TOOK)
    text, content_type = metrics.shown("application/openmetrics-text; version=1.0.0")
    assert "openmetrics" in content_type
    assert f'# {{trace_id="{trace_id}"}}' in text.decode()
    plain, content_type = metrics.shown("text/plain")
    assert "openmetrics" not in content_type
    assert trace_id not in plain.decode()


def test_a_lane_that_is_gone_is_not_shown_any_more() -> None:
    lane, metrics = LaneInMemory(), Metrics()
    observer = LaneObserver(metrics)
    commit = lane.step(lane.record(event()))
    observer.committed(3, commit, TOOK)
    observer.committed(4, commit, TOOK)
    observer.left(3)
    lanes = {
        one["lane"] for name in (catalogue.LEDGER_MISMATCH, catalogue.DEFERRED) for one in series(metrics, name.name)
    }
    assert lanes == {"4"}


def test_what_fails_in_here_is_counted_and_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    lane, metrics = LaneInMemory(), Metrics()
    observer = LaneObserver(metrics)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(observer, "_count", broken)
    observer.committed(0, lane.step(lane.record(event())), TOOK)
    assert value(metrics, catalogue.TELEMETRY_DROPPED.name) == 1


def test_a_hop_that_raised_is_told_without_what_it_said() -> None:
    metrics, heard = Metrics(), Heard()
    LaneObserver(metrics, None, heard).failed(2, "ingest", ValueError("acme's secret"))
    assert value(metrics, catalogue.HOP_ERRORS.name, hop="ingest") == 1
    (one,) = heard.told
    assert (one.event, one.hop, one.lane, one.metadata) == (
        events.HOP_EXCEPTION.name,
        "ingest",
        2,
        {"error": "ValueError"},
    )
