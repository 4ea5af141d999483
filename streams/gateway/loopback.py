"""Which addresses are this machine for itself, and who is refused that reaches further."""

import ipaddress

from streams.gateway.errors import NotLoopbackError


def is_loopback(host: str) -> bool:
    """Tell whether a host names this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(host: str) -> None:
    """Refuse an address that other machines can reach: for what asks for no keys."""
    if not is_loopback(host):
        raise NotLoopbackError(
            f"HOPLINE_HOST is {host!r}, and what starts here serves this machine only. Set HOPLINE_HOST=127.0.0.1; "
            "to be reached from elsewhere run `hopline gateway` by itself, with keys."
        )
