"""The demo's mix is a function of its seed, and what it says of each signal is what the decoder says."""

from collections import Counter

import pytest

from processors.vocabulary import envelope, topics
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import PlainRecord
from streams.demo import Fate, Route, Sample, expected, generate
from streams.demo.source import http_headers
from streams.gateway import intake
from streams.gateway.intake import Entry


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return generate(seed=7, signals=3_000, tenants=20)


def test_the_same_seed_gives_the_same_signals(samples: list[Sample]) -> None:
    assert generate(seed=7, signals=3_000, tenants=20) == samples
    assert generate(seed=8, signals=3_000, tenants=20) != samples


def test_two_runs_share_no_id(samples: list[Sample]) -> None:
    others = generate(seed=7, signals=3_000, tenants=20, run="other")
    assert not {sample.id for sample in others if sample.id} & {sample.id for sample in samples if sample.id}


def test_there_is_some_of_everything(samples: list[Sample]) -> None:
    fates = Counter(sample.fate for sample in samples)
    assert 0.9 < fates[Fate.HANDLED] / len(samples) < 0.96
    assert 0.03 < fates[Fate.DUPLICATE] / len(samples) < 0.07
    assert 0.01 < (fates[Fate.DEAD] + fates[Fate.REFUSED]) / len(samples) < 0.03
    assert 0.4 < sum(sample.route is Route.KAFKA for sample in samples) / len(samples) < 0.6
    assert len({sample.tenant for sample in samples}) == 20
    assert any(sample.misplaced for sample in samples)
    assert any(sample.fate is Fate.HANDLED and not sample.id for sample in samples)


def test_kafka_finds_the_reason_that_the_source_gives(samples: list[Sample]) -> None:
    for sample in samples:
        if sample.route is Route.KAFKA:
            record = PlainRecord(topics.SIGNALS_IN, 0, 0, 0, sample.key, sample.value, sample.headers)
            found = envelope.decode(record)
            assert (found.reason if isinstance(found, Rejected) else None) is sample.reason


def test_the_gateway_accepts_what_is_good_and_refuses_what_is_not(samples: list[Sample]) -> None:
    for sample in samples:
        if sample.route is Route.GATEWAY:
            headers = dict(http_headers(sample))
            content_type = headers.get("Content-Type")
            mode = intake.mode_of(content_type, headers)
            found = (
                mode
                if isinstance(mode, Rejected)
                else intake.single(content_type, headers, sample.value or b"", lambda _tenant, _index: "ours")
            )
            assert isinstance(found, Entry) is (sample.fate is not Fate.REFUSED), sample


def test_a_doubled_signal_has_an_original(samples: list[Sample]) -> None:
    seen: set[tuple[str, str]] = set()
    for sample in samples:
        if sample.fate is Fate.DUPLICATE:
            assert (sample.tenant, sample.id) in seen
        elif sample.fate is Fate.HANDLED:
            assert (sample.tenant, sample.id) not in seen or not sample.id
            seen.add((sample.tenant, sample.id))


def test_what_is_expected_adds_up(samples: list[Sample]) -> None:
    found = expected(samples, lanes=8)
    assert found.handled + found.duplicates + found.refused + found.dead_letters == found.sent == len(samples)
    assert found.moved == sum(sample.misplaced for sample in samples)
    assert expected(samples, lanes=1).moved == 0
