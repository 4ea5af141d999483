"""The addresses that channels are told at: what may be one, and how much of it people see.

An address inside of the network is as good as any: whoever writes the channels' file is the operator. Tenants have no
say in it, so that nobody can let Hopline knock at doors that are closed to him.
"""

from typing import Final
from urllib.parse import SplitResult, urlsplit

URL_CHARACTERS_MAX: Final = 2_048
SCHEMES: Final = ("http", "https")
_PIECE_CHARACTERS_MIN: Final = 8
"""Of a path: shorter pieces are words such as `hooks`."""


def split(url: str) -> SplitResult:
    """Return a URL in its parts. Raises `ValueError`; what it says does not repeat the URL, which may be a secret."""
    if not 0 < len(url) <= URL_CHARACTERS_MAX:
        raise ValueError(f"must be 1 to {URL_CHARACTERS_MAX} characters")
    if any(letter <= " " or letter == "\x7f" for letter in url):
        raise ValueError("must not contain blanks or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in SCHEMES)}")
    if not parts.hostname or port == 0:
        raise ValueError("must name a host, and a port that is not 0")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user or a password")
    if parts.fragment:
        raise ValueError("must not contain #")
    return parts


def shown(url: str) -> str:
    """Return what people see of a URL: where it goes, not its path, by which some services know who is calling."""
    parts = split(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def secrets_of(url: str) -> tuple[str, ...]:
    """Return what of a URL must not be repeated: its path and query as a whole, and the long pieces of them."""
    parts = split(url)
    pieces = [*parts.path.split("/"), *parts.query.replace("=", "&").split("&")]
    long = tuple(piece for piece in pieces if len(piece) >= _PIECE_CHARACTERS_MIN)
    whole = parts.path + (f"?{parts.query}" if parts.query else "")
    return long if len(whole) < _PIECE_CHARACTERS_MIN else (whole, *long)
