"""One tenant, or some: what it sends, what becomes of it, what its limits do. Latency is by hop, never by tenant."""

from typing import Final

from dashboards import ask
from dashboards.row import Dashboard, Panel, Query, Section, Shape, Variable
from processors.telemetry import catalogue as metrics

_TENANT: Final = 'tenant=~"$tenant"'
_DOOR: Final = f'hop="ingest",{_TENANT}'

_WORK: Final = (
    Panel(
        "By outcome",
        "What became of these tenants' records at the door, per second.",
        (Query(ask.per_second(metrics.SIGNALS, "outcome", where=_DOOR), "{{outcome}}"),),
        "recps",
        stacked=True,
    ),
    Panel(
        "By tenant",
        "Records at the door, per second. The most active tenants have a name of their own; the rest is `_other`.",
        (Query(ask.per_second(metrics.SIGNALS, "tenant", where=_DOOR), "{{tenant}}"),),
        "recps",
        on_page=True,
        stacked=True,
    ),
    Panel(
        "Set aside, by tenant",
        "Share of a tenant's records that became dead letters. A record whose tenant cannot be read has none.",
        (
            Query(
                ask.share(
                    ask.per_second(metrics.SIGNALS, "tenant", where=f'{_DOOR},outcome="dead_lettered"'),
                    ask.per_second(metrics.SIGNALS, "tenant", where=_DOOR),
                ),
                "{{tenant}}",
            ),
        ),
        "percentunit",
        runbook="dead-letters.md",
    ),
    Panel(
        "Sent twice, by tenant",
        "Share of a tenant's records that were duplicates.",
        (
            Query(
                ask.share(
                    ask.per_second(metrics.SIGNALS, "tenant", where=f'{_DOOR},outcome="duplicate"'),
                    ask.per_second(metrics.SIGNALS, "tenant", where=_DOOR),
                ),
                "{{tenant}}",
            ),
        ),
        "percentunit",
    ),
)

_MOST: Final = (
    Panel(
        "The busiest",
        "Records of the ten busiest tenants, per second.",
        (Query(f"topk(10, {ask.per_second(metrics.SIGNALS, 'tenant', where=_DOOR)})", "{{tenant}}"),),
        "recps",
        Shape.BARS,
        width=8,
        height=10,
    ),
    Panel(
        "Without a name of their own",
        "Records counted under `_other` for want of a tenant label, per second, by hop.",
        (Query(ask.per_second(metrics.TENANTS_OVERFLOW, "hop"), "{{hop}}"),),
        "recps",
        width=8,
        height=10,
    ),
    Panel(
        "Thresholds of their own",
        "What alerts compare with for tenants that have one of their own.",
        (Query(ask.worst(metrics.ALERT_THRESHOLD, "alert", "tenant", where=_TENANT), "{{alert}} {{tenant}}"),),
        "short",
        Shape.TABLE,
        width=8,
        height=10,
    ),
)

_BUSINESS: Final = (
    Panel(
        "Purchases",
        "Purchases that signals told of, per second, by tenant.",
        (Query(ask.per_second(metrics.PURCHASES, "tenant", where=_TENANT), "{{tenant}}"),),
        "cps",
    ),
    Panel(
        "Revenue",
        "Money that signals told of, in the last hour, in whole units of its currency.",
        (
            Query(
                f"sum by (tenant, currency) (increase({ask.series(metrics.REVENUE, _TENANT)}[1h]))",
                "{{tenant}} {{currency}}",
            ),
        ),
        "short",
    ),
)

DASHBOARD: Final = Dashboard(
    "tenants",
    "Hopline: tenants",
    "What tenants send, what becomes of it, what their limits do. Latency is by hop: see the hop's dashboard.",
    (Section("Work", _WORK), Section("Who", _MOST), Section("Business", _BUSINESS)),
    (Variable("tenant", "Tenant", ask.series(metrics.SIGNALS)),),
)
