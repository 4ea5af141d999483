"""The watch's answers over a played store: charts, the map, the overview, PromQL; wrong questions are told so."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from dashboards.row import Query
from processors import HOPS
from processors.alerting.judge import Judge
from processors.alerting.rule import Rule
from processors.alerting.states import Alert
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.telemetry.promql import Source
from processors.telemetry.samples import Sample
from processors.vocabulary import topics as names
from streams.metrics import Metrics
from streams.watch import api, charts, prometheus
from streams.watch.api import Api
from streams.watch.charts import CHARTS, Frame
from streams.watch.map import EDGES, NODES
from streams.watch.questions import BusyError, Questions, SlowError, WrongError
from streams.watch.samples import SamplesView
from streams.watch.telling import Changes
from tests.streams.watch.made import NOW_MS, change, packed, record, sample
from tests.streams.watch.place import LAG, OF_TENANTS, RULES

SECONDS = 20.0
STEP_MS = 2_000


def told(number: int, job: str, instance: str, *, whole: bool = True) -> Sample:
    """Return what a process tells at its sample of this number: ten signals a second and so on."""
    count = 20.0 * number
    at_ms = NOW_MS + number * STEP_MS
    if job == "gateway":
        points = [(catalogue.GATEWAY_EVENTS.name, {"mode": "single", "result": "accepted"}, count)]
        return sample(at_ms, points, job=job, instance=instance, whole=whole)
    hop = {"hop": "ingest"}
    return sample(
        at_ms,
        [
            (catalogue.HOP_INPUT.name, hop, count),
            (catalogue.SIGNALS.name, {**hop, "tenant": "acme", "outcome": "handled"}, 0.75 * count),
            (catalogue.SIGNALS.name, {**hop, "tenant": "bolt", "outcome": "dead_lettered"}, 0.25 * count),
            (catalogue.DEAD_LETTERS.name, {**hop, "reason": "not_json"}, 0.25 * count),
            (catalogue.LAG_RECORDS.name, {"topic": names.SIGNALS_IN, "lane": "0"}, 3.0),
            (catalogue.LAG_RECORDS.name, {"topic": names.COMMANDS, "lane": "0"}, 2.0),
            (catalogue.LAG_SECONDS.name, {"topic": names.SIGNALS_IN}, 40.0),
            (f"{catalogue.HOP_DURATION.name}_sum", hop, 0.5 * number),
            *((f"{catalogue.END_TO_END.name}_bucket", {"flow": "ingest", "le": le}, count) for le in ("0.1", "+Inf")),
        ],
        job=job,
        instance=instance,
        whole=whole,
    )


def filled(view: SamplesView, count: int = 20) -> None:
    view.begin()
    for number in range(count):
        for job, instance in (("worker", "w:1"), ("gateway", "g:1")):
            view.take(packed(told(number, job, instance)))
    view.complete()


class Known:
    """What the watch knows, played."""

    rules: tuple[Rule, ...] = RULES

    def __init__(self, view: SamplesView, now_ms: int) -> None:
        self._thresholds = Thresholds(RULES)
        self._thresholds.set(OF_TENANTS.name, "bolt", 1.0)
        judge = Judge(RULES)
        judge.check(view.look(now_ms), self._thresholds, now_ms)
        self._alerts = judge.active()
        self.why = ""

    def alerts(self) -> list[Alert]:
        return self._alerts

    def silenced(self, alert: Alert) -> bool:
        return alert.labels.get("tenant") == "bolt"

    def thresholds(self) -> Thresholds:
        return self._thresholds

    def why_not_ready(self) -> str:
        return self.why


class Site:
    def __init__(self, client: "TestClient[Any, Any]", known: Known, changes: Changes, questions: Questions) -> None:
        self.client = client
        self.known = known
        self.changes = changes
        self.questions = questions

    async def get(self, path: str, *, status: int = 200, headers: Any = None, **parameters: str) -> Any:
        async with self.client.get(path, params=parameters, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


@asynccontextmanager
async def listening(*, local: bool = True) -> AsyncIterator[Site]:
    metrics = Metrics()
    view, changes = SamplesView(metrics), Changes()
    filled(view)
    now_ms = NOW_MS + 19 * STEP_MS
    known, questions = Known(view, now_ms), Questions(view.asked, metrics)
    made = Api(known, questions, changes, metrics, seconds=2.0, local=local)
    async with TestClient(TestServer(made.application())) as client:
        yield Site(client, known, changes, questions)
    questions.close()


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(api, "wall_ms", lambda: NOW_MS + 19 * STEP_MS)
    async with listening() as found:
        yield found


async def test_each_chart_is_answered_in_the_form_that_pages_expect(site: Site) -> None:
    listed = (await site.get("/v1/charts"))["charts"]
    assert {one["id"] for one in listed} == set(CHARTS)
    with_figures = 0
    for one in listed:
        assert one.keys() == {"id", "title", "description", "unit", "shape", "group", "queries"}
        found = await site.get(f"/v1/charts/{one['id']}", minutes="5")
        assert (found["to_ms"] - found["from_ms"]) <= 300_000
        assert found["to_ms"] % found["step_ms"] == 0
        for series in found["series"]:
            assert series.keys() == {"legend", "labels", "points"}
            with_figures += bool(series["points"])
    assert with_figures >= 3


async def test_the_map_has_every_hop_and_its_figures(site: Site) -> None:
    assert {node.id for node in NODES} >= set(HOPS), "a hop that is added belongs on the map"
    assert {node for edge in EDGES for node in edge} <= {node.id for node in NODES}
    seen = await site.get("/v1/map")
    nodes = {node["id"]: node for node in seen["nodes"]}
    ingest = nodes["ingest"]["figures"]
    assert (ingest["per_second"], ingest["dead_per_second"], ingest["lag"]) == (
        pytest.approx(10),
        pytest.approx(2.5),
        5,
    )
    assert nodes["gateway"]["figures"]["per_second"] == pytest.approx(10)
    # The rule names a topic, and its alert is raised; a tenant's alert names no node.
    assert (nodes[names.SIGNALS_IN]["state"], nodes["ingest"]["state"]) == ("warning", "ok")
    assert nodes["history"]["state"] == "unknown"
    along = {(edge["from"], edge["to"]): edge["per_second"] for edge in seen["edges"]}
    assert along["gateway", names.SIGNALS_IN] == pytest.approx(10)
    assert along["ingest", names.SIGNALS] == pytest.approx(7.5)
    assert along["ingest", names.DEAD_LETTERS] == pytest.approx(2.5)


async def test_the_overview_has_queues_latency_utilisation_errors_and_tenants(site: Site) -> None:
    found = await site.get("/api/metrics")
    assert found["queues"] == {names.SIGNALS_IN: 3, names.COMMANDS: 2}
    assert found["latency_seconds"]["ingest"].keys() == {"p50", "p90", "p99"}
    assert found["agents"]["ingest"]["utilisation"] == pytest.approx(0.25)
    assert found["errors"]["ratio"] == pytest.approx(0.25)
    assert found["errors"]["by_reason"] == {"not_json": pytest.approx(2.5)}
    assert {name: one["error_ratio"] for name, one in found["tenants"].items()} == {"acme": 0, "bolt": 1}


async def test_alerts_rules_and_their_thresholds(site: Site) -> None:
    found = (await site.get("/v1/alerts"))["alerts"]
    assert {(one["alert"], one["labels"].get("tenant")): (one["state"], one["silenced"]) for one in found} == {
        (LAG.name, None): ("firing", False),
        (OF_TENANTS.name, "acme"): ("firing", False),
        (OF_TENANTS.name, "bolt"): ("firing", True),
    }
    own = (await site.get("/v1/alerts", only="bolt"))["alerts"]
    assert [one["labels"] for one in own] == [{"tenant": "bolt"}]
    rules = {one["alert"]: one for one in (await site.get("/v1/alerts/rules"))["rules"]}
    assert rules[OF_TENANTS.name]["overrides"] == [{"tenant": "bolt", "value": 1}]
    for only, effective, overrides in (("bolt", 1, 1), ("acme", 50, 0)):
        rules = {one["alert"]: one for one in (await site.get("/v1/alerts/rules", only=only))["rules"]}
        assert (rules[OF_TENANTS.name]["effective"], len(rules[OF_TENANTS.name]["overrides"])) == (effective, overrides)


async def test_history_is_limited_and_newest_first(site: Site) -> None:
    site.changes.begin()
    for number in range(1, 6):
        site.changes.take(record(change(number)))
    site.changes.complete()
    found = (await site.get("/v1/alerts/history", limit="2", since_ms="2"))["changes"]
    assert [one["at_ms"] for one in found] == [5, 4]


@pytest.mark.parametrize(
    "path, parameters",
    [
        ("/v1/charts/overview-lag", {"minutes": "0"}),
        ("/v1/charts/overview-lag", {"minutes": "1441"}),
        ("/v1/charts/overview-lag", {"minutes": "ten"}),
        ("/v1/charts/overview-lag", {"tenant": 'x"} or up'}),
        ("/v1/map", {"only": "a b"}),
        ("/v1/alerts/history", {"limit": "-1"}),
        ("/v1/alerts/history", {"limit": "9" * 400}),
        ("/v1/alerts/history", {"since_ms": "1e3"}),
    ],
)
async def test_wrong_parameters_are_refused_in_words(site: Site, path: str, parameters: Any) -> None:
    assert "must be" in (found := (await site.get(path, status=400, **parameters))["error"]) or "no tenant" in found


@pytest.mark.parametrize(
    "path, parameters",
    [
        ("query", {}),
        ("query", {"query": "sum("}),
        ("query", {"query": "up", "time": "soon"}),
        ("query", {"query": "up", "time": "inf"}),
        ("query_range", {"query": "up", "start": "1", "end": "2"}),
        ("query_range", {"query": "up", "start": "2", "end": "1", "step": "1"}),
        ("query_range", {"query": "up", "start": "1", "end": "2", "step": "0"}),
        ("query_range", {"query": "up", "start": "1", "end": "2", "step": "-1s"}),
        ("query_range", {"query": "up", "start": "0", "end": "100000", "step": "1s"}),
        ("query_range", {"query": "up[5m]", "start": "1", "end": "2", "step": "1s"}),
    ],
)
async def test_wrong_promql_is_refused_as_prometheus_does(site: Site, path: str, parameters: Any) -> None:
    found = await site.get(f"/api/v1/{path}", status=400, **parameters)
    assert (found["status"], found["errorType"]) == ("error", "bad_data")
    assert found["error"]


async def test_promql_answers_have_prometheus_form_also_for_a_form_that_is_posted(site: Site) -> None:
    at = str((NOW_MS + 19 * STEP_MS) / 1_000)
    vector = await site.get("/api/v1/query", query=f"sum ({catalogue.LAG_RECORDS.name})", time=at)
    assert vector == {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [float(at), "5"]}]},
    }
    assert (await site.get("/api/v1/query", query="1/0"))["data"]["result"][1] == "+Inf"
    assert (await site.get("/api/v1/query", query='"a"'))["data"]["resultType"] == "string"
    matrix = await site.get("/api/v1/query", query=f'{catalogue.LAG_RECORDS.name}{{lane="0"}}[1m]', time=at)
    assert matrix["data"]["resultType"] == "matrix"
    form: Any = {"query": "up", "start": str(float(at) - 10), "end": at, "step": "2s"}
    async with site.client.post("/api/v1/query_range", data=form) as answer:
        posted = await answer.json()
    async with site.client.post("/api/v1/query", data={"query": "x" * 9_000}) as answer:
        assert answer.status == 400
    assert posted == await site.get("/api/v1/query_range", **form)
    assert all(len(row["values"]) == 6 for row in posted["data"]["result"])


async def test_grafanas_variables_are_filled(site: Site) -> None:
    lag = catalogue.LAG_RECORDS.name
    selected: Any = {"match[]": lag}
    found = await site.get("/api/v1/label/topic/values", **selected)
    assert found == {"status": "success", "data": [names.COMMANDS, names.SIGNALS_IN]}
    assert "tenant" in (await site.get("/api/v1/labels"))["data"]
    selected = {"match[]": f'{lag}{{topic="{names.COMMANDS}"}}'}
    found = (await site.get("/api/v1/series", **selected))["data"]
    expected = {"__name__": lag, "topic": names.COMMANDS, "lane": "0", "job": "worker", "instance": "w:1"}
    assert found == [expected]
    async with site.client.post("/api/v1/series", data={"match[]": lag, "start": "0", "end": "1"}) as answer:
        assert (await answer.json())["data"] == []
    wrong: Any
    for wrong in ({"match[]": "sum(up)"}, {"match[]": "{"}, {"start": "soon"}):
        await site.get("/api/v1/series", status=400, **wrong)


async def test_another_sites_page_gets_nothing_from_a_watch_on_loopback(site: Site) -> None:
    refused = await site.get("/v1/map", status=403, headers={"Host": "evil.example"})
    assert refused.keys() == {"error"}
    async with listening(local=False) as open_to_ours:
        assert "nodes" in await open_to_ours.get("/v1/map", headers={"Host": "watch.internal:8091"})


async def test_health_and_readiness(site: Site) -> None:
    for why, status in (("", 200), ("alerts has not been read yet.", 503)):
        site.known.why = why
        async with site.client.get("/readyz") as answer:
            assert (answer.status, why in await answer.text()) == (status, True)
        async with site.client.get("/healthz") as answer:
            assert answer.status == 200


async def test_many_who_look_at_the_same_ask_the_store_once(site: Site) -> None:
    asked = 0
    exact = site.questions.ask

    async def counting(*arguments: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        return await exact(*arguments, **named)

    site.questions.ask = counting  # type: ignore[method-assign]
    await asyncio.gather(*(site.get("/v1/map") for _ in range(10)))
    assert asked == 1


async def test_a_slow_question_is_ended_for_who_asks_and_too_many_are_refused() -> None:
    view = SamplesView(Metrics())
    filled(view, 3)
    questions = Questions(view.asked, Metrics(), seconds_max=0.5)
    release, begun = threading.Event(), threading.Event()

    def slow(source: Source) -> list[Any]:
        begun.set()
        release.wait(SECONDS)
        return list(source.select("up", (), 0, NOW_MS * 2))

    try:
        async with asyncio.timeout(SECONDS):
            while not begun.is_set():
                with pytest.raises(SlowError):
                    await questions.ask(slow)
        # It holds its thread still: who comes next waits as long as may be, and not longer.
        with pytest.raises(SlowError):
            await questions.ask(lambda _: 1)
        questions._waiting = 32
        with pytest.raises(BusyError):
            await questions.ask(lambda _: 1)
        questions._waiting = 0
        release.set()

        async def answered() -> int:
            while True:
                try:
                    return await questions.ask(lambda _: 1)
                except SlowError:
                    continue

        async with asyncio.timeout(SECONDS):
            assert await answered() == 1
    finally:
        release.set()
        questions.close()


async def test_questions_see_copies_while_samples_come_in() -> None:
    view = SamplesView(Metrics())
    filled(view, 5)
    (before, *_) = view.copies(catalogue.HOP_INPUT.name, (), 0, NOW_MS * 2)
    exact = (list(before.changed), list(before.axis.times))
    for number in range(5, 30):
        view.take(packed(told(number, "worker", "w:1")))
    assert (list(before.changed), list(before.axis.times)) == exact
    (after, *_) = view.copies(catalogue.HOP_INPUT.name, (), 0, NOW_MS * 2)
    assert len(after.changed) == 30
    end = NOW_MS + 4 * STEP_MS
    assert list(before.window(NOW_MS, end)[1]) == list(after.window(NOW_MS, end)[1])


@given(st.integers(0, 2**42), st.integers(1, charts.MINUTES_MAX), st.sampled_from([0.2, 2.0, 60.0]))
def test_a_chart_has_few_even_steps_that_reach_to_now(now_ms: int, minutes: int, least: float) -> None:
    shape = charts.frame(now_ms, minutes, least)
    assert shape.to_ms <= now_ms < shape.to_ms + shape.step_ms
    assert (shape.to_ms - shape.from_ms) // shape.step_ms <= charts.POINTS_MAX
    assert shape.from_ms % shape.step_ms == shape.to_ms % shape.step_ms == 0
    assert charts.frame(shape.to_ms + shape.step_ms - 1, minutes, least) == shape


@given(st.text(max_size=20))
def test_no_tenants_name_leaves_its_place_in_a_query(name: str) -> None:
    asked = charts.asked(Query('up{tenant=~"$tenant"}', ""), Frame(0, 60_000, 2_000), 2.0, name)
    view = SamplesView(Metrics())
    found = prometheus.query(view.asked(), {"query": asked}, NOW_MS)
    assert found["data"] == {"resultType": "vector", "result": []}


@pytest.mark.parametrize(
    "value, written", [(1.0, "1"), (0.5, "0.5"), (float("nan"), "NaN"), (float("-inf"), "-Inf"), (1e20, "1e+20")]
)
def test_numbers_are_written_as_prometheus_does(value: float, written: str) -> None:
    assert prometheus.number(value) == written


@pytest.mark.parametrize("text, ms", [("15", 15_000), ("15s", 15_000), ("1m30s", 90_000), ("0.5", 500), ("250ms", 250)])
def test_steps_are_read(text: str, ms: int) -> None:
    assert prometheus.span_ms(text, "step") == ms
    assert prometheus.moment_ms("1970-01-01T00:00:15Z", "start") == 15_000
    for wrong in ("", "s", "1x", "-1", "nan", "1e400"):
        with pytest.raises(WrongError):
            prometheus.span_ms(wrong, "step")
