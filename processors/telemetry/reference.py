"""The reference page: every event, metric, span and log field, written down from the data that declares them."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from processors.telemetry import catalogue
from processors.telemetry.events import EVENTS

Table: TypeAlias = Sequence[Mapping[str, str]]

EVENTS_TABLE: Final[Table] = [
    {
        "event": one.name,
        "level": one.level.value,
        "told": one.share.value,
        "by": one.by or "to come",
        "measurements": ", ".join(f"{name} ({unit.value})" for name, unit in one.measurements.items()),
        "metadata": ", ".join(f"{name} ({kind.__name__})" for name, kind in one.metadata.items()),
        "what": one.text,
    }
    for one in EVENTS
]
METRICS_TABLE: Final[Table] = [
    {"metric": one.name, "kind": one.kind.value, "labels": ", ".join(one.labels), "what": one.help}
    for one in catalogue.METRICS
]
_HEAD: Final = """\
# Telemetry: reference

Made by `hopline telemetry catalogue --page` from `processors/telemetry/`; a test compares.

## Events
Each is a record of the topic `telemetry`: JSON with `v`, `event`, `at_ms`, `process`, `hop`, `lane`, `tenant`, `id`,
`one_in`, `measurements`, `metadata`; what is empty is left out. *all*: each one is told. *some*: at most a few a second
of each process, and `one_in` says for how many one stands. `hopline tail telemetry` shows them as they come.

"""
_METRICS_HEAD: Final = """
## Metrics
At `/metrics` of each process, with exemplars for who asks for OpenMetrics, and in the topic `metrics` as they change.

"""


def page() -> str:
    """Return the whole page."""
    return _HEAD + _markdown(EVENTS_TABLE) + _METRICS_HEAD + _markdown(METRICS_TABLE)


def _markdown(table: Table) -> str:
    heads = list(table[0])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in table:
        cells = [f"`{value}`" if at == 0 else value for at, value in enumerate(row.values())]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
