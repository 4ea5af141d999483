"""The image: what it is built from, what stays in it, who runs in it."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from tests.architecture.tree import ROOT

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES: Final = [line.strip() for line in DOCKERFILE.splitlines() if line.strip() and not line.startswith("#")]
SECONDS_MAX: Final = 100
TOOLS: Final = {"pytest", "mypy", "ruff", "selenium", "schemathesis", "pyyaml", "pip", "setuptools", "hypothesis"}
IMPORT_ALL: Final = """
import importlib, pkgutil, sys
gone = set(sys.argv[1].split(","))
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in gone:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)
sys.meta_path.insert(0, Gone())
for root in ("processors", "streams", "alerts", "dashboards"):
    for found in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
"""


def pruning() -> tuple[frozenset[str], list[str]]:
    """Return what the image keeps of what is installed here, and what it loses."""
    script = runpy.run_path(str(ROOT / "deploy" / "prune.py"))
    needed: Callable[[], frozenset[str]] = script["needed"]
    unneeded: Callable[[], list[str]] = script["unneeded"]
    return needed(), unneeded()


def test_packages_are_checked_against_their_hashes() -> None:
    installing = [line for line in LINES if "pip install" in line]
    assert len(installing) == 2
    assert "--require-hashes" in installing[0]
    assert "-r requirements.lock" in installing[0]
    # The second installs Hopline itself, from what is there.
    assert "--no-index" in installing[1]
    assert "--no-deps" in installing[1]


def test_each_stage_begins_with_one_version() -> None:
    assert re.search(r"^ARG PYTHON=3\.1[12]\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert [line.split()[1] for line in LINES if line.startswith("FROM")] == ["python:${PYTHON}"] * 2


def test_it_does_not_run_as_root() -> None:
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER (?!0|root)\d+:\d+$", last, re.MULTILINE)
    assert last.index("USER") < last.index("ENTRYPOINT")


def test_what_is_copied_is_there_and_let_in() -> None:
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_in[1] == "*"
    for line in LINES:
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists()
                assert f"!{source.removeprefix('./')}" in let_in


def test_no_secret_and_no_data_is_let_in() -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert not {"data", ".env", ".git", "hopline.toml", "tests", "."} & let_in
    assert {each for each in let_in if each.startswith("deploy")} == {"deploy", "deploy/prune.py"}


def test_the_developers_tools_are_taken_out_and_nothing_that_is_needed() -> None:
    needed, unneeded = pruning()
    assert set(unneeded) >= TOOLS
    assert {"hopline", "faust-streaming", "aiokafka", "psycopg", "psycopg-binary", "rocksdict", "uvloop"} <= needed
    assert not needed & set(unneeded)


def test_every_module_can_be_imported_without_what_is_taken_out() -> None:
    from importlib.metadata import packages_distributions  # noqa: PLC0415  # only here

    _, unneeded = pruning()
    plain = {
        name: {each.lower().replace("_", "-").replace(".", "-") for each in owners}
        for name, owners in packages_distributions().items()
    }
    gone = sorted(name for name, owners in plain.items() if owners <= set(unneeded))
    assert "pytest" in gone
    command = [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, ",".join(gone)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert run.returncode == 0, run.stderr[-2_000:]
