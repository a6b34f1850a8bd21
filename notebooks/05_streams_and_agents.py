# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Streams and agents
#
# Most programs do not call `model.invoke`. They stream, they ask many things at once, or an agent asks for them. This
# notebook shows that a cache and a multiplexer are the same there as everywhere else.
#
# **The models here are fakes with a delay**: 300 milliseconds until the first token, then a token every 30. So it runs
# anywhere, without a key, in some seconds, and what is timed is what the package adds. Cache, encoder, agent and
# events are the real ones. Put your own model in the place of `Slow`.

# %%
import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
from IPython.display import Markdown
from langchain.agents import create_agent
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_cachemux import LECCache, MultiplexedLLM, cached
from langchain_cachemux.lab import charts
from langchain_cachemux.middleware import (
    CacheMiddleware,
    MultiplexerMiddleware,
    ToolCacheMiddleware,
)

plt.rcParams.update({**charts.STYLE, "figure.dpi": 72})
FIRST, NEXT = 0.3, 0.03
"""Seconds to the first token, and to each after that."""


def table(heads, rows):
    """Rows as a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


class Slow(BaseChatModel):
    """A fake that takes its time, says what `says` makes of the messages, and counts its calls."""

    name: str
    says: object
    calls: list = []

    @property
    def _llm_type(self):
        return "slow"

    @property
    def _identifying_params(self):
        return {"model": self.name}

    def _get_ls_params(self, stop=None, **kwargs):
        return {"ls_provider": "fake", "ls_model_name": self.name, "ls_model_type": "chat"}

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools])

    def _chunks(self, messages):
        """The answer in pieces: words, or one call of a tool; the last says what was used."""
        self.calls.append(messages)
        said = self.says(messages)
        if isinstance(said, str):
            chunks = [AIMessageChunk(word) for word in re.findall(r"\S+\s*", said)]
        else:
            chunks = [AIMessageChunk("", tool_calls=[{**said, "id": f"call {len(self.calls)}"}])]
        read, written = sum(len(m.text.split()) for m in messages), len(chunks)
        chunks[-1].usage_metadata = {
            "input_tokens": read,
            "output_tokens": written,
            "total_tokens": read + written,
        }
        chunks[-1].response_metadata = {"model_name": self.name, "finish_reason": "stop"}
        chunks[-1].chunk_position = "last"
        return [ChatGenerationChunk(message=chunk) for chunk in chunks]

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for place, chunk in enumerate(self._chunks(messages)):
            time.sleep(NEXT if place else FIRST)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for place, chunk in enumerate(self._chunks(messages)):
            await asyncio.sleep(NEXT if place else FIRST)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        whole = merge_chat_generation_chunks(list(self._stream(messages)))
        return ChatResult(generations=[whole])


PARIS = "The capital of France is Paris, a city on the Seine."

# %% [markdown]
# ## 1. A stream looks into the cache
#
# LangChain asks its cache when a model is invoked, and never when it is streamed:

# %%
cache = LECCache()
cache.warm()  # loads the encoder, so that no question waits for it
model = Slow(name="slow", says=lambda _: PARIS, cache=cache)
for _ in range(2):
    "".join(chunk.text for chunk in model.stream("What is the capital of France?"))
print(f"{len(model.calls)} calls, {cache.stats().entries} answers stored")

# %% [markdown]
# `cached(model, cache)` is the same model with a cache in front of it, however it is asked. A fresh answer passes
# through as it comes and is stored when it is whole; a stored one is streamed in pieces. A stream that fails, or that
# you leave, stores nothing.

# %%
model = Slow(name="slow", says=lambda _: PARIS)
chat = cached(model, cache)


def timed(stream):
    """Seconds at which each piece came, and the whole answer."""
    started, at, whole = time.perf_counter(), [], None
    for chunk in stream:
        at += [time.perf_counter() - started] * bool(chunk.text)
        whole = chunk if whole is None else whole + chunk
    return at, whole


ways = {
    "model.stream": lambda: model.stream("What is the capital of France?"),
    "a miss": lambda: chat.stream("What is the capital of France?"),
    "the same words": lambda: chat.stream("What is the capital of France?"),
    "other words": lambda: chat.stream("hey, what's the capital of France?"),
}
came = {name: timed(way()) for name, way in ways.items()}
print(f"{len(model.calls)} calls of the model, of which one was without the cache")
table(
    ("", "first token", "last token", "pieces", "hit", "answer"),
    [
        (
            name,
            f"{at[0] * 1000:.0f} ms",
            f"{at[-1] * 1000:.0f} ms",
            len(at),
            whole.response_metadata.get("cachemux", {}).get("hit", ""),
            whole.text,
        )
        for name, (at, whole) in came.items()
    ],
)

# %%
figure, axes = plt.subplots(figsize=(9, 2.6))
for row, (name, (at, _)) in enumerate(came.items()):
    axes.plot(at, [row] * len(at), "o", ms=6, color=charts.MAIN if row else charts.INK)
axes.axvline(0, label="asked: nothing can come sooner", **charts.LIMIT)
axes.axvline(FIRST, label="the model's first token", **charts.NO_CACHE)
axes.set_yticks(range(len(came)), came)
axes.invert_yaxis()
axes.set(xlabel="seconds; a dot is a piece of the answer")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()

# %% [markdown]
# ## 2. Twenty at once are one call
#
# The same question, asked by twenty threads, or twenty tasks of one event loop. Without a cache these are twenty
# calls; with one that only looks they are too, as there is no answer yet when the others look. Here the first asks,
# and the others wait for what it brings.

# %%
MANY = 20
question = "Why is the sky blue?"


async def tasks(chat):
    """Twenty tasks of one event loop."""
    return await asyncio.gather(*(chat.ainvoke(question) for _ in range(MANY)))


def threads(chat):
    """Twenty threads."""
    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(chat.invoke, [question] * MANY))


def batch(chat):
    """One batch."""
    return chat.batch([question] * MANY, {"max_concurrency": MANY})


def streams(chat):
    """Twenty streams in twenty threads."""
    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(lambda _: timed(chat.stream(question))[1], range(MANY)))


SKY = "The air scatters blue light more than red light."
rows = []
for name, ask in {"threads": threads, "batch": batch, "streams": streams, "tasks": tasks}.items():
    model = Slow(name="slow", says=lambda _: SKY)
    chat = cached(model, LECCache())
    chat.cache.warm()
    started = time.perf_counter()
    answers = ask(chat)
    answers = await answers if name == "tasks" else answers
    took = time.perf_counter() - started
    rows.append(
        (name, len(answers), len({a.text for a in answers}), len(model.calls), f"{took:.2f} s")
    )
table(("asked by", "answers", "different ones", "calls", "took"), rows)

# %% [markdown]
# When the first one fails, the others do not fail with it: they go on by themselves. And nobody waits for ever
# (`LECCache(wait=...)`).

# %% [markdown]
# ## 3. What a call used
#
# Who adds up usage hears of every call. A hit tells the tokens that its answer has, and a `total_cost` of 0. A
# callback that counts what was really used counts nothing.

# %%
chat = cached(Slow(name="slow", says=lambda _: SKY), LECCache())
for _ in range(2):
    counter = UsageMetadataCallbackHandler()
    answer = chat.invoke(question, {"callbacks": [counter]})
    print("answer: ", answer.usage_metadata)
    print("counted:", counter.usage_metadata)

# %% [markdown]
# A call may pass the cache by. `cache=False` neither looks nor tells. `cache="refresh"` does not look, and tells what
# the model said this time.

# %%
number = iter(range(1, 100))
model = Slow(name="slow", says=lambda _: f"This is answer number {next(number)}.")
chat = cached(model, LECCache())
for use in ({}, {}, {"cache": False}, {}, {"cache": "refresh"}, {}):
    print(f"{use!s:22} {chat.invoke('Tell me something.', **use).text}")

# %% [markdown]
# ## 4. An agent
#
# Two models, a tool, and everything at once. `MultiplexedLLM` is a chat model, so it may be the agent's model. Three
# kinds of middleware stand around it:
#
# - `ToolCacheMiddleware` keeps results of tools that you name, by exactly the same arguments;
# - `MultiplexerMiddleware` has each call routed; with `per="run"` a run stays with the model that began it;
# - `CacheMiddleware`, last in the list, lends the cache to whatever model was chosen.
#
# The judge, `accept`, turns down what the small model says of anything but distances.

# %%
runs = []


@tool
def distance(place: str, other: str) -> str:
    """The distance between two places."""
    runs.append((place, other))
    time.sleep(0.3)
    return f"{place} to {other}: 1,054 km"


def answering(name):
    """Asks the tool for the distance, and then says what it told; of the rest only the large model knows."""

    def says(messages):
        if isinstance(messages[-1], ToolMessage):
            return f"It is far. {messages[-1].text}, as the crow flies."
        if "far" in messages[-1].text:
            return {"name": "distance", "args": {"place": "Paris", "other": "Vienna"}}
        return "I do not know." if name == "small" else "A café is a place to drink coffee."

    return Slow(name=name, says=says)


def multiplexed(cache):
    """Both models; what the small one does not know is asked of the large one."""
    return MultiplexedLLM(
        models={"small": small, "large": large},
        cache=cache,
        accept=lambda _, answer: "do not know" not in answer.text,
        strategy="cascade",
        price=lambda usage: {"small": 1.0, "large": 10.0}[usage.model],
    )


small, large = answering("small"), answering("large")
cache = LECCache()
llm = multiplexed(cache)
agent = create_agent(
    llm,
    tools=[distance],
    middleware=[
        ToolCacheMiddleware(cache, {"distance": 3600}),
        MultiplexerMiddleware(llm, per="run"),
        CacheMiddleware(cache),
    ],
)


def ask(text):
    """One run of the agent: how long it took, what was called, and what each answer says of itself."""
    before = len(small.calls), len(large.calls), len(runs)
    started = time.perf_counter()
    messages = agent.invoke({"messages": [("human", text)]})["messages"]
    took = time.perf_counter() - started
    called = [
        now - then
        for now, then in zip((len(small.calls), len(large.calls), len(runs)), before, strict=True)
    ]
    told = [m.response_metadata.get("cachemux", {}) for m in messages[1:]]
    came = ", ".join(t["hit"] + " hit" if "hit" in t else t.get("model", "run") for t in told)
    return (text, f"{took:.2f} s", *called, came, messages[-1].text)


table(
    ("asked", "took", "small", "large", "tool", "the messages came from", "answer"),
    [
        ask(text)
        for text in (
            "How far is it from Paris to Vienna?",
            "How far is it from Paris to Vienna?",
            "How far is Vienna from Paris?",
            "What is a café?",
            "hi, what is a café? thanks",
        )
    ],
)

# %% [markdown]
# Read the columns in the middle. The second run calls nothing: the turn that asks for the tool, the tool's result and
# the final answer are all known. For the third, in other words, a model is asked again (the large one, of which the
# router knew nothing yet), since a turn that calls a tool is matched exactly; but the tool is not run again. The
# fourth is asked of the small model, turned down, and asked of the large one. The fifth is the fourth in other words.

# %% [markdown]
# ## 5. What a user sees of it
#
# `stream_mode="messages"` shows the tokens of an agent's models as they come. The small model's draft is turned down,
# so nobody must see it; and a stored answer must look like any other.

# %%
shown = LECCache()
agent = create_agent(multiplexed(shown), tools=[distance], middleware=[CacheMiddleware(shown)])
for name in ("fresh", "stored"):
    before = len(small.calls), len(large.calls)
    asked = {"messages": [("human", "What is a café?")]}
    pieces = [chunk.text for chunk, _ in agent.stream(asked, stream_mode="messages") if chunk.text]
    print(f"{name}: {len(small.calls) - before[0]} small, {len(large.calls) - before[1]} large")
    print("  ", "|".join(pieces))

# %% [markdown]
# Who counts and traces hears of the draft all the same, since it was paid for: the small model's tokens are there.

# %%
counter = UsageMetadataCallbackHandler()
agent.invoke({"messages": [("human", "What is a bistro?")]}, {"callbacks": [counter]})
counter.usage_metadata

# %% [markdown]
# ## Where to go next
#
# - `docs/agents.md`: namespaces for users, tools that a provider runs, structured answers.
# - `cached(model, cache).astream_events(...)`: the events of a hit are those of a chat model.
# - Two models that learn which of them to ask: [small or large?](03_small_or_large.ipynb)
