"""Logs of real processes: jq reads each line, lines say what they are about, and no secret stands in anything told."""

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession, ClientTimeout
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics
from streams.topics import TOPICS
from tests.integration.command_line import CommandLine
from tests.integration.faulty_worker import LEAK, RAISE
from tests.integration.gateways import GatewayProcess, gateway
from tests.integration.pipeline import FAULTY, LOOK_SECONDS, Pipeline, event, free_port, pipeline, until
from tests.integration.processes import Beside, beside

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

JQ: Final = shutil.which("jq")
STRUCTURED: Final = {"Content-Type": "application/cloudevents+json"}
MASTER: Final = "the master secret of this test, and long enough"
PASSWORD: Final = "kafka-passw0rd-4711"  # noqa: S105  # it opens nothing
DATABASE: Final = "databas3-pass"
INTEGRATION: Final = "integr4tion-secret-0815"
WEBHOOK: Final = "webh00k-secret-of-this-test"
IN_ADDRESS: Final = "pass-in-an-address"
TOKEN: Final = "slack-token-T0P"  # noqa: S105  # it opens nothing
AUTHORIZATION: Final = "auth0rization-of-the-webhook"
WHSEC: Final = f"whsec_{base64.b64encode(WEBHOOK.encode()).decode()}"
SLACK: Final = f"http://127.0.0.1:1/{TOKEN}"
OWN: Final = {
    "SECRET_KEY": MASTER,
    "KAFKA_PASSWORD": PASSWORD,
    "LOG_LEVEL": "DEBUG",
    "TELEMETRY_SECONDS": "0.5",
    "TRACE_SHARE": "1",
    "REQUIRE_KEYS": "true",
}
CHANNELS: Final = """
[channels.hook]
kind = "webhook"
url = "http://127.0.0.1:1/hook"
secret_env = "HOOK_SECRET"
authorization_env = "HOOK_AUTHORIZATION"

[channels.slack]
kind = "slack"
url_env = "SLACK_URL"
"""


def jq(path: Path, program: str) -> Any:
    """Return what jq makes of all lines of a log."""
    assert JQ is not None
    done = subprocess.run([JQ, "-s", program, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(JQ is None, reason="this machine has no jq")
async def test_jq_reads_each_line_and_a_failure_says_whose_it_is(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        worker = await pipe.start(FAULTY).ready()
        with gateway(pipe) as served:
            await served.ready()
            async with ClientSession(served.url, timeout=ClientTimeout(total=60)) as http:
                bad = event("acme", 1, subject=RAISE.decode())
                async with http.post("/v1/signals", data=bad, headers=STRUCTURED) as answer:
                    assert answer.status == 202
            (letter,) = await pipe.until(topics.DEAD_LETTERS, 1)
            served.process.stop()
        assert await worker.stop() == 0
        for log, job in ((worker.log, "worker"), (served.process.log, "gateway")):
            found = jq(log, '[.[] | has("time", "level", "logger", "message", "job", "instance")] | all')
            assert found is True, log.read_text()
            assert jq(log, "map(.job) | unique") == [job]
            assert jq(log, "length") > 1
        (failure,) = jq(worker.log, 'map(select(.exception.type == "ValueError"))')
        assert (failure["level"], failure["lane"]) == ("ERROR", letter.partition)
        assert failure["exception"]["message"] == "as the record asked"
        assert "faulty_worker.py" in failure["exception"]["stack"]
        records = jq(worker.log, "map(select(.record) | .record)")
        assert records == [f"{topics.SIGNALS_IN}/{letter.partition}/0"]


async def _lying(pipe: Pipeline) -> dict[str, bytes]:
    """Return all that lies in the topics."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=pipe.kafka, enable_auto_commit=False)
    await consumer.start()
    found: dict[str, bytes] = {}
    try:
        for topic in TOPICS:
            partitions = [TopicPartition(pipe.physical(topic.name), lane) for lane in range(pipe.lanes)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            parts: list[bytes] = []
            for partition in partitions:
                consumer.seek(partition, 0)
            async with asyncio.timeout(60):
                while not all([await consumer.position(partition) >= ends[partition] for partition in partitions]):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            headers = b"".join(name.encode() + (value or b"") for name, value in record.headers)
                            parts.append((record.key or b"") + (record.value or b"") + headers)
            found[topic.name] = b"\n".join(parts)
    finally:
        await consumer.stop()
    return found


class Said:
    """All that was answered to anybody."""

    def __init__(self, url: str, http: ClientSession) -> None:
        self._url = url
        self._http = http
        self.texts: list[str] = []

    async def ask(self, method: str, path: str, **more: Any) -> int:
        async with self._http.request(method, self._url + path, **more) as answer:
            self.texts.append(f"{path[:8]} {dict(answer.headers)} {await answer.text()}")
            return answer.status


async def _misuse(said: Said, key: str) -> None:
    """Put a key where it does not belong, in each way that somebody once has."""
    bearer = {"Authorization": f"Bearer {key}"}
    assert await said.ask("POST", "/v1/signals", data=event("acme", 1), headers={**STRUCTURED, **bearer}) == 202
    for sent in (f"Bearer {key}x", key):
        await said.ask("POST", "/v1/signals", data=event("acme", 2), headers={**STRUCTURED, "Authorization": sent})
    await said.ask("GET", f"/v1/signals/{key}", headers=bearer)
    await said.ask("GET", f"/v1/signals?tenant=acme&text={key}", headers=bearer)
    await said.ask("GET", f"/{key}", headers=bearer)
    await said.ask("POST", "/v1/signals", data=b"{", headers={"Content-Type": key, **bearer})
    await said.ask("POST", "/v1/signals", data=f'{{"id": "{key}"', headers={**STRUCTURED, **bearer})
    await said.ask("POST", "/v1/directives", json={"name": key, "tenant": "acme"}, headers=bearer)
    await said.ask("POST", "/v1/directives", data=f'{{"{key}"', headers={"Content-Type": "application/json", **bearer})
    await said.ask("GET", "/v1/signals", headers={**bearer, "traceparent": key, "tracestate": key})
    await said.ask("GET", "/metrics")


@contextmanager
def others(pipe: Pipeline, folder: Path) -> Iterator[tuple[GatewayProcess, Sequence[Beside], str]]:
    """Run a gateway, and a watch, a gateway and a history that cannot do what they should; give the watch's address."""
    channels, port = folder / "channels.toml", str(free_port())
    channels.write_text(CHANNELS)
    hooks = {"HOOK_SECRET": WHSEC, "HOOK_AUTHORIZATION": f"Bearer {AUTHORIZATION}", "SLACK_URL": SLACK}
    kafka = {"KAFKA_SECURITY": "SASL_PLAINTEXT", "KAFKA_USERNAME": "me", "REQUIRE_KEYS": "false"}
    database = f"postgresql://me:{DATABASE}@127.0.0.1:1/x"
    ports = [str(free_port()) for _ in range(2)]
    with (
        gateway(pipe) as served,
        beside(pipe, "streams.watch", "watch", hooks, CHANNELS_FILE=str(channels), WATCH_PORT=port) as watch,
        beside(pipe, "streams.gateway", "locked-out", GATEWAY_PORT=ports[0], **kafka) as locked_out,
        beside(pipe, "streams.history", "history", HISTORY=database, HISTORY_PORT=ports[1]) as history,
    ):
        yield served, (served.process, watch, locked_out, history), f"http://127.0.0.1:{port}"


async def _all_is_said(pipe: Pipeline, said: Said, key: str, running: Sequence[Beside]) -> None:
    """Let each process say what it has to say."""
    async with asyncio.timeout(60):
        bearer = {"Authorization": f"Bearer {key}"}
        while await said.ask("GET", "/v1/limits", headers=bearer) == 401:  # noqa: ASYNC110  # it follows a topic
            await asyncio.sleep(LOOK_SECONDS)
    await _misuse(said, key)
    await pipe.send([("acme", event("acme", 9, subject=LEAK.decode()))])
    await pipe.until(topics.DEAD_LETTERS, 1)
    _, watch, locked_out, history = running
    await until(lambda: "hook" in watch.said() and "slack" in watch.said(), watch.said)
    await until(lambda: bool(locked_out.said()), locked_out.said)
    await until(lambda: "127.0.0.1" in history.said() or history.process.poll() is not None, history.said)


async def test_no_secret_stands_in_anything_that_is_told(kafka: str, unique: str, tmp_path: Path) -> None:
    spans, secret, data = tmp_path / "spans.json", tmp_path / "secret.txt", tmp_path / "data"
    secret.write_text(INTEGRATION)
    with pipeline(kafka, unique, data, **OWN, TRACE_FILE=str(spans)) as pipe:
        await pipe.prepare()
        worker = await pipe.start(FAULTY).ready()
        terminal = CommandLine(data, KAFKA=kafka, TOPIC_PREFIX=pipe.prefix, SECRET_KEY=MASTER)
        key = (await terminal.json("keys", "create", "--operator"))["secret"]
        for asked in (
            ("directives", "send", "hopline.tenant.create", "--tenant", "acme"),
            ("integrations", "set", "acme", "crm", "--secret-file", f"token={secret}"),
        ):
            assert (await terminal.call(*asked)).returncode == 0
        with others(pipe, tmp_path) as (served, running, watch_url):
            await served.ready()
            async with ClientSession(timeout=ClientTimeout(total=60)) as http:
                said = Said(served.url, http)
                await _all_is_said(pipe, said, key, running)
                async with http.get(f"{watch_url}/metrics") as answer:
                    said.texts.append(await answer.text())
            said.texts.append(worker.page("/metrics"))
            for each in running:
                if each.process.poll() is None:
                    each.stop()
        assert await worker.stop() == 0
        told = await _lying(pipe)
    printed = [each.read_bytes() for each in data.rglob("*.log")]
    told |= {"logs": b"".join(printed), "answers": "".join(said.texts).encode(), "spans": spans.read_bytes()}
    for name in (
        MASTER,
        PASSWORD,
        DATABASE,
        INTEGRATION,
        WHSEC[6:],
        WEBHOOK,
        TOKEN,
        AUTHORIZATION,
        IN_ADDRESS,
        key[15:],
    ):
        for where, content in told.items():
            assert name.encode() not in content, f"{name} stands in {where}"
    # The search finds what is there.
    assert len(printed) >= 5
    for where in (topics.TELEMETRY, topics.METRICS, "logs", "answers", "spans"):
        assert b"hopline" in told[where], where
    assert b"acme" in told[topics.COMMANDS]
    for where in (topics.DEAD_LETTERS, "logs", "spans"):
        assert b"kafka://me:***@host with ***, ***" in told[where], where
