"""Fake models between which a multiplexer can be watched, and the ways of asking it."""

import asyncio
import operator
import re
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableParallel
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langchain_cachemux import Estimate, LECCache, MultiplexedLLM, Router

PRICES = {"small": 1.0, "large": 10.0}
QUESTION = "What is the capital of France?"


def price(usage):
    """A call costs what its model costs, so that sums can be done in the head."""
    return PRICES[usage.model]


class Fake(BaseChatModel):
    """Says what it is told to, in words when streamed, and remembers what it was asked."""

    model: str
    says: Any = "Paris it is"
    temperature: float = 0.0
    calls: Any = Field(default_factory=list)

    @property
    def _llm_type(self):
        return "fake"

    @property
    def _identifying_params(self):
        return {"model": self.model, "temperature": self.temperature}

    def _get_ls_params(self, stop=None, **kwargs):
        return {"ls_provider": "fake", "ls_model_name": self.model, "ls_model_type": "chat"}

    def _answer(self, messages, kwargs):
        self.calls.append(SimpleNamespace(messages=messages, kwargs=kwargs))
        said = self.says(messages) if callable(self.says) else self.says
        if isinstance(said, Exception):
            raise said
        message = AIMessage(said) if isinstance(said, str) else said.model_copy()
        message.usage_metadata = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        message.response_metadata = {"model_name": self.model}
        return message

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        message = self._answer(messages, {"stop": stop, **kwargs})
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        written = [convert_to_openai_tool(one) for one in tools]
        return self.bind(tools=written, tool_choice=tool_choice, **kwargs)


class Streaming(Fake):
    """Streams word by word."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        message = self._answer(messages, {"stop": stop, **kwargs})
        words = re.findall(r"\S+\s*", message.text)
        for place, word in enumerate(words):
            chunk = AIMessageChunk(word)
            if place == len(words) - 1:
                chunk.usage_metadata = message.usage_metadata
                chunk.response_metadata = message.response_metadata
                chunk.chunk_position = "last"
            generation = ChatGenerationChunk(message=chunk)
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=generation)
            yield generation


class Words(Embeddings):
    """Counts words into 64 places, and how often it was asked to."""

    def __init__(self):
        self.asked = []

    def embed_query(self, text):
        self.asked.append(text)
        vector = np.zeros(64)
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 64] += 1
        return vector.tolist()

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Fixed:
    """Always estimates the same, and remembers what it was asked and should have learned."""

    def __init__(self, mean):
        self.mean = mean
        self.asked = []
        self.learned = []

    def predict(self, x):
        self.asked.append(x)
        return Estimate(self.mean, 0.0)

    def learn(self, x, cost):
        self.learned.append((x.text, cost))


class Events(BaseCallbackHandler):
    """Remembers the runs of chat models and the tokens they streamed."""

    def __init__(self):
        self.started, self.ended, self.tokens, self.tags = [], [], [], []

    def on_chat_model_start(self, serialized, messages, **kwargs):
        self.started.append(kwargs["metadata"]["ls_model_name"])
        self.tags += kwargs["tags"]

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)

    def on_llm_end(self, response, **kwargs):
        self.ended.append(response.generations[0][0].text)


def routed(*names):
    """A router that always begins with the first of the names."""
    return Router({name: Fixed(place) for place, name in enumerate(names)})


def learned(mux):
    """What each model's estimator was taught, for routers of `Fixed` ones."""
    estimators = mux.router.estimators
    return {name: [cost for _, cost in estimators[name].learned] for name in estimators}


def untaught(mux):
    """Whether nothing was learned, and nothing stored."""
    return not any(learned(mux).values()) and mux.cache.stats().entries == 0


def multiplexed(small=None, large=None, **kwargs):
    if "embeddings" not in kwargs and not hasattr(kwargs.get("cache"), "reader"):
        kwargs["embeddings"] = Words()
    kwargs.setdefault("price", price)
    kwargs.setdefault("router", routed("small", "large"))
    if "models" not in kwargs:
        small, large = small or Streaming(model="small"), large or Streaming(model="large")
    return MultiplexedLLM(small, large, **kwargs)


def lec(**kwargs):
    return LECCache(embeddings=kwargs.pop("embeddings", None) or Words(), **kwargs)


def calling(tool, /, **args):
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": tool, "args": args, "id": "1", "type": "tool_call"}])


def called_with(answer):
    return answer.tool_calls[0]["args"]


def told(answer):
    return answer.response_metadata["cachemux"]


async def _astreamed(model, question):
    return [chunk async for chunk in model.astream(question)]


CHUNKS = {
    "stream": lambda model, question: list(model.stream(question)),
    "astream": lambda model, question: asyncio.run(_astreamed(model, question)),
}
WAYS = {
    "invoke": lambda model, question: model.invoke(question),
    "ainvoke": lambda model, question: asyncio.run(model.ainvoke(question)),
    "stream": lambda model, question: reduce(operator.add, CHUNKS["stream"](model, question)),
    "astream": lambda model, question: reduce(operator.add, CHUNKS["astream"](model, question)),
    "batch": lambda model, question: model.batch([question])[0],
    "abatch": lambda model, question: asyncio.run(model.abatch([question]))[0],
}
every_way = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
every_stream = pytest.mark.parametrize("chunks_of", CHUNKS.values(), ids=CHUNKS)


MANY = 20


class Slow(Fake):
    """Takes its time, natively in both ways, and counts the calls that are made at once."""

    seconds: float = 0.3

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(self.seconds)
        return super()._generate(messages, stop, run_manager, **kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(self.seconds)
        return super()._generate(messages, stop, run_manager, **kwargs)


def at_once(ask, many=MANY):
    """Ask in so many threads, all of them ready before the first asks."""
    ready = threading.Barrier(many)

    def one(_):
        ready.wait(30)
        return ask()

    with ThreadPoolExecutor(many) as pool:
        return [*pool.map(one, range(many))]


async def gathered(model):
    return await asyncio.gather(*(model.ainvoke(QUESTION) for _ in range(MANY)))


async def in_parallel(model):
    return await RunnableParallel({str(n): model for n in range(MANY)}).ainvoke(QUESTION)


def loops(model):
    """In four event loops, five tasks each."""

    async def five():
        return await asyncio.gather(*(model.ainvoke(QUESTION) for _ in range(MANY // 4)))

    return [answer for loop in at_once(lambda: asyncio.run(five()), 4) for answer in loop]


AT_ONCE = {
    "threads": lambda model: at_once(lambda: model.invoke(QUESTION)),
    "tasks": lambda model: asyncio.run(gathered(model)),
    "loops": loops,
    "batch": lambda model: model.batch([QUESTION] * MANY, {"max_concurrency": MANY}),
    "abatch": lambda model: asyncio.run(model.abatch([QUESTION] * MANY)),
    "RunnableParallel": lambda model: [
        *RunnableParallel({str(n): model for n in range(MANY)})
        .invoke(QUESTION, {"max_concurrency": MANY})
        .values()
    ],
    "RunnableParallel, async": lambda model: [*asyncio.run(in_parallel(model)).values()],
}
every_way_at_once = pytest.mark.parametrize("ask", AT_ONCE.values(), ids=AT_ONCE)
