"""`LECCache`: whose answers it serves, which it stores, which it forgets when told, and its copies."""

import asyncio
import copy
import pickle
import threading

import pytest
from fakes import Fake, Words, lec, multiplexed
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_cachemux import LECCache

QUESTION = "what is the balance"


@pytest.fixture
def make():
    made = []

    def make(**arguments):
        made.append(lec(**arguments))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


# Forgetting what was asked


def answered(cache, *conversation, model="m", **parameters):
    """Ask a model so that the cache holds its answer; how often it has been called by then."""
    fake = Fake(model=model, cache=cache, **parameters)
    fake.invoke([*conversation])
    return len(fake.calls)


def test_words_are_forgotten_with_all_models_and_after_whatever_was_said(make):
    cache = make()
    brief = SystemMessage("Be brief.")
    for before in ([], [brief]):
        for model in ("a", "b"):
            answered(cache, *before, HumanMessage(QUESTION), model=model)
    answered(cache, HumanMessage("something else"))
    assert cache.forget(f" {QUESTION} ") == 4
    assert cache.forget(QUESTION) == 0
    assert cache.stats().entries == 1
    assert answered(cache, HumanMessage(QUESTION), model="a") == 1
    assert cache.check() == []


def test_a_conversation_is_forgotten_and_no_other_that_ends_alike(make):
    cache = make()
    brief = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
    answered(cache, *brief)
    answered(cache, HumanMessage(QUESTION))
    assert cache.forget(brief) == 1
    assert (answered(cache, HumanMessage(QUESTION)), answered(cache, *brief)) == (0, 1)


def test_a_prompt_of_langchains_is_a_conversation(make):
    cache = make()
    prompt = ChatPromptTemplate([("system", "Be brief."), ("human", "{question}")])
    (prompt | Fake(model="m", cache=cache)).invoke({"question": QUESTION})
    assert cache.forget(prompt.invoke({"question": QUESTION})) == 1


def test_with_the_models_parameters_it_is_one_answer_be_it_without_words(make):
    cache = make()
    long = HumanMessage("word " * 500)
    model, other = (Fake(model=name, cache=cache) for name in ("a", "b"))
    for one in (model, other):
        one.invoke([long])
    assert cache.forget([long]) == 0
    assert cache.forget(dumps([long]), model._get_llm_string()) == 1
    assert cache.forget([long], other._get_llm_string()) == 1
    assert cache.stats().entries == 0


def test_what_is_no_question_is_refused(make):
    with pytest.raises(ValueError, match="input must be"):
        make().forget(42)


# Whose answers


def as_user(name):
    return {"metadata": {"user": name}}


def user(metadata):
    return metadata["user"]


def balances(cache):
    """A model that tells each call its number."""
    said = iter(range(100))
    return Fake(model="m", cache=cache, says=lambda _: f"{next(said)} euros")


ASK = {
    "invoke": lambda chain, config: chain.invoke(QUESTION, config),
    "ainvoke": lambda chain, config: asyncio.run(chain.ainvoke(QUESTION, config)),
    "batch": lambda chain, config: chain.batch([QUESTION], config)[0],
    "abatch": lambda chain, config: asyncio.run(chain.abatch([QUESTION], config))[0],
}
CHAINS = {
    "a model": lambda model: model,
    "a chain": lambda model: RunnableLambda(str) | model,
    "in a function": lambda model: RunnableLambda(model.invoke),
    "in a function that hands no config on": lambda model: RunnableLambda(
        lambda q: model.invoke(str(q)), lambda q: model.ainvoke(str(q))
    ),
    "a chain in a chain": lambda model: RunnableLambda(str) | (RunnableLambda(str) | model),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_users_known_only_in_the_config_share_nothing(make, ask, chain):
    cache = make(namespace=user)
    chain = chain(balances(cache))
    told = [ask(chain, as_user(name)).text for name in ("ann", "bob", "ann", "bob")]
    assert told == ["0 euros", "1 euros", "0 euros", "1 euros"]
    assert cache.stats().refused == 0


def test_nor_do_they_in_one_batch(make):
    model = balances(make(namespace=user))
    chain = RunnableLambda(str) | model
    users = ("ann", "bob", "ann", "bob")
    told = chain.batch([QUESTION] * 4, [as_user(name) for name in users])
    assert told[0].text == told[2].text != told[1].text == told[3].text
    assert len(model.calls) == 2


def test_nor_where_a_chain_of_one_calls_for_another(make):
    model = balances(make(namespace=user))
    for_bob = RunnableLambda(str) | model
    outer = RunnableLambda(lambda q: for_bob.batch([q], as_user("bob"))[0])
    told = [chain.invoke(QUESTION, as_user("ann")).text for chain in (model, outer, model)]
    assert told == ["0 euros", "1 euros", "0 euros"]


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_nor_through_a_multiplexer(make, ask):
    said = iter(range(100))
    cache = make(namespace=user)
    mux = multiplexed(Fake(model="small", says=lambda _: f"{next(said)} euros"), cache=cache)
    told = [ask(mux, as_user(name)).text for name in ("ann", "bob", "ann", "bob")]
    assert told == ["0 euros", "1 euros", "0 euros", "1 euros"]


def test_near_questions_of_two_users_do_not_meet(make):
    model = balances(make(namespace=user))
    model.invoke(QUESTION, as_user("ann"))
    assert model.invoke("What is the balance?", as_user("bob")).text == "1 euros"
    assert model.invoke("What is the balance?", as_user("ann")).text == "0 euros"


def test_nor_where_a_function_of_one_calls_for_another(make):
    model = balances(make(namespace=user))
    outer = RunnableLambda(lambda q, config: model.invoke(q, {**config, **as_user("bob")}))
    told = [chain.invoke(QUESTION, as_user("ann")).text for chain in (model, outer, model)]
    assert told == ["0 euros", "1 euros", "0 euros"]


def test_without_a_user_nothing_is_cached(make):
    cache = make(namespace=user)
    model = balances(cache)
    assert [model.invoke(QUESTION).text for _ in range(2)] == ["0 euros", "1 euros"]
    assert (cache.stats().entries, cache.stats().errors) == (0, 0)
    assert cache.stats().refused == 4


@pytest.mark.parametrize("name", ["", None, 3, ["ann"]])
def test_what_is_no_name_names_nobody(make, name):
    cache = make(namespace=lambda metadata: name)
    balances(cache).invoke(QUESTION)
    assert cache.stats().entries == 0


def test_two_caches_of_one_folder_share_only_a_namespace(tmp_path):
    for namespace, calls in (("key one", 1), ("key two", 1), ("key one", 0), (None, 1)):
        with LECCache(tmp_path, embeddings=Words(), namespace=namespace) as cache:
            assert answered(cache, HumanMessage(QUESTION)) == calls


@pytest.mark.parametrize("namespace", ["", 3, b"ann", lambda: "ann"])
def test_what_is_no_namespace_is_refused(namespace):
    with pytest.raises(ValueError, match="namespace must be a name, or a plain function"):
        lec(namespace=namespace)


# What is stored


def test_a_hook_says_what_may_be_served_again(make):
    cache = make(cacheable=lambda message: "euros" in message.text)
    said = iter(["who knows", "1 euros", "2 euros"])
    model = Fake(model="m", cache=cache, says=lambda _: next(said))
    assert [model.invoke(QUESTION).text for _ in range(3)] == ["who knows", "1 euros", "1 euros"]
    assert cache.stats().refused == 1


def test_a_hook_that_raises_costs_the_answer_and_not_the_call(make):
    cache = make(cacheable=lambda message: message.no_such_thing)
    model = balances(cache)
    assert [model.invoke(QUESTION).text for _ in range(2)] == ["0 euros", "1 euros"]
    assert (cache.stats().entries, cache.stats().errors) == (0, 2)


async def _says(message):
    return True


@pytest.mark.parametrize("cacheable", [True, "stop", _says, lambda: True])
def test_what_is_no_hook_is_refused(cacheable):
    with pytest.raises(ValueError, match="cacheable must be a plain function of one message"):
        lec(cacheable=cacheable)


def test_nothing_that_was_asked_with_is_kept_in_clear(tmp_path):
    secrets = ("sk-secret-key", "X-Tenant-Secret", "tenant-token", "http://internal.example")
    with LECCache(tmp_path, embeddings=Words(), namespace="customer-namespace") as cache:
        parameters = dict(zip("abcd", secrets, strict=True))
        llm = f"{parameters}---[('stop', None)]"
        cache.update(
            dumps([HumanMessage(QUESTION)]), llm, Fake(model="m")._generate([]).generations
        )
        assert cache.lookup(dumps([HumanMessage(QUESTION)]), llm) is not None
        assert cache.stats().entries == 1
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert QUESTION.encode() in written  # what is asked is kept; who asks, and with what, is not
    for secret in (*secrets, "customer-namespace"):
        assert secret.encode() not in written


# Copies


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))],  # noqa: S301
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_is_the_cache_itself(make, copied):
    cache = make()
    assert copied(cache) is cache


def test_a_copy_of_a_model_shares_the_cache(make):
    model = balances(make())
    model.invoke(QUESTION)
    for other in (copy.deepcopy(model), model.model_copy(deep=True)):
        assert other.cache is model.cache
        assert other.invoke(QUESTION).text == "0 euros"


def test_what_was_forgotten_in_the_middle_of_other_threads_work_breaks_nothing(make):
    cache, stop = make(), threading.Event()
    model = Fake(model="m", cache=cache)

    def ask():
        while not stop.is_set():
            assert isinstance(model.invoke(QUESTION), AIMessage)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        cache.forget(QUESTION)
    stop.set()
    for thread in threads:
        thread.join()
    assert cache.stats().errors == 0
    assert cache.check() == []


# What the config of a run says of the answers that are kept in it


def saying(**given):
    return {"metadata": {"cachemux": given}}


def chain_of(cache, **fields):
    """A prompt, a model before the cache, and something after it."""
    fake = Fake(model="m", cache=cache, **fields)
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | fake
    return chain | RunnableLambda(lambda message: message.text), fake


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch"])
def test_an_answer_is_tagged_by_the_config_of_the_chain_that_asked(make, how):
    cache = make()
    chain, fake = chain_of(cache)
    asked = {"question": QUESTION}
    if how == "invoke":
        chain.invoke(asked, saying(tags=["gold"]))
    elif how == "ainvoke":
        asyncio.run(chain.ainvoke(asked, saying(tags=["gold"])))
    else:
        chain.batch([asked], saying(tags=["gold"]))
    chain.invoke({"question": "something else"}, saying(tags=["silver"]))
    assert cache.invalidate(tag="gold") == 1
    assert cache.stats().entries == 1
    chain.invoke(asked)
    assert len(fake.calls) == 3


def test_the_config_goes_before_a_block_and_both_tag(make):
    now = [1000.0]
    cache = make(clock=lambda: now[0], ttl=1000)
    chain, _ = chain_of(cache)
    with cache.keeping(ttl=500, tags=["block"]):
        chain.invoke({"question": QUESTION}, saying(ttl=10, tags=["gold"]))
    (entry,) = cache.ledger
    assert entry.expires == 1010
    assert {"tag:block", "tag:gold"} <= {*entry.labels}
    now[0] += 11
    assert chain.invoke({"question": QUESTION}, saying(tags=["late"])) is not None
    (entry,) = cache.ledger
    assert (entry.expires, entry.labels[0]) == (2011, "tag:late")


def test_a_sliding_end_is_renewed_as_the_config_says(make):
    now = [1000.0]
    cache = make(clock=lambda: now[0], ttl=1000, sliding=True)
    chain, fake = chain_of(cache)
    for _ in range(2):
        chain.invoke({"question": QUESTION}, saying(ttl=10))
        now[0] += 8
    chain.invoke({"question": QUESTION}, saying(ttl=10))
    assert len(fake.calls) == 1


def test_a_multiplexers_answer_is_tagged_so_too(make):
    cache = make()
    llm = multiplexed(cache=cache)
    llm.invoke(QUESTION, saying(tags=["gold"]))
    assert cache.invalidate(tag="gold") == 1


@pytest.mark.parametrize(
    "given", [{"tags": "gold"}, {"ttl": -1}, {"tag": ["gold"]}, "gold", {"tags": [""]}]
)
def test_an_answer_whose_config_is_not_understood_is_not_kept_and_the_chain_goes_on(make, given):
    cache = make()
    chain, fake = chain_of(cache)
    for _ in range(2):
        assert chain.invoke({"question": QUESTION}, {"metadata": {"cachemux": given}})
    assert (len(fake.calls), cache.stats().entries, cache.stats().errors) == (2, 0, 2)
