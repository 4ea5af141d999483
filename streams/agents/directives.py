"""The agent of the directives hop."""

import logging
from typing import Any

import faust

from processors.directives import DirectivesHop, requester
from streams import alert_rules, secret
from streams.agents import host
from streams.settings import Settings

log = logging.getLogger(__name__)


def hop(settings: Settings) -> DirectivesHop:
    """Return the pure hop that this agent carries out."""
    if not secret.is_given(settings):
        log.warning("no secret_key is set: directives that are asked for through a gateway that has one are rejected")
        return DirectivesHop(settings.directives(alerts=alert_rules.thresholds()))
    key = secret.derived(settings, requester.PURPOSE)
    return DirectivesHop(settings.directives(key, alert_rules.thresholds()))


def declare(app: faust.App, settings: Settings) -> Any:
    """Declare the agent; return the channel that it reads."""
    return host.declare(
        app, settings, "directives", "Carry directives out: checked, once for each key, at their time, audited."
    )
