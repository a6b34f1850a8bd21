"""What the local judge's study counts."""

import local_judge
import numpy as np
import pytest
from local_judge import Labelled


def test_served_is_the_share_of_the_same_above_all_but_so_many_of_the_different():
    scores = np.array([0.9, 0.8, 0.3, 0.95, 0.7, 0.6, 0.5])
    same = np.array([True, True, True, False, False, False, False])
    assert local_judge.served(scores, same, 0.0) == 0
    assert local_judge.served(scores, same, 0.25) == pytest.approx(2 / 3)
    assert local_judge.served(scores, same, 0.75) == pytest.approx(2 / 3)


def test_of_the_unsure_those_are_served_that_are_more_likely_the_same_than_not():
    pairs = [
        Labelled("Where can I hire a boat?", "Where can I sell a boat?", same=False),
        Labelled("Where can I hire a boat?", "Where can I sell a boat?", same=True),
        Labelled("Where can I hire a boat?", "Where can I hire a boat", same=True),
    ]
    found = local_judge._unsure(pairs, np.array([0.5, 0.6, 0.9]))
    assert found == {"same": 1, "different": 1, "right": 1, "wrong": 0}
