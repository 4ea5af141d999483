"""The simulated Kafka itself: what it must have in common with the real one."""

import pytest

from tests.simulation.log import TRANSACTION_TIMEOUT_MS, BusyError, Cluster, FencedError


def a_cluster() -> tuple[Cluster, list[int]]:
    now = [0]
    return Cluster(1, lambda: now[0]), now


def finish(cluster: Cluster) -> None:
    while pending := cluster.pending():
        cluster.mark_one(pending[0], 0)


def values(cluster: Cluster, topic: str) -> list[bytes | None]:
    return [record.value for record in cluster.partitions[topic, 0].read(0, 100)[0]]


def put(cluster: Cluster, epoch: int, value: bytes, topic: str = "signals") -> None:
    cluster.produce("p", epoch, topic, 0, [(b"k", value, [])], 0)


def test_records_are_held_back_until_the_marker_stands_there() -> None:
    cluster, _ = a_cluster()
    epoch = cluster.fence("p")
    put(cluster, epoch, b"1")
    put(cluster, epoch, b"2", "journal")
    cluster.end("p", epoch, commits=True)
    cluster.mark_one(cluster.pending()[0], 0)
    assert (values(cluster, "signals"), values(cluster, "journal")) == ([b"1"], [])
    finish(cluster)
    assert values(cluster, "journal") == [b"2"]
    assert cluster.partitions["signals", 0].stable == 2, "the marker takes an offset"


def test_a_fence_ends_what_is_open_and_refuses_what_comes_late() -> None:
    cluster, _ = a_cluster()
    old = cluster.fence("p")
    put(cluster, old, b"1")
    with pytest.raises(BusyError):
        cluster.fence("p")
    finish(cluster)
    new = cluster.fence("p")
    assert new > old
    with pytest.raises(FencedError):
        put(cluster, old, b"late")
    with pytest.raises(FencedError):
        cluster.end("p", old, commits=True)
    assert values(cluster, "signals") == []


def test_a_fence_waits_for_a_commit_that_was_decided() -> None:
    cluster, _ = a_cluster()
    epoch = cluster.fence("p")
    put(cluster, epoch, b"1")
    cluster.end("p", epoch, commits=True)
    with pytest.raises(BusyError):
        cluster.fence("p")
    finish(cluster)
    cluster.fence("p")
    assert values(cluster, "signals") == [b"1"]


def test_an_open_transaction_holds_others_back_until_it_times_out() -> None:
    cluster, now = a_cluster()
    epoch = cluster.fence("p")
    put(cluster, epoch, b"1")
    cluster.send("signals", 0, None, b"outside", [], 0)
    assert values(cluster, "signals") == []
    now[0] = TRANSACTION_TIMEOUT_MS + 1
    cluster.time_out()
    finish(cluster)
    assert values(cluster, "signals") == [b"outside"]
    with pytest.raises(FencedError):
        put(cluster, epoch, b"2")


def test_offsets_move_with_the_transaction() -> None:
    cluster, _ = a_cluster()
    epoch = cluster.fence("p")
    cluster.add_offsets("p", epoch, {("signals.in", 0): 5})
    cluster.end("p", epoch, commits=True)
    assert cluster.offsets == {}
    finish(cluster)
    assert cluster.offsets == {("signals.in", 0): 5}


def test_compaction_keeps_the_newest_and_tombstones_for_a_while() -> None:
    cluster, _ = a_cluster()
    partition = cluster.partitions["state", 0]
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None), *((b"end", b"") for _ in range(9))):
        cluster.send("state", 0, key, value, [], 0)
    partition.compact(0, 100)
    kept = [(record.key, record.value, record.offset) for record in partition.read(0, 100)[0]]
    assert kept[:2] == [(b"a", b"2", 2), (b"b", None, 3)]
    partition.compact(99, 100)
    assert partition.records[1].key == b"b"
    partition.compact(100, 100)
    assert partition.records[1].key == b"end"
