"""Series for the rules of `alerts/directives.py`."""

from typing import Final

from alerts.series.case import Case, at, histogram, of, quiet
from processors.telemetry import catalogue as metrics

KIND: Final = "hopline.tenant.set"


def _rejected(notation: str, outcome: str = "rejected") -> dict[str, str]:
    return {of(metrics.SIGNALS, hop="directives", tenant="acme", outcome=outcome): notation}


CASES: Final = (
    Case(
        "DirectivesRejected",
        "one a second for three minutes",
        _rejected("0+10x18 180+0x30"),
        (at(60), at(70, "1"), at(180, "1"), at(220, "0.333333"), at(310)),
    ),
    quiet("DirectivesRejected", "all succeed", _rejected("0+10x40", "handled"), 200, 400),
    quiet("DirectivesRejected", "one in a minute", _rejected("0+0x5 1+0x5 2+0x20"), 120, 300),
    Case(
        "DirectivesFailed",
        "one",
        {of(metrics.DIRECTIVES, kind=KIND, status="failed"): "0+0x5 1+0x40"},
        (at(50), at(60, "1", kind=KIND), at(370)),
    ),
    quiet("DirectivesFailed", "others", {of(metrics.DIRECTIVES, kind=KIND, status="succeeded"): "0+1x40"}, 100, 300),
    Case(
        "DirectivesLate",
        "ten seconds late for five minutes",
        histogram(
            metrics.TIMER_LATENESS,
            {"0.1": "0+0x30 1+1x60", "5.0": "0+0x30 1+1x60", "10.0": "0+1x90", "+Inf": "0+1x90"},
            hop="directives",
        ),
        (at(60), at(70, "9.75", hop="directives"), at(300, "9.75", hop="directives"), at(700)),
    ),
    quiet(
        "DirectivesLate",
        "in time",
        histogram(metrics.TIMER_LATENESS, {"0.1": "0+1x90", "10.0": "0+1x90", "+Inf": "0+1x90"}, hop="directives"),
        300,
        900,
    ),
)
