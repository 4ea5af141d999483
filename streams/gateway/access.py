"""Who may come in: the key of each request, what it may do, and for which tenant. `docs/keys.md` is the user's side."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from processors.telemetry import catalogue
from processors.vocabulary import rules
from processors.vocabulary.access import AccessKey
from processors.vocabulary.ids import digest
from processors.vocabulary.reasons import Problem
from streams import keys, secret
from streams.clock import wall_ms
from streams.gateway.caller import KEY as CALLER
from streams.gateway.caller import Caller, of_address
from streams.gateway.errors import NotLoopbackError
from streams.gateway.hosts import is_loopback
from streams.gateway.intake import Entry, NewId
from streams.gateway.keyring import KEYS_MAX, Keyring, Refusal
from streams.gateway.limits import RefusedError
from streams.gateway.problems import Failure
from streams.gateway.use import Uses
from streams.known_keys import KnownKeys
from streams.metrics import Metrics
from streams.settings import Settings

log = logging.getLogger(__name__)

GUARDED: Final = ("/v1/", "/api/")
"""What asks for a key stands under these paths."""
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
NOT_READ_RETRY_AFTER_MS: Final = 1_000
_FORBIDDEN: Final = "forbidden"
_is_idempotency_key: Final = re.compile(r"[!-~]{1,256}").fullmatch


_SAID: Final = {
    Refusal.MISSING: "Send a key as `Authorization: Bearer hop_...`. `hopline keys create` makes one.",
    Refusal.MISTYPED: "This is no key, or it was copied badly: its check digits do not fit. Copy it again, whole.",
    Refusal.UNKNOWN: "Nobody knows this key. Was it made for another cluster, or with another secret_key?",
    Refusal.REVOKED: "This key was revoked. Ask whoever gave it to you for another one.",
    Refusal.EXPIRED: "This key has expired. Ask whoever gave it to you for another one.",
    Refusal.ROTATED: "This key was rotated and its grace time is over. Use the new one.",
}


@dataclass(frozen=True, slots=True)
class _Held:
    """By what somebody was let in who may stay: the key's name, and the hash that fitted."""

    name: bytes
    hash: str


_HELD: Final = web.RequestKey("held", _Held)


class KeyTable:
    """The keys that are in force here, and the ones being read anew: a `View` of the topic `access`."""

    def __init__(self, pepper: keys.Pepper | None = None) -> None:
        self._pepper = pepper
        self.ring = Keyring(pepper)
        self._next = self.ring
        self.complete_once = False

    def begin(self) -> None:
        """See `View.begin`."""
        self._next = Keyring(self._pepper)

    def take(self, record: Any) -> None:
        """See `View.take`."""
        self._next.take(record.key, record.value)

    def complete(self) -> None:
        """See `View.complete`."""
        self.ring = self._next
        self.complete_once = True
        strangers = self.ring.strangers()
        log.info("%d API keys are known", len(self.ring))
        if strangers and self.ring.can_check:
            log.warning("%d keys were made with another secret_key than this gateway's: nobody can use them", strangers)
        if self.ring.full:
            log.error("there are more than %d API keys; the newest are not known here", KEYS_MAX)


class Access:
    """Says who makes a request, or refuses it. One for a gateway."""

    def __init__(self, settings: Settings, metrics: Metrics, table: KeyTable | None = None) -> None:
        self.required = keys_required(settings)
        self._local_limits = settings.gateway_local_limits
        self.table = table or KeyTable()
        self.uses = Uses()
        self.behind: Callable[[], str] = str
        """Says why what is known of the keys may be old; nothing if it is not."""
        self._refused = metrics.counter(catalogue.GATEWAY_DENIED)
        metrics.gauge(catalogue.GATEWAY_KEYS).of().set_function(lambda: len(self.table.ring))

    def identify(self, request: web.Request) -> None:
        """Store the caller in the request, or refuse it."""
        if request.path.startswith(GUARDED):
            request[CALLER] = self._caller(request)

    def _caller(self, request: web.Request) -> Caller:
        sent = request.headers.getall("Authorization", [])
        if not sent and not self.required:
            return of_address(request.remote or "unknown", self._local_limits)
        if not self.table.complete_once:
            raise RefusedError(_not_read())
        scheme, _, text = (sent[0] if len(sent) == 1 else "").partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise self._unauthorized(Refusal.MISSING)
        now_ms = wall_ms()
        found = self.table.ring.find(text, now_ms)
        if isinstance(found, Refusal):
            raise self._unauthorized(found)
        caller, key = found
        self.uses.note(key.name, now_ms)
        request[_HELD] = _Held(key.name, self.table.ring.hash(text))
        return caller

    def still_good(self, request: web.Request) -> bool:
        """Tell whether a request would be let in now: for one that lasts, and a key that was revoked meanwhile."""
        held = request.get(_HELD)
        return held is None or self.table.ring.holds(held.name, held.hash, wall_ms())

    def _unauthorized(self, refusal: Refusal) -> RefusedError:
        self._refused.of(refusal.value).inc()
        return RefusedError(
            Failure(HTTPStatus.UNAUTHORIZED, refusal.value, "No valid key", _SAID[refusal], closes=True)
        )

    def require(self, request: web.Request, permission: str) -> Caller:
        """Return the caller of a request. Refuses one that lacks the permission."""
        caller = request[CALLER]
        if not caller.may(permission):
            self._refused.of(_FORBIDDEN).inc()
            raise RefusedError(
                Failure(
                    HTTPStatus.FORBIDDEN,
                    "permission_lacking",
                    "Permission lacking",
                    f"{caller.name} lacks the permission {permission}. Use a key that has it.",
                    (Problem("authorization", f"lacks {permission}"),),
                    closes=True,
                )
            )
        return caller

    def tenant(self, caller: Caller, given: str) -> str:
        """Return whose a request is: the tenant that it names, or the only one that its key speaks for."""
        tenant = given or caller.tenant
        if not rules.is_tenant(tenant, reserved_ok=True):
            problem = Problem("tenant", "is missing; name one" if not tenant else "is no tenant's name")
            raise RefusedError(
                Failure(HTTPStatus.BAD_REQUEST, "invalid_tenant", "Tenant wrong", "See `problems`.", (problem,))
            )
        if not caller.may_speak_for(tenant):
            self._refused.of(_FORBIDDEN).inc()
            raise RefusedError(_foreign(caller, "tenant", tenant))
        return tenant

    def own(self, caller: Caller, entry: Entry) -> Failure | None:
        """Return why a caller may not send an event; None if it may."""
        # Its tenant was judged with it: a reserved one does not get so far.
        if caller.tenant in {"", entry.tenant}:
            return None
        self._refused.of(_FORBIDDEN).inc()
        return _foreign(caller, "tenantid", entry.tenant)

    def why_not_ready(self) -> str:
        """Return why requests with keys are not served; empty if they are."""
        return self.behind() if self.table.complete_once else "The API keys have not been read yet."


def _foreign(caller: Caller, field: str, tenant: str) -> Failure:
    return Failure(
        HTTPStatus.FORBIDDEN,
        "foreign_tenant",
        "Another tenant's",
        f"{caller.name} speaks for the tenant {caller.tenant!r} only.",
        (Problem(field, f"is {tenant!r}; leave it out, or use a key of that tenant"),),
    )


def _not_read() -> Failure:
    return Failure(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "keys_not_read",
        "The keys have not been read yet",
        "The gateway does not know the API keys yet. Nothing was done; come again later.",
        retry_after_ms=NOT_READ_RETRY_AFTER_MS,
        closes=True,
    )


def idempotency_key(headers: Mapping[str, str]) -> str:
    """Return the request's `Idempotency-Key`, empty if it has none. Refuses one that is none."""
    text = headers.get(IDEMPOTENCY_KEY)
    if text is None:
        return ""
    text = text.strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        # A string of structured headers, as the IETF's draft has it.
        text = text[1:-1]
    if _is_idempotency_key(text) is None:
        problem = Problem(IDEMPOTENCY_KEY.lower(), "must be 1 to 256 visible ASCII characters, such as a UUID")
        raise RefusedError(
            Failure(
                HTTPStatus.BAD_REQUEST,
                "invalid_idempotency_key",
                "Idempotency-Key wrong",
                "See `problems`.",
                (problem,),
                closes=True,
            )
        )
    return text


def ids_for(headers: Mapping[str, str], new_id: Callable[[], str]) -> NewId:
    """Return how events without an id get one: the same for a request that is sent again with its Idempotency-Key."""
    key = idempotency_key(headers)
    if not key:
        return lambda _tenant, _index: new_id()
    return lambda tenant, index: digest(b"idempotency-key", tenant.encode(), key.encode(), b"%d" % index).hex()


def keys_required(settings: Settings) -> bool:
    """Tell whether each request needs a key: by default where other machines can send one."""
    wanted = settings.require_keys
    return not is_loopback(settings.host) if wanted is None else wanted


async def require_safe(settings: Settings, bootstrap: str) -> None:
    """Refuse to be reached by other machines without keys.

    Raises `NotLoopbackError`, `SettingsError` for want of a `secret_key`, or what reading the keys raises.
    """
    if keys_required(settings):
        secret.derived(settings, keys.PURPOSE)
    if is_loopback(settings.host):
        return
    if not keys_required(settings):
        raise NotLoopbackError(
            f"HOPLINE_HOST is {settings.host!r} and HOPLINE_REQUIRE_KEYS is false: anybody could do anything. "
            "Leave HOPLINE_REQUIRE_KEYS out, or set HOPLINE_HOST=127.0.0.1."
        )
    now_ms = wall_ms()
    found = await KnownKeys(settings.cluster(bootstrap), settings.topics, settings.lanes).keys()
    if not any(_opens(key, now_ms) for key in found):
        raise NotLoopbackError(
            f"HOPLINE_HOST is {settings.host!r}, and there is no API key that anybody could use. "
            "Make an operator's key with `hopline keys create --operator`, or set HOPLINE_HOST=127.0.0.1."
        )


def _opens(key: AccessKey, now_ms: int) -> bool:
    return not key.dead(now_ms)
