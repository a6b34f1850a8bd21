"""The cache where it will be used: chains, agents, structured output; the default encoder."""

import asyncio
import json
import time

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core._api.beta_decorator import suppress_langchain_beta_warning
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, create_model

from langchain_cachemux import LECCache


class Named(GenericFakeChatModel):
    """`GenericFakeChatModel` says nothing of itself, so all of them would share their answers."""

    name: str = "one"

    @property
    def _identifying_params(self):
        return {"name": self.name}

    def bind_tools(self, tools, **_):
        return self


class Capital(BaseModel):
    """Looked up by name, as LangChain writes a structured output's class."""

    city: str


@pytest.fixture
def cache():
    with LECCache() as made:
        yield made


@pytest.fixture
def everywhere(cache):
    before = get_llm_cache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(before)


class OpenAI:
    """The provider's side of ChatOpenAI: counts its requests and answers with what it was given."""

    def __init__(self, content, *, finish_reason="stop", **message):
        self.requests = []
        self.choice = {
            "index": 0,
            "finish_reason": finish_reason,
            "message": {"role": "assistant", "content": content, **message},
        }

    def __call__(self, request):
        self.requests.append(json.loads(request.content))
        told = {
            "id": f"chatcmpl-{len(self.requests)}",
            "object": "chat.completion",
            "created": 0,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [self.choice],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
        return httpx.Response(200, json=told)

    def model(self, **arguments):
        client = httpx.Client(transport=httpx.MockTransport(self))
        return ChatOpenAI(api_key="x", model="gpt-4o-mini", http_client=client, **arguments)


# Chains


def test_a_chain_is_answered_exactly_and_by_meaning(everywhere):
    prompt = ChatPromptTemplate([("system", "Be {style}."), ("human", "{question}")])
    chain = prompt | FakeListChatModel(responses=["Click.", "Tap."]) | StrOutputParser()
    asked = {"style": "brief", "question": "How do I reset my password?"}
    assert [chain.invoke(asked) for _ in range(2)] == ["Click.", "Click."]
    assert chain.invoke({**asked, "question": "How can I reset my password?"}) == "Click."
    assert chain.invoke({**asked, "style": "rude"}) == "Tap."
    assert chain.invoke({**asked, "question": "How do I reset my router?"}) == "Click."
    stats = everywhere.stats()
    assert (stats.hits_exact, stats.hits_semantic, stats.misses, stats.errors) == (1, 1, 3, 0)


def test_a_chain_awaits_the_same_answers(cache):
    model = FakeListChatModel(responses=["Click.", "Tap."], cache=cache)

    async def chain():
        asked = ["How do I reset my password?", "How can I reset my password?"]
        return [(await model.ainvoke(words)).content for words in asked]

    assert asyncio.run(chain()) == ["Click.", "Click."]
    assert cache.stats().hits_semantic == 1


def test_a_batch_and_a_later_one_share_their_answers(cache):
    model = FakeListChatModel(responses=["In Norway.", "In Italy."], cache=cache)
    asked = ["Where is Oslo?", "Where is Rome?"]
    first = [message.content for message in model.batch(asked, config={"max_concurrency": 1})]
    assert [message.content for message in model.batch(asked)] == first
    assert (cache.stats().misses, cache.stats().hits_exact) == (2, 2)


def test_a_model_of_bare_strings_is_answered_too(cache):
    model = FakeListLLM(responses=["Click.", "Tap."], cache=cache)
    asked = ["How do I reset my password?", "How can I reset my password?"]
    assert [model.invoke(words) for words in asked] == ["Click.", "Click."]


def test_two_models_do_not_share_their_answers(cache):
    one, two = (
        Named(messages=iter([AIMessage(name)]), name=name, cache=cache) for name in ("one", "two")
    )
    assert [model.invoke("Who are you?").content for model in (one, two, one)] == [
        "one",
        "two",
        "one",
    ]


def test_a_conversation_is_not_answered_from_another_one(cache):
    answers = iter(map(AIMessage, ["In Norway.", "500 km.", "In Italy.", "600 km."]))
    model = Named(messages=answers, cache=cache)
    said = []
    for city in ("Oslo", "Rome"):
        history = [HumanMessage(f"Where is {city}?")]
        history.append(model.invoke(history))
        said.append(model.invoke([*history, HumanMessage("How far is it?")]).content)
    assert said == ["500 km.", "600 km."]


def test_a_slow_models_answer_is_worth_its_seconds(cache):
    class Slow(Named):
        def _generate(self, *arguments, **keywords):
            time.sleep(0.2)
            return super()._generate(*arguments, **keywords)

    Slow(messages=iter([AIMessage("In Norway.")]), cache=cache).invoke("Where is Oslo?")
    (entry,) = cache.ledger
    assert 0.2 <= entry.cost < 20


def test_a_hit_in_a_history_can_be_serialised_by_langchain(cache):
    model = FakeListChatModel(responses=["In Norway."], cache=cache)
    hit = [model.invoke("Where is Oslo?") for _ in range(2)][1]
    assert hit.response_metadata["cachemux"]["hit"] == "exact"
    with suppress_langchain_beta_warning():
        assert loads(dumps(hit), allowed_objects="messages").content == "In Norway."


# Agents


def test_an_agent_with_a_memory_keeps_every_turn_it_was_answered_from_the_cache(cache):
    """A hit with the first turn's message id would replace the first turn's answer."""
    model = Named(messages=iter([AIMessage("Click."), AIMessage("No.")]), cache=cache)
    agent = create_agent(model, tools=[], checkpointer=InMemorySaver())
    for thread in ("a", "b"):
        config = {"configurable": {"thread_id": thread}}
        agent.invoke({"messages": [("human", "How do I reset my password?")]}, config)
    config = {"configurable": {"thread_id": "b"}}
    asked = [("human", "Is that all?")]
    history = agent.invoke({"messages": asked}, config)["messages"]
    assert [type(message).__name__ for message in history] == ["HumanMessage", "AIMessage"] * 2
    assert [message.content for message in history[1::2]] == ["Click.", "No."]
    assert len({message.id for message in history}) == 4
    assert cache.stats().hits_exact == 1


def test_an_agents_tool_calls_get_new_ids_and_their_results_are_found(cache):
    """The second run is the first one's exact copy, but for the ids it was given."""

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"Fine in {city}."

    call = {"name": "weather", "args": {"city": "Oslo"}, "id": "call_1", "type": "tool_call"}
    answers = iter([AIMessage("", tool_calls=[call]), AIMessage("It is fine.")])
    agent = create_agent(Named(messages=answers, cache=cache), tools=[weather])
    runs = [agent.invoke({"messages": [("human", "How is Oslo?")]})["messages"] for _ in range(2)]
    assert [[message.content for message in run] for run in runs] == [
        ["How is Oslo?", "", "Fine in Oslo.", "It is fine."]
    ] * 2
    ids = [run[1].tool_calls[0]["id"] for run in runs]
    assert [run[2].tool_call_id for run in runs] == ids
    assert ids[0] != ids[1]
    assert cache.stats().hits_exact == 2


# A provider's own model


def test_a_providers_model_is_asked_once_for_what_means_the_same(cache):
    provider = OpenAI("Click.")
    model = provider.model(cache=cache)
    for words in ("How do I reset my password?", "How can I reset my password?"):
        found = model.invoke(words)
        assert found.content == "Click."
        assert found.usage_metadata["output_tokens"] == 3
    assert len(provider.requests) == 1
    told = found.response_metadata["cachemux"]
    assert (told["hit"], told["model"]) == ("semantic", "gpt-4o-mini-2024-07-18")


def test_a_structured_output_is_a_hit_that_is_parsed_again(cache):
    provider = OpenAI('{"city": "Lima"}')
    model = provider.model(cache=cache).with_structured_output(Capital)
    found = [model.invoke("What is the capital of Peru?") for _ in range(2)]
    assert found == [Capital(city="Lima")] * 2
    assert (len(provider.requests), cache.stats().hits_exact) == (1, 1)


def test_a_structured_output_of_other_fields_is_asked_for_anew(cache, monkeypatch):
    provider = OpenAI('{"city": "Lima"}')
    provider.model(cache=cache).with_structured_output(Capital).invoke("The capital of Peru?")
    wider = create_model("Capital", __module__=__name__, city=(str, ...), river=(str, "Rímac"))
    monkeypatch.setitem(globals(), "Capital", wider)
    found = provider.model(cache=cache).with_structured_output(wider).invoke("The capital of Peru?")
    assert (found.city, found.river) == ("Lima", "Rímac")
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    "provider",
    [
        OpenAI("In Nor", finish_reason="length"),
        OpenAI("", finish_reason="content_filter"),
        OpenAI(None, refusal="I cannot."),
        OpenAI(""),
    ],
    ids=["cut short", "filtered", "refused", "empty"],
)
def test_a_providers_bad_answer_is_not_given_twice(cache, provider):
    model = provider.model(cache=cache)
    for _ in range(2):
        model.invoke("Where is Oslo?")
    assert len(provider.requests) == 2
    assert (cache.stats().refused, cache.stats().entries) == (2, 0)
