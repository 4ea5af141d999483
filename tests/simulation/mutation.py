"""Plant a bug: take a function's source, change one place in it, and put the result where the function was."""

import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


class MisfitError(Exception):
    """The place that a bug changes is not in the code any more: adapt the bug."""


@dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug: the rule of the design that it breaks, and the change that breaks it."""

    name: str
    rule: str
    where: str
    """`module:function` or `module:Class.method`."""
    changes: Mapping[str, str]
    """What stands there, and what stands there instead."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Run with the bug in the code."""
        module_name, _, path = self.where.partition(":")
        module = importlib.import_module(module_name)
        owner: Any = module
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        mutant = self._mutant(module_name, owner, name)
        with patch.object(owner, name, mutant):
            yield

    def _mutant(self, module_name: str, owner: object, name: str) -> object:
        source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
        for old, new in self.changes.items():
            if source.count(old) != 1:
                message = f"{self.name}: {old!r} stands {source.count(old)} times in {self.where}"
                raise MisfitError(message)
            source = source.replace(old, new)
        found: dict[str, object] = {}
        code = compile(source, f"<{self.name}>", "exec")
        # The mutant sees its module's names as the original does, also those that change later.
        exec(code, vars(sys.modules[module_name]), found)  # noqa: S102  # trusted: a function of this tree
        return found[name]
