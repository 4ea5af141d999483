"""Which names and addresses are this machine's own."""

import ipaddress
from functools import lru_cache
from typing import Final

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
