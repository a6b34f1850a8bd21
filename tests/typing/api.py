"""What a user's type checker sees: mypy checks this file, and each `assert_type` is an assertion."""

from __future__ import annotations

from typing import assert_type

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from langchain_cachemux import (
    GDSF,
    LEC,
    Agrees,
    ErrorBudget,
    Estimate,
    Hit,
    Judge,
    LECCache,
    Mean,
    Miss,
    MultiplexedLLM,
    Query,
    Ridge,
    Route,
    Router,
    Spending,
    Sure,
    Threshold,
    Usage,
    cached,
    dollars,
    per_million_tokens,
    robust,
)


def caches(embeddings: Embeddings) -> None:
    cache = LECCache("folder", capacity="512MB", embeddings=embeddings, policy=[LEC(), GDSF()])
    as_langchain_takes_it: BaseCache = cache
    assert_type(cache.find("prompt", "parameters"), Hit | Miss)
    assert_type(cache.stats().saved, float)
    assert_type(cache.check(fix=True), list[str])
    with cache as opened:
        assert_type(opened, LECCache)
    LECCache(match=Threshold(0.9), price=dollars, estimator=Mean(prior=Ridge()))
    LECCache("folder", capacity="512MB", match=0.9, price="dollars")
    LECCache(capacity=1.5)  # type: ignore[arg-type]
    LECCache(policy=3)  # type: ignore[arg-type]
    LECCache(embeddings="all-MiniLM")  # type: ignore[arg-type]
    LECCache(capcity=3)  # type: ignore[call-arg]
    del as_langchain_takes_it


def multiplexers(small: BaseChatModel, large: BaseChatModel) -> None:
    def judge(messages: object, answer: AIMessage) -> bool:
        return bool(messages) and bool(answer.text)

    llm = MultiplexedLLM(small, large, accept=judge, cache=LECCache(), max_error=0.02)
    as_langchain_takes_it: BaseChatModel = llm
    as_langchain_takes_it = cached(small, LECCache())
    assert_type(llm.router, Router)
    assert_type(llm.accept, Judge | None)
    assert_type(llm.feedback("id", 1.0), bool)
    assert_type(llm.stats().cost, float)
    assert_type(Sure(0.5) & Agrees(3), Judge)
    MultiplexedLLM(models={"a": small, "b": "openai:gpt-4o"}, budget=Spending(5.0))
    MultiplexedLLM(small, large, budget=ErrorBudget(0.02), accept=Agrees(3) | judge)
    MultiplexedLLM(small, large, accept=3)  # type: ignore[arg-type]
    MultiplexedLLM(small, large, router=object())  # type: ignore[arg-type]
    MultiplexedLLM(small, large, strategy="sometimes")  # type: ignore[arg-type]
    del as_langchain_takes_it


def prices() -> None:
    price = per_million_tokens({"small": (0.15, 0.6)})
    assert_type(price(Usage(input_tokens=10, model="small")), float)
    assert_type(dollars(Usage(model="gpt-4o")), float)


class Own:
    """An estimator of one's own needs two methods, and no base class."""

    def predict(self, x: Query) -> Estimate:
        return Estimate(float(len(x.text)), 0.0)

    def learn(self, x: Query, cost: float) -> None:
        del x, cost


def routers(messages: list[BaseMessage]) -> None:
    router = Router({"small": Own(), "large": Mean(prior=Own())})
    assert_type(router.choose(Query("key", text=messages[0].text)), Route)
    assert_type(router.predict(Query("key")), Estimate)
    assert_type(robust(100)[0].half_life, float)
    Router({"small": 3})  # type: ignore[dict-item]
