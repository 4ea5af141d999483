"""Descriptions: Prometheus' templates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alerting.templates import TEXT_MAX, TemplateError, go_number, template


@pytest.mark.parametrize(
    "text, value, rendered",
    [
        ("{{ $labels.hop }}: {{$value}}", 0.1, "ingest: 0.1"),
        ("{{ .Labels.hop }}{{ .Value }}", 1e6, "ingest1e+06"),
        ("{{ $labels.nothing }}!", 1, "!"),
        ("{{ $value | humanize }}", 1234567, "1.235M"),
        ("{{ humanize1024 $value }}", 2048, "2ki"),
        ("{{ $value | humanizeDuration }}", 93784.5, "1d 2h 3m 4s"),
        ("{{ $value | humanizeDuration }}", 0.0123, "12.3ms"),
        ("{{ $value | humanizePercentage }}", 0.1234567, "12.35%"),
        ('{{ printf "%.2f" $value }}', 2.345678, "2.35"),
        ('{{ $value | printf "%5.1f%%" }}', 2.25, "  2.2%"),
        ('{{ printf "%s is %v" $labels.hop $value }}', 2, "ingest is 2"),
        ("{{ $labels.hop | toUpper }}", 2, "INGEST"),
        ("a  {{- $value -}}  b", 2, "a2b"),
        ("no template", 2, "no template"),
    ],
)
def test_what_is_rendered(text: str, value: float, rendered: str) -> None:
    assert template(text).render({"hop": "ingest"}, value) == rendered


@pytest.mark.parametrize(
    "value, written",
    [
        (1e21, "1e+21"),
        (123456789.0, "1.23456789e+08"),
        (-1234567.5, "-1.2345675e+06"),
        (999999.5, "999999.5"),
        (100.0, "100"),
        (1e-5, "1e-05"),
        (0.0001, "0.0001"),
        (1.5e-7, "1.5e-07"),
        (-0.0, "-0"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_as_go_writes_them(value: float, written: str) -> None:
    assert go_number(value) == written


@pytest.mark.parametrize(
    "text",
    [
        *("{{ $value", "{{ }}", "{{ $labels }}", "{{ nonsense }}", "{{ $value | }}", '{{ printf "%d" $value }}'),
        *('{{ with query "up" }}', '{{ printf "%s" }}', "{{ $value $value }}", "x" * (TEXT_MAX + 1)),
    ],
)
def test_what_is_not_supported_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        template(text)


@given(st.text(alphabet='{}$labelsvu. |"%f-printe', max_size=60), st.floats())
def test_any_text_is_a_template_or_refused(text: str, value: float) -> None:
    rendered = ""
    try:
        rendered = template(text).render({"a": "b"}, value)
    except TemplateError as error:
        rendered = str(error)
    assert rendered or not text.strip() or "{{" in text
