"""E-mail by SMTP: the standard library's client in a thread of its own, which is cut off when its time is over."""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final, Literal

from processors.alerting.notice import Notice
from streams.channels import words
from streams.channels.sending import Answer, Hidden

ENTRIES_SHOWN_MAX: Final = 50
_SERVER_TROUBLE: Final = 500
"""Replies below it ask to come again later; from it on the mail itself is refused."""


@dataclass(frozen=True, slots=True)
class Server:
    """How the mail server is reached."""

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    username: str
    password: str
    timeout_seconds: float
    ca_file: str = ""


class Email:
    """See `Sender`."""

    def __init__(self, server: Server, hidden: Hidden, sender: str, to: Sequence[str], *, runbooks: str = "") -> None:
        self._server = server
        self._sender = sender
        self._to = tuple(to)
        self._runbooks = runbooks
        self._hidden = hidden
        # One thread of its own: a server that hangs takes none from anybody else.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mail")
        self._client: smtplib.SMTP | None = None
        self.address = f"{server.host}:{server.port}"

    async def send(self, notice: Notice) -> Answer:
        """See `Sender.send`."""
        message = self.message(notice)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                return await loop.run_in_executor(self._thread, self._deliver, message)
        except TimeoutError:
            return Answer(ok=False, words=f"{self.address} was not done within {self._server.timeout_seconds:g} s")
        except smtplib.SMTPResponseException as error:
            code, text = error.smtp_code, error.smtp_error
            said = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
            return Answer(ok=False, words=self._hidden.words(f"{code} {said}"), alone=code >= _SERVER_TROUBLE)
        except smtplib.SMTPRecipientsRefused:
            return Answer(ok=False, words=f"{self.address} takes no mail for any of the receivers", alone=True)
        except ssl.SSLError:
            words_ = f"{self.address} has a certificate that is not trusted; ca_file names who signed it"
            return Answer(ok=False, words=words_)
        except smtplib.SMTPNotSupportedError:
            return Answer(ok=False, words=f"{self.address} has no STARTTLS, or no login: see tls and username")
        except smtplib.SMTPException as error:
            return Answer(ok=False, words=f"{self.address} broke off: {type(error).__name__}")
        except OSError as error:
            return Answer(ok=False, words=f"{self.address} cannot be reached: {error.strerror or type(error).__name__}")
        finally:
            # What hangs in the thread ends when its socket does.
            self._cut()

    def message(self, notice: Notice) -> EmailMessage:
        """Return a notice as a mail. Header fields are one line each: the title has no line breaks."""
        message = EmailMessage()
        message["Subject"] = f"[hopline] {words.title(notice)}"
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = f"<{notice.id}@hopline>"
        message["Auto-Submitted"] = "auto-generated"
        shown = notice.entries[:ENTRIES_SHOWN_MAX]
        parts = ["\n".join(words.lines(entry, self._runbooks)) for entry in shown]
        if len(shown) < len(notice.entries):
            parts.append(f"And {len(notice.entries) - len(shown)} more.")
        message.set_content("\n\n".join(parts) + "\n")
        return message

    async def close(self) -> None:
        """See `Sender.close`."""
        self._cut()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, message: EmailMessage) -> Answer:
        """Send one mail; in the thread."""
        server = self._server
        context = ssl.create_default_context(cafile=server.ca_file or None)
        client = self._client = (
            smtplib.SMTP_SSL(timeout=server.timeout_seconds, context=context)
            if server.tls == "implicit"
            else smtplib.SMTP(timeout=server.timeout_seconds)
        )
        # By it the certificate is checked. Given to the constructor, that would connect, out of reach of `_cut`.
        vars(client)["_host"] = server.host
        code, text = client.connect(server.host, server.port)
        if code != 220:  # noqa: PLR2004  # what RFC 5321 greets with
            raise smtplib.SMTPConnectError(code, text)
        with client:
            if server.tls == "starttls":
                client.starttls(context=context)
            if server.username:
                client.login(server.username, server.password)
            refused = client.send_message(message)
        if refused:
            return Answer(ok=True, words=f"taken, but not for {len(refused)} of {len(self._to)} receivers")
        return Answer(ok=True, words=f"{self.address} took the mail")

    def _cut(self) -> None:
        """End what the thread waits for."""
        client, self._client = self._client, None
        sock = None if client is None else client.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(2)
            with suppress(OSError):
                sock.close()
