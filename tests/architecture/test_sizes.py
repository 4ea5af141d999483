"""Modules and functions stay small, and each module says first what it is."""

import ast
from typing import Final

from tests.architecture.tree import modules

MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = [f"{each.path}: {len(each.lines)} lines" for each in modules() if len(each.lines) > MODULE_LINES_MAX]
    assert not long, f"more than {MODULE_LINES_MAX} lines: split by what each part is for"


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{module.path}:{node.lineno} {node.name}: {length} lines"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long, f"more than {FUNCTION_LINES_MAX} lines: give its parts names"


def test_each_module_starts_by_saying_what_it_is() -> None:
    silent = [each.path for each in modules() if not (ast.get_docstring(each.tree) or "").strip()]
    assert not silent, "no docstring at the top"
