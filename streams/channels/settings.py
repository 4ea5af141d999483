"""The channels' file: TOML, one table a channel. Secrets stand in files or in the environment, never in it."""

import re
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

from processors.alerting.notice import ALERT, Pace, Route
from processors.alerting.rule import Severity
from processors.alerting.settings import is_label, is_pattern
from processors.vocabulary.rules import is_tenant
from streams.channels import addresses, pagerduty

CHANNELS_MAX: Final = 20
"""Each has a task, connections and labels of metrics."""
RECEIVERS_MAX: Final = 50
GROUP_BY_MAX: Final = 8
CONSOLE: Final = "console"
CALLS: Final = (Severity.CRITICAL, Severity.WARNING)
"""What people are told of, unless they say otherwise: of the rest is the heartbeat, which is always raised."""
FROM_FILE: Final = "_file"
FROM_ENVIRONMENT: Final = "_env"
is_name: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}").fullmatch
# No line breaks, which would begin a header of their own, and nothing that needs quoting.
_is_mail: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}").fullmatch
_is_host: Final = re.compile(r"[A-Za-z0-9._:-]{1,255}").fullmatch


def _url(text: str) -> str:
    addresses.split(text)
    return text


def _pattern(text: str) -> str:
    if not is_pattern(text):
        raise ValueError("must be an alert's name, the beginning of one and *, or *")
    return text


def _grouping(text: str) -> str:
    if not is_label(text):
        raise ValueError("must be `alert` or the name of a label")
    return text


def _tenant(text: str) -> str:
    if not is_tenant(text, reserved_ok=False):
        raise ValueError("is no tenant's name")
    return text


def _mail(text: str) -> str:
    if not _is_mail(text):
        raise ValueError("is no e-mail address such as ops@example.com")
    return text


def _host(text: str) -> str:
    if not _is_host(text):
        raise ValueError("is no host's name")
    return text


Url = Annotated[str, AfterValidator(_url)]
MailAddress = Annotated[str, AfterValidator(_mail)]


class Common(BaseModel):
    """What every channel has: which alerts go there, and how fast."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    secrets: ClassVar[tuple[str, ...]] = ()
    """Fields that are given as NAME_file or NAME_env; one of the two must be there."""
    may_secrets: ClassVar[tuple[str, ...]] = ()
    """Those that may be left out."""

    severities: list[Severity] = Field(default=list(CALLS), min_length=1)
    alerts: list[Annotated[str, AfterValidator(_pattern)]] = Field(default=["*"], min_length=1, max_length=100)
    tenants: list[Annotated[str, AfterValidator(_tenant)]] = Field(default=[], max_length=1_000)
    group_by: list[Annotated[str, AfterValidator(_grouping)]] = Field(
        default=[ALERT, "tenant"], max_length=GROUP_BY_MAX
    )
    group_wait_seconds: float = Field(2, ge=0, le=3_600)
    group_interval_seconds: float = Field(30, ge=0, le=86_400)
    repeat_seconds: float = Field(4 * 3_600, ge=0, le=30 * 86_400)
    attempts_max: int = Field(60, ge=1, le=1_000)
    timeout_seconds: float = Field(10, ge=0.1, le=60)
    resolved: bool = True

    @model_validator(mode="after")
    def _has_its_secrets(self) -> "Common":
        for name in (*self.secrets, *self.may_secrets):
            given = [way for way in self.ways_of(name) if getattr(self, way)]
            if len(given) > 1 or (not given and name in self.secrets):
                raise ValueError(f"{name}: give one of {', '.join(self.ways_of(name))}")
        return self

    @classmethod
    def ways_of(cls, secret: str) -> tuple[str, ...]:
        """Return the fields by one of which a secret is given."""
        ways = (secret, f"{secret}{FROM_FILE}", f"{secret}{FROM_ENVIRONMENT}")
        return tuple(way for way in ways if way in cls.model_fields)

    def route(self) -> Route:
        """Return which alerts go there."""
        return Route(frozenset(self.severities), tuple(self.alerts), frozenset(self.tenants))

    def pace(self) -> Pace:
        """Return how fast."""
        return Pace(
            group_by=tuple(self.group_by),
            group_wait_ms=round(self.group_wait_seconds * 1_000),
            group_interval_ms=round(self.group_interval_seconds * 1_000),
            repeat_ms=round(self.repeat_seconds * 1_000),
            attempts_max=self.attempts_max,
            tells_resolved=self.resolved,
        )


class WebhookSettings(Common):
    """Signed JSON to an address."""

    secrets: ClassVar[tuple[str, ...]] = ("url", "secret")
    may_secrets: ClassVar[tuple[str, ...]] = ("authorization",)

    kind: Literal["webhook"]
    url: Url = ""
    url_file: str = ""
    url_env: str = ""
    secret_file: str = ""
    secret_env: str = ""
    authorization_file: str = ""
    authorization_env: str = ""
    ca_file: str = ""


class SlackSettings(Common):
    """Slack's incoming webhook: who knows its URL may write there, so that the URL is a secret."""

    secrets: ClassVar[tuple[str, ...]] = ("url",)

    kind: Literal["slack"]
    url_file: str = ""
    url_env: str = ""
    ca_file: str = ""


class EmailSettings(Common):
    """A mail server that takes our mail."""

    may_secrets: ClassVar[tuple[str, ...]] = ("password",)

    kind: Literal["email"]
    host: Annotated[str, AfterValidator(_host)]
    port: int = Field(587, ge=1, le=65_535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    username: str = Field("", max_length=256)
    password_file: str = ""
    password_env: str = ""
    ca_file: str = ""
    sender: MailAddress = Field(alias="from")
    to: list[MailAddress] = Field(min_length=1, max_length=RECEIVERS_MAX)

    @model_validator(mode="after")
    def _keeps_its_password(self) -> "EmailSettings":
        given = bool(self.password_file or self.password_env)
        if bool(self.username) != given:
            raise ValueError("username: goes together with password_file or password_env")
        if given and self.tls == "none":
            raise ValueError("tls: a password is not sent in clear; take starttls or implicit")
        return self


class PagerDutySettings(Common):
    """An integration of the kind Events API v2."""

    secrets: ClassVar[tuple[str, ...]] = ("routing_key",)

    kind: Literal["pagerduty"]
    url: Url = pagerduty.URL
    routing_key_file: str = ""
    routing_key_env: str = ""
    ca_file: str = ""


class AlertmanagerSettings(Common):
    """An Alertmanager, which groups and routes: it is told at once, and again before alerts end by themselves."""

    may_secrets: ClassVar[tuple[str, ...]] = ("authorization",)

    kind: Literal["alertmanager"]
    url: Url
    authorization_file: str = ""
    authorization_env: str = ""
    ca_file: str = ""
    severities: list[Severity] = Field(default=list(Severity), min_length=1)
    group_by: list[Annotated[str, AfterValidator(_grouping)]] = Field(default=[], max_length=GROUP_BY_MAX)
    group_wait_seconds: float = Field(0, ge=0, le=3_600)
    group_interval_seconds: float = Field(2, ge=0, le=86_400)
    repeat_seconds: float = Field(60, ge=10, le=3_600)

    @override
    def pace(self) -> Pace:
        """Return how fast. It has silences of its own, and is told of ours."""
        pace = super().pace()
        return Pace(
            group_by=pace.group_by,
            group_wait_ms=pace.group_wait_ms,
            group_interval_ms=pace.group_interval_ms,
            repeat_ms=pace.repeat_ms,
            retry_ms_max=pace.repeat_ms,
            attempts_max=pace.attempts_max,
            tells_resolved=pace.tells_resolved,
            heeds_silences=False,
        )


class LogSettings(Common):
    """The log of the watch."""

    kind: Literal["log"]


ChannelSettings: TypeAlias = (
    WebhookSettings | SlackSettings | EmailSettings | PagerDutySettings | AlertmanagerSettings | LogSettings
)


class ChannelsFile(BaseModel):
    """All of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runbooks: Url | None = None
    """Where the runbooks are, so that what is told links to them."""
    channels: dict[str, Annotated[ChannelSettings, Field(discriminator="kind")]] = Field(
        default={}, max_length=CHANNELS_MAX
    )
