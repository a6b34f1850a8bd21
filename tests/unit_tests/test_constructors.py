"""Public constructors refuse what is of a wrong kind, by its name, and take any make of number."""

import inspect
import math
from fractions import Fraction

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel
from langchain_core.outputs import Generation

import langchain_cachemux as cachemux

EMBEDDINGS = DeterministicFakeEmbedding(size=4)
MODELS = {name: FakeListChatModel(responses=["yes"]) for name in ("cheap", "able")}
NEEDED = {
    "Agrees": {},
    "Asks": {"model": MODELS["able"]},
    "Classifier": {},
    "Costs": {},
    "ErrorBudget": {"max_error": 0.05},
    "GDSF": {},
    "LEC": {},
    "LECCache": {"embeddings": EMBEDDINGS},
    "Mean": {},
    "MultiplexedLLM": {"models": MODELS, "embeddings": EMBEDDINGS},
    "Reader": {"embeddings": EMBEDDINGS},
    "Ridge": {},
    "Router": {"estimators": {"small": cachemux.Mean()}},
    "SklearnClassifier": {},
    "Spending": {"limit": 5.0},
    "Sure": {},
    "Threshold": {},
    "TorchClassifier": {},
    "TransformerClassifier": {},
    "cached": {"model": MODELS["able"]},
    "per_million_tokens": {"prices": {"small": (1.0, 2.0)}},
    "robust": {"entries": 10},
}
"""What each constructor needs."""
OTHERS = {
    "Blend",
    "Estimate",
    "Estimator",
    "GreedyDual",
    "Hit",
    "Judge",
    "LFU",
    "LRU",
    "Miss",
    "Parses",
    "Policy",
    "Query",
    "Route",
    "SentenceEncoder",
    "Usage",
    "any_model",
    "dollars",
    "seconds",
}
"""Interfaces, plain data, what takes no argument or any type, and prices, which are no constructors."""


def parameters(name):
    """Those of a constructor by name; of a chat model its own, not LangChain's."""
    made = getattr(cachemux, name)
    told = inspect.signature(made.__init__ if name == "MultiplexedLLM" else made).parameters
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: p for n, p in told.items() if p.kind in kinds and n != "self"}


PLACES = [(name, argument) for name in NEEDED for argument in parameters(name)]


class Stranger:
    """Of no kind that anything takes."""


WRONG = {
    "an object": Stranger(),
    "a class": Stranger,
    "NaN": math.nan,
    "a complex number": 1j,
    "a list": [1],
    "an array": np.array([0.5]),
    "a function of too many": lambda a, b, c, d: None,
}


def test_every_public_name_is_tried_or_is_no_constructor():
    assert set(NEEDED) | OTHERS == set(cachemux.__all__)
    assert not set(NEEDED) & OTHERS


@pytest.mark.parametrize(("name", "argument"), PLACES)
@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_a_wrong_kind_is_refused_by_the_arguments_name(name, argument, given):
    with pytest.raises(ValueError, match=argument):
        getattr(cachemux, name)(**{**NEEDED[name], argument: given})


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name, argument in PLACES
        if parameters(name)[argument].default is not None
        if (name, argument) != ("Agrees", "temperature")  # None leaves the model's own
    ],
)
def test_none_is_refused_by_name_where_it_is_no_default(name, argument):
    with pytest.raises(ValueError, match=argument):
        getattr(cachemux, name)(**{**NEEDED[name], argument: None})


NUMBERS = {
    ("Agrees", "least"): 2,
    ("Agrees", "timeout"): 1.5,
    ("Asks", "timeout"): 1.5,
    ("ErrorBudget", "max_error"): 0.25,
    ("ErrorBudget", "quality"): 0.75,
    ("ErrorBudget", "seed"): 3,
    ("LECCache", "audit"): 0.25,
    ("LECCache", "match"): 0.75,
    ("LECCache", "max_error"): 0.25,
    ("LECCache", "ttl"): 60.0,
    ("MultiplexedLLM", "audit"): 0.25,
    ("MultiplexedLLM", "budget"): 5.0,
    ("MultiplexedLLM", "error_price"): 0.5,
    ("MultiplexedLLM", "max_error"): 0.25,
    ("MultiplexedLLM", "seed"): 3,
    ("Spending", "limit"): 5.0,
    ("robust", "entries"): 3,
} | {
    (name, argument): parameters(name)[argument].default
    for name, argument in PLACES
    if type(parameters(name)[argument].default) in (int, float)
}
"""What takes a number, and one that it takes."""


def held(part, seen):
    """All that an object of this package holds, and what that holds."""
    if id(part) in seen:
        return
    seen[id(part)] = part
    yield part
    inner = list(part) if isinstance(part, list | tuple | set) else []
    inner += part.values() if isinstance(part, dict) else []
    if type(part).__module__.startswith("langchain_cachemux"):
        inner += getattr(part, "__dict__", {}).values()
        inner += [getattr(part, n, None) for n in getattr(type(part), "__slots__", ())]
    for one in inner:
        yield from held(one, seen)


def makes():
    """Each argument that takes a number, with the same number of another make."""
    for (name, argument), number in NUMBERS.items():
        if isinstance(number, int):
            yield name, argument, np.int64(number)
        else:
            yield name, argument, np.float32(number)
            if math.isfinite(number):
                yield name, argument, Fraction(number)


@pytest.mark.parametrize(("name", "argument", "given"), list(makes()))
def test_a_number_of_another_make_is_taken_and_kept_as_a_plain_one(name, argument, given):
    needed = {} if argument == "quality" else NEEDED[name]
    made = getattr(cachemux, name)(**{**needed, argument: given})
    assert "np." not in repr(made)
    assert [one for one in held(made, {}) if isinstance(one, np.generic | Fraction)] == []


def test_a_folder_keeps_answers_whatever_its_numbers_are_made_of(tmp_path):
    f, i = np.float32, np.int64

    class Estimates:
        """As a user's own, in numpy's numbers."""

        def predict(self, x):
            return cachemux.Estimate(f(2), f(0.5))

        def learn(self, x, cost):
            pass

    def opened():
        return cachemux.LECCache(
            tmp_path / "cache",
            capacity=i(5),
            embeddings=EMBEDDINGS,
            match=f(0.9),
            policy=[cachemux.LEC(half_life=f(5), prior=i(1)), cachemux.GDSF()],
            price=lambda usage: f(2),
            estimator=Estimates(),
            ttl=lambda query: f(1000),
            clock=lambda: i(1_000_000_000),
            wait=f(1),
            deadline=f(5),
        )

    with opened() as cache:
        for n in range(9):
            cache.update(f"question {n}", "", [Generation(text="answer")])
            cache.lookup(f"question {n}", "")
        assert (cache.stats().errors, cache.stats().entries, cache.check()) == (0, 5, [])
        keys = {entry.key for entry in cache.ledger}
    with opened() as cache:
        assert {entry.key for entry in cache.ledger} == keys
