"""Series for the rules of `alerts/gateway.py`."""

from typing import Final

from alerts.series.case import Case, at, histogram, of, quiet
from alerts.workers import UP
from processors.telemetry import catalogue as metrics

_G: Final = {"job": "gateway", "instance": "gateway@a"}
_ME: Final = {"instance": "gateway@a"}


def _answers(ok: str, other: str, status: str = "503") -> dict[str, str]:
    return {
        of(metrics.GATEWAY_REQUESTS, **_G, status="202"): ok,
        of(metrics.GATEWAY_REQUESTS, **_G, status=status): other,
    }


def _events(accepted: str, refused: str) -> dict[str, str]:
    return {
        of(metrics.GATEWAY_EVENTS, **_G, mode="batch", result="accepted"): accepted,
        of(metrics.GATEWAY_EVENTS, **_G, mode="batch", result="refused"): refused,
    }


def _took(le: dict[str, str]) -> dict[str, str]:
    return histogram(metrics.GATEWAY_DURATION, le, **_G)


CASES: Final = (
    Case(
        "GatewayDown",
        "it dies, and comes back",
        {of(UP, **_G): "1+0x3 0+0x12 1+0x10"},
        (at(90), at(100, "0", **_G), at(160, "0", **_G), at(170)),
    ),
    quiet("GatewayDown", "it is there", {of(UP, **_G): "1+0x20"}, 100, 200),
    Case(
        "GatewayUnavailable",
        "Kafka is away for two minutes",
        _answers("0+10x6 60+0x12 70+10x20", "0+0x6 10+10x12 130+0x20"),
        (at(60), at(100, "0.666667"), at(130, "1"), at(180, "1"), at(290)),
    ),
    quiet("GatewayUnavailable", "one in fifty", _answers("0+49x40", "0+1x40"), 100, 400),
    Case(
        "GatewayErrors",
        "one request",
        _answers("0+10x60", "0+0x5 1+0x60", "500"),
        (at(50), at(60, "1"), at(370)),
    ),
    quiet("GatewayErrors", "it cannot do what it must", _answers("0+10x60", "0+10x60"), 100, 400),
    Case(
        "GatewayRefusing",
        "eight of ten are refused for three minutes",
        _events("0+20x60", "0+80x18 1440+0x40"),
        (at(60), at(70, "0.8"), at(180, "0.8"), at(310)),
    ),
    quiet("GatewayRefusing", "two of ten are", _events("0+80x60", "0+20x60"), 100, 400),
    Case(
        "GatewayDenying",
        "five a second with keys that nobody knows",
        {of(metrics.GATEWAY_DENIED, **_G, reason="unknown_key"): "0+50x18 900+0x40"},
        (at(70), at(80, "5", reason="unknown_key"), at(180, "5", reason="unknown_key"), at(310)),
    ),
    quiet(
        "GatewayDenying",
        "one in ten seconds",
        {of(metrics.GATEWAY_DENIED, **_G, reason="unknown_key"): "0+1x40"},
        100,
        400,
    ),
    Case(
        "GatewayCooling",
        "eight callers for two minutes",
        {of(metrics.GATEWAY_COOLING, **_G): "0+0x2 8+0x12 0+0x10"},
        (at(80), at(90, "8", **_ME), at(150, "8", **_ME), at(160)),
    ),
    quiet("GatewayCooling", "two callers", {of(metrics.GATEWAY_COOLING, **_G): "2+0x20"}, 100, 200),
    Case(
        "GatewayFull",
        "1,900 events wait for a minute",
        {of(metrics.GATEWAY_INFLIGHT, **_G): "0+0x2 1900+0x6 0+0x10"},
        (at(50), at(60, "1900", **_ME), at(90, "1900", **_ME), at(100)),
    ),
    quiet("GatewayFull", "a hundred wait", {of(metrics.GATEWAY_INFLIGHT, **_G): "100+0x20"}, 100, 200),
    Case(
        "GatewaySlow",
        "requests take 5 s for ten minutes",
        _took(
            {
                "0.02": "0+10x30 300+0x60 310+10x70",
                "2.0": "0+10x30 300+0x60 310+10x70",
                "5.0": "0+10x160",
                "+Inf": "0+10x160",
            }
        ),
        (at(600), at(650, "4.85"), at(900, "4.85"), at(1_500)),
    ),
    quiet(
        "GatewaySlow", "requests take 20 ms", _took({"0.02": "0+10x90", "5.0": "0+10x90", "+Inf": "0+10x90"}), 600, 900
    ),
    Case(
        "GatewayLedgerMismatch",
        "three events have no end, and get one",
        {
            of(metrics.GATEWAY_OFFERED, **_G, mode="batch"): "100+10x40",
            **_events("100+10x2 127+10x17 310+10x19", "0+0x40"),
        },
        (at(80), at(90, "3", **_ME), at(190, "3", **_ME), at(210)),
    ),
    quiet(
        "GatewayLedgerMismatch",
        "requests that still run",
        {of(metrics.GATEWAY_OFFERED, **_G, mode="batch"): "100+10x40", **_events("105+10x40", "0+0x40")},
        100,
        400,
    ),
)
