"""`hopline config`: every setting, its value and where it comes from."""

from typing import Any

import click
from pydantic import SecretStr

from streams.cli.access import loaded
from streams.cli.output import json_option, print_json, print_table
from streams.settings import FILE_DEFAULT, FILE_VARIABLE, PREFIX, Settings

SECRET = "**********"  # noqa: S105  # this is what is shown instead of one
_HELP = f"""Show each setting, its value and its source.

Settings come from {FILE_DEFAULT} in the working directory (or the file that {FILE_VARIABLE} names), then from the
environment: {PREFIX}LANES=16 sets `lanes`. Secrets are not shown.
"""


@click.command(help=_HELP)
@json_option
def config(*, as_json: bool) -> None:
    """See the help above."""
    found = loaded()
    rows = [
        {
            "setting": name,
            "value": _shown(getattr(found.settings, name)),
            "source": found.sources[name],
            "variable": PREFIX + name.upper(),
            "description": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("SETTING", "VALUE", "SOURCE", "WHAT IT IS"),
        [(row["setting"], row["value"], row["source"], row["description"]) for row in rows],
    )


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return SECRET if value.get_secret_value() else ""
    if value is None:
        return ""
    return value if isinstance(value, bool | int | float) else str(value)
