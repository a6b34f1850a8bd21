"""What a cache learns of pairs of questions: labels, aliases, differences, audits, a judge, a user."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from langchain_cachemux import ErrorBudget, Hit, LECCache, Miss, MultiplexedLLM, Threshold
from langchain_cachemux.agree import Agree
from langchain_cachemux.lessons import Lessons
from langchain_cachemux.match import verified
from langchain_cachemux.match.judges import Opinion
from langchain_cachemux.match.surface import Surface
from langchain_cachemux.match.verified import Verified
from langchain_cachemux.read.answers import stated
from langchain_cachemux.referee import TRIED

LLM = "a model"
LONG = "The library on the hill opens its doors to everybody who walks there on a weekday morning"


class Near(Embeddings):
    """Questions of one topic, the word before the colon, are near; all others are far."""

    def embed_query(self, text):
        topic, _, rest = text.partition(":")
        rng = np.random.default_rng(int.from_bytes(topic.encode()[-7:].rjust(7, b" ")))
        base = rng.normal(size=64)
        own = np.random.default_rng(int.from_bytes(rest.encode()[-7:].rjust(7, b" ")))
        vector = base / np.linalg.norm(base) + own.normal(size=64) * 0.04
        return [float(x) for x in vector]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.fixture(autouse=True)
def surface(monkeypatch):
    """The word after the colon is the verdict; "another" itself would refer to something unsaid."""

    def compare(new, stored):
        verdict = new.partition(":")[2].split()[0].replace("barred", "another")
        return Surface(verdict, f"it is {verdict}", shared=0.0, in_frame=False, differing=())

    monkeypatch.setattr(verified, "compare", compare)


@pytest.fixture
def make():
    opened = []

    def make(path=None, **arguments):
        arguments = {"embeddings": Near(), "price": lambda usage: 1.0, **arguments}
        opened.append(LECCache(path, **arguments))
        return opened[-1]

    yield make
    for cache in opened:
        cache.close()


def ask(text):
    return dumps([HumanMessage(text)])


def chat(text):
    return [ChatGeneration(message=AIMessage(text))]


def call(cache, question, answer):
    """A question on its way: what it hit, else its fresh answer is stored."""
    found = cache.lookup(ask(question), LLM)
    if found is None:
        cache.update(ask(question), LLM, chat(answer))
        return None
    return found[0].text


def test_a_question_whose_fresh_answer_agrees_becomes_another_wording_of_the_stored_one(make):
    cache = make()
    call(cache, "a:first", "Paris")
    assert call(cache, "a:unsure words", "It is Paris.") is None
    assert (cache.stats().reworded, cache.stats().entries) == (1, 1)
    found = cache.find(ask("a:unsure words"), LLM)
    assert (found.kind, stated(chat("Paris")[0])) == ("exact", "Paris")
    assert call(cache, "a:unsure words", "") == "Paris"
    assert cache.check() == []


def test_a_question_whose_fresh_answer_differs_is_stored_and_the_pair_is_remembered(make):
    cache = make()
    call(cache, "a:first", "Paris")
    call(cache, "a:unsure words", "Rome")
    first, second = (cache.reader.read(ask(t), LLM).key for t in ("a:first", "a:unsure words"))
    assert cache.stats().entries == 2
    assert cache.ledger.differs(first, second)
    assert cache.stats().labels == 1


def test_what_the_surface_objects_to_is_no_wording_even_if_the_answers_agree(make):
    cache = make()
    call(cache, "a:first", "Yes")
    call(cache, "a:barred words", "Yes")
    assert (cache.stats().reworded, cache.stats().entries) == (0, 2)


def test_long_answers_that_are_neither_near_nor_far_teach_nothing(make, monkeypatch):
    cache = make()
    monkeypatch.setattr(cache.lessons.same, "embed", lambda text: np.array([1.0, 0.0]) * 0.85)
    call(cache, "a:first", LONG)
    call(cache, "a:unsure words", f"{LONG} or evening")
    assert (cache.stats().labels, cache.stats().entries) == (0, 2)


def leave_open(cache, monkeypatch):
    """Have two questions answered of which the answers do not tell whether they are the same."""
    monkeypatch.setattr(cache.lessons.same, "embed", lambda text: np.array([1.0, 0.0]) * 0.85)
    for _ in range(5):
        call(cache, "b:first", "Rome")
    call(cache, "a:first", LONG)
    call(cache, "a:unsure words", f"{LONG} or evening")


def test_a_judge_settles_afterwards_what_the_answers_left_open(make, monkeypatch):
    asked = []

    def judge(new, stored):
        asked.append((new, stored))
        return True

    cache = make(judge=judge, judge_when="after")
    leave_open(cache, monkeypatch)
    assert cache.wait(30)
    assert asked == [("a:unsure words", "a:first")]
    assert call(cache, "a:unsure words", "") == LONG
    assert cache.find(ask("a:unsure words"), LLM).entry.text == "a:first"
    assert cache.stats().judged_after == 1
    assert cache.check() == []


def test_a_question_becomes_no_wording_of_an_answer_that_was_replaced_while_the_model_was_asked(
    make,
):
    cache = make()
    call(cache, "a:first", "Paris")
    assert cache.lookup(ask("a:unsure words"), LLM) is None
    cache.update(ask("a:first"), LLM, chat("Rome"))
    cache.update(ask("a:unsure words"), LLM, chat("It is Paris."))
    assert call(cache, "a:unsure words", "") == "It is Paris."
    assert call(cache, "a:first", "") == "Rome"
    assert cache.check() == []


@pytest.fixture
def slow_judge():
    """A judge that passes all, some time: what it was asked, and what lets it speak."""
    asked, speak = threading.Event(), threading.Event()

    def judge(new, stored):
        asked.set()
        return speak.wait(30)

    yield judge, asked, speak
    speak.set()


@pytest.mark.parametrize(
    "forget",
    [
        lambda cache: cache.forget("a:unsure words"),
        lambda cache: cache.invalidate(contains="unsure words"),
        lambda cache: cache.clear() or call(cache, "a:first", LONG),
        lambda cache: cache.feedback(cache.reader.read(ask("a:unsure words"), LLM).key, ok=False),
        lambda cache: cache.update(ask("a:first"), LLM, chat("Rome")),
    ],
    ids=["forget", "invalidate", "clear", "feedback", "the answer was replaced"],
)
def test_what_a_judge_says_after_it_was_forgotten_stores_no_wording(
    make, monkeypatch, slow_judge, forget
):
    judge, asked, speak = slow_judge
    cache = make(judge=judge, judge_when="after")
    leave_open(cache, monkeypatch)
    assert asked.wait(30)
    forget(cache)
    speak.set()
    assert cache.wait(30)
    assert cache.stats().judged_after == 1
    assert len([*cache.ledger.wordings()]) == len(cache.ledger)


def test_a_judge_that_is_trusted_is_asked_first_and_what_it_passes_is_served_for_good(make):
    cache = make(judge=lambda new, stored: new.endswith("yes"))
    referee = cache.lessons.referee
    referee._price = lambda usage: 0.01
    for _ in range(3000):
        referee.learn(said_same=False, same=False)
        referee.learn(said_same=True, same=True)
    call(cache, "a:first", "Paris")
    hit = cache.find(ask("a:unsure yes"), LLM)
    assert isinstance(hit, Hit)
    assert (hit.judged, hit.risk <= 0.02) == (True, True)
    assert cache.find(ask("a:unsure yes"), LLM).kind == "exact"
    miss = cache.find(ask("a:unsure no"), LLM)
    assert isinstance(miss, Miss)
    assert "judge" in miss.reason
    stats = cache.stats()
    assert (stats.hits_judged, stats.judged_before) == (1, 2)
    assert cache.check() == []


def test_what_a_judge_passes_is_a_label_of_the_pair_that_would_have_been_served(make):
    def judge(new, stored):
        return new.endswith("yes")

    judge.error = 1e-4
    cache = make(judge=judge)
    cache.lessons.referee._price = lambda usage: 0.01
    call(cache, "a:first", "Paris")
    before = cache.match.judge(*beside(cache, "a:unsure yes")).compared[0]
    hits = [call(cache, f"a:unsure {place} yes", "Paris") for place in range(30)]
    assert hits.count("Paris") >= cache.stats().hits_judged == cache.lessons.labels["judge"] >= 8
    after = cache.match.judge(*beside(cache, "a:unsure yes"))
    risk = after.risk if isinstance(after, Hit) else after.compared[0].risk
    assert risk < before.risk / 2


def test_where_a_judge_is_always_wrong_two_answers_are_served_on_its_word_and_no_third(make):
    def judge(new, stored):
        return True

    judge.error = 1e-4
    cache = make(judge=judge)
    cache.lessons.referee._price = lambda usage: 0.01
    call(cache, "a:first", "Paris")
    hits = [call(cache, f"a:unsure {place}", f"{place}") for place in range(20)]
    assert hits.count("Paris") == cache.lessons.referee.served == 2
    assert cache.lessons.referee.passed.yes >= 1


def test_a_judges_own_word_counts_once_fresh_answers_have_borne_it_out(make):
    def judge(new, stored):
        return True

    judge.error = 1e-4
    cache = make(judge=judge)
    cache.lessons.referee._price = lambda usage: 0.01
    call(cache, "a:first", "Paris")
    hits = [call(cache, f"a:unsure {place}", "Paris") for place in range(20)]
    assert hits.count("Paris") == 20 - TRIED
    assert hits[-10:] == ["Paris"] * 10
    assert cache.lessons.referee.passed.no == TRIED


def beside(cache, question):
    """A question, and what is near it."""
    query = cache.reader.embed(cache.reader.read(ask(question), LLM))
    return query, cache._shelf.near(query)


def test_a_judge_may_pass_what_the_surface_objects_to_and_equal_answers_alone_do_not(make):
    def judge(new, stored):
        return new.endswith("yes")

    judge.error = 1e-4
    cache = make(judge=judge)
    cache.lessons.referee._price = lambda usage: 0.01
    call(cache, "a:first", "Paris")
    assert call(cache, "a:barred yes", "") == "Paris"
    assert call(cache, "a:barred no", "Paris") is None
    assert (cache.stats().hits_judged, cache.stats().entries) == (1, 2)


def test_a_judge_of_small_differences_is_not_asked_what_the_surface_objects_to(make):
    class Narrow:
        narrow, error = True, 1e-4

        def judge(self, pair):
            return Opinion(1.0)

        async def ajudge(self, pair):
            return Opinion(1.0)

    cache = make(judge=Narrow())
    cache.lessons.referee._price = lambda usage: 0.01
    call(cache, "a:first", "Paris")
    assert call(cache, "a:barred words", "Rome") is None
    assert cache.stats().judged_before == cache.stats().judged_after == 0


def test_a_judge_that_is_not_trusted_yet_is_asked_afterwards_only(make):
    cache = make(judge=lambda new, stored: True)
    call(cache, "a:first", "Paris")
    assert call(cache, "a:unsure words", "Rome") is None
    assert cache.wait(30)
    assert (cache.stats().judged_before, cache.stats().judged_after) == (0, 1)
    assert cache.lessons.referee.passes_wrong.yes == 1


@pytest.mark.parametrize("fault", [RuntimeError("down"), "slow"])
def test_a_judge_that_fails_or_is_slow_costs_the_chain_nothing_but_the_deadline(make, fault):
    def judge(new, stored):
        if fault == "slow":
            time.sleep(1)
        else:
            raise fault
        return True

    cache = make(judge=judge)
    cache.lessons.referee.deadline = 0.05
    for _ in range(3000):
        cache.lessons.referee.learn(said_same=False, same=False)
        cache.lessons.referee.learn(said_same=True, same=True)
    call(cache, "a:first", "Paris")
    assert call(cache, "a:unsure words", "Paris") is None
    assert call(cache, "a:unsure words", "") == "Paris"
    assert cache.stats().errors == 0


def test_an_audited_hit_is_a_miss_whose_fresh_answer_settles_the_bet(make):
    cache = make(match=Verified(0.02, audit=1.0))
    for _ in range(verified.SPARED):
        assert cache.match.bet(0.001) is None
    call(cache, "a:first", "Paris")
    assert call(cache, "a:same one", "Paris") is None
    assert call(cache, "a:same two", "Rome") is None
    count = cache.match.budget.counts["cache"]
    assert (count.placed, count.audited, count.settled, count.lost) == (2, 2, 2, 1.0)
    assert cache.stats().audits == 2
    assert cache.stats().error == 0.5
    assert call(cache, "a:same one", "") == "Paris"
    assert call(cache, "a:same two", "") == "Rome"


def test_a_hit_is_a_miss_where_others_have_spent_meanwhile_what_was_to_pay_for_it(
    make, monkeypatch
):
    cache = make(match=Verified(0.02, seed=0))
    call(cache, "a:first", "Paris")
    budget, judge = cache.match.budget, cache.match.judge

    def judged_then_spent(query, matches):
        verdict = judge(query, matches)
        assert isinstance(verdict, Hit)
        budget.placed("cache", 0.5)
        return verdict

    monkeypatch.setattr(cache.match, "_spared", 0)
    monkeypatch.setattr(cache.match, "judge", judged_then_spent)
    miss = cache.find(ask("a:same words"), LLM)
    assert "other answers were served meanwhile" in miss.reason
    assert budget.counts["cache"].placed == 1
    monkeypatch.setattr(cache.match, "judge", judge)
    cache.update(ask("a:same words"), LLM, chat("It is Paris."))
    assert cache.lessons.labels == {"miss": 1}


@pytest.mark.parametrize("tells", [True, False])
def test_rewordings_are_held_back_for_fresh_answers_and_no_longer_where_none_tells(make, tells):
    cache = make(match=Verified(audit=0.001, seed=0))
    for topic in range(20):
        cache.update(ask(f"t{topic}: same 0"), LLM, chat(f"answer {topic}"))
    hits = []
    for topic in range(20):
        found = cache.find(ask(f"t{topic}: same 1"), LLM)
        hits.append(isinstance(found, Hit))
        if isinstance(found, Miss) and tells:
            cache.update(ask(f"t{topic}: same 1"), LLM, chat(f"other {topic}"))
    assert hits[:5] == [True, True, False, False, False]
    assert hits[5:] == [not tells] * 15


def test_feedback_takes_back_a_wording_and_remembers_that_it_differs(make):
    cache = make()
    call(cache, "a:first", "Paris")
    (wrong,) = cache.lookup(ask("a:same words"), LLM)
    assert cache.feedback(wrong.message, ok=False)
    assert cache.lookup(ask("a:same words"), LLM) is None
    assert call(cache, "a:first", "") == "Paris"
    cache.update(ask("a:same words"), LLM, chat("Rome"))
    assert call(cache, "a:same words", "") == "Rome"
    assert cache.check() == []


def test_feedback_confirms_a_wording_for_good_and_can_still_take_it_back(make):
    cache = make()
    call(cache, "a:first", "Paris")
    (right,) = cache.lookup(ask("a:same words"), LLM)
    assert cache.feedback(right.message, ok=True)
    assert cache.find(ask("a:same words"), LLM).kind == "exact"
    assert cache.feedback(right.message, ok=False)
    assert cache.lookup(ask("a:same words"), LLM) is None


def test_feedback_forgets_an_answer_that_was_wrong_for_its_own_question(make):
    cache = make()
    call(cache, "a:first", "Paris")
    (wrong,) = cache.lookup(ask("a:first"), LLM)
    assert cache.feedback(wrong.message, ok=False)
    assert cache.lookup(ask("a:first"), LLM) is None
    assert not cache.feedback("nobody", ok=True)
    with pytest.raises(ValueError, match="answer"):
        cache.feedback(AIMessage("from elsewhere"), ok=True)


def test_what_was_learned_is_kept_in_the_folder(make, tmp_path):
    cache = make(tmp_path / "kept")
    call(cache, "a:first", "Paris")
    call(cache, "a:unsure words", "Paris")
    call(cache, "a:unsure others", "Rome")
    cache.close()
    again = make(tmp_path / "kept")
    assert again.stats().labels == 2
    assert len(again.match.evidence) == 2
    assert call(again, "a:unsure words", "") == "Paris"
    assert again.check() == []


def test_a_cache_explains_what_would_come_of_words_and_of_a_prompt(make):
    cache = make()
    call(cache, "a:first", "Paris")
    for told in (cache.explain("a:unsure words"), cache.explain(ask("a:unsure words"), LLM)):
        assert "A miss" in told
        assert "'a:first'" in told
        assert "unsure" in told
    assert cache.stats().misses == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"judge": 3}, "judge"),
        ({"judge_when": "later"}, "judge_when"),
        ({"same": "equal"}, "same"),
        ({"max_error": 2.0}, "max_error"),
        ({"match": 0.9, "max_error": 0.1}, "max_error"),
        ({"match": Threshold(), "judge": lambda new, stored: True}, "judge"),
        ({"match": 0.9, "same": lambda a, b: True}, "same"),
        ({"audit": 0.0}, "audit"),
    ],
)
def test_a_wrong_argument_is_refused_by_its_name(make, arguments, named):
    with pytest.raises(ValueError, match=named):
        make(**arguments)


ODD = ["{", "[]", "\0", "\ud800", "😀" * 50, "אב", "x" * 100_000, "[" * 200 + "]" * 200, ""]


@pytest.mark.parametrize("odd", ODD)
def test_odd_prompts_raise_neither_in_the_chain_nor_in_the_judges_thread(make, odd, monkeypatch):
    monkeypatch.undo()
    cache = make(judge=lambda new, stored: True)
    for prompt in (odd, ask(odd) if "\ud800" not in odd else odd):
        cache.lookup(prompt, LLM)
        cache.update(prompt, LLM, chat("fine"))
        cache.lookup(prompt, LLM)
    call(cache, "a: " + odd, "fine")
    call(cache, "a:  " + odd, "other")
    assert cache.wait(30)
    assert cache.check() == []


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["same", "reworded", "unsure", "another"]),
            st.integers(0, 5),
            st.sampled_from(["Paris", "Rome"]),
            st.sampled_from(["call", "wrong", "right", "clear"]),
        ),
        max_size=25,
    )
)
def test_whatever_is_asked_and_said_the_books_and_the_index_agree(steps):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            verified,
            "compare",
            lambda new, stored: Surface(
                new.partition(":")[2].split()[0], "", shared=0.0, in_frame=False, differing=()
            ),
        )
        with LECCache(
            capacity=4,
            embeddings=Near(),
            price=lambda usage: 1.0,
            judge=lambda new, stored: len(new) % 2 == 0,
            match=Verified(0.05, seed=0),
        ) as cache:
            for verdict, number, answer, what in steps:
                question = f"a:{verdict} {number}"
                key = cache.reader.read(ask(question), LLM).key
                if what == "clear" and number == 5:
                    cache.clear()
                elif what in ("wrong", "right"):
                    cache.feedback(key, ok=what == "right")
                else:
                    call(cache, question, answer)
                assert len(cache.ledger) <= 4
            assert cache.wait(30)
            assert cache.check() == []
            assert cache.stats().errors == 0


def test_a_chat_model_uses_it_like_any_cache(make):
    cache = make()
    model = FakeListChatModel(responses=["Paris", "Paris", "Rome"], cache=cache)
    assert model.invoke("a:first").content == "Paris"
    assert model.invoke("a:unsure words").content == "Paris"
    assert model.invoke("a:unsure words").content == "Paris"
    assert cache.stats().reworded == 1


def paired(cache, **arguments):
    """A multiplexer whose two models have one answer to each question, and a cache between them."""
    models = [
        FakeListChatModel(responses=["Paris"], name=name, cache=False)
        for name in ("small", "large")
    ]
    arguments = {"price": lambda usage: 1.0, "embeddings": None, **arguments}
    return MultiplexedLLM(models={"small": models[0], "large": models[1]}, cache=cache, **arguments)


def test_one_bet_is_placed_on_a_hit_under_the_multiplexers_budget_at_the_risk_of_the_hit(make):
    cache = make()
    mux = paired(cache, max_error=0.05, seed=0)
    mux.invoke("a:first")
    assert cache.match.budget is mux.budget
    before = mux.budget.counts.get("cache")
    answer = mux.invoke("a:same words")
    told = answer.response_metadata["cachemux"]
    count = mux.budget.counts["cache"]
    assert (before, count.placed, told["hit"]) == (None, 1, "semantic")
    assert count.risk == pytest.approx(told["risk"])
    mux.close()


def test_a_multiplexers_audits_and_feedback_teach_its_cache(make):
    cache = make()
    mux = paired(cache, max_error=0.05, audit=1.0, seed=0)
    mux.invoke("a:first")
    answer = mux.invoke("a:same words")
    assert mux.wait(20)
    assert cache.stats().labels == 1
    assert mux.invoke("a:same words").response_metadata["cachemux"]["hit"] == "exact"
    assert mux.feedback(answer, 0.0)
    assert "hit" not in mux.invoke("a:same words").response_metadata["cachemux"]
    mux.close()


def test_a_matcher_with_a_budget_of_its_own_keeps_it(make):
    own = ErrorBudget(0.1, seed=0)
    cache = make(match=Verified(budget=own))
    mux = paired(cache, max_error=0.05, seed=0)
    assert cache.match.budget is own
    mux.close()


def one_vector(_text):
    return np.array([1.0, 0.0], dtype=np.float32)


@pytest.mark.parametrize(
    ("stored", "fresh", "same"),
    [
        ("The store opens at nine.", "The store opens at nine!", True),
        ("Its heart has four chambers.", "Its human heart has four chambers.", None),
        ("The opposite of hot is cold.", "Cold is the opposite of hot.", None),
        ("Oslo is larger than Bergen.", "Bergen is larger than Oslo.", False),
        ("The train goes from Lyon to Paris.", "The train goes from Paris to Lyon.", False),
        ("Send the form before you move house.", "Send the form after you move house.", False),
        ("Turn the valve to the left to open it.", "Turn the valve to the right to open it.", None),
        ("The fee is 20 euros.", "The fee is 20 dollars.", False),
        ("The fee is 20 euros.", "The fee is 30 euros.", False),
        ("The shop opens at 9 am.", "The shop opens at 9 pm.", False),
        ("You must wear a badge.", "You may wear a badge.", False),
        ("It is a kind of bread.", "It is a kind of cake.", False),
        ("Paris", "Rome", False),
        ("Paris", "The capital is Paris.", True),
    ],
)
def test_sentences_are_read_side_by_side_however_near_their_vectors_are(stored, fresh, same):
    lessons = Lessons(Verified(), Agree(one_vector))
    try:
        assert lessons._same(stored, fresh) is same
        assert lessons._same(fresh, stored) is same
    finally:
        lessons.close()


def test_without_vectors_sentences_in_other_words_count_as_different():
    lessons = Lessons(Verified(), Agree())
    try:
        assert lessons._same("Rome is the capital city.", "The capital city is Rome.") is False
    finally:
        lessons.close()
