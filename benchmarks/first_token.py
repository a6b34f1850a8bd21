"""How long the package keeps a stream from its model, and an event loop from its other tasks.

    python benchmarks/first_token.py [ROUNDS]    # 7 by default: two minutes

*First token.* Questions that nobody asked before are streamed from a model that answers at once, and
the clock runs from the call to the first chunk that is shown, less the time within the cache's own
lookup. What is left is the model's own, which a row says and the goal leaves out, LangChain's and the
package's. Where turns were said before, they were asked before: a conversation goes on. A row says the
median of all questions, with the least and the most of them, by the wall clock, and for `stream` by this
thread's CPU time too. Other programs slow both down, so the result says how many there were; what lasts
is the ratio to the last row, LangChain's own `invoke` before its own cache, timed in the same rounds.
And "by hand" is the least that can be written with LangChain: a generator that looks up and streams,
without a router, and without storing the answer. What a row takes more than that is the package's own.

*Event loop.* A task sleeps a millisecond at a time and notes how late it wakes, once in a loop that does
nothing else and once beside 50 lookups that are always under way, in a cache of 500 answers with the
default encoder. The goal holds for the 99th percentile.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import results
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation
from langchain_core.runnables import Runnable, RunnableGenerator
from latency import questions
from threadpoolctl import threadpool_limits

from langchain_cachemux import LECCache, MultiplexedLLM, cached
from langchain_cachemux.lab.stamp import stamp

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

FIRST_TOKEN, GAP = 1.0, 20.0
"""Milliseconds: of a miss's first token beyond the lookup, and of a loop's delay, 99 % of the time."""
ASKED, TURNS = 40, 20
"""Questions a round and row; turns that were said before, in the rows of conversations."""
STORED, AT_ONCE, EACH = 500, 50, 10
"""Answers in the cache, tasks that look up, and lookups that each makes in turn."""
BEAT = 0.001
"""Seconds that a task sleeps at a time."""
YARDSTICK = "LangChain's invoke and InMemoryCache"

Asked = list[BaseMessage]
Time = tuple[float, float]
"""Milliseconds by the wall clock, and of CPU; nan where a loop's threads share the work."""


class Echo(BaseChatModel):
    """Says at once that it is here."""

    name: str = "echo"

    @property
    def _llm_type(self) -> str:
        return "echo"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.name}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_model_name": self.name}

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("I am here"))])

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        for word in ("I ", "am ", "here"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        for chunk in self._stream():
            yield chunk


class Timed(LECCache):
    """Notes how long its last lookup took."""

    took: Time = (0.0, 0.0)

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Look up."""
        watch = Watch()
        found = super().lookup(prompt, llm_string)
        self.took = watch.read()
        return found

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Look up."""
        watch = Watch()
        found = await super().alookup(prompt, llm_string)
        self.took = watch.read()
        return found


class Watch:
    """Reads milliseconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.thread_time()

    def read(self) -> Time:
        """By the wall clock, and of this thread's CPU."""
        wall, cpu = time.perf_counter() - self._wall, time.thread_time() - self._cpu
        return wall * 1e3, cpu * 1e3


def streamed(model: Runnable[Any, Any], asked: Asked) -> Time:
    """The first chunk of a stream."""
    watch = Watch()
    stream = model.stream(asked)
    next(stream)
    took = watch.read()
    for _ in stream:
        pass
    return took


def astreamed(model: Runnable[Any, Any], asked: Asked) -> Time:
    """The first chunk of an asynchronous one; a running loop counts, a loop's beginning does not."""

    async def first() -> Time:
        watch = Watch()
        stream = model.astream(asked)
        await anext(stream)
        wall, _ = watch.read()
        async for _ in stream:
            pass
        return wall, math.nan

    return RUNNER.run(first())


def invoked(model: Runnable[Any, Any], asked: Asked) -> Time:
    """The whole answer: from a model that says it at once."""
    watch = Watch()
    model.invoke(asked)
    return watch.read()


def by_hand(cache: LECCache) -> Runnable[Asked, Any]:
    """What one would write oneself, of one model and a cache that is never told."""
    model = Echo()

    def key(messages: Asked) -> tuple[str, str]:
        return dumps(messages), model._get_llm_string()

    def stream(inputs: Iterator[Asked]) -> Iterator[Any]:
        for messages in inputs:
            if cache.lookup(*key(messages)) is None:
                yield from model.stream(messages)

    async def astream(inputs: AsyncIterator[Asked]) -> AsyncIterator[Any]:
        async for messages in inputs:
            if await cache.alookup(*key(messages)) is None:
                async for chunk in model.astream(messages):
                    yield chunk

    return RunnableGenerator(stream, astream)


RUNNER = asyncio.Runner()
Face = Runnable[Any, Any]
Row = tuple[Callable[[Face, Asked], Time], Face, Timed | None, Asked]
"""How who is asked, before which cache, and what was said before."""


def one_model(cache: LECCache) -> BaseChatModel:
    """One model before a cache."""
    return cached(Echo(), cache)


def two_models(cache: LECCache) -> BaseChatModel:
    """Two, and nobody who judges; no audits, which would share the machine."""
    pair = {"small": Echo(name="small"), "large": Echo(name="large")}
    return MultiplexedLLM(models=pair, cache=cache, audit=0.0)


FACES: dict[str, Callable[[LECCache], Face]] = {
    "by hand": by_hand,
    "cached": one_model,
    "MultiplexedLLM": two_models,
}


def rows(embeddings: Embeddings | None) -> dict[str, Row]:
    """Who is asked in each round, in turn; the last is what the others are measured by."""
    texts = (query.text for query in questions(seed=2))
    turns: Asked = [
        say(next(texts)) for _ in range(TURNS // 2) for say in (HumanMessage, AIMessage)
    ]
    ways = {"stream": streamed, "astream": astreamed}
    before: dict[str, Asked] = {"": [], f", {TURNS} turns before": turns}
    made: dict[str, Row] = {
        f"the model alone{said}": (streamed, Echo(), None, before[said]) for said in before
    }
    for face, way, said in itertools.product(FACES, ways, before):
        cache = Timed(embeddings=embeddings)
        made[f"{face}, {way}{said}"] = ways[way], FACES[face](cache), cache, before[said]
    made[YARDSTICK] = invoked, Echo(cache=InMemoryCache()), None, []
    return made


def measured(
    rounds: int, asked: int = ASKED, embeddings: Embeddings | None = None
) -> list[dict[str, Any]]:
    """A row each: its first tokens' times, less the lookups'."""
    texts = (query.text for query in questions())
    made = rows(embeddings)
    taken: dict[str, list[Time]] = {name: [] for name in made}
    for n in range(rounds + 1):  # the first loads and compiles
        for name, row in made.items():
            times = [beyond(row, texts) for _ in range(asked)]
            taken[name] += times if n else []
    return [told(name, times) for name, times in taken.items()]


def beyond(row: Row, texts: Iterator[str]) -> Time:
    """One question's first token, less its lookup."""
    ask, model, cache, earlier = row
    wall, cpu = ask(model, [*earlier, HumanMessage(next(texts))])
    within = (0.0, 0.0) if cache is None else cache.took
    return wall - within[0], cpu - within[1]


def told(name: str, times: list[Time]) -> dict[str, Any]:
    """What the questions came to, in milliseconds."""
    wall, cpu = (spread(column) for column in zip(*times, strict=True))
    return {"first token": name, "wall": wall, "cpu": None if math.isnan(cpu["median"]) else cpu}


def spread(values: tuple[float, ...] | list[float]) -> dict[str, float]:
    """The median, with the least and the most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


async def delays(work: Awaitable[object]) -> list[float]:
    """Milliseconds by which a task that sleeps a beat at a time wakes too late while work goes on."""
    late: list[float] = []
    doing = asyncio.ensure_future(work)
    while not doing.done():
        began = time.perf_counter()
        await asyncio.sleep(BEAT)
        late.append((time.perf_counter() - began - BEAT) * 1e3)
    await doing
    return late


async def looked_up(cache: LECCache, texts: Iterator[str]) -> None:
    """So many tasks that look up one question after another."""

    async def one(asked: list[str]) -> None:
        for text in asked:
            await cache.alookup(text, "a model")

    each = [[next(texts) for _ in range(EACH)] for _ in range(AT_ONCE)]
    await asyncio.gather(*map(one, each))


def late(work: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(work, n=100)[98]


def delayed(rounds: int) -> dict[str, dict[str, float]]:
    """The 99th percentile of a loop's delay in each round: alone, and beside lookups."""
    texts = (query.text for query in questions(seed=1))
    alone, beside = [], []
    with LECCache() as cache:
        for _ in range(STORED):
            answer = ChatGeneration(message=AIMessage("I am here"))
            cache.update(next(texts), "a model", [answer])
        for _ in range(rounds):
            alone.append(late(RUNNER.run(delays(asyncio.sleep(1)))))
            beside.append(late(RUNNER.run(delays(looked_up(cache, texts)))))
    return {"nothing else": spread(alone), f"{AT_ONCE} lookups": spread(beside)}


def main() -> None:
    """Measure, print, write `first_token.json`."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 7
    before = os.getloadavg()[0]
    with threadpool_limits(1):
        first, loop = measured(rounds), delayed(rounds)
    for row in first:
        cpu = f"{row['cpu']['median']:.2f} ms CPU, " if row["cpu"] else ""
        print(f"{row['first token']:>40}: {cpu}{row['wall']['median']:.2f} ms wall")
    for name, percentile in loop.items():
        print(f"a loop beside {name:>26}: {percentile['median']:.1f} ms late, 99th percentile")
    result = {
        **stamp(" ".join(["python benchmarks/first_token.py", *sys.argv[1:]]), "langchain-core"),
        "rounds": rounds,
        "questions a round and row": ASKED,
        "programs waiting for a core before and after": [before, os.getloadavg()[0]],
        "goals in milliseconds": {"first token": FIRST_TOKEN, "99th percentile of a delay": GAP},
        "milliseconds beyond the lookup": first,
        "99th percentile of a loop's delay in milliseconds": loop,
    }
    results.write(results.FOLDER / "first_token.json", result)


if __name__ == "__main__":
    main()
