"""Secrets on a real cluster: sealed on every topic, unreadable once their key is destroyed, gone from the disks."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from click.testing import CliRunner, Result
from pydantic import SecretStr

from processors.vocabulary import topics
from streams.admin import ensure_topics
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.cli.main import cli
from streams.secrets import DataKeys, SealError, open_data_keys
from streams.settings import KafkaSettings, Settings
from streams.topics import TOPICS
from tests.integration.pipeline import LOOK_SECONDS, Pipeline, event

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

MASTER: Final = "the master secret of these tests, long enough"
KNOWN: Final = ("kn0wn-t0ken-4711", "kn0wn-passw0rd-0815 with spaces", "kn0wn-in-a-file-1234")
CLEANED_SECONDS_MAX: Final = 90.0


def settings_of(kafka: str, prefix: str, master: str = MASTER) -> Settings:
    return Settings(kafka=kafka, topic_prefix=prefix, lanes=2, secret_key=SecretStr(master))


@asynccontextmanager
async def keys_of(kafka: str, prefix: str, master: str = MASTER) -> AsyncIterator[DataKeys]:
    settings = settings_of(kafka, prefix, master)
    async with open_data_keys(settings, KafkaSettings(kafka)) as keys:
        yield keys


async def made(kafka: str, prefix: str) -> None:
    settings = settings_of(kafka, prefix)
    await ensure_topics(KafkaSettings(kafka), settings.topics, lanes=2, replication=1, min_insync_replicas=1)


async def test_what_is_sealed_opens_for_its_place_and_no_other(kafka: str, unique: str) -> None:
    await made(kafka, unique)
    async with keys_of(kafka, unique) as keys:
        sealed = await keys.seal("acme", "crm", {"token": b"one", "other": b"two"})
        assert await keys.open("acme", "crm", sealed) == {"token": b"one", "other": b"two"}
        assert len(await keys.of("acme")) == 1, "one data key serves both"
        for place in (("acme", "erp", "token"), ("acme", "crm", "other")):
            with pytest.raises(SealError, match="does not open"):
                await keys.open(place[0], place[1], {place[2]: sealed["token"]})
        await keys.create("beta")
        with pytest.raises(SealError, match="is gone"):
            await keys.open("beta", "crm", sealed)


async def test_two_that_make_a_key_at_once_both_keep_theirs(kafka: str, unique: str) -> None:
    await made(kafka, unique)
    async with keys_of(kafka, unique) as one, keys_of(kafka, unique) as two:
        first, second = await one.create("acme"), await two.create("acme")
        assert {key.id for key in await one.of("acme")} == {first.id, second.id}


async def test_a_destroyed_key_opens_nothing_and_another_tenants_stays(kafka: str, unique: str) -> None:
    await made(kafka, unique)
    async with keys_of(kafka, unique) as keys:
        sealed = {tenant: await keys.seal(tenant, "crm", {"token": b"one"}) for tenant in ("acme", "beta")}
        await keys.create("acme")
        assert await keys.destroy("acme") == 2
        with pytest.raises(SealError, match="it was destroyed"):
            await keys.open("acme", "crm", sealed["acme"])
        assert await keys.open("beta", "crm", sealed["beta"]) == {"token": b"one"}
        anew = await keys.seal("acme", "crm", {"token": b"two"})
        assert await keys.open("acme", "crm", anew) == {"token": b"two"}


async def test_a_new_master_key_opens_all_once_they_are_wrapped_anew_and_the_old_one_nothing(
    kafka: str, unique: str
) -> None:
    await made(kafka, unique)
    other = "another secret that is as long as it must be"
    async with keys_of(kafka, unique) as old:
        sealed = {tenant: await old.seal(tenant, "crm", {"token": b"one"}) for tenant in ("a", "b", "c")}
        async with keys_of(kafka, unique, other) as new:
            with pytest.raises(SealError, match="does not open"):
                await new.open("a", "crm", sealed["a"])
            with pytest.raises(SealError, match="does not open"):
                await new.rewrap(b"x" * 32)
            assert await new.rewrap(old.master) == 3
            assert await new.rewrap(old.master) == 0, "again does nothing"
            for tenant, texts in sealed.items():
                assert await new.open(tenant, "crm", texts) == {"token": b"one"}
        with pytest.raises(SealError, match="does not open"):
            await old.open("a", "crm", sealed["a"])


@pytest.mark.slow
async def test_a_destroyed_key_is_soon_gone_from_the_brokers_disk(tmp_path: Path) -> None:
    broker = EmbeddedKafka(BrokerSettings(tmp_path, heap_megabytes=256))
    address = await asyncio.to_thread(broker.start)
    try:
        await made(address, "")
        async with keys_of(address, "") as keys:
            await keys.seal("acme", "crm", {"token": b"one"})
            (wrapped,) = await keys.of("acme")
            assert _on_disk(tmp_path, wrapped.wrapped.encode())
            await keys.destroy("acme")
            began = time.monotonic()
            while _on_disk(tmp_path, wrapped.wrapped.encode()):
                assert time.monotonic() - began < CLEANED_SECONDS_MAX, "the cleaner has not taken it off the disk"
                await asyncio.sleep(LOOK_SECONDS)
                await keys.sweep()
    finally:
        await asyncio.to_thread(broker.stop)


def _on_disk(folder: Path, text: bytes) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and text in path.read_bytes():
                found.append(path.name)
        except FileNotFoundError:
            # The broker has just removed it.
            continue
    return found


@pytest.fixture
def commanded(kafka: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A pipeline, and commands that reach it."""
    pipeline = Pipeline(kafka, unique, tmp_path / "data", more={"SECRET_KEY": MASTER})
    settings = {"KAFKA": kafka, "TOPIC_PREFIX": unique, "LANES": "2", "SECRET_KEY": MASTER}
    for name, value in {**settings, "DATA_DIR": str(tmp_path / "cli")}.items():
        monkeypatch.setenv(f"HOPLINE_{name}", value)
    yield pipeline
    for process in pipeline.workers:
        process.kill()
        process.wait(10)


def call(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="hopline", input=typed)


async def _everything(kafka: str, prefix: str) -> dict[str, bytes]:
    """Return all that lies in the topics, aborted records included, as bytes."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[str, bytes] = {}
    try:
        for topic in TOPICS:
            partitions = [TopicPartition(prefix + topic.name, lane) for lane in range(2)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            parts = []
            for partition in partitions:
                consumer.seek(partition, 0)
            while not all([await consumer.position(partition) >= ends[partition] for partition in partitions]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        headers = b"".join(name.encode() + (value or b"") for name, value in record.headers)
                        parts.append((record.key or b"") + (record.value or b"") + headers)
            found[topic.name] = b"\n".join(parts)
    finally:
        await consumer.stop()
    return found


def test_known_secrets_are_nowhere_in_clear(commanded: Pipeline, tmp_path: Path) -> None:
    asyncio.run(commanded.prepare())
    worker = commanded.start()
    said = []
    file = tmp_path / "secret.txt"
    file.write_text(KNOWN[2])
    said.append(call("directives", "send", "hopline.tenant.create", "--tenant", "acme"))
    assert said[-1].exit_code == 0, said[-1].output
    setting = ("integrations", "set", "acme", "crm", "--secret", "token", "--secret", "password")
    said.append(call(*setting, "--secret-file", f"key={file}", typed=f"{KNOWN[0]}\n{KNOWN[1]}\n"))
    assert said[-1].exit_code == 0, said[-1].output
    shown = call("integrations", "show", "acme", "crm")
    assert len(re.findall(r"sealed, set 20\d\d-", shown.output)) == 3
    said += [shown, call("integrations", "list", "acme"), call("audit", "show", "acme", "--json")]
    said += [
        call("state", "export", "acme"),
        call("secrets", "keys", "acme"),
        call("directives", "list", "--tenant", "acme"),
    ]
    # What is wrong does not repeat what it was given either.
    said.append(call("integrations", "set", "acme", "crm", "--settings", f'{{"x": {KNOWN[0]}'))
    said.append(call("integrations", "set", "acme", KNOWN[1]))
    said.append(call("integrations", "set", "acme", "crm", "--secret", "empty", typed="\n"))
    assert [one.exit_code for one in said[-3:]] == [2, 2, 2]
    assert all(one.exit_code == 0 for one in said[:-3]), [one.output for one in said]
    exported = json.loads(said[5].output)
    assert any(value["name"] == "integration/crm" for value in exported["values"])
    opened = asyncio.run(_opened(commanded, _sealed(commanded)))
    assert sorted(value.decode() for value in opened.values()) == sorted(KNOWN)
    worker.process.terminate()
    worker.process.wait(30)
    lying = asyncio.run(_everything(commanded.kafka, commanded.prefix))
    assert b"s1." in lying[topics.COMMANDS]
    assert b"s1." not in lying[topics.AUDIT] + lying[topics.EXPORTS] + lying[topics.SIGNALS]
    logs = b"".join(path.read_bytes() for path in commanded.data_dir.rglob("*") if path.is_file())
    printed = "".join(one.output + one.stderr for one in said).encode()
    for secret in KNOWN:
        for where, content in {**lying, "folder": logs, "printed": printed}.items():
            assert secret.encode() not in content, where
    # The search finds what is there: the tenant stands in all of these.
    assert b"acme" in lying[topics.COMMANDS] + lying[topics.AUDIT]
    assert b"acme" in logs


def _sealed(pipeline: Pipeline) -> dict[str, str]:
    """Return what the newest state says of the integration's secrets."""
    from streams.cli.access import access, run  # noqa: PLC0415  # after the environment is set
    from streams.cli.integrations import _one  # noqa: PLC0415

    found = run(_one(access(), "acme", "crm"))
    assert found is not None
    assert pipeline.prefix
    return {field: one.text for field, one in found.secrets.items()}


async def _opened(pipeline: Pipeline, sealed: dict[str, str]) -> dict[str, bytes]:
    async with keys_of(pipeline.kafka, pipeline.prefix) as keys:
        return await keys.open("acme", "crm", sealed)


def test_destroyed_secrets_do_not_open_from_any_copy(commanded: Pipeline) -> None:
    asyncio.run(commanded.prepare())
    commanded.start()
    assert call("directives", "send", "hopline.tenant.create", "--tenant", "acme").exit_code == 0
    assert call("integrations", "set", "acme", "crm", "--secret", "token", typed=f"{KNOWN[0]}\n").exit_code == 0
    copies = re.findall(
        rb"s1\.[0-9a-f]{16}\.[A-Za-z0-9_-]+",
        b"".join(asyncio.run(_everything(commanded.kafka, commanded.prefix)).values()),
    )
    assert len(copies) > 2
    found = call("secrets", "destroy", "acme", "--yes", "--reason", "asked")
    assert found.exit_code == 0, found.output
    assert "1 data keys" in found.output
    for copy in copies:
        with pytest.raises(SealError, match="it was destroyed"):
            asyncio.run(_opened(commanded, {"token": copy.decode()}))
    assert call("integrations", "show", "acme", "crm").exit_code == 0
    assert "sealed" not in call("integrations", "show", "acme", "crm").output
    (line,) = [one for one in json.loads(call("audit", "show", "acme", "--json").output) if "erase" in one["directive"]]
    assert line["before"][0]["secrets"]["token"]["set_ms"] > 0


def test_a_state_is_cleared_from_the_command_line(commanded: Pipeline) -> None:
    asyncio.run(commanded.prepare())
    commanded.start()
    assert call("directives", "send", "hopline.tenant.create", "--tenant", "acme").exit_code == 0
    asyncio.run(commanded.send([("acme", event("acme", 1))]))
    found = call("state", "clear", "acme", "--yes", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["status"] == "succeeded"
    (cleared,) = [
        one for one in json.loads(call("audit", "show", "acme", "--json").output) if "clear" in one["directive"]
    ]
    assert cleared["after"]["ingest"]["handled"] == 0
    assert cleared["before"]["directives"] == {"answers": 1}
