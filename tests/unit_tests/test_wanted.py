"""Where LangChain demands a model, a multiplexer will do."""

import asyncio

import pytest
from fakes import (
    QUESTION,
    Fake,
    Streaming,
    calling,
    every_way,
    learned,
    lec,
    multiplexed,
    routed,
    told,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.outputs import LLMResult
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cachemux import MultiplexedLLM

LONG = "word " * 400


@tool
def population(city: str) -> int:
    """People in a city."""
    return 2_100_000


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return "fair"


@pytest.fixture
def middleware():
    return pytest.importorskip("langchain.agents.middleware", reason="the extra `langchain`")


def agent(model, tools=(), **kwargs):
    from langchain.agents import create_agent

    return create_agent(model, list(tools), **kwargs)


def asked(agent, question=QUESTION):
    return agent.invoke({"messages": [("human", question)]})["messages"]


# Middleware


def test_summarization_counts_with_it_and_asks_it(middleware):
    mux = multiplexed(Fake(model="small", says="In short: words"))
    summarize = middleware.SummarizationMiddleware(
        mux, trigger=("tokens", 500), keep=("messages", 1)
    )
    talk = [HumanMessage(LONG), AIMessage("Yes?"), HumanMessage(LONG), AIMessage("Yes?")]
    chat = agent(Fake(model="own", says="Fine"), middleware=[summarize])
    said = chat.invoke({"messages": [*talk, HumanMessage("Go on")]})["messages"]
    assert "In short: words" in said[0].text
    assert said[-1].text == "Fine"


def test_summarization_at_a_share_of_the_window_reads_it_in_its_profile(middleware):
    profiles = ({"max_input_tokens": 1000}, {"max_input_tokens": 4000})
    small, large = (
        Fake(model=n, profile=p) for n, p in zip(("small", "large"), profiles, strict=True)
    )
    mux = multiplexed(small, large)
    summarize = middleware.SummarizationMiddleware(mux, trigger=("fraction", 0.5))
    assert summarize._should_summarize([HumanMessage(LONG)], 501)
    assert not summarize._should_summarize([HumanMessage(LONG)], 499)


def test_the_tool_selector_asks_it(middleware):
    mux = multiplexed(Fake(model="small", says=calling("ToolSelectionResponse", tools=["weather"])))
    own = Fake(model="own")
    select = middleware.LLMToolSelectorMiddleware(model=mux, max_tools=1)
    asked(agent(own, [population, weather], middleware=[select]))
    (call,) = own.calls
    assert [bound["function"]["name"] for bound in call.kwargs["tools"]] == ["weather"]


def test_the_tool_emulator_asks_it(middleware):
    def says(messages):
        is_told = isinstance(messages[-1], ToolMessage)
        return messages[-1].text if is_told else calling("weather", city="Paris")

    mux = multiplexed(Fake(model="small", says="snow, made up"))
    emulate = middleware.LLMToolEmulator(model=mux)
    said = asked(agent(Fake(model="own", says=says), [weather], middleware=[emulate]))
    assert said[-1].text == "snow, made up"


def test_context_editing_counts_with_it(middleware):
    def says(messages):
        results = [m for m in messages if isinstance(m, ToolMessage)]
        seen.append([m.text for m in results])
        return "Done" if len(results) == 3 else calling("weather", city="x" * 2000)

    seen = []
    edit = middleware.ClearToolUsesEdit(trigger=300, keep=1)
    edits = middleware.ContextEditingMiddleware(edits=[edit], token_count_method="model")  # noqa: S106
    asked(agent(multiplexed(Fake(model="small", says=says)), [weather], middleware=[edits]))
    assert seen[-1] == ["[cleared]", "[cleared]", "fair"]


def test_it_may_be_the_model_that_a_fallback_falls_back_to(middleware):
    down = Fake(model="own", says=ConnectionError("down"))
    fall_back = middleware.ModelFallbackMiddleware(multiplexed())
    assert asked(agent(down, middleware=[fall_back]))[-1].text == "Paris it is"


# Agents


class City(BaseModel):
    """A city."""

    name: str


@pytest.mark.parametrize("native", [True, False])
def test_an_agents_object_comes_by_the_models_own_means_where_all_models_have_some(native):
    pytest.importorskip("langchain.agents", reason="the extra `langchain`")
    profile = {"structured_output": True}
    says = AIMessage('{"name": "Paris"}') if native else calling("City", name="Paris")
    small = Fake(model="small", says=says, profile=profile)
    large = Fake(model="large", profile=profile if native else {})
    chat = agent(multiplexed(small, large), response_format=City)
    state = chat.invoke({"messages": [("human", QUESTION)]})
    assert state["structured_response"] == City(name="Paris")
    assert ("response_format" in small.calls[0].kwargs) is native


@every_way
def test_models_that_take_no_tools_are_not_asked_for_calls_of_them(ask):
    plain, large = (
        FakeListChatModel(responses=["plain"]),
        Fake(model="large", says=calling("weather", city="Paris")),
    )
    mux = multiplexed(models={"small": plain, "large": large})
    answer = ask(mux.bind_tools([weather]), QUESTION)
    assert answer.tool_calls[0]["name"] == "weather"
    assert ask(mux.with_structured_output(weather.args_schema), QUESTION).city == "Paris"
    assert ask(mux, QUESTION).content == "plain"
    assert learned(mux) == {"small": [1.0], "large": [10.0, 10.0]}


@pytest.mark.parametrize("method", ["bind_tools", "with_structured_output"])
def test_where_no_model_can_it_raises_what_langchains_own_raise(method):
    bare = {name: RunnableLambda(lambda _: AIMessage("x")) for name in ("small", "large")}
    with pytest.raises(NotImplementedError, match=r"none of the models \['small', 'large'\]"):
        getattr(multiplexed(models=bare), method)([weather] if method == "bind_tools" else City)


# The older interface


def test_generate_answers_each_conversation_as_invoke_does():
    mux = multiplexed(cache=lec())
    talks = [[HumanMessage(QUESTION)], [SystemMessage("Be brief"), HumanMessage(QUESTION)]]
    twice = [*talks, talks[0]]
    for result in (mux.generate(twice), asyncio.run(mux.agenerate(twice))):
        assert isinstance(result, LLMResult)
        assert [one[0].text for one in result.generations] == ["Paris it is"] * 3
        assert told(result.generations[2][0].message)["hit"] == "exact"
    prompts = [StringPromptValue(text=QUESTION)]
    assert mux.generate_prompt(prompts).generations[0][0].text == "Paris it is"
    assert mux.stats().calls == {"small": 2}


def test_the_private_ways_answer_within_the_callers_own_run():
    mux = multiplexed()
    messages = [HumanMessage(QUESTION)]

    async def streamed():
        return [chunk.text async for chunk in mux._astream(messages)]

    assert mux._generate(messages, stop=["."]).generations[0].text == "Paris it is"
    assert asyncio.run(mux._agenerate(messages)).generations[0].text == "Paris it is"
    assert [chunk.text for chunk in mux._stream(messages)] == asyncio.run(streamed())
    assert mux.stats().calls == {"small": 4}


@every_way
def test_stop_words_reach_the_model_and_are_told_apart(ask):
    small = Fake(model="small")
    mux = multiplexed(small, cache=lec())
    for stop in (None, ["."], ["."], [";"]):
        ask(mux if stop is None else mux.bind(stop=stop), QUESTION)
    assert [call.kwargs["stop"] for call in small.calls] == [None, ["."], [";"]]


# What is asked of a model


def test_it_counts_tokens_approximately_or_as_it_is_told():
    mux = multiplexed()
    talk = [HumanMessage(LONG), AIMessage("Yes?"), HumanMessage("Go on")]
    assert 300 < mux.get_num_tokens(LONG) < 900
    assert mux.get_num_tokens_from_messages(talk) > mux.get_num_tokens(LONG)
    kept = trim_messages(talk, token_counter=mux, max_tokens=50, start_on="human")
    assert [message.text for message in kept] == ["Go on"]
    own = multiplexed(custom_get_token_ids=lambda text: list(range(len(text.split()))))
    assert own.get_num_tokens("one two three") == 3


def test_its_profile_is_what_all_models_have_in_common():
    small = Fake(model="small", profile={"max_input_tokens": 8, "tool_calling": True})
    large = Fake(model="large", profile={"max_input_tokens": 9, "tool_calling": False})
    mux = multiplexed(small, large)
    assert isinstance(mux, BaseChatModel)
    assert mux.profile == {"max_input_tokens": 8, "tool_calling": False}
    assert (
        multiplexed(small, large, profile={"max_input_tokens": 4}).profile["max_input_tokens"] == 4
    )


def test_what_langchain_sets_on_any_model_holds_for_the_models_within():
    class Limiter:
        waited = 0

        def acquire(self, *, blocking=True):
            self.waited += 1
            return True

    limiter, small = Limiter(), Streaming(model="small")
    mux = multiplexed(small, disable_streaming=True, output_version="v1")
    object.__setattr__(mux.models["small"], "rate_limiter", limiter)
    (chunk, _last) = mux.stream(QUESTION)
    assert chunk.content == [{"type": "text", "text": "Paris it is"}]
    assert limiter.waited == 1
    assert (small.disable_streaming, small.output_version) == (False, None)


@every_way
def test_its_own_callbacks_and_tags_are_told_of_every_model(ask):
    from fakes import Events

    events = Events()
    ask(multiplexed(callbacks=[events], tags=["mine"]), QUESTION)
    assert (events.started, events.tags) == (["small"], ["mine"])


def test_one_within_another_is_asked_and_cached_once():
    inner = multiplexed(cache=lec())
    outer = MultiplexedLLM(
        models={"inner": inner, "large": Streaming(model="large")},
        router=routed("inner", "large"),
        cache=lec(),
        price=lambda _: 1.0,
        accept=lambda *_: True,
    )
    for _ in range(2):
        outer.invoke(QUESTION)
    assert inner.cache.stats().entries == 0
    assert outer.cache.stats().entries == 1
