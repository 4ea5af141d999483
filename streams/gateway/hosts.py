"""Which names and addresses are this machine's own."""

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

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
