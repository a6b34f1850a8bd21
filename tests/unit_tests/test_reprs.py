"""Whatever is public says in its repr how it was made."""

import inspect

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models.fake_chat_models import FakeListChatModel

import langchain_cachemux as public

WORDS = DeterministicFakeEmbedding(size=4)
MODELS = {name: FakeListChatModel(responses=[name]) for name in ("cheap", "able")}
QUERY = public.Query("key", text="Where is Oslo?")
MADE = {
    "Agrees": lambda: (public.Agrees(4, least=3), ["n=4", "least=3"]),
    "Asks": lambda: (public.Asks(MODELS["able"], yes="right"), ["able", "yes='right'"]),
    "Blend": lambda: (public.Blend(public.Mean(), public.Ridge()), ["Mean(", "Ridge("]),
    "Classifier": lambda: (public.Classifier(width=2.0, examples=7), ["width=2.0", "examples=7"]),
    "Costs": lambda: (public.Costs(price=public.Ridge(width=3.0)), ["price=Ridge(width=3.0"]),
    "ErrorBudget": lambda: (public.ErrorBudget(0.03, audit=0.5), ["0.03", "audit=0.5"]),
    "Estimate": lambda: (public.Estimate(1.5, 0.25), ["mean=1.5", "width=0.25"]),
    "GDSF": lambda: (public.GDSF(remember=True), ["remember=True"]),
    "GreedyDual": lambda: (public.GreedyDual(), []),
    "LEC": lambda: (public.LEC(half_life=9.0), ["half_life=9.0"]),
    "LECCache": lambda: (public.LECCache(capacity=7, embeddings=WORDS, match=0.9), ["7", "0.9"]),
    "LFU": lambda: (public.LFU(), []),
    "LRU": lambda: (public.LRU(), []),
    "Mean": lambda: (public.Mean(prior=public.Ridge()), ["prior=Ridge("]),
    "Miss": lambda: (public.Miss(QUERY, "too far"), ["too far", "key"]),
    "MultiplexedLLM": lambda: (
        public.MultiplexedLLM(models=MODELS, embeddings=WORDS, accept=public.Sure(0.7)),
        ["cheap", "able", "Sure(least=0.7"],
    ),
    "Parses": lambda: (public.Parses(int), ["int"]),
    "Query": lambda: (QUERY, ["key"]),
    "Reader": lambda: (public.Reader(WORDS, scope=public.any_model), ["size=4", "any_model"]),
    "Ridge": lambda: (public.Ridge(shrinkage=2.0), ["shrinkage=2.0"]),
    "Route": lambda: (public.Route("able", "surest", {}), ["able", "surest"]),
    "Router": lambda: (public.Router({"able": public.Mean()}), ["'able': Mean(", "strategy"]),
    "SentenceEncoder": lambda: (public.SentenceEncoder(), ["MiniLM"]),
    "SklearnClassifier": lambda: (
        public.SklearnClassifier(width="conformal", members=4),
        ["width='conformal'", "members=4", "LogisticRegression()"],
    ),
    "Spending": lambda: (public.Spending(5.0, per=60.0), ["5", "per=60"]),
    "Sure": lambda: (public.Sure(0.7, quantile=0.1), ["least=0.7", "quantile=0.1"]),
    "Threshold": lambda: (public.Threshold(0.9, guards=()), ["0.9", "guards=()"]),
    "TorchClassifier": lambda: (public.TorchClassifier(hidden=3), ["hidden=3"]),
    "TransformerClassifier": lambda: (public.TransformerClassifier(batch=3), ["batch=3"]),
    "Usage": lambda: (public.Usage(input_tokens=3), ["input_tokens=3"]),
    "per_million_tokens": lambda: (public.per_million_tokens({"m": (1.0, 2.0)}), ["'m'", "2.0"]),
}


@pytest.mark.parametrize("name", MADE)
def test_a_public_object_says_its_settings(name):
    made, settings = MADE[name]()
    told = repr(made)
    assert told.startswith(f"{name}(")
    assert [setting for setting in settings if setting not in told] == []
    assert " at 0x" not in told


def test_judges_joined_say_both_and_how():
    told = repr(public.Sure(0.7) & public.Agrees(3) | public.Parses())
    assert told.startswith("((Sure(least=0.7")
    assert " & Agrees(n=3" in told
    assert told.endswith(") | Parses(Any))")


def test_no_public_class_is_left_out_but_interfaces_and_what_only_a_cache_makes():
    classes = {name for name in public.__all__ if inspect.isclass(getattr(public, name))}
    interfaces = {name for name in classes if getattr(getattr(public, name), "_is_protocol", False)}
    assert classes - interfaces - set(MADE) == {"Hit", "Judge"}
