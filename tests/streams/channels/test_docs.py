"""What docs/channels.md shows works as it stands there: each table is loaded, the snippet checks real requests."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from processors.telemetry import catalogue
from streams.channels import load, signing
from streams.channels.settings import Common
from tests.architecture.tree import ROOT
from tests.streams.channels.receiving import Changed, hosting, loaded, receiving, until

PAGE: Final = (ROOT / "docs" / "channels.md").read_text(encoding="utf-8")
TABLES: Final = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
KINDS: Final = {"webhook", "slack", "email", "pagerduty", "alertmanager", "log"}
SECRET: Final = "a text of more than sixteen bytes"  # noqa: S105  # of nobody


@pytest.mark.parametrize("table", TABLES)
def test_each_table_is_loaded(table: str, tmp_path: Path) -> None:
    # What is left out in an example is taken in, too.
    text = re.sub(r"^# (\w+ = )", r"\1", table, flags=re.MULTILINE)
    environment = dict.fromkeys(re.findall(r'_env = "(\w+)"', text), SECRET)
    environment["SLACK_URL"] = "https://hooks.example.com/services/T0/B0/x"
    for name in re.findall(r'_file = "([\w.-]+)"', text):
        url = "https://example.com/hook\n"
        (tmp_path / name).write_text(url if "url" in name else f"{SECRET}\n", encoding="utf-8")
    file = tmp_path / "channels.toml"
    file.write_text(text, encoding="utf-8")
    found = load(str(file), application="x", environment=environment)
    assert len(found) == text.count("[channels.")


def test_every_kind_and_what_all_have_in_common_is_shown() -> None:
    text = "\n".join(TABLES)
    assert set(re.findall(r'^kind = "(\w+)"', text, re.MULTILINE)) == KINDS
    for name in Common.model_fields:
        assert re.search(rf"^{name} = ", TABLES[0], re.MULTILINE), name


def test_the_headers_and_metrics_that_are_named_are_those() -> None:
    for name in (signing.ID, signing.TIMESTAMP, signing.SIGNATURE):
        assert f"| `{name}` |" in PAGE
    known = {metric.name for metric in catalogue.METRICS}
    named = set(re.findall(r"`(hopline_\w+)\{", PAGE))
    assert len(named) == 4
    assert named <= known


def snippet(folder: Path) -> Callable[..., bool]:
    """Return the page's function, from a file as its reader would make it."""
    (text,) = re.findall(r"^```python verify\.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    file = folder / "verify.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("verify", file)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., bool] = module.is_genuine
    return found


@pytest.mark.parametrize("secret", [SECRET, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
async def test_the_snippet_takes_what_is_genuine_and_nothing_else(secret: str, tmp_path: Path) -> None:
    is_genuine = snippet(tmp_path)
    async with receiving() as receiver:
        text = f'[channels.hook]\nkind = "webhook"\nurl = "{receiver.url}"\nsecret_env = "S"\ngroup_wait_seconds = 0\n'
        async with hosting(loaded(tmp_path, text, S=secret)) as hosted:
            hosted.channels.told(Changed(summary="Grüße"))
            await until(lambda: hosted.results("hook") == ["told"])
    (got,) = receiver.got
    assert is_genuine(secret, got.headers, got.body)
    sent = int(got.headers["webhook-timestamp"])
    assert not is_genuine(secret, got.headers, got.body, now=sent + 301)
    assert not is_genuine(secret, got.headers, got.body + b" ")
    assert not is_genuine(f"another {secret[6:]}", got.headers, got.body)
    assert not is_genuine(secret, {**got.headers, "webhook-id": "other"}, got.body)
    assert not is_genuine(secret, {**got.headers, "webhook-timestamp": str(sent + 1)}, got.body)
    two = {**got.headers, "webhook-signature": f"v1,AAAA {got.headers['webhook-signature']}"}
    assert is_genuine(secret, two, got.body), "a sender may sign with an old secret and a new one"
