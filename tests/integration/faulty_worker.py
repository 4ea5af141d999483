"""A worker whose ingest hop misbehaves on records that ask for it: `python -m tests.integration.faulty_worker`."""

import os
import sys
from collections.abc import Sequence
from typing import Final

from processors.ingest import IngestHop
from processors.step import Step
from processors.vocabulary.record import Record

RAISE: Final = b"please-raise"
SPIN: Final = b"please-spin"
LEAK: Final = b"please-leak"
"""Raise with what the environment has as secrets: libraries do such things."""

_step = IngestHop.step


def _misbehave(self: IngestHop, step: Step, topic: str, records: Sequence[Record]) -> None:
    for record in records:
        if (topic, record.offset) in step.verdicts:
            continue
        value = record.value or b""
        if RAISE in value:
            message = "as the record asked"
            raise ValueError(message)
        if LEAK in value:
            own = (os.environ.get(f"HOPLINE_{name}", "") for name in ("SECRET_KEY", "KAFKA_PASSWORD"))
            message = f"cannot reach kafka://me:pass-in-an-address@host with {', '.join(own)}"
            raise ValueError(message)
        while SPIN in value:
            pass
    _step(self, step, topic, records)


def main() -> int:
    """Run the worker with the hop that misbehaves."""
    IngestHop.step = _misbehave  # type: ignore[method-assign]
    from streams import worker  # noqa: PLC0415  after the hop is replaced

    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
