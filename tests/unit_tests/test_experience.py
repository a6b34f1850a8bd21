"""`Experience`: counts, remembered answers, shares of losses, and what outlives a process."""

import json
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux import ErrorBudget, Query
from langchain_cachemux.experience import BELIEF, REMEMBERED, Asked, Experience, Share

X = Query("x")


def test_what_is_counted_is_told_by_whose_it_was_and_costs_add_up():
    books = Experience()
    for model, cost in (("small", 1.0), ("small", 2.0), ("large", 10.0)):
        books.count("calls", model, cost=cost)
    books.count("judging", "small", cost=0.5)
    assert books.counted("calls") == {"small": 2, "large": 1}
    assert books.counted("errors") == {}
    assert books.cost("calls", "judging") == 13.5
    assert books.mean_cost("calls") == 13.0 / 3
    assert books.mean_cost("never") == 0.0


def test_eight_threads_lose_no_count():
    books = Experience()

    def work():
        for n in range(1000):
            books.count("calls", "small", cost=1.0)
            books.lost("cache", n % 2)
            books.remember(f"{threading.get_ident()} {n}", Asked(X, "small"))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert books.counted("calls") == {"small": 8000}
    assert books.cost("calls") == 8000.0
    assert books.risk("cache") == 4000 / (8000 + BELIEF)


def test_answers_are_remembered_up_to_a_number_and_the_oldest_is_forgotten_first():
    books = Experience()
    for n in range(REMEMBERED + 2):
        books.remember(str(n), Asked(X, "small"))
    assert [books.recall(str(n)) is None for n in (0, 1, 2, REMEMBERED + 1)] == [
        True,
        True,
        False,
        False,
    ]


@given(st.floats(0, 1), st.lists(st.floats(0, 1), max_size=60))
def test_a_share_is_the_mean_of_what_was_believed_and_what_was_seen(belief, seen):
    share = Share(belief)
    for bad in seen:
        share.add(bad)
    slow = (belief * BELIEF + math.fsum(seen)) / (BELIEF + len(seen))
    assert share.mean == pytest.approx(slow)
    assert Share.of(*share.dump()).mean == share.mean


def test_until_something_is_seen_bets_are_believed_as_good_as_the_budget_allows():
    assert Experience(ErrorBudget(0.02)).risk("cache") == pytest.approx(0.02)
    assert Experience().risk("judged") == 0.0


def test_a_bet_of_another_kind_changes_no_risk():
    books = Experience(ErrorBudget(0.02))
    books.lost("small", 1.0)
    books.lost("", 1.0)
    assert books.risk("cache") == books.risk("judged") == pytest.approx(0.02)


def test_draws_are_repeated_by_a_seed_and_happen_as_often_as_said():
    one, other = Experience(seed=7), Experience(seed=7)
    drawn = [one.draw(0.3) for _ in range(2000)]
    assert drawn == [other.draw(0.3) for _ in range(2000)]
    assert 0.26 < sum(drawn) / 2000 < 0.34
    assert not any(one.draw(0.0) for _ in range(100))
    assert all(one.draw(1.0) for _ in range(100))


def test_after_a_restart_the_counts_and_shares_are_known():
    books, again = Experience(ErrorBudget(0.05)), Experience()
    books.count("calls", "small", cost=2.0)
    books.count("audits", "large", cost=3.0)
    books.lost("cache", 1.0)
    again.restore(json.loads(json.dumps(books.dump())))
    assert again.counted("calls") == {"small": 1}
    assert again.cost("calls", "audits") == 5.0
    assert again.risk("cache") == books.risk("cache")
    again.count("calls", "small", cost=1.0)
    again.count("new", cost=1.0)
    assert again.mean_cost("calls") == 1.5


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        ({"version": 99}, ValueError),
        ({"counts": [["calls", "small"]]}, ValueError),
        ({"costs": {"calls": "much"}}, ValueError),
        ({"wrong": {}}, LookupError),
        ({"wrong": {"cache": [3, 2], "judged": [0, 50]}}, ValueError),
        ({"wrong": {"cache": [0, math.nan], "judged": [0, 50]}}, ValueError),
    ],
)
def test_a_state_that_is_none_is_refused_and_changes_nothing(spoil, error):
    books = Experience(ErrorBudget(0.05))
    books.count("calls", "small", cost=2.0)
    before = books.dump()
    with pytest.raises(error):
        books.restore({**before, **spoil})
    assert books.dump() == before
