"""`hopline.replay.start|finish`: let a tenant's lane know a replay, so that what carries its id counts as replayed."""

import re
from typing import Final

import msgspec

from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.formats import NEWEST
from processors.ingest.replay import (
    LASTS_MS_MAX,
    LASTS_MS_MIN,
    RATE_MAX,
    REMEMBERED_MAX,
    RUNNING_MAX,
    WHAT_CHARACTERS_MAX,
    Replays,
    Standing,
)
from processors.ingest.tenant import RATE_MIN
from processors.vocabulary.permissions import REPLAY_WRITE
from processors.vocabulary.reasons import Problem

START: Final = "hopline.replay.start"
FINISH: Final = "hopline.replay.finish"
COUNT_MAX: Final = 2**53
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which replay, how fast, how long at the most, and in words what is replayed."""

    replay: str
    rate_per_second: float = 100.0
    lasts_ms: int = 24 * 3_600_000
    redrive: bool = False
    """Of dead letters: what was handled meanwhile is not handled again."""
    what: str = ""


class Finish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which replay, how it ended, and how many records its worker read, chose and wrote, of all tenants."""

    replay: str
    stopped: bool = False
    read: int = 0
    chosen: int = 0
    written: int = 0


def is_replay_id(text: str) -> bool:
    """Tell whether a replay may be called so."""
    return _ID(text) is not None


def _wrong_id(text: str) -> tuple[Problem, ...]:
    if is_replay_id(text):
        return ()
    return (Problem("data.replay", "must be 1 to 64 letters, digits or any of _ . -"),)


def _judge_start(wanted: Start) -> tuple[Problem, ...]:
    problems = list(_wrong_id(wanted.replay))
    if not RATE_MIN <= wanted.rate_per_second <= RATE_MAX:
        problems.append(Problem("data.rate_per_second", f"must be from {RATE_MIN} to {RATE_MAX}"))
    if not LASTS_MS_MIN <= wanted.lasts_ms <= LASTS_MS_MAX:
        problems.append(Problem("data.lasts_ms", f"must be from {LASTS_MS_MIN} to {LASTS_MS_MAX}"))
    if len(wanted.what) > WHAT_CHARACTERS_MAX:
        problems.append(Problem("data.what", f"has {len(wanted.what)} characters, {WHAT_CHARACTERS_MAX} are the limit"))
    return tuple(problems)


def _judge_finish(wanted: Finish) -> tuple[Problem, ...]:
    counts = {"read": wanted.read, "chosen": wanted.chosen, "written": wanted.written}
    wrong = [name for name, count in counts.items() if not 0 <= count <= COUNT_MAX]
    found = (Problem(f"data.{name}", f"must be from 0 to {COUNT_MAX}") for name in wrong)
    return (*_wrong_id(wanted.replay), *found)


def _start(place: Place, wanted: Start) -> Applied:
    step, policy = place.step, place.require()
    if step.write_format < NEWEST:
        # A worker of the format before may take the lane over, and does not know of replays.
        message = f"an upgrade is under way (write_format is {step.write_format}); start it when {NEWEST} is written"
        raise RefusedError(message)
    replays = Replays.load(step.overlay, place.tenant)
    if (known := replays.by_id.get(wanted.replay)) is not None:
        message = f"the replay {wanted.replay!r} is known already, it is {known.standing}; take another id"
        raise RefusedError(message)
    if not replays.make_room(step.overlay):
        message = f"{RUNNING_MAX} replays of this tenant run already, or {REMEMBERED_MAX} are not over; stop some"
        raise RefusedError(message)
    replay = replays.start(wanted.replay, step, rate_per_second=wanted.rate_per_second, lasts_ms=wanted.lasts_ms)
    replay.redrive, replay.what = wanted.redrive, wanted.what
    replays.settle(step, replay, held=policy.held)
    replays.save(step.overlay)
    return Applied(None, replay.shown())


def _finish(place: Place, wanted: Finish) -> Applied:
    step, policy = place.step, place.require()
    replays = Replays.load(step.overlay, place.tenant)
    replay = replays.by_id.get(wanted.replay)
    if replay is None:
        message = f"tenant {place.tenant!r} has no replay {wanted.replay!r}, or it ended long ago"
        raise RefusedError(message)
    if not replay.runs(step.now_ms):
        standing = Standing.EXPIRED if replay.standing is Standing.RUNNING else replay.standing
        message = f"the replay {wanted.replay!r} is {standing} already"
        raise RefusedError(message)
    before = replay.shown()
    replay.end(Standing.STOPPED if wanted.stopped else Standing.COMPLETED, step.now_ms)
    replays.settle(step, replay, held=policy.held)
    replays.save(step.overlay)
    counts = {"read": wanted.read, "chosen": wanted.chosen, "written": wanted.written}
    return Applied(before, replay.shown() | counts)


DEFINITIONS: Final = (
    Definition(
        START, "let a replay begin: what carries its id counts as replayed", REPLAY_WRITE, Start, _start, _judge_start
    ),
    Definition(FINISH, "end a replay: what carries its id is set aside", REPLAY_WRITE, Finish, _finish, _judge_finish),
)
