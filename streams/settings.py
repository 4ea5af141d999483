"""All settings in one typed place: defaults, then `hopline.toml`, then the environment."""

import os
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from processors.alerting.rule import Threshold
from processors.directives import DirectivesSettings
from processors.formats import NEWEST, OLDEST_READ
from processors.ingest import IngestSettings, Over, Policy
from processors.ingest.tenant import BURST_MAX, DEDUPE_WINDOW_MS_MAX, QUEUE_RECORDS_MAX, RATE_MAX
from streams.topics import TopicNames

PREFIX: Final = "HOPLINE_"
FILE_VARIABLE: Final = "HOPLINE_CONFIG"
FILE_DEFAULT: Final = "hopline.toml"
LANES_MAX: Final = 1_024

Port = Annotated[int, Field(ge=0, le=65_535)]


class SettingsError(Exception):
    """A setting is wrong; the message names it, its source and what would do."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the cluster, as aiokafka takes it."""

    bootstrap: str
    security: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def client_options(self) -> dict[str, Any]:
        """Return the options that each client of aiokafka is made with."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security,
        }
        if self.security.startswith("SASL"):
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password.get_secret_value()
        if self.security.endswith("SSL"):
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file or None)
            options["ssl_context"] = context
        return options


class Settings(BaseModel):
    """What an operator can set. `hopline config` shows each with its value and source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: str = Field("", description="host:port of an existing cluster; empty: the embedded one")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how the cluster is spoken to"
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="SASL mechanism")
    kafka_username: str = Field("", description="SASL user")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ca_file: str = Field("", description="PEM file of the authority that signed the brokers")
    kafka_cert_file: str = Field("", description="PEM file of this client's certificate")
    kafka_key_file: str = Field("", description="PEM file of this client's key")
    kafka_heap_megabytes: int = Field(512, ge=128, le=16_384, description="embedded Kafka: the Java heap")
    kafka_port: Port = Field(0, description="embedded Kafka: its port; 0 chooses a free one")
    kafka_fsync: bool = Field(
        False, description="embedded Kafka: write through to the disk, so that a power cut loses nothing"
    )

    secret_key: SecretStr = Field(
        SecretStr(""),
        description="secret that keys and seals derive from, at least 32 characters; embedded Kafka: made by itself",
    )
    secret_key_file: str = Field("", description="file that holds the secret_key, instead of it")

    application: str = Field("hopline", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="consumer group and id prefix")
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="put before every topic's name")
    lanes: int = Field(8, ge=1, le=LANES_MAX, description="partitions of each topic; fixed for a cluster's life")
    replication: int = Field(1, ge=1, le=7, description="copies of each topic; 3 on a cluster")
    min_insync_replicas: int = Field(
        1, ge=1, le=7, description="copies that must have a record before it counts; 2 on a cluster"
    )
    write_format: int = Field(NEWEST, ge=OLDEST_READ, le=NEWEST, description="format to write while an upgrade rolls")
    session_timeout_ms: int = Field(10_000, ge=6_000, le=60_000, description="after which a silent worker's lanes move")

    data_dir: Path = Field(Path("data"), description="state, logs and the embedded Kafka's files")
    slot: int = Field(0, ge=0, le=1_023, description="number of this worker on its machine")
    host: str = Field("127.0.0.1", description="address that the web servers listen on")
    web_port: Port = Field(6066, description="a worker's metrics and health; slot n takes port + n")
    gateway_port: Port = Field(8080, description="the gateway's port")
    require_keys: bool | None = Field(
        None, description="each request needs an API key; left out: unless the gateway listens on loopback"
    )
    gateway_batch_events_max: int = Field(1_000, ge=1, le=10_000, description="events of one request")
    gateway_inflight_max: int = Field(
        2_000, ge=1, le=100_000, description="events waiting for Kafka before the gateway answers 429"
    )
    gateway_local_limits: bool = Field(
        False, description="limit and cool off callers on this machine who send no key, as any other"
    )
    gateway_tls_cert_file: str = Field("", description="PEM file of the gateway's certificate chain; empty: plain HTTP")
    gateway_tls_key_file: str = Field("", description="PEM file of the gateway's key; empty: in the certificate's file")

    history: SecretStr = Field(
        SecretStr("history"),
        description="where history is kept: a folder, below data_dir if it is relative, or postgresql://USER@HOST/NAME",
    )
    history_days: float = Field(7, gt=0, le=3_650, description="how long history keeps a row")
    history_port: Port = Field(8090, description="the history's metrics and health")

    strict_tenants: bool = Field(False, description="refuse signals of tenants that nobody created")
    command_permissions: str = Field(
        "*",
        description="permissions of who can write to `commands`: `*`, or such as tenant:write,limit:write",
    )
    tenant_rate_per_second: float = Field(0, ge=0, le=RATE_MAX, description="default rate of a tenant; 0 is no limit")
    tenant_burst: int = Field(100, ge=1, le=BURST_MAX, description="default burst of a tenant")
    tenant_over: Over = Field(Over.DEFER, description="over the rate: defer or refuse")
    tenant_queue_records: int = Field(
        1_000, ge=0, le=QUEUE_RECORDS_MAX, description="records of a tenant that may wait"
    )
    dedupe_window_seconds: float = Field(
        86_400,
        ge=0,
        le=DEDUPE_WINDOW_MS_MAX / 1_000,
        description="default window in which an id counts once; 0 is no dedupe",
    )

    step_seconds_max: float = Field(
        10, gt=0, le=300, description="a hop that does not answer a batch in time is interrupted"
    )
    stuck_seconds_max: float = Field(15, gt=0, le=600, description="a worker whose loop stands still so long is killed")
    checkpoint_seconds: float = Field(
        3_600, ge=0, le=7 * 86_400, description="how often each lane's whole state is written down; 0: never"
    )
    telemetry: bool = Field(
        True, description="tell events and metrics to the topics of telemetry; /metrics is always there"
    )
    telemetry_seconds: float = Field(
        2, ge=0.2, le=60, description="how often each process tells its metrics, and alerts are judged"
    )
    handlers: str = Field("", description="modules with handlers of events of your own, with commas between")
    slow_seconds: float = Field(5, gt=0, le=3_600, description="a signal that took longer is told of, and traced")
    watch_port: Port = Field(8091, description="the watch's port: charts, alerts, its metrics and health")
    watch_url: str = Field("", description="where gateways find the watch; empty: on this machine at watch_port")
    channels_file: str = Field("", description="TOML file of the channels that alerts are told to; empty: console only")
    trace_file: str = Field(
        "", description="file that spans of sampled signals are appended to, one JSON object a line"
    )
    trace_otlp_url: str = Field(
        "", description="OTLP over HTTP: where spans are sent, such as http://host:4318/v1/traces"
    )
    trace_zipkin_url: str = Field("", description="Zipkin: where spans are sent, such as http://host:9411/api/v2/spans")
    trace_share: float = Field(
        0.0, ge=0, le=1, description="share of the requests without a traceparent that the gateway samples"
    )
    trace_link: str = Field(
        "", description="page of a trace for people, with {trace_id} in it; empty: Zipkin's, if trace_zipkin_url is set"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, and else a JSON object a line"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="log level")

    @property
    def topics(self) -> TopicNames:
        """The topics' names on the cluster."""
        return TopicNames(self.topic_prefix)

    @property
    def worker_port(self) -> int:
        """The port of this slot's web server."""
        return self.web_port + self.slot if self.web_port else 0

    def cluster(self, bootstrap: str | None = None) -> KafkaSettings:
        """Return how to reach the cluster, or the embedded one at `bootstrap`."""
        return KafkaSettings(
            bootstrap or self.kafka,
            self.kafka_security,
            self.kafka_mechanism,
            self.kafka_username,
            self.kafka_password,
            self.kafka_ca_file,
            self.kafka_cert_file,
            self.kafka_key_file,
        )

    def directives(
        self, requester_key: bytes = b"", alerts: Mapping[str, Threshold | None] | None = None
    ) -> DirectivesSettings:
        """Return what the directives hop is told."""
        granted = self.command_permissions.split(",")
        permissions = frozenset(filter(None, (name.strip() for name in granted)))
        return DirectivesSettings(self.ingest(), permissions, requester_key, alerts or {})

    def ingest(self) -> IngestSettings:
        """Return what the ingest hop is told."""
        return IngestSettings(
            policy=Policy(
                rate_per_second=self.tenant_rate_per_second,
                burst=self.tenant_burst,
                over=self.tenant_over,
                queue_records=self.tenant_queue_records,
                dedupe_window_ms=int(self.dedupe_window_seconds * 1_000),
            ),
            strict=self.strict_tenants,
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for each where its value came from."""

    settings: Settings
    sources: Mapping[str, str]


def load(environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the settings. Raises `SettingsError` naming each wrong one and its source."""
    environment = os.environ if environment is None else environment
    sources = dict.fromkeys(Settings.model_fields, "default")
    values: dict[str, Any] = {}
    named = environment.get(FILE_VARIABLE)
    path = Path(named or FILE_DEFAULT)
    if path.is_file():
        for name, value in _read_toml(path).items():
            values[name] = value
            sources[name] = str(path)
    elif named:
        message = f"{FILE_VARIABLE} names {path}, which is not there"
        raise SettingsError(message)
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if variable in environment:
            values[name] = environment[variable]
            sources[name] = variable
    try:
        return Loaded(Settings(**values), sources)
    except ValidationError as error:
        raise SettingsError(_explain(error, sources)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"cannot read {path}: {error}"
        raise SettingsError(message) from error


def _explain(error: ValidationError, sources: Mapping[str, str]) -> str:
    """Say what is wrong without repeating the value: it may be a secret."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if name in Settings.model_fields:
            lines.append(f"{name} (from {sources.get(name, '?')}): {problem['msg']}")
        else:
            lines.append(f"{name}: no such setting; `hopline config` lists them")
    return "; ".join(lines)
