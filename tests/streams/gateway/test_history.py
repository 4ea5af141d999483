"""History over HTTP: what became of a signal, for whom it is, and nobody else's."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.vocabulary.ids import signal_ref
from streams.gateway.recent import Accepted, Recent
from streams.history.rows import Row
from streams.history.sqlite import SqliteHome
from tests.streams.gateway.keyed import kind, listening
from tests.streams.gateway.played import STRUCTURED
from tests.streams.gateway.played import event as plain
from tests.streams.history.made import TENANTS, rows_, signal_row

SIGNALS: Final = "/v1/signals"
OURS: Final = TENANTS[0]


def kept(folder: Path, rows: Sequence[Row]) -> Path:
    """Write a history of these rows."""
    home = SqliteHome(folder)
    generation = home.fresh()
    writer = home.writer(generation)
    now_ms = int(time.time() * 1_000)
    writer.write(rows, {}, complete_ms=now_ms, share=1.0)
    writer.close()
    home.publish(generation)
    return folder


@pytest.fixture
def history(tmp_path: Path) -> Path:
    mine = [signal_row(number, tenant=OURS, id=f"o{number}") for number in range(3)]
    theirs = [signal_row(10 + number, tenant="globex", id=f"t{number}") for number in range(3)]
    return kept(tmp_path / "history", [*mine, *theirs])


def ref_of(row: Row) -> str:
    return signal_ref(row.tenant, row.source, row.id)


async def test_a_signal_is_shown_to_whom_it_belongs(history: Path) -> None:
    mine, theirs = signal_row(0, tenant=OURS, id="o0"), signal_row(10, tenant="globex", id="t0")
    async with listening(history=history) as site:
        key, operator = site.give("a", OURS), site.give("op", "_system")
        status, said = await site.ask("GET", f"{SIGNALS}/{ref_of(mine)}", key)
        assert (status, said["status"], said["tenant"], said["id"]) == (200, "handled", OURS, "o0")
        assert [end["topic"] for end in said["ends"]] == ["signals"]
        for path in (f"{SIGNALS}/{ref_of(theirs)}", f"{SIGNALS}/{ref_of(theirs)}/causes"):
            assert (await site.ask("GET", path, key))[0] == 404
            assert (await site.ask("GET", f"{path}?tenant=globex", key))[0] == 403
            assert (await site.ask("GET", path, operator))[0] == 200
        assert (await site.ask("GET", f"{SIGNALS}/{'0' * 32}", operator))[0] == 404
        assert (await site.ask("GET", f"{SIGNALS}/nonsense", operator))[0] == 404


async def test_a_search_is_paged_and_bound_to_the_tenant(history: Path) -> None:
    async with listening(history=history) as site:
        key = site.give("a", OURS)
        status, said = await site.ask("GET", f"{SIGNALS}?limit=2", key)
        assert (status, [one["id"] for one in said["signals"]]) == (200, ["o2", "o1"])
        _, rest = await site.ask("GET", f"{SIGNALS}?limit=2&cursor={said['cursor']}", key)
        assert [one["id"] for one in rest["signals"]] == ["o0"]
        assert rest["cursor"] is None


async def test_what_was_just_accepted_is_known_before_history_knows_it() -> None:
    async with listening() as site:
        key, other = site.give("a", OURS), site.give("b", "globex")
        headers = {"Authorization": f"Bearer {key}", **STRUCTURED}
        async with site.client.post(SIGNALS, json=plain(tenantid=OURS), headers=headers) as answer:
            assert answer.status == 202
            where = answer.headers["Location"]
        status, said = await site.ask("GET", where, key)
        assert (status, said["status"], said["lane"]) == (200, "accepted", 3)
        # There is no history at all, which is said of what is not known here.
        assert (await site.ask("GET", where, other))[0] == 503
        status, said = await site.ask("GET", SIGNALS, key)
        assert (status, kind(said), said["retry_after_ms"]) == (503, "history_away", 2_000)


async def test_it_takes_the_permission(history: Path) -> None:
    async with listening(history=history) as site:
        key = site.give("a", OURS, "signal:write")
        for path in (SIGNALS, f"{SIGNALS}/{'0' * 32}", f"{SIGNALS}/{'0' * 32}/causes"):
            assert (await site.ask("GET", path, key))[0] == 403


@pytest.mark.parametrize(
    "query, field",
    [
        ("limit=0", "limit"),
        ("limit=1e3", "limit"),
        ("since=yesterday", "since"),
        ("status=lost", "status"),
        ("type=a..b", "type"),
        ("where=data.total+~+3", "where"),
        ("cursor=zz", "cursor"),
        ("tenants=x", "tenants"),
        ("type=a&type=b", "type"),
    ],
)
async def test_a_wrong_question_is_told_by_field(history: Path, query: str, field: str) -> None:
    async with listening(history=history) as site:
        status, said = await site.ask("GET", f"{SIGNALS}?{query}", site.give("a", OURS))
        assert (status, [problem["field"] for problem in said["problems"]]) == (400, [field])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=rows_())
async def test_no_answer_crosses_tenants(tmp_path_factory: pytest.TempPathFactory, found: list[Row]) -> None:
    folder = kept(tmp_path_factory.mktemp("crossing") / "history", found)
    async with listening(history=folder) as site:
        key = site.give("a", OURS, tier="unlimited")
        status, said = await site.ask("GET", f"{SIGNALS}?limit=1000", key)
        assert status == 200
        assert {one["tenant"] for one in said["signals"]} <= {OURS}
        for row in found:
            for path in (f"{SIGNALS}/{row.ref}", f"{SIGNALS}/{row.ref}/causes"):
                status, said = await site.ask("GET", path, key)
                whose = {other.tenant for other in found if other.ref == row.ref}
                assert status == 404 or OURS in whose
                assert _tenants(said) <= {OURS}


def _tenants(said: Any) -> set[str]:
    """Return every tenant that stands anywhere in an answer."""
    if isinstance(said, dict):
        found = {said["tenant"]} if isinstance(said.get("tenant"), str) else set()
        return found.union(*map(_tenants, said.values()))
    return set().union(*map(_tenants, said)) if isinstance(said, list) else set()


@given(half=st.integers(1, 4), noted=st.lists(st.integers(0, 8), max_size=30))
def test_the_newest_are_remembered_and_not_many_more(half: int, noted: list[int]) -> None:
    recent = Recent(2 * half)
    for number in noted:
        recent.note(str(number), Accepted("t", str(number), 0, number))
    newest = list(dict.fromkeys(reversed(noted)))[:half]
    assert len(recent) <= 2 * half
    assert all(recent.find(None, str(number)) is not None for number in newest)
    assert not any(recent.find("u", str(number)) for number in newest)
