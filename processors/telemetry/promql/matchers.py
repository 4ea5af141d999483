"""What a selector asks of a label."""

from dataclasses import dataclass
from enum import StrEnum

from processors.telemetry.promql.regex import compiled


class Match(StrEnum):
    """How a label's value is compared."""

    EQUAL = "="
    UNEQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition. A label that is not there has the empty value."""

    label: str
    match: Match
    value: str

    def matches(self, value: str) -> bool:
        match self.match:
            case Match.EQUAL:
                return value == self.value
            case Match.UNEQUAL:
                return value != self.value
            case Match.REGEX:
                return compiled(self.value).matches(value)
            case Match.NOT_REGEX:
                return not compiled(self.value).matches(value)
