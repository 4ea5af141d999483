"""The Faust application: agents, the lane service, web pages. `faust -A streams.app worker` runs it."""

import json
from pathlib import Path
from typing import Any, Final, cast

import faust

from processors import HOPS
from streams import cluster
from streams.agents import directives, ingest
from streams.lanes.service import LaneService
from streams.settings import Settings, load

_AGENTS: Final = {"ingest": ingest, "directives": directives}
NO_CLUSTER: Final = "127.0.0.1:9092"
"""Kafka's usual address: `faust agents` needs no cluster, `faust worker` says what it could not reach."""


def build(settings: Settings, bootstrap: str) -> faust.App:
    """Return the app with everything in it. Nothing is contacted before it is started."""
    app = faust.App(
        f"{settings.topic_prefix}{settings.application}-faust",
        broker=f"aiokafka://{bootstrap}",
        broker_credentials=_credentials(settings),
        broker_session_timeout=settings.session_timeout_ms / 1_000,
        topic_partitions=1,
        topic_replication_factor=settings.replication,
        datadir=settings.data_dir / "faust" / str(settings.slot),
        store="memory://",
        web_bind=settings.host,
        web_host=settings.host,
        web_port=settings.worker_port,
        web_in_thread=False,
        stream_wait_empty=False,
    )

    @app.on_after_configured.connect
    def make_directories(*_: Any, **__: Any) -> None:
        # Faust makes the last of the folders only.
        Path(app.conf.datadir).parent.mkdir(parents=True, exist_ok=True)

    channels = {name: _AGENTS[name].declare(app, settings) for name in HOPS}
    hops = tuple(_AGENTS[name].hop(settings) for name in HOPS)
    lanes = LaneService(settings, bootstrap, hops, channels)
    app.service(cast("Any", lanes))  # mode takes instances as well as classes
    _pages(app, lanes)
    return app


def _credentials(settings: Settings) -> Any:
    kafka = settings.cluster()
    options = kafka.client_options()
    context = options.get("ssl_context")
    if kafka.security.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.username,
            password=kafka.password.get_secret_value(),
            mechanism=kafka.mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


def _pages(app: faust.App, lanes: LaneService) -> None:
    """Declare the worker's web pages."""

    @app.page("/metrics", name="metrics")
    async def metrics(view: Any, request: Any) -> Any:
        content, content_type = lanes.metrics.shown(request.headers.get("Accept", ""))
        response = view.bytes(content)
        response.headers["Content-Type"] = content_type
        return response

    @app.page("/healthz", name="healthz")
    async def healthz(view: Any, _request: Any) -> Any:
        return view.text("alive\n")

    @app.page("/readyz", name="readyz")
    async def readyz(view: Any, _request: Any) -> Any:
        text = "ready\n" if lanes.ready else "not ready: lanes are being taken over\n"
        return view.text(text, status=200 if lanes.ready else 503)

    @app.page("/lanes", name="lanes")
    async def owned(view: Any, _request: Any) -> Any:
        found = {
            str(number): {
                "taken": runner.owner is not None,
                "applied": dict(runner.owner.position.applied) if runner.owner else {},
                "lag": dict(runner.owner.lag()) if runner.owner else {},
            }
            for number, runner in lanes.lanes.runners.items()
        }
        return view.bytes(json.dumps(found).encode(), content_type="application/json")


def _address(settings: Settings) -> str:
    try:
        return cluster.bootstrap(settings)
    except cluster.NoClusterError:
        return NO_CLUSTER


SETTINGS: Final = load().settings
app: Final = build(SETTINGS, _address(SETTINGS))
