"""A router from observations: it learns from every line, and no figure is of what was fitted."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.route import fit as fitting
from langchain_cachemux.route.costs import Costs
from langchain_cachemux.route.estimators import Mean
from langchain_cachemux.route.fit import fit
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Query

EASY, HARD = "Name the capital of country {}.", "Prove in {} steps that {} is a prime number."


def line(text, model, cost=None, failed=None, key=None):
    """One observation."""
    return {
        "time": 1.0,
        "key": key or text,
        "text": text,
        "model": model,
        "cost": cost,
        "failed": failed,
        "source": "cost" if failed is None else "judge",
    }


def asked(n=120, *, noise=0.0, seed=0, both=True):
    """Every second question is hard; the small model fails on these, and on others by chance."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        text = (HARD if i % 2 else EASY).format(i, i)
        wrong = bool(i % 2) ^ (rng.random() < noise)
        yield line(text, "small", 1.0, float(wrong))
        if both or wrong:
            yield line(text, "large", 10.0)


@pytest.fixture(scope="module")
def fitted():
    return fit(asked(), error_price=18.0)


def test_the_router_has_learned_from_every_line(fitted):
    router, report = fitted
    assert report.observations == 240
    taught = Router({"small": Costs(), "large": Costs()})
    for said in asked():
        x = Query(said["key"], text=said["text"])
        taught.learn(x, said["cost"], said["model"], failed=said["failed"])
    for text in ("Name the capital of country 500.", "Prove in 9 steps that 9 is a prime number."):
        x = Query(text, text=text)
        assert router.choose(x, error_price=20.0) == taught.choose(x, error_price=20.0)


def test_a_router_that_can_know_saves_and_loses_nothing(fitted):
    _, report = fitted
    assert (report.questions, report.scored) == (120, 120)
    saving = report.saving
    assert saving.low <= saving.saved <= saving.high
    assert saving.saved == pytest.approx(saving.oracle) == pytest.approx(0.45)
    assert saving.setting.quality == 1.0
    assert report.calibration["small"].ece < 0.1
    assert list(report.calibration) == ["small"]


def test_nothing_is_scored_on_what_was_fitted():
    """Outcomes by coin, each question's own: whoever had seen them would be right every time."""
    rng = np.random.default_rng(1)
    words = ["".join(rng.choice(list("bcdfghklmnprst"), 6)) for _ in range(300)]
    coins = rng.random(300) < 0.5
    lines = [
        told
        for word, coin in zip(words, coins, strict=True)
        for told in (line(word, "small", 1.0, float(coin)), line(word, "large", 10.0))
    ]
    router, report = fit(lines, error_price=18.0)
    fails = router.estimators["small"].fails
    known = [fails.predict(Query(w, text=w)).mean for w in words]
    assert np.corrcoef(known, coins)[0, 1] > 0.9  # on what was fitted it knows them all
    chance = np.interp(
        [setting.cost for setting in report.curve], *zip(*map(as_pair, report.random), strict=True)
    )
    assert max(s.quality - c for s, c in zip(report.curve, chance, strict=True)) < 0.06


def as_pair(point):
    return point.cost, point.quality


def test_equal_texts_are_left_out_together():
    """The same coin under two keys: a router that had seen the one would know the other."""
    rng = np.random.default_rng(1)
    lines = []
    for i in range(150):
        word, coin = "".join(rng.choice(list("bcdfghklmnprst"), 6)), float(rng.random() < 0.5)
        for key in (f"{i} in one chat", f"{i} in another"):
            lines += [line(word, "small", 1.0, coin, key), line(word, "large", 10.0, None, key)]
    _, report = fit(lines, error_price=18.0)
    assert report.questions == 300
    told = report.calibration["small"].bins
    assert max(abs(b.observed - 0.5) for b in told) < 0.35


def test_the_curve_is_what_the_router_would_choose():
    seen = fitting._Seen.read(asked(60, noise=0.2), None)
    router = seen.router(Costs)
    seen.teach(router, np.full(60, fill_value=True))
    told = fitting._Told(seen)
    told.ask(router, np.arange(60))
    for price in (0.0, 5.0, 20.0, 1000.0):
        chosen = [router.choose(x, error_price=price).model for x in seen.queries]
        assert [seen.models[k] for k in told.chosen(price)] == chosen


def test_the_price_of_an_error_is_a_dial_from_cheap_to_expensive(fitted):
    _, report = fitted
    assert report.curve[0].shares == {"small": 1.0, "large": 0.0}
    assert report.curve[0].error_price == 0
    assert as_pair(report.curve[0]) == as_pair(report.always["small"])
    costs = [setting.cost for setting in report.curve]
    assert costs == sorted(costs)


@given(st.integers(2, 4), st.integers(1, 12), st.integers(0, 1000))
def test_no_choice_is_better_than_the_oracle_nor_chance_than_its_hull(models, n, seed):
    rng = np.random.default_rng(seed)
    costs, failed = rng.random((n, models)) * 10, rng.integers(0, 2, (n, models)).astype(float)
    names = [str(k) for k in range(models)]
    scored = fitting._Scored(names, costs, failed)
    price = float(rng.random() * 20)
    best = min(p.cost - price * p.quality for p in scored.oracle(np.array([price])))
    hull = scored.random()
    for _ in range(10):
        point = scored.point(rng.integers(0, models, n))
        assert point.cost - price * point.quality >= best - 1e-9
    for point in scored.always().values():
        if point.cost >= hull[0].cost:
            highest = np.interp(point.cost, *zip(*map(as_pair, hull), strict=True))
            assert point.quality <= highest + 1e-9


def test_a_saving_is_of_resamples_of_the_questions():
    rng = np.random.default_rng(0)
    costs = np.stack([np.ones(200), np.full(200, 4.0)], axis=1)
    failed = np.stack([rng.random(200) < 0.2, np.zeros(200)], axis=1).astype(float)
    chosen = (rng.random(200) < 0.5).astype(int)
    saving = fitting._Scored(["small", "large"], costs, failed).saving(1.0, chosen, 0)
    slow = []
    for _ in range(2000):
        drawn = rng.integers(0, 200, 200)
        slow.append(1 - costs[drawn, chosen[drawn]].sum() / costs[drawn, 1].sum())
    assert [saving.low, saving.high] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.01)
    share = 1 - chosen.mean()
    assert saving.saved == pytest.approx(share * 0.75)
    assert saving.setting.shares == {"small": share, "large": pytest.approx(1 - share)}
    assert saving.better == pytest.approx(-failed[chosen == 0, 0].sum() / 200)
    assert saving.better_low < saving.better < saving.better_high <= 0


def test_what_nobody_paid_or_judged_is_estimated_and_said():
    _, report = fit(asked(both=False))
    assert report.scored == 120
    assert report.estimated_costs == pytest.approx(0.25)
    assert report.estimated_outcomes == 1.0
    assert report.always["large"].cost == pytest.approx(10.0)


def test_without_a_question_judged_of_each_model_the_router_is_fitted_and_nothing_scored():
    lines = []
    for i in range(40):
        lines.append(line(f"question {i}", ("a", "b")[i % 2], 1.0 + i % 2, float(i % 4 > 1)))
        lines.append(line(f"question {i}", "c", 9.0))
    router, report = fit(lines)
    assert list(router.estimators) == ["a", "b", "c"]
    assert (report.scored, report.saving, report.curve, report.unsure) == (0, None, (), ())
    assert set(report.calibration) == {"a", "b"}


def test_more_errors_allowed_cost_less():
    spent = [fit(asked(noise=0.15), max_error=e)[1].saving.setting for e in (0.02, 0.1, 0.3)]
    costs = [setting.cost for setting in spent]
    assert costs[0] >= costs[1] >= costs[2]
    assert costs[0] > costs[2]


def test_questions_near_the_break_even_are_unsure_and_the_nearest_come_first():
    # An easy question fails in 3 of 10. At 9 saved and 30 an error it is as well to ask either.
    _, report = fit(asked(noise=0.3), error_price=30.0)
    assert 0.1 < report.unsure_share < 0.9
    assert len(report.unsure) == 10
    away = []
    for unsure in report.unsure:
        low, mean, high = unsure.chances["small"]
        assert low < 9 / 30 < high
        assert unsure.chances["large"] == (0.0, 0.0, 0.0)
        assert {unsure.model, unsure.other} == {"small", "large"}
        away.append(abs(mean - 9 / 30) / (high - low))
    assert away == sorted(away)


def test_a_clear_question_is_not_among_the_unsure(fitted):
    _, report = fitted
    assert report.unsure == ()
    assert report.unsure_share == 0


def test_vectors_are_what_the_router_reads():
    """Only the vector tells hard from easy; a text is embedded once, in batches."""
    calls = []

    def embed(texts):
        calls.extend(texts)
        return [[float("7" in t), 1.0] for t in texts]

    names = [f"item {i}" for i in range(200)]
    lines = [
        told
        for name in names
        for told in (line(name, "small", 1.0, float("7" in name)), line(name, "large", 10.0))
    ]
    _, report = fit(lines, embed=embed)
    assert sorted(calls) == sorted(names)
    assert report.saving.setting.quality > 0.97


@pytest.mark.parametrize(
    ("embed", "told"),
    [
        (lambda texts: [[1.0, 2.0]] * (len(texts) - 1), "for each of 64 texts, got 63"),
        (lambda texts: [[1.0, 2.0]] * (len(texts) - 1) + [[1.0]], "one of shape (1,)"),
        (lambda texts: [[1.0, math.nan]] * len(texts), "finite vector of length 2"),
        (lambda texts: [[]] * len(texts), "length 0"),
        (lambda texts: [[1.0] * len(texts)] * len(texts), "length 64 for each of 56"),
    ],
)
def test_mismatched_vectors_are_refused(embed, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        fit(asked(), embed=embed)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cost": -1.0}, "cost must be a number >= 0 and below 1e+36, got -1.0"),
        ({"cost": math.nan}, "cost must be a number >= 0 and below 1e+36, got nan"),
        ({"failed": 1.5}, "failed must be between 0 (it did) and 1 (it did not), got 1.5"),
        ({"failed": math.nan}, "got nan"),
        ({"model": "larger"}, "model must be one of ['small', 'large'], got 'larger'"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_line(tmp_path, change, told):
    lines = list(asked())
    lines[6] = lines[6] | change
    with pytest.raises(ValueError, match=f"^observation 7: .*{re.escape(told)}"):
        fit(lines, models=["small", "large"])
    path = tmp_path / "seen.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}:7: .*{re.escape(told)}"):
        fit(path, models=["small", "large"])


@pytest.mark.parametrize("bad", ["no JSON", "[]", '{"key": "x"}', ""])
def test_a_malformed_line_is_refused_by_its_file_and_number(tmp_path, bad):
    path = tmp_path / "seen.jsonl"
    good = [json.dumps(told) for told in asked()]
    path.write_text("\n".join([*good[:4], bad, *good[4:]]) + "\n")
    told = f"^{re.escape(str(path))}:5: an observation was expected: [^\n]+$"
    with pytest.raises(ValueError, match=told):
        fit(path)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "observations must hold an observation, got none"),
        ([line(f"{i}", "small", 1.0, i % 2) for i in range(9)], "two models or more"),
        (
            [{"key": "x", "cost": 1.0}],
            "observation 1: an observation must say its text, model, failed",
        ),
        ([*asked(4)], "a question for each of 5 folds, got 4"),
        (
            [told | {"failed": None} for told in asked(20)],
            "outcomes of 'small' of both kinds, failed 0 and 1, but there is none",
        ),
        (
            [told | {"failed": 0.0} for told in asked(20)],
            "of both kinds, failed 0 and 1, but all 20 are 0",
        ),
        (
            [told | {"cost": None} if told["model"] == "large" else told for told in asked(20)],
            "must say what 'large' costs",
        ),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(lines, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        fit(lines)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ({"error_price": -1.0}, "error_price must be a finite number >= 0, got -1.0"),
        ({"error_price": math.inf}, "got inf"),
        ({"max_error": 1.0}, "max_error must be in [0, 1), got 1.0"),
        ({"max_error": math.nan}, "got nan"),
        ({"max_error": "0.05"}, "max_error must be in [0, 1), got '0.05'"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"folds": 2.5}, "folds must be at least 2, got 2.5"),
        ({"models": ["small", "large", "small"]}, "two models or more, each once"),
        ({"costs": Mean}, "costs must make Costs, the price and the chance apart, got Mean("),
    ],
)
def test_a_wrong_argument_is_refused_by_name_and_value(argument, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        fit(asked(), **argument)


def test_of_models_that_cost_nothing_nothing_is_saved():
    saving = fit([told | {"cost": 0.0} if told["cost"] else told for told in asked()])[1].saving
    assert (saving.saved, saving.low, saving.high, saving.oracle) == (0.0, 0.0, 0.0, 0.0)


def test_models_come_from_cheap_to_expensive_whoever_was_seen_first():
    lines = list(asked())
    assert list(fit(reversed(lines))[0].estimators) == ["small", "large"]
    named = [told | {"failed": 0.0} if told["model"] == "large" else told for told in lines]
    named[3]["failed"] = 1.0
    assert list(fit(named, models=["large", "small"])[0].estimators) == ["large", "small"]


def test_what_is_learned_of_a_model_can_be_chosen():
    made = []

    def costs():
        made.append(Costs(fails=Mean()))
        return made[-1]

    router, report = fit(asked(), costs=costs)
    assert set(router.estimators.values()) <= set(made)
    assert len(made) == 2 * 6
    assert report.folds == 5


def test_the_same_seed_deals_the_same_report():
    first, again, other = (fit(asked(noise=0.2), seed=s)[1] for s in (0, 0, 1))
    assert first == again != dataclasses.replace(other, seed=0)


def test_progress_is_shown_of_embedding_and_learning():
    shown = []

    def watch(parts, what):
        for part in parts:
            shown.append(what)
            yield part

    fit(asked(), embed=lambda texts: [[1.0]] * len(texts), watch=watch)
    assert shown == ["embedding"] * 2 + ["learning"] * 6


def test_a_report_is_plain_data(fitted):
    _, report = fitted
    assert json.loads(json.dumps(dataclasses.asdict(report), allow_nan=False))


def test_a_fitted_router_is_saved_and_loaded(fitted, tmp_path):
    router, _ = fitted
    router.save(tmp_path / "router")
    loaded = Router.load(tmp_path / "router")
    x = Query("new", text="Name the capital of country 900.")
    assert loaded.choose(x, error_price=18.0) == router.choose(x, error_price=18.0)
