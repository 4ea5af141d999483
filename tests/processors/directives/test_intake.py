"""A directive is read out of its event to the letter; what is wrong with the event is said by field."""

from typing import Any, Final

import pytest

from processors.directives.intake import PAYLOAD_BYTES_MAX, Asked, asked_of
from processors.directives.record import KEY_CHARACTERS_MAX, Directive
from processors.vocabulary import envelope, topics
from processors.vocabulary.ids import digest
from processors.vocabulary.reasons import Problem
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Signal
from processors.vocabulary.timestamps import rfc3339
from tests.processors.lanes import NOW_MS, event

KIND: Final = "hopline.tenant.set"
NOT_A_TIME: Final = "must be an RFC 3339 timestamp, such as 2026-11-21T10:00:00Z"
TOO_LATE: Final = "lies before the moment at which it could be carried out"


def ask(now_ms: int = NOW_MS, **attributes: Any) -> Asked:
    value = event(**{"id": "c1", "type": KIND, "data": {"burst": 7}, **attributes})
    signal = envelope.decode(PlainRecord(topics.DIRECTIVES, 0, 0, 0, None, value, []), reserved_ok=True)
    assert isinstance(signal, Signal)
    return asked_of(signal, now_ms)


def test_without_extensions_it_is_the_events_own() -> None:
    payload = b'{"burst": 7}'
    wanted = Directive(
        key="/shop#c1",
        name=KIND,
        id="c1",
        correlation="c1",
        requester="kafka",
        fingerprint=digest(KIND.encode(), payload),
        payload=payload,
        requested_ms=NOW_MS,
        due_ms=0,
        expires_ms=0,
    )
    assert ask() == Asked("acme", wanted, [])


def test_with_all_of_them() -> None:
    found = ask(
        idempotencykey="k",
        correlationid="corr",
        requester="ann",
        notbefore=rfc3339(NOW_MS + 1_000),
        expires=rfc3339(NOW_MS + 2_000),
    )
    assert found.problems == []
    one = found.directive
    assert (one.key, one.correlation, one.requester) == ("k", "corr", "kafka:ann")
    assert (one.due_ms, one.expires_ms) == (NOW_MS + 1_000, NOW_MS + 2_000)


def test_a_key_may_be_so_long_and_a_longer_one_is_known_by_its_digest() -> None:
    longest = "k" * KEY_CHARACTERS_MAX
    assert ask(idempotencykey=longest).problems == []
    assert ask(idempotencykey=longest).directive.key == longest
    found = ask(idempotencykey=longest + "k")
    assert found.problems == [Problem("idempotencykey", "has 257 characters, 256 are the limit")]
    assert found.directive.key == digest((longest + "k").encode()).hex()
    assert found.directive.name == KIND


def test_a_claim_is_cut() -> None:
    assert ask(requester="a" * 400).directive.requester == ("kafka:" + "a" * 400)[:KEY_CHARACTERS_MAX]


def test_a_payload_may_be_so_large_and_a_larger_one_is_not_kept() -> None:
    fits = {"x": "y" * (PAYLOAD_BYTES_MAX - len('{"x": ""}'))}
    assert len(ask(data=fits).directive.payload) == PAYLOAD_BYTES_MAX
    assert ask(data=fits).problems == []
    found = ask(data={"x": fits["x"] + "y"})
    assert found.problems == [Problem("data", "has 65537 bytes, 65536 are the limit")]
    assert found.directive.payload == b""
    assert found.directive.fingerprint != ask(data={}).directive.fingerprint, "it is known by what it was"


def test_the_fingerprint_is_of_name_and_payload() -> None:
    assert ask().directive.fingerprint == ask(id="c2", idempotencykey="z").directive.fingerprint
    assert ask().directive.fingerprint != ask(type="hopline.limit.set").directive.fingerprint
    assert ask().directive.fingerprint != ask(data={"burst": 8}).directive.fingerprint


@pytest.mark.parametrize("name", ["notbefore", "expires"])
@pytest.mark.parametrize("text", ["soon", 7, True])
def test_what_is_no_time_is_said_and_counts_as_none(name: str, text: Any) -> None:
    found = ask(**{name: text})
    assert found.problems == [Problem(name, NOT_A_TIME)]
    assert (found.directive.due_ms, found.directive.expires_ms) == (0, 0)


@pytest.mark.parametrize(
    "due_ms, expires_ms, fits",
    [
        (0, 0, False),
        (0, 1, True),
        (-50, 0, False),
        (-50, 1, True),
        (100, 100, False),
        (100, 101, True),
        (100, 50, False),
    ],
)
def test_it_must_not_expire_before_it_could_be_carried_out(due_ms: int, expires_ms: int, *, fits: bool) -> None:
    times: dict[str, Any] = {"expires": rfc3339(NOW_MS + expires_ms)}
    if due_ms:
        times["notbefore"] = rfc3339(NOW_MS + due_ms)
    assert ask(**times).problems == ([] if fits else [Problem("expires", TOO_LATE)])
