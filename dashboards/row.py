"""What a hop's dashboard asks: a title, a query over the catalogue's metrics, its unit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """One question to Prometheus, in words that an operator uses."""

    title: str
    description: str
    query: str
    unit: str
