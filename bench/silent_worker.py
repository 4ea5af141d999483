"""A worker that tells nothing: no metrics of its lanes, no events, no samples, no traces."""

import sys
from typing import Any

from processors.telemetry import trace
from streams import telling
from streams.lanes import service
from streams.worker import main


class _Silent:
    """Takes what an observer takes, and does nothing with it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def nothing(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    restored = began = committed = failed = left = nothing


def _unsampled(_: object) -> None:
    return None


if __name__ == "__main__":
    setattr(service, "LaneObserver", _Silent)  # noqa: B010  # the whole point
    telling.Telling.start = _Silent.nothing  # type: ignore[method-assign,assignment]
    trace.sampled = _unsampled  # type: ignore[assignment]
    sys.exit(main())
