"""The page against a real gateway, watch and worker: what flows is on the map, and a threshold moves an alert."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from tests.console.browser import Page
from tests.integration.gateways import gateway
from tests.integration.pipeline import Pipeline, event, free_port, pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]

SECONDS_MAX: Final = 60.0
SIGNALS: Final = 300
RULE: Final = "[data-rule=DeadLetters]"


@contextmanager
def _watch(pipe: Pipeline, port: int) -> Iterator[Path]:
    settings = {
        "KAFKA": pipe.kafka,
        "TOPIC_PREFIX": pipe.prefix,
        "DATA_DIR": str(pipe.data_dir),
        "LANES": str(pipe.lanes),
        "WATCH_PORT": str(port),
        **pipe.more,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOPLINE_")}
    log = pipe.data_dir / "watch.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.watch"],
            env={**kept, **{f"HOPLINE_{name}": value for name, value in settings.items()}},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait(SECONDS_MAX)


def _send(url: str, content: bytes) -> int:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/v1/signals", data=content, headers={"Content-Type": "application/cloudevents-batch+json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:  # noqa: S310 - loopback
        return int(answer.status)


def test_what_flows_is_shown_and_what_is_changed_takes_effect(
    driver: Chrome, kafka: str, unique: str, tmp_path: Path
) -> None:
    port = free_port()
    with pipeline(kafka, unique, tmp_path / "data") as pipe:
        pipe.more |= {"TELEMETRY_SECONDS": "0.5", "WATCH_PORT": str(port)}
        asyncio.run(pipe.prepare())
        worker = pipe.start()
        with gateway(pipe) as door, _watch(pipe, port):
            asyncio.run(worker.ready())
            asyncio.run(door.ready())
            page = Page(driver, f"{door.url}/console/")
            page.prefer(prefers_color_scheme="light")
            page.open()
            page.find("[data-node=ingest][data-state=ok]")
            page.expect("#connection", "Live")
            good = [json.loads(event("acme", number)) for number in range(SIGNALS)]
            assert _send(door.url, json.dumps(good).encode()) == 202
            # Beside the gateway, so that the door sets it aside.
            asyncio.run(pipe.send([("acme", b"no event")] * 5))
            page.until(lambda: "dead" in str(page.find("[data-node=ingest]").get_attribute("aria-label")))
            page.expect("[data-tile=alerts]", "1")
            page.driver.get(f"{page.url}#/charts/ingest")
            page.find(".series")
            page.driver.get(f"{page.url}#/alerts")
            page.expect("[data-alert=DeadLetters] .alert-state", "firing")
            # By key: a message may lie above it.
            page.find(f"{RULE} .button").send_keys(Keys.ENTER)
            field = page.find(f"{RULE} [name=value]")
            field.clear()
            field.send_keys("1000\n")
            page.expect(f"{RULE} .outcome", "Done")
            page.expect(f"{RULE} .rule-effective", "> 1k")
            page.until(lambda: not page.all("[data-alert=DeadLetters]"))
            page.expect("#history-title ~ .scroll", "cleared")
            assert not page.complaints()
            page.driver.get("about:blank")
