"""How commands reach the settings and the cluster, and how they run what waits."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop

from streams import cluster, logs
from streams.settings import KafkaSettings, Loaded, Settings, load
from streams.topics import TopicNames

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """The settings and the cluster that a command works on."""

    settings: Settings
    kafka: KafkaSettings

    @property
    def topics(self) -> TopicNames:
        """The topics' names on the cluster."""
        return self.settings.topics

    @property
    def lanes(self) -> int:
        """How many lanes the cluster has."""
        return self.settings.lanes

    @property
    def group(self) -> str:
        """The workers' consumer group."""
        return f"{self.settings.topic_prefix}{self.settings.application}"


def loaded() -> Loaded:
    """Return the settings with their sources. Raises `SettingsError`."""
    return load()


def access() -> Access:
    """Return the access to the configured or the running cluster. Raises `SettingsError` or `NoClusterError`."""
    settings = load().settings
    return Access(settings, settings.cluster(cluster.bootstrap(settings)))


def quiet() -> None:
    """Say on the terminal what a command says itself, not what its libraries do."""
    logs.begin_command()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. Ctrl-C cancels it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
