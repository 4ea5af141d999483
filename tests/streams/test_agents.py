"""Agents answer: with nothing, with what the hop raised, or with a time-out; and go on."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams.agents.host import AgentHost, Work, serve


class Channel:
    """A channel as Faust's, without Faust."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Work] = asyncio.Queue()

    async def put(self, work: Work) -> None:
        await self.queue.put(work)

    async def __aiter__(self) -> AsyncIterator[Work]:
        while True:
            yield await self.queue.get()


@pytest.fixture
async def host() -> AsyncIterator[AgentHost]:
    channel = Channel()
    agent = asyncio.create_task(serve(channel, seconds_max=0.05))
    yield AgentHost({"ingest": channel}, seconds_max=0.05)
    agent.cancel()
    await asyncio.wait([agent])


async def test_an_agent_that_raises_answers_with_it_and_serves_the_next(host: AgentHost) -> None:
    def fail() -> None:
        raise ValueError("the hop's own words")

    with pytest.raises(ValueError, match="own words"):
        await host.call("ingest", fail)
    done = []
    await host.call("ingest", lambda: done.append(1))
    assert done == [1]


async def test_an_agent_that_awaits_for_ever_is_timed_out(host: AgentHost) -> None:
    never = asyncio.Event()
    with pytest.raises(TimeoutError):
        await host.call("ingest", never.wait)
    await host.call("ingest", lambda: None)


async def test_an_agent_that_is_gone_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.agents.host.ANSWER_MARGIN_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        await AgentHost({"ingest": Channel()}, seconds_max=0.05).call("ingest", lambda: None)
