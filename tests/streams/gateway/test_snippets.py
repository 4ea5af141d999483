"""The snippets of docs/producing.md, run as they stand there against a real gateway and a real Kafka."""

import asyncio
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from processors.vocabulary import envelope, topics
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Signal
from streams.gateway.service import Serving
from streams.metrics import Metrics
from streams.settings import Settings
from tests.architecture.tree import ROOT
from tests.integration.pipeline import Pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PAGE: Final = ROOT / "docs" / "producing.md"
BLOCK: Final = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID: Final = re.compile(r"""(?:"?\bid"?:\s*|ce-id: |ce_id=)"?([a-z]+-\d)""")
SECONDS_MAX: Final = 60
LOOK_SECONDS: Final = 0.05
LANES: Final = 2


@dataclass(frozen=True, slots=True)
class Snippet:
    """One block of the page that has a file's name."""

    language: str
    name: str
    text: str

    @property
    def ids(self) -> list[str]:
        """The ids of the events that it sends."""
        return ID.findall(self.text)

    @property
    def command(self) -> list[str]:
        """What runs it."""
        runners = {"bash": "bash", "java": "java", "javascript": "node", "python": sys.executable}
        return [runners[self.language], self.name]

    @property
    def missing(self) -> str:
        """What this machine lacks to run it; empty if nothing."""
        tools = [self.command[0], *re.findall(r"^\s*(curl|kcat) ", self.text, re.MULTILINE)]
        modules = re.findall(r"^from (\w+) import", self.text, re.MULTILINE) if self.language == "python" else []
        lacking = [tool for tool in tools if shutil.which(tool) is None]
        lacking += [module for module in modules if importlib.util.find_spec(module) is None]
        return ", ".join(lacking)


SNIPPETS: Final = [Snippet(*found) for found in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def test_the_page_has_what_it_promises() -> None:
    assert {snippet.language for snippet in SNIPPETS} == {"bash", "java", "javascript", "python"}
    assert all(snippet.ids for snippet in SNIPPETS)
    ids = [id_ for snippet in SNIPPETS for id_ in snippet.ids]
    assert len(set(ids)) == len(ids) == 11


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.name)
async def test_it_runs_and_its_events_are_in_the_topic(
    snippet: Snippet, kafka: str, unique: str, tmp_path: Path
) -> None:
    if snippet.missing:
        pytest.skip(f"this machine has no {snippet.missing}")
    pipe = Pipeline(kafka, f"{unique}.", tmp_path, lanes=LANES)
    settings = Settings(kafka=kafka, topic_prefix=pipe.prefix, lanes=LANES, gateway_port=0)
    async with Serving(settings, kafka, Metrics()) as serving:
        async with asyncio.timeout(SECONDS_MAX):
            while serving.outlet.away:  # noqa: ASYNC110 - it does not tell
                await asyncio.sleep(LOOK_SECONDS)
        text = snippet.text.replace("http://127.0.0.1:8080", serving.url).replace("127.0.0.1:9092", kafka)
        (tmp_path / snippet.name).write_text(text.replace("signals.in", pipe.physical(topics.SIGNALS_IN)))
        done = await asyncio.to_thread(
            subprocess.run,
            snippet.command,
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = []
    for record in await pipe.read(topics.SIGNALS_IN):
        plain = PlainRecord(
            topics.SIGNALS_IN, record.partition, record.offset, 0, record.key, record.value, record.headers
        )
        signal = envelope.decode(plain)
        assert isinstance(signal, Signal), signal
        assert signal.tenant == "acme"
        found.append(signal.id)
    assert sorted(found) == snippet.ids
