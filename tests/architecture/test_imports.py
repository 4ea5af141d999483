"""Imports point one way, and the core is pure when it runs, not only by its own import lines."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.architecture.tree import ROOT

SECONDS_MAX: Final = 100
IMPURE: Final = ("faust", "mode", "aiokafka", "asyncio", "opentelemetry", "prometheus_client", "rocksdict", "socket")
IMPORT_ALL: Final = f"""
import importlib, pkgutil, sys
before = set(sys.modules)
import processors
for found in pkgutil.walk_packages(processors.__path__, "processors."):
    importlib.import_module(found.name)
roots = {{name.split(".")[0] for name in set(sys.modules) - before}}
print(*sorted(roots & set({IMPURE!r})))
"""


def test_importing_the_whole_core_brings_nothing_impure_along() -> None:
    # The contract below reads import lines; this sees importlib and what libraries import.
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert run.returncode == 0, run.stderr
    assert not run.stdout.split(), f"the core brought these along: {run.stdout.strip()}"


def test_the_contracts_between_layers_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
