"""The router as LangChain's own middleware takes it, where langchain-core has decision models."""

import asyncio
import warnings
from importlib import import_module
from importlib.util import find_spec

import pytest
from fakes import QUESTION, Fake, Words, multiplexed
from langchain_core.messages import HumanMessage

HAS_DECISIONS = find_spec("langchain_core.decisions") is not None
since_core_1_8 = pytest.mark.skipif(not HAS_DECISIONS, reason="it comes with langchain-core 1.8")


def deciding(llm):
    return import_module("langchain_cachemux.decisions").CachemuxDecisionModel(llm)


def choice(*labels):
    from langchain_core.decisions import Choice

    return Choice(instructions="Which?", criteria=dict.fromkeys(labels, "what suits it"))


def fresh(**kwargs):
    """A multiplexer that learns by feedback alone, and begins with the large model."""
    return multiplexed(
        Fake(model="small"), Fake(model="large"), router=None, audit=0.0, seed=1, **kwargs
    )


def decide(llm, state=QUESTION, labels=("small", "large")):
    request = {"state": state, "questions": {"route": choice(*labels)}}
    return deciding(llm).invoke(request)


@pytest.mark.skipif(HAS_DECISIONS, reason="here is a langchain-core that has them")
def test_an_older_core_is_told_what_is_needed():
    with pytest.raises(ImportError, match=r"needs langchain-core>=1\.8"):
        import_module("langchain_cachemux.decisions")


@since_core_1_8
@pytest.mark.parametrize("per", ["invoke", "ainvoke"])
def test_langchains_own_middleware_asks_the_model_that_the_router_chose(per):
    from langchain.agents import create_agent
    from langchain.agents.middleware import ModelChoice, ModelRouterMiddleware

    models = {"small": Fake(model="small"), "large": Fake(model="large")}
    with warnings.catch_warnings(action="ignore"):  # it is in beta, and says so once
        routes = ModelRouterMiddleware(
            choices={name: ModelChoice(model=one, criteria="") for name, one in models.items()},
            instructions="The least costly model that will do.",
            classifier=deciding(multiplexed(**models)),
        )
    agent = create_agent(Fake(model="none"), middleware=[routes])
    asked = {"messages": [HumanMessage(QUESTION)]}
    state = agent.invoke(asked) if per == "invoke" else asyncio.run(agent.ainvoke(asked))
    assert state["messages"][-1].response_metadata["model_name"] == "small"
    assert [len(model.calls) for model in models.values()] == [1, 0]


@since_core_1_8
def test_it_chooses_the_large_model_until_feedback_says_that_the_small_one_does():
    llm = fresh(error_price=50.0, safe=True)
    assert decide(llm).choices["route"].choice == "large"
    assert decide(llm).choices["route"].probabilities["small"] < 0.9
    query = llm.routed(llm.reader.read(QUESTION, ""), QUESTION)
    for _ in range(60):
        llm.learn(query, "large", cost=10.0)
        llm.learn(query, "small", cost=1.0, failed=0.0)
    answer = decide(llm).choices["route"]
    assert answer.choice == "small"
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.confidence == pytest.approx(answer.probabilities["small"])


@since_core_1_8
def test_feedback_may_name_a_decision():
    llm = fresh()
    response = decide(llm)
    assert llm.feedback(response.request_id, 1.0)
    assert llm.stats().feedback == 1


@since_core_1_8
@pytest.mark.parametrize("state", [QUESTION, HumanMessage(QUESTION), [HumanMessage(QUESTION)]])
def test_it_reads_words_and_messages(state):
    llm = multiplexed(embeddings=Words())
    assert decide(llm, state).choices["route"].choice == "small"
    assert llm.reader.embeddings.asked == [QUESTION]


@since_core_1_8
def test_choices_of_other_models_are_refused():
    with pytest.raises(ValueError, match=r"labels are the models \['small', 'large'\]"):
        decide(multiplexed(), labels=("fast", "smart"))


@since_core_1_8
def test_a_multiplexer_that_only_a_judge_guards_is_refused():
    with pytest.raises(ValueError, match="max_error= or error_price="):
        deciding(multiplexed(accept=lambda messages, answer: True))
    with pytest.raises(ValueError, match="llm must be a MultiplexedLLM"):
        deciding(Fake(model="small"))
