"""`ChatHuggingFace`, whose models all tell the same of themselves, over two small ones of transformers.

`langchain-huggingface` is none of what the tests install, as it holds huggingface-hub back below 2: this
runs where it is installed all the same. By hand it was run over SmolLM2-135M too. What the kind asks of
the package is tested in `unit_tests/read/test_twins.py`, with a fake that is as silent.
"""

import asyncio
import logging

import pytest

from langchain_cachemux import LECCache, MultiplexedLLM, cached

pytest.importorskip("transformers", reason="it comes with the extra `local`")
huggingface = pytest.importorskip(
    "langchain_huggingface", reason="it is none of what tests install"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own

QUESTION = "what is the capital of france"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
WORDS = [*QUESTION.split(), "paris", "rome", "is", "it", "not", *SPECIAL.values()]
TEMPLATE = "{% for message in messages %}<s> {{ message['content'] }} {% endfor %}"


def chat(seed):
    """A chat model of some thousand random weights: it says nonsense, each seed its own."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, pipeline

    place = {word: n for n, word in enumerate(dict.fromkeys(WORDS))}
    words = Tokenizer(models.WordLevel(place, SPECIAL["unk_token"]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **SPECIAL)
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(place),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=place["<s>"],
        eos_token_id=place["</s>"],
    )
    made = pipeline(
        "text-generation",
        model=LlamaForCausalLM(config),
        tokenizer=tokenizer,
        max_new_tokens=5,
        do_sample=False,
        return_full_text=False,
    )
    llm = huggingface.HuggingFacePipeline(pipeline=made)
    return huggingface.ChatHuggingFace(llm=llm, tokenizer=tokenizer, model_id=f"seed {seed}")


@pytest.fixture(scope="module")
def pair():
    one, other = chat(1), chat(2)
    assert one._get_llm_string() == other._get_llm_string()
    assert one.invoke(QUESTION).text != other.invoke(QUESTION).text
    return one, other


def told(answer):
    return answer.response_metadata["cachemux"]


def warnings(caplog):
    return [r for r in caplog.records if r.name.startswith("langchain_cachemux")]


def test_each_way_of_asking_hits_what_another_stored(pair, caplog):
    llm = cached(pair[0], LECCache())
    fresh = llm.invoke(QUESTION)
    assert "hit" not in told(fresh)
    streamed = "".join(chunk.text for chunk in llm.stream(QUESTION))
    answers = [asyncio.run(llm.ainvoke(QUESTION)), *llm.batch([QUESTION] * 3)]
    assert {streamed, *(answer.text for answer in answers)} == {fresh.text}
    assert {told(answer)["hit"] for answer in answers} == {"exact"}
    assert llm.cache.stats().misses == 1
    assert len(warnings(caplog)) == 1


def test_a_stream_that_nobody_asked_before_is_stored(pair):
    llm = cached(pair[0], LECCache())
    fresh = "".join(chunk.text for chunk in llm.stream(QUESTION))
    again = llm.invoke(QUESTION)
    assert (again.text, told(again)["hit"]) == (fresh, "exact")


def test_two_models_share_a_cache_not_in_silence_and_none_with_namespaces(pair, caplog):
    caplog.set_level(logging.WARNING)
    shared = LECCache()
    first, second = (cached(model, shared).invoke(QUESTION) for model in pair)
    assert first.text == second.text
    assert "share answers" in caplog.text
    caplog.clear()
    own = [cached(model, LECCache(namespace=str(n))) for n, model in enumerate(pair)]
    first, second = (llm.invoke(QUESTION) for llm in own)
    assert first.text != second.text
    assert not warnings(caplog)


def test_a_multiplexer_names_them_and_asks_the_next_when_one_will_not_do(pair):
    expected = pair[1].invoke(QUESTION).text
    llm = MultiplexedLLM(*pair, cache=LECCache(), accept=lambda _, answer: answer.text == expected)
    assert list(llm.models) == ["small", "large"]
    answers = [llm.invoke(QUESTION), llm.invoke(QUESTION)]
    assert [answer.text for answer in answers] == [expected] * 2
    assert [told(answer).get("hit") for answer in answers] == [None, "exact"]
    assert {told(answer)["model"] for answer in answers} == {"large"}
