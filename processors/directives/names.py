"""The extensions of an event that asks for a directive, each with its one home here."""

from typing import Final

KEY: Final = "idempotencykey"
NOT_BEFORE: Final = "notbefore"
EXPIRES: Final = "expires"
REQUESTER: Final = "requester"
GRANTED: Final = "granted"
"""The permissions of the requester, with blanks between; means something only if signed."""
SIGNED_AT: Final = "signedat"
"""When a gateway has signed, in milliseconds since the epoch."""
SIGNATURE: Final = "signature"
"""Of a gateway: over who asks, with what right, and all that decides what is done."""
