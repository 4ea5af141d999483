"""E-mail against a mail server that really talks: encrypted, logged in, cut off when it hangs, explained."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Final

import pytest

from processors.alerting.notice import Entry, News, Notice, What
from processors.alerting.rule import Severity
from streams.channels import Channel
from streams.channels.mail import Email
from tests.streams.channels.receiving import (
    NOW_MS,
    Changed,
    MailServer,
    certificate,
    hosting,
    loaded,
    mailing,
    until,
)

PASSWORD: Final = "pa55word-of-the-mail"  # noqa: S105  # of nobody
PLAIN: Final = 'tls = "none"\n'
LOGIN: Final = 'username = "ops"\npassword_env = "PASSWORD"\nca_file = "ca.pem"\n'


def mail(folder: Path, server: MailServer, more: str = PLAIN, seconds: float = 5) -> tuple[Channel, ...]:
    text = f"""
[channels.mail]
kind = "email"
host = "127.0.0.1"
port = {server.port}
from = "hopline@example.com"
to = ["ops@example.com", "night@example.com"]
group_wait_seconds = 0
timeout_seconds = {seconds}
{more}"""
    return loaded(folder, text, PASSWORD=PASSWORD)


def notice(**changed: str) -> Notice:
    news = News(
        "a1",
        "LagHigh",
        Severity.WARNING,
        {"tenant": "acme", **changed},
        31.5,
        30.0,
        firing=True,
        since_ms=NOW_MS,
        at_ms=NOW_MS,
        summary="Wartezeit über 30 s.\r\nBcc: everybody@example.com",
        description="Records wait.",
    )
    return Notice("0123456789abcdef", ("LagHigh", "acme"), (Entry(What.RAISED, news),))


async def test_a_mail_arrives_with_what_people_need(tmp_path: Path) -> None:
    async with mailing(MailServer()) as server, hosting(mail(tmp_path, server)) as hosted:
        hosted.channels.told(Changed(labels={"tenant": "acme", "text": "one\nBcc: x@example.com"}))
        await until(lambda: hosted.results("mail") == ["told"])
        (got,) = server.mails
    assert server.receivers == ["ops@example.com", "night@example.com"]
    assert got["Subject"] == "[hopline] RAISED: LagHigh (critical) of acme"
    assert (got["From"], got["To"]) == ("hopline@example.com", "ops@example.com, night@example.com")
    assert (got["Auto-Submitted"], got["Bcc"]) == ("auto-generated", None)
    assert got["Message-ID"] == f"<{hosted.became[0].notice}@hopline>"
    text = got.get_content()
    assert "Records wait too long." in text
    assert "It is 31.5, the threshold is 30." in text
    assert "What to do: lag.md" in text
    assert "text=one Bcc: x@example.com" in text


async def test_starttls_and_login_and_no_password_before_it(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with mailing(MailServer(context, password=PASSWORD)) as server:
        (channel,) = mail(tmp_path, server, LOGIN)
        assert (await channel.sender.send(notice())).ok
        await channel.sender.close()
    assert server.encrypted == [True]
    assert server.logins == [f"|ops|{PASSWORD}"]
    assert "über" in server.mails[0].get_content()
    assert server.mails[0]["Bcc"] is None


async def test_tls_from_the_start(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with mailing(MailServer(context, password=PASSWORD), implicit=True) as server:
        (channel,) = mail(tmp_path, server, f'tls = "implicit"\n{LOGIN}')
        assert (await channel.sender.send(notice())).ok
        await channel.sender.close()
    assert server.encrypted == [True]


async def test_a_server_that_cannot_encrypt_or_is_not_trusted_gets_no_password(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with mailing(MailServer(password=PASSWORD)) as server:
        (channel,) = mail(tmp_path, server, LOGIN)
        answer = await channel.sender.send(notice())
        assert "has no STARTTLS" in answer.words
        assert server.logins == []
    async with mailing(MailServer(context, password=PASSWORD)) as server:
        (channel,) = mail(tmp_path, server, LOGIN.replace('ca_file = "ca.pem"\n', ""))
        answer = await channel.sender.send(notice())
        assert "not trusted" in answer.words
        assert server.logins == []
    no = {"AUTH": b"535 not " + PASSWORD.encode()}
    async with mailing(MailServer(context, password=PASSWORD, refuses=no)) as server:
        (channel,) = mail(tmp_path, server, LOGIN)
        answer = await channel.sender.send(notice())
        assert (answer.ok, answer.words) == (False, "535 not ***")
        await channel.sender.close()


@pytest.mark.parametrize(
    "verb,reply,says,alone",
    [
        ("HELLO", b"554 go away", "554 go away", True),
        ("MAIL", b"451 later", "451 later", False),
        ("RCPT", b"550 nobody here", "takes no mail for any of the receivers", True),
        ("END", b"552 too much", "552 too much", True),
    ],
)
async def test_what_the_server_says_is_said(tmp_path: Path, verb: str, reply: bytes, says: str, alone: bool) -> None:
    async with mailing(MailServer(refuses={verb: reply})) as server:
        (channel,) = mail(tmp_path, server)
        answer = await channel.sender.send(notice())
        await channel.sender.close()
    assert not answer.ok
    assert says in answer.words
    assert answer.alone == alone
    assert not server.mails


@pytest.mark.parametrize("verb", ["HELLO", "EHLO", "DATA", "END"])
async def test_a_server_that_hangs_is_cut_off_and_the_next_mail_arrives(tmp_path: Path, verb: str) -> None:
    async with mailing(MailServer(hangs={verb})) as server:
        (channel,) = mail(tmp_path, server, seconds=0.5)
        began = time.monotonic()
        answer = await channel.sender.send(notice())
        assert not answer.ok
        assert time.monotonic() - began < 5
        server.hangs.clear()
        answers = [answer]

        async def again() -> None:
            # The thread is free as soon as it notices that its socket is gone.
            while not answers[-1].ok:
                answers.append(await channel.sender.send(notice()))

        async with asyncio.timeout(20):
            await again()
        await channel.sender.close()
        assert len(server.mails) == 1


async def test_nobody_listens_there(tmp_path: Path) -> None:
    server = MailServer(port=1)
    (channel,) = mail(tmp_path, server)
    answer = await channel.sender.send(notice())
    assert answer.words == "127.0.0.1:1 cannot be reached: Connection refused"


def test_no_label_can_add_a_header_or_a_receiver(tmp_path: Path) -> None:
    (channel,) = mail(tmp_path, MailServer(port=25))
    assert isinstance(channel.sender, Email)
    message = channel.sender.message(notice(tenant="acme\r\nBcc: x@example.com", other="\n.\nQUIT"))
    assert message["Bcc"] is None
    assert "\n" not in str(message["Subject"])
    assert ssl.create_default_context().check_hostname
