"""Logs: what a line holds, how often the same comes, what is about whom, and what is never written."""

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from typing_extensions import override

from streams import hiding, logs
from streams.keys import new_key, new_prefix
from streams.settings import Settings

SECRET: Final = 'pa"ss\\word with spaces & more'  # noqa: S105  # it opens nothing
LOG: Final = logging.getLogger("tests.logs")


class Terminal(io.StringIO):
    """A stream that says it is one."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave logging, hooks and what is hidden as they were."""
    handlers, level = logging.root.handlers[:], logging.root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(hiding, "_KNOWN", hiding._Known())
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logs.begin_about(logs.NOTHING)


def begun(stream: io.StringIO | None = None, **settings: Any) -> io.StringIO:
    stream = stream or io.StringIO()
    logs.begin(Settings(**{"kafka_password": SecretStr(SECRET), **settings}), "worker", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_who_says_it_and_what_it_is_about() -> None:
    stream = begun(slot=2)
    with logs.about(lane=3, hop="ingest"):
        LOG.info("%d records\nand more", 5)
        logs.add(tenant="acme")
        LOG.warning("again")
    LOG.error("after")
    first, second, third = lines(stream)
    assert first["message"] == "5 records\nand more"
    assert (first["level"], first["logger"], first["job"]) == ("INFO", "tests.logs", "worker")
    assert first["instance"].endswith(":6068")
    assert (first["lane"], first["hop"], first.get("tenant")) == (3, "ingest", None)
    assert (second["lane"], second["tenant"]) == (3, "acme")
    assert "lane" not in third
    assert abs(time.time() - datetime.fromisoformat(first["time"]).timestamp()) < 60


def test_what_was_raised_is_fields() -> None:
    stream = begun()
    try:
        dict[str, str]()["x"]
    except KeyError:
        LOG.exception("it failed")
    (line,) = lines(stream)
    assert (line["exception"]["type"], line["exception"]["message"]) == ("KeyError", "'x'")
    assert line["exception"]["stack"].startswith("Traceback")
    assert line["exception"]["stack"].count("\n") > 1


def test_on_a_terminal_it_is_text_with_a_short_coloured_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = begun(Terminal())
    with logs.about(tenant="acme", lane=3):
        LOG.warning("careful")
    text = stream.getvalue()
    assert "\x1b[33mWARNING\x1b[0m tests.logs: careful  tenant=acme lane=3\n" in text
    monkeypatch.setenv("NO_COLOR", "1")
    plain = begun(Terminal())
    LOG.warning("careful")
    assert "\x1b" not in plain.getvalue()
    assert "\x1b" not in begun(log_format="text").getvalue()


@pytest.mark.parametrize("form, terminal, is_json", [("json", True, True), ("text", False, False)])
def test_the_form_can_be_set(form: str, terminal: bool, is_json: bool) -> None:
    stream = begun(Terminal() if terminal else io.StringIO(), log_format=form)
    LOG.info("a line")
    assert stream.getvalue().startswith("{") == is_json


def limited(clock: list[float], form: logging.Formatter) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    log = logging.Logger("limited")  # noqa: LOG001  # no other has its handlers
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form)
    handler.addFilter(logs.LimitRepeats(lambda: clock[0]))
    log.addHandler(handler)
    return log, stream


@pytest.mark.parametrize("level, room", [(logging.WARNING, 1), (logging.ERROR, logs.ERRORS_MAX)])
def test_repeats_are_limited_by_place_and_errors_have_more_room(level: int, room: int) -> None:
    clock = [100.0]
    log, stream = limited(clock, logs.JsonLines("worker", "here"))
    for _ in range(100):
        log.log(level, "the same")
    log.log(level, "another place")
    assert len(lines(stream)) == room + 1
    clock[0] += 2
    for _ in range(2):
        log.log(level, "a third")
    assert len(lines(stream)) == room + 1 + min(2, room)


def test_the_next_line_says_how_many_were_held() -> None:
    clock = [100.0]
    for form in (logs.JsonLines("worker", "here"), logs.TextLines("worker", "here", coloured=False)):
        log, stream = limited(clock, form)
        for seconds in (0, 0, 0, 2):
            clock[0] += seconds
            log.warning("the same")
        first, second = stream.getvalue().splitlines()
        if isinstance(form, logs.JsonLines):
            assert ("repeated" in json.loads(first), json.loads(second)["repeated"]) == (False, 2)
        else:
            assert second.endswith("the same (and 2 more like it)")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_of_the_settings_is_written_however_it_comes(form: str) -> None:
    key = new_key(new_prefix())
    stream = begun(log_format=form, secret_key=SecretStr("s" * 40), history=SecretStr("postgresql://u:dbpass@h/x"))
    hiding.hide("webhook-secret-1")
    try:
        raise ValueError(SECRET, "dbpass")  # noqa: TRY301
    except ValueError:
        LOG.exception("failed with %s, %r and %s", SECRET, {"a": SECRET}, json.dumps(SECRET))
    with logs.about(signal=f"x {key}"):
        LOG.info("%s at %s by webhook-secret-1, %s", "s" * 40, "postgresql://u:dbpass@h/x", key)
    logging.getLogger("other").warning("https://me:hunter22@host/x Authorization: Bearer abcdef token=abcdef")
    text = stream.getvalue()
    for secret in (SECRET, "with spaces", "s" * 40, "dbpass", "webhook-secret-1", "hunter22", "abcdef", key[15:]):
        assert secret not in text
    assert text.count("***") >= 9


@given(st.text(max_size=200), st.text(min_size=6, max_size=30))
@example("x" * 100, "\\u2028\"'\n")
def test_what_is_hidden_stands_in_no_form(text: str, secret: str) -> None:
    known = hiding._Known()
    known.add((secret,), kept=False)
    for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        found = known.sub(f"<{form}>{text}")
        assert found.startswith("<***") or form in "<***>"
        assert form not in found.replace(hiding.HIDDEN, "")


@pytest.mark.parametrize("hostile", ["a-" * 8_000, "secret" * 3_000, "http://" * 3_000, "a:" * 8_000, "://x:" * 4_000])
def test_a_hostile_text_takes_no_time(hostile: str) -> None:
    began = time.perf_counter()
    logs.hidden(hostile)
    assert time.perf_counter() - began < 5


def test_an_old_secret_goes_when_there_are_too_many_and_the_settings_stay() -> None:
    begun()
    for number in range(hiding.SECRETS_MAX + 1):
        hiding.hide(f"secret-{number:06d}!")
    assert logs.hidden("secret-000000!") == "secret-000000!"
    assert logs.hidden(f"secret-{hiding.SECRETS_MAX:06d}!") == logs.hidden(SECRET) == "***"


def test_what_nobody_caught_is_a_line_too() -> None:
    stream = begun()
    thread = threading.Thread(target=lambda: 1 / 0, name="mine")
    thread.start()
    thread.join(10)
    try:
        raise LookupError(SECRET)  # noqa: TRY301
    except LookupError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    first, second = lines(stream)
    assert (first["level"], first["exception"]["type"]) == ("CRITICAL", "ZeroDivisionError")
    assert "mine" in first["message"]
    assert (second["exception"]["type"], second["exception"]["message"]) == ("LookupError", "***")


def test_arguments_that_do_not_fit_cost_no_line() -> None:
    record = LOG.makeRecord("x", logging.WARNING, "f", 1, "%d of %d", ("many",), None)
    assert "many" in json.loads(logs.JsonLines("worker", "here").format(record))["message"]


def test_a_second_set_up_takes_the_place_of_the_first_and_of_a_librarys() -> None:
    first = begun()
    logging.root.addHandler(logging.StreamHandler(first))
    second = begun()
    LOG.info("once")
    assert (first.getvalue(), len(lines(second))) == ("", 1)
    logs.begin_command()
    LOG.warning("a command's")
    assert len(lines(second)) == 1
