"""What answers are worth by what their misses cost."""

from langchain_cachemux import Router
from langchain_cachemux.route.estimators import Mean
from langchain_cachemux.route.prices import seconds
from langchain_cachemux.stats import Counters
from langchain_cachemux.types import Entry
from langchain_cachemux.worth import REMEMBERED, Worth


def entry(number):
    return Entry(f"k{number}", text="a question")


def worth(estimator):
    return Worth(estimator, price=seconds, counters=Counters())


def test_only_of_entries_whose_misses_were_learned_from_a_router_is_asked_again():
    routed = worth(Router({"small": Mean(), "large": Mean()}))
    routed.stored("k1")
    assert routed.by_now(entry(1)) is not None
    assert routed.by_now(entry(2)) is None
    routed.gone(["k1", "k2"])
    assert routed.by_now(entry(1)) is None
    plain = worth(Mean())
    plain.stored("k1")
    assert plain.by_now(entry(1)) is None


def test_of_entries_that_left_without_a_word_only_so_many_are_remembered():
    routed = worth(Router({"small": Mean(), "large": Mean()}))
    for number in range(REMEMBERED + 5):
        routed.stored(f"k{number}")
    assert [routed.by_now(entry(number)) is None for number in (0, 4, 5, REMEMBERED)] == [
        True,
        True,
        False,
        False,
    ]
