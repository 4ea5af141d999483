"""The compose file as data: read once, with its variables as `.env.example` has them."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.architecture.tree import ROOT

COMPOSE: Final = ROOT / "compose.yaml"
EXAMPLE: Final = ROOT / ".env.example"
VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@cache
def text() -> str:
    """Return the file as it stands."""
    return COMPOSE.read_text(encoding="utf-8")


@cache
def examples() -> dict[str, str]:
    """Return what `.env.example` sets."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


@cache
def content() -> dict[str, Any]:
    """Return what it says, with each variable at its default."""
    found: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda match: match[2] or "", text()))
    return found


def services() -> dict[str, dict[str, Any]]:
    """Return the services by name."""
    found: dict[str, dict[str, Any]] = content()["services"]
    return found


def environment(name: str) -> dict[str, str]:
    """Return a service's environment."""
    return {key: str(value) for key, value in services()[name].get("environment", {}).items()}


def mounts(name: str) -> list[tuple[str, str, str]]:
    """Return a service's mounts: source, target, mode."""
    found = []
    for line in services()[name].get("volumes", ()):
        source, target, *mode = line.split(":")
        found.append((source, target, mode[0] if mode else "rw"))
    return found


def of_this_machine(source: str) -> Path | None:
    """Return the path of a mount's source; None: it is a volume of Docker's."""
    return ROOT / source if source.startswith("./") else None
