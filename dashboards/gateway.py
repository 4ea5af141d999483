"""The gateway: requests by status, how long they take, what is refused and why, what bounds its callers."""

from typing import Final

from dashboards import ask
from dashboards.row import Dashboard, Panel, Query, Section, Shape
from processors.telemetry import catalogue as metrics

_RUNBOOK: Final = "gateway.md"

_REQUESTS: Final = (
    Panel(
        "Requests",
        "Requests per second, by the status of their answer.",
        (Query(ask.per_second(metrics.GATEWAY_REQUESTS, "status"), "{{status}}"),),
        "reqps",
        on_page=True,
        stacked=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Answered within",
        "From a request's head to its answer: half of them, nine in ten, 99 in 100 are faster.",
        tuple(Query(ask.quantile(share, metrics.GATEWAY_DURATION), f"p{share * 100:g}") for share in (0.5, 0.9, 0.99)),
        "s",
        on_page=True,
        exemplars=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Not taken",
        "Share of the requests that were answered with 4xx: the caller's doing; and with 5xx: ours.",
        tuple(
            Query(
                ask.share(
                    ask.per_second(metrics.GATEWAY_REQUESTS, where=f'status=~"{first}.."'),
                    ask.per_second(metrics.GATEWAY_REQUESTS),
                ),
                f"{first}xx",
            )
            for first in (4, 5)
        ),
        "percentunit",
        on_page=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Answers, all of them",
        "How many requests a second took how long.",
        (Query(ask.heat(metrics.GATEWAY_DURATION), "{{le}}"),),
        "s",
        Shape.HEAT,
        runbook=_RUNBOOK,
    ),
)

_EVENTS: Final = (
    Panel(
        "Events by what became of them",
        "Accepted: Kafka has them. Refused: their sender knows why. Failed: nobody knows, or Kafka was away.",
        (Query(ask.per_second(metrics.GATEWAY_EVENTS, "mode", "result"), "{{mode}}: {{result}}"),),
        "eps",
        stacked=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Offered less ended",
        "The gateway's own ledger, over its life: anything but 0 is a bug.",
        (
            Query(
                f"{ask.total(metrics.GATEWAY_OFFERED, 'instance')} - {ask.total(metrics.GATEWAY_EVENTS, 'instance')}",
                "{{instance}}",
            ),
        ),
        "short",
        runbook="ledger.md",
    ),
    Panel(
        "Refused, by reason",
        "Events that the gateway refused, per second.",
        (Query(ask.per_second(metrics.GATEWAY_REFUSED, "reason"), "{{reason}}"),),
        "eps",
        stacked=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Denied, by reason",
        "Requests and events denied for their key or their tenant, per second.",
        (Query(ask.per_second(metrics.GATEWAY_DENIED, "reason"), "{{reason}}"),),
        "reqps",
        stacked=True,
        runbook="keys.md",
    ),
)

_BOUNDS: Final = (
    Panel(
        "Wait for Kafka",
        "Events between their arrival and Kafka's word. At `gateway_inflight_max` the gateway answers 429.",
        (Query(ask.total(metrics.GATEWAY_INFLIGHT, "instance"), "{{instance}}"),),
        "short",
        width=8,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Callers",
        "Token buckets that are kept, and callers who must wait after invalid requests.",
        (
            Query(ask.total(metrics.GATEWAY_BUCKETS), "buckets"),
            Query(ask.total(metrics.GATEWAY_COOLING), "cooling off"),
        ),
        "short",
        width=8,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Keys, and connections that were cut",
        "API keys that a gateway knows; connections cut in the last ten minutes because answers were not read.",
        (
            Query(ask.worst(metrics.GATEWAY_KEYS, "instance"), "keys, {{instance}}"),
            Query(f"sum(increase({ask.series(metrics.GATEWAY_CUT)}[10m]))", "cut"),
        ),
        "short",
        width=8,
        runbook="keys.md",
    ),
)

DASHBOARD: Final = Dashboard(
    "gateway",
    "Hopline: gateway",
    "Requests by status, how long they take, what is refused and why, what bounds the callers.",
    (Section("Requests", _REQUESTS), Section("Events", _EVENTS), Section("Bounds", _BOUNDS)),
)
