"""What mutmut has found is counted: a failing test and one that does not end are a kill, all else is not."""

import json
from pathlib import Path

from tests.mutants.score import scores


def test_what_was_noticed_is_counted_by_core(tmp_path: Path) -> None:
    codes = {
        "processors/ingest/hop.py.meta": {"processors.ingest.hop.x_a": 1, "processors.ingest.hop.x_b": 0},
        "processors/directives/hop.py.meta": {
            "processors.directives.hop.x_a": 36,
            "processors.directives.hop.x_b": 33,
            "processors.directives.hop.x_c": None,
        },
        "processors/directives/kinds/hold.py.meta": {"processors.directives.kinds.hold.x_a": 3},
    }
    for name, found in codes.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"exit_code_by_key": found}))
    both = scores(tmp_path)
    assert both["ingest"].summary() == {"killed": 1, "total": 2, "percent": 50.0}
    assert both["directives"].summary() == {"killed": 2, "total": 3, "percent": 66.7}
    assert both["directives"].alive == ["processors.directives.hop.x_b"]
    (alone,) = scores(tmp_path, "processors.directives.kinds").values()
    assert (alone.killed, alone.total) == (1, 1)
    assert scores(tmp_path, "nothing") == {}
