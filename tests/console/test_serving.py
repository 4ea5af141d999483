"""The page's files over HTTP: types, tags, its policy, nothing else; from the real gateway, without a key."""

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.gateway import console
from streams.gateway.console import PATH, POLICY, Console
from streams.gateway.security import HEADERS
from tests.streams.gateway.serving import serving

HTML: Final = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """The part, alone on a server."""
    app = web.Application()
    Console().register(app)
    async with TestClient(TestServer(app)) as found:
        yield found


@pytest.mark.parametrize(
    "name, type_",
    [("", "text/html"), ("index.html", "text/html"), ("js/main.js", "text/javascript"),
     ("css/base.css", "text/css"), ("icon.svg", "image/svg+xml")],
)  # fmt: skip
async def test_a_file_has_its_type_its_tag_and_the_policy(
    client: TestClient[web.Request, web.Application], name: str, type_: str
) -> None:
    answer = await client.get(PATH + name)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == f"{type_}; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Cache-Control"] == "no-cache"
    tag = answer.headers["ETag"]
    for known in (tag, f'"other", W/{tag}'):
        again = await client.get(PATH + name, headers={"If-None-Match": known})
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    assert (await client.get(PATH + name, headers={"If-None-Match": '"other"'})).status == 200
    head = await client.head(PATH + name)
    assert (head.status, await head.read()) == (200, b"")


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "__init__.py", "js", "js/", "../gateway/console.py", "..%2fgateway/console.py", "%2e%2e/console.py",
     "js/../../gateway/console.py", "/etc/passwd", "js/main.js%00", "index.html/"],
)  # fmt: skip
async def test_nothing_else_is_served(client: TestClient[web.Request, web.Application], name: str) -> None:
    url = client.make_url(PATH).update_query({}).with_path(PATH + name, encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 404


async def test_a_browser_is_led_from_the_root_and_a_program_is_told_as_before() -> None:
    async with serving() as (gateway, _), aiohttp.ClientSession(gateway.url) as session:
        async with session.get("/", headers=HTML) as answer:
            assert (answer.status, answer.url.path) == (200, PATH)
            assert b"<title>Hopline</title>" in await answer.read()
        async with session.get("/console", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "console/")
        async with session.get("/") as answer:
            assert answer.status == 404
            assert answer.content_type == "application/problem+json"


async def test_the_real_gateway_gives_the_page_without_a_key_under_one_policy() -> None:
    async with (
        serving(require_keys=True, secret_key="k" * 32) as (gateway, _),
        aiohttp.ClientSession(gateway.url) as session,
    ):
        async with session.get(PATH) as answer:
            assert answer.status == 200
            assert answer.headers.getall("Content-Security-Policy") == [POLICY]
            assert answer.headers.getall("Cache-Control") == ["no-cache"]
            for name in ("X-Content-Type-Options", "Referrer-Policy"):
                assert answer.headers.getall(name) == [HEADERS[name]]
        async with session.get(PATH + "nothing") as answer:
            assert answer.status == 404
            assert answer.headers.getall("Content-Security-Policy") == [HEADERS["Content-Security-Policy"]]
        async with session.get("/v1/limits") as answer:
            # The API behind it is as closed as ever: no key is known here, so it cannot even tell.
            assert answer.status in {401, 503}
            assert answer.headers.getall("Cache-Control") == ["no-store"]


async def test_a_page_of_another_name_gets_nothing() -> None:
    async with (
        serving() as (gateway, _),
        aiohttp.ClientSession(gateway.url) as session,
        session.get(PATH, headers={"Host": "evil.example"}) as answer,
    ):
        assert answer.status == 403


def test_a_gateway_without_the_files_says_so_and_lives(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(console, "_PACKAGE", "streams.secrets")
    assert "" not in Console().pages
    assert "installed whole" in caplog.text


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    parts = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert parts["default-src"] == "'none'"
    assert all(word in {"'none'", "'self'", "data:"} for words in parts.values() for word in words.split())
    assert "unsafe" not in POLICY
