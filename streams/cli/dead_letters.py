"""`hopline dead-letters`: look at what was set aside, and send it through the door again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from processors.ingest.replay import RATE_MAX, WHAT_CHARACTERS_MAX
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.limits import SIGNAL_BYTES_MAX
from processors.vocabulary.reasons import EXPLAINED, Reason
from processors.vocabulary.signal import data_of
from streams.changelog import committed_consumer
from streams.cli.access import Access, access, run
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.cli.replay import RATE_DEFAULT, RATE_MIN, check_pattern, ground, moment_of
from streams.cli.sending import new_id
from streams.replay.directing import NotMetError
from streams.replay.editing import EditError, edited
from streams.replay.letters import Filter, Letter, Page, WrongCursorError, letters_at, page, text
from streams.replay.redrive import LETTERS_BYTES_MAX, LETTERS_MAX, Item, Redrive, Result, tally
from streams.replay.store import Mark

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 1_000
PAYLOAD_SHOWN_BYTES: Final = 4_096
_LIST: Final = ("ID", "WHEN", "TENANT", "REASON", "HOP", "TYPE", "EVENT", "FROM", "REDRIVEN")
_FAILED: Final = frozenset({Result.REFUSED, Result.GONE, Result.DEAD_AGAIN, Result.UNKNOWN})


def _filtered(command: Any) -> Any:
    """Add the options that say which dead letters are wanted."""
    for option in (
        click.option("--to", "until", default=None, metavar="TIME", help="Set aside before then."),
        click.option("--from", "since", default=None, metavar="TIME", help="Set aside then or later (RFC 3339)."),
        click.option("--type", "pattern", default="", help="Only types that match this pattern."),
        click.option("--hop", default="", help="Only those that this hop has set aside."),
        click.option("--reason", type=click.Choice([reason.value for reason in Reason]), help="Only for this reason."),
        click.option("--tenant", default="", help="Only this tenant's, as far as one can tell whose they are."),
    ):
        command = option(command)
    return command


@click.group(topics.DEAD_LETTERS)
def dead_letters() -> None:
    """Look at dead letters, and redrive them. None is ever removed but by retention."""


@dead_letters.command("list")
@_filtered
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=LIMIT_DEFAULT, show_default=True, help="How many.")
@click.option("--cursor", default="", help="Go on where another list ended.")
@json_option
def list_(*, limit: int, cursor: str, as_json: bool, **given: Any) -> None:
    """List dead letters, the newest first. Where there are more, the last line says how to go on."""
    found, marks = run(_page(access(), _filter(given), limit, cursor))
    rows = [{**letter.summary(), "redriven": _said(marks.get(letter.id))} for letter in found.letters]
    if as_json:
        print_json({"dead_letters": rows, "cursor": found.cursor, "looked_at": found.scanned})
        return
    print_table(
        _LIST,
        [
            (
                row["id"],
                moment(row["at_ms"]),
                row["tenant"],
                row["reason"],
                row["hop"],
                row["type"],
                row["event"],
                row["from"],
                row["redriven"],
            )
            for row in rows
        ],
    )
    if found.cursor:
        click.echo(f"there may be more ({found.scanned} looked at); go on with --cursor {found.cursor}")


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@json_option
def show(*, letter_id: str, as_json: bool) -> None:
    """Show one dead letter whole: where it came from, why it was set aside, what it holds."""
    letter, mark = run(_one(access(), letter_id))
    if letter is None:
        raise CommandError(
            f"there is no dead letter {letter_id!r}", "`hopline dead-letters list` lists them; retention takes them"
        )
    shown = _whole(letter, mark)
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        if value not in ("", [], {}):
            click.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


@dead_letters.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_filtered
@click.option(
    "--rate", type=click.FloatRange(RATE_MIN, RATE_MAX), default=RATE_DEFAULT, show_default=True, help="A second."
)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change an attribute of the one; repeatable."
)
@click.option("--data", default=None, metavar="TEXT|@FILE", help="Send the one with this data.")
@click.option("--again", is_flag=True, help="Those, too, that were redriven before.")
@click.option("--dry-run", is_flag=True, help="Say what would be redriven, and write nothing.")
@json_option
def redrive(
    *,
    ids: tuple[str, ...],
    changes: tuple[str, ...],
    data: str | None,
    rate: float,
    again: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Send dead letters through the door again, by id or by filter, and say of each what came of it.

    --set and --data send a changed copy of one. Exit code 1 if one was not handled in the end.
    """
    change = _change(changes, data)
    if change is not None and len(ids) != 1:
        raise CommandError("--set and --data change one dead letter", "give its id, and no other", code=MISUSED)
    if ids and any(given.values()):
        raise CommandError("ids and a filter were both given", "give one of them", code=MISUSED)
    if not ids and not any(given.values()):
        raise CommandError("nothing says what to redrive", "give ids, or a filter such as --reason", code=MISUSED)
    if ids:
        redrive_ids(ids, change, rate=rate, again=again, dry_run=dry_run, as_json=as_json)
        return
    at, wanted = access(), _filter(given)
    items, rest = run(_collected(at, wanted, again=again))
    what = " ".join(f"{name}={value}" for name, value in given.items() if value)
    _redrive(at, items, what, rate=rate, again=again, dry_run=dry_run, as_json=as_json)
    if rest:
        raise CommandError(
            f"these are the newest {len(items)}, and there are more",
            "do it again, for what was redriven is left out; or narrow it by --from and --to",
        )


def redrive_ids(
    ids: Sequence[str], change: "_Change | None" = None, *, rate: float, again: bool, dry_run: bool, as_json: bool
) -> None:
    """Redrive dead letters by their ids."""
    at, wanted = access(), list(dict.fromkeys(ids))
    if len(wanted) > LETTERS_MAX:
        raise CommandError(f"{len(wanted)} are too many", f"{LETTERS_MAX} are the limit", code=MISUSED)
    found = run(_letters(at, wanted))
    items = [Item(letter_id, found[letter_id]) for letter_id in wanted]
    what = " ".join(wanted)
    if change is not None:
        _apply(change, items[0])
        what += f"; edited: {', '.join(items[0].edited)}"
    _redrive(at, items, what, rate=rate, again=again, dry_run=dry_run, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Change:
    """What of one dead letter is to be another."""

    attributes: Mapping[str, str]
    data: bytes | None

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.attributes, *(() if self.data is None else ("data",)))


def _change(written: Sequence[str], data: str | None) -> _Change | None:
    if not written and data is None:
        return None
    pairs = [one.partition("=") for one in written]
    for (name, equals, _), one in zip(pairs, written, strict=True):
        if not (name and equals):
            raise CommandError(f"--set {one!r} sets nothing", "write it as NAME=VALUE", code=MISUSED)
    return _Change({name: value for name, _, value in pairs}, None if data is None else _data(data))


def _data(written: str) -> bytes:
    """Return data as it is written, or what is in the file that is named."""
    if not written.startswith("@"):
        return written.encode()
    try:
        with Path(written[1:]).open("rb") as file:
            held = file.read(SIGNAL_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(f"cannot read {written[1:]}: {error.strerror}", "name a file", code=MISUSED) from error
    if len(held) > SIGNAL_BYTES_MAX:
        raise CommandError(f"{written[1:]} is too large", f"{SIGNAL_BYTES_MAX} bytes are the limit", code=MISUSED)
    return held


def _apply(change: _Change, item: Item) -> None:
    if item.letter is None:
        return
    try:
        item.letter, item.edited = edited(item.letter, change.attributes, change.data), change.names
    except EditError as error:
        raise CommandError(str(error), "nothing was sent", code=MISUSED) from error


def _redrive(
    at: Access, items: list[Item], what: str, *, rate: float, again: bool, dry_run: bool, as_json: bool
) -> None:
    work = Redrive(ground(at), new_id(), rate, f"dead letters: {what}"[:WHAT_CHARACTERS_MAX], items, again)
    try:
        run(_carried_out(work, dry_run=dry_run))
    except NotMetError as error:
        raise CommandError(str(error), "see whether workers run: `hopline topics`; then redrive again") from error
    rows = [item.shown() for item in items]
    if as_json:
        print_json({"replay": work.id, "dry_run": dry_run, "results": tally(items), "items": rows})
    else:
        print_table(
            ("ID", "RESULT", "TENANT", "REASON", "DETAIL"),
            [(row["id"], row["result"], row.get("tenant", ""), row.get("reason", ""), row["detail"]) for row in rows],
        )
        counted = ", ".join(f"{count} {result}" for result, count in tally(items).items())
        click.echo(counted if dry_run else f"replay {work.id}: {counted}")
    failed = sum(item.result in _FAILED for item in items)
    if failed and not dry_run:
        raise CommandError(f"{failed} of {len(items)} were not handled", "the list says why; they can be redriven")


async def _carried_out(work: Redrive, *, dry_run: bool) -> None:
    await work.plan()
    if dry_run:
        work.pretend()
    else:
        await work.run()


def _filter(given: dict[str, Any]) -> Filter:
    check_pattern(given["pattern"])
    return Filter(
        tenant=given["tenant"],
        reason=given["reason"] or "",
        hop=given["hop"],
        pattern=given["pattern"],
        since_ms=moment_of("--from", given["since"]),
        until_ms=moment_of("--to", given["until"]),
    )


async def _page(at: Access, wanted: Filter, limit: int, cursor: str) -> tuple[Page, dict[str, Mark]]:
    try:
        async with committed_consumer(at.kafka) as consumer:
            found = await page(consumer, at.topics, at.lanes, wanted, limit=limit, cursor=cursor)
    except WrongCursorError as error:
        raise CommandError(str(error), "take it from the end of another list", code=MISUSED) from error
    return found, await ground(at).store.marks()


async def _collected(at: Access, wanted: Filter, *, again: bool) -> tuple[list[Item], bool]:
    """Return the newest that are wanted and were not redriven, the oldest of them first, and whether there are more."""
    items: list[Item] = []
    cursor, size = "", 0
    while len(items) < LETTERS_MAX and size < LETTERS_BYTES_MAX:
        found, marks = await _page(at, wanted, min(LIMIT_DEFAULT, LETTERS_MAX - len(items)), cursor)
        fresh = [letter for letter in found.letters if again or letter.id not in marks]
        items += [Item(letter.id, letter) for letter in fresh]
        size += sum(len(letter.original.value or b"") for letter in fresh)
        cursor = found.cursor
        if not cursor:
            break
    # In the order in which they were set aside, so that a tenant's order stays.
    items.reverse()
    return items, bool(cursor)


async def _letters(at: Access, ids: Sequence[str]) -> dict[str, Letter | None]:
    async with committed_consumer(at.kafka) as consumer:
        return await letters_at(consumer, at.topics, at.lanes, ids)


async def _one(at: Access, letter_id: str) -> tuple[Letter | None, Mark | None]:
    found = (await _letters(at, [letter_id]))[letter_id]
    return found, (await ground(at).store.marks()).get(letter_id)


def _said(mark: Mark | None) -> str:
    return "" if mark is None else f"{moment(mark.at_ms)} {mark.outcome}"


def _whole(letter: Letter, mark: Mark | None) -> dict[str, Any]:
    original = letter.original
    payload = original.value if letter.signal is None else data_of(letter.signal)
    known = letter.reason in {reason.value for reason in Reason}
    return {
        **letter.summary(),
        "when": moment(letter.at_ms),
        "means": EXPLAINED[Reason(letter.reason)] if known else "",
        "problems": letter.problems,
        "stack": letter.said.get(names.DEAD_STACK, ""),
        "redriven": _said(mark),
        "written": moment(original.timestamp),
        "key": text(original.key),
        "headers": {name: text(value) for name, value in original.headers},
        "bytes": len(original.value or b""),
        **_readable("payload", payload),
        **(_readable("value", original.value) if letter.signal is None else {}),
    }


def _readable(name: str, held: bytes | None) -> dict[str, Any]:
    """Return bytes as text, or as hexadecimal if they are none; their beginning if they are many."""
    if held is None:
        return {name: ""}
    shown = held[:PAYLOAD_SHOWN_BYTES]
    cut = {f"{name}_cut_at_bytes": PAYLOAD_SHOWN_BYTES} if len(shown) < len(held) else {}
    try:
        return {name: shown.decode(errors="strict" if not cut else "ignore"), **cut}
    except UnicodeDecodeError:
        return {f"{name}_hex": shown.hex(), **cut}
