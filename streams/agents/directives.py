"""The agent of the directives hop."""

from typing import Any

import faust

from processors.directives import DirectivesHop, requester
from streams import secret
from streams.agents import host
from streams.settings import Settings


def hop(settings: Settings) -> DirectivesHop:
    """Return the pure hop that this agent carries out."""
    key = secret.derived(settings, requester.PURPOSE) if secret.is_given(settings) else b""
    return DirectivesHop(settings.directives(key))


def declare(app: faust.App, settings: Settings) -> Any:
    """Declare the agent; return the channel that it reads."""
    return host.declare(
        app, settings, "directives", "Carry directives out: checked, once for each key, at their time, audited."
    )
