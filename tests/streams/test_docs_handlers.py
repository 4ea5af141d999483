"""The handler of the docs works as it stands there."""

import re
import sys
from pathlib import Path

import pytest

from processors.telemetry import events
from processors.telemetry.event import told
from streams.handlers import Handlers, gathered
from streams.settings import Settings
from tests.architecture.tree import ROOT


def test_the_example_finds_big_payments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/handlers.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my_module.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    running = Handlers(gathered(Settings(handlers="my_module")))
    for amount in (1, 2_000):
        said = {"currency": "EUR"}
        running.give(told(events.PAYMENT, 1, {"amount": amount}, said, tenant="acme", id=str(amount)))
    assert running.summary()["big_payments"] == {"found": [{"tenant": "acme", "amount": 2_000.0}]}
    sys.modules.pop("my_module")
