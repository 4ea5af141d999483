"""Homes of history to test with: SQLite in a folder, and a real PostgreSQL where its package is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.history.postgres import PostgresHome
from streams.history.sqlite import SqliteHome
from streams.history.store import Home
from tests.streams.history.made import BINARIES, postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL made for this run."""
    if not (BINARIES / "postgres").exists():
        pytest.skip(f"there is no PostgreSQL 15 in {BINARIES}: apt-get install postgresql")
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """An empty home of history, in each database."""
    if request.param == "sqlite":
        yield SqliteHome(tmp_path / "history")
        return
    found = PostgresHome(request.getfixturevalue("postgres_url"))
    # Others write into the same database without this fixture, and leave behind what they wrote.
    found.publish(found.fresh())
    yield found
    found.publish(found.fresh())
