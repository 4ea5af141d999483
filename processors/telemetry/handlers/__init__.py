"""What is made of events: performance, business, errors. Each is a machine over the topic, the same on every replay.

A handler of your own is one module: a class of the shape of `handler.Handler`, and a function `handlers(slow_seconds)`
that returns what is to run. The setting `handlers` names the module, and the watch runs it (docs/handlers.md).
"""

from processors.telemetry.handlers.business import Business
from processors.telemetry.handlers.errors import Errors
from processors.telemetry.handlers.handler import Handler
from processors.telemetry.handlers.performance import Performance


def handlers(slow_seconds: float) -> tuple[Handler, ...]:
    """Return the three that are always there, as they begin."""
    return (Performance(slow_seconds), Business(), Errors())
