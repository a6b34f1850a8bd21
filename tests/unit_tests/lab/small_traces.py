"""Small traces, and what they are sent through: shared by the tests of this folder."""

import random

import pytest
from hypothesis import strategies as st

from langchain_cachemux.keep.policies import GDSF, LEC, LFU, LRU, GreedyDual, robust
from langchain_cachemux.lab.baselines import ARC, SIEVE, TwoQ
from langchain_cachemux.lab.optimum import Bracket
from langchain_cachemux.lab.replay import Bounds
from langchain_cachemux.types import Request

POLICIES = {
    "LEC": LEC,
    "ageing LEC": lambda: LEC(half_life=9),
    "GDSF": GDSF,
    "remembering GDSF": lambda: GDSF(remember=True),
    "GreedyDual": GreedyDual,
    "LFU": LFU,
    "LRU": LRU,
}
CHOICES = {
    **POLICIES,
    "several": lambda: [LRU(), LFU()],
    "robust": lambda: robust,
    "SIEVE": lambda: SIEVE,
    "ARC": lambda: ARC,
    "2Q": lambda: TwoQ,
}
each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
each_choice = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
NO_BOUNDS = Bounds(1, 0, 0, 0.0, 0.0, Bracket(0.0, 0.0))
"""Given where they are not looked at, to spare the work."""


@st.composite
def traces(draw, least=0):
    """A few keys, each of one size; costs change from one request to the next."""
    asked = st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.5, 1.0, 1.5, 4.0, 40.0]))
    requests = draw(st.lists(asked, min_size=least, max_size=60))
    return [Request(key, cost, 1 + ord(key) % 4) for key, cost in requests]


def popular(n, *, seed=0, keys=30, models=0):
    """Requests in which the first keys are the favourites; each key has its cost and size."""
    chance = random.Random(seed)
    trace = []
    for _ in range(n):
        place = min(int(chance.paretovariate(0.8)), keys)
        base = 1.0 + place * 7 % 11
        costs = {f"m{i}": base * 4**i for i in range(models)}
        ok = {name: (place + i) % 4 > 1 for i, name in enumerate(costs)}
        trace.append(Request(f"question {place}", base, 1 + place % 3, None, costs, ok))
    return trace


def spelled(letters, **costs):
    """One request a letter, of cost 1 if nothing else is said."""
    return [Request(key, costs.get(key, 1.0)) for key in letters.split()]
