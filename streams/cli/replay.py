"""`hopline replay`: send again what a topic holds, at a rate, resumable; and see how far each replay is."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final

import click

from processors.directives.kinds.replay import is_replay_id
from processors.ingest.replay import LASTS_MS_MAX, LASTS_MS_MIN, RATE_MAX
from processors.vocabulary import topics
from streams import logs
from streams.changelog import committed_consumer
from streams.cli.access import Access, access, run
from streams.cli.asking import require_name
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, print_json, print_table
from streams.cli.sending import new_id
from streams.clock import wall_ms
from streams.replay.directing import NotMetError, direct
from streams.replay.follower import Follower
from streams.replay.job import Job, Status
from streams.replay.lease import HeldError, held_by
from streams.replay.scan import Estimate, TooManyTenantsError, estimate
from streams.replay.selection import OPEN, SOURCES, PatternError, Selection, pattern_of
from streams.replay.store import ReplayStore, confirmed_producer
from streams.replay.worker import GoneError, Ground, ReplayWorker, StalledError, finish_ask

RATE_DEFAULT: Final = 100.0
RATE_MIN: Final = 0.1
LASTS_HOURS_DEFAULT: Final = 24.0
HOUR_MS: Final = 3_600_000
STOP_SECONDS_MAX: Final = 15.0
STOP_POLL_SECONDS: Final = 0.5
SHOWN_MAX: Final = 20
_SEE: Final = "see `hopline replay --help`"
_LIST: Final = ("REPLAY", "KIND", "STATUS", "STARTED", "LAST HEARD OF", "WRITTEN", "OF", "RATE/S", "WHAT")


@click.group(invoke_without_command=True)
@click.option("--tenant", "tenants", multiple=True, help="Only this tenant's; repeatable.")
@click.option("--type", "pattern", default="", help="Only types that match: * is one segment, ** any, {a,b} either.")
@click.option("--from", "since", default=None, metavar="TIME", help="beginning, or RFC 3339: from then on.")
@click.option("--to", "until", default=None, metavar="TIME", help="RFC 3339: up to then, not included.")
@click.option(
    "--offset",
    "offsets",
    multiple=True,
    metavar="LANE:FIRST[-LAST]",
    help="Only these offsets of a lane; repeatable. Without LAST: to the end.",
)
@click.option("--correlation", default="", help="Only what has this correlation id, or this id.")
@click.option("--dead-letter", "letters", multiple=True, metavar="ID", help="Redrive this dead letter; repeatable.")
@click.option(
    "--topic",
    type=click.Choice(SOURCES),
    default=topics.SIGNALS,
    show_default=True,
    help="What was handled, or what came in.",
)
@click.option(
    "--rate", type=click.FloatRange(RATE_MIN, RATE_MAX), default=RATE_DEFAULT, show_default=True, help="A second."
)
@click.option(
    "--lasts",
    type=click.FloatRange(LASTS_MS_MIN / HOUR_MS, LASTS_MS_MAX / HOUR_MS),
    default=LASTS_HOURS_DEFAULT,
    show_default=True,
    metavar="HOURS",
    help="After that it has expired.",
)
@click.option("--id", "replay_id", default=None, help="What to call it. Default: a new id.")
@click.option("--dry-run", is_flag=True, help="Count what it would send, and write nothing.")
@json_option
@click.pass_context
def replay(context: click.Context, /, *, as_json: bool, dry_run: bool, **given: Any) -> None:
    """Send again what a topic holds: as it was, marked, handled once by each hop, at a rate of its own.

    Ctrl-C or a kill leaves it where it is: `hopline replay resume ID` goes on.
    """
    if context.invoked_subcommand is not None:
        return
    if given["letters"]:
        _redrive(given, dry_run=dry_run, as_json=as_json)
        return
    wanted, at = _selection(given), access()
    replay_id = given["replay_id"] or new_id()
    if not is_replay_id(replay_id):
        raise CommandError(f"{replay_id!r} is no id of a replay", "use 1 to 64 letters, digits or . _ -", code=MISUSED)
    found = run(_estimate(at, wanted))
    if dry_run or not as_json:
        _show_estimate(found, given["rate"], as_json=as_json)
    if dry_run:
        return
    job = _planned(replay_id, wanted, found, given["rate"], round(given["lasts"] * HOUR_MS))
    _work(at, job, as_json=as_json, fresh=True)


@replay.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List replays and redrives, the newest first."""
    jobs = run(_store(access()).all())
    if as_json:
        print_json([job.shown() for job in jobs])
        return
    rows = []
    for job in jobs:
        shown = job.shown()
        rows.append(
            (
                job.id,
                job.kind,
                shown["status"],
                shown["started"],
                shown["last_heard_of"],
                job.written,
                job.expected,
                job.rate_per_second,
                shown["what"],
            )
        )
    print_table(_LIST, rows)


@replay.command()
@click.argument("replay_id", metavar="ID")
@json_option
def show(*, replay_id: str, as_json: bool) -> None:
    """Show one replay: how far it is, who works on it, what was left out, where it is approximate."""
    at = access()
    job = _known(at, replay_id)
    _print(job, run(held_by(_store(at), job.id)), as_json=as_json)


@replay.command()
@click.argument("replay_id", metavar="ID")
@json_option
def resume(*, replay_id: str, as_json: bool) -> None:
    """Go on with a replay whose process has ended."""
    at = access()
    job = _known(at, replay_id)
    if job.selection.topic not in SOURCES:
        raise CommandError(
            f"{replay_id} is a redrive, which is not resumed", "`hopline dead-letters redrive` does what is left"
        )
    if job.status is not Status.RUNNING:
        raise CommandError(f"the replay {replay_id} is {job.status} already", "start another one")
    _work(at, job, as_json=as_json, fresh=False)


@replay.command()
@click.argument("replay_id", metavar="ID")
@json_option
def stop(*, replay_id: str, as_json: bool) -> None:
    """Stop a replay, whether its process lives or not. What is written already is handled."""
    at = access()
    job = _known(at, replay_id)
    if job.status is not Status.RUNNING:
        raise CommandError(f"the replay {replay_id} is {job.status} already", "")
    _print(run(_guarded(_stop(at, job))), as_json=as_json)


def moment_of(option: str, written: str | None) -> int:
    """Return a time in milliseconds; 0 for none, and for the beginning. A time without a zone is UTC."""
    if written is None or written == "beginning":
        return 0
    try:
        found = datetime.fromisoformat(written)
    except ValueError as error:
        raise CommandError(
            f"{option} {written!r} is no time", "write it as 2026-11-21T10:00:00Z", code=MISUSED
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)


def check_pattern(pattern: str) -> None:
    """Refuse what is no pattern."""
    try:
        pattern_of(pattern)
    except PatternError as error:
        raise CommandError(str(error), _SEE, code=MISUSED) from error


def ground(at: Access) -> Ground:
    """Return the cluster as replays see it."""
    return Ground(at.kafka, at.topics, at.lanes)


def _store(at: Access) -> ReplayStore:
    return ground(at).store


def _redrive(given: dict[str, Any], *, dry_run: bool, as_json: bool) -> None:
    from streams.cli.dead_letters import redrive_ids  # noqa: PLC0415  # needs this module

    others = [name for name in ("tenants", "pattern", "since", "until", "offsets", "correlation") if given[name]]
    if others:
        raise CommandError("--dead-letter stands alone", "leave the other selectors out", code=MISUSED)
    redrive_ids(given["letters"], rate=given["rate"], again=False, dry_run=dry_run, as_json=as_json)


def _selection(given: dict[str, Any]) -> Selection:
    for tenant in given["tenants"]:
        require_name(tenant)
    check_pattern(given["pattern"])
    named = ("tenants", "pattern", "since", "until", "offsets", "correlation")
    if not any(given[name] for name in named):
        raise CommandError("nothing says what to replay", f"`--from beginning` is everything; {_SEE}", code=MISUSED)
    since_ms, until_ms = moment_of("--from", given["since"]), moment_of("--to", given["until"])
    if until_ms and until_ms <= since_ms:
        raise CommandError("--to lies before --from", "the end is not included, so it must be later", code=MISUSED)
    return Selection(
        topic=given["topic"],
        tenants=tuple(given["tenants"]),
        pattern=given["pattern"],
        since_ms=since_ms,
        until_ms=until_ms,
        offsets=dict(_offsets(written) for written in given["offsets"]),
        correlation=given["correlation"],
    )


def _offsets(written: str) -> tuple[int, tuple[int, int]]:
    lane, colon, rest = written.partition(":")
    first, dash, last = rest.partition("-")
    if not (colon and lane.isdecimal() and first.isdecimal() and (last.isdecimal() or not dash)):
        raise CommandError(f"--offset {written!r} is none", "write it as LANE:FIRST or LANE:FIRST-LAST", code=MISUSED)
    return int(lane), (int(first), int(last) + 1 if dash else OPEN)


async def _estimate(at: Access, wanted: Selection) -> Estimate:
    too_high = [lane for lane in wanted.offsets if lane >= at.lanes]
    if too_high:
        raise CommandError(f"there is no lane {too_high[0]}", f"lanes are 0 to {at.lanes - 1}", code=MISUSED)
    try:
        async with committed_consumer(at.kafka) as consumer:
            return await estimate(consumer, at.topics.physical(wanted.topic), wanted, at.lanes)
    except TooManyTenantsError as error:
        raise CommandError(str(error), "narrow it by --tenant, --type, --from, --to or --offset") from error


def _planned(replay_id: str, wanted: Selection, found: Estimate, rate: float, lasts_ms: int) -> Job:
    return Job(
        replay_id,
        wanted,
        rate,
        lasts_ms,
        started_ms=wall_ms(),
        begins=dict(found.covered.begins),
        ends=dict(found.covered.ends),
        next=dict(found.covered.begins),
        expected=found.chosen,
        tenants=dict.fromkeys(found.by_tenant, ""),
        approximate=list(found.covered.approximate),
    )


def _work(at: Access, job: Job, *, as_json: bool, fresh: bool) -> None:
    """Carry it out, telling how far it is. Exit code 1 if a tenant was refused."""
    if fresh and run(_store(at).load(job.id)) is not None:
        raise CommandError(
            f"there is a replay {job.id} already", "`hopline replay resume` goes on with it", code=MISUSED
        )

    def tell(job: Job) -> None:
        if as_json:
            print_json(job.shown())
        else:
            left = job.shown()["left_seconds"]
            click.echo(f"{job.id}  {job.written} of {job.expected} written, {left:g} s left", err=True)

    if not fresh and (process := run(held_by(_store(at), job.id))):
        click.echo(f"{process} was heard of lately; waiting to see whether it lives", err=True)
    if not as_json:
        click.echo(f"replay {job.id}; `hopline replay stop {job.id}` stops it", err=True)
    logs.begin(at.settings, "replay")
    done = run(_guarded(ReplayWorker(ground(at), job, tell).run()))
    if not as_json:
        _print(done, as_json=False)
    if any(done.tenants.values()):
        raise CommandError("some tenants were not replayed", f"`hopline replay show {job.id}` says which and why")


async def _guarded(work: Any) -> Job:
    try:
        found: Job = await work
    except HeldError as error:
        raise CommandError(str(error), "wait for its end, or end it with `hopline replay stop`") from error
    except (StalledError, GoneError, NotMetError) as error:
        raise CommandError(str(error), "nothing is lost: `hopline replay list` shows how far it is") from error
    return found


async def _stop(at: Access, job: Job) -> Job:
    """Ask its process to stop; if nobody answers, end it from here."""
    store, place = _store(at), ground(at)
    async with confirmed_producer(at.kafka) as producer:
        await store.ask_stop(producer, job.id)
        until = time.monotonic() + STOP_SECONDS_MAX
        while time.monotonic() < until:
            # In this order: who has ended meanwhile has written that down before it let go.
            process = await held_by(store, job.id)
            job = await store.load(job.id) or job
            if job.status is not Status.RUNNING:
                return job
            if not process:
                break
            await asyncio.sleep(STOP_POLL_SECONDS)
        job.status = Status.STOPPED
        begun = [tenant for tenant, why in job.tenants.items() if not why]
        async with committed_consumer(at.kafka) as consumer:
            follower = Follower(consumer, at.topics, range(at.lanes))
            await follower.begin()
            await direct(producer, follower, place.topics, place.lanes, [finish_ask(job, tenant) for tenant in begun])
        job.updated_ms = wall_ms()
        await store.save(producer, job)
    return job


def _known(at: Access, replay_id: str) -> Job:
    job = run(_store(at).load(replay_id))
    if job is None:
        raise CommandError(f"there is no replay {replay_id!r}", "`hopline replay list` lists them")
    return job


def _show_estimate(found: Estimate, rate: float, *, as_json: bool) -> None:
    shown = found.shown(rate)
    if as_json:
        print_json(shown)
        return
    click.echo(f"{found.chosen} of {found.read} records, {shown['first'] or '–'} to {shown['last'] or '–'}")
    click.echo(f"at {rate:g} a second about {shown['estimated_seconds']:g} s")
    for title, counts in (("TYPE", found.by_type), ("TENANT", found.by_tenant)):
        print_table((title, "RECORDS"), counts.most_common(SHOWN_MAX))
        if len(counts) > SHOWN_MAX:
            click.echo(f"… and {len(counts) - SHOWN_MAX} more; --json has all of them")
    for why in found.covered.approximate:
        click.echo(f"approximate: {why}")


def _print(job: Job, process: str = "", *, as_json: bool) -> None:
    shown = job.shown() | {"worked_on_by": process}
    if as_json:
        print_json(shown)
        return
    print_table(("WHAT", "VALUE"), [(name, value) for name, value in shown.items() if value not in ({}, [], "")])
