"""Limits, pauses and the ledger as a client meets them."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from processors.admission import Channel, Limit, Tier
from processors.admission.conduct import COOL_OFF_MS, VIOLATIONS_MAX
from processors.admission.table import key_of, packed
from streams.gateway import limits
from streams.gateway.outlet import OutletError
from tests.streams.gateway.played import BATCH, SIGNALS, STRUCTURED, Site, event, listening

SLOW = packed(Limit(0.01, 5))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with listening(gateway_local_limits=True, gateway_batch_events_max=10) as made:
        made.gateway.admission.limiter.table.set(key_of(Channel.SIGNALS, Tier.NORMAL), SLOW)
        yield made


async def test_above_the_rate_one_is_told_when_to_come_again(site: Site) -> None:
    said: dict[str, Any] = {}
    for number in range(5):
        status, _, answer = await site.post(event(number))
        assert status == 202
        assert answer.headers["RateLimit-Policy"] == '"signals";q=5;w=500'
        assert answer.headers["RateLimit"].startswith(f'"signals";r={4 - number};t=')
        assert ("RateLimit-Warning" in answer.headers) == (number == 4)
    status, said, answer = await site.post(event(9))
    assert (status, said["type"]) == (429, "urn:hopline:problem:rate_limited")
    assert 99_000 < said["retry_after_ms"] <= 100_000
    assert answer.headers["Retry-After"] == "100"
    assert len(site.outlet.taken) == 5


async def test_a_batch_counts_its_events_and_passes_whole_or_not_at_all(site: Site) -> None:
    assert (await site.post([event(number) for number in range(3)], BATCH))[0] == 202
    status, said, _ = await site.post([event(number) for number in range(3)], BATCH)
    assert status == 429
    assert "items" not in said
    assert (await site.post([event(number) for number in range(2)], BATCH))[0] == 202
    assert len(site.outlet.taken) == 5


async def test_it_is_exact_with_many_clients_at_once(site: Site) -> None:
    site.gateway.admission.limiter.table.set(key_of(Channel.SIGNALS, Tier.NORMAL), packed(Limit(0.001, 100)))
    single = [site.post(event(number)) for number in range(120)]
    pairs = [site.post([event(1_000 + number), event(2_000 + number)], BATCH) for number in range(60)]
    async with asyncio.timeout(60):
        found = [status for status, _, _ in await asyncio.gather(*single, *pairs)]
    assert set(found) == {202, 429}
    # Pairs may leave one token, and singles took it.
    assert len(site.outlet.taken) == found[:120].count(202) + 2 * found[120:].count(202) == 100


async def test_a_batch_above_the_burst_can_pass(site: Site) -> None:
    assert (await site.post([event(number) for number in range(10)], BATCH))[0] == 202
    assert (await site.post(event()))[0] == 429


async def test_reading_has_tokens_of_its_own(site: Site) -> None:
    site.gateway.admission.limiter.table.set(key_of(Channel.READS, Tier.NORMAL), packed(Limit(0.01, 1)))
    for expected in (200, 429):
        async with site.client.get("/v1/schemas") as answer:
            assert answer.status == expected
    assert (await site.post(event()))[0] == 202
    async with site.client.get("/healthz") as answer:
        assert answer.status == 200, "health is asked for by machines that must not be turned away"


async def test_a_limit_set_while_it_runs_is_in_force_and_one_taken_back_is_not(site: Site) -> None:
    key = key_of(Channel.SIGNALS, Tier.NORMAL)
    for number in range(5):
        await site.post(event(number))
    assert (await site.post(event()))[0] == 429
    assert not site.gateway.admission.limiter.table.set(key, packed(Limit(0.01, 100)))
    assert (await site.post(event()))[0] == 202
    assert not site.gateway.admission.limiter.table.set(key, None)
    _, _, answer = await site.post(event())
    assert answer.headers["RateLimit-Policy"] == '"signals";q=600;w=10'


async def test_ten_invalid_requests_bring_a_pause(site: Site) -> None:
    site.gateway.admission.limiter.table.set(key_of(Channel.SIGNALS, Tier.NORMAL), packed(Limit(1_000, 1_000)))
    for _ in range(VIOLATIONS_MAX):
        assert (await site.post(b"{"))[0] == 400
    status, said, answer = await site.post(event())
    assert (status, said["type"]) == (429, "urn:hopline:problem:cool_off")
    assert 0 < said["retry_after_ms"] <= COOL_OFF_MS[0]
    assert answer.headers["Retry-After"]
    assert "invalid" in said["detail"]
    assert await site.metric("hopline_gateway_cooling_callers") == 1
    async with site.client.get("/v1/schemas") as other:
        assert other.status == 429


async def test_refusals_for_the_rate_or_by_kafka_bring_no_pause(site: Site) -> None:
    for number in range(5 + 2 * VIOLATIONS_MAX):
        await site.post(event(number))
    site.outlet.away = "Kafka is away."
    for _ in range(VIOLATIONS_MAX):
        await site.post(event())
    assert await site.metric("hopline_gateway_cooling_callers") == 0


async def test_on_this_machine_there_are_neither_limits_nor_pauses_by_default() -> None:
    async with listening() as site:
        site.gateway.admission.limiter.table.set(key_of(Channel.SIGNALS, Tier.NORMAL), SLOW)
        for _ in range(2 * VIOLATIONS_MAX):
            assert (await site.post(b"{"))[0] == 400
        status, _, answer = await site.post(event())
        assert status == 202
        assert "RateLimit" not in answer.headers


async def test_limits_are_shown_with_their_use(site: Site) -> None:
    await site.post([event(1), event(2)], BATCH)
    async with site.client.get("/v1/limits") as answer:
        said = await answer.json()
    (own,) = [row for row in said["limits"] if row["set"]]
    assert own == {"channel": "signals", "tier": "normal", "rate_per_second": 0.01, "burst": 5, "set": True}
    used = {row["channel"]: row for row in said["use"]}
    assert used["signals"] == {"caller": "address:127.0.0.1", "channel": "signals", "burst": 5, "remaining": 3}


WHOLE = st.sampled_from(
    [
        (event(1), STRUCTURED),
        (b"{", STRUCTURED),
        (b"[", BATCH),
        (b"x", {"Content-Type": "text/plain"}),
        (b"x", {**STRUCTURED, "Content-Encoding": "gzip"}),
        (b" " * 2_000_000, STRUCTURED),
        ([], BATCH),
        ([event(1), event(2, type=""), event(3)], BATCH),
        ([event(4, source=""), {}], BATCH),
        ([event(number) for number in range(11)], BATCH),
        ([event(number) for number in range(8)], BATCH),
    ]
)
MOODS = st.sampled_from(["well", "well", "well", "lost", "away", "full", "bug"])


@settings(max_examples=25)
@given(st.lists(st.tuples(WHOLE, MOODS), min_size=1, max_size=12), st.integers(1, 20))
@example([((b"{", STRUCTURED), "well")] * 12, 5)
async def test_the_ledger_balances_whatever_comes(asked: list[tuple[Any, str]], burst: int) -> None:
    logging.getLogger("streams.gateway.server").setLevel(logging.CRITICAL)  # the bugs are ours
    async with listening(gateway_local_limits=True, gateway_batch_events_max=10, gateway_inflight_max=50) as site:
        site.gateway.admission.limiter.table.set(key_of(Channel.SIGNALS, Tier.NORMAL), packed(Limit(0.01, burst)))
        offered = refused = 0
        for (content, headers), mood in asked:
            _play(site, mood)
            status, said, _ = await site.post(content, headers)
            ends = [item["status"] for item in said.get("items", ())] or [status]
            refused += sum(400 <= end < 500 for end in ends)
            # A batch that was refused whole may have been counted or not; an empty one is no event, once read.
            offered += len(said.get("items", ())) or (content != [])
            site.gateway.load.events = 0
        await _balanced(site, offered, refused)


def _play(site: Site, mood: str) -> None:
    lost = OutletError("Kafka did not confirm the event.", known_unwritten=False)
    site.outlet.away = "Kafka is away." if mood == "away" else ""
    site.outlet.failures = {f"e{number}": lost for number in range(20)} if mood == "lost" else {}
    site.outlet.broken = mood == "bug"
    site.gateway.load.events = 50 if mood == "full" else 0


async def _balanced(site: Site, offered: int, refused_least: int) -> None:
    async with site.client.get("/metrics") as answer:
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(await answer.text()):
            for sample in family.samples:
                found[sample.name] += int(sample.value)
                found[f"{sample.name}:{sample.labels.get('result', '')}"] += int(sample.value)
    ends = found["hopline_gateway_events_total"]
    refused = found["hopline_gateway_events_total:refused"]
    assert found["hopline_gateway_offered_total"] == ends
    assert found["hopline_gateway_refused_total"] == refused
    assert found["hopline_gateway_events_total:accepted"] == len(site.outlet.taken)
    assert site.gateway.load.bytes == 0
    assert ends >= offered
    assert refused >= refused_least


async def test_who_goes_away_in_the_middle_is_in_the_ledger(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS_MAX", 0.2)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionResetError

    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever the client makes of it
        await site.client.post(SIGNALS, data=pieces(), headers=STRUCTURED)
    assert (await site.post(event()))[0] == 202
    await _balanced(site, 1, 0)
