"""The agent of the directives hop."""

from typing import Any

import faust
from faust.types import StreamT

from processors.directives import DirectivesHop, requester
from streams import secret
from streams.agents.host import CONCURRENCY_MAX, Work, channel, serve
from streams.settings import Settings


def hop(settings: Settings) -> DirectivesHop:
    """Return the pure hop that this agent carries out."""
    key = secret.derived(settings, requester.PURPOSE) if secret.is_given(settings) else b""
    return DirectivesHop(settings.directives(key))


def declare(app: faust.App, settings: Settings) -> Any:
    """Declare the agent; return the channel that it reads."""
    works = channel(app)

    @app.agent(works, name="directives", concurrency=min(CONCURRENCY_MAX, settings.lanes))
    async def directives(stream: StreamT[Work]) -> None:
        """Carry directives out: checked, once for each key, at their time, audited."""
        await serve(stream, seconds_max=settings.step_seconds_max)

    return works
