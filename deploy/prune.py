"""Print what is installed here and not needed to run Hopline: the lock file has the developers' tools, too.

For the Dockerfile: `python deploy/prune.py | xargs -r pip uninstall --yes`.
"""  # noqa: INP001  # a script that the image is built with

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from typing import Final

ROOT: Final = "hopline"
EXTRAS: Final = frozenset({"postgres"})
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA: Final = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_ASKED: Final = re.compile(r"^[^\[;]*\[([^\]]*)\]")


def plain(name: str) -> str:
    """Return a package's name as packages are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(root: str = ROOT, extras: frozenset[str] = EXTRAS) -> frozenset[str]:
    """Return the packages that one needs, itself among them, as they are installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [(plain(root), "")] + [(plain(root), extra) for extra in sorted(extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found or (there := _installed(name)) is None:
            continue
        found.add((name, extra))
        waiting += _requirements(there, extra)
    return frozenset(name for name, _ in found)


def _installed(name: str) -> Distribution | None:
    # What is for another system or Python is not here: no marker has to be worked out.
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _requirements(there: Distribution, extra: str) -> list[tuple[str, str]]:
    result = []
    for line in there.requires or ():
        of_extra = _EXTRA.search(line)
        if (of_extra[1] if of_extra else "") != extra:
            continue
        name = _NAME.match(line)
        asked = _ASKED.match(line)
        if name is not None:
            wanted = [each.strip() for each in asked[1].split(",")] if asked else []
            result += [(plain(name[0]), each) for each in ("", *wanted)]
    return result


def unneeded() -> list[str]:
    """Return what can go."""
    here = {plain(each.metadata["Name"]) for each in distributions()}
    return sorted(here - needed())


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in unneeded()))
