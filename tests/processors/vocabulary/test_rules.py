"""The rules of single attributes, where a corpus of events would not show them."""

import pytest

from processors.vocabulary import rules
from tests.processors.vocabulary import oracle

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "text, right",
    [
        (f"00-{TRACE}", True),
        (f"00-{TRACE}-more", False),
        (f"01-{TRACE}", True),
        (f"cc-{TRACE}-more", True),
        (f"cc-{TRACE}more", False),
        (f"ff-{TRACE}", False),
        (f"00-{TRACE.upper()}", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", False),
        (f"00-{TRACE}\n", False),
        ("", False),
    ],
)
def test_traceparent(text: str, right: bool) -> None:
    assert rules.is_traceparent(text) is right
    assert oracle._is_traceparent(text) is right


@pytest.mark.parametrize(
    "text, right",
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ('multipart/mixed;boundary="a b;c\\"d";x=y', True),
        ("a/b;", True),
        ("a/b ; ", True),
        ("a/b;c", False),
        ("a/b c", False),
        ("a", False),
        ("a/", False),
        ("/b", False),
        ("a/b;;c=d", False),
        ('a/b;c="d', False),
    ],
)
def test_media_type(text: str, right: bool) -> None:
    assert rules.is_media_type(text) is right
    assert oracle._is_media_type(text) is right


@pytest.mark.parametrize(
    "text, number",
    [("0", 0), ("-0", 0), ("2147483647", 2**31 - 1), ("-2147483648", -(2**31)), ("2147483648", None)]
    + [(text, None) for text in ("", "-", "01", "1.0", "1e3", "+1", " 1", "99999999999")],
)
def test_integer(text: str, number: int | None) -> None:
    assert rules.integer_of(text) == number


def test_printable_texts_hold_nothing_forbidden() -> None:
    for code in range(0x110000):
        letter = chr(code)
        assert not letter.isprintable() or not oracle._is_forbidden(letter)
        assert rules.is_allowed(letter) is not oracle._is_forbidden(letter)
