"""Tenants' data keys in a topic of their own, each wrapped by the master key. Only commands and the gateway write it.

The topic is compacted so eagerly that what is destroyed is soon gone from the brokers' disks; no other topic, no lane's
state and no snapshot ever holds a data key. Each has a record of its own, so that two that are made at the same time
both stay. What is sealed names its data key.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams import secret
from streams.admin import KafkaAwayError, require_topics
from streams.changelog import committed_consumer, newest_of
from streams.clock import wall_ms
from streams.hiding import hide
from streams.lanes.writer import stop_within
from streams.secrets.sealing import KEY_BYTES, SealError, open_sealed, seal, unwrap, wrap
from streams.settings import KafkaSettings, Settings
from streams.topics import TOPICS

PURPOSE: Final = "data keys"
"""What the master key is derived for."""
KEY_ID_BYTES: Final = 8
CLOSE_SECONDS_MAX: Final = 5.0
_SWEEP: Final = b"\x00sweep"
"""The key of a record that says nothing: it closes the segment before it, and only closed ones are cleaned."""


class Wrapped(msgspec.Struct, frozen=True):
    """A data key as it stands in the topic."""

    tenant: str
    id: str
    wrapped: str
    created_ms: int
    version: int = 1


_decode: Final = msgspec.json.Decoder(Wrapped).decode


@dataclass(slots=True)
class DataKeys:
    """The data keys of all tenants, read anew for each question: another process may have changed them."""

    master: bytes
    topic: str
    lanes: int
    consumer: AIOKafkaConsumer
    producer: AIOKafkaProducer

    async def of(self, tenant: str) -> list[Wrapped]:
        """Return a tenant's data keys, the oldest first."""
        return [one for one in await self._lane(self._lane_of(tenant)) if one.tenant == tenant]

    async def all(self) -> list[Wrapped]:
        """Return all tenants' data keys."""
        return [one for lane in range(self.lanes) for one in await self._lane(lane)]

    async def seal(self, tenant: str, integration: str, secrets: Mapping[str, bytes]) -> dict[str, str]:
        """Return secrets sealed, by field. Makes the tenant's data key if it has none. Raises `SealError`."""
        hide(*(value.decode(errors="replace") for value in secrets.values()))
        found = await self.of(tenant)
        newest = found[-1] if found else await self.create(tenant)
        key = unwrap(self.master, tenant, newest.id, newest.wrapped)
        return {field: seal(key, newest.id, (tenant, integration, field), value) for field, value in secrets.items()}

    async def open(self, tenant: str, integration: str, sealed: Mapping[str, str]) -> dict[str, bytes]:
        """Return secrets as they are, by field. Raises `SealError` if the data key was destroyed."""
        keys = {one.id: one for one in await self.of(tenant)}
        found = {}
        for field, text in sealed.items():
            key_id = text.split(".")[1] if text.count(".") else ""
            one = keys.get(key_id)
            if one is None:
                raise SealError(
                    f"the data key of {integration}.{field} is gone: it was destroyed, and so is the secret"
                )
            key = unwrap(self.master, tenant, one.id, one.wrapped)
            found[field] = open_sealed(key, (tenant, integration, field), text)
            hide(found[field].decode(errors="replace"))
        return found

    async def create(self, tenant: str) -> Wrapped:
        """Make a data key; what is sealed from now on is sealed with it."""
        key_id, key = os.urandom(KEY_ID_BYTES).hex(), os.urandom(KEY_BYTES)
        one = Wrapped(tenant, key_id, wrap(self.master, tenant, key_id, key), wall_ms())
        await self._write(one)
        return one

    async def destroy(self, tenant: str) -> int:
        """Destroy a tenant's data keys; return how many. Nothing that was sealed with them opens any more."""
        found = await self.of(tenant)
        for one in found:
            await self._send(self._lane_of(tenant), _key(one), None)
        return len(found)

    async def sweep(self) -> None:
        """Close the segments, so that Kafka cleans what was destroyed from them."""
        for lane in range(self.lanes):
            await self._send(lane, _SWEEP, None)

    async def rewrap(self, old_master: bytes) -> int:
        """Wrap all data keys by the master key that were wrapped by an old one; return how many.

        All are opened before one is written. Those that the new master key opens are left as they are, so that it
        can be run again. Raises `SealError` if neither opens one.
        """
        wanted = []
        for one in await self.all():
            try:
                unwrap(self.master, one.tenant, one.id, one.wrapped)
            except SealError:
                key = unwrap(old_master, one.tenant, one.id, one.wrapped)
                wanted.append(msgspec.structs.replace(one, wrapped=wrap(self.master, one.tenant, one.id, key)))
        for one in wanted:
            await self._write(one)
        return len(wanted)

    def _lane_of(self, tenant: str) -> int:
        return lane_of(tenant.encode(), self.lanes)

    async def _lane(self, lane: int) -> list[Wrapped]:
        found = map(_decode, (await newest_of(self.consumer, self.topic, lane)).values())
        return sorted(found, key=lambda one: (one.created_ms, one.id))

    async def _write(self, one: Wrapped) -> None:
        await self._send(self._lane_of(one.tenant), _key(one), msgspec.json.encode(one))

    async def _send(self, lane: int, key: bytes, value: bytes | None) -> None:
        await self.producer.send_and_wait(self.topic, value, key=key, partition=lane)


def _key(one: Wrapped) -> bytes:
    return f"{one.tenant}\0{one.id}".encode()


@asynccontextmanager
async def open_data_keys(settings: Settings, kafka: KafkaSettings) -> AsyncIterator[DataKeys]:
    """Give the data keys. Raises `SettingsError` without a secret, and what `require_topics` raises."""
    master = secret.derived(settings, PURPOSE)
    wanted = [topic for topic in TOPICS if topic.name == names.DATA_KEYS]
    await require_topics(kafka, settings.topics, settings.lanes, wanted)
    producer: Any = AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True)
    async with committed_consumer(kafka) as consumer:
        try:
            await producer.start()
            yield DataKeys(master, settings.topics.physical(names.DATA_KEYS), settings.lanes, consumer, producer)
        except KafkaError as error:
            raise KafkaAwayError(f"Kafka at {kafka.bootstrap} failed: {type(error).__name__}: {error}") from error
        finally:
            await stop_within(producer, CLOSE_SECONDS_MAX)
