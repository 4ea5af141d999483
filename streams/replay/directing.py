"""Ask lanes for directives, many at once, and wait for the end of each."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from processors.directives import intake
from processors.directives.record import Directive, Status, directive_key, unpack
from processors.vocabulary import topics as names
from processors.vocabulary.ids import derived_id
from processors.vocabulary.partition import lane_of
from processors.vocabulary.signal import CONTENT_TYPE
from streams.replay.follower import Follower
from streams.topics import TopicNames

END_SECONDS_MAX: Final = 30.0
LOOK_MS: Final = 100
SOURCE: Final = "/hopline/replay"


class NotMetError(Exception):
    """Directives are written, and no lane has met them in time."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One directive to be asked for."""

    tenant: str
    name: str
    data: Mapping[str, Any]
    key: str

    @property
    def state_key(self) -> bytes:
        """Where state has it."""
        return directive_key(self.tenant, self.key)


async def direct(
    producer: AIOKafkaProducer, follower: Follower, topics: TopicNames, lanes: int, asks: Sequence[Ask]
) -> dict[str, str]:
    """Return for each tenant why its directive has failed; nothing if it succeeded. Raises `NotMetError`."""
    follower.watch(ask.state_key for ask in asks)
    sent = []
    for ask in asks:
        event = {
            "specversion": "1.0",
            "id": derived_id(ask.key, ask.tenant),
            "source": SOURCE,
            "type": ask.name,
            "tenantid": ask.tenant,
            "datacontenttype": "application/json",
            intake.KEY: ask.key,
            "data": ask.data,
        }
        tenant = ask.tenant.encode()
        sent.append(
            await producer.send(
                topics.physical(names.COMMANDS),
                json.dumps(event).encode(),
                key=tenant,
                partition=lane_of(tenant, lanes),
                headers=[(CONTENT_TYPE, b"application/cloudevents+json")],
            )
        )
    await asyncio.gather(*sent)
    until = time.monotonic() + END_SECONDS_MAX
    while missing := [ask.tenant for ask in asks if follower.values.get(ask.state_key) is None]:
        if time.monotonic() > until:
            shown = ", ".join(missing[:3])
            message = f"{len(missing)} directives were not met within {END_SECONDS_MAX:g} s (such as of {shown})"
            raise NotMetError(message)
        await follower.look(LOOK_MS)
    return {ask.tenant: why_not(unpack(follower.values[ask.state_key] or b"")) for ask in asks}


def why_not(directive: Directive) -> str:
    """Return why a directive has not succeeded; nothing if it has."""
    return "" if directive.status is Status.SUCCEEDED else directive.error or str(directive.status)
