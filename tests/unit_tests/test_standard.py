"""LangChain's own suites for chat models, unadapted, over a multiplexer of two fakes and of one.

Of the unit suite nothing is excluded; its benchmark runs once, against a bound. The suite itself skips
two of its tests. One reads settings from the environment, of which a multiplexer has none. One writes
the model down as LangChain's own are, which a multiplexer does not offer (`is_lc_serializable`): it
holds locks and what it learned.

Of the integration suite those parts are excluded that are about what a provider takes: pictures, sound,
PDFs, its own JSON mode, another model's name in a call, recorded traffic. The fakes call the tools they
are given by rules; the real model is asked in `integration_tests/test_standard_models.py`.
"""

import json
import re
import time
from typing import Any

import pytest
from fakes import Streaming, Words
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_tests.integration_tests import ChatModelIntegrationTests
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

    def _answer(self, messages, kwargs):
        """Call the first tool, or that which was chosen, unless it was called already."""
        answer = super()._answer(messages, kwargs)
        chosen = kwargs.get("tool_choice")
        tools = {t["function"]["name"]: t["function"] for t in kwargs.get("tools") or []}
        if not tools or (isinstance(messages[-1], ToolMessage) and not chosen):
            return answer
        tool = tools.get(chosen) or next(iter(tools.values()))
        asked = next(m.text for m in reversed(messages) if not isinstance(m, ToolMessage))
        args = {n: _filled(f, asked) for n, f in tool["parameters"]["properties"].items()}
        call = {"name": tool["name"], "args": args, "id": "1", "type": "tool_call"}
        return answer.model_copy(update={"content": "", "tool_calls": [call]})

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        message = self._answer(messages, {"stop": stop, **kwargs})
        if not message.tool_calls:
            yield from super()._stream(messages, stop, run_manager, **kwargs)
            return
        told = {n: getattr(message, n) for n in ("usage_metadata", "response_metadata")}
        (call,) = message.tool_calls
        chunk = tool_call_chunk(
            name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=0
        )
        calls = AIMessageChunk("", tool_call_chunks=[chunk], chunk_position="last", **told)
        yield ChatGenerationChunk(message=calls)

    def _get_ls_params(self, stop=None, **kwargs):
        told = super()._get_ls_params(stop, **kwargs)
        return {**told, "ls_model_name": kwargs.get("model", self.model)}


def _filled(field, asked):
    """A value of a field's type, from the words of the question."""
    if field.get("type") == "integer":
        return int((re.findall(r"\d+", asked) or ["3"])[0])
    return (re.findall(r"'(.+?)'", asked) or [asked])[0]


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
        started = time.thread_time()
        made()
        assert time.thread_time() - started < 1.0

    return once


class TestPair(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return Pair


class TestSingle(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return Single


class TestPairIntegration(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return Pair


class TestSingleIntegration(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return Single


@pytest.fixture
def vcr():
    """Recorded traffic: a fake has none."""


pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
