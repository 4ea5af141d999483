"""How far the check is, written down: read back as it was, and not believed where it does not fit."""

from pathlib import Path

import pytest

from processors.position import Position
from processors.vocabulary import topics
from streams.ledger import bookmark

CLUSTER = "abc/prefix-"
AT = Position(applied={topics.SIGNALS_IN: 7}, now_ms=9, sequence=3, ledger={"ingest/in": 7})
OFFSETS = {(topics.SIGNALS, 0): 12, (topics.JOURNAL, 0): 6}


def test_what_is_written_down_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger" / "one.json"
    bookmark.write(path, bookmark.of(CLUSTER, {0: AT}, OFFSETS))
    found = bookmark.read(path, CLUSTER)
    assert found is not None
    assert bookmark.position_of(found, 0) == AT
    assert bookmark.position_of(found, 1) is None
    assert found.offsets == {topics.SIGNALS: {0: 12}, topics.JOURNAL: {0: 6}}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"v":1}', b'{"v":1,"cluster":"abc/prefix-","positions":{"0":"!"},"offsets":{}}']
)
def test_what_is_no_bookmark_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(content)
    assert bookmark.read(path, CLUSTER) is None


def test_that_of_another_cluster_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    bookmark.write(path, bookmark.of(CLUSTER, {0: AT}, OFFSETS))
    assert bookmark.read(path, "another/prefix-") is None


def test_a_disk_that_takes_nothing_costs_the_bookmark_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    bookmark.write(blocked / "one.json", bookmark.of(CLUSTER, {}, {}))
    assert bookmark.read(blocked / "one.json", CLUSTER) is None
