"""One hop, one name, five places; and each metric and topic has one home."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from processors import HOPS
from processors.telemetry import events
from processors.telemetry.event import Event
from processors.vocabulary import topics
from tests.architecture.tree import ROOT, Module, modules, parse

PLACES: Final = (
    "processors/{hop}/__init__.py",
    "streams/agents/{hop}.py",
    "dashboards/{hop}.py",
    "alerts/{hop}.py",
    "tests/processors/{hop}",
)
METRICS_HOME: Final = "processors/telemetry/catalogue.py"
TOPICS_HOME: Final = "processors/vocabulary/topics.py"
METRIC: Final = re.compile(r"\bhopline_[a-z0-9_]+")
TOPIC_NAMES: Final = frozenset(
    value for name, value in vars(topics).items() if name.isupper() and isinstance(value, str)
)
TELLING_TOPIC_NAMES: Final = frozenset(name for name in TOPIC_NAMES if not name.isalpha())
"""Those that mean nothing else. `state` or `commands` may be a word like any other."""
TAKES_A_TOPIC: Final = {"TopicPartition", "NewTopic", "Topic", "physical"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("hop", HOPS)
def test_each_hop_stands_in_all_five_places(hop: str, place: str) -> None:
    expected = place.format(hop=hop)
    assert (ROOT / expected).exists(), f"the hop {hop} has no {expected}"


def test_each_topic_name_has_one_home() -> None:
    found = [each for module in modules() if module.package != "tests" for each in topic_literals(module)]
    assert not found, f"refer to {TOPICS_HOME} instead"


def test_each_metric_name_has_one_home() -> None:
    found = [each for module in modules() if module.package != "tests" for each in metric_literals(module)]
    assert not found, f"refer to {METRICS_HOME} instead"


def test_both_searches_find_what_is_planted() -> None:
    planted = parse(
        "streams/planted.py", 'a = TopicPartition("state", 1)\nb = "dead-letters"\nc = "x hopline_lag_records"'
    )
    assert len(list(topic_literals(planted))) == 2
    assert len(list(metric_literals(planted))) == 1
    spared = parse("streams/planted.py", '"""Writes `dead-letters` and hopline_lag_records."""\nname = "state"')
    assert not list(topic_literals(spared))
    assert not list(metric_literals(spared))


def metric_literals(module: Module) -> Iterator[str]:
    """Yield where a metric is named outside of the catalogue."""
    if module.path != METRICS_HOME:
        for constant, text in _literals(module):
            for name in METRIC.findall(text):
                yield f"{module.path}:{constant.lineno} {name}"


def topic_literals(module: Module) -> Iterator[str]:
    """Yield where a topic is named outside of the vocabulary."""
    if module.path == TOPICS_HOME:
        return
    for constant, text in _literals(module):
        if text in TELLING_TOPIC_NAMES:
            yield f"{module.path}:{constant.lineno} {text}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in TAKES_A_TOPIC:
            first = node.args[0]
            if isinstance(first, ast.Constant) and first.value in TOPIC_NAMES - TELLING_TOPIC_NAMES:
                yield f"{module.path}:{first.lineno} {first.value}"


def _literals(module: Module) -> Iterator[tuple[ast.Constant, str]]:
    """Yield the string literals; a string that stands alone is a docstring."""
    prose = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node, node.value


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def test_each_event_that_somebody_tells_is_told() -> None:
    home = "processors/telemetry/events.py"
    names = {name for name, value in vars(events).items() if isinstance(value, Event) and value.by}
    said = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for module in modules()
        if module.package in {"processors", "streams"} and module.path != home
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute | ast.Name)
    }
    untold = {name for name in names if name not in said and not vars(events)[name].from_signals}
    assert not untold, "declared as told by some process, and told nowhere"
