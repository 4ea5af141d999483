"""Tenants land in the lane that Kafka's own partitioner gives them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary.partition import lane_of, murmur2


@pytest.mark.parametrize(
    "data, hashed",
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_as_the_tests_of_kafka_have_it(data: bytes, hashed: int) -> None:
    assert murmur2(data) == hashed % 2**32


@given(st.binary(max_size=40), st.integers(1, 500))
def test_a_lane_is_one_of_them_and_stays(tenant: bytes, lanes: int) -> None:
    lane = lane_of(tenant, lanes)
    assert 0 <= lane < lanes
    assert lane == lane_of(tenant, lanes) == (murmur2(tenant) & 0x7FFFFFFF) % lanes
