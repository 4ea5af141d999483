"""Read the channels' file: say by field what is wrong with it, and never what a secret is."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from processors.alerting.notice import Notice, Pace, Route
from streams.channels import addresses, signing
from streams.channels.alertmanager import Alertmanager
from streams.channels.http import Http
from streams.channels.local import Console, Log
from streams.channels.mail import Email, Server
from streams.channels.pagerduty import PagerDuty
from streams.channels.sending import Hidden, Sender
from streams.channels.settings import (
    CALLS,
    CONSOLE,
    FROM_ENVIRONMENT,
    FROM_FILE,
    AlertmanagerSettings,
    ChannelSettings,
    ChannelsFile,
    Common,
    EmailSettings,
    LogSettings,
    PagerDutySettings,
    SlackSettings,
    WebhookSettings,
    is_name,
)
from streams.channels.slack import Slack
from streams.channels.webhook import Webhook

FILE_BYTES_MAX: Final = 262_144
SECRET_BYTES_MAX: Final = 8_192
_ALERTMANAGER_KEEPS: Final = 3
"""So many times `repeat_seconds` an alert lives there when it is not told again."""
_KIND_AT: Final = 2
_INLINE: Final = frozenset({"secret", "password", "routing_key", "authorization", "token", "url"})


class ChannelsError(Exception):
    """The channels' file is wrong; the message says by field what, and what would do."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel, ready to be told."""

    name: str
    kind: str
    sender: Sender
    route: Route = field(default_factory=Route)
    pace: Pace = field(default_factory=Pace)
    timeout_seconds: float = 10.0


def load(path: str, *, application: str, environment: Mapping[str, str] | None = None) -> tuple[Channel, ...]:
    """Return the channels that a file names; none if no file is set. Raises `ChannelsError`."""
    if not path:
        return ()
    file = _validated(_read(Path(path)), path)
    reader = _Reader(Path(path).parent, os.environ if environment is None else environment)
    channels = tuple(
        _channel(name, settings, reader, application, file.runbooks or "") for name, settings in file.channels.items()
    )
    if reader.problems:
        raise ChannelsError(f"{path}: {'; '.join(reader.problems)}")
    return channels


def console(hand: Callable[[Notice], None]) -> Channel:
    """Return the channel to the page, which needs no file."""
    pace = Pace(group_by=(), group_wait_ms=0, group_interval_ms=0, repeat_ms=0)
    return Channel(CONSOLE, CONSOLE, Console(hand), Route(frozenset(CALLS)), pace)


@dataclass(slots=True)
class _Reader:
    """Finds the secrets; notes what is missing, so that all of it is said at once."""

    folder: Path
    environment: Mapping[str, str]
    problems: list[str] = field(default_factory=list)
    hidden: Hidden = field(default_factory=Hidden)
    """Shared: what one channel must not show no other shows, either."""

    def secret(self, name: str, channel: Common, what: str) -> str:
        """Return a secret; empty if none is given, or it cannot be had."""
        way = next((way for way in channel.ways_of(what) if getattr(channel, way)), "")
        given = str(getattr(channel, way)) if way else ""
        found = self._found(name, way, given)
        if found != given:
            self.hidden.add(found)
        return found

    def _found(self, name: str, way: str, given: str) -> str:
        where = f"channels.{name}.{way}"
        if way.endswith(FROM_FILE):
            return self._file(where, self.path(given))
        if not way.endswith(FROM_ENVIRONMENT):
            return given
        if not self.environment.get(given, "").strip():
            # Nor is the name repeated: whoever mistook the field has written the secret there.
            self.problems.append(f"{where}: the environment has no variable of that name")
        return self.environment.get(given, "").strip()

    def path(self, given: str) -> Path:
        """Return where a file is: beside the channels' file, unless it says otherwise."""
        return self.folder / Path(given).expanduser()

    def ca_file(self, name: str, given: str) -> str:
        """Return the path of a file of certificates."""
        if given and not self.path(given).is_file():
            self.problems.append(f"channels.{name}.ca_file: there is no file {self.path(given)}")
            return ""
        return str(self.path(given)) if given else ""

    def checked(self, name: str, what: str, check: Callable[[str], Any], secret: str) -> Any:
        """Return what a check makes of a secret; None if it is not right."""
        if not secret:
            return None
        try:
            return check(secret)
        except ValueError as error:
            self.problems.append(f"channels.{name}.{what}: {error}")
            return None

    def _file(self, where: str, path: Path) -> str:
        try:
            with path.open("rb") as file:
                found = file.read(SECRET_BYTES_MAX + 1).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            # Not the path, which may be the secret in the wrong place; not the error's words, which may show bytes.
            self.problems.append(f"{where}: cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}")
            return ""
        if not found or len(found) > SECRET_BYTES_MAX:
            self.problems.append(f"{where}: the file must hold 1 to {SECRET_BYTES_MAX} characters")
            return ""
        return found


def _channel(name: str, settings: ChannelSettings, reader: _Reader, application: str, runbooks: str) -> Channel:
    sender = _sender(name, settings, reader, application, runbooks)
    return Channel(name, settings.kind, sender, settings.route(), settings.pace(), settings.timeout_seconds)


def _sender(name: str, settings: ChannelSettings, reader: _Reader, application: str, runbooks: str) -> Sender:
    match settings:
        case WebhookSettings():
            key = reader.checked(name, "secret", signing.key_of, reader.secret(name, settings, "secret"))
            authorization = _header(name, settings, reader)
            http = _http(name, settings, reader)
            return Webhook(http, key or b"", authorization=authorization, runbooks=runbooks)
        case SlackSettings():
            return Slack(_http(name, settings, reader), runbooks=runbooks)
        case PagerDutySettings():
            key = reader.secret(name, settings, "routing_key")
            http = _http(name, settings, reader)
            return PagerDuty(http, key, source=application, runbooks=runbooks)
        case AlertmanagerSettings():
            authorization = _header(name, settings, reader)
            http = _http(name, settings, reader)
            keeps_ms = round(settings.repeat_seconds * _ALERTMANAGER_KEEPS * 1_000)
            return Alertmanager(http, keeps_ms=keeps_ms, authorization=authorization, runbooks=runbooks)
        case EmailSettings():
            password = reader.secret(name, settings, "password")
            ca_file = reader.ca_file(name, settings.ca_file)
            server = Server(
                settings.host,
                settings.port,
                settings.tls,
                settings.username,
                password,
                settings.timeout_seconds,
                ca_file,
            )
            return Email(server, reader.hidden, settings.sender, settings.to, runbooks=runbooks)
        case LogSettings():
            return Log()


def _http(
    name: str,
    settings: WebhookSettings | SlackSettings | PagerDutySettings | AlertmanagerSettings,
    reader: _Reader,
) -> Http:
    url = reader.secret(name, settings, "url")
    if reader.checked(name, "url", addresses.split, url) is None:
        # Never asked: what is wrong with it is said before anybody is told anything.
        url = "http://invalid"
    elif "url" in settings.secrets:
        reader.hidden.add(*addresses.secrets_of(url))
    ca_file = reader.ca_file(name, settings.ca_file)
    return Http(url, reader.hidden, timeout_seconds=settings.timeout_seconds, ca_file=ca_file)


def _header(name: str, settings: WebhookSettings | AlertmanagerSettings, reader: _Reader) -> str:
    found = reader.secret(name, settings, "authorization")
    if not (found.isprintable() and found.isascii()):
        reader.problems.append(f"channels.{name}.authorization: must be one line of ASCII, such as Bearer and a token")
        return ""
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ChannelsError(f"{path}: is longer than {FILE_BYTES_MAX} bytes")
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        raise ChannelsError(f"{path}: is no TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ChannelsError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def _validated(content: dict[str, Any], path: str) -> ChannelsFile:
    channels = content.get("channels")
    names = channels if isinstance(channels, dict) else {}
    wrong = [name for name in names if not is_name(name) or name == CONSOLE]
    if wrong:
        why = "small letters, digits, - and _, at most 40; the console is always there and needs no table"
        raise ChannelsError(f"{path}: channels.{ascii(wrong[0])[1:-1][:60]}: must be called by {why}")
    try:
        return ChannelsFile(**content)
    except ValidationError as error:
        raise ChannelsError(f"{path}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    """Say what is wrong by field, without a value: it may be a secret that stands in the wrong place."""
    said = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        place = [str(part) for part in problem["loc"]]
        if place[:1] == ["channels"]:
            # The kind, by which pydantic chose what to read it as.
            del place[_KIND_AT : _KIND_AT + 1]
        message, last = problem["msg"].removeprefix("Value error, "), place[-1] if place else ""
        if problem["type"] == "extra_forbidden":
            message = "is not known here"
            if last in _INLINE:
                message = f"is not written in here: use {last}{FROM_FILE} or {last}{FROM_ENVIRONMENT}"
        elif problem["type"].startswith("union_tag"):
            place, message = [*place, "kind"], "must be webhook, slack, email, pagerduty, alertmanager or log"
        said.append(f"{'.'.join(place)}: {message}")
    return "; ".join(said[:20])
