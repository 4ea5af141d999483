"""The live table works out rates and latencies as Prometheus would."""

import io

from hypothesis import given
from hypothesis import strategies as st

from processors import HOPS
from processors.telemetry import catalogue
from streams.cli.live import Reading, Screen, quantile, rows
from streams.metrics import Metrics


def reading(at_seconds: float, *processes: Metrics) -> Reading:
    made = Reading(at_seconds)
    for metrics in processes:
        made.add(metrics.exposition().decode())
    return made


def worker(handled: int, lag: int = 0, latency_seconds: float = 0.004) -> Metrics:
    metrics = Metrics()
    metrics.counter(catalogue.HOP_INPUT).of("ingest").inc(handled)
    metrics.counter(catalogue.SIGNALS).of("ingest", "t", "handled").inc(handled)
    metrics.gauge(catalogue.LAG_RECORDS).of("any", "0").set(lag)
    metrics.histogram(catalogue.END_TO_END).of("ingest").observe_many([latency_seconds] * handled)
    return metrics


def cells(before: Reading, after: Reading) -> dict[str, list[str]]:
    return {str(row[0]): [str(cell) for cell in row[1:]] for row in rows(before, after)}


def test_rates_lag_and_latency_are_added_up_over_all_workers() -> None:
    before = reading(10, worker(100), worker(50))
    after = reading(12, worker(300, lag=3), worker(150, lag=4))
    found = cells(before, after)
    assert list(found) == ["gateway", *HOPS]
    came, handled, duplicates, bad, _, lag, p50, p99, in_all = found["ingest"]
    assert (came, handled, duplicates, bad, lag, in_all) == ("150", "150", "0", "0", "7", "450")
    assert 2.5 <= float(p50) <= float(p99) <= 5


def test_a_worker_that_was_started_anew_makes_no_negative_rate() -> None:
    found = cells(reading(10, worker(1_000)), reading(11, worker(5)))
    assert found["ingest"][0] == "0"


def test_nothing_came_is_no_latency() -> None:
    found = cells(reading(10, worker(5)), reading(11, worker(5)))
    assert found["ingest"][6:8] == ["–", "–"]


@given(
    st.lists(st.floats(min_value=0, max_value=9.9), min_size=1, max_size=100), st.floats(min_value=0.01, max_value=1)
)
def test_a_quantile_lies_in_the_bucket_of_the_value_that_it_stands_for(values: list[float], share: float) -> None:
    bounds = catalogue.LATENCY_SECONDS
    after = {bound: float(sum(value <= bound for value in values)) for bound in (*bounds, float("inf"))}
    found = quantile({}, after, share)
    assert found is not None
    rank = share * len(values)
    bucket = next(bound for bound in bounds if after[bound] >= rank)
    below = max((bound for bound in bounds if bound < bucket), default=0.0)
    assert below <= found <= bucket


def test_on_a_terminal_the_table_stays_below_what_is_told() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:  # type: ignore[explicit-override]
            return True

    stream = Terminal()
    screen = Screen(stream)
    screen.show(["one", "two"])
    screen.tell("news")
    assert stream.getvalue() == "one\ntwo\n\x1b[2A\x1b[Jnews\none\ntwo\n"


def test_elsewhere_lines_follow_each_other() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.show(["table"])
    screen.tell("news")
    assert stream.getvalue() == "news\n"
