"""LangChain's own suite for chat models, unadapted, over a multiplexer of two fakes and of one.

Nothing is excluded; its benchmark runs once, against a bound. The suite itself skips two of its tests.
One reads settings from the environment, of which a multiplexer has none. One writes the model down as
LangChain's own are, which a multiplexer does not offer (`is_lc_serializable`): it holds locks and what
it learned.
"""

import time
from typing import Any

import pytest
from fakes import Streaming, Words
from langchain_core.caches import InMemoryCache
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_cachemux import MultiplexedLLM


class Able(Streaming):
    """A fake that takes the parameters that all chat models take."""

    max_tokens: int = 0
    timeout: float | None = None
    stop: list[str] | None = None
    max_retries: int = 0
    api_key: str = ""
    streaming: bool = False

    def _get_ls_params(self, stop=None, **kwargs):
        told = super()._get_ls_params(stop, **kwargs)
        return {**told, "ls_model_name": kwargs.get("model", self.model)}


class Pair(MultiplexedLLM):
    """Two fakes, each of which is given the parameters."""

    def __init__(self, **parameters: Any) -> None:
        small, large = (Able(model=name, **parameters) for name in ("small", "large"))
        super().__init__(small, large, embeddings=Words())


class Single(MultiplexedLLM):
    """A single model before a cache."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(models={"one": Able(model="one", **parameters)}, cache=InMemoryCache())


@pytest.fixture
def benchmark():
    """What pytest-benchmark measures by many repetitions: here ten are made in a second."""

    def once(made):
        started = time.perf_counter()
        made()
        assert time.perf_counter() - started < 1.0

    return once


class TestPair(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return Pair


class TestSingle(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return Single
