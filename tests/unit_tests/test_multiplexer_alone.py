"""`MultiplexedLLM(small, large)` and no judge: it learns by audits and feedback, within a budget."""

import logging
import random
from fractions import Fraction

import numpy as np
import pytest
from fakes import (
    QUESTION,
    Fake,
    Fixed,
    Words,
    calling,
    every_way,
    lec,
    multiplexed,
    price,
    told,
)
from langchain.agents import create_agent
from langchain.agents.middleware import LLMToolSelectorMiddleware, SummarizationMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage, trim_messages
from langchain_core.tools import tool

from langchain_cachemux import (
    Asks,
    ErrorBudget,
    LECCache,
    MultiplexedLLM,
    Router,
    SentenceEncoder,
    Spending,
    Threshold,
)
from langchain_cachemux.route.costs import Costs
from langchain_cachemux.route.observations import observed

SOON = 30.0
EASY = ["What is the capital of {}?", "Which city is the capital of {}?", "Name {}'s capital."]
HARD = ["Compute the determinant of the {} matrix by hand.", "Prove that the {} series converges."]
NAMES = (
    "France Norway Peru Chad Japan Nepal Kenya Chile Ghana Spain Italy Cuba Iran Iraq Oman Mali"
    " Bessel Hilbert Euler Gauss Fourier Laplace Riemann Cauchy Galois Abel Noether Jacobi"
).split()


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder()


def question(draw):
    kind = draw.choice([EASY, HARD])
    return draw.choice(kind).format(" ".join(draw.sample(NAMES, 2))), kind is EASY


def alone(small=None, large=None, **kwargs):
    kwargs = {"router": None, "seed": 1, **kwargs}
    return multiplexed(small or Fake(model="small"), large or Fake(model="large"), **kwargs)


def half_right():
    """Answers as the large model does where a capital is asked for."""
    small = Fake(model="small", says=lambda m: m[-1].text if "capital" in m[-1].text else "Dunno")
    return small, Fake(model="large", says=lambda m: m[-1].text)


class Turned:
    """An encoder of a test's own making: each text has its angle."""

    def __init__(self, **angles):
        self.angles = angles

    def embed_query(self, text):
        angle = next(a for word, a in self.angles.items() if word in text)
        return [float(np.cos(angle)), float(np.sin(angle))]


# It learns where the small model is as good


def test_it_begins_with_the_large_and_asks_the_small_where_it_was_found_as_good(encoder, caplog):
    draw = random.Random(0)
    small, large = half_right()
    with caplog.at_level(logging.INFO):
        mux = MultiplexedLLM(small, large, price=price, embeddings=encoder, seed=0)
    assert "large is asked, and others where audits show" in caplog.text
    rows = []
    for _ in range(400):
        words, easy = question(draw)
        answer = mux.invoke(words)
        assert mux.wait(SOON)
        rows.append((easy, told(answer)["model"], told(answer)["reason"]))
    assert {model for _, model, _ in rows[:50]} == {"large"}
    late = rows[-60:]
    easy = [model for easy, model, _ in late if easy]
    assert easy.count("small") >= 0.7 * len(easy)
    hard = [model for easy, model, _ in rows if not easy]
    stats = mux.stats()
    assert hard.count("small") <= 0.05 * stats.bets
    assert stats.error is not None
    assert stats.error <= 0.05
    assert stats.bets == stats.answers["small"]
    assert stats.audits < 400
    assert "small" in late[-1][2]


def test_where_the_small_model_is_never_as_good_it_never_answers():
    mux = alone(Fake(model="small", says="Lyon"))
    for n in range(80):
        assert told(mux.invoke(f"question {n}"))["model"] == "large"
        assert mux.wait(SOON)
    assert mux.stats().bets == 0


def test_one_seed_is_one_run():
    def run(seed):
        draw = random.Random(4)
        mux = alone(*half_right(), seed=seed, audit=0.05, embeddings=Words())
        for _ in range(60):
            mux.invoke(question(draw)[0])
            assert mux.wait(SOON)
        return mux.stats()

    assert run(1) == run(1)
    assert run(1).audits != run(2).audits


def test_a_price_of_errors_takes_the_place_of_a_share():
    answers = []
    for error in (0.5, 1e6):
        mux = alone(error_price=error, audit=1.0)
        assert mux.budget is None
        for n in range(20):
            mux.invoke(f"question {n}")
            assert mux.wait(SOON)
        answers.append(mux.stats().answers)
    cheap, expensive = answers
    assert cheap["small"] > cheap.get("large", 0)  # whose price an audit tells
    assert expensive["small"] <= 2  # it was tried


def test_safe_asks_the_large_model_until_something_is_known_of_the_small():
    mux = alone(error_price=0.5, safe=True, audit=0.0)
    assert {told(mux.invoke(f"question {n}"))["model"] for n in range(20)} == {"large"}
    mux = alone(error_price=0.5, safe=False, audit=0.0)
    assert "small" in {told(mux.invoke(f"question {n}"))["model"] for n in range(20)}


# Feedback


@every_way
def test_feedback_teaches_late_out_of_order_and_by_id(ask):
    mux = alone(audit=0.0, error_price=20.0)
    answers = [ask(mux, f"question {n}") for n in range(20)]
    asked = [told(answer)["model"] for answer in answers]
    for n in reversed(range(20)):
        named = answers[n] if n % 2 else told(answers[n])["id"]
        assert mux.feedback(named, 1.0 if asked[n] == "large" else 0.0)
    assert mux.stats().feedback == 20
    assert told(ask(mux, "question 20"))["model"] == "large"


def test_feedback_may_come_twice_and_each_counts():
    mux = alone(audit=0.0)
    answer = mux.invoke(QUESTION)
    lessons = []
    mux.router.learn = lambda x, cost, route=None, *, failed=None: lessons.append((route, failed))
    assert mux.feedback(answer, 0.0)
    assert mux.feedback(answer, 0.25)
    assert lessons == [("large", 1.0), ("large", 0.75)]


@pytest.mark.parametrize("kind", [np.float32, np.float64, Fraction])
def test_a_score_of_any_kind_of_number_outlives_the_process(tmp_path, kind):
    said = {"accept": lambda *_: True, "path": tmp_path, "observations": tmp_path / "seen.jsonl"}
    mux = alone(**said)
    assert mux.feedback(mux.invoke(QUESTION), kind(0.25))
    mux.close()
    assert [seen["failed"] for seen in observed(said["observations"])] == [0.0, 0.75]
    assert alone(**said).stats().feedback == 1


def test_feedback_on_what_nobody_remembers_is_told_so_and_teaches_nothing():
    mux = alone()
    assert mux.feedback("unknown", 1.0) is False
    assert alone().feedback(mux.invoke(QUESTION), 1.0) is False
    assert mux.stats().feedback == 0


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_that_is_none_is_refused(score):
    mux = alone()
    with pytest.raises(ValueError, match=r"score must be in \[0, 1\]"):
        mux.feedback(mux.invoke(QUESTION), score)


@pytest.mark.parametrize("answer", [AIMessage("Hi"), HumanMessage("Hi"), 7])
def test_a_message_of_somebody_else_is_refused(answer):
    with pytest.raises(ValueError, match="answer must be a message that a multiplexer handed out"):
        alone().feedback(answer, 1.0)


@every_way
@pytest.mark.parametrize("cache", [InMemoryCache, lec], ids=["InMemoryCache", "LECCache"])
def test_feedback_on_an_exact_hit_is_about_the_model_that_gave_the_answer(ask, cache):
    mux = alone(audit=0.0, cache=cache(), max_error=0.1)
    ask(mux, QUESTION)
    hit = ask(mux, QUESTION)
    assert told(hit)["hit"] in ("exact", "cache")
    lessons = []
    mux.router.learn = lambda x, cost, route=None, *, failed=None: lessons.append(
        (x, route, failed)
    )
    assert mux.feedback(hit, 0.0)
    [(query, route, failed)] = lessons
    assert (route, failed, query.text) == ("large", 1.0, QUESTION)
    assert query.vector is not None
    assert mux.experience.risk("cache") == pytest.approx(0.1)  # no semantic match was at fault


def near():
    """A cache in which "first" and "second" are one question's two wordings."""
    match = Threshold(0.85, guards=())
    return LECCache(embeddings=Turned(first=0.0, second=0.1, third=1.5), match=match)


@every_way
def test_feedback_on_a_semantic_hit_is_about_the_match(ask):
    mux = alone(audit=0.0, cache=near(), max_error=0.1)
    for words in ("the first", "the third"):
        ask(mux, words)
    hit = ask(mux, "the second")
    assert told(hit)["hit"] == "semantic"
    before, explained = mux.experience.risk("cache"), mux.explain("the first")
    assert mux.feedback(hit, 0.0)
    assert mux.experience.risk("cache") > before
    assert mux.explain("the first") == explained  # it is not about the model


# Semantic hits draw on the same budget


def closed(budget):
    budget._closed = True
    return budget


@every_way
def test_a_semantic_hit_under_a_closed_budget_is_not_served_and_is_compared(ask):
    budget = ErrorBudget(0.1, seed=1)
    mux = alone(audit=0.0, cache=near(), budget=budget)
    ask(mux, "the first")
    closed(budget)
    answer = ask(mux, "the second")
    assert told(answer)["model"] == "large"
    assert mux.wait(SOON)
    assert budget.counts["cache"].tried == 1
    assert budget.counts["cache"].settled == 1
    assert budget.counts["cache"].lost == 0
    assert mux.stats().audits == 0
    assert told(ask(mux, "the first"))["hit"] == "exact"  # it repeats, and bets nothing


@every_way
def test_a_semantic_hit_is_a_bet_and_audited_by_the_large_model(ask):
    says = iter(["Paris", "Lyon", "Lyon", "Lyon"])
    large = Fake(model="large", says=lambda _: next(says))
    mux = alone(large=large, audit=0.0, cache=near(), budget=ErrorBudget(0.5, audit=1.0, seed=1))
    ask(mux, "the first")
    hit = ask(mux, "the second")
    assert (told(hit)["hit"], hit.content) == ("semantic", "Paris")
    assert mux.wait(SOON)
    assert mux.budget.counts["cache"].lost == 1
    assert mux.experience.risk("cache") > 0.5
    assert mux.stats().audits == 1


def test_a_semantic_hit_that_the_account_cannot_pay_for_is_not_served():
    mux = alone(audit=0.0, cache=near(), max_error=0.1)
    mux.invoke("the first")
    for _ in range(30):
        mux.experience.lost("cache", 1.0)
    assert told(mux.invoke("the second"))["model"] == "large"
    assert "cache" not in mux.budget.counts


def test_without_a_budget_a_semantic_hit_is_served():
    mux = multiplexed(cache=near())
    mux.invoke("the first")
    assert told(mux.invoke("the second"))["hit"] == "semantic"


def test_what_is_spent_is_what_all_calls_cost():
    spending = Spending(1000.0)
    mux = alone(budget=spending)
    for n in range(10):
        mux.invoke(f"question {n}")
        assert mux.wait(SOON)
    assert spending.spent == mux.stats().cost == 10 * 10.0 + mux.stats().audits * 1.0


def test_what_a_judge_asks_is_charged():
    judge = Fake(model="large", says="yes")
    mux = alone(accept=Asks(judge))
    answer = mux.invoke(QUESTION)
    assert told(answer)["cost"] == 1.0 + 10.0
    assert mux.stats().cost_of_judging == 10.0


# What it says of itself


def test_explain_says_what_would_be_asked_and_asks_and_learns_nothing():
    small, large = Fake(model="small"), Fake(model="large")
    mux = alone(small, large, audit=0.0)
    before = mux.stats()
    said = mux.explain(QUESTION)
    assert "small" in said
    assert said.splitlines()[-1].startswith("large: ")
    assert (mux.stats(), small.calls, large.calls) == (before, [], [])
    assert told(mux.invoke(QUESTION))["model"] == "large"


def test_explain_names_what_a_model_cannot_do():
    small = Fake(model="small").model_copy(update={"profile": {"max_input_tokens": 5}})
    mux = alone(small)
    assert "not small: about" in mux.explain("word " * 100)
    with pytest.raises(ValueError, match="input must be"):
        mux.explain(7)


def test_rank_puts_those_first_that_need_the_large_model():
    mux = alone(accept=lambda messages, _: "capital" in messages[-1].text, embeddings=Words())
    draw = random.Random(2)
    for _ in range(80):
        mux.invoke(question(draw)[0])
    prompts = [EASY[0].format("Gabon"), HARD[0].format("Wronski"), [HumanMessage(HARD[1])]]
    ranked = mux.rank(prompts)
    assert ranked[-1][0] == prompts[0]
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)
    assert mux.rank([]) == []
    assert [prompt for prompt, _ in mux.rank(["same", "same"])] == ["same", "same"]


def test_its_repr_says_the_settings_and_nothing_of_what_was_learned():
    mux = alone(max_error=0.02, audit=0.25)
    before = repr(mux)
    mux.invoke(QUESTION)
    assert mux.wait(SOON)
    assert repr(mux) == before
    for part in ("['small', 'large']", "strategy='auto'", "ErrorBudget(0.02", "audit=0.25"):
        assert part in before
    assert QUESTION not in before


# Observations


def test_each_thing_learned_is_a_line_and_tells_who_said_so(tmp_path):
    path = tmp_path / "kept" / "observations.jsonl"
    mux = alone(observations=path)
    answer = mux.invoke(QUESTION)
    assert mux.wait(SOON)
    mux.feedback(answer, 0.0)
    lines = list(observed(path))
    assert [(o["model"], o["cost"], o["failed"], o["source"]) for o in lines] == [
        ("large", 10.0, None, "cost"),
        ("small", 1.0, None, "audit"),
        ("small", None, 0.0, "audit"),
        ("large", None, 1.0, "feedback"),
    ]
    assert {o["text"] for o in lines} == {QUESTION}
    assert len({o["key"] for o in lines}) == 1
    judged = alone(accept=lambda *_: True, observations=path)
    judged.invoke(QUESTION)
    last = list(observed(path))[-1]
    assert (last["model"], last["failed"], last["source"]) == ("small", 0.0, "judge")


def test_copies_write_to_the_same_file(tmp_path):
    path = tmp_path / "observations.jsonl"
    mux = alone(observations=path, audit=0.0)
    mux.bind(stop=["."]).invoke(QUESTION)
    mux.with_config(tags=["a"]).invoke(QUESTION)
    assert len(list(observed(path))) == 2


# What it learned outlives the process


def trained(path=None, **kwargs):
    mux = alone(path=path, audit=1.0, **kwargs)
    for n in range(12):
        mux.invoke(f"question {n}")
        assert mux.wait(SOON)
    return mux


def test_after_a_restart_it_knows_what_it_knew(tmp_path):
    first = trained(tmp_path, max_error=0.2, budget=None)
    said, stats = first.explain(QUESTION), first.stats()
    first.close()
    second = alone(path=tmp_path, max_error=0.2, audit=1.0)
    assert second.explain(QUESTION) == said
    assert second.stats() == stats
    assert second.budget.dump() == first.budget.dump()
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_saved_now_and_then_and_when_it_is_dropped(tmp_path):
    trained(tmp_path)  # and dropped at once
    [file] = tmp_path.iterdir()
    first = file.stat().st_mtime_ns
    mux = alone(path=tmp_path)
    for n in range(60):
        mux.invoke(f"question {n}")
        mux.wait(SOON)
    assert file.stat().st_mtime_ns > first
    assert mux.stats().answers["large"] == 72


def test_beside_a_cache_in_a_folder_it_is_kept_there_without_being_asked(tmp_path):
    for answers in (1, 2):
        with LECCache(tmp_path, embeddings=Words()) as cache:
            mux = alone(cache=cache)
            mux.invoke(f"question {answers}")
            assert mux.stats().answers["large"] == answers
            mux.close()
    assert any("multiplexer" in path.name for path in tmp_path.iterdir())


def test_a_router_of_the_users_own_is_kept_only_where_a_path_is_given(tmp_path):
    with LECCache(tmp_path, embeddings=Words()) as cache:
        router = Router({"small": Costs(), "large": Costs()})
        mux = alone(cache=cache, router=router)
        mux.invoke(QUESTION)
        mux.close()
    assert not any("multiplexer" in path.name for path in tmp_path.iterdir())
    mux = alone(path=tmp_path, router=Router({"small": Costs(), "large": Costs()}))
    mux.invoke(QUESTION)
    mux.close()
    assert any("multiplexer" in path.name for path in tmp_path.iterdir())


def test_a_router_that_cannot_be_kept_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="path keeps what is learned, but router cannot"):
        multiplexed(router=Router({"small": Fixed(1), "large": Fixed(2)}), path=tmp_path)


@pytest.mark.parametrize("spoil", ["cut", "text", "empty", "other version"])
def test_a_file_that_cannot_be_read_is_set_aside_with_a_warning(tmp_path, spoil, caplog):
    trained(tmp_path).close()
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    from langchain_cachemux.route import files

    if spoil == "other version":
        files.write(file, {"kind": "multiplexer", "version": 99})
    else:
        file.write_bytes({"cut": whole[: len(whole) // 2], "text": b"hello", "empty": b""}[spoil])
    mux = alone(path=tmp_path)
    assert "is not used, and now" in caplog.text
    assert mux.invoke(QUESTION).content == "Paris it is"
    assert mux.stats().answers == {"large": 1}
    mux.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert alone(path=tmp_path).stats().answers == {"large": 1}


def test_a_part_that_was_set_otherwise_is_learned_anew_and_the_rest_is_kept(tmp_path, caplog):
    first = trained(tmp_path, max_error=0.2)
    said = first.explain(QUESTION).splitlines()[1:3]
    first.close()
    second = alone(path=tmp_path, max_error=0.3)
    assert "budget: state must have max_error 0.3" in caplog.text
    assert second.stats().bets == 0
    assert [row.split()[:2] for row in second.explain(QUESTION).splitlines()[1:3]] == [
        row.split()[:2] for row in said
    ]


def test_other_models_in_the_same_folder_have_a_file_of_their_own(tmp_path):
    trained(tmp_path).close()
    other = multiplexed(
        models={"small": Fake(model="small"), "huge": Fake(model="large")},
        router=None,
        path=tmp_path,
    )
    other.invoke(QUESTION)
    other.close()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="path must be a folder"):
        alone(path=tmp_path / "file")


def test_a_folder_that_cannot_be_written_breaks_no_call(tmp_path, caplog):
    mux = alone(path=tmp_path / "folder")
    mux.invoke(QUESTION)
    (tmp_path / "folder").rmdir()
    mux.close()
    assert "was not written" in caplog.text
    assert mux.invoke(QUESTION).content == "Paris it is"


# Where a model is wanted


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_an_agent_summarises_with_it():
    large = Fake(model="large")
    mux = alone(large=large, audit=0.0)
    agent = create_agent(
        mux,
        middleware=[SummarizationMiddleware(mux, trigger=("messages", 4), keep=("messages", 1))],
    )
    turns = [HumanMessage("Hi"), AIMessage("Yes?"), HumanMessage("Well"), AIMessage("Yes?")]
    turns.append(HumanMessage(QUESTION))
    messages = agent.invoke({"messages": turns})["messages"]
    summary, asked = (call.messages[0].text for call in large.calls)
    assert "Hi" in summary
    assert "summary" in asked
    assert messages[-1].content == "Paris it is"


def test_an_agent_selects_tools_with_it():
    def says(messages):
        if "select" in messages[0].text.lower():
            return calling("ToolSelectionResponse", tools=["add"])
        return "It is 2"

    mux = alone(Fake(model="small", says=says), Fake(model="large", says=says), audit=0.0)
    selects = LLMToolSelectorMiddleware(max_tools=1)
    agent = create_agent(mux, [add], middleware=[selects])
    messages = agent.invoke({"messages": [HumanMessage("1 + 1?")]})["messages"]
    assert messages[-1].content == "It is 2"


def test_it_counts_tokens_to_trim_messages_by():
    mux = alone()
    turns = [HumanMessage("word " * 50), HumanMessage("the last words")]
    kept = trim_messages(turns, max_tokens=20, token_counter=mux, strategy="last")
    assert kept == turns[-1:]
    assert 50 < mux.get_num_tokens("word " * 50) < 100


def test_its_profile_is_what_all_models_can():
    small, large = (
        Fake(model=name).model_copy(update={"profile": profile})
        for name, profile in (
            (
                "small",
                {"max_input_tokens": 100, "image_inputs": False, "name": "S", "tool_calling": True},
            ),
            (
                "large",
                {"max_input_tokens": 900, "image_inputs": True, "name": "L", "tool_calling": True},
            ),
        )
    )
    assert alone(small, large).profile == {
        "max_input_tokens": 100,
        "image_inputs": False,
        "tool_calling": True,
    }
    assert alone().profile == {}
