"""What the charts show, read from their axes; and that each is a PNG."""

import io
import math
import sys
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import to_rgb

from langchain_cachemux.lab import charts
from langchain_cachemux.lab.advise import Advice, Point
from langchain_cachemux.lab.optimum import Bracket
from langchain_cachemux.lab.replay import Bounds, Report

HINDSIGHT, BOUND = "best set in hindsight", "no cache can cost less"


def report(policy, capacity, cost, *, no_cache=100.0):
    bounds = Bounds(capacity, 50, 20, no_cache, 40.0 / capacity, Bracket(20.0 / capacity, 90.0))
    return Report(policy, capacity, 50, 10, cost, 3, {}, bounds)


def point(capacity, misses, storage):
    return Point(capacity, misses, 0.9 * misses, 1.1 * misses, storage)


@pytest.fixture
def axes(monkeypatch):
    """Draw with one of the functions, and read what was drawn."""
    drawing = charts.drawing

    def draw(chart, *arguments, **options):
        seen = []

        @contextmanager
        def watched(*to, **how):
            with drawing(*to, **how) as panels:
                seen.extend(panels.flat)
                yield panels

        monkeypatch.setattr(charts, "drawing", watched)
        chart(*arguments, **options)
        (found,) = seen
        return found

    return draw


def lines(axes):
    """The points of each line, by its label."""
    return {line.get_label(): [list(map(float, z)) for z in line.get_data()] for line in axes.lines}


REPORTS = [
    report("default", 10, 30.0),
    report("lru", 10, 60.0),
    report("default", 1, 70.0),
    report("lru", 1, 95.0),
]
ADVICE = Advice(
    (point(0, 100.0, 0.0), point(1, 60.0, 5.0), point(4, 20.0, 20.0), point(9, 18.0, 45.0)),
    point(4, 20.0, 20.0),
    1,
    9,
)
NOTHING = Advice((point(0, 10.0, 0.0), point(5, 10.0, 50.0)), point(0, 10.0, 0.0), 0, 0)
FREE = Advice((point(0, 0.0, 0.0), point(1, 0.0, 0.0)), point(0, 0.0, 0.0), 0, 0)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts.replayed(REPORTS, default="default"),
        lambda: charts.replayed(REPORTS[:2], default="default"),
        lambda: charts.replayed(REPORTS[1:2], default="default"),
        lambda: charts.replayed([report("lru", 3, 0.0, no_cache=0.0)], default="default"),
        lambda: charts.advised(ADVICE, unit="entries"),
        lambda: charts.advised(NOTHING, unit="bytes"),
        lambda: charts.advised(FREE, unit="entries"),
    ],
    ids="curves bars one free advised none free-advised".split(),
)
def test_a_chart_is_a_png_and_nothing_warns(draw):
    assert draw().startswith(b"\x89PNG\r\n\x1a\n")


def test_several_capacities_make_a_line_a_policy_in_the_order_of_capacity(axes):
    drawn = axes(charts.replayed, REPORTS, default="default")
    found = lines(drawn)
    assert found["default"] == [[1.0, 10.0], [0.7, 0.3]]
    assert found["lru"] == [[1.0, 10.0], [0.95, 0.6]]
    assert drawn.get_xscale() == "log"


def test_the_floor_and_the_ceiling_are_in_the_chart(axes):
    drawn = axes(charts.replayed, REPORTS, default="default")
    assert lines(drawn)[HINDSIGHT] == [[1.0, 10.0], [0.4, 0.04]]
    assert lines(drawn)[BOUND] == [[1.0, 10.0], [0.2, 0.02]]
    assert drawn.get_ylim()[0] == 0
    assert drawn.get_ylim()[1] >= 1
    bars = axes(charts.replayed, REPORTS[:2], default="default")
    assert lines(bars)[HINDSIGHT][0] == pytest.approx([0.04, 0.04])
    assert lines(bars)[BOUND][0] == pytest.approx([0.02, 0.02])
    assert bars.get_xlim() == (0, 1)
    assert {text.get_text() for text in bars.get_legend().get_texts()} == {HINDSIGHT, BOUND}


def test_one_capacity_makes_a_bar_a_policy_the_cheapest_on_top(axes):
    drawn = axes(charts.replayed, REPORTS[:2], default="default")
    assert [bar.get_width() for bar in drawn.patches] == [0.6, 0.3]
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["lru", "default"]


def test_the_default_stands_out(axes):
    drawn = axes(charts.replayed, REPORTS, default="lru")
    widths = {line.get_label(): line.get_linewidth() for line in drawn.lines}
    colours = {line.get_label(): line.get_color() for line in drawn.lines}
    assert widths["lru"] > widths["default"]
    assert [name for name, colour in colours.items() if colour == charts.MAIN] == ["lru"]


def test_more_policies_than_colours_are_all_drawn(axes):
    many = [report(f"p{i}", capacity, 50.0 + i) for i in range(14) for capacity in (1, 2)]
    assert len(axes(charts.replayed, many, default="p0").lines) == 14 + 2


def test_what_costs_more_than_no_cache_is_not_cut_off(axes):
    # A router that asks the small model in vain pays for both.
    costly = [report("lru", 1, 130.0), report("lru", 2, 110.0)]
    assert axes(charts.replayed, costly, default="lru").get_ylim()[1] > 1.3
    assert axes(charts.replayed, costly[:1], default="lru").get_xlim()[1] >= 1.3


def test_an_advice_is_drawn_with_its_parts_its_range_and_its_best(axes):
    drawn = axes(charts.advised, ADVICE, unit="bytes")
    found = lines(drawn)
    assert found["storage"] == [[1.0, 4.0, 9.0], [5.0, 20.0, 45.0]]
    assert found["both"] == [[1.0, 4.0, 9.0], [65.0, 40.0, 63.0]]
    assert found["no cache"][1] == [100.0, 100.0]
    assert [[4.0], [40.0]] in found.values()
    (band,) = drawn.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (1, 9)
    assert drawn.get_xlabel() == "capacity, bytes"
    assert drawn.get_ylim()[1] > 100


def test_an_advice_of_no_cache_stays_on_its_axes(axes):
    drawn = axes(charts.advised, NOTHING, unit="entries")
    assert all(math.isfinite(end) and end > 0 for end in drawn.get_xlim())


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts.replayed(REPORTS, default="default"),
        lambda: charts.advised(ADVICE, unit="entries"),
    ],
)
def test_without_matplotlib_it_is_said_what_is_missing(monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        ImportError, match=r"a plot needs matplotlib: pip install 'langchain-cachemux\[lab\]'"
    ):
        draw()


def contrast(one, other):
    """WCAG 2.1's contrast of two colours, 1 to 21."""

    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
@pytest.mark.parametrize("colour", [charts.INK, charts.MAIN, *charts.OTHERS])
def test_each_colour_stands_out_from_a_white_page_and_from_a_dark_one(colour, page):
    assert contrast(colour, page) >= 3


def test_the_words_of_a_chart_are_read_on_both_pages():
    assert min(contrast(charts.INK, page) for page in ("#ffffff", "#0d1117")) > 4


def test_a_chart_lies_on_nothing():
    pixels = image.imread(io.BytesIO(charts.replayed(REPORTS, default="default")))
    assert pixels.shape[2] == 4
    assert pixels[0, 0, 3] == 0
    assert np.mean(pixels[:, :, 3] == 0) > 0.5
    inks = {tuple(colour) for colour in np.round(255 * pixels[pixels[:, :, 3] == 1][:, :3])}
    assert tuple(round(255 * part) for part in to_rgb(charts.INK)) in inks


def test_a_drawing_has_the_panels_that_were_asked_for_and_leaves_the_style_as_it_was(tmp_path):
    before = dict(mpl.rcParams)
    with charts.drawing(tmp_path / "one.svg", 2, 3, size=(6, 4), kind="svg", sharex=True) as panels:
        assert panels.shape == (2, 3)
        assert not panels[0, 0].spines["top"].get_visible()
    assert dict(mpl.rcParams) == before
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert "matplotlib" not in text.lower().partition("<svg")[2].partition("<defs>")[0]


def test_the_same_chart_is_the_same_file():
    assert charts.advised(ADVICE, unit="bytes") == charts.advised(ADVICE, unit="bytes")
