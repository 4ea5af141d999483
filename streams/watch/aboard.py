"""What a watch process carries besides judging: the channels that settings name, handlers of events, and parts."""

import logging
from collections.abc import Callable
from functools import partial

from processors.telemetry import catalogue
from streams import alert_rules
from streams.channels import Became as Told
from streams.channels import Channels, ChannelsError, load
from streams.clock import wall_ms
from streams.handlers import Handlers, gathered
from streams.ledger.check import LedgerCheck
from streams.metrics import Metrics
from streams.prober import Prober
from streams.settings import Settings
from streams.watch.hosting import Part
from streams.watch.service import Aboard, Watch
from streams.watch.telling import Teller, Telling
from streams.watch.voice import Voice
from streams.watch.words import Became

log = logging.getLogger(__name__)


def aboard(settings: Settings, bootstrap: str, metrics: Metrics) -> Aboard:
    """Return all of it as settings say. Raises `SettingsError` or `ChannelsError` if they are wrong."""
    load(settings.channels_file, application=settings.application)
    voice = Voice()
    return Aboard(
        make_teller=partial(_channels, settings, metrics),
        parts=_parts(settings, bootstrap, metrics, voice),
        handlers=(Handlers(gathered(settings), metrics),),
        voice=voice,
    )


def _parts(settings: Settings, bootstrap: str, metrics: Metrics, voice: Voice) -> tuple[Part, ...]:
    """Return what runs in the background: in each watch, for what a part shows must not go stale in one."""
    return (
        LedgerCheck.of(settings, bootstrap, metrics, told=voice.found),
        Prober.of(settings, bootstrap, metrics, away=voice.away),
    )


def _channels(settings: Settings, metrics: Metrics, watch: Watch, became: Callable[[Became], None]) -> Teller:
    """Return the channels as their file has them now: a mended file counts when a watch takes charge."""
    try:
        channels = load(settings.channels_file, application=settings.application)
    except ChannelsError as error:
        # It was right when this process began. Judging goes on, and the page shows what nobody else is told.
        log.error("no channel is told anything: %s", error)  # noqa: TRY400 - somebody's file, no bug
        return Telling()
    return _Closing(
        metrics,
        Channels(
            channels,
            settings=lambda: watch.decided.settings,
            metrics=metrics,
            cooldown_seconds=alert_rules.cooldown_seconds(),
            became=lambda one: became(_written(one, wall_ms())),
        ),
    )


def _written(one: Told, now_ms: int) -> Became:
    return Became(
        at_ms=now_ms,
        channel=one.channel,
        notice=one.notice,
        result=one.result,
        alerts=one.alerts,
        attempt=one.attempt,
        seconds=round(one.seconds, 3),
        words=one.words,
    )


class _Closing:
    """Channels that show nothing of themselves once they are closed: the watch that takes over does. See `Teller`."""

    def __init__(self, metrics: Metrics, channels: Channels) -> None:
        self._shown = tuple(map(metrics.gauge, (catalogue.CHANNEL_UP, catalogue.NOTIFICATIONS_WAITING)))
        self._channels = channels
        self.told = channels.told
        self.start = channels.start
        self.pack = channels.pack
        self.unpack = channels.unpack

    async def close(self) -> None:
        """See `Teller.close`."""
        await self._channels.close()
        for family in self._shown:
            for labels in list(family.children):
                family.forget(*labels)
