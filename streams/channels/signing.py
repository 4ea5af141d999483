"""How a webhook is signed: HMAC-SHA256 over id, time and body, in the headers that webhook standards have agreed on.

https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp` (seconds of the epoch), `webhook-signature` (`v1,`
and base64 of the HMAC of `id.timestamp.body`). Their verifiers in any language take it. docs/channels.md shows one.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
PREFIX: Final = "whsec_"
KEY_BYTES_MIN: Final = 16


def key_of(secret: str) -> bytes:
    """Return the key of a secret: `whsec_` and base64, as the standard has it, or any text. Raises `ValueError`."""
    try:
        key = (
            base64.b64decode(secret.removeprefix(PREFIX), validate=True)
            if secret.startswith(PREFIX)
            else secret.encode()
        )
    except binascii.Error:
        raise ValueError(f"begins with {PREFIX} and is no base64 behind it") from None
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"is shorter than {KEY_BYTES_MIN} bytes; `openssl rand -base64 32` makes a good one")
    return key


def headers(key: bytes, id_: str, now_seconds: int, body: bytes) -> dict[str, str]:
    """Return what signs a body."""
    signed = b"%b.%d.%b" % (id_.encode(), now_seconds, body)
    signature = base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
    return {ID: id_, TIMESTAMP: str(now_seconds), SIGNATURE: f"v1,{signature}"}
