"""`MultiplexedLLM` between fake models: what is asked of whom, told to whom, and handed out."""

import asyncio
import gc
import json
import math
import re
import threading
import zlib
from datetime import date
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, TypedDict

import numpy as np
import pytest
from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import OutputParserException
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableField, Runnable, RunnableLambda
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from langchain_cachemux import (
    Estimate,
    LECCache,
    Mean,
    MultiplexedLLM,
    Reader,
    Ridge,
    Router,
    SentenceEncoder,
    SklearnEstimator,
    dollars,
)

PRICES = {"small": 1.0, "medium": 3.0, "large": 10.0}
QUESTION = "What is the capital of France?"


def price(usage):
    """A call costs what its model costs, so that sums can be done in the head."""
    if usage.model not in PRICES:
        msg = f"no price for {usage.model!r}"
        raise ValueError(msg)
    return PRICES[usage.model]


class Fake(BaseChatModel):
    """Says what it is told to, in words when streamed, and remembers what it was asked."""

    model: str
    says: Any = "Paris it is"
    temperature: float = 0.0
    reports: bool = True
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
        if self.reports:
            tokens = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
            message.usage_metadata = tokens
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
    """Always estimates the same, and remembers what it should have learned."""

    def __init__(self, mean):
        self.mean = mean
        self.learned = []

    def predict(self, x):
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


def to_large():
    return Router({"small": Fixed(9.0), "large": Fixed(1.0)})


def learned(mux):
    """What each model's estimator was taught, for routers of `Fixed` ones."""
    return {
        name: [cost for _, cost in estimator.learned]
        for name, estimator in mux.router.estimators.items()
    }


def multiplexed(small=None, large=None, **kwargs):
    if "embeddings" not in kwargs and not hasattr(kwargs.get("cache"), "reader"):
        kwargs["embeddings"] = Words()
    kwargs.setdefault("price", price)
    kwargs.setdefault("router", routed("small", "large"))
    return MultiplexedLLM(
        small or Streaming(model="small"), large or Streaming(model="large"), **kwargs
    )


def lec(**kwargs):
    return LECCache(embeddings=kwargs.pop("embeddings", None) or Words(), **kwargs)


def told(answer):
    return answer.response_metadata["cachemux"]


def summed(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def _astreamed(model, question):
    return [chunk async for chunk in model.astream(question)]


WAYS = {
    "invoke": lambda model, question: model.invoke(question),
    "ainvoke": lambda model, question: asyncio.run(model.ainvoke(question)),
    "stream": lambda model, question: summed(list(model.stream(question))),
    "astream": lambda model, question: summed(asyncio.run(_astreamed(model, question))),
    "batch": lambda model, question: model.batch([question])[0],
    "abatch": lambda model, question: asyncio.run(model.abatch([question]))[0],
}
every_way = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
either_cache = pytest.mark.parametrize(
    "cache", [InMemoryCache, lec], ids=["InMemoryCache", "LECCache"]
)


# The ways of asking


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
def test_every_way_of_asking_gives_the_routed_models_answer(ask, fake):
    small, large = fake(model="small", says="Paris, I think"), fake(model="large")
    mux = multiplexed(small, large)

    answer = ask(mux, QUESTION)

    assert answer.content == "Paris, I think"
    assert answer.usage_metadata["total_tokens"] == 10
    assert answer.response_metadata["model_name"] == "small"
    assert (told(answer)["model"], told(answer)["cost"]) == ("small", 1.0)
    assert told(answer)["escalated"] is False
    assert (len(small.calls), len(large.calls)) == (1, 0)
    assert learned(mux) == {"small": [1.0], "large": []}


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
def test_every_way_of_asking_escalates_alike(ask, fake):
    small, large = fake(model="small", says="No idea"), fake(model="large", says="It is Paris")
    mux = multiplexed(small, large, accept=lambda _, answer: "Paris" in answer.text)

    answer = ask(mux, QUESTION)

    assert answer.content == "It is Paris"
    assert (told(answer)["route"], told(answer)["model"]) == ("small", "large")
    assert told(answer)["escalated"] is True
    assert told(answer)["cost"] == 1.0 + 10.0
    assert learned(mux) == {"small": [11.0], "large": [10.0]}


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
def test_every_way_of_asking_hits_what_another_stored(ask, fake):
    small = fake(model="small")
    mux = multiplexed(small, cache=lec())
    first = mux.invoke(QUESTION)

    answer = ask(mux, QUESTION)

    assert answer.content == first.content
    assert answer.usage_metadata == first.usage_metadata
    assert told(answer)["hit"] == "exact"
    assert answer.id != first.id
    assert len(small.calls) == 1


@every_way
def test_every_way_of_asking_stores_for_the_others(ask):
    small = Streaming(model="small")
    mux = multiplexed(small, cache=lec())

    ask(mux, QUESTION)

    assert told(mux.invoke(QUESTION))["hit"] == "exact"
    assert len(small.calls) == 1


def test_a_batch_answers_each_question_and_learns_from_each():
    small = Fake(model="small", says=lambda messages: messages[-1].text.upper())
    mux = multiplexed(small, cache=lec())
    questions = [f"question {n}" for n in range(40)]

    answers = mux.batch(questions, config={"max_concurrency": 8})

    assert [answer.content for answer in answers] == [f"QUESTION {n}" for n in range(40)]
    assert learned(mux)["small"] == [1.0] * 40
    assert mux.cache.stats().admitted == 40
    assert mux.cache.check() == []


async def test_the_event_loop_waits_for_neither_embedder_nor_judge_nor_router_nor_cache():
    where = []

    class Learning(Fixed):
        def learn(self, x, cost):
            where.append(threading.current_thread())

    class Where(Words):
        def embed_query(self, text):
            where.append(threading.current_thread())
            return super().embed_query(text)

    class Cache(LECCache):
        def lookup(self, *key):
            where.append(threading.current_thread())
            return super().lookup(*key)

        def update(self, *key):
            where.append(threading.current_thread())
            super().update(*key)

    def accept(_messages, _answer):
        where.append(threading.current_thread())
        return True

    router = Router({"small": Learning(0.0), "large": Learning(1.0)})
    mux = multiplexed(router=router, accept=accept, cache=Cache(embeddings=Where()))
    await mux.ainvoke(QUESTION)

    assert len(where) == 5
    assert threading.main_thread() not in where


@pytest.mark.parametrize(
    "question",
    [
        "hello",
        StringPromptValue(text="hello"),
        ChatPromptValue(messages=[HumanMessage("hello")]),
        [HumanMessage("hello", id="7")],
        (HumanMessage("hello"),),
        [("human", "hello")],
        [{"role": "user", "content": "hello"}],
        ["hello"],
    ],
    ids=lambda question: type(question).__name__,
)
@either_cache
def test_a_question_is_the_same_in_whatever_form_it_comes(question, cache):
    small = Fake(model="small")
    mux = multiplexed(small, cache=cache())

    mux.invoke("hello")
    answer = mux.invoke(question)

    assert [message.text for message in small.calls[0].messages] == ["hello"]
    assert told(answer)["hit"]


def test_a_system_message_and_earlier_turns_reach_the_model():
    small = Fake(model="small")
    messages = [
        SystemMessage("Be brief"),
        HumanMessage("Hi"),
        AIMessage("Yes?"),
        HumanMessage("Go"),
    ]

    multiplexed(small).invoke(messages)

    assert small.calls[0].messages == messages


@pytest.mark.parametrize("question", [{"question": "hello"}, HumanMessage("hello"), 7, None])
@every_way
def test_what_is_no_prompt_is_refused(ask, question):
    with pytest.raises(ValueError, match=r"input must be a str.*got " + re.escape(repr(question))):
        ask(multiplexed(), question)


def test_it_stands_in_a_chain_where_a_chat_model_does():
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief"), ("human", "{question}")])
    small = Streaming(model="small", says="Paris it is")
    chain = prompt | multiplexed(small) | StrOutputParser()

    assert chain.invoke({"question": QUESTION}) == "Paris it is"
    assert [token for token in chain.stream({"question": QUESTION}) if token] == [
        "Paris ",
        "it ",
        "is",
    ]
    assert asyncio.run(chain.ainvoke({"question": QUESTION})) == "Paris it is"
    assert small.calls[0].messages == [SystemMessage("Be brief"), HumanMessage(QUESTION)]


def test_it_drives_a_langchain_agent():
    agents = pytest.importorskip("langchain.agents", reason="it comes with the extra `agents`")

    @tool
    def population(city: str) -> int:
        """People in a city."""
        return 2_100_000

    def says(messages):
        if isinstance(messages[-1], ToolMessage):
            return f"There are {messages[-1].text}"
        call = {"name": "population", "args": {"city": "Paris"}, "id": "1", "type": "tool_call"}
        return AIMessage("", tool_calls=[call])

    small = Fake(model="small", says=says)
    agent = agents.create_agent(multiplexed(small), [population])

    state = agent.invoke({"messages": [("human", "How many live in Paris?")]})

    assert state["messages"][-1].content == "There are 2100000"
    assert len(small.calls) == 2


@pytest.mark.parametrize("method", ["get_input_jsonschema", "get_output_jsonschema", "get_graph"])
def test_it_describes_itself_as_runnables_do(method):
    assert getattr(multiplexed(), method)()


@pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="it comes with the extra `local`"
)
def test_by_default_questions_are_read_by_the_encoder_in_this_process():
    assert isinstance(MultiplexedLLM(SMALL, LARGE).reader.embeddings, SentenceEncoder)


# What LangChain puts around it


def test_with_retry_asks_again_after_an_error():
    failures = [ConnectionError("busy")]
    small = Fake(model="small", says=lambda _: failures.pop() if failures else "Paris")
    mux = multiplexed(small)

    answer = mux.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke(QUESTION)

    assert answer.content == "Paris"
    assert learned(mux)["small"] == [1.0]


def test_with_fallbacks_asks_another():
    broken = multiplexed(Fake(model="small", says=ConnectionError("down")))
    spare = Fake(model="spare", says="Paris")

    assert broken.with_fallbacks([spare]).invoke(QUESTION).content == "Paris"


def test_with_fallbacks_then_bind_tools_keeps_the_fallbacks_and_the_tools():
    broken = multiplexed(Fake(model="small", says=ConnectionError("down")))
    spare = Fake(model="spare", says="Paris")

    bound = broken.with_fallbacks([spare]).bind_tools([add])

    assert bound.invoke(QUESTION).content == "Paris"
    assert spare.calls[0].kwargs["tools"][0]["function"]["name"] == "add"


def test_with_fallbacks_then_with_structured_output_keeps_the_fallbacks():
    broken = multiplexed(Fake(model="small", says=ConnectionError("down")))
    spare = Fake(model="spare", says=person(name="Ada", age=36))

    bound = broken.with_fallbacks([spare]).with_structured_output(Person)

    assert bound.invoke(QUESTION) == Person(name="Ada", age=36)


def test_with_config_reaches_the_models_run():
    events = Events()
    mux = multiplexed().with_config(tags=["tagged"], callbacks=[events])

    mux.invoke(QUESTION)

    assert "tagged" in events.tags
    assert events.started == ["small"]


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
def test_bound_parameters_reach_the_model(ask, fake):
    small = fake(model="small")

    ask(multiplexed(small).bind(stop=["."], seed=7), QUESTION)

    assert small.calls[0].kwargs == {"stop": ["."], "seed": 7}


def test_a_configurable_field_is_read_at_every_call():
    small, large = Fake(model="small", says="No idea"), Fake(model="large", says="Paris")
    field = ConfigurableField(id="judge")
    mux = multiplexed(small, large)
    configurable = mux.configurable_fields(accept=field)

    assert configurable.invoke(QUESTION).content == "No idea"
    strict = configurable.with_config(configurable={"judge": lambda *_: False})
    assert strict.invoke(QUESTION).content == "Paris"
    assert learned(mux) == {"small": [1.0, 11.0], "large": [10.0]}


# Traces, usage and tokens


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
def test_one_routed_call_is_one_run_of_a_chat_model(ask, fake):
    events, usage = Events(), UsageMetadataCallbackHandler()

    ask(multiplexed(fake(model="small")).with_config(callbacks=[events, usage]), QUESTION)

    assert events.started == ["small"]
    assert events.ended == ["Paris it is"]
    assert usage.usage_metadata["small"]["total_tokens"] == 10


@every_way
def test_an_escalated_call_is_two_runs_and_the_usage_of_both(ask):
    events, usage = Events(), UsageMetadataCallbackHandler()
    mux = multiplexed(accept=lambda *_: False)

    ask(mux.with_config(callbacks=[events, usage]), QUESTION)

    assert events.started == ["small", "large"]
    assert {name: used["total_tokens"] for name, used in usage.usage_metadata.items()} == {
        "small": 10,
        "large": 10,
    }


@every_way
def test_a_hit_is_no_run_of_a_chat_model(ask):
    events = Events()
    mux = multiplexed(cache=lec())
    mux.invoke(QUESTION)

    ask(mux.with_config(callbacks=[events]), QUESTION)

    assert events.started == []


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_streamed_tokens_are_told_to_callbacks_once(way):
    events = Events()

    WAYS[way](multiplexed().with_config(callbacks=[events]), QUESTION)

    assert [token for token in events.tokens if token] == ["Paris ", "it ", "is"]


async def test_astream_events_tells_of_one_model_and_of_its_tokens_once():
    chain = multiplexed() | StrOutputParser()

    events = [event async for event in chain.astream_events(QUESTION, version="v2")]

    names = [event["event"] for event in events]
    assert names.count("on_chat_model_start") == names.count("on_chat_model_end") == 1
    streamed = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(streamed) == "Paris it is"


def test_the_run_is_named_after_it_and_the_models_run_is_its_child():
    class Runs(BaseCallbackHandler):
        parents: Any = {}  # noqa: RUF012

        def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id, **kwargs):
            self.parents[kwargs["name"]] = (run_id, parent_run_id)

        def on_chat_model_start(self, serialized, messages, *, run_id, parent_run_id, **kwargs):
            self.parents["model"] = (run_id, parent_run_id)

    runs = Runs()
    multiplexed().invoke(QUESTION, {"callbacks": [runs]})

    assert runs.parents["MultiplexedLLM"][1] is None
    assert runs.parents["model"][1] == runs.parents["MultiplexedLLM"][0]


WRAPPINGS = {
    "bare": lambda model: model,
    "bound": lambda model: model.bind(seed=7),
    "configured": lambda model: model.with_config(tags=["x"]),
    "retried": lambda model: model.with_retry(),
    "with a fallback": lambda model: model.with_fallbacks([Fake(model="spare")]),
    "as a fallback": lambda model: Fake(model="small", says=ConnectionError("down")).with_fallbacks(
        [model]
    ),
    "in a chain": lambda model: RunnableLambda(lambda messages, **_: messages) | model,
    "prompted": lambda model: ChatPromptTemplate([MessagesPlaceholder("all")]) | model,
    "configurable": lambda model: model.configurable_fields(
        temperature=ConfigurableField(id="temperature")
    ),
    "nested": lambda model: MultiplexedLLM(
        models={"one": model}, embeddings=Words(), price=lambda _: 1.0
    ),
}


@pytest.fixture
def global_cache():
    before = get_llm_cache()
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(before)


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("own", [None, True, "own"])
def test_the_models_own_caches_are_off_however_they_are_wrapped(wrap, own, global_cache):
    cache = InMemoryCache() if own == "own" else own
    small = Fake(model="small", cache=cache)
    mux = multiplexed(wrap(small))

    mux.invoke([("human", QUESTION)])
    mux.invoke([("human", QUESTION)])

    assert len(small.calls) == 2
    assert not global_cache._cache
    assert own != "own" or not cache._cache
    assert small.cache is cache  # the user's own object is as it was


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_wrapped_model_goes_by_its_own_name(wrap):
    mux = MultiplexedLLM(
        wrap(Fake(model="small")), Fake(model="large"), price=price, embeddings=Words()
    )

    assert list(mux.models) == ["small", "large"]


def test_a_model_without_a_name_goes_by_its_role():
    def bare(text):
        return RunnableLambda(lambda _: AIMessage(text))

    mux = MultiplexedLLM(
        bare("one"), bare("two"), embeddings=Words(), router=routed("small", "large")
    )

    assert mux.invoke(QUESTION).content == "one"
    assert mux.billed == {"small": "small", "large": "large"}


def test_a_model_may_be_named_as_langchain_names_it(monkeypatch):
    pytest.importorskip("langchain", reason="it comes with the extra `agents`")
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    mux = MultiplexedLLM("openai:gpt-4o-mini", "openai:gpt-4o", embeddings=Words(), price=dollars)

    assert list(mux.models) == ["gpt-4o-mini", "gpt-4o"]


# accept


def test_without_accept_tokens_are_streamed_as_they_come():
    produced = []

    class Slow(Streaming):
        def _stream(self, *args, **kwargs):
            for chunk in super()._stream(*args, **kwargs):
                produced.append(chunk.text)
                yield chunk

    stream = multiplexed(Slow(model="small")).stream(QUESTION)

    assert next(stream).text == "Paris "
    assert produced == ["Paris "]
    assert [chunk.text for chunk in stream if chunk.text] == ["it ", "is"]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_only_the_last_chunk_of_a_stream_tells_how_it_was_routed(way):
    for fake in (Fake, Streaming):
        mux = multiplexed(fake(model="small"))
        chunks = (
            list(mux.stream(QUESTION))
            if way == "stream"
            else asyncio.run(_astreamed(mux, QUESTION))
        )

        assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
        assert ["cachemux" in chunk.response_metadata for chunk in chunks] == [
            *[False] * (len(chunks) - 1),
            True,
        ]
        assert chunks[-1].content == ""


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_rejected_answer_is_never_shown_and_the_last_models_is_streamed(way):
    small, large = Streaming(model="small", says="No idea"), Streaming(model="large")
    mux = multiplexed(small, large, accept=lambda *_: False)

    chunks = (
        list(mux.stream(QUESTION)) if way == "stream" else asyncio.run(_astreamed(mux, QUESTION))
    )

    assert [chunk.text for chunk in chunks if chunk.text] == ["Paris ", "it ", "is"]


def test_an_accepted_answer_comes_as_one_chunk():
    chunks = list(multiplexed(accept=lambda *_: True).stream(QUESTION))

    assert [chunk.text for chunk in chunks] == ["Paris it is"]
    assert told(chunks[0])["model"] == "small"


def test_accept_sees_the_conversation_and_the_answer():
    seen = []
    messages = [SystemMessage("Be brief"), HumanMessage(QUESTION)]

    multiplexed(accept=lambda *args: seen.append(args) or True).invoke(messages)

    ((conversation, answer),) = seen
    assert conversation == messages
    assert answer.content == "Paris it is"


def test_the_last_models_answer_is_given_unjudged():
    judged = []
    large = Fake(model="large", says="Perhaps")
    mux = multiplexed(large=large, accept=lambda _, answer: judged.append(answer.text))

    assert mux.invoke(QUESTION).content == "Perhaps"
    assert judged == ["Paris it is"]


def test_a_question_routed_to_the_large_model_is_not_judged():
    mux = multiplexed(router=to_large(), accept=lambda *_: 1 / 0)

    answer = mux.invoke(QUESTION)

    assert (told(answer)["model"], told(answer)["escalated"]) == ("large", False)
    assert learned(mux) == {"small": [], "large": [10.0]}


def test_a_judge_that_fails_accepts_nothing(caplog):
    mux = multiplexed(accept=lambda *_: 1 / 0)

    assert told(mux.invoke(QUESTION))["model"] == "large"
    assert "accept failed" in caplog.text
    assert "division by zero" in caplog.text


LADDER = ["small", "medium", "large"]


@pytest.mark.parametrize(
    ("first", "good", "costs"),
    [
        # one call: its price. Escalated: each model's route cost its own call and all that followed.
        ("small", "small", {"small": [1.0], "medium": [], "large": []}),
        ("small", "medium", {"small": [1.0 + 3.0], "medium": [3.0], "large": []}),
        (
            "small",
            "large",
            {"small": [1.0 + 3.0 + 10.0], "medium": [3.0 + 10.0], "large": [10.0]},
        ),
        ("medium", "large", {"small": [], "medium": [3.0 + 10.0], "large": [10.0]}),
        ("large", "large", {"small": [], "medium": [], "large": [10.0]}),
    ],
)
def test_three_models_are_a_ladder_and_each_route_learns_what_it_cost(first, good, costs):
    router = Router({name: Fixed(0.0 if name == first else 5.0) for name in LADDER})
    models = {name: Fake(model=name, says=name) for name in LADDER}
    mux = MultiplexedLLM(
        models=models,
        router=router,
        price=price,
        embeddings=Words(),
        accept=lambda _, answer: answer.text == good,
    )

    answer = mux.invoke(QUESTION)

    assert answer.content == good
    asked = LADDER[LADDER.index(first) : LADDER.index(good) + 1]
    assert [name for name in LADDER if models[name].calls] == asked
    assert told(answer)["cost"] == sum(PRICES[name] for name in asked)
    assert learned(mux) == costs


# The router


def hard_if(word):
    """A pair of which the small model knows nothing about `word`, and a judge who sees it."""
    small = Fake(model="small", says=lambda m: "No idea" if word in m[-1].text else "Certainly")
    return small, Fake(model="large", says="Certainly"), lambda _, answer: answer.text != "No idea"


@pytest.mark.parametrize(
    "estimator",
    [
        Mean,
        Ridge,
        lambda: Mean(prior=Ridge()),
        SklearnEstimator,
    ],
    ids=["Mean", "Ridge", "Mean over Ridge", "SklearnEstimator"],
)
def test_it_learns_to_ask_the_cheaper_model(estimator):
    small, large = Fake(model="small"), Fake(model="large")
    router = Router({"small": estimator(), "large": estimator()})
    mux = multiplexed(small, large, router=router)

    for n in range(60):
        mux.invoke(f"question number {n}")

    assert 1 <= len(large.calls) <= 15
    assert told(mux.invoke("question number 100"))["route"] == "small"


def test_it_learns_which_questions_the_small_model_fails():
    small, large, accept = hard_if("physics")
    router = Router({"small": Ridge(), "large": Ridge()})
    mux = multiplexed(small, large, router=router, accept=accept)

    for n in range(40):
        mux.invoke(f"physics {n}")
        mux.invoke(f"cooking {n}")

    physics, cooking = (told(mux.invoke(f"{topic} again")) for topic in ("physics", "cooking"))
    assert physics["estimates"]["small"]["mean"] > physics["estimates"]["large"]["mean"]
    assert cooking["estimates"]["small"]["mean"] < cooking["estimates"]["large"]["mean"]
    assert cooking["route"] == "small"


def test_it_learns_the_one_question_that_is_unlike_those_around_it():
    small, large, accept = hard_if("number 7")
    mux = multiplexed(small, large, router=None, accept=accept)

    for _ in range(6):
        for n in range(10):
            mux.invoke(f"question number {n}")

    routes = {n: told(mux.invoke(f"question number {n}"))["route"] for n in range(10)}
    assert routes.pop(7) == "large"
    assert set(routes.values()) == {"small"}


def test_the_same_words_under_another_parameter_are_another_question_to_the_router():
    keys = []

    class Keys(Fixed):
        def predict(self, x):
            keys.append(x.key)
            return super().predict(x)

    mux = multiplexed(router=Router({"small": Keys(0.0), "large": Fixed(1.0)}))
    mux.invoke(QUESTION)
    mux.invoke(QUESTION)
    mux.bind(stop=["."]).invoke(QUESTION)

    assert keys[0] == keys[1] != keys[2]


def test_without_a_cache_a_question_is_embedded_once():
    words = Words()
    mux = multiplexed(embeddings=words)

    mux.invoke(QUESTION)
    mux.bind_tools([]).invoke([("system", "Be brief"), ("human", QUESTION)])

    assert words.asked == [QUESTION]


# The cost


def test_a_slow_reader_of_the_stream_costs_nothing(monkeypatch):
    now = [0.0]

    class Ticking(Streaming):
        def _stream(self, *args, **kwargs):
            for chunk in super()._stream(*args, **kwargs):
                now[0] += 1.0
                yield chunk

    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr("langchain_cachemux.call.time", clock)
    mux = MultiplexedLLM(
        Ticking(model="small"),
        Ticking(model="large"),
        router=routed("small", "large"),
        embeddings=Words(),
    )

    def slowly():
        for chunk in mux.stream(QUESTION):
            yield chunk
            now[0] += 100.0

    answer = summed(list(slowly()))

    assert told(answer)["seconds"] == 3.0
    assert learned(mux)["small"] == [3.0]


def test_by_default_a_cost_is_the_seconds_of_all_calls():
    mux = MultiplexedLLM(
        Fake(model="small"),
        Fake(model="large"),
        embeddings=Words(),
        router=routed("small", "large"),
        accept=lambda *_: False,
    )

    answer = mux.invoke(QUESTION)

    assert told(answer)["cost"] == told(answer)["seconds"] > 0
    assert learned(mux)["small"] == [told(answer)["cost"]]


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
def test_tokens_are_estimated_for_a_model_that_reports_none(ask, fake):
    mux = multiplexed(
        fake(model="small", reports=False, says="x" * 400),
        price=lambda usage: usage.input_tokens + 1000 * usage.output_tokens,
    )

    assert told(ask(mux, "y" * 80))["cost"] == 1000 * 101 + 21


def test_a_model_is_billed_under_its_own_name_when_the_users_has_no_price():
    mux = MultiplexedLLM(
        models={"cheap": Fake(model="small"), "large": Fake(model="whatever")},
        price=price,
        embeddings=Words(),
        router=routed("cheap", "large"),
    )

    assert mux.billed == {"cheap": "small", "large": "large"}
    assert told(mux.invoke(QUESTION))["cost"] == 1.0


# The cache


def test_with_a_shared_cache_a_question_is_embedded_once():
    words = Words()
    mux = multiplexed(cache=lec(embeddings=words))

    mux.invoke(QUESTION)

    assert mux.cache.stats().admitted == 1
    assert mux.reader is mux.cache.reader
    assert words.asked == [QUESTION]


def test_a_paraphrase_is_answered_from_the_cache():
    small = Fake(model="small")
    mux = multiplexed(small, cache=lec())
    mux.invoke("what is the capital of France")

    answer = mux.invoke("What is the capital of France?")

    assert told(answer)["hit"] == "semantic"
    assert len(small.calls) == 1


@every_way
def test_an_answer_is_worth_what_the_routed_miss_would_cost(ask):
    seen = []

    class Seen(Mean):
        def learn(self, x, cost):
            seen.append(x)
            super().learn(x, cost)

    router = Router({"small": Seen(), "large": Seen()})
    mux = multiplexed(router=router, cache=lec(), accept=lambda _, answer: answer.text != "No")
    for n in range(4):
        mux.invoke(f"warming up {n}")

    ask(mux, QUESTION)

    entry = mux.cache.ledger.get(seen[-1].key)
    assert entry.text == QUESTION
    assert entry.cost == router.predict(seen[-1]).lower > 0


def test_the_cache_values_an_escalated_answer_at_both_calls():
    # Mean: after one cost of a question its lower bound is that cost, so min(1 + 10, 10) = 10.
    router = Router({"small": Mean(), "large": Mean()})
    mux = multiplexed(router=router, cache=lec(), accept=lambda *_: False)

    mux.invoke(QUESTION)

    (entry,) = mux.cache.ledger
    assert entry.cost == 10.0


def test_the_cache_believes_the_multiplexers_cost_and_not_its_own_stopwatch():
    seen = []

    class Seen(Mean):
        def learn(self, x, cost):
            seen.append(cost)
            super().learn(x, cost)

    own = Seen()
    mux = multiplexed(cache=lec(estimator=own))

    mux.invoke(QUESTION)

    assert seen == [1.0]
    assert mux.cache.estimator is own  # and the router does not take its place


def test_the_caches_estimator_becomes_the_router():
    mux = multiplexed(cache=lec())

    assert mux.cache.estimator is mux.router


def test_a_hit_says_what_it_saved_and_who_had_answered():
    mux = multiplexed(cache=lec(estimator=Mean()))
    mux.invoke(QUESTION)

    assert told(mux.invoke(QUESTION)) == {
        "hit": "exact",
        "similarity": 1.0,
        "model": "small",
        "cost": 0.0,
        "saved": 1.0,
    }


def test_an_answer_is_shared_whichever_model_gave_it():
    cache = lec()
    multiplexed(router=to_large(), cache=cache).invoke(QUESTION)

    answer = multiplexed(cache=cache).invoke(QUESTION)

    assert (told(answer)["hit"], told(answer)["model"]) == ("exact", "large")


@every_way
def test_any_other_cache_of_langchain_works_too(ask):
    small = Streaming(model="small")
    mux = multiplexed(small, cache=InMemoryCache())
    first = mux.invoke(QUESTION)

    answer = ask(mux, QUESTION)

    assert answer.content == first.content
    assert answer.id != first.id
    assert told(answer) == {"hit": "cache", "model": "small", "cost": 0.0, "saved": 1.0}
    assert told(first)["cost"] == 1.0
    assert len(small.calls) == 1


def test_what_a_caller_does_to_an_answer_does_not_reach_the_cache():
    mux = multiplexed(cache=InMemoryCache())

    for _ in range(2):
        answer = mux.invoke(QUESTION)
        answer.content = "spoilt"
        answer.usage_metadata["total_tokens"] = -1
        answer.response_metadata["cachemux"]["model"] = "spoilt"

    answer = mux.invoke(QUESTION)
    assert (answer.content, told(answer)["model"]) == ("Paris it is", "small")
    assert answer.usage_metadata["total_tokens"] == 10


def test_an_answer_of_another_kind_in_the_cache_is_a_miss():
    class Plain(InMemoryCache):
        def lookup(self, *key):
            found = super().lookup(*key)
            return found and [SimpleNamespace(text="not of a chat model")]

    small = Fake(model="small")
    mux = multiplexed(small, cache=Plain())

    assert [mux.invoke(QUESTION).content for _ in range(2)] == ["Paris it is"] * 2
    assert len(small.calls) == 2


class AsyncOnly(BaseCache):
    """As caches over an asynchronous client are."""

    def __init__(self):
        self.inner = InMemoryCache()

    def lookup(self, *key):
        raise NotImplementedError

    def update(self, *key):
        raise NotImplementedError

    def clear(self, **kwargs):
        raise NotImplementedError

    async def alookup(self, *key):
        return self.inner.lookup(*key)

    async def aupdate(self, *key):
        self.inner.update(*key)


def test_an_asynchronous_cache_is_asked_as_one():
    small = Fake(model="small")
    mux = multiplexed(small, cache=AsyncOnly())

    for way in ("ainvoke", "astream", "abatch"):
        assert WAYS[way](mux, QUESTION).content == "Paris it is"

    assert len(small.calls) == 1


class BrokenCache(InMemoryCache):
    def lookup(self, *key):
        raise OSError

    def update(self, *key):
        raise OSError


class Mangled(InMemoryCache):
    def lookup(self, *key):
        return 7


class BrokenWords(Words):
    def embed_query(self, text):
        raise OSError


class BrokenReader(Reader):
    def read(self, *key):
        raise OSError


@pytest.mark.parametrize(
    "parts",
    [
        lambda: {"cache": BrokenCache()},
        lambda: {"cache": Mangled()},
        lambda: {"embeddings": BrokenWords()},
        lambda: {"cache": lec(embeddings=BrokenWords())},
        lambda: {"cache": LECCache(reader=BrokenReader(Words()))},
        lambda: {"cache": LECCache(reader=Reader(Words(), scope=lambda _: 1 / 0))},
    ],
    ids=["cache", "mangled", "embedder", "the cache's embedder", "reader", "scope"],
)
@every_way
def test_a_fault_in_what_it_can_do_without_is_logged_and_breaks_no_call(ask, parts, caplog):
    mux = multiplexed(**parts())

    answer = ask(mux, QUESTION)

    assert answer.content == "Paris it is"
    assert learned(mux)["small"] == [1.0]
    assert "failed" in caplog.text


def test_an_embedder_that_fails_leaves_the_router_each_questions_own_history():
    small, large, accept = hard_if("physics")
    router = Router({"small": Mean(), "large": Mean()})
    mux = multiplexed(small, large, router=router, accept=accept, embeddings=BrokenWords())

    for _ in range(5):
        mux.invoke("physics")
        mux.invoke("cooking")

    assert told(mux.invoke("physics"))["route"] == "large"
    assert told(mux.invoke("cooking"))["route"] == "small"


def test_parameters_that_cannot_be_written_down_are_not_cached(caplog):
    small = Fake(model="small")
    mux = multiplexed(small, cache=InMemoryCache())

    for _ in range(2):
        mux.invoke(QUESTION, response_format=int)

    assert len(small.calls) == 2
    assert not mux.cache._cache
    assert "writing the call down failed" in caplog.text


def schema(**fields):
    """A class of one name, with these fields."""
    return type("Schema", (BaseModel,), {"__annotations__": fields})


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def subtract(a: int, b: int) -> int:
    """Subtract."""
    return a - b


def test_other_parameters_are_another_key():
    def mux(temperature=0.0):
        small = Fake(model="small", temperature=temperature, says=lambda _: answers.pop())
        return multiplexed(small, cache=cache)

    cache = InMemoryCache()
    variants = [
        mux(),
        mux(temperature=1.0),
        mux().bind(stop=["."]),
        mux().bind(stop=[";"]),
        mux().bind(seed=7),
        mux().bind_tools([add]),
        mux().bind_tools([subtract]),
        mux().bind_tools([add], tool_choice="any"),
        mux().bind(response_format=schema(a=int)),
        mux().bind(response_format=schema(b=int)),
    ]
    answers = [str(n) for n in range(len(variants))]

    first = [variant.invoke(QUESTION).content for variant in variants]
    second = [variant.invoke(QUESTION).content for variant in variants]

    assert len(set(first)) == len(variants)
    assert second == first


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@either_cache
def test_parameters_are_told_apart_however_the_model_is_wrapped(wrap, cache):
    def mux(temperature):
        small = wrap(Fake(model="small", temperature=temperature, says=str(temperature)))
        return multiplexed(small, cache=shared)

    shared = cache()
    question = [("human", QUESTION)]

    for _ in range(2):
        assert mux(0.0).invoke(question).content == "0.0"
        assert mux(1.0).invoke(question).content == "1.0"
    assert told(mux(0.0).invoke(question))["hit"]
    assert "hit" not in told(mux(0.0).invoke(question, stop=["."]))


def test_a_model_configured_at_the_call_is_another_key():
    fake = Fake(model="small", says="once")
    small = fake.configurable_fields(temperature=ConfigurableField(id="heat"))
    mux = multiplexed(small, cache=InMemoryCache())

    for heat in (0.0, 1.0, 0.0):
        mux.invoke(QUESTION, {"configurable": {"heat": heat}})

    assert len(fake.calls) == 2


def test_a_model_that_is_a_runnable_of_ones_own_is_cached_too():
    class Echo(Runnable):
        calls = 0

        def invoke(self, input, config=None, **kwargs):  # noqa: A002
            Echo.calls += 1
            return AIMessage(input[-1].text)

    mux = multiplexed(Echo(), cache=lec())

    assert [mux.invoke(QUESTION).content for _ in range(2)] == [QUESTION] * 2
    assert Echo.calls == 1


def test_a_conversation_that_contains_an_answer_is_the_same_conversation_again():
    small = Fake(model="small")
    mux = multiplexed(small, cache=lec())

    def converse():
        first = mux.invoke([HumanMessage(QUESTION)])
        return first, mux.invoke([HumanMessage(QUESTION), first, HumanMessage("And of Spain?")])

    converse()
    first, second = converse()

    assert (told(first)["hit"], told(second)["hit"]) == ("exact", "exact")
    assert len(small.calls) == 2


# Tools


def calling(**args):
    call = {"name": "add", "args": args, "id": "call_1", "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


@every_way
def test_bound_tools_reach_the_model_and_its_calls_come_back(ask):
    small = Fake(model="small", says=calling(a=1, b=2))
    mux = multiplexed(small, cache=lec())
    bound = mux.bind_tools([add], tool_choice="any")

    answers = [ask(bound, "What is 1 + 2?") for _ in range(2)]

    assert [[call["args"] for call in answer.tool_calls] for answer in answers] == [
        [{"a": 1, "b": 2}],
        [{"a": 1, "b": 2}],
    ]
    assert told(answers[1])["hit"] == "exact"
    assert answers[0].tool_calls[0]["id"] != answers[1].tool_calls[0]["id"]
    (call,) = small.calls
    assert call.kwargs["tools"][0]["function"]["name"] == "add"
    assert call.kwargs["tool_choice"] == "any"


def test_binding_tools_leaves_the_original_as_it_was_and_shares_what_is_learned():
    small, large = Fake(model="small"), Fake(model="large")
    mux = multiplexed(small, large, accept=lambda *_: False, cache=lec())
    bound = mux.bind_tools([add])

    bound.invoke(QUESTION)
    mux.invoke(QUESTION)

    assert isinstance(bound, MultiplexedLLM)
    assert [bool(call.kwargs.get("tools")) for call in small.calls] == [True, False]
    assert [bool(call.kwargs.get("tools")) for call in large.calls] == [True, False]
    assert bound.router is mux.router
    assert bound.cache is mux.cache
    assert learned(mux) == {"small": [11.0, 11.0], "large": [10.0, 10.0]}


# Structured output


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


class PersonDict(TypedDict):
    """Somebody."""

    name: str
    age: int


PERSON_SCHEMA = {
    "title": "PersonSchema",
    "description": "Somebody.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def person(schema_name="Person", **args):
    call = {"name": schema_name, "args": args, "id": "call_1", "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


SCHEMAS = {
    "pydantic": (Person, "Person", Person(name="Ada", age=36)),
    "TypedDict": (PersonDict, "PersonDict", {"name": "Ada", "age": 36}),
    "JSON schema": (PERSON_SCHEMA, "PersonSchema", {"name": "Ada", "age": 36}),
}
every_schema = pytest.mark.parametrize(
    ("structure", "name", "ada"), SCHEMAS.values(), ids=list(SCHEMAS)
)


@every_way
@every_schema
def test_an_object_of_the_schema_comes_from_the_model_and_from_the_cache(ask, structure, name, ada):
    small = Fake(model="small", says=person(name, name="Ada", age=36))
    mux = multiplexed(small, cache=lec()).with_structured_output(structure)

    assert ask(mux, "Who was first?") == ada
    assert ask(mux, "Who was first?") == ada
    assert len(small.calls) == 1


@every_way
@every_schema
def test_include_raw_tells_the_message_the_object_and_no_error(ask, structure, name, ada):
    small = Fake(model="small", says=person(name, name="Ada", age=36))
    mux = multiplexed(small, cache=lec()).with_structured_output(structure, include_raw=True)

    first, second = (ask(mux, "Who was first?") for _ in range(2))

    for answer in (first, second):
        assert set(answer) == {"raw", "parsed", "parsing_error"}
        assert (answer["parsed"], answer["parsing_error"]) == (ada, None)
        assert answer["raw"].tool_calls[0]["args"] == {"name": "Ada", "age": 36}
    assert told(first["raw"])["model"] == "small"
    assert told(second["raw"])["hit"] == "exact"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_of_an_object_is_the_object_alone(way):
    small = Streaming(model="small", says=person(name="Ada", age=36))
    mux = multiplexed(small, router=to_large(), large=Streaming(model="large", says=small.says))
    structured = mux.with_structured_output(Person)

    chunks = (
        list(structured.stream(QUESTION))
        if way == "stream"
        else asyncio.run(_astreamed(structured, QUESTION))
    )

    assert chunks == [Person(name="Ada", age=36)]


UNPARSABLE = {
    "of other fields": person(name="Ada"),
    "no call at all": AIMessage("Ada, 36"),
    "refused by its own client": OutputParserException("not JSON"),
}
every_unparsable = pytest.mark.parametrize("wrong", UNPARSABLE.values(), ids=UNPARSABLE)


@every_way
@every_unparsable
@pytest.mark.parametrize("accept", [None, lambda *_: True], ids=["no judge", "judge"])
def test_a_small_models_unparsable_answer_is_asked_again_of_the_large(ask, wrong, accept):
    large = Fake(model="large", says=person(name="Ada", age=36))
    small = Fake(model="small", says=wrong)
    mux = multiplexed(small, large, accept=accept, cache=lec())
    structured = mux.with_structured_output(Person)

    assert ask(structured, QUESTION) == Person(name="Ada", age=36)
    assert learned(mux) == {"small": [11.0], "large": [10.0]}
    assert mux.cache.stats().admitted == 1


@every_unparsable
@pytest.mark.parametrize("include_raw", [False, True])
@every_way
def test_when_no_model_parses_it_ends_as_langchains_own_does(ask, wrong, include_raw):
    def outcome(ask, model):
        try:
            answer = ask(model.with_structured_output(Person, include_raw=include_raw), QUESTION)
        except ValueError as error:
            return type(error)
        return answer and (answer["parsed"], type(answer["parsing_error"]), answer["raw"].content)

    small, large = Fake(model="small", says=wrong), Fake(model="large", says=wrong)
    mux = multiplexed(small, large, cache=InMemoryCache())

    assert outcome(ask, mux) == outcome(WAYS["invoke"], Fake(model="large", says=wrong))
    assert (len(small.calls), len(large.calls)) == (1, 1)
    assert not mux.cache._cache


def test_an_unparsable_answer_that_raised_is_still_paid_for():
    small = Fake(model="small", says=OutputParserException("not JSON"))
    large = Fake(model="large", says=person(name="Ada", age=36))
    mux = multiplexed(
        small,
        large,
        price=lambda usage: float(usage.input_tokens),
    )

    mux.with_structured_output(Person).invoke("y" * 80)

    assert learned(mux) == {"small": [21.0 + 7.0], "large": [7.0]}


def test_an_error_that_is_not_about_the_schema_is_not_an_answer():
    large = Fake(model="large")
    mux = multiplexed(Fake(model="small", says=ConnectionError("down")), large)

    with pytest.raises(ConnectionError, match="down"):
        mux.with_structured_output(Person).invoke(QUESTION)
    assert large.calls == []


def test_without_a_schema_a_parsing_error_is_an_error_like_any_other():
    small = Fake(model="small", says=OutputParserException("not JSON"))

    with pytest.raises(OutputParserException, match="not JSON"):
        multiplexed(small, accept=lambda *_: True).invoke(QUESTION)


def test_accept_judges_an_object_that_parses():
    small = Fake(model="small", says=person(name="Ada", age=0))
    large = Fake(model="large", says=person(name="Ada", age=36))
    mux = multiplexed(
        small, large, accept=lambda _, answer: answer.additional_kwargs["parsed"]["age"] > 0
    )

    assert mux.with_structured_output(Person).invoke(QUESTION) == Person(name="Ada", age=36)


@either_cache
def test_two_schemas_of_one_name_are_two_keys(cache):
    small = Fake(model="small", says=person("Schema", a=1, b=2))
    mux = multiplexed(small, cache=cache())

    for fields in ({"a": int}, {"b": int}, {"a": int}):
        assert mux.with_structured_output(schema(**fields)).invoke(QUESTION)

    assert len(small.calls) == 2


class Aliased(BaseModel):
    """Read by another name than its own, written with what it must not be read with."""

    model_config = ConfigDict(extra="forbid")

    family: str = Field(alias="familyName")

    @computed_field
    def initial(self) -> str:
        """The first letter."""
        return self.family[0]


class Dated(BaseModel):
    """A field that JSON has no type for."""

    born: date


class Empty(BaseModel):
    """No fields."""


@pytest.mark.parametrize(
    ("structure", "args"),
    [(Aliased, {"familyName": "Lovelace"}), (Dated, {"born": "1815-12-10"}), (Empty, {})],
)
def test_an_odd_object_comes_back_from_the_cache_as_it_was(structure, args):
    small = Fake(model="small", says=person(structure.__name__, **args))
    mux = multiplexed(small, cache=lec()).with_structured_output(structure)

    first, second = mux.invoke(QUESTION), mux.invoke(QUESTION)

    assert first == second == structure(**args)
    assert len(small.calls) == 1


def test_a_stored_object_that_is_not_of_the_schema_is_a_miss(caplog):
    class Spoiling(InMemoryCache):
        def lookup(self, *key):
            found = super().lookup(*key)
            if found:
                found[0].message.additional_kwargs["parsed"] = {"name": "Ada"}
            return found

    small = Fake(model="small", says=person(name="Ada", age=36))
    mux = multiplexed(small, cache=Spoiling()).with_structured_output(Person)

    assert [mux.invoke(QUESTION) for _ in range(2)] == [Person(name="Ada", age=36)] * 2
    assert len(small.calls) == 2
    assert "lookup failed" in caplog.text


# What an answer tells


def test_an_answer_tells_how_it_was_routed():
    router = Router({"small": Fixed(0.5), "large": Fixed(2.0)})
    answer = multiplexed(router=router, accept=lambda *_: False).invoke(QUESTION)

    seconds = told(answer).pop("seconds")
    assert 0 < seconds < 10
    assert told(answer) == {
        "model": "large",
        "route": "small",
        "reason": "least lower bound of small 0.5, large 2",
        "escalated": True,
        "estimates": {
            "small": {"mean": 0.5, "width": 0.0},
            "large": {"mean": 2.0, "width": 0.0},
        },
        "cost": 11.0,
    }


def test_what_an_answer_tells_is_json_even_before_anything_was_learned():
    class Numpy(Fixed):
        def predict(self, x):
            return Estimate(np.float32(1.5), np.float32(math.inf))

    for router in (None, Router({"small": Numpy(0.0), "large": Numpy(0.0)})):
        mux = multiplexed(router=router, price=lambda _: np.float32(0.5))
        written = json.dumps(told(mux.invoke(QUESTION)), allow_nan=False)
        assert json.loads(written)["estimates"]["small"]["width"] is None


@every_way
def test_an_answer_survives_langchains_serialisation(ask):
    mux = multiplexed(cache=lec())

    for answer in (ask(mux, QUESTION), ask(mux, QUESTION)):
        with suppress_langchain_beta_warning():
            again = loads(dumps(answer), allowed_objects=[AIMessage, AIMessageChunk])
        assert again == answer


def test_an_answer_that_a_model_gives_twice_is_not_written_on():
    same = AIMessage("Paris")
    small = RunnableLambda(lambda _: same)
    mux = multiplexed(models=None, small=small)

    mux.invoke(QUESTION)

    assert same.response_metadata == {}


# What goes wrong


@every_way
@pytest.mark.parametrize("fake", [Fake, Streaming])
def test_a_models_error_reaches_the_caller_and_teaches_nothing(ask, fake):
    mux = multiplexed(fake(model="small", says=ConnectionError("down")), cache=lec())

    with pytest.raises(ConnectionError, match="down"):
        ask(mux, QUESTION)

    assert learned(mux) == {"small": [], "large": []}
    assert mux.cache.stats().entries == 0


@every_way
def test_an_error_after_escalation_teaches_nothing(ask):
    large = Streaming(model="large", says=ConnectionError("down"))
    mux = multiplexed(large=large, cache=lec(), accept=lambda *_: False)

    with pytest.raises(ConnectionError, match="down"):
        ask(mux, QUESTION)

    assert learned(mux) == {"small": [], "large": []}
    assert mux.cache.stats().entries == 0


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_an_error_within_a_stream_teaches_nothing(way):
    class Interrupted(Streaming):
        def _stream(self, *args, **kwargs):
            yield next(super()._stream(*args, **kwargs))
            msg = "cut off"
            raise ConnectionError(msg)

    mux = multiplexed(Interrupted(model="small"), cache=lec())

    with pytest.raises(ConnectionError, match="cut off"):
        WAYS[way](mux, QUESTION)

    assert learned(mux) == {"small": [], "large": []}
    assert mux.cache.stats().entries == 0


def test_a_stream_that_is_closed_half_way_teaches_nothing():
    mux = multiplexed(cache=lec())
    stream = mux.stream(QUESTION)

    assert next(stream).text == "Paris "
    stream.close()
    gc.collect()

    assert learned(mux) == {"small": [], "large": []}
    assert mux.cache.stats().entries == 0


async def test_an_asynchronous_stream_that_is_closed_half_way_teaches_nothing():
    mux = multiplexed(cache=lec())
    stream = mux.astream(QUESTION)

    assert (await anext(stream)).text == "Paris "
    await stream.aclose()
    gc.collect()

    assert learned(mux) == {"small": [], "large": []}
    assert mux.cache.stats().entries == 0


async def test_a_cancelled_call_teaches_nothing():
    begun = asyncio.Event()

    class Endless(Fake):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            begun.set()
            await asyncio.Event().wait()

    mux = multiplexed(Endless(model="small"), cache=lec())
    task = asyncio.create_task(mux.ainvoke(QUESTION))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert learned(mux) == {"small": [], "large": []}
    assert mux.cache.stats().entries == 0


@every_way
def test_a_runnable_that_ends_in_something_else_than_a_chat_model_is_named(ask):
    mux = multiplexed(Fake(model="small") | StrOutputParser())

    with pytest.raises(TypeError, match="must answer with an AIMessage, got 'Paris it is'"):
        ask(mux, QUESTION)


@every_way
def test_a_price_that_turns_negative_is_named(ask):
    mux = multiplexed(price=lambda usage: 1.0 if usage.input_tokens == 1 else -2.0)

    with pytest.raises(ValueError, match=r"price must return .* got -2\.0 for Usage\(.*'small'"):
        ask(mux, QUESTION)


# Wrong arguments


async def judge_in_vain(_messages, _answer):
    return True


SMALL, LARGE = Fake(model="small"), Fake(model="large")
WRONG = {
    "only small": ({"small": SMALL}, "large is missing"),
    "only large": ({"large": LARGE}, "small is missing"),
    "nothing": ({}, "small is missing"),
    "models and small": (
        {"small": SMALL, "models": {"large": LARGE}},
        "models was given, so small and large must not be",
    ),
    "no models": ({"models": {}}, "models must name at least one model, got {}"),
    "one name twice": (
        {"small": SMALL, "large": Fake(model="small")},
        "small and large are both named 'small'",
    ),
    "no model": ({"small": SMALL, "large": 7}, "large must be a model.*got 7"),
    "no model among models": ({"models": {"mine": 7}}, "mine must be a model.*got 7"),
    "unknown price": (
        {"small": SMALL, "large": LARGE, "price": dollars},
        "no price is known for model 'small'",
    ),
    "negative price": (
        {"small": SMALL, "large": LARGE, "price": lambda _: -1.0},
        r"price must return a finite number >= 0, got -1\.0",
    ),
    "infinite price": (
        {"small": SMALL, "large": LARGE, "price": lambda _: math.inf},
        "price must return a finite number >= 0, got inf",
    ),
    "misspelt": ({"small": SMALL, "large": LARGE, "acept": print}, "acept"),
    "other models": (
        {"small": SMALL, "large": LARGE, "router": Router({"small": Mean(), "huge": Mean()})},
        r"router knows \['huge', 'small'\], the models are \['large', 'small'\]",
    ),
    "asynchronous judge": (
        {"small": SMALL, "large": LARGE, "accept": judge_in_vain},
        "accept must be a plain function.*judge_in_vain",
    ),
    "no judge": ({"small": SMALL, "large": LARGE, "accept": 0.5}, r"accept must be.*got 0\.5"),
    "no cache": ({"small": SMALL, "large": LARGE, "cache": True}, "cache must be.*got True"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_refused_by_name_and_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiplexedLLM(**arguments, embeddings=Words())


def test_embeddings_beside_a_cache_that_has_its_own_are_refused():
    words = Words()

    with pytest.raises(ValueError, match=re.escape(f"embeddings was given as {words!r}")):
        MultiplexedLLM(SMALL, LARGE, cache=lec(), embeddings=words)


def test_a_misspelt_keyword_is_a_validation_error():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        MultiplexedLLM(SMALL, LARGE, embeddings=Words(), routre=None)
