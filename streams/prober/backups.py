"""How old the lanes' newest checkpoints are, of those that lie in this machine's data folder."""

from pathlib import Path

from streams.lanes import checkpoint


def age_seconds(data_dir: Path, lanes: int, now: float) -> float | None:
    """Return the time since the oldest lane's newest checkpoint; None if there are none here."""
    found: list[float] = []
    for lane in range(lanes):
        try:
            newest = checkpoint.newest(checkpoint.folder(data_dir, lane))
            if newest is not None:
                found.append(now - newest.stat().st_mtime)
        except OSError:
            # It was pruned just now, or may not be read.
            continue
    return max(0.0, *found) if found else None
