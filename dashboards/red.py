"""What is asked of every hop: rate, errors, duration; and what waits before it. A hop's module adds its own."""

from collections.abc import Iterable

from dashboards import ask
from dashboards.row import Panel, Query, Section, Shape
from processors.telemetry import catalogue as metrics


def sections(hop: str, inputs: Iterable[str], *, on_page: bool = True) -> tuple[Section, ...]:
    """Return the sections that each hop's dashboard begins with. `inputs` are the topics that it reads."""
    where = f'hop="{hop}"'
    return (
        Section("Rate", (_outcomes(hop, on_page=on_page), _input(where))),
        Section("Errors", _errors(where)),
        Section("Duration", _durations(where)),
        Section("What waits", _waits(where, f'topic=~"{"|".join(sorted(inputs))}"')),
    )


def _outcomes(hop: str, *, on_page: bool) -> Panel:
    return Panel(
        f"{hop.capitalize()}: records by outcome",
        "Records that the hop ended, per second. Each record ends in exactly one of these.",
        (Query(ask.per_second(metrics.SIGNALS, "outcome", where=f'hop="{hop}",tenant=~"$tenant"'), "{{outcome}}"),),
        "recps",
        on_page=on_page,
        stacked=True,
    )


def _input(where: str) -> Panel:
    return Panel(
        "Came in, and ended",
        "Both lines lie on each other. A gap that stays is a record that is not accounted for: see the ledger.",
        (
            Query(ask.per_second(metrics.HOP_INPUT, where=where), "came in"),
            Query(ask.per_second(metrics.SIGNALS, where=where), "ended"),
        ),
        "recps",
        runbook="ledger.md",
    )


def _errors(where: str) -> tuple[Panel, ...]:
    return (
        Panel(
            "Set aside, by reason",
            "Records that became dead letters, per second.",
            (Query(ask.per_second(metrics.DEAD_LETTERS, "reason", where=where), "{{reason}}"),),
            "recps",
            runbook="dead-letters.md",
            stacked=True,
        ),
        Panel(
            "The hop raised",
            "Batches and records on which the hop's own code failed, per second. Should be none.",
            (Query(ask.per_second(metrics.HOP_ERRORS, where=where), "raised"),),
            "cps",
            runbook="dead-letters.md",
        ),
    )


def _durations(where: str) -> tuple[Panel, ...]:
    return (
        Panel(
            "Time to step a batch",
            "What the hop's own code takes for one batch of one lane.",
            quantiles(metrics.HOP_DURATION, where),
            "s",
            exemplars=True,
            runbook="lag.md",
        ),
        Panel(
            "Time to step a batch, all of them",
            "How many batches a second took how long. Two bands are two kinds of batches.",
            (Query(ask.heat(metrics.HOP_DURATION, where), "{{le}}"),),
            "s",
            Shape.HEAT,
        ),
    )


def _waits(where: str, topic: str) -> tuple[Panel, ...]:
    return (
        Panel(
            "Records that wait",
            "Last stable offset minus position, by topic.",
            (Query(ask.total(metrics.LAG_RECORDS, "topic", where=topic), "{{topic}}"),),
            "short",
            width=8,
            runbook="lag.md",
        ),
        Panel(
            "Since the last commit",
            "Time since the hop's last commit while records wait. Nothing waits: 0.",
            (Query(ask.worst(metrics.WATERMARK_AGE, "instance", where=where), "{{instance}}"),),
            "s",
            width=8,
            runbook="lag.md",
        ),
        Panel(
            "Agents",
            "Instances of the hop's agent, by what they are doing; and batches between fetch and commit.",
            (
                Query(ask.total(metrics.AGENTS, "state", where=where), "{{state}}"),
                Query(ask.total(metrics.INFLIGHT, where=where), "batches in flight"),
            ),
            "short",
            width=8,
        ),
    )


def quantiles(metric: metrics.Metric, where: str) -> tuple[Query, ...]:
    """Return the questions for half, nine in ten and 99 in 100 of a histogram."""
    return tuple(Query(ask.quantile(share, metric, where=where), f"p{share * 100:g}") for share in (0.5, 0.9, 0.99))
