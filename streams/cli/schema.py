"""`hopline schema`: what Hopline takes and tells, as JSON Schema."""

import click

from processors.validation.schemas import catalogue
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, print_json, print_table


@click.command()
@click.argument("name", required=False)
@json_option
def schema(*, name: str | None, as_json: bool) -> None:
    """List the schemas, or print the one of NAME: the event's envelope, a directive's data, a signal's data."""
    found = catalogue()
    if name is not None:
        if name not in found:
            raise CommandError(f"there is no schema {name!r}", "`hopline schema` lists them", code=MISUSED)
        print_json(found[name].schema)
        return
    heads = [one.head() for one in found.values()]
    if as_json:
        print_json(heads)
    else:
        rows = [(head["name"], head["kind"], head["version"], head["summary"]) for head in heads]
        print_table(("NAME", "KIND", "VERSION", "SUMMARY"), rows)
