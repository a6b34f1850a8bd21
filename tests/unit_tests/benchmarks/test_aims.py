"""The page of aims says what the committed results say, and marks what is missed."""

import re

import aims
import pytest


def test_the_page_is_what_the_results_say():
    page = aims.PAGE.read_text(encoding="utf-8")
    assert aims.written(page) == page


def test_of_each_aim_that_is_missed_the_page_says_so_and_says_why():
    for part in (aims.matching, aims.routing, aims.multiplexing):
        for aim in part():
            (line,) = (line for line in aims.listed([aim]).splitlines() if aim.what in line)
            assert ("*" in line) is not aim.met
    page = aims.PAGE.read_text(encoding="utf-8")
    for table in re.split(r"<!-- \w+ -->", page)[1:]:
        rows, told = re.split(r"<!-- end of \w+ -->", table)
        assert ("*" in rows) <= ("- **" in told)


@pytest.mark.parametrize(
    ("aim", "reached", "met"), [(0.28, 0.267, True), (0.28, 0.28, True), (0.28, 0.2801, False)]
)
def test_a_figure_may_be_what_was_aimed_at_and_no_worse(aim, reached, met):
    assert aims.at_most("cost", aim, reached).met is met
    assert aims.at_least("gain", -aim, -reached).met is met


def test_a_threshold_is_compared_where_it_answers_no_more_requests_wrongly():
    runs = aims.Runs()
    runs.rows = [
        {"arm": arm, "stream": "s", "right": right, "wrong": wrong, "served": 100}
        for arm, right, wrong in (
            (aims.OURS, 0.5, 10), ("threshold 0.7", 0.9, 11), ("threshold 0.8", 0.4, 10),
            ("threshold 0.9", 0.3, 0),
        )
    ]  # fmt: skip
    runs.arms = [row["arm"] for row in runs.rows]
    assert runs.fixed("s") == 0.4
    runs.rows[0]["wrong"] = -1
    assert runs.fixed("s") == 0
