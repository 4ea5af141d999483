"""`hopline.agent.pause|resume`: hold a tenant's signals at a hop, and let them go on in their order."""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from processors.directives.definition import Applied, Definition, Place
from processors.ingest.policy import TenantChange
from processors.ingest.tenant import HOP
from processors.vocabulary.permissions import AGENT_WRITE
from processors.vocabulary.reasons import Problem


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hop."""

    hop: str = HOP


def _judge(wanted: Hold) -> tuple[Problem, ...]:
    return () if wanted.hop == HOP else (Problem("data.hop", f"must be {HOP!r}: signals are held there"),)


def _hold(held: bool, place: Place, _: Hold) -> Applied:  # noqa: FBT001 - bound once, just below
    place.require()
    return place.change(TenantChange(held=held))


def _kind(verb: str, summary: str, *, held: bool) -> Definition[Hold]:
    apply: Callable[[Place, Hold], Applied] = partial(_hold, held)
    return Definition(f"hopline.agent.{verb}", summary, AGENT_WRITE, Hold, apply, _judge)


DEFINITIONS: Final = (
    _kind("pause", "hold a tenant's signals, up to what its queue takes", held=True),
    _kind("resume", "let held signals go on, in their order", held=False),
)
