"""Run handlers over the topic `telemetry`: the three that are always there, and an operator's own."""

import importlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from processors.telemetry import catalogue
from processors.telemetry.event import Told, UnreadableEventError, unpack
from processors.telemetry.events import BY_NAME
from processors.telemetry.handlers import handlers as builtin
from processors.telemetry.handlers.handler import Handler
from streams.metrics import Metrics
from streams.settings import Settings, SettingsError

log = logging.getLogger(__name__)

FAILURES_MAX: Final = 10
"""One that has raised so often is given nothing any more."""
OWN_MAX: Final = 20


def gathered(settings: Settings) -> tuple[Handler, ...]:
    """Return the handlers that settings name, as they begin. Raises `SettingsError`."""
    found = list(builtin(settings.slow_seconds))
    for name in filter(None, (part.strip() for part in settings.handlers.split(","))):
        try:
            made: Sequence[Handler] = importlib.import_module(name).handlers(settings.slow_seconds)
        except (ImportError, AttributeError, TypeError) as error:
            raise SettingsError(
                f"handlers: {name} cannot be used ({type(error).__name__}: {error}); it must be a module that can be "
                "imported, with a function `handlers(slow_seconds)` that returns handlers"
            ) from error
        found += list(made)[:OWN_MAX]
    names = [handler.name for handler in found]
    if len(set(names)) != len(names):
        raise SettingsError(f"handlers: two have the same name ({', '.join(sorted(names))}); rename one")
    return tuple(found)


class Handlers:
    """Gives each event to those that want it. One that raises harms nobody else."""

    def __init__(self, handlers: Iterable[Handler], metrics: Metrics | None = None) -> None:
        self._handlers = {handler.name: handler for handler in handlers}
        self._metrics = metrics
        self._wanted: dict[str, tuple[Handler, ...]] = {}
        self._failed: dict[str, int] = {}
        self.unreadable = 0

    def take(self, _topic: str, record: Any) -> None:
        """Take a record of the topic in."""
        try:
            one = unpack(record.value or b"")
        except UnreadableEventError:
            self.unreadable += 1
            return
        self.give(one)

    def give(self, one: Told) -> None:
        """Take an event in."""
        for handler in self._who_wants(one.event):
            if self._failed.get(handler.name, 0) >= FAILURES_MAX:
                continue
            try:
                for count in handler.take(one):
                    if self._metrics is not None:
                        self._metrics.counter(count.metric).of(*count.labels).inc(count.by)
            except Exception:  # boundary: an operator's own handler may raise anything
                self._failed[handler.name] = self._failed.get(handler.name, 0) + 1
                if self._metrics is not None:
                    self._metrics.counter(catalogue.TELEMETRY_DROPPED).of().inc()
                log.exception("the handler %s failed on %s", handler.name, one.event)

    def _who_wants(self, event: str) -> tuple[Handler, ...]:
        found = self._wanted.get(event)
        if found is None:
            found = tuple(handler for handler in self._handlers.values() if handler.wants(event))
            # Only those are remembered that there are, whatever a topic holds.
            if event in BY_NAME:
                self._wanted[event] = found
        return found

    def summary(self) -> dict[str, Any]:
        """Return what each has found."""
        return {name: handler.summary() for name, handler in self._handlers.items()}
