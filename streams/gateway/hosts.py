"""Which names and addresses are this machine's own, and who is refused that reaches further."""

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from streams.gateway.errors import NotLoopbackError

_REMEMBERED_MAX: Final = 1_024


@lru_cache(maxsize=_REMEMBERED_MAX)
def is_loopback(host: str) -> bool:
    """Tell whether a host names this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=_REMEMBERED_MAX)
def is_own_name(host: str) -> bool:
    """Tell whether a `Host` header, with a port or without, names this machine for itself."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def require_loopback(host: str) -> None:
    """Refuse an address that other machines can reach: for what asks for no keys."""
    if not is_loopback(host):
        raise NotLoopbackError(
            f"HOPLINE_HOST is {host!r}, and what starts here serves this machine only. Set HOPLINE_HOST=127.0.0.1; "
            "to be reached from elsewhere run `hopline gateway` by itself, with keys."
        )
