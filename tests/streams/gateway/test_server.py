"""The HTTP side over a Kafka that is played: statuses, problems, limits."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import ClientSession

from processors.vocabulary.ids import signal_ref
from processors.vocabulary.limits import SIGNAL_BYTES_MAX
from streams.gateway import limits
from streams.gateway.errors import NotLoopbackError
from streams.gateway.hosts import is_loopback, require_loopback
from streams.gateway.intake import Entry
from streams.gateway.outlet import OutletError, Written
from tests.streams.gateway.played import BATCH, SIGNALS, STRUCTURED, Site, event, listening


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with listening(gateway_inflight_max=4, gateway_batch_events_max=10) as made:
        yield made


async def test_an_event_is_accepted_with_its_place_in_the_log(site: Site) -> None:
    status, said, answer = await site.post(event())
    ref = signal_ref("t", "/s", "e1")
    assert (status, said) == (202, {"id": "e1", "tenant": "t", "lane": 3, "offset": 0, "ref": ref})
    assert answer.headers["Location"] == f"/v1/signals/{ref}"
    assert answer.content_type == "application/json"
    assert [entry.id for entry in site.outlet.taken] == ["e1"]
    assert await site.metric("hopline_gateway_events_total", mode="structured", result="accepted") == 1


async def test_an_event_without_an_id_gets_a_uuid7(site: Site) -> None:
    given = event()
    del given["id"]
    _, said, _ = await site.post(given)
    assert said["id"][14] == "7"
    assert said["id"] == site.outlet.taken[0].id


async def test_a_wrong_event_is_refused_field_by_field(site: Site) -> None:
    status, said, answer = await site.post(event(type="a..b", source=""))
    assert (status, answer.content_type) == (400, "application/problem+json")
    assert {problem["field"] for problem in said["problems"]} == {"type", "source"}
    assert said["status"] == 400
    assert {"type", "title", "detail"} <= said.keys()
    assert not site.outlet.taken


async def test_a_batch_says_for_each_event_what_became_of_it(site: Site) -> None:
    status, said, _ = await site.post([event(1), event(2, type=""), event(3)], BATCH)
    assert status == 207
    assert (said["accepted"], said["refused"]) == (2, 1)
    assert [item["status"] for item in said["items"]] == [202, 400, 202]
    assert [item["index"] for item in said["items"]] == [0, 1, 2]
    assert said["items"][1]["problems"]
    assert [entry.id for entry in site.outlet.taken] == ["e1", "e3"]


@pytest.mark.parametrize(
    "content, status", [([event(1), event(2)], 202), ([], 202), ([event(1, type="")], 400), ({}, 400)]
)
async def test_a_batch_is_accepted_or_refused_as_a_whole_if_all_of_it_is(site: Site, content: Any, status: int) -> None:
    found, _, _ = await site.post(content, BATCH)
    assert found == status


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Type": "application/cloudevents+avro"}])
async def test_another_content_type_is_not_supported(site: Site, headers: dict[str, str]) -> None:
    status, said, _ = await site.post(b"x", headers)
    assert status == 415
    assert said["problems"][0]["field"] == "content-type"


async def test_a_compressed_body_is_not_supported(site: Site) -> None:
    status, _, _ = await site.post(b"x", {**STRUCTURED, "Content-Encoding": "gzip"})
    assert status == 415


async def test_a_body_that_says_it_is_too_large_is_not_read(site: Site) -> None:
    status, said, _ = await site.post(b" " * (SIGNAL_BYTES_MAX + 1))
    assert status == 413
    assert said["problems"][0]["field"] == "body"


async def test_a_body_without_a_length_is_read_up_to_the_limit(site: Site) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    async with site.client.post(SIGNALS, data=pieces(), headers=STRUCTURED) as answer:
        assert answer.status == 413
    assert site.gateway.load.bytes == 0


async def test_a_body_that_does_not_come_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS_MAX", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.client.port)
    head = (
        "POST /v1/signals HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {STRUCTURED['Content-Type']}",
        "Content-Length: 9",
    )
    writer.write(("\r\n".join(head) + "\r\n\r\n{").encode())
    async with asyncio.timeout(10):
        assert (await reader.readline()).split()[1] == b"408"
    writer.close()


async def test_while_too_many_events_wait_the_next_is_told_to_come_later(site: Site) -> None:
    site.outlet.lets.clear()
    waiting = [asyncio.create_task(site.post(event(number))) for number in range(4)]
    async with asyncio.timeout(10):
        while site.gateway.load.events < 4:  # noqa: ASYNC110  # the gateway tells nobody of it
            await asyncio.sleep(0)
    status, said, answer = await site.post(event(9))
    assert status == 429
    assert said["retry_after_ms"] > 0
    assert int(answer.headers["Retry-After"]) * 1_000 >= said["retry_after_ms"]
    assert await site.metric("hopline_gateway_inflight") == 4
    site.outlet.lets.set()
    assert [status for status, _, _ in await asyncio.gather(*waiting)] == [202] * 4
    assert (await site.post(event(9)))[0] == 202


async def test_a_batch_larger_than_what_may_wait_passes_when_nothing_waits(site: Site) -> None:
    status, said, _ = await site.post([event(number) for number in range(10)], BATCH)
    assert (status, said["accepted"]) == (202, 10)


async def test_all_bodies_together_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODIES_BYTES_MAX", 100)
    assert (await site.post(event(data="x" * 200)))[0] == 429
    assert site.gateway.load.bytes == 0
    assert (await site.post(b"{}"))[0] == 400


async def test_a_kafka_that_is_away_is_said_at_once(site: Site) -> None:
    site.outlet.away = "Kafka is away: it was killed."
    status, said, answer = await site.post(event())
    assert status == 503
    assert "Nothing was written" in said["detail"]
    assert answer.headers["Retry-After"]
    async with site.client.get("/readyz") as ready:
        assert ready.status == 503
        assert (await ready.json())["why"] == site.outlet.away
    async with site.client.get("/healthz") as alive:
        assert alive.status == 200


async def test_an_event_whose_fate_is_unknown_can_be_sent_again_with_its_id(site: Site) -> None:
    given = event()
    del given["id"]
    site.outlet.send = _lost  # type: ignore[method-assign]
    status, said, _ = await site.post(given)
    assert status == 503
    assert said["id"][14] == "7"
    assert "send it again with this id" in said["detail"]


async def _lost(entries: Sequence[Entry]) -> list[Written | OutletError]:
    return [OutletError("Kafka did not confirm the event.", known_unwritten=False) for _ in entries]


async def test_a_batch_of_which_some_failed_says_which(site: Site) -> None:
    site.outlet.failures["e2"] = OutletError("Kafka did not confirm the event.", known_unwritten=False)
    status, said, _ = await site.post([event(1), event(2)], BATCH)
    assert status == 207
    assert [item["status"] for item in said["items"]] == [202, 503]
    status, said, _ = await site.post([event(2), event(3, type="")], BATCH)
    assert status == 503
    assert [item["status"] for item in said["items"]] == [503, 400]


@pytest.mark.parametrize(
    "method, path, status",
    [("GET", "/nowhere", 404), ("GET", SIGNALS, 405), ("PUT", SIGNALS, 405), ("POST", "/metrics", 405)],
)
async def test_what_is_not_there_is_said_as_a_problem(site: Site, method: str, path: str, status: int) -> None:
    async with site.client.request(method, path) as answer:
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        assert (await answer.json(content_type=None))["status"] == status
        assert status != 405 or answer.headers["Allow"]


async def test_a_bug_costs_one_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.outlet, "send", None)
    assert (await site.post(event()))[0] == 500
    monkeypatch.undo()
    assert (await site.post(event()))[0] == 202
    assert site.gateway.load.events == 0


async def test_a_page_of_another_site_does_not_get_in_by_its_name(site: Site) -> None:
    url = f"http://127.0.0.1:{site.client.port}{SIGNALS}"
    async with ClientSession() as http:
        for host, status in (
            ("evil.example", 403),
            ("localhost:9", 202),
            ("127.0.0.1", 202),
            ("[::1]", 202),
            ("[", 403),
        ):
            async with http.post(url, data=json.dumps(event()), headers={**STRUCTURED, "Host": host}) as answer:
                assert answer.status == status, host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_is_served(host: str) -> None:
    require_loopback(host)
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", ""])  # noqa: S104  # refused
def test_other_machines_are_not(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(NotLoopbackError, match="with keys"):
        require_loopback(host)
