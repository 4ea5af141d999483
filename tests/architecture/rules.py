"""The pre-integration rules: what no module may do, why, and an example of each that the rule must find.

To add one: write a function that yields `(line, what)` for a module, and put a `Rule` with its reason, a planted
example and a clean one into `RULES`. `test_rules.py` proves that it fires, that it spares, and that the tree keeps it.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.architecture.tree import Module

Finding: TypeAlias = tuple[int, str]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

BOUNDARY: Final = re.compile(r"#\s*boundary:\s*\S")
TRUSTED: Final = re.compile(r"#\s*trusted:\s*\S")
FOREVER: Final = re.compile(r"#\s*forever:\s*\S")
CLOCKS: Final = {"now", "utcnow", "today"}
CLOCK_OWNERS: Final = {"datetime", "date"}
CORE_BANNED_MODULES: Final = {"random", "secrets", "time", "uuid", "os", "io", "locale"}
CORE_BANNED_CALLS: Final = {"open", "print", "input", "hash", "id"}
UNSAFE_MODULES: Final = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
UNSAFE_CALLS: Final = {"eval", "exec"}
BLIND: Final = {"Exception", "BaseException"}
RUNS: Final = {"run", "check_call", "check_output", "call"}
PROVES: Final = re.compile(r"^_*(assert|check|verify|ensure|expect|raises|warns|fail|run_state_machine)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that no module may do."""

    name: str
    reason: str
    packages: tuple[str, ...]
    find: Callable[[Module], Iterator[Finding]]
    planted: str
    clean: str

    def violations(self, module: Module) -> list[str]:
        """Return where the module breaks the rule."""
        if module.package not in self.packages:
            return []
        return [f"{module.path}:{line} {what}" for line, what in self.find(module)]


EVERYWHERE: Final = ("processors", "streams", "dashboards", "alerts", "bench", "tests")
SHELL: Final = ("streams", "bench", "tests")


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a name or an attribute of one, else nothing."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            return f"{dotted(owner)}.{name}"
        case _:
            return ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield each call below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node


def functions(module: Module) -> Iterator[Function]:
    """Yield each function of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the top-level name of each import."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.split(".")[0]


def _own(function: Function) -> Iterator[ast.AST]:
    """Yield what a function does itself, without the functions inside of it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _given(call: ast.Call, *names: str) -> bool:
    """Whether a call names one of these arguments with something other than None, or passes `**` along."""
    for keyword in call.keywords:
        if keyword.arg is None:
            return True
        if keyword.arg in names:
            return not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None)
    return False


def blocking_sleep(module: Module) -> Iterator[Finding]:
    for function in functions(module):
        if isinstance(function, ast.AsyncFunctionDef):
            for node in _own(function):
                if isinstance(node, ast.Call) and dotted(node.func) == "time.sleep":
                    yield node.lineno, "time.sleep in a coroutine"


def sleep_for_luck(module: Module) -> Iterator[Finding]:
    for call in calls(module.tree):
        if dotted(call.func) in {"asyncio.sleep", "time.sleep"} and call.args:
            match call.args[0]:
                case ast.Constant(value=int() | float() as seconds) if seconds > 0:
                    yield call.lineno, f"sleeps for {seconds} s"


def naive_clock(module: Module) -> Iterator[Finding]:
    for call in calls(module.tree):
        name = dotted(call.func)
        owner, _, last = name.rpartition(".")
        if last in CLOCKS and owner.split(".")[-1] in CLOCK_OWNERS:
            yield call.lineno, name


def impure_core(module: Module) -> Iterator[Finding]:
    for line, name in imports(module):
        if name in CORE_BANNED_MODULES:
            yield line, f"import {name}"
    for call in calls(module.tree):
        if isinstance(call.func, ast.Name) and call.func.id in CORE_BANNED_CALLS:
            yield call.lineno, f"{call.func.id}()"


def global_state(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}"


def unsafe_code(module: Module) -> Iterator[Finding]:
    for line, name in imports(module):
        if name in UNSAFE_MODULES:
            yield line, f"import {name}"
    for call in calls(module.tree):
        unsafe = isinstance(call.func, ast.Name) and call.func.id in UNSAFE_CALLS
        if unsafe and not _says(TRUSTED, module, call.lineno, call.end_lineno or call.lineno):
            yield call.lineno, f"{dotted(call.func)}() without `# trusted: whose code it is`"


def catch_all(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and _is_blind(node.type) and not _passes_on(node):
            if not _says(BOUNDARY, module, node.lineno, node.body[0].lineno):
                yield node.lineno, "a catch-all handler without `# boundary: why`"
        elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "suppress":
            blind = any(_is_blind(argument) for argument in node.args)
            if blind and not _says(BOUNDARY, module, node.lineno, node.lineno):
                yield node.lineno, "suppresses everything without `# boundary: why`"


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether it cleans up and raises the same again: that hides nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_blind(caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Tuple(elts=several):
            return any(_is_blind(each) for each in several)
        case _:
            return dotted(caught).split(".")[-1] in BLIND


def _says(pattern: re.Pattern[str], module: Module, first: int, last: int) -> bool:
    return any(pattern.search(module.line(number)) for number in range(first, last + 1))


def endless_wait(module: Module) -> Iterator[Finding]:
    awaited = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Await)}
    for call in calls(module.tree):
        what = _endless(call, awaited=id(call) in awaited)
        if what and not _says(FOREVER, module, call.lineno, call.end_lineno or call.lineno):
            yield call.lineno, f"{what} without a limit"


def _endless(call: ast.Call, *, awaited: bool) -> str:  # one case after the other
    name = dotted(call.func)
    owner, _, last = name.rpartition(".")
    for keyword in call.keywords:
        if keyword.arg in {"timeout", "total", "timeout_ms"} and _is_none(keyword.value):
            return f"{name}({keyword.arg}=None)"
    if owner == "asyncio" and last in {"timeout", "wait_for"} and call.args and _is_none(call.args[-1]):
        return f"{name}(None)"
    if owner == "subprocess" and last in RUNS and not _given(call, "timeout"):
        return name
    if last == "communicate" and not awaited and not _given(call, "timeout"):
        return name
    if name in {"socket.create_connection", "urllib.request.urlopen"} and not _given(call, "timeout"):
        return "" if len(call.args) > 1 else name
    if name == "select.select" and len(call.args) < 4:
        return name
    if call.args or call.keywords or awaited:
        return ""
    if last in {"join", "wait"} or (last == "get" and "queue" in owner.lower()):
        return f"{name}()"
    return ""


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def proves_nothing(module: Module) -> Iterator[Finding]:
    for function in functions(module):
        if function.name.startswith("test_") and not _proves(function):
            yield function.lineno, f"{function.name} asserts nothing"


def _proves(function: Function) -> bool:
    for node in ast.walk(function):
        # Hypothesis: that nothing is raised, whatever comes in, is worth a test.
        if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "given":
            return True
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call) and PROVES.match(dotted(node.func).split(".")[-1]):
            return True
    return False


def skipped_in_silence(module: Module) -> Iterator[Finding]:
    for call in calls(module.tree):
        name = dotted(call.func)
        last = name.split(".")[-1]
        if name.startswith("pytest.mark.") and last in {"skip", "skipif", "xfail"} and not _given(call, "reason"):
            yield call.lineno, f"{name} without a reason"
        if name in {"pytest.skip", "pytest.xfail"} and not call.args and not _given(call, "reason"):
            yield call.lineno, f"{name} without a reason"
    for function in functions(module):
        for mark in function.decorator_list:
            if dotted(mark) in {"pytest.mark.skip", "pytest.mark.xfail"}:
                yield mark.lineno, f"{dotted(mark)} without a reason"


def unfinished(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if dotted(raised) == "NotImplementedError":
                yield node.lineno, "raises NotImplementedError"


RULES: Final = (
    Rule(
        "no blocking sleep in a coroutine",
        "It stops every lane of the process. Await asyncio.sleep, or better what you are waiting for.",
        EVERYWHERE,
        blocking_sleep,
        planted="import time\nasync def f():\n    time.sleep(0.1)\n",
        clean="import asyncio\nasync def f():\n    await asyncio.sleep(0)\n",
    ),
    Rule(
        "no sleep for luck in tests",
        "It is too long on a fast machine and too short on a busy one. Await the condition, with a limit.",
        ("tests",),
        sleep_for_luck,
        planted="import asyncio\nasync def test_f():\n    await asyncio.sleep(0.5)\n    assert True\n",
        clean="import asyncio\nasync def until(look_seconds):\n    await asyncio.sleep(look_seconds)\n",
    ),
    Rule(
        "no clock of the day",
        "Time is an argument in the core (`now_ms`), and milliseconds since the epoch everywhere: without a zone.",
        EVERYWHERE,
        naive_clock,
        planted="import datetime\nx = datetime.datetime.utcnow()\n",
        clean="import time\nx = time.time_ns() // 1_000_000\n",
    ),
    Rule(
        "the core is a function of its input",
        "Clock, randomness, files and hash() (which differs from process to process) would make a replay differ.",
        ("processors",),
        impure_core,
        planted="import random\nx = hash('a')\n",
        clean="from hashlib import blake2b\nx = blake2b(b'a').digest()\n",
    ),
    Rule(
        "no global state",
        "A function that changes its module cannot be run twice side by side. Hand the state over.",
        EVERYWHERE,
        global_state,
        planted="seen = 0\ndef f():\n    global seen\n    seen += 1\n",
        clean="def f(seen: int) -> int:\n    return seen + 1\n",
    ),
    Rule(
        "no code from data",
        "eval, exec and pickle run what somebody sent. `# trusted: …` names the one that runs our own.",
        EVERYWHERE,
        unsafe_code,
        planted="import pickle\nx = eval('1')\n",
        clean="import json\nx = json.loads('1')\nexec(own)  # trusted: a module of this tree\n",
    ),
    Rule(
        "a catch-all says why it is one",
        "It hides bugs, except at a boundary that must hold whatever happens: `# boundary: why` names that one.",
        EVERYWHERE,
        catch_all,
        planted="try:\n    x = 1\nexcept Exception:\n    x = 2\n",
        clean="try:\n    x = 1\nexcept Exception:  # boundary: a plugin may raise anything\n    x = 2\n",
    ),
    Rule(
        "no wait without a limit",
        "What is waited for may be gone. Give a time-out, or say `# forever: why` where none can be.",
        SHELL,
        endless_wait,
        planted="import subprocess\nsubprocess.run(['ls'])\nthread.join()\n",
        clean="import subprocess\nsubprocess.run(['ls'], timeout=5)\nstop.wait()  # forever: until Ctrl-C\n",
    ),
    Rule(
        "a test proves something",
        "A test that asserts nothing passes whatever the code does.",
        ("tests",),
        proves_nothing,
        planted="def test_f():\n    f()\n",
        clean="def test_f():\n    assert f() == 1\ndef test_g():\n    check_all(f())\n",
    ),
    Rule(
        "a skipped test says why",
        "Who reads the report must be able to tell whether it matters.",
        ("tests",),
        skipped_in_silence,
        planted="import pytest\n@pytest.mark.skip\ndef test_f():\n    assert True\n",
        clean="import pytest\n@pytest.mark.skipif(True, reason='needs Docker')\ndef test_f():\n    assert True\n",
    ),
    Rule(
        "nothing unfinished",
        "What raises NotImplementedError is found by a user. Leave it out until it is there.",
        EVERYWHERE,
        unfinished,
        planted="def f():\n    raise NotImplementedError\n",
        clean="def f():\n    raise ValueError('no such thing')\n",
    ),
)
