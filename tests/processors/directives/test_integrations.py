"""Integrations: settings in clear, secrets sealed by whoever sends them; nothing that is told has a value in it."""

import json
from typing import Any, Final

import pytest

from processors.directives import audit
from processors.directives.integrations import (
    FIELDS_MAX,
    INTEGRATIONS_MAX,
    SETTINGS_BYTES_MAX,
    Integration,
    Sealed,
    integration_key,
    unpack_integration,
)
from processors.directives.record import directive_key, unpack
from processors.vocabulary.timestamps import rfc3339
from tests.processors.directives.test_directives import balanced, lines, send, statuses
from tests.processors.lanes import NOW_MS, LaneInMemory

SET: Final = "hopline.integration.set"
DELETE: Final = "hopline.integration.delete"
ERASE: Final = "hopline.secrets.erase"


def sealed(letter: str = "A", key: str = "0123456789abcdef") -> str:
    return f"s1.{key}.{letter * 60}"


def lane_with_tenant() -> LaneInMemory:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.create", "tenant")
    return lane


def there(lane: LaneInMemory, name: str = "crm") -> Integration | None:
    packed = lane.store.values.get(integration_key("acme", name))
    return None if packed is None else unpack_integration(packed)


def entry(lane: LaneInMemory) -> audit.Entry:
    return audit.read(lines(lane)[-1])


def test_an_integration_is_set_shown_without_values_and_changed_in_part() -> None:
    lane = lane_with_tenant()
    send(lane, SET, "1", {"name": "crm", "settings": {"url": "https://a"}, "secrets": {"token": sealed()}})
    assert there(lane) == Integration("crm", {"url": "https://a"}, {"token": Sealed(sealed(), NOW_MS)}, NOW_MS)
    shown = {
        "name": "crm",
        "settings": {"url": "https://a"},
        "secrets": {"token": {"sealed_with": "0123456789abcdef", "set_ms": NOW_MS}},
        "changed_ms": NOW_MS,
    }
    assert (entry(lane).before, entry(lane).after) == (None, shown)
    lane.now_ms += 5
    send(lane, SET, "2", {"name": "crm", "secrets": {"other": sealed("B")}})
    both = {"token": Sealed(sealed(), NOW_MS), "other": Sealed(sealed("B"), NOW_MS + 5)}
    assert there(lane) == Integration("crm", {"url": "https://a"}, both, NOW_MS + 5)
    assert entry(lane).before == shown
    send(lane, SET, "3", {"name": "crm", "settings": {}, "remove": ["token", "never there"]})
    assert there(lane) == Integration("crm", {}, {"other": Sealed(sealed("B"), NOW_MS + 5)}, NOW_MS + 5)
    assert balanced(lane)


def test_what_is_sealed_stands_in_the_command_and_in_the_integration_and_nowhere_else() -> None:
    lane = lane_with_tenant()
    send(lane, SET, "1", {"name": "crm", "secrets": {"token": sealed()}})
    text = sealed().encode()
    assert [key for key, value in lane.store.values.items() if text in value] == [integration_key("acme", "crm")]
    assert text not in b"".join(lines(lane)) + json.dumps(lane.told()).encode()
    send(lane, SET, "2", {"name": "crm", "secrets": {"token": sealed("Z")}}, notbefore=rfc3339(NOW_MS + 100))
    waiting = lane.store.values[directive_key("acme", "2")]
    assert sealed("Z").encode() in unpack(waiting).payload
    lane.now_ms += 100
    lane.step()
    assert unpack(lane.store.values[directive_key("acme", "2")]).payload == b""


@pytest.mark.parametrize(
    "data, says",
    [
        ({"name": "crm", "secrets": {"token": "hunter2"}}, "data.secrets.token is not sealed"),
        ({"name": "crm", "secrets": {"token": sealed() + "=hunter2"}}, "data.secrets.token is not sealed"),
        ({"name": "crm", "secrets": {"hunter2 hunter2": sealed()}}, "data.secrets[0] has no name"),
        ({"name": "crm", "secrets": {"hunter2 hunter2": "hunter2"}}, "data.secrets[0] is not sealed"),
        ({"name": "hunter2 hunter2"}, "data.name must be"),
        ({"name": "C"}, "data.name must be"),
        ({"name": "a" * 64}, "data.name must be"),
        ({"name": "crm", "settings": {"x": "hunter2" * 2_000}}, "data.settings are more than"),
        ({"name": "crm", "settings": ["hunter2"]}, "Expected `object | null`"),
        ({"name": "crm", "secrets": {"token": 5}}, "Expected `str`"),
        ({"name": "crm", "secrets": {"t": sealed()}, "remove": ["t"]}, "data.remove names"),
        ({}, "data.name is missing"),
    ],
)
def test_what_is_not_sealed_or_not_named_is_rejected_and_never_repeated(data: dict[str, Any], says: str) -> None:
    lane = lane_with_tenant()
    send(lane, SET, "1", data)
    assert statuses(lane)[-1] == "rejected"
    error = lane.told()[-1]["data"]["error"]
    assert says in error
    assert "hunter2" not in error
    assert there(lane) is None
    assert b"hunter2" not in b"".join(lane.store.values.values()) + b"".join(lines(lane))


def test_the_bounds_hold_to_the_last() -> None:
    lane = lane_with_tenant()
    send(lane, SET, "fits", {"name": "a" * 63, "settings": {"x": "y" * (SETTINGS_BYTES_MAX - 8)}})
    send(lane, SET, "above", {"name": "crm", "settings": {"x": "y" * (SETTINGS_BYTES_MAX - 7)}})
    assert statuses(lane)[-2:] == ["succeeded", "rejected"]
    many = {f"f{n}": sealed() for n in range(FIELDS_MAX)}
    send(lane, SET, "many", {"name": "crm", "secrets": many})
    send(lane, SET, "more", {"name": "crm", "secrets": {"one.more": sealed()}})
    assert statuses(lane)[-2:] == ["succeeded", "failed"]
    assert f"would have {FIELDS_MAX + 1} secrets" in lane.told()[-1]["data"]["error"]
    send(lane, SET, "swap", {"name": "crm", "secrets": {"one.more": sealed()}, "remove": ["f0"]})
    assert statuses(lane)[-1] == "succeeded"
    for number in range(INTEGRATIONS_MAX - 2):
        send(lane, SET, f"i{number}", {"name": f"i{number}"})
    assert statuses(lane)[-1] == "succeeded"
    send(lane, SET, "too many", {"name": "last"})
    assert statuses(lane)[-1] == "failed"
    send(lane, SET, "there", {"name": "crm", "settings": {"a": 1}})
    assert statuses(lane)[-1] == "succeeded", "one that is there is no further one"


def test_an_integration_is_deleted_once() -> None:
    lane = lane_with_tenant()
    send(lane, SET, "1", {"name": "crm", "secrets": {"token": sealed()}})
    send(lane, DELETE, "2", {"name": "crm"})
    assert there(lane) is None
    assert (entry(lane).before["name"], entry(lane).after) == ("crm", None)
    send(lane, DELETE, "3", {"name": "crm"})
    assert statuses(lane)[-1] == "failed"
    assert "no such integration" in lane.told()[-1]["data"]["error"]


def test_erasing_takes_all_secrets_and_leaves_the_settings() -> None:
    lane = lane_with_tenant()
    send(lane, SET, "1", {"name": "a", "settings": {"x": 1}, "secrets": {"token": sealed()}})
    send(lane, SET, "2", {"name": "b"})
    lane.now_ms += 5
    send(lane, ERASE, "3", {"reason": "asked"})
    assert there(lane, "a") == Integration("a", {"x": 1}, {}, NOW_MS + 5)
    assert there(lane, "b") == Integration("b", {}, {}, NOW_MS)
    assert [one["name"] for one in entry(lane).before] == ["a"]
    assert [one["secrets"] for one in entry(lane).after] == [{}]


def test_without_a_tenant_there_is_no_integration_and_a_deleted_one_loses_them() -> None:
    lane = LaneInMemory()
    send(lane, SET, "1", {"name": "crm"})
    assert statuses(lane) == ["failed"]
    send(lane, "hopline.tenant.create", "2")
    send(lane, SET, "3", {"name": "crm"})
    send(lane, SET, "4", {"name": "crm2"}, tenant="beta")
    send(lane, "hopline.tenant.delete", "5")
    assert there(lane) is None
    send(lane, SET, "6", {"name": "crm"})
    assert statuses(lane)[-1] == "failed"
    assert "is deleted" in lane.told()[-1]["data"]["error"]


def test_who_may_not_touch_integrations_is_rejected() -> None:
    lane = LaneInMemory(permissions=frozenset({"tenant:write"}))
    send(lane, "hopline.tenant.create", "1")
    for kind in (SET, DELETE, ERASE):
        send(lane, kind, kind, {"name": "crm"} if kind != ERASE else {})
        assert statuses(lane)[-1] == "rejected"
        assert "integration:write" in lane.told()[-1]["data"]["error"]
