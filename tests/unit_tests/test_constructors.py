"""Every public constructor refuses an argument of a wrong kind, by its name."""

import inspect

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel

import langchain_cachemux as cachemux

EMBEDDINGS = DeterministicFakeEmbedding(size=4)
NEEDED = {
    "Agrees": {},
    "Asks": {"model": FakeListChatModel(responses=["yes"])},
    "Classifier": {},
    "Costs": {},
    "ErrorBudget": {"max_error": 0.05},
    "LEC": {},
    "LECCache": {"embeddings": EMBEDDINGS},
    "Mean": {},
    "Reader": {"embeddings": EMBEDDINGS},
    "Ridge": {},
    "Router": {"estimators": {"small": cachemux.Mean()}},
    "SklearnClassifier": {},
    "Spending": {"limit": 5.0},
    "per_million_tokens": {"prices": {"small": (1.0, 2.0)}},
    "Sure": {},
    "Threshold": {},
    "TorchClassifier": {},
    "TransformerClassifier": {},
}
"""What each constructor needs."""
ANYTHING = {"clock", "max_pieces", "memo", "progress", "quality", "reader", "seed", "yes"}
"""Flags, seeds and what stands in for another argument."""
PLACES = [
    (name, argument)
    for name in NEEDED
    for argument in inspect.signature(getattr(cachemux, name)).parameters
    if argument not in ANYTHING
]


class Stranger:
    """Of no kind that anything takes."""


@pytest.mark.parametrize(("name", "argument"), PLACES)
@pytest.mark.parametrize("given", [Stranger(), Stranger], ids=["an object", "a class"])
def test_a_wrong_kind_is_refused_by_the_arguments_name(name, argument, given):
    with pytest.raises(ValueError, match=argument):
        getattr(cachemux, name)(**{**NEEDED[name], argument: given})
