"""Find ports for what we start: the settings' own, or free ones near them where those are taken."""

import socket
from collections.abc import Collection
from typing import Final

from streams.cli.errors import CommandError
from streams.settings import Loaded

TRIES_MAX: Final = 200


def choose(found: Loaded, name: str, count: int = 1, *, given: Collection[int] = ()) -> tuple[int, bool]:
    """Return the first of `count` free ports in a row, and whether it is the setting's own.

    Those `given` to others before are not free, though nobody listens there yet. A port that somebody asked for is not
    replaced by another one: then `CommandError` says so.
    """
    settings = found.settings
    wanted: int = getattr(settings, name)
    if wanted and _are_free(settings.host, wanted, count, given):
        return wanted, True
    if wanted and found.sources[name] != "default":
        raise CommandError(
            f"port {_range(wanted, count)} of {settings.host} is taken, and {found.sources[name]} asks for it",
            f"end the program that has it, or set HOPLINE_{name.upper()} to another one, or to 0 for any",
        )
    start = wanted or _any_free(settings.host)
    for port in range(start, min(start + TRIES_MAX * count, 65_536 - count), count):
        if _are_free(settings.host, port, count, given):
            return port, False
    raise CommandError(
        f"no free port near {start} on {settings.host}", f"set HOPLINE_{name.upper()} to one that is free"
    )


def _range(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first} to {first + count - 1}"


def _any_free(host: str) -> int:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _are_free(host: str, first: int, count: int, given: Collection[int]) -> bool:
    return all(port not in given and _is_free(host, port) for port in range(first, first + count))


def _is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # As the servers do it: connections of a server before us may still be closing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
