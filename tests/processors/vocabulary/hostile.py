"""Records as the world may send them: right ones, nearly right ones and rubbish, drawn from a random generator."""

import json
from random import Random
from typing import Final

from processors.vocabulary.record import Header, PlainRecord

TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TENANT: Final = "acme"

GOOD: Final[dict[str, tuple[str, ...]]] = {
    "specversion": ('"1.0"',),
    "id": (
        '"A234-1234-1234"',
        '"1"',
        '"0190f3c1-7b1e-7cc3-9d2f-3a1b2c3d4e5f"',
        '"a b"',
        '"\u00e4\u20ac\U0001f600"',
        r'"a\"b\\"',
    ),
    "source": ('"/orders/eu"', '"urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"', '"https://a.b/c?d=e#f"', '"a%20b"'),
    "type": ('"com.example.order.placed"', '"ping"', '"Microsoft.Storage.BlobCreated"', '"a-b.c_d.e/f"', '"\u00e4.b"'),
    "tenantid": (f'"{TENANT}"',),
    "time": (
        '"2026-11-21T10:11:12.123Z"',
        '"2024-02-29T23:59:60+01:00"',
        '"1985-04-12t23:20:50.52z"',
        '"2026-11-21T10:11:12-00:00"',
    ),
    "subject": ('"lead/99182"', '"M\u00fcnchen"', r'"M\u00fcnchen"', '"a b c"', r'"tab\u0020x"', r'"\ud83d\ude00"'),
    "datacontenttype": (
        '"application/json"',
        '"text/plain; charset=utf-8"',
        '"a/b+json;c=\\"d\\\\\\"e\\""',
        '"text/xml"',
    ),
    "dataschema": ('"https://example.com/s.json"', '"urn:x:y"'),
    "priority": ('"low"', '"normal"', '"high"', '"critical"'),
    "retrycount": ("0", "7", "1000", '"12"', "-0", "null"),
    "correlationid": ('"c-1"', '"\u00fc"', '"a b"'),
    "causationid": ('"d-1"',),
    "traceparent": (f'"{TRACEPARENT}"', f'"01{TRACEPARENT[2:]}-future"'),
    "tracestate": ('"rojo=00f067aa0ba902b7"', '"a=1,b=2"'),
    "replayid": ('"r1"',),
    "comexampleextension1": ('"value"', "true", "-2147483648", "null", '"\u00e9"', '""', '"x y"'),
    "ext2": ("5", "false", '"\\u00e9"'),
    "data": (
        "null",
        "1.10",
        "12345678901234567890123",
        "1e999",
        '"text"',
        '{"a":1,"a":2}',
        '{ "b" : [ 1 , 2 ] , "c\\"}" : "\u00e9 {[" }',
        r'"a\u0000b"',
        '"\x7f"',
        "[]",
        "{}",
        '{"id":"x","specversion":"0.3"}',
        "[[[[]]]]",
    ),
    "data_base64": ('"Zm9vYg=="', '""', '"AAAA"'),
}
REQUIRED: Final = frozenset({"specversion", "source", "type"})
DATA: Final = frozenset({"data", "data_base64"})
ODD: Final[tuple[str, ...]] = (
    "null",
    "true",
    "0",
    "-1",
    "1.0",
    "1e2",
    "01",
    "2147483648",
    "99999999999999999999999",
    "{}",
    "[]",
    '""',
    '" "',
    '"a b"',
    r'"\u0000"',
    r'"\u007f"',
    '"\x7f"',
    '"\u0085"',
    '"\ufffe"',
    r'"\ud800"',
    r'"\udc00\ud800"',
    '"\ufdd0"',
    '"a\nb"',
    '"1.0"',
    '"0.3"',
    '"a..b"',
    '".a"',
    '"a.*"',
    '"{a,b}"',
    '"%zz"',
    '"<x>"',
    '"a/b;c"',
    '"a/b; "',
    '"/a"',
    '"2026-02-29T00:00:00Z"',
    '"2026-13-01T00:00:00Z"',
    '"2026-11-21 10:11:12Z"',
    '"2026-11-21T24:00:00Z"',
    '"2026-11-21T10:11:12"',
    '"2026-11-21T10:11:12.Z"',
    '"2026-04-31T10:11:12Z"',
    '"1900-02-29T10:11:12Z"',
    '"_alerts"',
    '"pool:x"',
    '".hidden"',
    '"urgent"',
    '"00-00000000000000000000000000000000-00f067aa0ba902b7-01"',
    f'"ff{TRACEPARENT[2:]}"',
    f'"{TRACEPARENT}-x"',
    f'"{TRACEPARENT.upper()}"',
    '"AA="',
    '"AA-_"',
    '"A\\nAAA"',
    "NaN",
    "Infinity",
    "-Infinity",
    "nul",
    "1.",
    "+1",
    "'x'",
    '"' + "x" * 257 + '"',
    '"' + "\u00e4" * 200 + '"',
    '"' + "y" * 4097 + '"',
    "[" * 70 + "]" * 70,
    '{"a":' * 63 + "1" + "}" * 63,
    '{"a":' * 64 + "1" + "}" * 64,
    "9" * 5000,
    '"\\x"',
)
ODD_NAMES: Final[tuple[str, ...]] = (
    "tenantId",
    "a_b",
    "",
    "data2",
    "a" * 20,
    "a" * 21,
    "\u00e4",
    "Data",
    r"\u0069d",
    r"subj\u0065ct",
    "id ",
    r"a\"b",
    "data_base64",
)
BLANKS: Final = ("", "", "", " ", "\n", "\t", "\r\n", "  ")
CONTENT_TYPES: Final[tuple[bytes | None, ...]] = (
    b"application/cloudevents+json",
    b"application/cloudevents+json; charset=UTF-8",
    b"Application/CloudEvents+JSON",
    b"application/cloudevents",
    b"application/cloudevents+avro",
    b"application/cloudevents-batch+json",
    b"application/cloudevents+json; charset=utf-16",
    b"application/json",
    b"text/plain",
    b"not a type",
    b"\xff\xfe",
    b"",
    None,
)
VALUES: Final[tuple[bytes | None, ...]] = (None, b"", b"\xff\x00", b'{"a":NaN}', b"plain text")
"""Of records in binary mode."""
KEYS: Final[tuple[bytes | None, ...]] = (
    *([None] * 10),
    *([TENANT.encode()] * 8),
    b"",
    b"other",
    b"\xff\x00",
    b"_alerts",
    b"a b",
)
_TOKENS: Final = tuple(
    token.encode() for token in ('"', "{", "}", "[", "]", ":", ",", "\\", "\\u", " ", "null", '"id":"2",')
)


def record(draw: Random) -> PlainRecord:
    """Return a record of any of the kinds."""
    kind = draw.random()
    if kind < 0.03:
        return _record(draw.randbytes(draw.randrange(40)), _headers(draw), draw.choice(KEYS))
    if kind < 0.2:
        return _binary(draw)
    value = _render(draw, _members(draw, odds=0 if kind < 0.5 else draw.randrange(1, 4)))
    if kind > 0.85:
        value = _damaged(draw, value)
    return _record(value, _headers(draw) if draw.random() < 0.2 else (), draw.choice(KEYS))


def right(draw: Random) -> PlainRecord:
    """Return a record that is right, in either mode."""
    if draw.random() < 0.3:
        return _right_binary(draw)
    headers = draw.choice(((), (("content-type", CONTENT_TYPES[1]),), (("x", b"1"),)))
    return _record(_render(draw, _members(draw, odds=0)), headers, draw.choice((None, TENANT.encode())))


def _record(value: bytes | None, headers: tuple[Header, ...], key: bytes | None) -> PlainRecord:
    return PlainRecord("signals.in", 3, 17, 1_795_256_000_123, key, value, headers)


def _members(draw: Random, odds: int) -> list[tuple[str, str]]:
    members = []
    for name, choices in GOOD.items():
        if name in REQUIRED or (name not in DATA and draw.random() < 0.55):
            members.append((name, draw.choice(choices)))
    payload = draw.random()
    if payload < 0.75:
        name = "data" if payload < 0.6 else "data_base64"
        members.append((name, draw.choice(GOOD[name])))
    if odds == 0 and not any(name == "tenantid" for name, _ in members):
        members.append(("tenantid", GOOD["tenantid"][0]))
    for _ in range(odds):
        _make_odd(draw, members)
    draw.shuffle(members)
    return members


def _make_odd(draw: Random, members: list[tuple[str, str]]) -> None:
    at = draw.randrange(len(members))
    name, written = members[at]
    match draw.randrange(6):
        case 0:
            members[at] = (name, draw.choice(ODD))
        case 1:
            members[at] = (name, draw.choice(draw.choice(list(GOOD.values()))))
        case 2:
            members.append((name, draw.choice((written, draw.choice(ODD), *GOOD.get(name, ())))))
        case 3:
            members.append((draw.choice(ODD_NAMES), draw.choice(ODD + GOOD["ext2"])))
        case 4:
            del members[at]
            members.append(("ext", '"1"'))
        case _:
            members.append(("data", draw.choice(ODD + GOOD["data"])))


def _render(draw: Random, members: list[tuple[str, str]]) -> bytes:
    style = draw.randrange(4)
    if style == 0:
        text = "{" + ",".join(f'"{name}":{written}' for name, written in members) + "}"
    elif style == 1:
        text = "{" + ", ".join(f'"{name}": {written}' for name, written in members) + "}"
    elif style == 2:
        text = "{\n" + ",\n".join(f'  "{name}": {written}' for name, written in members) + "\n}\n"
    else:
        parts = [part for name, written in members for part in (",", f'"{name}"', ":", written)]
        text = "".join(draw.choice(BLANKS) + part for part in ("{", *parts[1:], "}", ""))
    return text.encode("utf-8", "surrogatepass")


def _damaged(draw: Random, value: bytes) -> bytes:
    damaged = bytearray(value)
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(damaged) + 1)
        match draw.randrange(6):
            case 0:
                damaged[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del damaged[at : at + draw.randrange(1, 6)]
            case 2:
                damaged[at:at] = draw.choice(_TOKENS)
            case 3:
                other = draw.randrange(len(damaged) + 1)
                damaged[at:at] = damaged[min(at, other) : max(at, other)][:60]
            case 4:
                damaged[at:at] = draw.randbytes(draw.randrange(1, 4))
            case _:
                start = draw.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b" ", b"[", b""))
                damaged[0:0] = start
    return bytes(damaged)


def _headers(draw: Random) -> tuple[Header, ...]:
    headers: list[Header] = [("content-type", draw.choice(CONTENT_TYPES[:2] if draw.random() < 0.6 else CONTENT_TYPES))]
    if draw.random() < 0.2:
        headers.append(("traceparent", TRACEPARENT.encode()))
    if draw.random() < 0.1:
        headers.append(("ce_id", b"7"))
    if draw.random() < 0.05:
        headers.append(("content-type", draw.choice(CONTENT_TYPES)))
    if draw.random() < 0.1:
        headers.pop(0)
    return tuple(headers)


def _right_binary(draw: Random) -> PlainRecord:
    headers: list[Header] = []
    for name, written in _members(draw, odds=0):
        raw = _as_header(written)
        if raw and name not in DATA:
            headers.append(("content-type" if name == "datacontenttype" else f"ce_{name}", raw))
    return _record(draw.choice(VALUES), tuple(headers), None)


def _binary(draw: Random) -> PlainRecord:
    headers: list[Header] = [("traceparent", TRACEPARENT.encode())] if draw.random() < 0.3 else []
    for name, written in _members(draw, odds=draw.choice((0, 0, 1, 2))):
        if name not in DATA or draw.random() < 0.05:
            headers.append(("content-type" if name == "datacontenttype" else f"ce_{name}", _as_header(written)))
    if draw.random() < 0.05:
        headers.append(("content-type", draw.choice(CONTENT_TYPES)))
    if draw.random() < 0.05:
        headers.append((f"ce_{draw.choice(ODD_NAMES)}", draw.randbytes(4)))
    return _record(draw.choice(VALUES), tuple(headers), draw.choice(KEYS))


def _as_header(written: str) -> bytes | None:
    """Return the value that a JSON text stands for as a header's, what is no JSON as it is."""
    try:
        value = json.loads(written)
    except ValueError:
        return written.encode("utf-8", "surrogatepass")
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return None if value is None else written.encode()
