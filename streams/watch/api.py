"""What the watch answers over HTTP. It asks nobody for a key: it listens on loopback, or where only ours can reach it.

The gateway asks it for people and programs, with keys and permissions; by `only` it narrows an answer to what a
tenant's key may see.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from aiohttp import web

from dashboards.catalogue import Chart
from processors.alerting.rule import Rule
from processors.alerting.states import Alert
from processors.alerting.thresholds import Thresholds
from processors.telemetry.promql import Source, parse, ranged
from processors.vocabulary import rules as names
from streams.clock import wall_ms
from streams.gateway.hosts import is_own_name
from streams.metrics import Metrics
from streams.watch import charts, prometheus
from streams.watch.asked import BEAT_SECONDS, EVENTS_TYPE, ONLY
from streams.watch.figures import Now
from streams.watch.map import pipeline_map
from streams.watch.overview import overview
from streams.watch.questions import AskError, BusyError, Questions, SlowError, WrongError
from streams.watch.telling import Changes, FullError
from streams.watch.words import number_of, of_tenant, plain, shown

log = logging.getLogger(__name__)

HISTORY_DEFAULT: Final = 100
HISTORY_MAX: Final = 1_000
SLOW_SECONDS_MAX: Final = 10.0
"""Who listens and takes nothing for so long is cut off."""
FIGURES_SECONDS: Final = 1.0
"""The map and the overview are worked out so often at the most, however many look at them."""
FORM_BYTES_MAX: Final = 65_536
REMEMBERED_MAX: Final = 200
_EVENTS: Final = {"Content-Type": EVENTS_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_SAFE: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_encode: Final = msgspec.json.Encoder().encode
_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Knowledge(Protocol):
    """What the watch knows besides the series."""

    rules: tuple[Rule, ...]

    def alerts(self) -> list[Alert]:
        """Return those that wait or are raised."""

    def silenced(self, alert: Alert) -> bool:
        """Tell whether nobody is told of an alert now."""

    def thresholds(self) -> Thresholds:
        """Return what alerts compare with now."""

    def why_not_ready(self) -> str:
        """Return why answers would be old or incomplete; empty if they are not."""


class Api:
    """The routes."""

    def __init__(
        self, knows: Knowledge, questions: Questions, changes: Changes, metrics: Metrics, *, seconds: float, local: bool
    ) -> None:
        self._knows = knows
        self._questions = questions
        self._changes = changes
        self._metrics = metrics
        self._seconds = seconds
        self._local = local
        self._remembered: dict[tuple[Any, ...], tuple[float, asyncio.Future[Any]]] = {}

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(middlewares=[self._answer], client_max_size=FORM_BYTES_MAX)
        get = app.router.add_get
        for path, handler in (
            ("/metrics", self._show_metrics),
            ("/healthz", self._healthz),
            ("/readyz", self._readyz),
            ("/v1/charts", self._charts),
            ("/v1/charts/{id}", self._chart),
            ("/v1/map", self._map),
            ("/v1/alerts", self._alerts),
            ("/v1/alerts/history", self._history),
            ("/v1/alerts/rules", self._rules),
            ("/v1/alerts/events", self._listen),
            ("/api/metrics", self._overview),
            ("/api/v1/query", self._query),
            ("/api/v1/query_range", self._query_range),
            ("/api/v1/series", self._series),
            ("/api/v1/labels", self._labels),
            ("/api/v1/label/{name}/values", self._values),
        ):
            get(path, handler, allow_head=False)
            if path.startswith("/api/v1/"):
                # Grafana sends its queries as forms.
                app.router.add_post(path, handler)
        app.on_shutdown.append(self._shut)
        return app

    async def _shut(self, _: web.Application) -> None:
        self._changes.close()

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Turn what is expected to fail into words, and keep pages of other sites out."""
        if self._local and not is_own_name(request.headers.get("Host", "localhost")):
            return _failed(HTTPStatus.FORBIDDEN, "This machine only: call it as localhost or 127.0.0.1.")
        try:
            return await handler(request)
        except WrongError as error:
            return _failed(HTTPStatus.BAD_REQUEST, str(error))
        except (BusyError, FullError) as error:
            return _failed(HTTPStatus.TOO_MANY_REQUESTS, str(error))
        except AskError as error:
            return _failed(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except web.HTTPException as error:
            return _failed(HTTPStatus(error.status), error.reason)
        except Exception:  # boundary: a bug must cost one question only, and be told
            log.exception("%s failed", request.path)
            return _failed(HTTPStatus.INTERNAL_SERVER_ERROR, "The watch failed on this question; its log says how.")

    async def _show_metrics(self, request: web.Request) -> web.Response:
        content, content_type = self._metrics.shown(request.headers.get("Accept", ""))
        return web.Response(body=content, headers={"Content-Type": content_type})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        why = self._knows.why_not_ready()
        if why:
            return web.Response(text=f"not ready: {why}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
        return web.Response(text="ready\n")

    async def _charts(self, request: web.Request) -> web.Response:
        only = _tenant(request, ONLY)
        heads = [charts.head(chart) for chart in charts.CHARTS.values() if chart.panel.of_tenants or not only]
        return _json({"charts": heads})

    async def _chart(self, request: web.Request) -> web.Response:
        only = _tenant(request, ONLY)
        chart = charts.CHARTS.get(request.match_info["id"])
        if chart is None or (only and not chart.panel.of_tenants):
            return _failed(HTTPStatus.NOT_FOUND, "There is no such chart; /v1/charts lists them.")
        minutes = _number(request, "minutes", charts.MINUTES_DEFAULT, 1, charts.MINUTES_MAX)
        tenant = only or _tenant(request, "tenant")
        shape = charts.frame(wall_ms(), minutes, self._seconds)

        async def work() -> Any:
            return await self._questions.ask(lambda source: self._drawn(source, chart, shape, tenant), only=only)

        key = ("chart", chart.id, shape, tenant, only)
        return _json(await self._once(key, shape.step_ms / 1_000, work))

    def _drawn(self, source: Source, chart: Chart, shape: charts.Frame, tenant: str) -> dict[str, Any]:
        found = []
        for query in chart.panel.queries:
            expr = parse(charts.asked(query, shape, self._seconds, tenant))
            for series in ranged(expr, source, shape.from_ms, shape.to_ms, shape.step_ms):
                points = [(at_ms, number_of(value)) for at_ms, value in series.points]
                found.append({
                    "legend": charts.legend(query, series.labels), "labels": series.labels, "points": points
                })  # fmt: skip
        return {
            **{name: value for name, value in charts.head(chart).items() if name != "queries"},
            "from_ms": shape.from_ms,
            "to_ms": shape.to_ms,
            "step_ms": shape.step_ms,
            "series": charts.greatest(found),
            "left_out": max(0, len(found) - charts.SERIES_MAX),
        }

    async def _map(self, request: web.Request) -> web.Response:
        only = _tenant(request, ONLY)
        raised = self._shown(only)
        return _json(await self._figures("map", only, lambda now: pipeline_map(now, raised, only=only)))

    async def _overview(self, request: web.Request) -> web.Response:
        only = _tenant(request, ONLY)
        return _json(await self._figures("overview", only, lambda now: overview(now, only=only)))

    async def _figures(self, name: str, only: str, make: Callable[[Now], Any]) -> Any:
        window = max(10, int(10 * self._seconds))

        async def work() -> Any:
            at_ms = wall_ms()
            return await self._questions.ask(lambda source: make(Now(source, at_ms, window)), only=only)

        return await self._once((name, only), FIGURES_SECONDS, work)

    async def _once(self, key: tuple[Any, ...], seconds: float, work: Callable[[], Awaitable[Any]]) -> Any:
        """Return what was found a moment ago, or find it: many who look at the same ask the store once."""
        now = time.monotonic()
        for old in [old for old, (until, _) in self._remembered.items() if until < now]:
            del self._remembered[old]
        known = self._remembered.get(key)
        if known is None:
            known = (now + seconds, asyncio.ensure_future(work()))
            # Whoever asked may be gone when it fails; then its failure is nobody's.
            known[1].add_done_callback(lambda done: done.cancelled() or done.exception())
            if len(self._remembered) < REMEMBERED_MAX:
                self._remembered[key] = known
        # Whoever goes away must not take along what others wait for.
        try:
            return await asyncio.shield(known[1])
        except AskError:
            self._remembered.pop(key, None)
            raise

    async def _alerts(self, request: web.Request) -> web.Response:
        only = _tenant(request, ONLY) or _tenant(request, "tenant")
        return _json({"at_ms": wall_ms(), "alerts": self._shown(only)})

    def _shown(self, only: str) -> list[dict[str, Any]]:
        found = [alert for alert in self._knows.alerts() if of_tenant(alert.labels, only)]
        return [shown(alert, silenced=self._knows.silenced(alert)) for alert in found]

    async def _history(self, request: web.Request) -> web.Response:
        only = _tenant(request, ONLY) or _tenant(request, "tenant")
        limit = _number(request, "limit", HISTORY_DEFAULT, 1, HISTORY_MAX)
        since_ms = _number(request, "since_ms", 0, 0, 1 << 53)
        found = self._changes.history(limit=limit, since_ms=since_ms, only=only)
        return _json({"changes": [plain(change) for change in found]})

    async def _rules(self, request: web.Request) -> web.Response:
        only = _tenant(request, ONLY)
        tenant = only or _tenant(request, "tenant")
        thresholds = self._knows.thresholds()
        return _json({"rules": [_rule(rule, thresholds, tenant, only) for rule in self._knows.rules]})

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        only = _tenant(request, ONLY) or _tenant(request, "tenant")
        listener = self._changes.join(only)
        response = web.StreamResponse(headers=_EVENTS | _SAFE)
        try:
            await response.prepare(request)
            await response.write(b": hello\n\n")
            async for kind, text in listener.events(BEAT_SECONDS):
                async with asyncio.timeout(SLOW_SECONDS_MAX):
                    await response.write(b"event: %b\ndata: %b\n\n" % (kind.encode(), text) if kind else b": alive\n\n")
        except (ConnectionResetError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._changes.leave(listener)
        return response

    async def _query(self, request: web.Request) -> web.Response:
        asked, now_ms = _single(await _asked(request)), wall_ms()
        return await self._prometheus(lambda source: prometheus.query(source, asked, now_ms))

    async def _series(self, request: web.Request) -> web.Response:
        asked, now_ms = await _asked(request), wall_ms()
        return await self._prometheus(lambda source: prometheus.series(source, asked, now_ms))

    async def _labels(self, request: web.Request) -> web.Response:
        asked, now_ms = await _asked(request), wall_ms()
        return await self._prometheus(lambda source: prometheus.labels(source, asked, now_ms))

    async def _values(self, request: web.Request) -> web.Response:
        asked, now_ms, name = await _asked(request), wall_ms(), request.match_info["name"]
        return await self._prometheus(lambda source: prometheus.values(source, name, asked, now_ms))

    async def _query_range(self, request: web.Request) -> web.Response:
        asked = _single(await _asked(request))
        return await self._prometheus(lambda source: prometheus.query_range(source, asked))

    async def _prometheus(self, question: Callable[[Source], dict[str, Any]]) -> web.Response:
        try:
            return _json(await self._questions.ask(question))
        except WrongError as error:
            return _json(prometheus.error("bad_data", str(error)), HTTPStatus.BAD_REQUEST)
        except SlowError as error:
            return _json(prometheus.error("timeout", str(error)), HTTPStatus.SERVICE_UNAVAILABLE)
        except AskError as error:
            return _json(prometheus.error("unavailable", str(error)), HTTPStatus.SERVICE_UNAVAILABLE)


def _rule(rule: Rule, thresholds: Thresholds, tenant: str, only: str) -> dict[str, Any]:
    threshold = rule.threshold
    overrides = thresholds.overrides(rule.name)
    return {
        "alert": rule.name,
        "severity": rule.severity.value,
        "signal": rule.signal,
        "compare": rule.compare.value,
        "unit": threshold.unit if threshold else "",
        "default": threshold.default if threshold else None,
        "effective": thresholds.of(rule.name, tenant) if threshold else None,
        "overrides": [{"tenant": of, "value": value} for of, value in overrides if not only or of in {"", only}],
        "for_seconds": rule.for_seconds,
        "runbook": rule.runbook,
        "summary": rule.summary,
        "per_tenant": bool(threshold and threshold.per_tenant),
    }


async def _asked(request: web.Request) -> Mapping[str, Sequence[str]]:
    """Return what a question says, in its address and in a form."""
    found: dict[str, list[str]] = {}
    form = (await request.post()).items() if request.method == "POST" else ()
    for name, value in (*request.query.items(), *form):
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found


def _single(asked: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: values[-1] for name, values in asked.items()}


def _tenant(request: web.Request, name: str) -> str:
    found = request.query.get(name, "")
    if found and not names.is_tenant(found, reserved_ok=True):
        raise WrongError(f"`{name}` is no tenant's name")
    return found


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name, str(default))
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else -1
    if not least <= number <= most:
        raise WrongError(f"`{name}` must be a whole number from {least} to {most}")
    return number


def _json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=_encode(content), status=status, content_type="application/json", headers=_SAFE)


def _failed(status: HTTPStatus, text: str) -> web.Response:
    return _json({"error": text}, status)
