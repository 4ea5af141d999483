"""Create Hopline's topics where they are missing, and refuse those that do not fit, with the way to mend them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from streams.settings import KafkaSettings
from streams.topics import DELETE_RETENTION_MS, SOON_GONE, SOON_GONE_INTEGERS, TOPICS, Cleanup, Topic, TopicNames

log = logging.getLogger(__name__)

ENSURE_SECONDS_MAX: Final = 45.0
REQUEST_SECONDS_MAX: Final = 10.0
CLOSE_SECONDS_MAX: Final = 5.0
KNOWN_POLL_SECONDS: Final = 0.05
_NO_LEADER: Final = -1

# What `describe_topics` says of one topic: partition number → (leader, copies).
_Partitions: TypeAlias = Mapping[int, tuple[int, int]]


class KafkaAwayError(Exception):
    """The cluster cannot be reached, or does not answer in time."""


class TopicsMissingError(Exception):
    """Topics are missing and cannot be created; the message lists them with the commands that create them."""


class TopicMismatchError(Exception):
    """Topics are there and do not fit; the message says for each what is, what is wanted, and how to mend it."""

    def __init__(self, mismatches: "Sequence[Mismatch]") -> None:
        self.mismatches = tuple(mismatches)
        alike: dict[tuple[str, str, str], list[Mismatch]] = {}
        for mismatch in mismatches:
            alike.setdefault((mismatch.what, mismatch.found, mismatch.wanted), []).append(mismatch)
        super().__init__("\n".join(map(_sentence, alike.values())))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One property of one topic that does not fit."""

    topic: str
    what: str
    found: str
    wanted: str
    mend: str


def _sentence(alike: "Sequence[Mismatch]") -> str:
    """Say once what is wrong with several topics, and how to mend the first of them."""
    first = alike[0]
    names = ", ".join(mismatch.topic for mismatch in alike)
    others = " And likewise for the others." if len(alike) > 1 else ""
    head = "topic" if len(alike) == 1 else "topics"
    return f"{head} {names}: {first.what} is {first.found}, wanted is {first.wanted}. {first.mend}{others}"


@dataclass(frozen=True, slots=True)
class EnsuredTopic:
    """A topic that is there and fits."""

    name: str
    physical: str
    created: bool


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the topics are to be like."""

    kafka: KafkaSettings
    names: TopicNames
    topics: Sequence[Topic]
    lanes: int
    replication: int
    min_insync_replicas: int

    def physical(self, topic: Topic) -> str:
        return self.names.physical(topic.name)

    def tool(self, script: str) -> str:
        """Return how one of Kafka's own tools is called for this cluster."""
        access = "" if self.kafka.security == "PLAINTEXT" else " --command-config client.properties"
        return f"{script}.sh --bootstrap-server {self.kafka.bootstrap}{access}"

    def create_command(self, topic: Topic) -> str:
        settings = topic.config(min_insync_replicas=self.min_insync_replicas)
        config = " ".join(f"--config {name}={value}" for name, value in settings.items())
        return (
            f"{self.tool('kafka-topics')} --create --topic {self.physical(topic)} --partitions {self.lanes} "
            f"--replication-factor {self.replication} {config}"
        )


async def ensure_topics(
    kafka: KafkaSettings,
    topics: TopicNames,
    *,
    lanes: int,
    replication: int,
    min_insync_replicas: int,
    wanted: Sequence[Topic] = TOPICS,
    seconds_max: float = ENSURE_SECONDS_MAX,
) -> list[EnsuredTopic]:
    """Create what is missing and check what is there. Several processes may do so at the same time.

    Raises `TopicMismatchError`, `TopicsMissingError` or `KafkaAwayError`.
    """
    wish = _Wish(kafka, topics, wanted, lanes, replication, min_insync_replicas)
    try:
        async with asyncio.timeout(seconds_max), admin_client(kafka) as admin:
            there = await _described(admin)
            missing = [topic for topic in wanted if wish.physical(topic) not in there]
            created = await _create(admin, wish, missing) if missing else set()
            if missing:
                there = await _until_known(admin, wish)
            mismatches = [*_shape_mismatches(wish, there), *await _config_mismatches(admin, wish)]
    except TimeoutError as error:
        raise KafkaAwayError(f"Kafka at {kafka.bootstrap} did not finish within {seconds_max:g} s") from error
    except (KafkaError, OSError) as error:
        raise KafkaAwayError(f"Kafka at {kafka.bootstrap} failed: {type(error).__name__}: {error}") from error
    if mismatches:
        raise TopicMismatchError(mismatches)
    return [EnsuredTopic(topic.name, wish.physical(topic), wish.physical(topic) in created) for topic in wanted]


async def require_topics(
    kafka: KafkaSettings, topics: TopicNames, lanes: int, wanted: Sequence[Topic] = TOPICS
) -> None:
    """See to it that the topics are there with as many lanes as the settings say; create nothing.

    Raises `TopicMismatchError`, `TopicsMissingError` or `KafkaAwayError`.
    """
    wish = _Wish(kafka, topics, wanted, lanes, 0, 0)
    async with admin_client(kafka) as admin:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                there = await _described(admin)
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaAwayError(f"Kafka at {kafka.bootstrap} failed: {type(error).__name__}: {error}") from error
    missing = [wish.physical(topic) for topic in wanted if wish.physical(topic) not in there]
    if missing:
        raise TopicsMissingError(
            f"the cluster at {kafka.bootstrap} has no topic {', '.join(missing)}; "
            "start a worker or `make up`, which create them, or set HOPLINE_TOPIC_PREFIX if they are named otherwise"
        )
    mismatches = list(_shape_mismatches(wish, there))
    if mismatches:
        raise TopicMismatchError(mismatches)


@asynccontextmanager
async def admin_client(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client that is connected, and close it in all cases. Raises `KafkaAwayError`."""
    admin = AIOKafkaAdminClient(**kafka.client_options(), request_timeout_ms=int(REQUEST_SECONDS_MAX * 1_000))
    try:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await admin.start()
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaAwayError(
                f"Kafka cannot be reached at {kafka.bootstrap} ({type(error).__name__}); "
                "is it running, and is the address right?"
            ) from error
        yield admin
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await admin.close()
        except (KafkaError, TimeoutError, OSError) as error:
            log.info("an admin client did not close cleanly: %s", error)


async def _described(admin: AIOKafkaAdminClient) -> dict[str, _Partitions]:
    # All topics, never by name: asking for a missing one by its name can create it, with the cluster's defaults.
    found: list[dict[str, Any]] = await admin.describe_topics()
    return {
        topic["topic"]: {part["partition"]: (part["leader"], len(part["replicas"])) for part in topic["partitions"]}
        for topic in found
    }


async def _create(admin: AIOKafkaAdminClient, wish: _Wish, missing: Sequence[Topic]) -> set[str]:
    """Create the topics; return the names of those that this very call made."""
    made = [
        NewTopic(
            wish.physical(topic),
            wish.lanes,
            wish.replication,
            topic_configs=topic.config(min_insync_replicas=wish.min_insync_replicas),
        )
        for topic in missing
    ]
    response = await admin.create_topics(made, timeout_ms=int(REQUEST_SECONDS_MAX * 1_000))
    failed: dict[str, tuple[type[KafkaError], str]] = {}
    created = set()
    for name, code, message, *_ in response.topic_errors:
        kind = for_code(code)
        if kind is NoError:
            created.add(name)
        # If another process was faster, what it made is checked like any other.
        elif kind is not TopicAlreadyExistsError:
            failed[name] = (kind, message or kind.__name__)
    if not failed:
        return created
    kinds = {kind for kind, _ in failed.values()}
    if kinds <= {TopicAuthorizationFailedError, ClusterAuthorizationFailedError}:
        why = "this client may not create topics"
    elif InvalidReplicationFactorError in kinds:
        why = f"the cluster has too few brokers for {wish.replication} copies: set HOPLINE_REPLICATION lower"
    else:
        why = "; ".join(f"{name}: {message}" for name, (_, message) in failed.items())
    commands = "\n".join(f"  {wish.create_command(t)}" for t in missing if wish.physical(t) in failed)
    raise TopicsMissingError(f"topics are missing, and {why}. Have them created so:\n{commands}")


async def _until_known(admin: AIOKafkaAdminClient, wish: _Wish) -> dict[str, _Partitions]:
    """Return the topics once the cluster knows all of them with a leader each. The caller bounds the time."""
    while True:
        there = await _described(admin)
        parts = [there.get(wish.physical(topic), {}) for topic in wish.topics]
        if all(part and all(leader != _NO_LEADER for leader, _ in part.values()) for part in parts):
            return there
        await asyncio.sleep(KNOWN_POLL_SECONDS)


def _shape_mismatches(wish: _Wish, there: Mapping[str, _Partitions]) -> Iterator[Mismatch]:
    """Yield where partitions and copies do not fit."""
    for topic in wish.topics:
        name = wish.physical(topic)
        parts = there[name]
        if len(parts) != wish.lanes:
            mend = f"Set HOPLINE_LANES={len(parts)} if the cluster was made so (all topics need the same number)"
            if len(parts) < wish.lanes:
                command = f"{wish.tool('kafka-topics')} --alter --topic {name} --partitions {wish.lanes}"
                mend += f"; or, only while nothing was ever sent: {command}"
            yield Mismatch(name, "the number of partitions", str(len(parts)), str(wish.lanes), mend + ".")
        copies = min((copies for _, copies in parts.values()), default=0)
        if copies < wish.replication:
            mend = (
                f"Raise it with {wish.tool('kafka-reassign-partitions')} --execute, "
                f"or set HOPLINE_REPLICATION={copies} to live with it."
            )
            yield Mismatch(name, "the replication factor", str(copies), f"at least {wish.replication}", mend)


async def _config_mismatches(admin: AIOKafkaAdminClient, wish: _Wish) -> list[Mismatch]:
    """Return where the topics' settings do not fit; nothing can be said where they may not be read."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, wish.physical(topic)) for topic in wish.topics]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries, *_ in response.resources:
            if code:
                log.warning("the settings of topic %s cannot be checked: %s %s", name, for_code(code).__name__, message)
            else:
                found[name] = {entry[0]: entry[1] or "" for entry in entries}
    return [
        mismatch
        for topic in wish.topics
        if wish.physical(topic) in found
        for mismatch in _settings_mismatches(wish, topic, found[wish.physical(topic)])
    ]


def _settings_mismatches(wish: _Wish, topic: Topic, found: Mapping[str, str]) -> Iterator[Mismatch]:
    name = wish.physical(topic)
    for setting, wanted in _least(wish, topic):
        if int(found.get(setting, wanted)) < wanted:
            yield _setting_mismatch(wish, name, setting, found[setting], f"at least {wanted}", str(wanted))
    for setting, wanted in _most(topic):
        if int(found.get(setting, wanted)) > wanted:
            yield _setting_mismatch(wish, name, setting, found[setting], f"at most {wanted}", str(wanted))
    # Exactly: a changelog that is deleted from as well would lose state, a compacted log would lose records.
    cleanup = found.get("cleanup.policy", topic.cleanup.value)
    if _policies(cleanup) != {topic.cleanup.value}:
        yield _setting_mismatch(wish, name, "cleanup.policy", cleanup, topic.cleanup.value, topic.cleanup.value)


def _least(wish: _Wish, topic: Topic) -> Iterator[tuple[str, int]]:
    yield "max.message.bytes", topic.message_bytes_max
    yield "min.insync.replicas", wish.min_insync_replicas
    if topic.cleanup is Cleanup.COMPACT and not topic.soon_gone:
        # A snapshot older than half of this is thrown away, so a shorter one would let deleted keys rise again.
        yield "delete.retention.ms", DELETE_RETENTION_MS


def _most(topic: Topic) -> Iterator[tuple[str, int]]:
    if topic.soon_gone:
        # Longer ones would keep what an operator was told is gone.
        yield from ((setting, int(SOON_GONE[setting])) for setting in SOON_GONE_INTEGERS)


def _policies(text: str) -> set[str]:
    return {policy.strip() for policy in text.split(",") if policy.strip()}


def _setting_mismatch(wish: _Wish, topic: str, setting: str, found: str, wanted: str, value: str) -> Mismatch:
    command = f"{wish.tool('kafka-configs')} --alter --entity-type topics --entity-name {topic}"
    return Mismatch(topic, setting, found or "empty", wanted, f"Set it: {command} --add-config {setting}={value}")


def create_commands(
    kafka: KafkaSettings,
    topics: TopicNames,
    *,
    lanes: int,
    replication: int,
    min_insync_replicas: int,
    wanted: Iterable[Topic] = TOPICS,
) -> list[str]:
    """Return the commands of Kafka's own tools that create the topics, for who may not let Hopline do it."""
    wish = _Wish(kafka, topics, tuple(wanted), lanes, replication, min_insync_replicas)
    return [wish.create_command(topic) for topic in wish.topics]
