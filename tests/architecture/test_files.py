"""No file names a package registry or a path of one machine, and lock files hold versions and hashes alone."""

import re
from typing import Final

import pytest

from tests.architecture.tree import ROOT, files, text_of

REGISTRY: Final = re.compile(
    r"pypi\.org|pythonhosted\.org|piwheels\.org|anaconda\.org"
    r"|repo1?\.maven|maven\.(org|apache)|oss\.sonatype|jitpack\.io"
    r"|npmjs\.(org|com)|yarnpkg\.com|jsr\.io|unpkg\.com|jsdelivr\.net"
    r"|docker\.io|ghcr\.io|quay\.io|gcr\.io|crates\.io|rubygems\.org|proxy\.golang\.org"
)
MACHINE: Final = re.compile(r"(?<![\w.:/-])/(work|tmp|root|home|Users|opt)/\w")
"""An absolute path that only some machine has."""
LOCK_LINE: Final = re.compile(
    r"#.*|"
    r"[a-z0-9][a-z0-9._-]*==[A-Za-z0-9.!+]+( ; [^\\]+)? \\|"
    r"    --hash=sha256:[0-9a-f]{64}( \\)?|"
)


def _hits(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number} {found[0]}"
        for name in files()
        for number, line in enumerate((text_of(name) or "").splitlines(), start=1)
        if (found := pattern.search(line))
    ]


def test_no_file_names_a_package_registry() -> None:
    assert not _hits(REGISTRY)


def test_no_file_names_a_path_of_one_machine() -> None:
    assert not _hits(MACHINE)


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("*.lock")))
def test_a_lock_file_holds_versions_and_hashes_alone(lock: str) -> None:
    lines = (ROOT / lock).read_text(encoding="ascii").splitlines()
    strange = [f"{lock}:{number} {line}" for number, line in enumerate(lines, start=1) if not LOCK_LINE.fullmatch(line)]
    assert not strange
    assert sum("==" in line for line in lines) > 10


@pytest.mark.parametrize(
    "pattern,planted",
    [
        (REGISTRY, "--index-url https:" + "//pypi" + ".org/simple"),
        (REGISTRY, "image: ghcr" + ".io/someone/something"),
        (MACHINE, "cat /" + "work/data"),
        (MACHINE, "cd " + "/home" + "/me"),
    ],
)
def test_the_searches_find_what_is_planted(pattern: re.Pattern[str], planted: str) -> None:
    assert pattern.search(planted)


@pytest.mark.parametrize(
    "line", ["aiokafka==0.14.0 @ https:" + "//example.com/a.whl", "--index-url x", "aiokafka>=0.14"]
)
def test_a_lock_line_with_anything_else_is_found(line: str) -> None:
    assert not LOCK_LINE.fullmatch(line)
