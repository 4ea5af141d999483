"""What the watch and those who ask it have in common: its address, and the words of its answers."""

from typing import Final

from streams.gateway.hosts import is_loopback
from streams.settings import Settings

ONLY: Final = "only"
"""The parameter by which an answer is narrowed to one tenant: nothing of another one, and nothing of all."""
EVENTS_TYPE: Final = "text/event-stream"
BEAT_SECONDS: Final = 10.0
"""How often whoever listens gets a sign of life."""
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what settings may say


def address_of(settings: Settings) -> str:
    """Return where the watch is: as set, or on this machine at its port."""
    if settings.watch_url:
        return settings.watch_url.rstrip("/")
    host = settings.host if settings.host not in _EVERYWHERE and not is_loopback(settings.host) else "127.0.0.1"
    if settings.host == "::1":
        host = "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.watch_port}"
