"""A worker each of whose hops raises on records that ask for it: `python -m tests.dashboards.faulty`."""

import sys
from collections.abc import Sequence
from typing import Any, Final

from processors.directives.hop import DirectivesHop
from processors.ingest import IngestHop
from processors.step import Step
from processors.vocabulary.record import Record

AT_THE_DOOR: Final = b"please-raise-at-the-door"
BEHIND_IT: Final = b"please-raise-behind-it"


def _raising(hop: type[Any], asked: bytes) -> None:
    plain = hop.step

    def step(self: Any, step: Step, topic: str, records: Sequence[Record]) -> None:
        for record in records:
            if asked in (record.value or b"") and (topic, record.offset) not in step.verdicts:
                raise ValueError("as the record asked")
        plain(self, step, topic, records)

    hop.step = step


def main() -> int:
    """Run the worker with hops that misbehave."""
    _raising(IngestHop, AT_THE_DOOR)
    _raising(DirectivesHop, BEHIND_IT)
    from streams import worker  # noqa: PLC0415  after the hops are replaced

    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
