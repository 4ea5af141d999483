"""The picture for the docs shows what Prometheus answered: every line, at its place, and nothing that breaks out."""

from xml.etree import ElementTree as ET

import pytest

from dashboards.row import Panel, Query
from tests.dashboards.drawing import HEIGHT, WIDTH, Drawn, Series, in_unit, nice, picture
from tests.dashboards.picture import chosen

PANEL = Panel("Title & <more>", "What it shows.", (Query("up"),), "recps")
LINES = (Series("a", [(0.0, 1.0), (1.0, 4.0)]), Series("<b>", [(0.0, 2.0), (1.0, 3.0)]))
STACK = Panel("Stack", "What it shows.", (Query("up"),), "recps", stacked=True)


def paths(svg: str, attribute: str) -> list[str]:
    found = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")  # noqa: S314  # our own
    return [
        path.get("d", "") for path in found if path.get(attribute) not in {None, "none"} and "L" in path.get("d", "")
    ]


def test_each_series_is_a_line_and_a_name() -> None:
    svg = picture([Drawn(PANEL, LINES)])
    assert len(paths(svg, "stroke")) == 2
    assert "Title &amp; &lt;more&gt;" in svg
    assert "&lt;b&gt;" in svg


def test_a_stack_adds_up() -> None:
    svg = picture([Drawn(STACK, LINES)])
    tops = [min(float(point.split(",")[1]) for point in d.strip("MZ").split("L")) for d in paths(svg, "fill")]
    # The upper one is drawn first, at the sum.
    assert tops[0] < tops[1]


def test_what_nobody_saw_is_a_gap() -> None:
    seen = Series("a", [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (9.0, 1.0), (10.0, 1.0)])
    assert len(paths(picture([Drawn(PANEL, (seen,))]), "stroke")) == 2


def test_a_panel_without_an_answer_says_so() -> None:
    assert "no data" in picture([Drawn(PANEL, ())])


def test_panels_lie_side_by_side() -> None:
    root = ET.fromstring(picture([Drawn(PANEL, LINES)] * 3, columns=2))  # noqa: S314  # our own
    assert float(root.get("width", 0)) > 2 * WIDTH
    assert float(root.get("height", 0)) > 2 * HEIGHT


@pytest.mark.parametrize("step,wanted", [(0, 1), (0.3, 0.5), (1, 1), (1.2, 2), (2.4, 2.5), (7, 10), (0.0021, 0.0025)])
def test_ticks_are_round(step: float, wanted: float) -> None:
    assert nice(step) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "value,unit,wanted",
    [
        (0.25, "percentunit", "25 %"),
        (0.002, "s", "2 ms"),
        (3, "s", "3 s"),
        (1_500, "recps", "1.5 k/s"),
        (7, "short", "7"),
    ],
)
def test_values_stand_in_their_unit(value: float, unit: str, wanted: str) -> None:
    assert in_unit(value, unit) == wanted


def test_the_panels_that_the_docs_show_are_there() -> None:
    assert len(chosen()) == 4
