"""`python -m tests.console.screenshots`: the pictures in docs/images, of canned answers or of a gateway that runs.

Canned by default, so that anybody gets the same ones; `--url http://127.0.0.1:8080/console/` takes them of that one.
"""

import argparse
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.architecture.tree import ROOT
from tests.console.browser import MISSING, Page, browser
from tests.console.serving import serving

FOLDER: Final = ROOT / "docs" / "images"
BYTES_MAX: Final = 150_000
PICTURES: Final = (
    # name, where, theme, size, what must be there first
    ("light", "#/", "light", (1_280, 980), ".map .node"),
    ("dark", "#/", "dark", (1_280, 980), ".map .node"),
    ("charts", "#/charts", "light", (1_280, 860), ".series"),
    ("alerts", "#/alerts", "dark", (1_280, 980), "[data-rule]"),
    ("phone", "#/", "light", (360, 1_100), ".map .node"),
)
SEEN: Final = """return [...document.querySelectorAll('.chart-body:empty')]
  .every((body) => body.getBoundingClientRect().top > innerHeight)"""
COLOURS_MAX: Final = 256
FREQUENT_MAX: Final = 128
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


@contextmanager
def _address(given: str) -> Iterator[str]:
    if given:
        yield given
        return
    with serving() as (url, _):
        yield url


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield a PNG's chunks."""
    place = len(_SIGNATURE)
    while place < len(content):
        size, kind = struct.unpack(">I4s", content[place : place + 8])
        yield kind, content[place + 8 : place + 8 + size]
        place += size + 12


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def rows(content: bytes) -> tuple[int, int, list[bytes]]:
    """Return a screenshot's width, its bytes per pixel and its rows; of 8 bits a colour, as browsers make them."""
    found = list(chunks(content))
    width, height, bits, kind = struct.unpack(">IIBB", found[0][1][:10])
    depth = {2: 3, 6: 4}.get(kind)
    if bits != 8 or depth is None:
        raise ValueError("not a screenshot")
    raw = zlib.decompress(b"".join(data for name, data in found if name == b"IDAT"))
    size = width * depth
    result, above = [], bytearray(size)
    for number in range(height):
        start = number * (size + 1)
        line = bytearray(raw[start + 1 : start + 1 + size])
        _unfilter(raw[start], line, above, depth)
        result.append(bytes(line))
        above = line
    return width, depth, result


def _unfilter(how: int, line: bytearray, above: bytearray, depth: int) -> None:
    """Undo a row's filter (PNG, section 9)."""
    for index in range(len(line) if how else 0):
        left = line[index - depth] if index >= depth else 0
        over = above[index]
        if how == 1:
            guess = left
        elif how == 2:
            guess = over
        elif how == 3:
            guess = (left + over) // 2
        else:
            corner = above[index - depth] if index >= depth else 0
            near = left + over - corner
            guess = min((left, over, corner), key=lambda each: abs(near - each))
        line[index] = (line[index] + guess) & 255


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _palette(counts: dict[bytes, int]) -> list[bytes]:
    """Return the most frequent colours, and of the others those that are least like any: a small sign keeps its own."""
    ordered = sorted(counts, key=lambda colour: -counts[colour])
    palette, rest = ordered[:FREQUENT_MAX], ordered[FREQUENT_MAX:]
    near = {colour: min(_distance(colour, known) for known in palette) for colour in rest}
    while near and len(palette) < COLOURS_MAX:
        chosen = max(near, key=lambda colour: near[colour])
        palette.append(chosen)
        del near[chosen]
        for colour, before in near.items():
            near[colour] = min(before, _distance(colour, chosen))
    return palette


def smaller(content: bytes) -> bytes:
    """Return a picture with a palette: a page has few colours, and its size is a third then."""
    width, depth, lines = rows(content)
    pixels = [[line[place : place + 3] for place in range(0, len(line), depth)] for line in lines]
    counts: dict[bytes, int] = {}
    for row in pixels:
        for pixel in row:
            counts[pixel] = counts.get(pixel, 0) + 1
    palette = _palette(counts)
    index = {colour: place for place, colour in enumerate(palette)}
    for colour in counts:
        if colour not in index:
            index[colour] = min(range(len(palette)), key=lambda place: _distance(palette[place], colour))
    raw = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in pixels)
    head = struct.pack(">IIBBBBB", width, len(lines), 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def take(url: str, folder: Path) -> list[Path]:
    """Take all pictures; return where they are."""
    found = []
    with browser() as driver:
        page = Page(driver, url)
        for name, where, theme, size, there in PICTURES:
            page.prefer(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
            page.open(where, size)
            page.find(there)
            page.expect("#connection", "Live")
            page.until(lambda: page.script(SEEN))
            path = folder / f"console-{name}.png"
            path.write_bytes(smaller(driver.get_screenshot_as_png()))
            found.append(path)
    return found


def main() -> int:
    """Take them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.console.screenshots", description=__doc__)
    parser.add_argument("--url", default="", help="a console that runs, such as http://127.0.0.1:8080/console/")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    if MISSING:
        sys.stderr.write(f"error: {MISSING}\n")
        return 1
    with _address(options.url) as url:
        pictures = take(url, options.folder)
    large = [path for path in pictures if path.stat().st_size > BYTES_MAX]
    for path in pictures:
        sys.stdout.write(f"{path.name} {path.stat().st_size} bytes{' (too large)' if path in large else ''}\n")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
