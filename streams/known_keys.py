"""Read the API keys and when they were last used from their topics, from outside: once, for a command or a start."""

from dataclasses import dataclass

import msgspec

from processors.vocabulary import topics as names
from processors.vocabulary.access import AccessKey, is_name, unpack
from streams.changelog import newest_everywhere
from streams.gateway.use import read
from streams.settings import KafkaSettings
from streams.topics import TopicNames


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Where the keys are. Reading raises what `require_topics` and `committed_consumer` raise."""

    kafka: KafkaSettings
    topics: TopicNames
    lanes: int

    async def keys(self) -> list[AccessKey]:
        """Return all keys as they are now, those that are dead included."""
        found = await newest_everywhere(self.kafka, self.topics, self.lanes, names.ACCESS)
        return [unpack(packed) for name, packed in found.items() if is_name(name)]

    async def last_used_ms(self) -> dict[bytes, int]:
        """Return for each key, by its name, when it was last used; those that never were are left out."""
        used = await newest_everywhere(self.kafka, self.topics, self.lanes, names.KEY_USE)
        found = {}
        for name, packed in used.items():
            try:
                found[name] = read(packed).at_ms
            except msgspec.DecodeError:
                # Whoever may write there can put anything there; a list must be shown all the same.
                continue
        return found
