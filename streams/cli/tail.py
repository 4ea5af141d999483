"""`hopline tail`: records of a topic as they are committed, by tenant and by type."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.vocabulary import rules, topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.pattern import Pattern, parse_pattern
from processors.vocabulary.reasons import Problem
from processors.vocabulary.record import Record
from streams.admin import KafkaAwayError, require_topics
from streams.changelog import committed_consumer
from streams.cli.access import Access, access, run
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, print_json
from streams.described import described
from streams.topics import TOPICS

RECORDS_MAX: Final = 500
"""Of one fetch: what a terminal can take."""
WAIT_MS: Final = 250
SHOWN_CHARACTERS_MAX: Final = 300


@click.command()
@click.argument("topic", type=click.Choice([topic.name for topic in TOPICS]), default=topics.SIGNALS)
@click.option("--tenant", default=None, help="Only this tenant's.")
@click.option("--type", "pattern", default=None, help="Only types that match: * is one segment, ** any, {a,b} either.")
@click.option("--from", "start", default="latest", show_default=True, help="beginning, latest, or a time (RFC 3339).")
@click.option("--count", type=click.IntRange(min=1), default=None, help="End after so many.")
@click.option("--no-follow", is_flag=True, help="End at what is there now.")
@json_option
def tail(
    *,
    topic: str,
    tenant: str | None,
    pattern: str | None,
    start: str,
    count: int | None,
    no_follow: bool,
    as_json: bool,
) -> None:
    """Show records of TOPIC (`signals` by default) as they are committed. With --json, one document a line."""
    wanted = _parsed(pattern)
    since_ms = _since(start)
    if tenant is not None and not rules.is_tenant(tenant, reserved_ok=True):
        raise CommandError(f"{tenant!r} is no tenant's name", "see `hopline tenants list`", code=MISUSED)
    keeps = _filter(tenant, wanted)
    show: Callable[[dict[str, Any]], None] = print_json if as_json else _print
    try:
        run(_follow(access(), topic, since_ms, tenant, _Sink(keeps, show, count), ends=no_follow))
    except KeyboardInterrupt:
        return


class _Sink:
    """Shows what is wanted, and says when that is enough."""

    def __init__(
        self, keeps: Callable[[dict[str, Any]], bool], show: Callable[[dict[str, Any]], None], most: int | None
    ) -> None:
        self._keeps = keeps
        self._show = show
        self._left = most

    def take(self, topic: str, records: Sequence[Record]) -> bool:
        """Show records; tell whether more are wanted."""
        for record in records:
            shown = described(topic, record)
            if not self._keeps(shown):
                continue
            self._show(shown)
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    return False
        return True


def _parsed(text: str | None) -> Pattern | None:
    if text is None:
        return None
    found = parse_pattern(text)
    if isinstance(found, Problem):
        raise CommandError(f"the pattern {text!r} {found.message}", "see `hopline tail --help`", code=MISUSED)
    return found


def _since(text: str) -> int | None:
    """Return from when on, in milliseconds: None is now, 0 the beginning."""
    if text == "latest":
        return None
    if text == "beginning":
        return 0
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(
            f"--from {text!r} is no time", "write beginning, latest, or such as 2026-11-21T10:00:00Z", code=MISUSED
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)


def _filter(tenant: str | None, pattern: Pattern | None) -> Callable[[dict[str, Any]], bool]:
    def keeps(shown: dict[str, Any]) -> bool:
        if tenant is not None and shown.get("tenant") != tenant:
            return False
        return pattern is None or pattern.explain(str(shown.get("type", ""))) is not None

    return keeps


async def _follow(at: Access, topic: str, since_ms: int | None, tenant: str | None, sink: _Sink, *, ends: bool) -> None:
    await require_topics(at.kafka, at.topics, at.lanes, [one for one in TOPICS if one.name == topic])
    physical = at.topics.physical(topic)
    # Dead letters lie in the lane that found them, which need not be their tenant's.
    single = tenant is not None and topic in {topics.SIGNALS, topics.COMMANDS}
    lanes = [lane_of((tenant or "").encode(), at.lanes)] if single else list(range(at.lanes))
    partitions = [TopicPartition(physical, lane) for lane in lanes]
    async with committed_consumer(at.kafka) as consumer:
        consumer.assign(partitions)
        stable = await consumer.end_offsets(partitions)
        await _seek(consumer, partitions, stable, since_ms)
        while True:
            try:
                found = await consumer.getmany(timeout_ms=WAIT_MS, max_records=RECORDS_MAX)
            except KafkaError as error:
                raise KafkaAwayError(f"Kafka at {at.kafka.bootstrap} failed: {type(error).__name__}") from error
            merged = sorted((r for records in found.values() for r in records), key=lambda r: (r.timestamp, r.offset))
            if not sink.take(topic, merged):
                return
            if ends and all([await consumer.position(one) >= stable[one] for one in partitions]):
                return


async def _seek(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    stable: dict[TopicPartition, int],
    since_ms: int | None,
) -> None:
    starts = dict(stable)
    if since_ms == 0:
        starts = await consumer.beginning_offsets(partitions)
    elif since_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        starts = {one: found[one].offset if found[one] else stable[one] for one in partitions}
    for one, offset in starts.items():
        consumer.seek(one, offset)


def _print(shown: dict[str, Any]) -> None:
    place = f"{shown['written']}  {shown['lane']}/{shown['offset']}"
    if "reason" in shown:
        wrong = "; ".join(f"{p['field']} {p['message']}".strip() for p in shown["problems"])
        where = f"{shown['from_topic']} {shown['from_lane']}/{shown['from_offset']}"
        click.echo(f"{place}  {shown['reason']}  from {where}  {wrong}"[:SHOWN_CHARACTERS_MAX])
        return
    if "type" in shown:
        data = json.dumps(shown["data"], ensure_ascii=False)
        click.echo(f"{place}  {shown['tenant']}  {shown['type']}  {shown.get('id', '')}  {data}"[:SHOWN_CHARACTERS_MAX])
        return
    rest = {name: value for name, value in shown.items() if name not in {"topic", "lane", "offset", "written"}}
    click.echo(f"{place}  {json.dumps(rest, ensure_ascii=False, default=str)}"[:SHOWN_CHARACTERS_MAX])
