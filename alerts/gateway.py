"""The gateway: whether it answers, what it refuses, and how full it is."""

from typing import Final

from alerts.expressions import percentile, share
from alerts.workers import UP
from processors.alerting.rule import Compare, Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

REQUESTS_MIN: Final = 20
"""Below so many within the window a share says nothing."""

RULES: Final = (
    Rule(
        name="GatewayDown",
        signal=f'{UP}{{job="gateway"}}',
        threshold=Threshold(1, "short", most=1),
        compare=Compare.BELOW,
        severity=Severity.CRITICAL,
        summary="A gateway does not answer, and did not leave as it should.",
        description="The gateway {{ $labels.instance }} does not answer.",
        runbook="gateway.md#gatewaydown",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="GatewayUnavailable",
        signal=share(
            f'{metrics.GATEWAY_REQUESTS.name}{{status="503"}}',
            metrics.GATEWAY_REQUESTS.name,
            window="1m",
            least=REQUESTS_MIN,
        ),
        threshold=Threshold(0.05, "percentunit", least=0.0001, most=1),
        severity=Severity.CRITICAL,
        summary="The gateway answers 503: what it needs is away.",
        description="A share of {{ $value }} of the requests was answered with 503.",
        runbook="gateway.md#gatewayunavailable",
        for_seconds=30,
        keep_seconds=30,
        window_seconds=60,
    ),
    Rule(
        name="GatewayErrors",
        signal=f'sum(increase({metrics.GATEWAY_REQUESTS.name}{{status=~"5..",status!="503"}}[5m]))',
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="The gateway failed on requests: a bug of ours.",
        description="{{ $value }} requests were answered with 500 or the like within five minutes.",
        runbook="gateway.md#gatewayerrors",
    ),
    Rule(
        name="GatewayRefusing",
        signal=share(
            f'{metrics.GATEWAY_EVENTS.name}{{result="refused"}}',
            metrics.GATEWAY_EVENTS.name,
            window="1m",
            least=REQUESTS_MIN,
        ),
        threshold=Threshold(0.5, "percentunit", least=0.001, most=1),
        severity=Severity.WARNING,
        summary="The gateway refuses more events than it takes.",
        description="A share of {{ $value }} of the events was refused.",
        runbook="gateway.md#gatewayrefusing",
        for_seconds=60,
        keep_seconds=60,
        window_seconds=60,
    ),
    Rule(
        name="GatewayDenying",
        signal=f"sum by (reason) (rate({metrics.GATEWAY_DENIED.name}[1m]))",
        threshold=Threshold(1, "reqps"),
        severity=Severity.WARNING,
        summary="Many requests come with keys that do not fit: an old key in use, or somebody tries keys.",
        description="{{ $value }} requests a second are denied: {{ $labels.reason }}.",
        runbook="keys.md#gatewaydenying",
        for_seconds=60,
        keep_seconds=60,
        window_seconds=60,
    ),
    Rule(
        name="GatewayCooling",
        signal=f"max by (instance) ({metrics.GATEWAY_COOLING.name})",
        threshold=Threshold(5, "short"),
        severity=Severity.WARNING,
        summary="Several callers must wait because they sent invalid requests again and again.",
        description="{{ $value }} callers of {{ $labels.instance }} must wait.",
        runbook="gateway.md#gatewaycooling",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="GatewayFull",
        signal=f"max by (instance) ({metrics.GATEWAY_INFLIGHT.name})",
        threshold=Threshold(1_800, "short", least=1, most=100_000),
        severity=Severity.WARNING,
        summary="The gateway is near the most events that may wait for Kafka; then it answers 429.",
        description="{{ $value }} events of {{ $labels.instance }} wait for Kafka.",
        runbook="gateway.md#gatewayfull",
        for_seconds=30,
        window_seconds=0,
    ),
    Rule(
        name="GatewaySlow",
        signal=percentile(0.95, metrics.GATEWAY_DURATION, window="5m"),
        threshold=Threshold(1, "s", least=0.001, most=10),
        severity=Severity.WARNING,
        summary="The gateway takes too long to answer.",
        description="One request in twenty takes {{ $value }} s or more.",
        runbook="slow.md#gatewayslow",
        for_seconds=300,
    ),
    Rule(
        name="GatewayLedgerMismatch",
        # A request's events are counted as they end, and as offered when it leaves: only more offered is wrong.
        signal=f"sum by (instance) ({metrics.GATEWAY_OFFERED.name}) "
        f"- sum by (instance) ({metrics.GATEWAY_EVENTS.name})",
        threshold=Threshold(0, "short"),
        severity=Severity.CRITICAL,
        summary="Events came to the gateway and are not accounted for.",
        description="{{ $value }} events of {{ $labels.instance }} are unaccounted for.",
        runbook="gateway.md#gatewayledgermismatch",
        for_seconds=60,
        window_seconds=0,
    ),
)
