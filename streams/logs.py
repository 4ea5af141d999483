"""Logs: one place that sets them up, for every process. A JSON object a line, or text for people on a terminal.

Who works for a tenant, a lane, a directive says so once (`about`), and each line from there on has it. No secret gets
out: what the settings hold as one is replaced wherever it turns up, and so is what looks like one.
"""

import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any, Final

import msgspec
from pydantic import SecretStr
from typing_extensions import override

from processors.vocabulary.timestamps import rfc3339
from streams import hiding
from streams.keys import redacted
from streams.settings import Settings

SECONDS_BETWEEN: Final = 1.0
ERRORS_MAX: Final = 20
"""Of one place within a second; other levels have one."""
PLACES_MAX: Final = 1_000
STACK_CHARACTERS_MAX: Final = 16_000
MESSAGE_CHARACTERS_MAX: Final = 16_000

IDS: Final = ("tenant", "hop", "lane", "record", "signal", "directive", "trace_id")
"""What a line can be about, in the order in which it is shown."""
NOTHING: Final[Mapping[str, str | int]] = {}
_ABOUT: Final[ContextVar[Mapping[str, str | int]]] = ContextVar("about", default=NOTHING)
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_encode: Final = msgspec.json.Encoder().encode


def current() -> Mapping[str, str | int]:
    """Return what is worked on here."""
    return _ABOUT.get()


@contextmanager
def about(**ids: str | int) -> Iterator[None]:
    """Let each line from here on say what it is about, beside what it was about before. Names are those of `IDS`."""
    token = _ABOUT.set({**_ABOUT.get(), **{name: value for name, value in ids.items() if value != ""}})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def add(**ids: str | int) -> None:
    """Let each line from here on say more, until `begin_about` or the end of the task."""
    _ABOUT.set({**_ABOUT.get(), **ids})


def begin_about(ids: Mapping[str, str | int]) -> None:
    """Let each line of this task say what it is about, to its end."""
    _ABOUT.set(ids)


def hidden(text: str) -> str:
    """Return a text with all that is secret in it replaced."""
    return hiding.hidden(redacted(text))


class LimitRepeats(logging.Filter):
    """Lets a place in the code log once a second; says how often it wanted to."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[tuple[str, int], tuple[float, int]] = {}
        self._held: dict[tuple[str, int], int] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), self._clock()
        most = ERRORS_MAX if record.levelno >= logging.ERROR else 1
        began, count = self._last.get(place, (now - SECONDS_BETWEEN, 0))
        if now - began >= SECONDS_BETWEEN:
            began, count = now, 0
        if count >= most:
            self._held[place] = self._held.get(place, 0) + 1
            return False
        if len(self._last) >= PLACES_MAX:
            self._last.clear()
            self._held.clear()
        self._last[place] = (began, count + 1)
        record.repeated = self._held.pop(place, 0)
        return True


class Lines(logging.Formatter):
    """What both forms have in common: a message and a stack without secrets, each bounded."""

    def __init__(self, job: str, instance: str) -> None:
        super().__init__()
        self.job = job
        self.instance = instance

    def message(self, record: logging.LogRecord) -> str:
        """Return what is said."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            # Somebody's arguments do not fit; what was meant is better than nothing.
            text = f"{record.msg} {record.args}"
        # Before it is cut: half of a secret would not be found.
        return hidden(text)[:MESSAGE_CHARACTERS_MAX]

    def failure(self, record: logging.LogRecord) -> dict[str, str]:
        """Return what was raised; empty if nothing was."""
        if not record.exc_info or record.exc_info[1] is None:
            return {}
        error = record.exc_info[1]
        stack = "".join(traceback.format_exception(error))
        return {
            "type": type(error).__name__,
            "message": hidden(str(error))[:MESSAGE_CHARACTERS_MAX],
            "stack": hidden(stack[-2 * STACK_CHARACTERS_MAX :])[-STACK_CHARACTERS_MAX:],
        }


class JsonLines(Lines):
    """A JSON object a line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, Any] = {
            "time": rfc3339(int(record.created * 1_000)),
            "level": record.levelname,
            "logger": record.name,
            "message": self.message(record),
            "job": self.job,
            "instance": self.instance,
        }
        for name, value in _ABOUT.get().items():
            content[name] = hidden(value) if isinstance(value, str) else value
        if repeated := getattr(record, "repeated", 0):
            content["repeated"] = repeated
        if failure := self.failure(record):
            content["exception"] = failure
        return _encode(content).decode()


class TextLines(Lines):
    """A line for people: the time, how grave it is, who says it, what, and what it is about."""

    def __init__(self, job: str, instance: str, *, coloured: bool) -> None:
        super().__init__(job, instance)
        self._coloured = coloured

    @override
    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:7}"
        if self._coloured:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock}.{int(record.msecs):03d} {level} {record.name}: {self.message(record)}"
        if repeated := getattr(record, "repeated", 0):
            text += f" (and {repeated} more like it)"
        ids = _ABOUT.get()
        found = [f"{name}={hidden(str(ids[name]))}" for name in IDS if name in ids]
        text = "  ".join((text, " ".join(found))) if found else text
        failure = self.failure(record)
        return f"{text}\n{failure['stack'].rstrip()}" if failure else text


class _Ours(logging.StreamHandler[Any]):
    """The handler of this module."""


class _Stderr(_Ours):
    """Writes to what is the standard error then: a test, or a terminal's screen, may put another in its place."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def instance_of(settings: Settings, job: str) -> str:
    """Return which of the processes of a job this one is, as its metrics have it."""
    ports = {
        "worker": settings.worker_port,
        "gateway": settings.gateway_port,
        "history": settings.history_port,
        "watch": settings.watch_port,
    }
    return f"{socket.gethostname()}:{ports.get(job) or os.getpid()}"


def begin(settings: Settings, job: str, stream: IO[str] | None = None) -> None:
    """Set the logs of this process up, once at its start. Whatever stood there before goes."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        # Where history is kept may be a folder, and that is no secret.
        if isinstance(value, SecretStr) and (name != "history" or "://" in value.get_secret_value()):
            hiding.hide_setting(value.get_secret_value())
    terminal = (sys.stderr if stream is None else stream).isatty()
    instance = instance_of(settings, job)
    lines: Lines
    if settings.log_format == "json" or (settings.log_format == "auto" and not terminal):
        lines = JsonLines(job, instance)
    else:
        lines = TextLines(job, instance, coloured=terminal and not os.environ.get("NO_COLOR"))
    handler = _Stderr() if stream is None else _Ours(stream)
    handler.setFormatter(lines)
    handler.addFilter(LimitRepeats())
    _put(handler)
    logging.root.setLevel(settings.log_level)
    logging.captureWarnings(capture=True)
    _catch_the_rest()


class _Terse(Lines):
    """What a command's libraries have to say: the level and the message."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        failure = self.failure(record)
        text = f"{record.levelname}: {self.message(record)}"
        return f"{text}\n{failure['stack'].rstrip()}" if failure else text


def begin_command() -> None:
    """Set the logs of a command up, which says itself what it has to say."""
    handler = _Stderr()
    handler.setFormatter(_Terse("command", ""))
    _put(handler)
    logging.root.setLevel(logging.WARNING)


def _put(handler: _Ours) -> None:
    """Put a handler in the place of the one that was ours, and of those that a library has made by itself."""
    for other in logging.root.handlers[:]:
        if isinstance(other, _Ours) or type(other) is logging.StreamHandler:
            logging.root.removeHandler(other)
    logging.root.addHandler(handler)


def _catch_the_rest() -> None:
    """Let what ends the process, or a thread of it, be a line like any other."""
    log = logging.getLogger("streams.logs")

    def ended(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("this process ends: nobody caught what was raised", exc_info=(kind, error, trace))

    def thread_ended(said: threading.ExceptHookArgs) -> None:
        if said.exc_value is not None and not issubclass(said.exc_type, SystemExit):
            name = said.thread.name if said.thread else "?"
            found = (said.exc_type, said.exc_value, said.exc_traceback)
            log.critical("the thread %s has ended: nobody caught what was raised", name, exc_info=found)

    sys.excepthook = ended
    threading.excepthook = thread_ended
