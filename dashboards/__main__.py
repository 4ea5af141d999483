"""`python -m dashboards write|check`: write Grafana's files anew, or say which are not as the code has them."""

import argparse
import sys
from pathlib import Path
from typing import Final

from dashboards.grafana import files

FOLDER: Final = Path(__file__).parent / "generated"


def stale(folder: Path) -> list[str]:
    """Return what is missing in a folder, is not as it should be, or should not be there."""
    wanted = files()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))


def write(folder: Path) -> list[str]:
    """Write what is stale, remove what should not be there; return the names."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted, changed = files(), stale(folder)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Do it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("what", choices=("write", "check"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    if options.what == "write":
        changed = write(options.folder)
        sys.stdout.write(f"{len(changed)} written: {', '.join(changed) or 'all were fresh'}\n")
        return 0
    changed = stale(options.folder)
    if changed:
        sys.stderr.write(f"not as the code has them: {', '.join(changed)}; run `python -m dashboards write`\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
