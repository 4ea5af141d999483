"""Over the rate: deferred in order in a bounded queue, or refused; never dropped, never overtaken."""

from hypothesis import given
from hypothesis import strategies as st

from processors.ingest import IngestSettings, Over, Policy
from processors.lane import ledger_mismatches
from tests.processors.lanes import LaneInMemory, event


def lane_with(**policy: object) -> LaneInMemory:
    return LaneInMemory(ingest=IngestSettings(Policy(**policy)))  # type: ignore[arg-type]


def test_what_is_over_the_rate_waits_and_comes_out_in_order() -> None:
    lane = lane_with(rate_per_second=10, burst=2)
    commit = lane.send(*(event(id=str(n)) for n in range(5)))
    assert lane.ids() == ["0", "1"]
    assert commit.due_ms is not None
    while lane.account().queued:
        assert lane.commits[-1].due_ms is not None
        lane.now_ms = lane.commits[-1].due_ms
        lane.step()
    assert lane.ids() == ["0", "1", "2", "3", "4"]
    assert lane.commits[-1].due_ms is None


def test_a_newcomer_does_not_overtake_those_that_wait_even_if_there_is_a_token() -> None:
    lane = lane_with(rate_per_second=1, burst=1)
    lane.send(event(id="0"), event(id="1"))
    lane.now_ms += 1_000
    # Its batch is stepped with a tick that takes the token for the one that waits.
    lane.send(event(id="2"))
    assert lane.ids() == ["0", "1"]


def test_the_due_time_is_exact_neither_early_nor_a_tick_late() -> None:
    lane = lane_with(rate_per_second=4, burst=1)
    commit = lane.send(event(id="0"), event(id="1"))
    assert commit.due_ms == lane.now_ms + 250
    lane.now_ms += 249
    lane.step()
    assert lane.ids() == ["0"]
    lane.now_ms += 1
    lane.step()
    assert lane.ids() == ["0", "1"]


def test_a_full_queue_refuses_with_a_reason() -> None:
    lane = lane_with(rate_per_second=1, burst=1, queue_records=2)
    lane.send(*(event(id=str(n)) for n in range(5)))
    assert lane.account().queued == 2
    assert lane.reasons() == ["rate_limited", "rate_limited"]


def test_a_tenant_that_is_to_be_refused_is_refused_at_once() -> None:
    lane = lane_with(rate_per_second=1, burst=1, over=Over.REFUSE)
    lane.send(event(id="0"), event(id="1"))
    assert lane.reasons() == ["rate_limited"]


def test_lifting_the_limit_lets_the_queue_out_at_once() -> None:
    lane = lane_with(rate_per_second=0.01, burst=1)
    lane.send(*(event(id=str(n)) for n in range(4)))
    commit = lane.command(rate_per_second=0)
    assert commit.due_ms == lane.now_ms
    lane.step()
    assert lane.ids() == ["0", "1", "2", "3"]


def test_what_waits_when_its_tenant_is_suspended_is_set_aside() -> None:
    lane = lane_with(rate_per_second=1, burst=1)
    lane.send(event(id="0"), event(id="1"))
    lane.command(status="suspended")
    lane.now_ms += 5_000
    lane.step()
    assert lane.reasons() == ["tenant_suspended"]
    assert lane.account().queued == 0


def test_a_deferred_duplicate_is_found_out_at_its_release() -> None:
    lane = lane_with(rate_per_second=1, burst=1)
    lane.send(event(id="0"), event(id="1"), event(id="1"))
    lane.now_ms += 60_000
    lane.step()
    lane.now_ms += 60_000
    lane.step()
    assert lane.ids() == ["0", "1"]
    assert lane.account().duplicates == 1


@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from("ab"), st.integers(1, 6)), max_size=30),
    st.floats(0.5, 50),
    st.integers(1, 5),
)
def test_whatever_comes_order_and_ledger_hold(arrivals: list[tuple[int, str, int]], rate: float, burst: int) -> None:
    lane = lane_with(rate_per_second=rate, burst=burst, queue_records=20)
    sent: dict[str, list[str]] = {"a": [], "b": []}
    number = 0
    for pause_ms, tenant, count in arrivals:
        lane.now_ms += pause_ms
        values = []
        for _ in range(count):
            number += 1
            sent[tenant].append(str(number))
            values.append(event(tenant, id=str(number)))
        lane.send(*values)
    for _ in range(100):
        due_ms = lane.commits[-1].due_ms if lane.commits else None
        if due_ms is None:
            break
        lane.now_ms = max(lane.now_ms, due_ms)
        lane.step()
    out = lane.ids()
    for ids in sent.values():
        came = [one for one in ids if one in set(out)]
        assert [one for one in out if one in set(ids)] == came
    assert len(out) == len(set(out))
    assert len(out) + len(lane.reasons()) == number
    assert ledger_mismatches(lane.position.ledger) == {}
    assert lane.position.ledger.get("ingest/deferred", 0) == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.floats(0.5, 20), st.integers(1, 5))
def test_no_window_of_time_lets_more_through_than_rate_and_burst(pauses: list[int], rate: float, burst: int) -> None:
    lane = lane_with(rate_per_second=rate, burst=burst, over=Over.REFUSE)
    began_ms = lane.now_ms
    for number, pause_ms in enumerate(pauses):
        lane.now_ms += pause_ms
        lane.send(event(id=str(number)))
    elapsed_seconds = (lane.now_ms - began_ms) / 1_000
    assert len(lane.ids()) <= burst + rate * elapsed_seconds + 1e-6
