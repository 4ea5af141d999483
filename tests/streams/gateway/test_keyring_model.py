"""API keys against a model of a few lines: any order of making, rotating, revoking, expiring, of lanes and restarts.

Two lanes carry directives out and write `access`; a gateway's keyring takes their records in any interleaving, some of
them late or twice, and is made anew from the compacted topic. At each moment it must let in exactly the secrets that
are good by the newest record that it has of each key.
"""

import hmac
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec import structs
from typing_extensions import override

from processors.directives.record import Status
from processors.vocabulary import topics
from processors.vocabulary.access import AccessKey, is_prefix, named, pack, unpack
from processors.vocabulary.rules import SYSTEM
from processors.vocabulary.timestamps import rfc3339
from streams import keys
from streams.gateway.caller import Caller
from streams.gateway.keyring import Keyring, Refusal
from streams.keys import Pepper
from tests.processors.lanes import LaneInMemory, event

PEPPER = Pepper(b"p" * 32)
TENANTS = {"acme": 0, "bolt": 0, "cork": 1, SYSTEM: 1}
"""Each in its lane."""
PERMISSIONS = st.lists(st.sampled_from(["signal:write", "limit:write", "*"]), min_size=1, max_size=2, unique=True)


@dataclass(frozen=True)
class Version:
    """A key after one change, as the model has it."""

    current: str
    permissions: frozenset[str]
    expires_ms: int = 0
    previous: str = ""
    previous_until_ms: int = 0
    revoked: bool = False


class Keys(RuleBasedStateMachine):
    """What the lanes have done, what of it the gateway has heard, and every secret that ever was."""

    make_ring: Callable[[], Keyring] = staticmethod(lambda: Keyring(PEPPER))

    def __init__(self) -> None:
        super().__init__()
        self.lanes = [LaneInMemory(), LaneInMemory()]
        self.versions: dict[tuple[str, str], list[Version]] = {}
        self.heard: dict[tuple[str, str], int] = {}
        self.secrets: dict[str, tuple[str, str]] = {}
        self.at = [0, 0]
        self.ring = self.make_ring()
        self.count = itertools.count()

    @property
    def now_ms(self) -> int:
        return self.lanes[0].now_ms

    @rule(
        tenant=st.sampled_from(sorted(TENANTS)),
        shared=st.booleans(),
        permissions=PERMISSIONS,
        lives_ms=st.sampled_from([0, 0, 1_000]),
    )
    def create(self, tenant: str, shared: bool, permissions: list[str], lives_ms: int) -> None:
        """Make a key; now and then under a prefix that another tenant may have, or had."""
        prefix = "sharedname" if shared else f"{next(self.count):010d}"
        assert is_prefix(prefix)
        expires_ms = self.now_ms + lives_ms if lives_ms else 0
        more = {"permissions": permissions, "expires": rfc3339(expires_ms) if lives_ms else ""}
        text, status = self._ask(tenant, "create", prefix, more)
        taken = (tenant, prefix) in self.versions
        assert status is (Status.FAILED if taken else Status.SUCCEEDED)
        if not taken:
            self.versions[tenant, prefix] = [Version(text, frozenset(permissions), expires_ms)]

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), grace_seconds=st.sampled_from([0, 2, 60]))
    def rotate(self, data: st.DataObject, grace_seconds: int) -> None:
        tenant, prefix = data.draw(st.sampled_from(sorted(self.versions)))
        last = self.versions[tenant, prefix][-1]
        text, status = self._ask(tenant, "rotate", prefix, {"grace_seconds": grace_seconds})
        if last.revoked or (last.expires_ms and last.expires_ms <= self.now_ms):
            assert status is Status.FAILED
            return
        assert status is Status.SUCCEEDED
        until_ms = self.now_ms + 1_000 * grace_seconds
        old = (last.current, until_ms) if grace_seconds else ("", 0)
        after = replace(last, current=text, previous=old[0], previous_until_ms=old[1])
        self.versions[tenant, prefix].append(after)

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        tenant, prefix = data.draw(st.sampled_from(sorted(self.versions)))
        _, status = self._ask(tenant, "revoke", prefix, None)
        assert status is Status.SUCCEEDED
        last = self.versions[tenant, prefix][-1]
        self.versions[tenant, prefix].append(replace(last, revoked=True, previous="", previous_until_ms=0))

    @rule(by_ms=st.sampled_from([1, 999, 1_000, 2_000, 60_000]))
    def pass_time(self, by_ms: int) -> None:
        for lane in self.lanes:
            lane.now_ms += by_ms

    @rule(lane=st.sampled_from([0, 1]), count=st.integers(1, 4))
    def hear(self, lane: int, count: int) -> None:
        """The gateway takes what comes next of a lane."""
        for name, value in self._log(lane)[self.at[lane] : self.at[lane] + count]:
            self._take(name, value)
            self.at[lane] += 1

    @rule(data=st.data(), lane=st.sampled_from([0, 1]))
    def hear_something_old_again(self, data: st.DataObject, lane: int) -> None:
        """As when a tenant's records stand in two lanes after a move, and the older one is read later."""
        old = self._log(lane)[: self.at[lane]]
        if old:
            self._take(*data.draw(st.sampled_from(old)))

    @rule(order=st.permutations([0, 1]))
    def start_anew(self, order: list[int]) -> None:
        """Another gateway reads the compacted topic to its end, its lanes in some order."""
        self.ring = self.make_ring()
        self.heard = {}
        for lane in order:
            log = self._log(lane)
            for name, value in dict(log).items():
                self._take(name, value)
            self.at[lane] = len(log)

    def _log(self, lane: int) -> list[tuple[bytes, bytes | None]]:
        return [(name or b"", value) for name, value, _ in self.lanes[lane].outputs(topics.ACCESS)]

    def _take(self, name: bytes, value: bytes | None) -> None:
        tenant, prefix = named(name)
        self.ring.take(name, value)
        number = unpack(value or b"").number
        self.heard[tenant, prefix] = max(number, self.heard.get((tenant, prefix), 0))

    def _ask(self, tenant: str, verb: str, prefix: str, more: dict[str, Any] | None) -> tuple[str, Status]:
        """Carry a directive out; return the secret that was made for it, and how it ended."""
        lane, text, data = self.lanes[TENANTS[tenant]], "", {"prefix": prefix}
        if more is not None:
            body = f"hop_{prefix}_{next(self.count):0{keys.SECRET_CHARACTERS}d}"
            text = body + keys._check(body)
            self.secrets[text] = (tenant, prefix)
            data |= {**more, "hash": PEPPER.hash(text)}
        value = event(tenant, id=f"c{next(self.count)}", type=f"hopline.key.{verb}", data=data)
        lane.step(lane.record(value, topic=topics.COMMANDS))
        return text, Status(lane.told()[-1]["data"]["status"])

    def _expected(self, text: str) -> frozenset[str] | None:
        """Return what a secret may by what was heard; None if it opens nothing."""
        name = self.secrets[text]
        heard = self.heard.get(name, 0)
        if not heard:
            return None
        version = self.versions[name][heard - 1]
        if version.revoked or (version.expires_ms and version.expires_ms <= self.now_ms):
            return None
        good = text == version.current or (text == version.previous and self.now_ms < version.previous_until_ms)
        return version.permissions if good else None

    @invariant()
    def exactly_the_good_secrets_open(self) -> None:
        for text, (tenant, prefix) in self.secrets.items():
            found, expected = self.ring.find(text, self.now_ms), self._expected(text)
            if expected is None:
                assert isinstance(found, Refusal), (text, found)
                continue
            assert not isinstance(found, Refusal), (text, found)
            caller, key = found
            whose = "" if tenant == SYSTEM else tenant
            assert caller == Caller(f"key:{prefix}", whose, expected)
            assert key.tenant == tenant

    @invariant()
    def what_was_revoked_stays_so(self) -> None:
        for name, versions in self.versions.items():
            assert all(later.revoked for earlier, later in itertools.pairwise(versions) if earlier.revoked), name


Keys.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestKeys = Keys.TestCase


@pytest.mark.parametrize("hashes", [("",), ("previous",)])
def test_a_strangers_key_costs_what_a_wrong_secret_costs(hashes: tuple[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ring, done = Keyring(PEPPER), list[str]()
    previous = PEPPER.hash("another") if hashes[0] else ""
    key = AccessKey("acme", "0123456789", PEPPER.hash("one"), ("*",), created_ms=1, previous=previous)
    ring.take(key.name, pack(key))

    def counting(name: str) -> Callable[..., Any]:
        plain = getattr(hmac, name)

        def counted(*given: Any) -> Any:
            done.append(name)
            return plain(*given)

        return counted

    for name in ("digest", "compare_digest"):
        monkeypatch.setattr(hmac, name, counting(name))
    found = []
    for prefix in ("0123456789", "9876543210"):
        text = keys.new_key(prefix)
        done.clear()
        assert ring.find(text, 1) is Refusal.UNKNOWN
        found.append(list(done))
    assert found[0] == found[1]


class _LastComeHolds(Keyring):
    """Planted: the record that comes last holds, however old."""

    @override
    def _put(self, key: AccessKey) -> None:
        self._forget(key.tenant, key.prefix)
        super()._put(key)


class _OnePrefixOneKey(Keyring):
    """Planted: a prefix names one key, whoever's."""

    @override
    def _put(self, key: AccessKey) -> None:
        self._keys.pop(key.prefix, None)
        super()._put(key)


def _bare(name: str, change: Callable[[AccessKey], AccessKey]) -> type[Keyring]:
    """Return a keyring that sees keys changed."""

    def _put(self: Keyring, key: AccessKey) -> None:
        Keyring._put(self, change(key))

    return type(name, (Keyring,), {"_put": _put})


PLANTED = [
    _LastComeHolds,
    _OnePrefixOneKey,
    _bare("revoked_keys_work", lambda key: structs.replace(key, revoked_ms=0)),
    _bare("expired_keys_work", lambda key: structs.replace(key, expires_ms=0)),
    _bare("grace_never_ends", lambda key: structs.replace(key, previous_until_ms=2**60)),
    _bare("there_is_no_grace", lambda key: structs.replace(key, previous="")),
    _bare("everything_is_allowed", lambda key: structs.replace(key, permissions=("*",))),
]


PLANTED_SETTINGS = settings(
    max_examples=2_000,
    stateful_step_count=30,
    deadline=None,
    database=None,
    # That it is found is enough; the smallest way to it need not be.
    phases=(Phase.generate,),
    report_multiple_bugs=False,
)


@pytest.mark.parametrize("ring", PLANTED, ids=lambda ring: ring.__name__.strip("_"))
def test_a_planted_mistake_is_found(ring: type[Keyring]) -> None:
    class Planted(Keys):
        make_ring = staticmethod(lambda: ring(PEPPER))

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Planted, settings=PLANTED_SETTINGS)
