"""A cost-aware semantic cache and a learned model multiplexer for LangChain.

The public names. Each module is loaded when one of its names is first used, because Chroma, SQLAlchemy
and scikit-learn take longer to import than most programs take to start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_cachemux.budget import ErrorBudget, Spending
    from langchain_cachemux.cache import LECCache
    from langchain_cachemux.keep.policies import GDSF, LEC, LFU, LRU, GreedyDual, Policy, robust
    from langchain_cachemux.match.threshold import Threshold
    from langchain_cachemux.multiplexer import MultiplexedLLM
    from langchain_cachemux.read.encoder import SentenceEncoder
    from langchain_cachemux.read.prompts import Reader, any_model
    from langchain_cachemux.route.asking import Agrees, Asks
    from langchain_cachemux.route.classifiers import Blend, Classifier
    from langchain_cachemux.route.costs import Costs
    from langchain_cachemux.route.estimators import Estimator, Mean, Ridge
    from langchain_cachemux.route.fitted import SklearnClassifier
    from langchain_cachemux.route.judges import Judge, Parses, Sure
    from langchain_cachemux.route.networks import TorchClassifier, TransformerClassifier
    from langchain_cachemux.route.prices import dollars, per_million_tokens, seconds
    from langchain_cachemux.route.router import Router
    from langchain_cachemux.single import cached
    from langchain_cachemux.types import Estimate, Hit, Miss, Query, Route, Usage

_NAMES = {
    "budget": "ErrorBudget Spending",
    "cache": "LECCache",
    "keep.policies": "GDSF GreedyDual LEC LFU LRU Policy robust",
    "match.threshold": "Threshold",
    "multiplexer": "MultiplexedLLM",
    "read.encoder": "SentenceEncoder",
    "read.prompts": "Reader any_model",
    "route.asking": "Agrees Asks",
    "route.classifiers": "Blend Classifier",
    "route.costs": "Costs",
    "route.estimators": "Estimator Mean Ridge",
    "route.fitted": "SklearnClassifier",
    "route.judges": "Judge Parses Sure",
    "route.networks": "TorchClassifier TransformerClassifier",
    "route.prices": "dollars per_million_tokens seconds",
    "route.router": "Router",
    "single": "cached",
    "types": "Estimate Hit Miss Query Route Usage",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "GDSF",
    "LEC",
    "LFU",
    "LRU",
    "Agrees",
    "Asks",
    "Blend",
    "Classifier",
    "Costs",
    "ErrorBudget",
    "Estimate",
    "Estimator",
    "GreedyDual",
    "Hit",
    "Judge",
    "LECCache",
    "Mean",
    "Miss",
    "MultiplexedLLM",
    "Parses",
    "Policy",
    "Query",
    "Reader",
    "Ridge",
    "Route",
    "Router",
    "SentenceEncoder",
    "SklearnClassifier",
    "Spending",
    "Sure",
    "Threshold",
    "TorchClassifier",
    "TransformerClassifier",
    "Usage",
    "any_model",
    "cached",
    "dollars",
    "per_million_tokens",
    "robust",
    "seconds",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
