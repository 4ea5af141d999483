"""What docs/tracing.md and docs/logs.md show works as it stands there, over a real pipeline."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from processors.telemetry.trace import Why
from processors.vocabulary import topics
from streams import logs
from streams.settings import Settings
from tests.architecture.tree import ROOT
from tests.integration.faulty_worker import RAISE
from tests.integration.gateways import gateway
from tests.integration.pipeline import FAULTY, event, free_port, pipeline, until
from tests.integration.processes import beside
from tests.integration.test_logs import JQ

TRACING: Final = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")
LOGS: Final = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"


def snippets(page: str, kind: str = "sh") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def run(
    text: str, folder: Path, environment: dict[str, str], gateway_url: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a snippet as its reader would, with our addresses in it."""
    text = text.replace("localhost:8080", gateway_url)
    text = re.sub(r"^hopline ", f"{sys.executable} -m streams.cli.main ", text, flags=re.MULTILINE)
    return subprocess.run(
        ["bash", "-euc", text],  # noqa: S607  # whichever the reader has
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_reason_for_a_span_is_named() -> None:
    (line,) = re.findall(r"^\| `hopline\.why` \| (.*) \|$", TRACING, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == {why.value for why in Why}
    for name in ("trace_zipkin_url", "trace_otlp_url", "trace_file", "trace_share", "slow_seconds", "trace_link"):
        assert name in Settings.model_fields
        assert f"| `HOPLINE_{name.upper()}` |" in TRACING


def test_the_fields_of_a_line_are_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in logs.IDS:
        assert f"`{name}`" in LOGS
    (example,) = snippets(LOGS, "json")
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "m", None, (ValueError, ValueError("m"), None))
    with logs.about(lane=3):
        line = json.loads(logs.JsonLines("worker", "host:6066").format(record))
    assert list(line) == list(json.loads(example))
    assert list(line["exception"]) == list(json.loads(example)["exception"])
    monkeypatch.setattr(logging.root, "handlers", [])
    stream = io.StringIO()
    logs.begin(Settings(log_format="json"), "mine", stream)
    (code,) = snippets(LOGS, "python")
    scope: dict[str, Any] = {"__name__": "mine"}
    exec(code, scope)  # noqa: S102  # trusted: it stands in our docs
    scope["deliver"]("acme", "s1")
    said = json.loads(stream.getvalue())
    assert (said["message"], said["tenant"], said["signal"]) == ("delivered", "acme", "s1")


@pytest.mark.kafka
@pytest.mark.timeout(400)
@pytest.mark.skipif(JQ is None, reason="this machine has no jq")
async def test_the_commands_show_what_the_pages_say(kafka: str, unique: str, tmp_path: Path) -> None:
    spans, data = tmp_path / "spans.json", tmp_path / "data"
    with pipeline(kafka, unique, data, TRACE_FILE=str(spans)) as pipe:
        await pipe.prepare()
        worker = await pipe.start(FAULTY).ready()
        own = {
            "KAFKA": kafka,
            "TOPIC_PREFIX": pipe.prefix,
            "LANES": "2",
            "DATA_DIR": str(data),
            "TRACE_FILE": str(spans),
        }
        environment = {**os.environ, **{f"HOPLINE_{name}": value for name, value in own.items()}}
        send, show, way, slowest = snippets(TRACING)
        with (
            gateway(pipe) as served,
            beside(pipe, "streams.history", "history", HISTORY_PORT=str(free_port())),
        ):
            await served.ready()
            done = run(send, tmp_path, environment, served.url.removeprefix("http://"))
            assert done.returncode == 0, done.stderr
            await pipe.until(topics.SIGNALS, 1)
            shown: list[str] = []

            def all_there() -> bool:
                shown[:] = run(show, tmp_path, environment).stdout.splitlines()
                return len(shown) == 3

            await until(all_there, lambda: str(shown))
            assert {line.split("\t")[0] for line in shown} == {
                "POST /v1/signals",
                "send signals.in",
                "process signals.in",
            }
            await until(
                lambda: run(way, tmp_path, environment).returncode == 0, lambda: run(way, tmp_path, environment).stderr
            )
            drawn = run(way, tmp_path, environment).stdout
            assert f"trace {TRACE}" in drawn
            assert "waited in the log" in drawn
            listed = run(slowest, tmp_path, environment)
            assert "order.created" in listed.stdout, listed.stderr
            await pipe.send_to([(0, event("acme", 1, subject=RAISE.decode()))])
            await pipe.until(topics.DEAD_LETTERS, 1)
        await worker.stop()
        (tmp_path / "worker.log").write_bytes(worker.log.read_bytes())
        failures, lanes, about, lenient = (run(text, tmp_path, environment) for text in snippets(LOGS))
        assert "as the record asked" in failures.stdout
        assert json.loads(lanes.stdout)[0]["lines"] >= 2
        assert all("this record fails" in line for line in about.stdout.splitlines())
        assert (about.returncode, lenient.returncode) == (0, 0)
        assert "raw" not in lenient.stdout
