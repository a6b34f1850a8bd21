"""What a user is shown of a multiplexer's models: of the answer given everything, of others nothing."""

import asyncio
from typing import Any

import pytest
from fakes import QUESTION, WAYS, Events, Fake, Streaming, every_way, lec, multiplexed, told
from langchain_core.callbacks import UsageMetadataCallbackHandler, get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_cachemux import Asks

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

JUDGES = {"turned down": lambda *_: False, "accepted": lambda *_: True, "not judged": None}
third_protocol = pytest.mark.skipif(
    not hasattr(BaseChatModel, "stream_events"), reason="it came with a later langchain-core"
)
every_judge = pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
GIVEN = {"turned down": "good good good", "accepted": "bad bad bad", "not judged": "bad bad bad"}


def pair(judge, **kwargs):
    small, large = Streaming(model="small", says="bad bad bad"), Streaming(model="large")
    large.says = "good good good"
    return multiplexed(small, large, accept=judge, cache=lec(), **kwargs)


def given(judge):
    return GIVEN[next(name for name, one in JUDGES.items() if one is judge)]


def in_graph(model, question=QUESTION, **config):
    """The messages that LangGraph streams to a user, by id."""
    graphs = pytest.importorskip("langgraph.graph", reason="it comes with langchain")
    graph = graphs.StateGraph(graphs.MessagesState)
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.set_entry_point("answer")
    shown: dict[Any, str] = {}
    asked = {"messages": [HumanMessage(question)]}
    for chunk, _ in graph.compile().stream(asked, config, stream_mode="messages"):
        shown[chunk.id] = shown.get(chunk.id, "") + chunk.text
    return list(shown.values())


async def _events(model, version):
    return [event async for event in model.astream_events(QUESTION, version=version)]


def in_events(model, version="v2"):
    """What `astream_events` tells of chat models: started, the text streamed, ended."""
    events = asyncio.run(_events(model, version))
    of = {n: [e["data"] for e in events if e["event"] == f"on_chat_model_{n}"] for n in EVENTS}
    assert len(of["start"]) == len(of["end"]) == 1
    return "".join(data["chunk"].text for data in of["stream"]), of["end"][0]["output"]


EVENTS = ("start", "stream", "end")


@every_judge
def test_langgraph_streams_the_answer_given_once_fresh_or_stored(judge):
    mux = pair(judge)
    assert [in_graph(mux), in_graph(mux)] == [[given(judge)]] * 2


@every_judge
@pytest.mark.filterwarnings("ignore:astream_events version='v1' is deprecated")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_events_tell_of_the_answer_given_once_fresh_or_stored(judge, version):
    mux = pair(judge)
    assert in_events(mux, version)[0] == in_events(mux, version)[0] == given(judge)


@every_judge
@third_protocol
def test_events_of_the_third_protocol_obey_it_fresh_or_stored(judge):
    async def events(mux):
        stream = await mux.astream_events(QUESTION, version="v3")
        return [event async for event in stream]

    mux = pair(judge)
    for _ in range(2):
        stream = mux.stream_events(QUESTION, version="v3")
        assert_valid_event_stream(list(stream))
        assert stream.output.text == given(judge)
        assert_valid_event_stream(asyncio.run(events(mux)))


async def _third(mux, config):
    stream = await mux.astream_events(QUESTION, config, version="v3")
    return await stream.output


THIRD = {
    "stream_events": lambda mux, config: mux.stream_events(QUESTION, config, version="v3").output,
    "astream_events": lambda mux, config: asyncio.run(_third(mux, config)),
}


@pytest.mark.parametrize("ask", THIRD.values(), ids=THIRD)
@pytest.mark.parametrize("of", ["the call", "the model", "a binding"])
@every_judge
@third_protocol
def test_runs_of_the_third_protocol_are_heard_as_any_others(ask, of, judge):
    usage, events = UsageMetadataCallbackHandler(), Events()
    mux, heard = pair(judge), {"callbacks": [usage, events]}
    if of != "the call":
        heard, given_to = {}, heard
        mux = mux.model_copy(update=given_to) if of == "the model" else mux.with_config(given_to)
    answer = ask(mux, heard)
    names = ["small", "large"] if given(judge)[0] == "g" else ["small"]
    assert events.started == names
    assert {n: used["total_tokens"] for n, used in usage.usage_metadata.items()} == dict.fromkeys(
        names, 10
    )
    again = ask(mux, heard)
    assert told(again)["hit"] == "exact"
    assert again.usage_metadata == answer.usage_metadata
    assert sum(used["total_tokens"] for used in usage.usage_metadata.values()) == 10 * len(names)


@third_protocol
def test_in_the_third_protocol_a_call_has_parameters_as_in_any_other():
    mux = multiplexed()
    list(mux.stream_events(QUESTION, version="v3", stop=["."], seed=7))
    assert mux.models["small"].calls[0].kwargs == {"stop": ["."], "seed": 7}


@every_judge
@third_protocol
def test_an_agents_stream_of_the_third_protocol_tells_of_the_answer_given(judge):
    agents = pytest.importorskip("langchain.agents", reason="it comes with the extra `agents`")
    agent = agents.create_agent(pair(judge))
    for _ in range(2):
        run = agent.stream_events({"messages": [("human", QUESTION)]}, version="v3")
        assert ["".join(message.text) for message in run.messages] == [given(judge)]


@every_way
def test_who_counts_hears_of_every_model_call_and_a_hit_used_nothing(ask):
    mux, usage = pair(lambda *_: False), UsageMetadataCallbackHandler()
    for _ in range(2):
        ask(mux.with_config(callbacks=[usage]), QUESTION)
    used = {name: used["total_tokens"] for name, used in usage.usage_metadata.items()}
    assert used == {"small": 10, "large": 10}


@pytest.mark.parametrize("shown", [in_graph, in_events])
@every_judge
def test_what_is_shown_again_is_not_counted_again(shown, judge):
    with get_usage_metadata_callback() as usage:
        shown(pair(judge))
    counted = {name: used["total_tokens"] for name, used in usage.usage_metadata.items()}
    assert counted == {"small": 10, **({"large": 10} if given(judge)[0] == "g" else {})}


def test_what_a_judge_asks_is_counted_and_shown_to_nobody():
    judge = Streaming(model="judge", says="yes it will do")
    usage = UsageMetadataCallbackHandler()
    assert in_graph(pair(Asks(judge)), callbacks=[usage]) == ["bad bad bad"]
    assert usage.usage_metadata["judge"]["total_tokens"] == 10
    assert in_events(pair(Asks(judge)))[0] == "bad bad bad"


def test_a_draft_is_not_streamed_even_by_a_model_that_always_streams():
    class Always(Streaming):
        streaming: bool = True

    events = Events()
    always = Always(model="small", says="bad bad bad", streaming=True)
    mux = multiplexed(always, accept=lambda *_: False)
    mux.invoke(QUESTION, {"callbacks": [events]})
    assert events.started == ["small", "large"]
    assert events.tokens == []


def test_a_draft_is_silent_within_a_model_that_is_a_chain_or_a_function():
    def asking(model):
        return RunnableLambda(model.invoke)

    small, large = Streaming(model="small", says="bad bad bad"), Streaming(model="large")
    mux = multiplexed(models={"small": asking(small), "large": asking(large)}, accept=lambda *_: 0)
    assert in_events(mux)[0] == "Paris it is"


@pytest.mark.parametrize("fake", [Fake, Streaming])
@every_way
def test_a_hit_is_a_run_of_a_chat_model_that_ends_with_the_answer(ask, fake):
    mux, events = multiplexed(fake(model="small"), cache=lec()), Events()
    mux.invoke(QUESTION)
    answer = ask(mux.with_config(callbacks=[events], tags=["tagged"]), QUESTION)
    assert (events.started, events.ended) == (["small"], ["Paris it is"])
    assert "tagged" in events.tags
    assert answer.id.startswith("lc_run")
    assert told(answer)["hit"] == "exact"
    streams = ask in (WAYS["stream"], WAYS["astream"])
    assert [t for t in events.tokens if t] == (["Paris ", "it ", "is"] if streams else [])


def test_a_hit_says_in_events_what_it_is():
    mux = pair(None)
    mux.invoke(QUESTION)
    output = in_events(mux)[1]
    assert output.usage_metadata["total_cost"] == 0
    assert told(output)["hit"] == "exact"


def test_a_conversation_with_a_checkpointer_keeps_every_turn_of_equal_answers():
    agents = pytest.importorskip("langchain.agents", reason="it comes with the extra `agents`")
    from langgraph.checkpoint.memory import InMemorySaver

    mux = multiplexed(cache=lec())
    agent = agents.create_agent(mux, checkpointer=InMemorySaver())
    for thread in ("1", "2"):
        config = {"configurable": {"thread_id": thread}}
        for turn in ("Hello", "Goodbye"):
            state = agent.invoke({"messages": [("human", turn)]}, config)
        assert [m.type for m in state["messages"]] == ["human", "ai"] * 2
        assert len({message.id for message in state["messages"]}) == 4
    assert mux.stats().hits == 2
