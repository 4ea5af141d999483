"""What channels tell in tests: a web server and a mail server on loopback, as bad as they are asked to be."""

import asyncio
import base64
import datetime as dt
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default as policy
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from processors.alerting.settings import AlertSettings
from streams.channels import Became, Channel, Channels, load
from streams.metrics import Metrics

SECONDS_MAX: Final = 30.0
LOOK_SECONDS: Final = 0.02
NOW_MS: Final = 1_800_000_000_000


async def until(condition: Callable[[], bool], seconds: float = SECONDS_MAX) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for knows nothing of events
            await asyncio.sleep(LOOK_SECONDS)


@dataclass(frozen=True)
class Changed:
    """A change of an alert, as the watch hands it over."""

    id: str = "a1"
    alert: str = "LagHigh"
    severity: str = "critical"
    to: str = "firing"
    labels: dict[str, str] = field(default_factory=lambda: {"tenant": "acme"})
    value: float | None = 31.5
    threshold: float | None = 30.0
    at_ms: int = NOW_MS
    since_ms: int = NOW_MS
    summary: str = "Records wait too long."
    description: str = "The oldest waits since 31.5 s."
    runbook: str = "lag.md"


@dataclass
class Got:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A web server. `answers` are given one after the other; then it is 200."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: deque[tuple[int, dict[str, str], bytes]] = field(default_factory=deque)
    hangs: asyncio.Event | None = None
    """Set it, and nothing is answered until the event is."""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append(Got(request.method, request.path_qs, headers, body))
        if self.hangs is not None:
            async with asyncio.timeout(SECONDS_MAX):
                await self.hangs.wait()
        status, more, text = self.answers.popleft() if self.answers else (200, {}, b"ok")
        return web.Response(status=status, headers=more, body=text)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Give a web server of its own."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = cast("Any", site._server).sockets[0].getsockname()[:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        if receiver.hangs is not None:
            receiver.hangs.set()
        await runner.cleanup()


@dataclass
class MailServer:
    """As much of SMTP as a client needs that behaves."""

    tls: ssl.SSLContext | None = None
    port: int = 0
    password: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    receivers: list[str] = field(default_factory=list)
    refuses: dict[str, bytes] = field(default_factory=dict)
    """Verb → reply: instead of what would be right."""
    hangs: set[str] = field(default_factory=set)
    """Verbs that are not answered; `HELLO` is the greeting."""
    logins: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await self._talk(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            return
        finally:
            writer.close()

    async def _talk(  # noqa: C901  # one verb after the other
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not await self._reply(writer, "HELLO", b"220 mail.test ready"):
            return
        while line := await reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    login = b"250-AUTH PLAIN\r\n" if self.password else b""
                    started = b"250-STARTTLS\r\n" if self.tls and not _is_tls(writer) else b""
                    await self._reply(writer, "EHLO", b"250-mail.test\r\n" + started + login + b"250 OK")
                case "STARTTLS" if self.tls is not None:
                    await self._reply(writer, "STARTTLS", b"220 go on")
                    await writer.start_tls(self.tls)
                case "AUTH":
                    self.logins.append(base64.b64decode(rest.partition(" ")[2]).decode().replace("\x00", "|"))
                    right = self.logins[-1].endswith(f"|{self.password}")
                    await self._reply(writer, "AUTH", b"235 yes" if right else b"535 no")
                case "MAIL":
                    self.encrypted.append(_is_tls(writer))
                    await self._reply(writer, "MAIL", b"250 OK")
                case "RCPT":
                    self.receivers.append(rest.removeprefix("TO:").strip("<>"))
                    await self._reply(writer, "RCPT", b"250 OK")
                case "DATA":
                    if await self._reply(writer, "DATA", b"354 go on"):
                        text = await reader.readuntil(b"\r\n.\r\n")
                        if await self._reply(writer, "END", b"250 taken"):
                            self.mails.append(BytesParser(policy=policy).parsebytes(text[:-5]))
                case "QUIT":
                    await self._reply(writer, "QUIT", b"221 bye")
                    return
                case _:
                    await self._reply(writer, verb, b"250 OK")

    async def _reply(self, writer: asyncio.StreamWriter, verb: str, text: bytes) -> bool:
        """Answer as told; return whether it goes on as if nothing were."""
        if verb in self.hangs:
            await asyncio.sleep(SECONDS_MAX)
        said = self.refuses.get(verb, text)
        writer.write(said + b"\r\n")
        await writer.drain()
        return said == text


def _is_tls(writer: asyncio.StreamWriter) -> bool:
    return writer.get_extra_info("ssl_object") is not None


@asynccontextmanager
async def mailing(server: MailServer, *, implicit: bool = False) -> AsyncIterator[MailServer]:
    """Let a mail server run on a port of its own."""
    running = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=server.tls if implicit else None)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await running.wait_closed()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for 127.0.0.1; return what a server needs, and the file by which a client trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.fromtimestamp(NOW_MS / 1_000, dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=3_650))
        .not_valid_after(now + dt.timedelta(days=3_650))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, both = folder / "ca.pem", folder / "server.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    both.write_bytes(private + trusted.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, trusted


@dataclass
class Hosted:
    """Channels that run, and what they said."""

    channels: Channels
    settings: AlertSettings
    became: list[Became]
    metrics: Metrics

    def results(self, channel: str) -> list[str]:
        """Return what became of what a channel was told."""
        return [one.result for one in self.became if one.channel == channel]


def loaded(folder: Path, text: str, **secrets: str) -> tuple[Channel, ...]:
    """Return the channels of a file with this text; secrets are in the environment."""
    file = folder / "channels.toml"
    file.write_text(text, encoding="utf-8")
    return load(str(file), application="hopline-test", environment=secrets)


@asynccontextmanager
async def hosting(channels: tuple[Channel, ...], cooldown: int = 0) -> AsyncIterator[Hosted]:
    """Let channels run. They retry at once: chance is the only thing that is played."""
    settings, became, metrics = AlertSettings(), list[Became](), Metrics()
    made = Channels(
        channels,
        settings=lambda: settings,
        metrics=metrics,
        cooldown_seconds={"LagHigh": cooldown},
        became=became.append,
        chance=lambda: 0.0,
    )
    made.start()
    try:
        yield Hosted(made, settings, became, metrics)
    finally:
        await made.close()
