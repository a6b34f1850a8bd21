"""Models that nothing tells apart share a cache, and that is said once."""

import asyncio
import gc
import logging
import weakref

import pytest
from fakes import QUESTION, Fake, lec
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.runnables import RunnableLambda
from pydantic import SecretStr

from langchain_cachemux import LECCache, MultiplexedLLM, cached
from langchain_cachemux.read.runs import asked_by, asking, watch
from langchain_cachemux.read.twins import Twins


class Silent(Fake):
    """As `ChatHuggingFace`: says the same of itself whatever it wraps."""

    model: str = "wrapped"

    @property
    def _llm_type(self):
        return "huggingface-chat-wrapper"

    @property
    def _identifying_params(self):
        return {}

    def _get_ls_params(self, stop=None, **kwargs):
        return {"ls_provider": "silent", "ls_model_type": "chat"}


class Keyed(Fake):
    """Has a key, which is no part of what it tells of itself."""

    model: str = "keyed"
    api_key: SecretStr


def keyed(*keys, **fields):
    return [Keyed(api_key=key, **fields) for key in keys]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def bare(model, cache):
    return model.model_copy(update={"cache": cache})


def two(model, cache):
    return MultiplexedLLM(
        models={"small": model, "large": model}, cache=cache, audit=0.0, seed=0, price="seconds"
    )


ASK = {
    "invoke": lambda model: model.invoke(QUESTION),
    "ainvoke": lambda model: asyncio.run(model.ainvoke(QUESTION)),
    "in a chain": lambda model: (RunnableLambda(lambda x: x) | model).invoke(QUESTION),
    "batch": lambda model: model.batch([QUESTION] * 3),
    "abatch": lambda model: asyncio.run(model.abatch([QUESTION] * 3)),
}
STREAMED = {
    "stream": lambda model: list(model.stream(QUESTION)),
    "events": lambda model: asyncio.run(_events(model)),
}


async def _events(model):
    return [event async for event in model.astream_events(QUESTION, version="v2")]


FACES = [
    pytest.param(face, ask, id=f"{face.__name__}, {name}")
    for face in (bare, cached, two)
    for name, ask in (ASK if face is bare else ASK | STREAMED).items()
]


@pytest.mark.parametrize(("face", "ask"), FACES)
def test_of_models_that_say_the_same_of_themselves_is_warned_once(face, ask, caplog):
    cache = lec()
    for model in (Silent(), Silent(model="another")):
        ask(face(model, cache))
    (warning,) = warnings(caplog)
    assert "[('_type', 'huggingface-chat-wrapper'), ('stop', None)]" in warning
    assert "namespace=" in warning


@pytest.mark.parametrize(("face", "ask"), FACES)
def test_of_models_that_differ_in_their_keys_alone_is_warned_once(face, ask, caplog):
    cache = lec()
    first, second = keyed("sesame", "mellon")
    ask(face(first, cache))
    ask(face(first.model_copy(), cache))
    assert not warnings(caplog)
    for _ in range(2):
        ask(face(second, cache))
    (warning,) = warnings(caplog)
    assert "differ in api_key alone" in warning
    assert "namespace=" in warning
    assert "sesame" not in caplog.text
    assert "mellon" not in caplog.text


@pytest.mark.parametrize("models", [keyed("a", "b"), [Silent(), Silent()]], ids=["keys", "silent"])
def test_langchains_own_caches_are_watched_over_too_where_a_face_asks_them(models, caplog):
    cache = InMemoryCache()
    for model in models:
        cached(model, cache).invoke(QUESTION)
        cached(model, InMemoryCache()).invoke("And of Spain?")
    assert len(warnings(caplog)) == (1 if isinstance(models[0], Keyed) else 3)


@pytest.mark.parametrize("models", [keyed("a", "b"), [Silent(), Silent()]], ids=["keys", "silent"])
def test_with_a_cache_and_a_namespace_of_its_own_each_has_its_own_answers(models, caplog):
    for name, model in zip(("ours", "theirs"), models, strict=True):
        answer = cached(model, lec(namespace=name)).invoke(QUESTION)
        assert "hit" not in answer.response_metadata["cachemux"]
    assert not warnings(caplog)


def test_nor_where_the_cache_finds_whose_call_it_is(caplog):
    cache = lec(namespace=lambda metadata: metadata["tenant"])
    for tenant, model in zip("ab", keyed("a", "b"), strict=True):
        for face in (bare, cached):
            face(model, cache).invoke(QUESTION, {"metadata": {"tenant": tenant}})
    assert not warnings(caplog)
    assert cache.stats().misses == 2


def test_other_parameters_are_enough_to_be_told_apart(caplog):
    cache = lec()
    for model in (*keyed("a", temperature=0.0), *keyed("b", temperature=1.0)):
        cached(model, cache).invoke(QUESTION)
    assert not warnings(caplog)


def test_a_lookup_of_nobodys_says_nothing_of_keys(caplog):
    cache, (model, other) = lec(), keyed("a", "b")
    bare(model, cache).invoke(QUESTION)
    assert asking() == []
    cache.lookup("prompt", other._get_llm_string())
    assert not warnings(caplog)


def test_who_asks_is_the_model_of_the_run_or_those_that_a_face_names():
    seen = []

    class Spy(InMemoryCache):
        def lookup(self, prompt, llm_string):
            seen.append([*asking()])

        async def alookup(self, prompt, llm_string):
            seen.append([*asking()])

    watch()
    model = Fake(model="m", cache=Spy())
    model.invoke(QUESTION)
    asyncio.run(model.ainvoke(QUESTION))
    assert [one for (one,) in seen] == [model, model]
    with asked_by([model]):
        assert [*asking()] == [model]
    assert [*asking()] == []


def test_a_model_that_was_asked_is_not_kept_alive():
    watch()
    gone = []
    model = Fake(model="m", cache=lec())
    model.invoke(QUESTION)
    weakref.finalize(model, gone.append, 1)
    del model
    gc.collect()
    assert gone == [1]


def test_what_tells_of_itself_or_is_none_of_langchains_is_no_twin(caplog):
    twins = Twins()
    for written in (
        "[('_type', 'a'), ('model', 'b'), ('stop', None)]",
        "m",
        "{}---[('stop', None)]",
    ):
        twins.notice(written, written)
    assert not warnings(caplog)
    twins.notice(GenericFakeChatModel(messages=iter([]))._get_llm_string(stop=["(", "]"]), "s")
    assert len(warnings(caplog)) == 1


def test_the_keys_of_a_providers_models_are_seen(caplog):
    openai = pytest.importorskip("langchain_openai", reason="it comes with the extra `demo`")
    twins, strings = Twins(), set()
    for key in ("sesame", "mellon"):
        model = openai.ChatOpenAI(model="gpt-4o-mini", api_key=key)
        strings.add(model._get_llm_string())
        with asked_by([model]):
            twins.notice(model._get_llm_string(), "scope")
    assert len(strings) == 1
    (warning,) = warnings(caplog)
    assert "differ in openai_api_key alone" in warning


def test_who_asked_first_is_remembered_of_so_many_scopes(monkeypatch, caplog):
    monkeypatch.setattr("langchain_cachemux.read.twins.SCOPES", 2)
    twins, (one, other) = Twins(), keyed("a", "b")
    with asked_by([one]):
        for scope in "abcd":
            twins.notice("m", scope)
    with asked_by([other]):
        twins.notice("m", "a")
        assert not warnings(caplog)
        twins.notice("m", "d")
    assert len(warnings(caplog)) == 1


def test_an_llm_cache_with_two_keys_goes_on_answering():
    cache = LECCache(embeddings=lec().reader.embeddings)
    first, second = keyed("a", "b")
    bare(first, cache).invoke(QUESTION)
    assert bare(second, cache).invoke(QUESTION).response_metadata["cachemux"]["hit"] == "exact"
    assert cache.stats().errors == 0
