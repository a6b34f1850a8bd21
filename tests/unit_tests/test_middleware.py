"""Agents whose model looks into a cache, is routed, and whose tools are run once."""

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated

import pytest
from fakes import QUESTION, Fake, Fixed, Slow, Streaming, at_once, calling, lec, multiplexed, told
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
    dynamic_prompt,
    wrap_model_call,
)
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import InjectedState, ToolRuntime
from langgraph.types import Command
from pydantic import BaseModel

from langchain_cachemux import Router
from langchain_cachemux.middleware import (
    CacheMiddleware,
    MultiplexerMiddleware,
    ToolCacheMiddleware,
)
from langchain_cachemux.single import cached

ASKED = {"messages": [HumanMessage(QUESTION)]}


WAYS = {
    "invoke": lambda agent, given, **kw: agent.invoke(given, **kw),
    "ainvoke": lambda agent, given, **kw: asyncio.run(agent.ainvoke(given, **kw)),
    "stream": lambda agent, given, **kw: list(agent.stream(given, stream_mode="values", **kw))[-1],
    "astream": lambda agent, given, **kw: asyncio.run(_values(agent, given, **kw))[-1],
}
every_way = pytest.mark.parametrize("run", WAYS.values(), ids=WAYS)


async def _values(agent, given, **kwargs):
    return [state async for state in agent.astream(given, stream_mode="values", **kwargs)]


def thread(name):
    return {"configurable": {"thread_id": name}}


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def tells_weather(messages):
    """Asks for the weather in two cities at once, and then tells what came of it."""
    results = [m.text for m in messages if isinstance(m, ToolMessage)]
    if results:
        return " and ".join(results)
    calls = [
        {"name": "weather", "args": {"city": city}, "id": str(place), "type": "tool_call"}
        for place, city in enumerate(["Oslo", "Rome"])
    ]
    return AIMessage("", tool_calls=calls)


class City(BaseModel):
    """A city."""

    name: str


def cities(messages):
    return calling("City", name="Paris")


# The cache


@every_way
def test_an_equal_turn_is_not_asked_again_and_has_a_new_id(run):
    model, cache = Streaming(model="small"), lec()
    agent = create_agent(model, middleware=[CacheMiddleware(cache)], checkpointer=InMemorySaver())
    first, second = (run(agent, ASKED, config=thread(name))["messages"] for name in "ab")
    assert len(model.calls) == 1
    assert [m.text for m in first] == [m.text for m in second] == [QUESTION, "Paris it is"]
    assert first[-1].id != second[-1].id
    assert told(second[-1])["hit"] == "exact"
    assert second[-1].usage_metadata["total_cost"] == 0
    assert cache.stats().hits_exact == 1


def test_every_turn_of_a_conversation_keeps_its_answer():
    model, cache = Fake(model="small", says="Yes"), lec()
    agent = create_agent(model, middleware=[CacheMiddleware(cache)], checkpointer=InMemorySaver())
    for name in "ab":
        for turn in (QUESTION, "Sure?", "Sure?"):
            state = agent.invoke({"messages": [HumanMessage(turn)]}, thread(name))
        said = [type(m).__name__ for m in state["messages"]]
        assert said == ["HumanMessage", "AIMessage"] * 3
    assert len(model.calls) == 3


def test_what_one_face_stored_another_finds():
    cache = lec()
    model = Streaming(model="small", cache=cache)
    question = [SystemMessage("Be brief"), HumanMessage(QUESTION)]
    bare = Streaming(model="small", calls=model.calls)
    agent = create_agent(bare, system_prompt="Be brief", middleware=[CacheMiddleware(cache)])
    agent.invoke(ASKED)
    assert model.invoke(question).text == "Paris it is"
    assert "".join(c.text for c in cached(bare, cache).stream(question)) == "Paris it is"
    assert len(model.calls) == 1
    model.invoke([SystemMessage("Be brief"), HumanMessage("And Spain?")])
    agent.invoke({"messages": [HumanMessage("And Spain?")]})
    assert len(model.calls) == 2


def settings(**given):
    @wrap_model_call
    def with_settings(request, handler):
        return handler(request.override(model_settings=given))

    return with_settings


@tool
def time_in(city: str) -> str:
    """The time in a city."""
    return "noon"


@pytest.mark.parametrize(
    "other",
    [
        {"system_prompt": "Be long"},
        {"tools": [weather]},
        {"tools": [time_in]},
        {"model": Fake(model="large")},
        {"model": Fake(model="small", temperature=1.0)},
        {"response_format": ProviderStrategy(City)},
        {"middleware": [settings(stop=["."])]},
    ],
    ids=[
        "the prompt",
        "a tool",
        "another tool",
        "the model",
        "its parameters",
        "a schema",
        "settings of the call",
    ],
)
def test_whatever_the_model_is_asked_with_is_in_the_key(other):
    cache = lec()
    calls = []
    for given in ({}, other, {}, other):
        model = given.get("model", Fake(model="small")).model_copy()
        model.calls, model.says = calls, '{"name": "Paris"}'
        middleware = [*given.get("middleware", []), CacheMiddleware(cache)]
        agent = create_agent(**{**given, "model": model, "middleware": middleware})
        agent.invoke(ASKED)
    assert len(calls) == 2


@dataclass
class Context:
    user: str


@pytest.mark.parametrize("place", [0, 1], ids=["before it", "behind it"])
def test_what_other_middleware_adds_to_the_prompt_is_in_the_key_wherever_it_stands(place):
    @dynamic_prompt
    def names_user(request):
        return f"You talk to {request.runtime.context.user}"

    model = Fake(model="small", says=lambda messages: messages[0].text)
    middleware = [CacheMiddleware(lec())]
    middleware.insert(place, names_user)
    agent = create_agent(model, middleware=middleware, context_schema=Context)
    for user in ("Ann", "Ben", "Ann"):
        said = agent.invoke(ASKED, context=Context(user))["messages"][-1].text
        assert said == f"You talk to {user}"
    assert len(model.calls) == 2


@every_way
def test_turns_that_call_tools_come_again_with_new_ids_and_the_tools_run_again(run):
    model, runs = Fake(model="small", says=tells_weather), []

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        runs.append(city)
        return f"rain in {city}"

    agent = create_agent(
        model, [weather], middleware=[CacheMiddleware(lec())], checkpointer=InMemorySaver()
    )
    states = [run(agent, ASKED, config=thread(name))["messages"] for name in "ab"]
    assert len(model.calls) == 2
    assert sorted(runs) == ["Oslo", "Oslo", "Rome", "Rome"]
    for messages in states:
        ids = [call["id"] for call in messages[1].tool_calls]
        assert [m.tool_call_id for m in messages[2:4]] == ids
        assert messages[-1].text == "rain in Oslo and rain in Rome"
    first, second = ({call["id"] for call in state[1].tool_calls} for state in states)
    assert len(first | second) == 4


def test_a_turn_that_called_tools_is_found_by_no_other_words():
    model, cache = Fake(model="small", says=tells_weather), lec(match=0.5)
    agent = create_agent(model, [weather], middleware=[CacheMiddleware(cache)])
    for question in ("What is the weather in Oslo?", "What is the weather in Oslo now?"):
        agent.invoke({"messages": [HumanMessage(question)]})
    assert cache.stats().hits_semantic == 0


@every_way
@pytest.mark.parametrize(
    ("strategy", "says"),
    [(ToolStrategy, cities), (ProviderStrategy, '{"name": "Paris"}')],
    ids=["by a tool", "by the provider"],
)
def test_a_stored_answer_is_the_object_that_was_asked_for(run, strategy, says):
    model = Fake(model="small", says=says)
    agent = create_agent(model, middleware=[CacheMiddleware(lec())], response_format=strategy(City))
    for _ in range(2):
        assert run(agent, ASKED)["structured_response"] == City(name="Paris")
    assert len(model.calls) == 1


def test_a_stored_answer_is_streamed_as_a_message():
    agent = create_agent(Streaming(model="small"), middleware=[CacheMiddleware(lec())])
    for _ in range(2):
        parts = [m.text for m, _ in agent.stream(ASKED, stream_mode="messages")]
        assert "".join(parts) == "Paris it is"


@every_way
def test_only_those_of_one_namespace_share_answers(run):
    model, cache = Fake(model="small"), lec()
    middleware = [CacheMiddleware(cache, namespace=lambda runtime: runtime.context.user)]
    agent = create_agent(model, middleware=middleware, context_schema=Context)
    for user in ("Ann", "Ben", "Ann", "Ben"):
        run(agent, ASKED, context=Context(user))
    assert len(model.calls) == 2
    assert cache.stats().hits_exact == 2


@every_way
def test_where_there_is_no_namespace_no_cache_is_used(run, caplog):
    cache = lec()
    model = Fake(model="small", cache=cache)
    middleware = [CacheMiddleware(cache, namespace=lambda runtime: runtime.context.user)]
    agent = create_agent(model, middleware=middleware, context_schema=Context)
    for context in (None, None, Context(""), Context("")):
        run(agent, ASKED, context=context)
    assert len(model.calls) == 4
    assert cache.stats().entries == 0
    assert "naming the namespace failed" in caplog.text


@pytest.mark.parametrize(
    ("tools", "middleware"),
    [
        ([{"type": "web_search"}], []),
        ([{"google_search": {}}], []),
        ([], [settings(previous_response_id="resp_1")]),
    ],
    ids=["a provider's search", "another provider's", "a conversation that the provider remembers"],
)
def test_turns_that_depend_on_more_than_the_request_use_no_cache(tools, middleware):
    class Takes(Fake):
        def bind_tools(self, tools, **kwargs):
            return self.bind(tools=tools, **kwargs)

    cache = lec()
    model = Takes(model="small", cache=cache)
    agent = create_agent(model, tools, middleware=[*middleware, CacheMiddleware(cache)])
    agent.invoke(ASKED)
    agent.invoke(ASKED)
    assert len(model.calls) == 2
    assert cache.stats().entries == 0


def test_tools_that_the_agent_runs_may_be_declared_in_any_form():
    model = Fake(model="small")
    function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    agent = create_agent(model, [function], middleware=[CacheMiddleware(lec())])
    agent.invoke(ASKED)
    agent.invoke(ASKED)
    assert len(model.calls) == 1


@every_way
def test_one_is_told_when_the_cache_stands_in_nobodys_way(run, caplog):
    mux = MultiplexerMiddleware(multiplexed())
    agent = create_agent(Fake(model="small"), middleware=[CacheMiddleware(lec()), mux])
    run(agent, ASKED)
    run(agent, ASKED)
    assert caplog.text.count("CacheMiddleware had no effect") == 1


def test_a_fallback_is_asked_when_the_model_raises_and_each_answer_is_its_own():
    failing = Fake(model="small", says=ConnectionError("busy"))
    spare = Fake(model="large", says="Rome it is")
    for middleware in ([0, 1], [1, 0]):
        both = [ModelFallbackMiddleware(spare), CacheMiddleware(lec())]
        agent = create_agent(failing, middleware=[both[place] for place in middleware])
        assert agent.invoke(ASKED)["messages"][-1].text == "Rome it is"
    failing.says = "Paris it is"
    assert agent.invoke(ASKED)["messages"][-1].text == "Paris it is"


def test_equal_turns_at_once_make_one_call():
    model = Slow(model="small")
    agent = create_agent(model, middleware=[CacheMiddleware(lec())])
    answers = at_once(lambda: agent.invoke(ASKED)["messages"][-1], 5)
    assert len(model.calls) == 1
    assert {a.text for a in answers} == {"Paris it is"}
    assert len({a.id for a in answers}) == 5


async def test_equal_turns_at_once_in_one_loop_make_one_call():
    model = Slow(model="small")
    agent = create_agent(model, middleware=[CacheMiddleware(lec())])
    await asyncio.gather(*(agent.ainvoke(ASKED) for _ in range(5)))
    assert len(model.calls) == 1


def test_a_multiplexer_as_the_agents_model_looks_into_the_cache_too():
    small, cache = Fake(model="small"), lec()
    agent = create_agent(multiplexed(small), middleware=[CacheMiddleware(cache)])
    first, second = (agent.invoke(ASKED)["messages"][-1] for _ in range(2))
    assert told(first)["route"] == "small"
    assert told(second)["hit"] == "exact"
    assert len(small.calls) == 1


def test_a_model_with_fallbacks_is_lent_the_cache():
    model = Fake(model="small")
    agent = create_agent(
        model.with_fallbacks([Fake(model="large")]), middleware=[CacheMiddleware(lec())]
    )
    for _ in range(2):
        assert agent.invoke(ASKED)["messages"][-1].text == "Paris it is"
    assert len(model.calls) == 1


@every_way
def test_an_answer_on_which_the_agent_failed_is_not_given_again(run):
    says = ["no object", '{"name": "Paris"}']
    model = Fake(model="small", says=lambda _: says.pop(0))
    agent = create_agent(
        model, middleware=[CacheMiddleware(lec())], response_format=ProviderStrategy(City)
    )
    with pytest.raises(StructuredOutputValidationError):
        run(agent, ASKED)
    for _ in range(2):
        assert run(agent, ASKED)["structured_response"] == City(name="Paris")
    assert len(model.calls) == 2


# The multiplexer


def by_turns():
    """A router that can be turned from one model to the other."""
    return Router({"small": Fixed(0), "large": Fixed(1)})


def turn(router):
    small, large = router.estimators["small"], router.estimators["large"]
    small.mean, large.mean = large.mean, small.mean


@every_way
def test_each_call_is_routed_and_says_so(run):
    small, large = Fake(model="small", says=tells_weather), Fake(model="large", says=tells_weather)
    router = by_turns()
    mux = MultiplexerMiddleware(multiplexed(small, large, router=router, stickiness=0.0))

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        if city == "Oslo":
            turn(router)
        return f"rain in {city}"

    agent = create_agent(Fake(model="none"), [weather], middleware=[mux])
    messages = run(agent, ASKED)["messages"]
    assert [told(m)["route"] for m in messages if isinstance(m, AIMessage)] == ["small", "large"]
    assert mux.llm.stats().answers == {"small": 1, "large": 1}


@every_way
def test_a_run_stays_with_the_model_that_began_it_and_the_next_begins_anew(run):
    small, large = Fake(model="small", says=tells_weather), Fake(model="large", says=tells_weather)
    router = by_turns()
    llm = multiplexed(small, large, router=router, stickiness=0.0)
    mux = MultiplexerMiddleware(llm, per="run")

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        if city == "Oslo":
            turn(router)
        return f"rain in {city}"

    agent = create_agent(
        Fake(model="none"), [weather], middleware=[mux], checkpointer=InMemorySaver()
    )
    state = run(agent, ASKED, config=thread("a"))
    routes = [told(m)["model"] for m in state["messages"] if isinstance(m, AIMessage)]
    assert routes == ["small", "small"]
    assert "cachemux_route" not in agent.get_output_jsonschema()["properties"]
    small.says = large.says = "Done"
    state = run(agent, ASKED, config=thread("a"))
    assert told(state["messages"][-1])["model"] == "large"


def test_the_choice_of_a_run_outlives_an_interrupt_and_the_process():
    router, saver = by_turns(), InMemorySaver()

    def agent():
        """As another process would make it, around the same checkpoints."""
        models = (Fake(model=name, says=tells_weather) for name in ("small", "large"))
        llm = multiplexed(*models, router=router, stickiness=0.0)
        return create_agent(
            Fake(model="none"),
            [weather],
            middleware=[
                MultiplexerMiddleware(llm, per="run"),
                HumanInTheLoopMiddleware(interrupt_on={"weather": True}),
            ],
            checkpointer=saver,
        )

    assert "__interrupt__" in agent().invoke(ASKED, thread("a"))
    turn(router)
    approved = Command(resume={"decisions": [{"type": "approve"}] * 2})
    state = agent().invoke(approved, thread("a"))
    assert told(state["messages"][-1])["model"] == "small"
    assert state["messages"][-1].text == "rain in Oslo and rain in Rome"


@pytest.mark.parametrize("per", ["call", "run"])
def test_a_model_that_raises_is_learned_and_the_next_goes_on(per):
    def fails_at_results(messages):
        if isinstance(messages[-1], ToolMessage):
            raise ConnectionError
        return tells_weather(messages)

    small = Fake(model="small", says=fails_at_results)
    llm = multiplexed(small, Fake(model="large", says=tells_weather))
    agent = create_agent(
        Fake(model="none"), [weather], middleware=[MultiplexerMiddleware(llm, per=per)]
    )
    messages = agent.invoke(ASKED)["messages"]
    assert [told(m)["model"] for m in messages if isinstance(m, AIMessage)] == ["small", "large"]
    assert llm.stats().errors == {"small": 1}


@pytest.mark.parametrize("per", ["call", "run"])
def test_an_agent_streams_the_chosen_models_tokens_once(per):
    mux = MultiplexerMiddleware(multiplexed(), per=per)
    agent = create_agent(Fake(model="none"), middleware=[mux])
    parts = [m.text for m, _ in agent.stream(ASKED, stream_mode="messages") if m.text]
    assert parts == ["Paris ", "it ", "is"]


def test_a_run_says_that_it_stays_with_its_model_and_not_that_no_other_can():
    mux = MultiplexerMiddleware(multiplexed(Fake(model="small", says=tells_weather)), per="run")
    state = create_agent(Fake(model="none"), [weather], middleware=[mux]).invoke(ASKED)
    first, second = (told(m)["reason"] for m in state["messages"] if isinstance(m, AIMessage))
    assert first.startswith("least lower bound of small")
    assert second == "the run stays with small"


@every_way
@pytest.mark.parametrize("per", ["call", "run"])
def test_a_routed_answer_is_the_object_that_was_asked_for(run, per):
    mux = MultiplexerMiddleware(multiplexed(Fake(model="small", says=cities)), per=per)
    agent = create_agent(Fake(model="none"), middleware=[mux], response_format=ToolStrategy(City))
    assert run(agent, ASKED)["structured_response"] == City(name="Paris")


def test_a_model_that_takes_no_tools_is_not_asked_where_there_are_some():
    class Toolless(Fake):
        def bind_tools(self, tools, **kwargs):
            raise NotImplementedError

    small, large = Toolless(model="small"), Fake(model="large", says=tells_weather)
    mux = MultiplexerMiddleware(multiplexed(small, large), per="run")
    state = create_agent(Fake(model="none"), [weather], middleware=[mux]).invoke(ASKED)
    assert told(state["messages"][-1])["model"] == "large"
    assert small.calls == []


def test_feedback_on_an_agents_answer_reaches_the_router():
    models = {"small": Fake(model="small"), "large": Fake(model="large")}
    mux = MultiplexerMiddleware(models, embeddings=lec().reader.embeddings, audit=0.0)
    answer = create_agent(Fake(model="none"), middleware=[mux]).invoke(ASKED)["messages"][-1]
    assert mux.llm.feedback(answer, 0.0)
    assert mux.llm.stats().feedback == 1


@every_way
def test_cache_and_multiplexer_stand_together(run):
    small, cache = Fake(model="small"), lec()
    mux = MultiplexerMiddleware(multiplexed(small, cache=cache), per="run")
    agent = create_agent(Fake(model="none"), middleware=[mux, CacheMiddleware(cache)])
    first, second = (run(agent, ASKED)["messages"][-1] for _ in range(2))
    assert told(first)["route"] == "small"
    assert told(second)["hit"] == "exact"
    assert len(small.calls) == 1


# Tools


def looking_up(*cities):
    """A model that asks for these cities, all at once, and then tells what came of it."""
    calls = [
        {"name": "weather", "args": {"city": city}, "id": f"{n}", "type": "tool_call"}
        for n, city in enumerate(cities)
    ]

    def says(messages):
        results = [m.text for m in messages if isinstance(m, ToolMessage)]
        return " and ".join(results) if results else AIMessage("", tool_calls=calls)

    return Fake(model="small", says=says)


def with_tool(tool, *cities, seconds=None, cache=None, **kwargs):
    """An agent that asks a tool for these cities."""
    middleware = ToolCacheMiddleware(cache or lec(), {"weather": seconds}, **kwargs)
    return create_agent(
        looking_up(*cities), [tool], middleware=[middleware], context_schema=Context
    )


def counted(result=None):
    """A tool that counts its runs."""
    runs = []

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        runs.append(city)
        return f"rain in {city}" if result is None else result(city, len(runs))

    return weather, runs


@every_way
def test_a_tool_runs_once_for_the_same_arguments(run):
    weather, runs = counted()
    agent = with_tool(weather, "Oslo", "Rome")
    for _ in range(2):
        messages = run(agent, ASKED)["messages"]
        assert messages[-1].text == "rain in Oslo and rain in Rome"
        assert [m.tool_call_id for m in messages[2:4]] == ["0", "1"]
    assert sorted(runs) == ["Oslo", "Rome"]
    assert told(messages[2])["hit"] == "exact"


@every_way
def test_equal_calls_of_one_turn_run_the_tool_once(run):
    weather, runs = counted(lambda city, _: time.sleep(0.1) or city)
    messages = run(with_tool(weather, "Oslo", "Oslo", "Oslo"), ASKED)["messages"]
    assert runs == ["Oslo"]
    assert [m.tool_call_id for m in messages[2:5]] == ["0", "1", "2"]


def test_arguments_that_are_nearly_the_same_are_others():
    weather, runs = counted()
    cache = lec(match=0.1)
    for city in ("the city of Oslo", "the city of Oslo now"):
        with_tool(weather, city, cache=cache).invoke(ASKED)
    assert len(runs) == 2


@every_way
def test_a_result_holds_for_its_time(run):
    weather, _ = counted(lambda city, n: f"{n}")
    now = [0.0]
    agent = with_tool(weather, "Oslo", seconds=60, cache=lec(clock=lambda: now[0]))
    said = []
    for now[0] in (0, 59, 61, 100, 122):
        said.append(run(agent, ASKED)["messages"][-1].text)
    assert said == ["1", "1", "2", "2", "3"]


@every_way
def test_an_error_is_never_kept(run):
    def fails_once(city, n):
        if n == 1:
            raise ConnectionError
        return "rain"

    weather, runs = counted(fails_once)
    agent = with_tool(weather, "Oslo")
    with pytest.raises(ConnectionError):
        run(agent, ASKED)
    assert run(agent, ASKED)["messages"][-1].text == "rain"
    assert len(runs) == 2


def test_an_error_that_is_told_as_a_message_is_never_kept():
    runs = []

    @tool
    def weather(city: int) -> str:
        """The weather in a city."""
        runs.append(city)
        return "rain"

    cache = lec()
    agent = with_tool(weather, "Oslo", cache=cache)
    messages = agent.invoke(ASKED)["messages"]
    assert messages[2].status == "error"
    assert cache.stats().entries == 0


def test_what_comes_with_a_result_is_kept_too_if_it_can_be_written():
    results = {"Oslo": {"mm": [1, 2]}, "Rome": object(), "Lima": (1, 2)}
    runs = []

    @tool(response_format="content_and_artifact")
    def weather(city: str):
        """The weather in a city."""
        runs.append(city)
        return "", results[city]

    agent = with_tool(weather, *results)
    for _ in range(2):
        messages = agent.invoke(ASKED)["messages"]
        assert [m.artifact for m in messages[2:5]] == [*results.values()]
    assert sorted(runs) == ["Lima", "Lima", "Oslo", "Rome", "Rome"]


def test_a_tool_that_is_given_more_than_its_arguments_always_runs_and_one_is_told(caplog):
    runs = []

    @tool
    def weather(city: str, state: Annotated[dict, InjectedState], runtime: ToolRuntime) -> str:
        """The weather in a city."""
        runs.append(city)
        return "rain"

    agent = with_tool(weather, "Oslo")
    agent.invoke(ASKED)
    agent.invoke(ASKED)
    assert len(runs) == 2
    assert caplog.text.count("the tool 'weather' is always run: it is given its runtime and") == 1


@every_way
def test_a_tool_that_is_not_named_always_runs(run):
    weather, runs = counted()
    middleware = ToolCacheMiddleware(lec(), {"search": None})
    agent = create_agent(looking_up("Oslo"), [weather], middleware=[middleware])
    run(agent, ASKED)
    run(agent, ASKED)
    assert len(runs) == 2


def test_a_result_that_was_wrong_is_not_given_again():
    weather, runs = counted()
    cache = lec()
    agent = with_tool(weather, "Oslo", cache=cache)
    agent.invoke(ASKED)
    result = agent.invoke(ASKED)["messages"][2]
    assert len(runs) == 1
    assert cache.feedback(result, ok=False)
    agent.invoke(ASKED)
    assert len(runs) == 2


@every_way
def test_one_cache_and_one_router_serve_answers_and_results(run):
    weather, runs = counted()
    cache, model = lec(), looking_up("Oslo")
    llm = multiplexed(model, cache=cache)
    agent = create_agent(
        Fake(model="none"),
        [weather],
        middleware=[
            MultiplexerMiddleware(llm, per="run"),
            ToolCacheMiddleware(cache, {"weather": 60}),
        ],
    )
    for _ in range(2):
        assert run(agent, ASKED)["messages"][-1].text == "rain in Oslo"
    assert (len(model.calls), len(runs)) == (2, 1)
    stats = cache.stats()
    assert (stats.entries, stats.hits_exact, stats.errors) == (3, 3, 0)


def test_only_those_of_one_namespace_share_results():
    weather, runs = counted()
    agent = with_tool(weather, "Oslo", namespace=lambda runtime: runtime.context.user)
    for user in ("Ann", "Ben", "Ann", ""):
        agent.invoke(ASKED, context=Context(user))
    assert len(runs) == 3


def test_a_tool_that_reads_otherwise_is_another_tool():
    cache = lec()
    for text in ("The weather in a city.", "The weather in a city, tomorrow."):
        weather, runs = counted()
        weather.description = text
        with_tool(weather, "Oslo", cache=cache).invoke(ASKED)
        assert len(runs) == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: CacheMiddleware(None), "cache must be an LECCache"),
        (lambda: CacheMiddleware(lec(), namespace="Ann"), "namespace must be a plain function"),
        (lambda: MultiplexerMiddleware(Fake(model="small")), "llm must be a MultiplexedLLM or"),
        (lambda: MultiplexerMiddleware(multiplexed(), per="turn"), 'per must be "call" or "run"'),
        (
            lambda: MultiplexerMiddleware(multiplexed(), price="dollars"),
            "settings must be given to",
        ),
        (lambda: ToolCacheMiddleware(lec(), ["weather"]), "tools must be seconds > 0"),
        (lambda: ToolCacheMiddleware(lec(), {"weather": 0}), "tools must be seconds > 0"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(make, told):
    with pytest.raises(ValueError, match=told):
        make()
