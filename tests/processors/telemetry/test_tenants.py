"""The busiest tenants have a label, and it does not jump about."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry.tenants import COUNTED_MAX, ActiveTenants

BATCHES = st.lists(st.dictionaries(st.integers(0, 2_000).map(str), st.integers(1, 100), max_size=40), max_size=40)


@given(BATCHES, st.integers(1, 20))
def test_who_has_more_than_its_share_of_all_is_named(batches: list[dict[str, int]], most: int) -> None:
    active, exact = ActiveTenants(most), Counter[str]()
    for batch in batches:
        active.count(batch)
        exact.update(batch)
    active.rank()
    total = exact.total()
    heavy = {tenant for tenant, count in exact.items() if count > total / COUNTED_MAX and count > total / (most + 1)}
    # An overestimate may put somebody before them, by no more than what one place was worth.
    sure = {
        t for t in heavy if exact[t] > exact.most_common(most + 1)[-1][1] + total / COUNTED_MAX or len(exact) <= most
    }
    assert sure <= active.named
    assert len(active.named) <= most
    assert len(active._counts) <= COUNTED_MAX + most


def test_a_label_stays_where_it_is_until_somebody_is_clearly_busier() -> None:
    active = ActiveTenants(1)
    active.count({"a": 100})
    assert active.rank() == set()
    active.count({"a": 100, "b": 160})
    assert active.rank() == set()
    assert active.named == {"a"}
    lost: frozenset[str] = frozenset()
    for _ in range(6):
        active.count({"a": 100, "b": 400})
        lost = active.rank()
        if lost:
            break
    assert lost == {"a"}
    assert active.named == {"b"}


def test_nobody_and_nothing_are_not_counted() -> None:
    active = ActiveTenants(3)
    active.count({"": 50, "a": 0, "b": -3, "c": 1})
    active.rank()
    assert active.named == {"c"}
