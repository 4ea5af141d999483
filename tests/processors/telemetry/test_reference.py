"""The reference page is made from the data, and is as fresh as that."""

from processors.telemetry import catalogue, events
from processors.telemetry.reference import page
from tests.architecture.tree import ROOT


def test_the_page_in_the_docs_is_the_one_that_is_made() -> None:
    there = (ROOT / "docs/telemetry-reference.md").read_text(encoding="utf-8")
    assert there == page(), "write it anew: hopline telemetry catalogue --page > docs/telemetry-reference.md"


def test_it_has_everything() -> None:
    made = page()
    names = [one.name for one in events.EVENTS] + [one.name for one in catalogue.METRICS]
    assert all(f"| `{name}` |" in made for name in names)
