"""The local store: it saves time, and is thrown away whenever it could lie."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.memory import MemoryStore
from processors.state import Overlay, Segment, segment_prefix, value_key
from streams.lanes import checkpoint
from streams.lanes.store import CLOCK_AHEAD_MS_MAX, SNAPSHOT_AGE_MS_MAX, SlotStore, open_slot

HOLD = """
import sys
from pathlib import Path
from streams.lanes.store import open_slot
store = open_slot(Path(sys.argv[1]), 0, cluster="one")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[SlotStore]:
    opened = open_slot(tmp_path, 0, cluster="one")
    yield opened
    opened.close()


def reopened(slot: SlotStore, root: Path, cluster: str = "one") -> SlotStore:
    slot.close()
    return open_slot(root, 0, cluster=cluster)


def test_what_was_applied_is_there_after_a_restart(tmp_path: Path) -> None:
    slot = open_slot(tmp_path, 0, cluster="one")
    slot.lane(1, lambda: 0).apply({b"Ka": b"1"}, 7)
    slot = reopened(slot, tmp_path)
    lane = slot.lane(1, lambda: 0)
    assert lane.changelog_offset() == 7
    assert lane.get_many([b"Ka", b"Kb"]) == [b"1", None]
    slot.close()


def test_lanes_of_one_slot_do_not_see_each_other(slot: SlotStore) -> None:
    one, two = slot.lane(1, lambda: 0), slot.lane(2, lambda: 0)
    one.apply({b"Ka": b"1"}, 1)
    two.apply({b"Ka": b"2"}, 2)
    one.clear()
    assert one.get_many([b"Ka"]) == [None]
    assert one.changelog_offset() is None
    assert two.scan(b"K", 9) == [(b"Ka", b"2")]


def test_another_clusters_state_is_thrown_away(tmp_path: Path) -> None:
    slot = open_slot(tmp_path, 0, cluster="one")
    slot.lane(1, lambda: 0).apply({b"Ka": b"1"}, 7)
    slot = reopened(slot, tmp_path, cluster="two")
    assert slot.lane(1, lambda: 0).changelog_offset() is None
    slot.close()


def test_a_torn_store_is_thrown_away(tmp_path: Path) -> None:
    slot = open_slot(tmp_path, 0, cluster="one")
    slot.lane(1, lambda: 0).apply({b"Ka": b"1"}, 7)
    slot.close()
    for manifest in (tmp_path / "slot-0").glob("MANIFEST-*"):
        manifest.write_bytes(b"torn")
    slot = open_slot(tmp_path, 0, cluster="one")
    assert slot.lane(1, lambda: 0).changelog_offset() is None
    slot.close()


def test_a_snapshot_too_old_or_from_the_future_counts_as_none(slot: SlotStore) -> None:
    slot.lane(1, lambda: 10**12).apply({b"Ka": b"1"}, 7)
    assert slot.lane(1, lambda: 10**12 + SNAPSHOT_AGE_MS_MAX).changelog_offset() == 7
    assert slot.lane(1, lambda: 10**12 + SNAPSHOT_AGE_MS_MAX + 1).changelog_offset() is None
    assert slot.lane(1, lambda: 10**12 - CLOCK_AHEAD_MS_MAX - 1).changelog_offset() is None


def test_a_store_that_a_zombie_holds_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as zombie:
        assert zombie.stdout is not None
        assert zombie.stdout.readline() == b"held\n"
        elsewhere = open_slot(tmp_path, 0, cluster="one")
        assert elsewhere.lane(0, lambda: 0).changelog_offset() is None
        elsewhere.close()
        assert zombie.stdin is not None
        zombie.stdin.close()
        assert zombie.wait(timeout=30) == 0


changes = st.dictionaries(
    st.one_of(
        st.integers(0, 6).map(lambda n: value_key("t", "ingest", b"%d" % n)),
        st.integers(0, 6).map(lambda n: segment_prefix("ingest") + n.to_bytes(16, "big")),
    ),
    st.one_of(st.none(), st.integers(0, 4)),
    max_size=6,
)


def segment_or_value(key: bytes, number: int | None) -> bytes | None:
    if number is None or key.startswith(b"K"):
        return None if number is None else b"%d" % number
    seen_ms = key[-1]
    return Segment(seen_ms, seen_ms + 10, b"".join(bytes([n]) * 16 for n in range(number))).pack()


@given(batches=st.lists(changes, max_size=8))
def test_rocksdb_and_memory_agree_on_everything(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[bytes, int | None]]
) -> None:
    slot = open_slot(tmp_path_factory.mktemp("slot"), 0, cluster="one")
    lane, memory = slot.lane(3, lambda: 0), MemoryStore()
    for number, batch in enumerate(batches):
        made = {key: segment_or_value(key, value) for key, value in batch.items()}
        lane.apply(made, number)
        memory.apply(made)
    members = [bytes([n]) * 16 for n in range(5)]
    for prefix in (b"K", b"S", b"M", segment_prefix("ingest")):
        assert lane.scan(prefix, 5) == memory.scan(prefix, 5)
    assert dict(lane.pairs()) == memory.values
    assert lane.seen_many("ingest", members) == memory.seen_many("ingest", members)
    assert Overlay(lane).scan(b"K", 3) == Overlay(memory).scan(b"K", 3)
    slot.close()


def test_a_checkpoint_reads_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.name(12)
    pairs = [(b"Ka", b"1"), (b"Kb", b"\x00" * 1_000)]
    assert checkpoint.write(path, pairs) == 2
    _, store = checkpoint.read(path)
    assert store.values == dict(pairs)
    assert checkpoint.newest(tmp_path) == path


@pytest.mark.parametrize("harm", ["flip", "cut", "other"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, harm: str) -> None:
    path = tmp_path / checkpoint.name(1)
    checkpoint.write(path, [(b"Ka", b"1" * 100)])
    packed = bytearray(path.read_bytes())
    if harm == "flip":
        packed[len(checkpoint.MAGIC) + 12] ^= 1
    path.write_bytes(b"something" if harm == "other" else packed[: -5 if harm == "cut" else None])
    with pytest.raises(checkpoint.DamagedCheckpointError):
        checkpoint.read(path)


def test_old_checkpoints_go_with_the_journal_but_the_newest_stay(tmp_path: Path) -> None:
    for number in range(5):
        checkpoint.write(tmp_path / checkpoint.name(number), [])
    newest = tmp_path / checkpoint.name(4)
    now = newest.stat().st_mtime
    checkpoint.prune(tmp_path, now_seconds=now + 10, age_seconds_max=60)
    assert len(list(tmp_path.iterdir())) == 5
    checkpoint.prune(tmp_path, now_seconds=now + 100, age_seconds_max=60)
    assert sorted(tmp_path.iterdir()) == [tmp_path / checkpoint.name(3), newest]
