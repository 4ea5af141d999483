"""The tree as the architecture tests see it: its modules, parsed once, and its files."""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("processors", "streams", "dashboards", "alerts", "bench", "tests")
GENERATED: Final = re.compile(r"(^|/)(generated|node_modules)/")
GIT_SECONDS_MAX: Final = 30
UNTRACKED: Final = {".git", ".venv", ".venv-bench", ".venv-lock", ".hopline", "__pycache__", "node_modules", "mutants"}


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file: where it stands below the root, its lines, its syntax tree."""

    path: str
    lines: tuple[str, ...]
    tree: ast.Module

    @property
    def package(self) -> str:
        """The top-level package that it belongs to."""
        return self.path.split("/", 1)[0]

    def line(self, number: int) -> str:
        """Return a line by its number, as syntax trees count them."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def parse(path: str, source: str) -> Module:
    """Return a module of this source, as if it stood at this path."""
    return Module(path, tuple(source.splitlines()), ast.parse(source, path))


@cache
def modules() -> tuple[Module, ...]:
    """Return each module of the project that a person wrote."""
    return tuple(parse(path, (ROOT / path).read_text(encoding="utf-8")) for path in _python_files())


def _python_files() -> Iterator[str]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT).as_posix()
            if not GENERATED.search(relative):
                yield relative


@cache
def files() -> tuple[str, ...]:
    """Return what is tracked or soon will be; without git, what a checkout holds."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=GIT_SECONDS_MAX, check=True)
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return tuple(sorted(path.as_posix() for path in found if not UNTRACKED & set(path.parts)))
    names = run.stdout.decode().split("\0")
    return tuple(sorted(name for name in names if name and (ROOT / name).is_file()))


def text_of(name: str) -> str | None:
    """Return a file's text, None if it is not text."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
