"""What the page is made of, by rules that a search can check: text stays text, nothing from elsewhere, small files."""

import re
from pathlib import Path
from typing import Final

import pytest

from streams.gateway.console import TYPES, Console
from tests.architecture.tree import ROOT

FOLDER: Final = ROOT / "streams" / "console"
MODULE_LINES_MAX: Final = 400
BYTES_MAX: Final = 250_000
BANNED: Final = {
    "markup out of text": re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\.srcdoc|setHTML"
    ),
    "code out of text": re.compile(r"\beval\s*\(|new Function\b|\bFunction\(|set(?:Timeout|Interval)\(\s*[\"'`]"),
    "another site": re.compile(r"https?://(?!www\.w3\.org/2000/svg)[\w.]|[\"'(]//[\w.]|@import"),
    "inline style or code": re.compile(r"<style|<script(?![^>]*\bsrc=)[^>]*>|\sstyle=|\son[a-z]+=\"|javascript:(?!`)"),
    "a key in an address": re.compile(r"searchParams\.set\([\"'](?:key|token|authorization)", re.IGNORECASE),
    "a stream without its key": re.compile(r"new (?:EventSource|WebSocket)\("),
}
PLANTED: Final = {
    "markup out of text": "node.innerHTML = label",
    "code out of text": "setTimeout('go()', 1)",
    "another site": '<link href="https://fonts.example/a.css">',
    "inline style or code": "<script>go()</script>",
    "a key in an address": 'url.searchParams.set("key", key)',
    "a stream without its key": 'new EventSource("/v1")',
}
IMPORT: Final = re.compile(r"^(?:import|export) [^\"]*from \"\./([\w.]+)\";$", re.MULTILINE)


def _files() -> list[Path]:
    return sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"})


def _code(path: Path) -> str:
    """Return a file's text without its comments, which may name what is banned."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"(?m)(^|\s)// .*$", "", text)


def _hits(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.name}: {found[0]}"
        for path in _files()
        if path.suffix != ".svg"
        for found in pattern.finditer(_code(path))
    ]


@pytest.mark.parametrize("what", BANNED)
def test_no_file_holds(what: str) -> None:
    assert not _hits(BANNED[what])


@pytest.mark.parametrize("what", BANNED)
def test_the_search_finds_what_is_planted(what: str) -> None:
    assert BANNED[what].search(PLANTED[what])


def test_each_file_is_served_small_and_says_first_what_it_is() -> None:
    served = Console().pages
    names = {path.relative_to(FOLDER).as_posix() for path in _files()}
    assert names == set(served)
    assert all(path.suffix[1:] in TYPES for path in _files())
    assert sum(len(page.content) for page in served.values()) < BYTES_MAX
    for path in _files():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= MODULE_LINES_MAX, path
        if path.suffix in {".js", ".css"}:
            assert re.match(r"// \w|/\* \w", lines[0]), path


def test_each_module_is_used_and_each_import_is_there() -> None:
    modules = {path.name: path for path in _files() if path.suffix == ".js"}
    imported = {
        name: set(IMPORT.findall(path.read_text(encoding="utf-8")))
        | set(re.findall(r"import\(\"\./([\w.]+)\"\)", path.read_text(encoding="utf-8")))
        for name, path in modules.items()
    }
    assert set().union(*imported.values()) <= set(modules)
    reached, waiting = set[str](), ["main.js", "early.js"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(imported[name])
    assert reached == set(modules)


def test_each_name_that_is_imported_is_exported() -> None:
    modules = {path.name: path.read_text(encoding="utf-8") for path in _files() if path.suffix == ".js"}
    for name, text in modules.items():
        for names, source in re.findall(r"import \{([^}]*)\} from \"\./([\w.]+)\"", text):
            for each in (part.strip() for part in names.split(",") if part.strip()):
                found = re.search(
                    rf"export (?:async )?(?:function|class|const|let) {re.escape(each)}\b", modules[source]
                )
                assert found, f"{name} wants {each} of {source}"
                assert len(re.findall(rf"\b{re.escape(each)}\b", text)) > 1, f"{name} does not use {each}"
