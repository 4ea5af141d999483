"""The agent of the ingest hop."""

from typing import Any

import faust
from faust.types import StreamT

from processors.ingest import IngestHop
from streams.agents.host import CONCURRENCY_MAX, Work, channel, serve
from streams.settings import Settings


def hop(settings: Settings) -> IngestHop:
    """Return the pure hop that this agent carries out."""
    return IngestHop(settings.ingest())


def declare(app: faust.App, settings: Settings) -> Any:
    """Declare the agent; return the channel that it reads."""
    works = channel(app)

    @app.agent(works, name="ingest", concurrency=min(CONCURRENCY_MAX, settings.lanes))
    async def ingest(stream: StreamT[Work]) -> None:
        """Admit signals: right lane, tenant, rate, dedupe, enrich."""
        await serve(stream, seconds_max=settings.step_seconds_max)

    return works
