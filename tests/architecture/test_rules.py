"""The pre-integration rules hold in the whole tree, and each of them is able to find something."""

import pytest

from tests.architecture.rules import RULES, Rule
from tests.architecture.tree import modules, parse

each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.name.replace(" ", "-") for rule in RULES])


@each_rule
def test_the_tree_keeps_it(rule: Rule) -> None:
    broken = [each for module in modules() for each in rule.violations(module)]
    assert not broken, rule.reason


@each_rule
def test_it_finds_what_is_planted(rule: Rule) -> None:
    assert rule.violations(parse(f"{rule.packages[0]}/planted.py", rule.planted))


@each_rule
def test_it_spares_what_is_clean(rule: Rule) -> None:
    assert not rule.violations(parse(f"{rule.packages[0]}/clean.py", rule.clean))


@pytest.mark.parametrize(
    "source",
    [
        "except_tuple = 1\ntry:\n    x = 1\nexcept (ValueError, Exception):\n    x = 2\n",
        "try:\n    x = 1\nexcept:\n    x = 2\n",
        "try:\n    x = 1\nexcept BaseException as error:\n    raise ValueError from error\n",
        "from contextlib import suppress\nwith suppress(Exception):\n    x = 1\n",
    ],
)
def test_every_kind_of_catch_all_is_found(source: str) -> None:
    rule = next(each for each in RULES if each.name == "a catch-all says why it is one")
    assert rule.violations(parse("streams/planted.py", source))


@pytest.mark.parametrize(
    "source",
    [
        "thread.join()",
        "event.wait()",
        "queue.get()",
        "future.result(timeout=None)",
        "process.communicate()",
        "subprocess.check_output(['ls'])",
        "subprocess.run(['ls'], timeout=None)",
        "socket.create_connection(('localhost', 1))",
        "select.select([0], [], [])",
        "asyncio.timeout(None)",
        "ClientTimeout(total=None)",
    ],
)
def test_every_kind_of_endless_wait_is_found(source: str) -> None:
    rule = next(each for each in RULES if each.name == "no wait without a limit")
    assert rule.violations(parse("streams/planted.py", source))


@pytest.mark.parametrize("source", ["', '.join(names)", "thread.join(5)", "queue.get(timeout=1)", "names.get('a')"])
def test_what_only_looks_like_an_endless_wait_is_spared(source: str) -> None:
    rule = next(each for each in RULES if each.name == "no wait without a limit")
    assert not rule.violations(parse("streams/planted.py", source))
