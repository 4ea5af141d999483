"""Fixtures for all tests: a Kafka to test against, and names that no other test has."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.shared_kafka import kafka_for_tests

settings.register_profile(
    "hopline",
    # Tests share their machine with a broker: how long one example takes says nothing.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hopline")

_NUMBERS: Final = itertools.count(1)


HEAVY: Final = frozenset({"integration", "chaos"})
"""Folders whose tests start brokers and workers of their own: never two of those at a time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the heavy tests in one process when there are several; the others are shared out one by one."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in HEAVY:
            item.add_marker(pytest.mark.xdist_group("heavy"))


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this run have in common."""
    base = factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared-kafka"


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Kafka, one for the whole run. Make topics of your own: `unique` names them."""
    with kafka_for_tests(_shared_folder(tmp_path_factory)) as address:
        yield address


@pytest.fixture
def unique() -> str:
    """A name that no other test of this run has, fit for topics, groups and transactional ids."""
    return f"test-{os.getpid()}-{next(_NUMBERS)}"
