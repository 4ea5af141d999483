"""The agent of the ingest hop."""

from typing import Any

import faust

from processors.ingest import IngestHop
from streams.agents import host
from streams.settings import Settings


def hop(settings: Settings) -> IngestHop:
    """Return the pure hop that this agent carries out."""
    return IngestHop(settings.ingest())


def declare(app: faust.App, settings: Settings) -> Any:
    """Declare the agent; return the channel that it reads."""
    return host.declare(app, settings, "ingest", "Admit signals: right lane, tenant, rate, dedupe, enrich.")
