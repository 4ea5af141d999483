"""API keys through a real worker and a real gateway: made, used, refused, rotated, revoked; and never written down."""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout
from pydantic import SecretStr

from processors.vocabulary import topics
from streams.gateway import use
from streams.gateway.access import require_safe
from streams.gateway.errors import NotLoopbackError
from streams.gateway.service import Serving
from streams.keys import RedactingFormatter, new_key, new_prefix
from streams.metrics import Metrics
from streams.settings import Settings
from streams.topics import TOPICS
from tests.integration.command_line import HOPLINE, environment
from tests.integration.pipeline import Pipeline, pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

SECRET = "only for the tests, forty characters long"  # noqa: S105  # as it says
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
LOOK_SECONDS = 0.05
SIGNALS, DIRECTIVES = "/v1/signals", "/v1/directives"


class User:
    """Somebody who has the command line, and speaks to the gateway with keys."""

    def __init__(self, pipe: Pipeline, folder: Path, url: str, http: ClientSession) -> None:
        self.url = url
        self.http = http
        self.environment = environment(
            folder, KAFKA=pipe.kafka, TOPIC_PREFIX=pipe.prefix, LANES=str(pipe.lanes), SECRET_KEY=SECRET
        )

    async def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(
            subprocess.run,
            [*HOPLINE, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def json(self, *arguments: str) -> Any:
        done = await self.call(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    async def key(self, *arguments: str) -> str:
        return str((await self.json("keys", "create", *arguments))["secret"])

    async def ask(
        self, method: str, path: str, key: str, content: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        if path.startswith(DIRECTIVES):
            sent["Content-Type"] = "application/json"
        sent |= {"Authorization": f"Bearer {key}"} if key else {}
        body = None if content is None else json.dumps(content).encode()
        async with self.http.request(method, self.url + path, data=body, headers=sent) as answer:
            return answer.status, json.loads(await answer.read())

    async def send(self, key: str, content: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        kind = BATCH if isinstance(content, list) else STRUCTURED
        return await self.ask("POST", SIGNALS, key, content, **kind, **headers)

    async def until(self, key: str, status: int) -> float:
        """Send until it is answered so; return how long that took."""
        began = time.monotonic()
        async with asyncio.timeout(30):
            while (await self.send(key, event()))[0] != status:  # noqa: ASYNC110  # another process changes it
                await asyncio.sleep(LOOK_SECONDS)
        return time.monotonic() - began


def event(tenant: str = "", **attributes: Any) -> dict[str, Any]:
    plain = {"specversion": "1.0", "source": "/s", "type": "a.b", **attributes}
    return {**plain, "tenantid": tenant} if tenant else plain


def settings_for(pipe: Pipeline, folder: Path, **more: Any) -> Settings:
    return Settings(
        kafka=pipe.kafka,
        topic_prefix=pipe.prefix,
        lanes=pipe.lanes,
        data_dir=folder,
        gateway_port=0,
        **{"require_keys": True, "secret_key": SecretStr(SECRET), **more},
    )


@asynccontextmanager
async def serving(pipe: Pipeline, folder: Path, **more: Any) -> AsyncIterator[User]:
    async with (
        Serving(settings_for(pipe, folder, **more), pipe.kafka, Metrics()) as gateway,
        ClientSession(timeout=ClientTimeout(total=60)) as http,
    ):
        user = User(pipe, folder, gateway.url, http)
        async with asyncio.timeout(60):
            while (await user.ask("GET", "/readyz", ""))[0] != 200:  # noqa: ASYNC110  # it tells who asks
                await asyncio.sleep(LOOK_SECONDS)
        yield user


async def test_a_keys_life(kafka: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "WRITE_SECONDS", 0.1)
    with pipeline(kafka, unique, tmp_path, SECRET_KEY=SECRET) as pipe:
        await pipe.prepare()
        await pipe.start().ready()
        async with serving(pipe, tmp_path) as user:
            assert (await user.send("", event("acme")))[0] == 401
            operator = await user.key("--operator", "--label", "me")
            acme = await user.key("--tenant", "acme")
            await user.until(acme, 202)
            await user.until(operator, 400)  # An operator's event must say whose it is.
            await _tenants_are_kept_apart(user, acme, operator)
            await _a_retry_counts_once(pipe, user, acme)
            await _directives(user, acme, operator)
            await _listed(user, acme)
            name = acme.split("_")[1]
            rotated = (await user.json("keys", "rotate", name, "--grace", "1s"))["secret"]
            await user.until(rotated, 202)
            took = await user.until(acme, 401)
            assert took < 10
            assert (await user.send(acme, event()))[1]["type"].endswith("rotated_key")
            assert (await user.json("keys", "revoke", name))["status"] == "revoked"
            assert await user.until(rotated, 401) < 10
            assert (await user.send(rotated, event()))[1]["type"].endswith("revoked_key")
        # Another gateway, that reads all of it anew.
        async with serving(pipe, tmp_path) as user:
            for dead in (acme, rotated):
                assert (await user.send(dead, event()))[0] == 401
            assert (await user.send(operator, event("acme", id="last")))[0] == 202
        await _nothing_secret_was_written(pipe, tmp_path, [operator, acme, rotated])


async def _tenants_are_kept_apart(user: User, acme: str, operator: str) -> None:
    status, said = await user.send(acme, event("bolt"))
    assert (status, said["problems"][0]["field"]) == (403, "tenantid")
    status, said = await user.send(acme, [event("acme"), event("bolt"), event()])
    assert (status, [item["status"] for item in said["items"]]) == (207, [202, 403, 202])
    assert {item.get("tenant") for item in said["items"] if item["status"] == 202} == {"acme"}
    assert (await user.send(acme, [event("bolt")]))[0] == 403
    assert (await user.send(operator, event("bolt")))[0] == 202


async def _a_retry_counts_once(pipe: Pipeline, user: User, acme: str) -> None:
    answers = [await user.send(acme, event(subject="once"), Idempotency_Key="k-1") for _ in range(2)]
    answers += [await user.send(acme, event(subject="once"), Idempotency_Key="k-2")]
    assert answers[0][1]["id"] == answers[1][1]["id"] != answers[2][1]["id"]
    await user.send(acme, event(id="mark"))
    async with asyncio.timeout(60):
        while not any(b'"mark"' in (record.value or b"") for record in await pipe.read(topics.SIGNALS)):
            continue
    assert sum(b'"once"' in (record.value or b"") for record in await pipe.read(topics.SIGNALS)) == 2


async def _directives(user: User, acme: str, operator: str) -> None:
    wish = {"tenant": "acme", "name": "hopline.limit.set", "data": {"burst": 7}}
    status, said = await user.ask("POST", DIRECTIVES, acme, wish)
    assert (status, said["problems"][0]["message"]) == (403, "lacks limit:write")
    status, said = await user.ask("POST", DIRECTIVES, operator, wish, Idempotency_Key="b7", Prefer="wait=20")
    assert (status, said["status"], said["key"]) == (200, "succeeded", "b7")
    assert said["requester"] == f"key:{operator.split('_')[1]}"
    # Again it does nothing and is answered alike; another one under this key is refused.
    assert await user.ask("POST", DIRECTIVES, operator, wish, Idempotency_Key="b7") == (200, said)
    other = {**wish, "data": {"burst": 8}}
    assert (await user.ask("POST", DIRECTIVES, operator, other, Idempotency_Key="b7"))[0] == 409
    later = {**wish, "notbefore": "2999-01-01T00:00:00Z", "key": "a/later one"}
    status, said = await user.ask("POST", DIRECTIVES, operator, later, Prefer="wait=20")
    assert (status, said["status"]) == (202, "requested")
    status, said = await user.ask("DELETE", f"{DIRECTIVES}/a%2Flater%20one?tenant=acme", operator, Prefer="wait=20")
    assert (status, said["status"]) == (200, "succeeded")
    status, said = await user.ask("GET", f"{DIRECTIVES}/a%2Flater%20one?tenant=acme", operator)
    assert (status, said["status"]) == (200, "cancelled")
    status, said = await user.ask("GET", f"{DIRECTIVES}?tenant=acme", operator)
    assert {each["key"]: each["status"] for each in said["directives"]}["b7"] == "succeeded"
    limited = await user.key("--tenant", "acme", "--permission", "key:write", "--permission", "directive:read")
    await user.until(limited, 403)
    more = {
        "name": "hopline.key.create",
        "data": {"prefix": new_prefix(), "hash": f"{0:08x}:{0:064x}", "permissions": ["*"]},
    }
    status, said = await user.ask("POST", DIRECTIVES, limited, more, Prefer="wait=20")
    assert (status, said["status"]) == (200, "failed")
    assert "requester may not" in said["error"]
    for path in (f"{DIRECTIVES}?tenant=bolt", f"{DIRECTIVES}/b7?tenant=bolt", f"{DIRECTIVES}?tenant=_system"):
        assert (await user.ask("GET", path, limited))[0] == 403
    entries = await user.json("audit", "show", "acme")
    assert {entry["requester"].split(":")[0] for entry in entries} == {"key", "kafka"}


async def _listed(user: User, acme: str) -> None:
    async with asyncio.timeout(60):
        while not (found := {key["key"]: key for key in await user.json("keys", "list", "--tenant", "acme")})[
            acme.split("_")[1]
        ]["last_used"]:
            continue
    assert found[acme.split("_")[1]]["permissions"] == ["signal:write"]
    assert found[acme.split("_")[1]]["status"] == "good"


async def _nothing_secret_was_written(pipe: Pipeline, folder: Path, keys: list[str]) -> None:
    secrets = [key.split("_")[2].encode() for key in keys]
    for topic in TOPICS:
        for record in await pipe.read(topic.name):
            written = b"".join((record.key or b"", record.value or b"", *(value or b"" for _, value in record.headers)))
            assert not [secret for secret in secrets if secret in written], topic.name
    files = await asyncio.to_thread(_files, folder)
    assert files
    for path, content in files.items():
        assert not [secret for secret in secrets if secret in content], path
        assert SECRET.encode() not in content, path


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_no_error_and_no_log_repeats_a_key(
    kafka: str, unique: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(RedactingFormatter(logging.Formatter()))
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        async with serving(pipe, tmp_path) as user:
            key = new_key(new_prefix())
            secret = key.split("_")[2]
            for method in ("GET", "POST", "DELETE", "PUT"):
                for path in ("/", SIGNALS, DIRECTIVES, "/v1/tail", "/healthz", "/metrics", f"/v1/{key}"):
                    for sent in (
                        {"Authorization": f"Bearer {key}"},
                        {"Authorization": key},
                        {"Authorization": f"Basic {key}", "Content-Encoding": key},
                        {"Content-Type": key, "Idempotency-Key": key, "Prefer": key},
                        {"Host": key},
                    ):
                        async with user.http.request(
                            method, f"{user.url}{path}?key={key}", headers=sent, data=key
                        ) as answer:
                            assert secret not in await answer.text(), (method, path)
                            assert secret not in str(answer.headers), (method, path)
    assert secret not in caplog.text


async def test_beyond_loopback_it_serves_only_once_there_is_a_key(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path, SECRET_KEY=SECRET) as pipe:
        await pipe.prepare()
        settings = settings_for(pipe, tmp_path, host="0.0.0.0", require_keys=None)  # noqa: S104  # that is the question
        with pytest.raises(NotLoopbackError, match="keys create --operator"):
            await require_safe(settings, kafka)
        open_to_all = settings.model_copy(update={"require_keys": False})
        with pytest.raises(NotLoopbackError, match="anybody could do anything"):
            await require_safe(open_to_all, kafka)
        await pipe.start().ready()
        async with ClientSession() as http:
            user = User(pipe, tmp_path, "", http)
            operator = await user.key("--operator")
            await require_safe(settings, kafka)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "streams.gateway",
                env={**user.environment, "HOPLINE_HOST": "0.0.0.0", "HOPLINE_GATEWAY_PORT": "0"},  # noqa: S104  # it is
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                assert process.stderr is not None
                async with asyncio.timeout(60):
                    while b"listens on" not in (line := await process.stderr.readline()):
                        assert line
                port = json.loads(line)["message"].rpartition(":")[2]
                user.url = f"http://127.0.0.1:{port}"
                await user.until(operator, 400)
                assert (await user.send("", event("acme")))[0] == 401
                # Where each request needs a key, the name that it calls us by does not matter.
                assert (await user.send(operator, event("acme"), Host="hopline.example"))[0] == 202
            finally:
                process.terminate()
                async with asyncio.timeout(30):
                    await process.wait()
