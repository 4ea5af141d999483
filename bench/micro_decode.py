"""What one signal costs at the door: `python -m bench.micro_decode [--json]` prints microseconds for each step.

Each figure is the least of many short runs, so that what else the machine does counts as little as it can.
"""

import argparse
import json
import sys
import timeit
from collections.abc import Callable
from functools import partial
from typing import Final

from processors.vocabulary import topics
from processors.vocabulary.envelope import decode, enrich, rfc3339
from processors.vocabulary.pattern import Pattern, Trie, parse_pattern
from processors.vocabulary.record import Header, PlainRecord
from processors.vocabulary.signal import Signal, attributes, data_of

TENANT: Final = "tenant-000042"
TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SIGNAL_BYTES: Final = 1_000
CALLS: Final = 1_000
RUNS: Final = 150
ADDED: Final = {
    "id": "0190f3c17b1e7cc39d2f3a1b2c3d4e5f",
    "time": "2026-11-21T10:11:12.123Z",
    "correlationid": "0190f3c17b1e7cc39d2f3a1b2c3d4e5f",
    "traceparent": TRACEPARENT,
}


def members(*, whole: bool) -> dict[str, object]:
    """Return an event of about 1 kB, with or without what the pipeline adds."""
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": "0190f3c1-7b1e-7cc3-9d2f-3a1b2c3d4e5f",
        "source": "/bench/line/7",
        "type": "fleetprompt.package.real_estate.lead_qualification.qualified",
        "subject": "lead/99182",
        "time": "2026-11-21T10:11:12.123Z",
        "datacontenttype": "application/json",
        "tenantid": TENANT,
        "priority": "normal",
        "correlationid": "0190f3c1-7b1e-7cc3-9d2f-3a1b2c3d4e5f",
        "traceparent": TRACEPARENT,
        "data": {"lead": 99_182, "score": 0.83, "tags": ["a", "b", "c"], "nested": {"k": [1, 2, 3]}, "note": ""},
    }
    if not whole:
        event = {name: value for name, value in event.items() if name not in ADDED}
    padding = SIGNAL_BYTES - len(_compact(event))
    event["data"] = {**dict(event["data"]), "note": "belt and line " * (padding // 14)}  # type: ignore[call-overload]
    return event


def _compact(event: dict[str, object]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def structured(value: bytes, *headers: Header) -> PlainRecord:
    """Return a record as a producer sends it, keyed by its tenant."""
    declared: Header = ("content-type", b"application/cloudevents+json; charset=UTF-8")
    return PlainRecord(topics.SIGNALS_IN, 0, 0, 0, TENANT.encode(), value, (declared, *headers))


def binary(event: dict[str, object]) -> PlainRecord:
    """Return the same event in binary mode."""
    headers: list[Header] = [("content-type", str(event["datacontenttype"]).encode())]
    named = [(name, text) for name, text in event.items() if name not in {"data", "datacontenttype"}]
    headers.extend((f"ce_{name}", str(text).encode()) for name, text in named)
    return PlainRecord(topics.SIGNALS_IN, 0, 0, 0, TENANT.encode(), json.dumps(event["data"]).encode(), tuple(headers))


def _signal(record: PlainRecord) -> Signal:
    signal = decode(record)
    assert isinstance(signal, Signal), signal
    return signal


def _routes() -> Trie[int]:
    trie: Trie[int] = Trie()
    for number in range(10_000):
        pattern = parse_pattern(f"fleetprompt.package.kind{number}.*.{{qualified,lost}}")
        assert isinstance(pattern, Pattern)
        trie.add(pattern, 0, number)
    for text in ("fleetprompt.**", "fleetprompt.package.real_estate.*.qualified", "**.qualified"):
        pattern = parse_pattern(text)
        assert isinstance(pattern, Pattern)
        trie.add(pattern, 0, 0)
    return trie


def steps() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    whole, sparse = members(whole=True), members(whole=False)
    traced: Header = ("traceparent", TRACEPARENT.encode())
    records = {
        "structured": structured(_compact(whole)),
        "structured_traced": structured(_compact(whole), traced),
        "structured_without_headers": PlainRecord(topics.SIGNALS_IN, 0, 0, 0, None, _compact(whole)),
        "structured_sparse": structured(_compact(sparse)),
        "structured_spaced": structured(json.dumps(whole).encode()),
        "structured_pretty": structured(json.dumps(whole, indent=2).encode()),
        "structured_extensions": structured(_compact({**whole, "myext": "x", "other": 5})),
        "structured_umlaut": structured(json.dumps({**whole, "subject": "München"}, ensure_ascii=False).encode()),
        "binary": binary(whole),
        "binary_sparse": binary(sparse),
        "refused": structured(_compact({**whole, "priority": "urgent"})),
    }
    made: dict[str, Callable[[], object]] = {
        f"decode_{name}": partial(decode, record) for name, record in records.items()
    }
    for name in ("structured", "structured_sparse", "binary_sparse"):
        signal = _signal(records[name])
        made[f"enrich_{name}"] = partial(enrich, signal, ADDED)
    signal = _signal(records["structured"])
    trie = _routes()
    made["attributes"] = partial(attributes, signal)
    made["data_of"] = partial(data_of, signal)
    made["rfc3339"] = partial(rfc3339, 1_795_256_000_123)
    made["match_remembered"] = partial(trie.match, signal.type)
    made["match_anew"] = partial(trie._match, signal.type)  # noqa: SLF001 - what a type costs that is not remembered
    return made


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.micro_decode", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    arguments = parser.parse_args()
    runs = RUNS // 10 if arguments.quick else RUNS
    result: dict[str, object] = {"work": f"events of {SIGNAL_BYTES} bytes, one process; microseconds for each call"}
    for name, step in steps().items():
        least = min(timeit.repeat(step, number=CALLS, repeat=runs))
        result[f"{name}_us"] = round(least / CALLS * 1e6, 2)
        if not arguments.json:
            print(f"{name:32} {result[f'{name}_us']:>8}")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
