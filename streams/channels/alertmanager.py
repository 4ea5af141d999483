"""Alertmanager's API v2: alerts are posted, and told again before they end by themselves; silences are kept the same.

It groups, silences and routes on its own, so that alerts go there silenced or not, with the silences before them.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import ClientError

from processors.alerting.notice import Entry, Notice, What
from processors.alerting.settings import AlertSettings, Silence
from processors.vocabulary.timestamps import is_time, milliseconds, rfc3339
from streams.channels import words
from streams.channels.http import Http, Reply
from streams.channels.sending import Answer

ALERTS_PATH: Final = "/api/v2/alerts"
SILENCES_PATH: Final = "/api/v2/silences"
SILENCE_PATH: Final = "/api/v2/silence/"
SILENCES_BYTES_MAX: Final = 4 * 1_048_576
LOOK_SECONDS: Final = 60.0
"""How often its silences are looked at though ours have not changed: somebody may have ended one there."""
TRY_SECONDS: Final = 5.0
TEST_MS: Final = 60_000
CREATED_BY: Final = "hopline"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}").fullmatch
_OURS: Final = re.compile(r"\[hopline ([^\]]{1,200})\]$")


class TheirStatus(msgspec.Struct, frozen=True):
    """Whether a silence holds there."""

    state: str


class TheirSilence(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of a silence that is there."""

    id: str
    status: TheirStatus
    ends_at: str
    comment: str = ""
    created_by: str = ""


@dataclass(frozen=True, slots=True)
class There:
    """One of our silences, as it is there."""

    id: str
    until_ms: int


_decode: Final = msgspec.json.Decoder(list[TheirSilence]).decode


class Alertmanager:
    """See `Sender`."""

    def __init__(
        self,
        http: Http,
        *,
        keeps_ms: int,
        authorization: str = "",
        runbooks: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._keeps_ms = keeps_ms
        self._headers = {"Authorization": authorization} if authorization else {}
        self._runbooks = runbooks
        self._now = now
        self._ours: frozenset[tuple[bytes, int]] | None = None
        self._look_at = 0.0
        self.address = http.address
        self.silences_behind = ""
        """Why its silences are not as ours; empty while they are."""

    async def send(self, notice: Notice) -> Answer:
        """See `Sender.send`."""
        now_ms = round(self._now() * 1_000)
        body = [self.alert(entry, now_ms, test=notice.test) for entry in notice.entries]
        try:
            reply = await self._http.post(body, self._headers, path=ALERTS_PATH)
        except (ClientError, OSError, ValueError) as error:
            return self._http.explained(error)
        return reply.answer()

    def alert(self, entry: Entry, now_ms: int, *, test: bool = False) -> dict[str, Any]:
        """Return one alert as Alertmanager takes it, named and labelled as Prometheus' own would be."""
        news = entry.news
        own = {"alertname": news.alert, "severity": news.severity.value}
        labels = {name: value for name, value in words.labels(entry).items() if value and _NAME(name)}
        ends_ms = now_ms + (TEST_MS if test else self._keeps_ms)
        return {
            "labels": {**labels, **own},
            "annotations": {
                "summary": words.cut(news.summary, words.TEXT_CHARACTERS_MAX),
                "description": words.cut(news.description, words.TEXT_CHARACTERS_MAX),
                "runbook_url": words.runbook(entry, self._runbooks),
                "value": "" if news.value is None else f"{news.value:g}",
                "threshold": "" if news.threshold is None else f"{news.threshold:g}",
            },
            "startsAt": rfc3339(news.since_ms),
            "endsAt": rfc3339(news.at_ms if entry.what is What.RESOLVED else ends_ms),
        }

    async def tend(self, settings: AlertSettings) -> None:
        """Make its silences as ours are, if that may be needed. Never raises for what goes wrong on the way."""
        now = self._now()
        now_ms = round(now * 1_000)
        wanted = {one.key: one for one in settings.silences(now_ms)}
        ours = frozenset((key, one.until_ms) for key, one in wanted.items())
        if now < self._look_at and (ours == self._ours or self.silences_behind):
            return
        try:
            self.silences_behind = await self._make_same(wanted)
        except msgspec.DecodeError:
            self.silences_behind = f"{self.address} does not answer as Alertmanager does"
        except (ClientError, OSError, ValueError) as error:
            self.silences_behind = self._http.explained(error).words
        self._ours = None if self.silences_behind else ours
        self._look_at = now + (TRY_SECONDS if self.silences_behind else LOOK_SECONDS)

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._http.close()

    async def _make_same(self, wanted: dict[bytes, Silence]) -> str:
        """Return what did not work; the rest is done all the same."""
        reply = await self._http.ask(
            "GET", headers=self._headers, path=SILENCES_PATH, body_bytes_max=SILENCES_BYTES_MAX
        )
        if not reply.ok:
            return reply.words
        there = _ours_there(reply)
        behind = ""
        for key, one in wanted.items():
            known = there.pop(_mark(key), None)
            if known is None or known.until_ms != one.until_ms:
                body = silence(one, known.id if known else "")
                reply = await self._http.post(body, self._headers, path=SILENCES_PATH)
                behind = behind if reply.ok else reply.words
        for gone in there.values():
            reply = await self._http.ask("DELETE", headers=self._headers, path=SILENCE_PATH + gone.id)
            behind = behind if reply.ok else reply.words
        return behind


def silence(one: Silence, id_: str = "") -> dict[str, Any]:
    """Return a silence as Alertmanager takes it."""
    begin = re.escape(one.alert.removesuffix("*"))
    alert = _matcher("alertname", f"{begin}.*" if begin else ".+", is_regex=True)
    if not one.alert.endswith("*"):
        alert = _matcher("alertname", one.alert)
    tenant = [_matcher("tenant", one.tenant)] if one.tenant else []
    return {
        **({"id": id_} if id_ else {}),
        "matchers": [alert, *tenant, *(_matcher(name, value) for name, value in one.labels.items())],
        "startsAt": rfc3339(one.at_ms),
        "endsAt": rfc3339(one.until_ms),
        "createdBy": CREATED_BY,
        "comment": f"{words.line(one.why)} ({words.line(one.by)}) [hopline {_mark(one.key)}]",
    }


def _matcher(name: str, value: str, *, is_regex: bool = False) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": is_regex, "isEqual": True}


def _mark(key: bytes) -> str:
    """Return by what our silence is known there: it gives ids of its own."""
    return key.partition(b"/")[2].replace(b"\x00", b"/").decode(errors="replace")


def _ours_there(reply: Reply) -> dict[str, There]:
    found = {}
    for one in _decode(reply.body):
        mark = _OURS.search(one.comment)
        living = one.status.state != "expired" and _ID(one.id)
        if mark and living and one.created_by == CREATED_BY and is_time(one.ends_at):
            found[mark[1]] = There(one.id, milliseconds(one.ends_at))
    return found
