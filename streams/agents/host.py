"""Give a hop's work to its agent and wait for the answer: a result, what it raised, or a time-out."""

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import faust
from faust.types import StreamT

from streams import logs
from streams.settings import Settings

ANSWER_MARGIN_SECONDS: Final = 5.0
CONCURRENCY_MAX: Final = 16
"""Instances of an agent: work that waits in one does not keep other lanes' batches waiting."""

WAITING_MAX: Final = 1_024


@dataclass(slots=True)
class Work:
    """An element of an agent's stream: one lane's batch at one hop."""

    run: Callable[[], object]
    answer: asyncio.Future[None]
    about: Mapping[str, str | int] = field(default_factory=dict)
    """What log lines about it are about, beside the hop."""


class AgentHost:
    """The agents' channels, and how long an answer may take."""

    def __init__(self, channels: Mapping[str, Any], *, seconds_max: float) -> None:
        self._channels = channels
        self._seconds_max = seconds_max
        self.busy: dict[str, int] = dict.fromkeys(channels, 0)
        """For each hop how many batches its agents have, or that wait for one of them."""

    async def call(self, hop: str, work: Callable[[], object]) -> None:
        """See `streams.lanes.owner.Agents`."""
        answer = asyncio.get_running_loop().create_future()
        self.busy[hop] += 1
        try:
            await self._channels[hop].put(Work(work, answer, logs.current()))
            async with asyncio.timeout(self._seconds_max + ANSWER_MARGIN_SECONDS):
                await answer
        finally:
            self.busy[hop] -= 1


async def serve(works: AsyncIterable[Work], *, seconds_max: float, hop: str = "") -> None:
    """Answer each piece of work. An exception is an answer, too; an agent must not die of it."""
    async for work in works:
        if work.answer.cancelled():
            continue
        logs.begin_about({**work.about, "hop": hop})
        try:
            async with asyncio.timeout(seconds_max):
                result = work.run()
                if inspect.isawaitable(result):
                    await result
        except Exception as error:  # boundary: whatever the hop raises is the runner's to deal with
            if not work.answer.done():
                work.answer.set_exception(error)
        else:
            if not work.answer.done():
                work.answer.set_result(None)


def instances(settings: Settings) -> int:
    """Return how many instances of each agent there are."""
    return min(CONCURRENCY_MAX, settings.lanes)


def declare(app: faust.App, settings: Settings, hop: str, text: str) -> Any:
    """Declare a hop's agent under its name, with what `faust agents` says of it; return the channel that it reads."""
    works = app.channel(maxsize=WAITING_MAX)

    async def agent(stream: StreamT[Work]) -> None:
        await serve(stream, seconds_max=settings.step_seconds_max, hop=hop)

    agent.__doc__ = text
    app.agent(works, name=hop, concurrency=instances(settings))(agent)
    return works
