"""`rewrite=`: a turn of a conversation is compared on its own, across conversations."""

import asyncio
import threading
import time

import pytest
from blockbuster import blockbuster_ctx
from fakes import Events, Fake, Words, price
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda

from langchain_cachemux import LECCache, MultiplexedLLM, Reader, SentenceEncoder, Spending
from langchain_cachemux.rewriting import Rewriter
from langchain_cachemux.types import Match, Miss

SYSTEM = SystemMessage("Be brief.")
ALONE = {
    "And in Spain?": "What is the capital of Spain?",
    "What is its capital?": "What is the capital of Spain?",
    "And of Portugal?": "What is the capital of Portugal?",
    "Where was he born?": "Where was he born?",
}
FRANCE = [
    HumanMessage("What is the capital of France?"),
    AIMessage("Paris."),
    HumanMessage("And in Spain?"),
]
SPAIN = [
    HumanMessage("Tell me about Spain."),
    AIMessage("A land."),
    HumanMessage("What is its capital?"),
]
FIRST = [HumanMessage("What is the capital of Spain?")]


class Table:
    """Rewrites what it has in a table, and remembers what it was asked."""

    def __init__(self, table=ALONE, raises=None, slow=0.0):
        self.table, self.raises, self.slow = table, raises, slow
        self.asked = []

    def __call__(self, messages):
        self.asked.append([message.text for message in messages])
        time.sleep(self.slow)
        if self.raises is not None:
            raise self.raises
        return self.table.get(messages[-1].text)


class Awaited(Table):
    """As `Table`, to be awaited."""

    async def __call__(self, messages):
        await asyncio.sleep(self.slow)
        return Table(self.table, self.raises).__call__(messages)


def asked(cache, messages, *, says="Madrid.", llm="m"):
    """What is answered, and whether the model had to be asked."""
    model = Fake(model=llm, says=says, cache=cache)
    answer = model.invoke(messages)
    return answer.text, len(model.calls)


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def cache(table):
    with LECCache(embeddings=SentenceEncoder(), rewrite=table) as cache:
        yield cache


# What is served


@pytest.mark.parametrize("first", [FRANCE, SPAIN, FIRST])
@pytest.mark.parametrize("second", [FRANCE, SPAIN, FIRST])
def test_what_asks_the_same_on_its_own_is_answered_once(cache, first, second):
    assert asked(cache, first) == ("Madrid.", 1)
    assert asked(cache, second, says="Barcelona.") == ("Madrid.", 0)


def test_without_it_earlier_turns_must_be_equal():
    with LECCache(embeddings=SentenceEncoder()) as cache:
        for messages in (FRANCE, SPAIN, FIRST):
            assert asked(cache, messages) == ("Madrid.", 1)
        assert asked(cache, [*FRANCE[:2], HumanMessage("and in Spain?")]) == ("Madrid.", 0)
        assert cache.stats().rewritten == 0


def test_what_asks_something_else_on_its_own_is_not_served(cache):
    asked(cache, SPAIN)
    other = [*SPAIN[:2], HumanMessage("And of Portugal?")]
    assert asked(cache, other, says="Lisbon.") == ("Lisbon.", 1)


def test_the_match_is_one_by_meaning_and_says_how_risky(cache):
    asked(cache, FIRST)
    told = Fake(model="m", cache=cache).invoke(FRANCE).response_metadata["cachemux"]
    assert (told["hit"], told["similarity"]) == ("semantic", 1.0)
    assert 0 < told["risk"] < 0.1
    assert asked(cache, FRANCE) == ("Madrid.", 0)


def test_a_budget_that_is_spent_serves_no_rewritten_match(cache):
    asked(cache, FIRST)
    cache.match.pays = lambda risk, saved, kind="cache": False
    assert asked(cache, FRANCE, says="Barcelona.") == ("Barcelona.", 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([SYSTEM, *FRANCE], [SystemMessage("Be long."), *SPAIN]),
        ([SYSTEM, *FRANCE], SPAIN),
        ([SYSTEM, *FRANCE], FIRST),
    ],
)
def test_the_system_prompt_must_be_equal(cache, one, other):
    asked(cache, one)
    assert asked(cache, other, says="Barcelona.") == ("Barcelona.", 1)


def test_the_model_its_tools_and_the_namespace_must_be_equal(table):
    with LECCache(
        embeddings=SentenceEncoder(), rewrite=table, namespace=lambda m: m["user"]
    ) as cache:
        model = Fake(model="m", cache=cache)

        def served(messages, user="ann", model=model):
            answer = model.invoke(messages, {"metadata": {"user": user}})
            return "cachemux" in answer.response_metadata

        assert not served(FRANCE)
        assert served(SPAIN)
        assert not served(SPAIN, user="ben")
        assert not served(SPAIN, model=Fake(model="n", cache=cache))
        assert not served(SPAIN, model=model.bind_tools([{"name": "f", "description": "f"}]))


def test_the_same_question_about_other_documents_is_not_served(table):
    template = "Context: {context}\nQuestion: {question}"
    reader = Reader(SentenceEncoder(), split=template)

    def turn(question, about):
        return HumanMessage(template.format(context=about, question=question))

    def conversation(about):
        return [
            turn("Tell me about Spain.", about),
            AIMessage("A land."),
            turn("What is its capital?", about),
        ]

    with LECCache(reader=reader, rewrite=table) as cache:
        assert asked(cache, conversation("Spain, 1600")) == ("Madrid.", 1)
        assert asked(cache, conversation("Spain, 1602"), says="Valladolid.") == ("Valladolid.", 1)
        first = [turn("What is the capital of Spain?", "Spain, 1602")]
        assert asked(cache, first, says="Toledo.") == ("Toledo.", 1)
        other = [
            *conversation("Spain, 1600")[:1],
            AIMessage("A country."),
            conversation("Spain, 1600")[2],
        ]
        assert asked(cache, other, says="Toledo.") == ("Madrid.", 0)
        assert table.asked[0][-1] == "What is its capital?"


# Who is asked, and how often


def test_a_conversation_is_rewritten_once_and_an_exact_hit_not_at_all(cache, table):
    cache.lookup(dumps(FRANCE), "m")
    cache.lookup(dumps(FRANCE), "m")
    assert len(table.asked) == 1
    asked(cache, SPAIN, llm="n")
    assert len(table.asked) == 2
    cache.rewriter.clear()
    assert asked(cache, SPAIN, llm="n") == ("Madrid.", 0)
    assert len(table.asked) == 2


def test_what_was_known_longest_ago_is_forgotten(cache, table, monkeypatch):
    monkeypatch.setattr("langchain_cachemux.rewriting.REMEMBERED", 2)
    for said in "abcbca":
        cache.lookup(dumps([HumanMessage(said), *FRANCE[1:]]), "m")
    assert len(table.asked) == 4


def test_a_conversation_is_rewritten_once_for_all_models_and_anew_for_another_user(table):
    with LECCache(
        embeddings=Words(), rewrite=table, namespace=lambda m: m.get("user", "ann")
    ) as cache:
        for llm in "mnm":
            cache.lookup(dumps(FRANCE), llm)
        assert len(table.asked) == 1
        model = Fake(model="m", cache=cache)
        model.invoke(FRANCE, {"metadata": {"user": "ben"}})
        assert len(table.asked) == 2


# What its owner asks


def test_a_turn_is_explained_as_it_was_looked_up(cache):
    asked(cache, FIRST)
    asked(cache, FRANCE)
    told = cache.explain(dumps(FRANCE), Fake(model="m")._get_llm_string())
    assert told.startswith("On its own it asks 'What is the capital of Spain?'.\n")
    assert "'What is the capital of Spain?': 1.000 similar, same" in told
    assert cache.explain(FRANCE) == told
    assert "on its own" not in cache.explain(FIRST).lower()


def test_a_turn_that_was_never_looked_up_is_explained_as_it_was_said(cache, table):
    asked(cache, FIRST)
    told = cache.explain(FRANCE)
    assert (
        told
        == "A miss: nothing near is stored.\nOf the answers so served at most 2.00% may be wrong."
    )
    assert table.asked == []


@pytest.mark.parametrize("other", [SPAIN, FIRST])
def test_what_answered_a_turn_is_forgotten_by_its_conversation(cache, other):
    asked(cache, FRANCE)
    assert asked(cache, other) == ("Madrid.", 0)
    assert cache.forget(FRANCE) > 0
    assert cache.stats().entries == 0
    assert asked(cache, other, says="Barcelona.") == ("Barcelona.", 1)
    assert cache.check() == []


def test_what_was_stored_before_a_turn_could_be_rewritten_is_forgotten_with_it(cache, table):
    table.raises = OSError("down")
    asked(cache, FRANCE)
    table.raises = None
    for _ in range(2):
        asked(cache, FRANCE, llm="n")
    assert cache.stats().entries == 2
    assert cache.forget(FRANCE) == 2


def test_a_turn_that_was_answered_wrong_is_not_served_by_meaning_again(cache):
    asked(cache, FIRST, says="Barcelona.")
    answer = Fake(model="m", cache=cache).invoke(FRANCE)
    assert answer.text == "Barcelona."
    assert cache.feedback(answer, ok=False)
    assert asked(cache, FRANCE) == ("Madrid.", 1)
    assert asked(cache, FIRST, says="Seville.") == ("Barcelona.", 0)


@pytest.mark.parametrize(
    "messages",
    [
        FIRST,
        [SYSTEM, *FIRST],
        [SYSTEM, AIMessage("How can I help?"), *FIRST],
        [*FIRST, AIMessage("Madrid.")],
        [*FRANCE[:1], AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
         ToolMessage("Paris", tool_call_id="1"), FRANCE[2]],
        [HumanMessage([{"type": "image_url", "image_url": {"url": "a"}}]), *FRANCE[1:]],
        [HumanMessage("Paris is old. " * 100), *FRANCE[1:]],
    ],
    ids=["first", "system", "greeted", "no question", "tools", "picture", "pasted text"],
)  # fmt: skip
def test_what_is_no_later_turn_in_words_is_left_as_it_is(cache, table, messages):
    asked(cache, messages)
    assert table.asked == []


def test_who_rewrites_is_shown_what_was_said_in_turn(cache, table):
    asked(cache, [SYSTEM, *FRANCE])
    assert table.asked == [["Be brief.", *(message.text for message in FRANCE)]]


@pytest.mark.parametrize(
    "said", [None, "", "NONE", "none of it" * 200, "Where was he born?", "Why?"]
)
def test_what_does_not_stand_on_its_own_either_is_compared_after_equal_turns(said):
    with LECCache(embeddings=Words(), rewrite=lambda messages: said) as cache:
        asked(cache, FRANCE)
        assert asked(cache, SPAIN)[1] == 1
        assert asked(cache, [*FRANCE[:2], HumanMessage("and in Spain?")])[1] == 0


async def test_equal_turns_asked_at_once_are_rewritten_once(table):
    table.slow = 0.2
    with LECCache(embeddings=Words(), rewrite=table) as cache:
        cache.warm()
        model = Fake(model="m", cache=cache)
        await asyncio.gather(*(model.ainvoke(FRANCE) for _ in range(4)))
    assert len(table.asked) == 1


def test_so_they_are_in_threads(table):
    table.slow = 0.2
    with LECCache(embeddings=Words(), rewrite=table) as cache:
        threads = [
            threading.Thread(target=cache.lookup, args=(dumps(FRANCE), "m")) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(table.asked) == 1


# Faults


@pytest.mark.parametrize("raises", [RuntimeError("down"), TimeoutError(), ValueError()])
def test_a_fault_is_spared_the_chain_and_who_failed_is_skipped_for_a_while(raises):
    table = Table(raises=raises)
    with LECCache(embeddings=Words(), rewrite=table) as cache:
        for number in range(8):
            assert asked(cache, [*FRANCE, AIMessage("M"), HumanMessage(f"And {number}?")])[1] == 1
        assert cache.stats().errors == 0
    assert len(table.asked) == 3


def test_what_is_no_text_is_a_fault_too():
    with LECCache(embeddings=Words(), rewrite=lambda messages: 3) as cache:
        assert asked(cache, FRANCE)[1] == 1
        assert (cache.stats().rewritten, cache.stats().errors) == (0, 0)


@pytest.mark.parametrize("kind", [Table, Awaited])
def test_whoever_is_slow_is_waited_for_only_so_long(kind):
    with LECCache(embeddings=Words(), rewrite=kind(slow=20.0)) as cache:
        cache.rewriter.deadline = 0.05
        began = time.perf_counter()
        cache.lookup(dumps(FRANCE), "m")
        asyncio.run(cache.alookup(dumps(SPAIN), "n"))
        assert time.perf_counter() - began < 10
        assert cache.stats().rewritten == 0


@pytest.mark.parametrize("given", ["large", 3, lambda: None, Table, ["small"]])
def test_who_cannot_rewrite_is_refused(given):
    with pytest.raises(ValueError, match="rewrite must be"):
        LECCache(embeddings=Words(), rewrite=given)


def test_a_reader_that_knows_no_turns_is_refused_where_some_are_rewritten():
    class Own:
        read = embed = vector = print

    with pytest.raises(ValueError, match="reader must be a Reader, or rewrite"):
        Rewriter(Table(), reader=Own(), price=price)
    assert Rewriter(None, reader=Own(), price=price).rewrite is None


# Models


WAYS = {
    "invoke": lambda model, messages: model.invoke(messages),
    "ainvoke": lambda model, messages: asyncio.run(model.ainvoke(messages)),
}
every_way = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)


@every_way
@pytest.mark.parametrize("kind", [Table, Awaited])
def test_a_function_may_be_plain_or_async(ask, kind):
    with LECCache(embeddings=Words(), rewrite=kind()) as cache:
        model = Fake(model="m", cache=cache)
        ask(model, FIRST)
        ask(model, FRANCE)
        assert len(model.calls) == 1


@every_way
def test_a_model_is_asked_in_words_of_ours_and_its_price_is_counted(ask):
    small = Fake(model="small", says='<think>Hm.</think>\n"What is the capital of Spain?"')
    with LECCache(embeddings=Words(), rewrite=small, price=price) as cache:
        model = Fake(model="large", cache=cache)
        ask(model, FIRST)
        ask(model, FRANCE)
        assert len(model.calls) == 1
        assert (cache.stats().rewritten, cache.stats().rewriting) == (1, 1.0)
    [call] = small.calls
    shown = call.messages[0].text
    assert shown.index("capital of France") < shown.index("Paris.") < shown.index("And in Spain?")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (' "Who wrote\n Emma?" ', "Who wrote Emma?"),
        ("“Who wrote Emma?”", "Who wrote Emma?"),
        ('Who wrote "Emma"', 'Who wrote "Emma"'),
        ('"Emma" and "Persuasion"', '"Emma" and "Persuasion"'),
        (AIMessage("<thinking>NONE</thinking>Who wrote Emma?"), "Who wrote Emma?"),
    ],
)
def test_only_what_is_around_all_that_was_said_is_taken_away(said, words):
    with LECCache(embeddings=Words(), rewrite=lambda messages: said) as cache:
        assert cache.find(dumps(FRANCE), "m").query.text == words


def test_a_runnable_that_ends_in_a_model_is_asked_as_one():
    small = Fake(model="small", says="What is the capital of Spain?") | RunnableLambda(
        lambda m: m.text
    )
    with LECCache(embeddings=Words(), rewrite=small, price=price) as cache:
        asked(cache, FIRST)
        assert asked(cache, FRANCE) == ("Madrid.", 0)


def test_what_a_model_is_asked_to_rewrite_is_not_cached_itself():
    with LECCache(embeddings=Words()) as cache:
        small = Fake(model="small", says="What is the capital of Spain?", cache=cache)
        cache.rewriter = Rewriter(small, reader=cache.reader, price=price)
        asked(cache, FRANCE)
        assert len(cache.ledger) == 1


@every_way
def test_who_counts_calls_hears_of_it_and_it_is_in_nobodys_stream(ask):
    heard = Events()
    small = Fake(model="small", says="What is the capital of Spain?")
    with LECCache(embeddings=Words(), rewrite=small, price=price) as cache:
        chain = RunnableLambda(list) | Fake(model="large", cache=cache)
        ask(chain.with_config(callbacks=[heard]), FRANCE)
        assert cache.stats().rewriting == 1.0
    assert sorted(heard.started) == ["large", "small"]
    assert "nostream" in heard.tags


def test_the_small_model_of_a_multiplexer_rewrites_and_is_paid_from_what_may_be_spent():
    rewriting = "What is the capital of Spain?"
    small = Fake(model="small", says=lambda m: rewriting if "JSON" in m[0].text else "Madrid.")
    spending = Spending(1000.0)
    with LECCache(embeddings=Words(), rewrite="small", price=price) as cache:
        assert asked(cache, FRANCE, llm="alone")[1] == 1
        assert cache.stats().rewritten == 0
        large = Fake(model="large", says="Madrid.")
        both = MultiplexedLLM(
            small, large, cache=cache, price=price, budget=spending, audit=0.0, seed=1
        )
        both.invoke(SPAIN)
        before = len(small.calls)
        answer = both.invoke(FRANCE)
        assert answer.response_metadata["cachemux"]["hit"] == "semantic"
        assert len(small.calls) == before + 1
        assert (cache.stats().rewritten, cache.stats().rewriting) == (2, 2.0)
        both.close()  # the first hits are audited meanwhile, which is paid too
        assert spending.spent == 1.0 * len(small.calls) + 10.0 * len(large.calls)


async def test_the_event_loop_goes_on_meanwhile(table):
    with LECCache(embeddings=Words(), rewrite=table) as cache:
        cache.warm()
        with blockbuster_ctx("langchain_cachemux"):
            await Fake(model="m", cache=cache).ainvoke(FIRST)
            await Fake(model="m", cache=cache).ainvoke(FRANCE)
        assert cache.stats().hits_semantic == 1


# Turns that follow others which differ in courtesy

PLAIN = [
    HumanMessage("What is the capital of France?"),
    AIMessage("Paris."),
    HumanMessage("How many people live in that city?"),
]
POLITE = [HumanMessage("Hi there! what is the capital of France? Thanks a lot."), *PLAIN[1:]]


class Judge:
    """Says what it was told to, hardly ever errs, and remembers what it was shown."""

    error = 1e-4

    def __init__(self, *, same=True):
        self.same = same
        self.shown = []

    def __call__(self, new, stored):
        self.shown.append((new, stored))
        return self.same


@pytest.fixture
def judged():
    opened = []

    def judged(judge, path=None, **arguments):
        arguments = {"embeddings": SentenceEncoder(), "price": lambda usage: 1.0, **arguments}
        opened.append(LECCache(path, judge=judge, **arguments))
        if judge is not None:
            opened[-1].lessons.referee._price = lambda usage: 0.01
        return opened[-1]

    yield judged
    for cache in opened:
        cache.close()


@pytest.mark.parametrize(("first", "second"), [(PLAIN, POLITE), (POLITE, PLAIN)])
def test_after_turns_that_differ_in_courtesy_a_judge_decides(judged, first, second):
    judge = Judge()
    cache = judged(judge)
    assert asked(cache, first, says="Two millions.") == ("Two millions.", 1)
    told = Fake(model="m", cache=cache).invoke(second).response_metadata["cachemux"]
    assert (told["hit"], told["judged"]) == ("semantic", True)
    assert judge.shown == [(PLAIN[-1].text,) * 2]
    assert asked(cache, second) == ("Two millions.", 0)
    assert cache.stats().hits_exact == 1
    assert cache.check() == []


def test_what_the_judge_turns_down_is_a_miss_and_explained(judged):
    cache = judged(Judge(same=False))
    asked(cache, PLAIN, says="Two millions.")
    assert isinstance(cache.find(dumps(POLITE), Fake(model="m")._get_llm_string()), Miss)
    told = cache.explain(dumps(POLITE), Fake(model="m")._get_llm_string())
    assert "the same text, but the turns before differ in greetings" in told
    assert asked(cache, POLITE, says="2.1 millions.") == ("2.1 millions.", 1)


@pytest.mark.parametrize("judge", [None, "local"])
def test_without_a_judge_of_any_question_it_is_never_served(judged, judge):
    cache = judged(judge, max_error=0.2)
    asked(cache, PLAIN, says="Two millions.")
    for place in range(40):  # labels enough to serve whatever is near
        cache.match.evidence.learn(_seen_of(cache), f"entry {place}", wrong=0.0)
    assert asked(cache, POLITE, says="2.1 millions.") == ("2.1 millions.", 1)


def _seen_of(cache):
    """What is seen of a pair in which nothing differs."""
    asked(cache, FIRST)
    query = cache.reader.embed(cache.reader.read(dumps([HumanMessage(FIRST[0].text + "!")]), "m"))
    entry = next(iter(cache.ledger.wordings())).entry
    return cache.match._compared(query, [Match(entry, 1.0, query.text)])[0][0].seen


def test_a_turn_of_courtesy_alone_may_be_an_answer(judged):
    asks = [HumanMessage("Book a table."), AIMessage("For eight?")]
    last = [AIMessage("Well."), PLAIN[2]]
    judge = Judge()
    cache = judged(judge)
    asked(cache, [*asks, HumanMessage("Okay."), *last])
    assert asked(cache, [*asks, HumanMessage("Sorry."), *last], says="None.") == ("None.", 1)
    assert judge.shown == []


@pytest.mark.parametrize(
    "others",
    [
        [HumanMessage("What is the capital of Spain?"), *PLAIN[1:]],
        [PLAIN[0], AIMessage("Paris, of course."), PLAIN[2]],
        [SYSTEM, *PLAIN],
        [HumanMessage("Hi, how are you? what is the capital of France?"), *PLAIN[1:]],
        [*PLAIN[:2], HumanMessage("Okay."), AIMessage("Yes?"), PLAIN[2]],
        PLAIN[2:],
    ],
    ids=["facts", "answer", "system", "question", "turn", "none"],
)
def test_after_turns_that_differ_in_more_nobody_is_asked(judged, others):
    judge = Judge()
    cache = judged(judge)
    asked(cache, others)
    assert asked(cache, PLAIN, says="Two millions.") == ("Two millions.", 1)
    assert judge.shown == []


def test_after_equal_turns_no_judge_is_needed(judged):
    judge = Judge()
    cache = judged(judge)
    asked(cache, PLAIN, says="Two millions.")
    again = [*PLAIN[:2], HumanMessage("how many people live in that city? thanks")]
    assert asked(cache, again) == ("Two millions.", 0)
    assert judge.shown == []


def test_it_is_so_after_a_restart_and_all_is_forgotten_by_its_conversation(judged, tmp_path):
    judge = Judge()
    asked(kept := judged(judge, tmp_path / "kept"), PLAIN, says="Two millions.")
    kept.close()
    cache = judged(judge, tmp_path / "kept")
    assert asked(cache, POLITE) == ("Two millions.", 0)
    assert "the turns before differ" not in cache.explain(PLAIN)
    assert cache.forget(PLAIN) == 1  # its other wording goes with it
    assert cache.stats().entries == 0
    assert cache.check() == []


def test_what_a_judge_passes_so_teaches_nothing_of_other_pairs(judged):
    cache = judged(Judge())
    asked(cache, PLAIN, says="Two millions.")
    answer = Fake(model="m", cache=cache).invoke(POLITE)
    assert len(cache.match.evidence) == 0
    assert cache.feedback(answer, ok=False)
    assert len(cache.match.evidence) == 0
    assert asked(cache, POLITE, says="2.1 millions.") == ("2.1 millions.", 1)
