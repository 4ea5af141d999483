"""Hostile and odd records, each with what must become of it, are judged as the committed corpus says."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from processors.vocabulary.envelope import decode
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Header, PlainRecord
from tests.processors.vocabulary.compare import disagreement
from tests.processors.vocabulary.records import record

CORPUS: Final[list[dict[str, Any]]] = json.loads((Path(__file__).parent / "corpus" / "hostile.json").read_text())


def _text(written: Any) -> bytes | None:
    """Large texts are written as [before, unit, how often, after]."""
    if isinstance(written, dict):
        before, unit, times, after = written["repeat"]
        return f"{before}{unit * times}{after}".encode()
    return None if written is None else str(written).encode()


def _record(case: dict[str, Any]) -> PlainRecord:
    if "value_hex" in case:
        value: bytes | None = bytes.fromhex(case["value_hex"])
    elif "repeat" in case:
        value = _text(case)
    else:
        value = _text(case.get("value"))
    headers: list[Header] = [(name, _text(written)) for name, written in case.get("headers", ())]
    return record(value, headers, _text(case.get("key")))


@pytest.mark.parametrize("case", CORPUS, ids=[case["name"] for case in CORPUS])
def test_corpus(case: dict[str, Any]) -> None:
    found = decode(_record(case))
    if case["expect"] == "accepted":
        assert not isinstance(found, Rejected), found
        return
    assert isinstance(found, Rejected), found
    assert found.reason == case["expect"], found
    assert sorted(problem.field for problem in found.problems) == sorted(case.get("fields", [])), found


@pytest.mark.parametrize("case", CORPUS, ids=[case["name"] for case in CORPUS])
def test_second_opinion_agrees_about_the_corpus(case: dict[str, Any]) -> None:
    made = _record(case)
    assert disagreement(made) == ""
