"""The agent of the directives hop."""

from typing import Any

import faust

from processors.directives import DirectivesHop
from streams.agents import host
from streams.settings import Settings


def hop(settings: Settings) -> DirectivesHop:
    """Return the pure hop that this agent carries out."""
    return DirectivesHop(settings.directives())


def declare(app: faust.App, settings: Settings) -> Any:
    """Declare the agent; return the channel that it reads."""
    return host.declare(
        app, settings, "directives", "Carry directives out: checked, once for each key, at their time, audited."
    )
