"""A notice in words for people: a title, and a few lines for each alert. All of it is bounded."""

from collections.abc import Iterator
from typing import Any, Final

from processors.alerting.notice import Entry, Notice, What
from processors.vocabulary.timestamps import rfc3339

TITLE_CHARACTERS_MAX: Final = 140
TEXT_CHARACTERS_MAX: Final = 1_000
LABELS_MAX: Final = 32
LABEL_CHARACTERS_MAX: Final = 256
TEST: Final = "TEST"
_NAMES: Final = {What.RAISED: "RAISED", What.REPEATED: "STILL RAISED", What.RESOLVED: "OVER"}


def cut(text: str, characters_max: int) -> str:
    """Return a text that is no longer than that; one that is cut shows it."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def line(text: str) -> str:
    """Return a text on one line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def title(notice: Notice) -> str:
    """Return what a notice is about, on one line."""
    # Of one that is raised and over the end counts: that is how it is now.
    last = {entry.news.id: entry for entry in notice.entries}
    first = next(iter(last.values()))
    if len(last) == 1:
        words = f"{_NAMES[first.what]}: {first.news.alert} ({first.news.severity.value}){_of(first)}"
    else:
        counts = {what: sum(entry.what is what for entry in last.values()) for what in What}
        said = ", ".join(f"{count} {_NAMES[what]}" for what, count in counts.items() if count)
        names = sorted({entry.news.alert for entry in last.values()})
        words = f"{said}: {', '.join(names)}{_of(first) if len(notice.group) > 1 and all(notice.group) else ''}"
    return cut(line(f"{TEST} {words}" if notice.test else words), TITLE_CHARACTERS_MAX)


def lines(entry: Entry, runbooks: str = "") -> Iterator[str]:
    """Yield what is said of one alert."""
    news = entry.news
    yield f"{_NAMES[entry.what]}: {line(news.alert)} ({news.severity.value})"
    yield cut(line(news.summary), TEXT_CHARACTERS_MAX)
    if news.description:
        yield cut(line(news.description), TEXT_CHARACTERS_MAX)
    if news.labels:
        yield ", ".join(f"{name}={value}" for name, value in labels(entry).items())
    if news.value is not None:
        than = "" if news.threshold is None else f", the threshold is {news.threshold:g}"
        yield f"It is {news.value:g}{than}."
    yield f"Raised {rfc3339(news.since_ms)}" + ("" if news.firing else f", over {rfc3339(news.at_ms)}")
    if link := runbook(entry, runbooks):
        yield f"What to do: {link}"


def labels(entry: Entry) -> dict[str, str]:
    """Return an alert's labels, so many and so long as are shown."""
    shown = list(entry.news.labels.items())[:LABELS_MAX]
    return {line(name): cut(line(value), LABEL_CHARACTERS_MAX) for name, value in shown}


def runbook(entry: Entry, runbooks: str) -> str:
    """Return where to read what to do: a link if it is known where the runbooks are."""
    return runbooks.rstrip("/") + "/" + entry.news.runbook if runbooks and entry.news.runbook else entry.news.runbook


def plain(entry: Entry, runbooks: str = "") -> dict[str, Any]:
    """Return an alert for programs."""
    news = entry.news
    return {
        "what": entry.what.value,
        "id": news.id,
        "alert": news.alert,
        "severity": news.severity.value,
        "labels": labels(entry),
        "value": news.value,
        "threshold": news.threshold,
        "since": rfc3339(news.since_ms),
        "at": rfc3339(news.at_ms),
        "summary": cut(news.summary, TEXT_CHARACTERS_MAX),
        "description": cut(news.description, TEXT_CHARACTERS_MAX),
        "runbook": runbook(entry, runbooks),
    }


def _of(entry: Entry) -> str:
    return f" of {entry.news.tenant}" if entry.news.tenant else ""
