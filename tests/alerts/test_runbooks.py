"""Runbooks name what there is: commands with their options, metrics that somebody shows, headings that are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from alerts.__main__ import ROOT
from alerts.runbooks import FOLDER
from processors.telemetry import catalogue
from processors.telemetry.promql import PromqlError, parse
from streams.cli.main import cli

PAGES: Final = sorted((ROOT / FOLDER).glob("*.md"))
CODE: Final = re.compile(r"`([^`]+)`")
METRIC: Final = re.compile(r"\bhopline_[a-z0-9_]+")
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
SHOWN: Final = {metric.name for metric in catalogue.METRICS} | {
    f"{metric.name}{suffix}"
    for metric in catalogue.METRICS
    if metric.kind is catalogue.Kind.HISTOGRAM
    for suffix in ("_bucket", "_sum", "_count")
}

each_page = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


def spans(text: str) -> Iterator[str]:
    """Yield what stands as code, each on one line."""
    return (" ".join(span.split()) for span in CODE.findall(text))


def wrong_commands(text: str) -> list[str]:
    """Return the commands of `hopline` that there are not, or not with these options."""
    return [f"{span}: {why}" for span in spans(text) if re.match(r"hopline [a-z]", span) and (why := _wrong(span))]


def _wrong(span: str) -> str:
    words = shlex.split(span)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"there is no {words[0]}"
        command, words = found, words[1:]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    return ", ".join(f"no option {word}" for word in words if word.startswith("--") and word not in known)


def wrong_queries(text: str) -> list[str]:
    """Return what cannot be asked: metrics that nobody shows, expressions that are none."""
    found = []
    for span in spans(text):
        names = METRIC.findall(span)
        found += [f"{name} is shown by nobody" for name in names if name not in SHOWN]
        if names and set(names) <= SHOWN:
            try:
                parse(span.replace('{instance="INSTANCE"}', '{instance="i"}'))
            except PromqlError as error:
                found.append(f"{span}: {error}")
    return found


def anchors(path: Path) -> set[str]:
    """Return the names of a page's headings."""
    titles = HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path, text: str) -> list[str]:
    """Return the links to pages or headings that are not there."""
    found = []
    for link in LINK.findall(text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.is_file() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            found.append(link)
    return found


@each_page
def test_its_commands_are_there(page: Path) -> None:
    assert not wrong_commands(page.read_text(encoding="utf-8"))


@each_page
def test_its_metrics_are_there_and_can_be_asked_for(page: Path) -> None:
    assert not wrong_queries(page.read_text(encoding="utf-8"))


@each_page
def test_its_links_lead_somewhere(page: Path) -> None:
    assert not broken_links(page, page.read_text(encoding="utf-8"))


def test_what_is_wrong_is_found() -> None:
    assert not wrong_commands(
        "`hopline topics --lanes` `hopline tenants set TENANT --rate 2` `hopline limits` `hopline_lag_seconds`"
    )
    assert len(wrong_commands("`hopline topics --rows`, `hopline alerts rules`, `hopline lanes`")) == 3
    assert len(wrong_queries("`max(hopline_lag_minutes)` and `max(hopline_lag_seconds`")) == 2
    page = PAGES[0]
    assert broken_links(page, "[a](none.md) [b](lag.md#none) [c](lag.md#laghigh)") == ["none.md", "lag.md#none"]
