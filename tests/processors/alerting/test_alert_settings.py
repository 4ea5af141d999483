"""The records of `alert-settings`: read as they were written, bounded, and a silence means what it says."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alerting import settings
from processors.alerting.settings import ALL, AlertSettings, Override, Silence, UnreadableSettingError, pack, unpack

NOW_MS: Final = 1_800_000_000_000
NAMES: Final = st.sampled_from(("LagHigh", "LagCritical", "HopSlow"))
TENANTS: Final = st.sampled_from((ALL, "acme", "other"))
LABELS: Final = st.dictionaries(st.sampled_from(("tenant", "hop")), st.sampled_from(("acme", "other", "ingest")))
SILENCES: Final = st.builds(
    Silence,
    id=st.sampled_from("abc"),
    alert=NAMES | st.just("*") | st.sampled_from(("Lag*", "HopS*")),
    tenant=TENANTS,
    until_ms=st.integers(NOW_MS - 5, NOW_MS + 5),
    why=st.text(max_size=5),
    at_ms=st.just(NOW_MS),
    labels=LABELS,
)
OVERRIDES: Final = st.builds(
    Override, alert=NAMES, tenant=TENANTS, value=st.floats(allow_nan=False, allow_infinity=False), at_ms=st.just(NOW_MS)
)


@given(SILENCES | OVERRIDES)
def test_what_was_packed_is_read_again(setting: settings.Setting) -> None:
    assert unpack(setting.key, pack(setting)) == setting


@pytest.mark.parametrize(
    "key,value",
    [
        (b"threshold/\x00LagHigh", b"{"),
        (b"threshold/\x00LagHigh", b'{"alert":"HopSlow","tenant":"","value":1,"at_ms":1}'),
        (b"threshold/a\x00LagHigh", b'{"alert":"LagHigh","tenant":"","value":1,"at_ms":1}'),
        (b"threshold/\x00LagHigh", b'{"alert":"LagHigh","tenant":"","value":1e999,"at_ms":1}'),
        (b"threshold/\x00LagHigh", b'{"alert":"LagHigh","tenant":"","value":1,"at_ms":1,"v":2}'),
        (b"silence/\x00a", b'{"id":"b","alert":"*","tenant":"","until_ms":1,"why":"","at_ms":1}'),
        (b"other/\xff", b"[]"),
        (b"", b"1"),
    ],
)
def test_what_cannot_be_read_is_named_and_changes_nothing(key: bytes, value: bytes) -> None:
    with pytest.raises(UnreadableSettingError):
        unpack(key, value)
    kept = AlertSettings()
    assert kept.take(key, value)
    assert len(kept) == 0


def _silences(one: Silence, alert: str, labels: dict[str, str], now_ms: int) -> bool:
    """Say it plainly, and slowly."""
    begins = one.alert == "*" or (one.alert[-1] == "*" and alert[: len(one.alert) - 1] == one.alert[:-1])
    if one.alert != alert and not begins:
        return False
    wanted = dict(one.labels) if not one.tenant else {**one.labels}
    if one.tenant and labels.get("tenant", "") != one.tenant:
        return False
    return set(wanted.items()) <= set(labels.items()) and now_ms < one.until_ms


@given(st.lists(SILENCES), NAMES, LABELS, st.integers(NOW_MS - 6, NOW_MS + 6))
def test_an_alert_is_silent_while_some_silence_means_it(
    silences: list[Silence], alert: str, labels: dict[str, str], now_ms: int
) -> None:
    kept = AlertSettings()
    newest: dict[bytes, Silence] = {}
    for one in silences:
        assert kept.take(one.key, pack(one)) == ""
        newest[one.key] = one
    means = [one for one in newest.values() if _silences(one, alert, labels, now_ms)]
    found = kept.silenced(alert, labels, now_ms)
    assert (found in means) if means else found is None
    assert found is None or found.until_ms == max(one.until_ms for one in means)
    assert {one.key for one in kept.silences(now_ms)} == {key for key, one in newest.items() if one.until_ms > now_ms}
    kept.forget(now_ms)
    assert len(kept) == len(list(kept.silences(now_ms)))
    for key in newest:
        kept.take(key, None)
    assert len(kept) == 0


def test_a_tenants_own_threshold_stands_beside_the_one_of_all() -> None:
    kept = AlertSettings()
    for tenant, value in ((ALL, 5.0), ("acme", 7.0), ("acme", 8.0)):
        one = Override("LagHigh", tenant, value, NOW_MS, by="kafka:ann")
        assert kept.take(one.key, pack(one)) == ""
    assert {(one.tenant, one.value) for one in kept.overrides()} == {(ALL, 5.0), ("acme", 8.0)}
    own, of_all = kept.override("LagHigh", "acme"), kept.override("LagHigh")
    assert own is not None
    assert of_all is not None
    assert (own.value, of_all.value, kept.override("HopSlow")) == (8.0, 5.0, None)
    kept.take(settings.override_key("acme", "LagHigh"), None)
    assert kept.override("LagHigh", "acme") is None


def test_one_too_many_is_refused_and_one_that_is_there_is_still_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KEPT_MAX", 2)
    kept = AlertSettings()
    said: list[Any] = []
    for tenant in ("a", "b", "c", "a"):
        one = Override("LagHigh", tenant, 1, NOW_MS)
        said.append(kept.take(one.key, pack(one)))
    assert ["one more than 2" in words for words in said] == [False, False, True, False]


@pytest.mark.parametrize("pattern", ["*", "LagHigh", "Lag*", "A"])
def test_what_is_a_pattern(pattern: str) -> None:
    assert settings.is_pattern(pattern)


@pytest.mark.parametrize("pattern", ["", "**", "*Lag", "lag", "Lag High", "Lag*High", "L" * 65, "Lag\n"])
def test_what_is_no_pattern(pattern: str) -> None:
    assert not settings.is_pattern(pattern)
