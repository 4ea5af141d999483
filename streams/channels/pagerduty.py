"""PagerDuty's Events API v2, and what speaks it: each alert is an incident of its own, that is opened and resolved."""

from typing import Any, Final

from aiohttp import ClientError

from processors.alerting.notice import Entry, Notice, What
from processors.alerting.rule import Severity
from processors.vocabulary.timestamps import rfc3339
from streams.channels import words
from streams.channels.http import Http
from streams.channels.sending import Answer

URL: Final = "https://events.pagerduty.com/v2/enqueue"
SUMMARY_CHARACTERS_MAX: Final = 1_024
_SEVERITIES: Final = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}


class PagerDuty:
    """See `Sender`. One request an alert: what has been taken of a notice is not sent again when it is tried again."""

    def __init__(self, http: Http, routing_key: str, *, source: str, runbooks: str = "") -> None:
        self._http = http
        self._routing_key = routing_key
        self._source = source
        self._runbooks = runbooks
        self._taken: tuple[str, int] = ("", 0)
        self.address = http.address

    async def send(self, notice: Notice) -> Answer:
        """See `Sender.send`."""
        events = [self.event(entry) for entry in notice.entries]
        if notice.test:
            # Nobody is to be woken for long.
            events += [self.event(Entry(What.RESOLVED, entry.news)) for entry in notice.entries]
        begin = self._taken[1] if self._taken[0] == notice.id else 0
        answer = Answer(ok=True, words="nothing was left to tell")
        for number, event in enumerate(events[begin:], start=begin + 1):
            try:
                answer = (await self._http.post(event)).answer()
            except (ClientError, OSError, ValueError) as error:
                answer = self._http.explained(error)
            if not answer.ok:
                return answer
            self._taken = (notice.id, number)
        return answer

    def event(self, entry: Entry) -> dict[str, Any]:
        """Return one alert as PagerDuty takes it."""
        news = entry.news
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": "resolve" if entry.what is What.RESOLVED else "trigger",
            # The alert's id: what is told again opens no second incident.
            "dedup_key": f"hopline/{news.id}",
        }
        if entry.what is What.RESOLVED:
            return event
        of = f" of {news.tenant}" if news.tenant else ""
        event["payload"] = {
            "summary": words.cut(words.line(f"{news.alert}{of}: {news.summary}"), SUMMARY_CHARACTERS_MAX),
            "source": self._source,
            "severity": _SEVERITIES[news.severity],
            "timestamp": rfc3339(news.since_ms),
            "group": news.tenant or "all tenants",
            "class": news.alert,
            "custom_details": words.plain(entry, self._runbooks),
        }
        link = words.runbook(entry, self._runbooks)
        if link.startswith("http"):
            event["links"] = [{"href": link, "text": "Runbook"}]
        return event

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._http.close()
