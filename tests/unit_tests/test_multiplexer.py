"""`MultiplexedLLM` between fake models: what is asked of whom, told to whom, and handed out."""

import asyncio
import gc
import inspect
import math
import os
import re
import threading
from datetime import date
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, TypedDict

import pytest
from fakes import (
    QUESTION,
    WAYS,
    Events,
    Fake,
    Fixed,
    Streaming,
    Words,
    called_with,
    calling,
    every_stream,
    every_way,
    learned,
    lec,
    multiplexed,
    routed,
    told,
    untaught,
)
from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableField, Runnable, RunnableBinding, RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, ConfigDict, Field, computed_field

from langchain_cachemux import (
    Costs,
    ErrorBudget,
    LECCache,
    Mean,
    MultiplexedLLM,
    Query,
    Reader,
    Ridge,
    Router,
    SentenceEncoder,
    dollars,
    seconds,
)

either_fake = pytest.mark.parametrize("fake", [Fake, Streaming])
either_cache = pytest.mark.parametrize(
    "cache", [InMemoryCache, lec], ids=["InMemoryCache", "LECCache"]
)


# The ways of asking


@every_way
@either_fake
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
@either_fake
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
@either_fake
@pytest.mark.parametrize(
    ("cache", "hit"),
    [
        (lambda: lec(estimator=Mean()), {"hit": "exact", "similarity": 1.0}),
        (InMemoryCache, {"hit": "cache"}),
    ],
    ids=["LECCache", "InMemoryCache"],
)
def test_every_way_of_asking_hits_what_it_stored_and_what_another_did(ask, fake, cache, hit):
    small = fake(model="small")
    mux = multiplexed(small, cache=cache())
    first, *others = [way(mux, QUESTION) for way in (ask, WAYS["invoke"], ask)]
    assert told(first)["cost"] == 1.0
    for answer in others:
        assert answer.content == first.content
        assert answer.usage_metadata == {**first.usage_metadata, "total_cost": 0}
        assert answer.id != first.id
        name = told(answer)["id"]
        said = {key: value for key, value in told(answer).items() if key != "key"}
        assert said == {**hit, "id": name, "model": "small", "cost": 0.0, "saved": 1.0}
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


async def test_the_event_loop_waits_for_neither_embedder_nor_judge_nor_router_nor_cache(
    monkeypatch,
):
    where = []

    def noted(function):
        def wrapped(*args, **kwargs):
            where.append(threading.current_thread())
            return function(*args, **kwargs)

        return wrapped

    parts = [(Words, "embed_query"), (Fixed, "learn"), (LECCache, "_told"), (LECCache, "_update")]
    for part, method in parts:
        monkeypatch.setattr(part, method, noted(getattr(part, method)))
    await multiplexed(accept=noted(lambda *_: True), cache=lec()).ainvoke(QUESTION)
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
        return calling("population", city="Paris")

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
    failures = [ConnectionError("busy"), ConnectionError("busy")]
    busy = Fake(model="small", says=lambda _: failures.pop() if failures else "Paris")
    mux = multiplexed(busy, Fake(model="large", says=busy.says))
    answer = mux.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke(QUESTION)
    assert answer.content == "Paris"
    assert sum(map(len, learned(mux).values())) == 1


@pytest.mark.parametrize(
    ("then", "tools", "read"),
    [
        (lambda model: model, [], called_with),
        (lambda model: model.bind_tools([add]), ["add"], called_with),
        (lambda model: model.with_structured_output(Person), ["Person"], dict),
    ],
    ids=["as it is", "bind_tools", "with_structured_output"],
)
def test_with_fallbacks_asks_another_and_what_is_bound_later_reaches_it(then, tools, read):
    down = ConnectionError("down")
    broken = multiplexed(Fake(model="small", says=down), Fake(model="large", says=down))
    spare = Fake(model="spare", says=person(**ADA))
    answer = then(broken.with_fallbacks([spare])).invoke(QUESTION)
    (call,) = spare.calls
    assert [tool["function"]["name"] for tool in call.kwargs.get("tools", [])] == tools
    assert read(answer) == ADA


@every_way
@either_fake
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
@either_fake
@pytest.mark.parametrize(
    ("accept", "runs"), [(None, ["small"]), (lambda *_: False, ["small", "large"])]
)
def test_each_model_asked_is_one_run_of_a_chat_model(ask, fake, accept, runs):
    events, usage = Events(), UsageMetadataCallbackHandler()
    mux = multiplexed(fake(model="small"), fake(model="large"), accept=accept)
    ask(mux.with_config(tags=["tagged"], callbacks=[events, usage]), QUESTION)
    assert events.started == runs
    assert events.tags.count("tagged") == len(runs)
    assert events.ended == ["Paris it is"] * len(runs)
    used = {name: used["total_tokens"] for name, used in usage.usage_metadata.items()}
    assert used == dict.fromkeys(runs, 10)


@every_stream
def test_streamed_tokens_are_told_to_callbacks_once(chunks_of):
    events = Events()
    chunks_of(multiplexed().with_config(callbacks=[events]), QUESTION)
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
def test_however_a_model_is_wrapped_its_own_cache_is_off_and_its_name_is_found(
    wrap, own, global_cache
):
    cache = InMemoryCache() if own == "own" else own
    small = Fake(model="small", cache=cache)
    mux = multiplexed(wrap(small), cache=False)
    assert list(mux.models) == ["small", "large"]  # it goes by its own name
    mux.invoke([("human", QUESTION)])
    mux.invoke([("human", QUESTION)])
    assert len(small.calls) == 2
    assert not global_cache._cache
    assert own != "own" or not cache._cache
    assert small.cache is cache  # the user's own object is as it was


def test_a_model_without_a_name_goes_by_its_role():
    def bare(text):
        return RunnableLambda(lambda _: AIMessage(text))

    mux = multiplexed(bare("one"), bare("two"))
    assert mux.invoke(QUESTION).content == "one"
    assert mux.billed == {"small": "small", "large": "large"}


def test_a_model_may_be_named_as_langchain_names_it(monkeypatch):
    pytest.importorskip("langchain", reason="it comes with the extra `agents`")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    mux = MultiplexedLLM("openai:gpt-4o-mini", "openai:gpt-4o", embeddings=Words(), price=dollars)
    assert list(mux.models) == ["gpt-4o-mini", "gpt-4o"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gpt4o", "Unable to infer model provider"),
        ("openai:gpt-4o-mini", "Missing credentials.*OPENAI_API_KEY"),
    ],
)
def test_a_name_that_no_model_goes_by_or_whose_key_is_missing_is_refused(monkeypatch, name, why):
    pytest.importorskip("langchain", reason="it comes with the extra `agents`")
    for key in [key for key in os.environ if key.startswith("OPENAI_")]:
        monkeypatch.delenv(key)
    told = f"small must name a model, 'provider:model', that can be asked, got '{name}': {why}"
    with pytest.raises(ValueError, match=f"^{told}[^\n]*$"):
        MultiplexedLLM(name, Streaming(model="large"), embeddings=Words())


# Streams


@every_stream
@pytest.mark.parametrize(
    ("fake", "accept", "shown"),
    [
        (Streaming, None, ["No ", "idea", ""]),
        (Fake, None, ["No idea", ""]),
        (Streaming, lambda *_: False, ["Paris ", "it ", "is", ""]),  # the rejected is never shown
        (Streaming, lambda *_: True, ["No idea"]),  # the judge saw it whole
    ],
    ids=["as it comes", "whole", "rejected", "accepted"],
)
def test_only_the_answer_given_is_streamed_and_its_last_chunk_tells(chunks_of, fake, accept, shown):
    mux = multiplexed(fake(model="small", says="No idea"), fake(model="large"), accept=accept)
    chunks = chunks_of(mux, QUESTION)
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert [chunk.text for chunk in chunks] == shown
    telling = [chunk for chunk in chunks if "cachemux" in chunk.response_metadata]
    assert telling == chunks[-1:]


# The router


def hard_if(word):
    """A pair of which the small model knows nothing about `word`, and a judge who sees it."""
    small = Fake(model="small", says=lambda m: "No idea" if word in m[-1].text else "Certainly")
    return small, Fake(model="large", says="Certainly"), lambda _, answer: answer.text != "No idea"


@pytest.mark.parametrize(
    "estimator",
    [Mean, Ridge, lambda: Mean(prior=Ridge())],
    ids=["Mean", "Ridge", "Mean over Ridge"],
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
    mux = multiplexed()
    mux.invoke(QUESTION)
    mux.invoke(QUESTION)
    mux.bind(stop=["."]).invoke(QUESTION)
    first, second, other = (x.key for x in mux.router.estimators["small"].asked)
    assert first == second != other


@pytest.mark.parametrize(
    "parts",
    [lambda words: {"embeddings": words}, lambda words: {"cache": lec(embeddings=words)}],
    ids=["without a cache", "with a cache"],
)
def test_a_question_is_embedded_once(parts):
    words = Words()
    mux = multiplexed(**parts(words))
    mux.invoke(QUESTION)
    mux.bind_tools([]).invoke([("system", "Be brief"), ("human", QUESTION)])
    assert words.asked == [QUESTION]
    mux.invoke([("human", QUESTION), ("ai", "Paris"), ("human", "And how large is Paris?")])
    assert words.asked == [QUESTION, "And how large is Paris?"]
    assert mux.reader is getattr(mux.cache, "reader", mux.reader)


# The cost


def test_tokens_are_shown_as_they_come_and_a_slow_reader_costs_nothing(monkeypatch):
    now, came = [0.0], []

    class Ticking(Streaming):
        def _stream(self, *args, **kwargs):
            for chunk in super()._stream(*args, **kwargs):
                now[0] += 1.0
                yield chunk

    clock = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr("langchain_cachemux.call.time", clock)
    mux = multiplexed(Ticking(model="small"), price=seconds)
    for chunk in mux.stream(QUESTION):
        came.append((chunk.text, now[0]))
        now[0] += 100.0
    assert came[:3] == [("Paris ", 1.0), ("it ", 102.0), ("is", 203.0)]
    assert told(chunk)["seconds"] == 3.0
    assert learned(mux)["small"] == [3.0]


def test_by_default_a_cost_is_the_seconds_of_all_calls():
    mux = MultiplexedLLM(
        SMALL, LARGE, embeddings=Words(), router=routed("small", "large"), accept=lambda *_: False
    )
    answer = mux.invoke(QUESTION)
    assert told(answer)["cost"] == told(answer)["seconds"] > 0
    assert learned(mux)["small"] == [told(answer)["cost"]]


def test_a_model_is_billed_under_its_own_name_when_the_users_has_no_price():
    models = {"cheap": Fake(model="small"), "large": Fake(model="whatever")}
    mux = multiplexed(models=models, router=routed("cheap", "large"))
    assert mux.billed == {"cheap": "small", "large": "large"}
    assert told(mux.invoke(QUESTION))["cost"] == 1.0


# The cache


def test_a_paraphrase_is_answered_from_the_cache():
    small = Fake(model="small")
    mux = multiplexed(small, cache=lec())
    mux.invoke("what is the capital of France")
    answer = mux.invoke("What is the capital of France?")
    assert told(answer)["hit"] == "semantic"
    assert len(small.calls) == 1


@every_way
def test_an_answer_is_worth_what_the_routed_miss_would_cost(ask):
    router = Router({"small": Mean(), "large": Mean()})
    mux = multiplexed(router=router, cache=lec(), accept=lambda _, answer: answer.text != "No")
    for n in range(4):
        mux.invoke(f"warming up {n}")
    ask(mux, QUESTION)
    (entry,) = (entry for entry in mux.cache.ledger if entry.text == QUESTION)
    assert entry.cost == router.predict(Query(entry.key)).lower > 0


def test_the_cache_values_an_escalated_answer_at_both_calls():
    # Mean: after one cost of a question its lower bound is that cost, so min(1 + 10, 10) = 10.
    router = Router({"small": Mean(), "large": Mean()})
    mux = multiplexed(router=router, cache=lec(), accept=lambda *_: False)
    mux.invoke(QUESTION)
    (entry,) = mux.cache.ledger
    assert entry.cost == 10.0


def test_the_cache_believes_the_multiplexers_cost_and_is_valued_by_its_router_if_by_none_else():
    own = Fixed(1.0)
    mux = multiplexed(cache=lec(estimator=own))
    mux.invoke(QUESTION)
    assert own.learned == [(QUESTION, 1.0)]
    assert mux.cache.estimator is own
    mux = multiplexed(cache=lec())
    query = Query("key", text=QUESTION)
    assert mux.cache.estimator.predict(query) == mux.router.predict(query)


def test_an_answer_is_worth_what_the_miss_would_cost_on_the_multiplexers_terms():
    # The small model costs 1 and always fails, the large one costs 10: a routed miss is worth 10 or 11.
    router = Router({"small": Costs(Mean(), Mean()), "large": Costs(Mean(), Mean())})
    mux = multiplexed(router=router, cache=lec(), accept=lambda *_: False)
    for number in range(20):
        mux.invoke(f"{QUESTION} {number}")
    query = Query("key", text=QUESTION)
    assert mux.router.predict(query).mean < 2.0  # by itself it knows of no judge
    assert mux.cache.estimator.predict(query).mean >= 10.0
    assert [entry.cost >= 10.0 for entry in mux.cache.ledger][-5:] == [True] * 5


def test_an_answer_is_shared_whichever_model_gave_it():
    cache = lec()
    multiplexed(router=routed("large", "small"), cache=cache).invoke(QUESTION)
    answer = multiplexed(cache=cache).invoke(QUESTION)
    assert (told(answer)["hit"], told(answer)["model"]) == ("exact", "large")


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


class Served(InMemoryCache):
    """Serves something else than what was stored."""

    def __init__(self, served):
        super().__init__()
        self.served = served

    def lookup(self, *key):
        return self.served(super().lookup(*key))


def test_an_answer_of_another_kind_in_the_cache_is_a_miss():
    small = Fake(model="small")
    plain = Served(lambda stored: stored and [SimpleNamespace(text="not of a chat model")])
    mux = multiplexed(small, cache=plain)
    assert [mux.invoke(QUESTION).content for _ in range(2)] == ["Paris it is"] * 2
    assert len(small.calls) == 2


class AsyncOnly(InMemoryCache):
    """As caches over an asynchronous client are."""

    def lookup(self, *key):
        raise NotImplementedError

    update = lookup

    async def alookup(self, *key):
        return super().lookup(*key)

    async def aupdate(self, *key):
        super().update(*key)


def test_an_asynchronous_cache_is_asked_as_one():
    small = Fake(model="small")
    mux = multiplexed(small, cache=AsyncOnly())
    for way in ("ainvoke", "astream", "abatch"):
        assert WAYS[way](mux, QUESTION).content == "Paris it is"
    assert len(small.calls) == 1


def broken(part, *methods):
    """A part of which these methods raise."""

    def fail(*args, **kwargs):
        raise OSError

    for method in methods:
        setattr(part, method, fail)
    return part


FAULTS = {
    "cache": lambda: {"cache": broken(InMemoryCache(), "lookup", "update")},
    "mangled": lambda: {"cache": Served(lambda stored: 7)},
    "embedder": lambda: {"embeddings": broken(Words(), "embed_query")},
    "the cache's embedder": lambda: {"cache": lec(embeddings=broken(Words(), "embed_query"))},
    "reader": lambda: {"cache": LECCache(reader=broken(Reader(Words()), "read"))},
    "scope": lambda: {"cache": LECCache(reader=Reader(Words(), scope=lambda _: 1 / 0))},
}


@pytest.mark.parametrize("parts", FAULTS.values(), ids=FAULTS)
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
    mux = multiplexed(
        small, large, router=router, accept=accept, embeddings=broken(Words(), "embed_query")
    )
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


@every_way
def test_bound_tools_reach_the_model_and_its_calls_come_back(ask):
    small = Fake(model="small", says=calling("add", a=1, b=2))
    mux = multiplexed(small, cache=lec())
    bound = mux.bind_tools([add], tool_choice="any")
    answers = [ask(bound, "What is 1 + 2?") for _ in range(2)]
    first, second = (answer.tool_calls[0] for answer in answers)
    assert first["args"] == second["args"] == {"a": 1, "b": 2}
    assert first["id"] != second["id"]
    assert told(answers[1])["hit"] == "exact"
    (call,) = small.calls
    assert call.kwargs["tools"][0]["function"]["name"] == "add"
    assert call.kwargs["tool_choice"] == "any"


def test_binding_tools_leaves_the_original_as_it_was_and_shares_what_is_learned():
    small, large = Fake(model="small"), Fake(model="large")
    mux = multiplexed(small, large, accept=lambda *_: False, cache=lec())
    bound = mux.bind_tools([add])
    bound.invoke(QUESTION)
    mux.invoke(QUESTION)
    assert isinstance(bound, RunnableBinding)  # as LangChain's own models return
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


def named(structure):
    return structure["title"] if isinstance(structure, dict) else structure.__name__


PERSON_SCHEMA = {
    "title": "PersonSchema",
    "description": "Somebody.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def person(**args):
    return calling("Person", **args)


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


ADA = {"name": "Ada", "age": 36}
SCHEMAS = [
    (Person, ADA, Person(**ADA)),
    (PersonDict, ADA, ADA),
    (PERSON_SCHEMA, ADA, ADA),
    (Aliased, {"familyName": "Lovelace"}, Aliased(familyName="Lovelace")),
    (Dated, {"born": "1815-12-10"}, Dated(born=date(1815, 12, 10))),
    (Empty, {}, Empty()),
]
every_schema = pytest.mark.parametrize(
    ("structure", "args", "parsed"), SCHEMAS, ids=[named(structure) for structure, *_ in SCHEMAS]
)


@every_way
@every_schema
def test_an_object_of_the_schema_comes_from_the_model_and_from_the_cache(
    ask, structure, args, parsed
):
    small = Fake(model="small", says=calling(named(structure), **args))
    mux = multiplexed(small, cache=lec()).with_structured_output(structure)
    assert ask(mux, "Who was first?") == parsed
    assert ask(mux, "Who was first?") == parsed
    assert len(small.calls) == 1


@every_way
@every_schema
def test_include_raw_tells_the_message_the_object_and_no_error(ask, structure, args, parsed):
    small = Fake(model="small", says=calling(named(structure), **args))
    mux = multiplexed(small, cache=lec()).with_structured_output(structure, include_raw=True)
    first, second = (ask(mux, "Who was first?") for _ in range(2))
    for answer in (first, second):
        assert answer == {"raw": answer["raw"], "parsed": parsed, "parsing_error": None}
        assert called_with(answer["raw"]) == args
    assert told(first["raw"])["model"] == "small"
    assert told(second["raw"])["hit"] == "exact"


@every_stream
def test_a_stream_of_an_object_is_the_object_alone(chunks_of):
    large = Streaming(model="large", says=person(**ADA))
    mux = multiplexed(large=large, router=routed("large", "small"))
    assert chunks_of(mux.with_structured_output(Person), QUESTION) == [Person(**ADA)]


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
    large = Fake(model="large", says=person(**ADA))
    small = Fake(model="small", says=wrong)
    mux = multiplexed(small, large, accept=accept, cache=lec())
    structured = mux.with_structured_output(Person)
    assert ask(structured, QUESTION) == Person(**ADA)
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
    large = Fake(model="large", says=person(**ADA))
    mux = multiplexed(small, large, price=lambda usage: float(usage.input_tokens))
    mux.with_structured_output(Person).invoke("y" * 80)
    assert learned(mux) == {"small": [24.0 + 7.0], "large": [7.0]}


@pytest.mark.parametrize(
    ("error", "then"),
    [
        (ConnectionError("down"), lambda model: model.with_structured_output(Person)),
        (ConnectionError("down"), lambda model: model),
    ],
    ids=["a schema", "no schema"],
)
def test_an_error_that_is_not_about_a_schema_is_no_answer_and_costs_nothing(error, then):
    small, large = Fake(model="small", says=error), Fake(model="large", says=person(**ADA))
    mux = multiplexed(small, large, accept=lambda *_: False)
    then(mux).invoke(QUESTION)
    assert learned(mux) == {"small": [], "large": [10.0]}


def test_what_a_client_cannot_parse_is_an_error_like_others_where_no_schema_was_asked_for():
    mux = multiplexed(Fake(model="small", says=OutputParserException("no")))
    assert told(mux.invoke(QUESTION))["model"] == "large"
    assert learned(mux) == {"small": [], "large": [10.0]}


def test_accept_judges_an_object_that_parses():
    small = Fake(model="small", says=person(name="Ada", age=0))
    large = Fake(model="large", says=person(**ADA))
    mux = multiplexed(
        small, large, accept=lambda _, answer: answer.additional_kwargs["parsed"]["age"] > 0
    )
    assert mux.with_structured_output(Person).invoke(QUESTION) == Person(**ADA)


@either_cache
def test_two_schemas_of_one_name_are_two_keys(cache):
    small = Fake(model="small", says=calling("Schema", a=1, b=2))
    mux = multiplexed(small, cache=cache())
    for fields in ({"a": int}, {"b": int}, {"a": int}):
        assert mux.with_structured_output(schema(**fields)).invoke(QUESTION)
    assert len(small.calls) == 2


def test_a_stored_object_that_is_not_of_the_schema_is_a_miss(caplog):
    def spoilt(stored):
        if stored:
            stored[0].message.additional_kwargs["parsed"] = {"name": "Ada"}
        return stored

    small = Fake(model="small", says=person(**ADA))
    mux = multiplexed(small, cache=Served(spoilt)).with_structured_output(Person)
    assert [mux.invoke(QUESTION) for _ in range(2)] == [Person(**ADA)] * 2
    assert len(small.calls) == 2
    assert "lookup failed" in caplog.text


# What an answer tells


@every_way
def test_an_answer_survives_langchains_serialisation(ask):
    mux = multiplexed(cache=lec())
    for answer in (ask(mux, QUESTION), ask(mux, QUESTION)):
        with suppress_langchain_beta_warning():
            again = loads(dumps(answer), allowed_objects=[AIMessage, AIMessageChunk])
        assert again == answer


def test_an_answer_that_a_model_gives_twice_is_not_written_on():
    same = AIMessage("Paris")
    multiplexed(RunnableLambda(lambda _: same)).invoke(QUESTION)
    assert same.response_metadata == {}


# What goes wrong


@every_way
@either_fake
def test_when_one_model_raises_another_is_asked_and_when_all_do_the_last_error_is_raised(ask, fake):
    down, works = fake(model="small", says=ConnectionError("down")), fake(model="large")
    mux = multiplexed(down, works, cache=lec())
    answer = ask(mux, QUESTION)
    assert (told(answer)["route"], told(answer)["model"]) == ("small", "large")
    assert told(answer)["cost"] == 10.0  # what raised was not paid for
    assert learned(mux) == {"small": [], "large": [10.0]}
    assert mux.stats().errors == {"small": 1}
    mux = multiplexed(down, fake(model="large", says=ConnectionError("down too")), cache=lec())
    with pytest.raises(ConnectionError, match="down too"):
        ask(mux, QUESTION)
    assert untaught(mux)


@every_way
def test_an_expensive_model_that_raises_gives_way_to_a_cheap_one(ask):
    small, down = Streaming(model="small"), Streaming(model="large", says=ConnectionError("down"))
    answer = ask(multiplexed(small, down, router=routed("large", "small")), QUESTION)
    assert (told(answer)["model"], answer.content) == ("small", "Paris it is")


@every_way
def test_an_answer_that_was_turned_down_is_better_than_none_but_is_not_stored(ask):
    small, down = Fake(model="small"), Fake(model="large", says=ConnectionError("down"))
    mux = multiplexed(small, down, accept=lambda *_: False, cache=lec())
    answer = ask(mux, QUESTION)
    assert (told(answer)["model"], told(answer)["accepted"]) == ("small", False)
    assert answer.content == "Paris it is"
    assert learned(mux) == {"small": [1.0], "large": []}  # what was paid for is learned
    assert mux.cache.stats().entries == 0


@every_stream
def test_an_error_within_a_stream_teaches_nothing(chunks_of):
    class Interrupted(Streaming):
        def _stream(self, *args, **kwargs):
            yield next(super()._stream(*args, **kwargs))
            msg = "cut off"
            raise ConnectionError(msg)

    mux = multiplexed(Interrupted(model="small"), cache=lec())
    with pytest.raises(ConnectionError, match="cut off"):
        chunks_of(mux, QUESTION)
    assert untaught(mux)


def test_a_stream_that_is_closed_half_way_teaches_nothing():
    mux = multiplexed(cache=lec())
    stream = mux.stream(QUESTION)
    assert next(stream).text == "Paris "
    stream.close()
    gc.collect()
    assert untaught(mux)


async def test_an_asynchronous_stream_that_is_closed_half_way_teaches_nothing():
    mux = multiplexed(cache=lec())
    stream = mux.astream(QUESTION)
    assert (await anext(stream)).text == "Paris "
    await stream.aclose()
    gc.collect()
    assert untaught(mux)


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
    assert untaught(mux)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (
            {"small": Fake(model="small") | StrOutputParser()},
            TypeError,
            "must answer with an AIMessage, got 'Paris it is'",
        ),
        (
            {"price": lambda usage: 1.0 if usage.input_tokens == 1 else -2.0},
            ValueError,
            r"price must return .* got -2\.0 for Usage\(.*'small'",
        ),
    ],
    ids=["no chat model at its end", "a price that turns negative"],
)
@every_way
def test_what_only_a_call_can_show_to_be_wrong_is_named(ask, parts, error, message):
    with pytest.raises(error, match=message):
        ask(multiplexed(**parts), QUESTION)


# Wrong arguments


async def judge_in_vain(_one, _other):
    return True


SMALL, LARGE = Fake(model="small"), Fake(model="large")
PAIR = {"small": SMALL, "large": LARGE}
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
    "unknown price": ({**PAIR, "price": dollars}, "no price is known for model 'small'"),
    "negative price": (
        {**PAIR, "price": lambda _: -1.0},
        r"price must return a number >= 0 and below 1e.36, got -1\.0",
    ),
    "infinite price": (
        {**PAIR, "price": lambda _: math.inf},
        "price must return a number >= 0 and below 1e.36, got inf",
    ),
    "misspelt": ({**PAIR, "acept": print}, "acept\n  Extra inputs are not permitted"),
    "other models": (
        {**PAIR, "router": Router({"small": Mean(), "huge": Mean()})},
        r"router knows \['huge', 'small'\], the models are \['large', 'small'\]",
    ),
    "no judge": ({**PAIR, "accept": 0.5}, r"accept must be.*got 0\.5"),
    "no cache": ({**PAIR, "cache": True}, "cache must be one of LangChain's caches.*got True"),
    "no router": ({**PAIR, "router": 3}, "router must be a Router.*got 3"),
    "a budget that is none": (
        {**PAIR, "budget": "5 $"},
        r"budget must be 5\.0, at most 5 a day, .*got '5 \$'",
    ),
    "two budgets": (
        {**PAIR, "max_error": 0.1, "budget": ErrorBudget(0.1)},
        "max_error or quality was given, and budget",
    ),
    "a price of an error beside a share": (
        {**PAIR, "max_error": 0.1, "error_price": 2.0},
        "error_price is in place of a share of errors, got 2.0",
    ),
    "a price of an error beside a budget": (
        {**PAIR, "budget": ErrorBudget(0.1), "error_price": 2.0},
        "error_price is in place of a share of errors, got 2.0",
    ),
    "an error budget that no router can keep": (
        {**PAIR, "max_error": 0.1, "router": Router({"small": Mean(), "large": Mean()})},
        "max_error needs a router",
    ),
    "no share": ({**PAIR, "max_error": 2.0}, r"max_error must be in \(0, 1\).*got 2\.0"),
    "no amount": ({**PAIR, "audit": -1.0}, r"audit must be.*got -1\.0"),
    "a list of models": ({"models": [SMALL, LARGE]}, "models must be models by name.*got \\["),
    "no path": ({**PAIR, "path": 3}, "path must be a folder.*got 3"),
    "no comparison": ({**PAIR, "same": 3}, "same must be a plain function.*got 3"),
    "no seed": ({**PAIR, "seed": "x"}, "seed must be a whole number, got 'x'"),
    "no price of an error": ({**PAIR, "error_price": "x"}, "error_price must be.*got 'x'"),
    "no stickiness": ({**PAIR, "stickiness": math.nan}, "stickiness must be.*got nan"),
    "no truth value": ({**PAIR, "safe": "yes"}, "safe must be True or False, got 'yes'"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_refused_by_name_and_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiplexedLLM(**arguments, embeddings=Words())


def test_embeddings_beside_a_cache_that_has_its_own_are_refused():
    words = Words()
    with pytest.raises(ValueError, match=re.escape(f"embeddings was given as {words!r}")):
        MultiplexedLLM(SMALL, LARGE, cache=lec(), embeddings=words)


NOT = {
    "small": [3, object(), int, ""],
    "large": [3, object(), int, " "],
    "models": [3, [SMALL, LARGE], {}, {"a": 3}],
    "router": [object(), 3, Router, "cheap"],
    "accept": [3, "yes", object(), bool],
    "cache": [3, True, object(), InMemoryCache],
    "price": [3, "euros", object()],
    "embeddings": [3, "all-MiniLM", object(), Words],
    "strategy": [3, "sometimes", object(), "", 0],
    "max_error": ["2 %", 2, -0.1, math.nan, object()],
    "quality": ["98 %", 2, -0.1, math.nan, object()],
    "budget": ["5 $", -1.0, 0, math.nan, object()],
    "error_price": ["x", -1.0, math.inf, math.nan, object()],
    "safe": ["yes", 3, object()],
    "audit": ["x", -1.0, 1.5, math.nan, object()],
    "same": [3, "equal", object(), judge_in_vain],
    "stickiness": ["x", -1.0, math.inf, math.nan, object()],
    "path": [3, object(), "", " "],
    "observations": [3, object()],
    "seed": ["x", 1.5, object()],
}
"""For each argument, what cannot work in its place."""


def test_every_argument_has_its_wrong_kinds():
    assert NOT.keys() == inspect.signature(MultiplexedLLM.__init__).parameters.keys() - {
        "self",
        "fields",
    }


@pytest.mark.parametrize(
    ("name", "wrong"), [(name, wrong) for name, kinds in NOT.items() for wrong in kinds]
)
def test_what_cannot_work_is_refused_by_the_arguments_name(name, wrong):
    given = {} if name == "models" else dict(PAIR)
    with pytest.raises(ValueError, match=rf"(?s)\b{name}\b|\ba must be a model"):
        MultiplexedLLM(**{**given, "embeddings": Words(), name: wrong})
