"""Which model: the least lower bound of the cost in all; and the router as an estimator."""

import math
import random
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.route import files
from langchain_cachemux.route.classifiers import Blend, Classifier
from langchain_cachemux.route.costs import ANYTHING, Costs
from langchain_cachemux.route.estimators import UNKNOWN, Mean, Ridge
from langchain_cachemux.route.fitted import SklearnClassifier
from langchain_cachemux.route.router import Router
from langchain_cachemux.route.shrunk import Shrunk
from langchain_cachemux.testing import check_estimator
from langchain_cachemux.types import Estimate, Query

X = Query("x")
estimates = st.builds(Estimate, st.floats(-10, 10), st.floats(0, 10), st.floats(0, 5))


class Says:
    """An estimator that says one thing and remembers what it was told."""

    def __init__(self, estimate):
        self.estimate, self.told = estimate, []

    def predict(self, x):
        return self.estimate

    def learn(self, x, cost):
        self.told.append((x, cost))


def router(**said):
    return Router({name: Says(estimate) for name, estimate in said.items()})


def says(price, fails, *, either_way=0.0):
    """`Costs` that say a price, and a chance of failing give or take something."""
    return Costs(Says(Estimate(price, 0.0)), Says(Estimate(fails, either_way, ceiling=1.0)))


def pair(**settings):
    """Small costs 1 and fails in 30 %, large 10 and 10 %; what is known may be off by 0.2."""
    chances = {"small": (1.0, 0.3), "large": (10.0, 0.1)}
    return Router(
        {name: says(*known, either_way=0.2) for name, known in chances.items()}, **settings
    )


@given(st.lists(estimates, min_size=1, max_size=6))
def test_the_model_of_the_least_mean_minus_width_is_chosen_and_the_first_of_equals(said):
    route = router(**{f"m{i}": estimate for i, estimate in enumerate(said)}).choose(X)
    bounds = [estimate.mean - estimate.width for estimate in said]
    assert route.model == f"m{bounds.index(min(bounds))}"
    assert list(route.estimates.values()) == said


@given(st.lists(estimates, min_size=1, max_size=6))
def test_a_router_predicts_the_least_lower_bound_of_its_models(said):
    prediction = router(**{f"m{i}": estimate for i, estimate in enumerate(said)}).predict(X)
    assert prediction.lower == min(max(e.floor, e.mean - e.width) for e in said)
    assert prediction in said


def test_bounds_are_not_clipped_at_the_floor_for_routing():
    # Both lower bounds are the floor, 1; the second model's unclipped bound is the lower one.
    assert router(a=Estimate(3.0, 2.5, 1.0), b=Estimate(5.0, 9.0, 1.0)).choose(X).model == "b"


def test_models_not_tried_yet_are_tried_first_and_cheap_to_expensive():
    tried = Estimate(0.001, 0.0)
    assert router(small=tried, middle=UNKNOWN, large=UNKNOWN).choose(X).model == "middle"


def test_a_route_says_why_with_the_bound_of_every_model():
    route = router(small=Estimate(2.0, 0.5), large=Estimate(3.0, 2.0)).choose(X)
    assert route.model == "large"
    assert route.reason == "least lower bound of small 1.5, large 1"
    assert router(small=Estimate(2.0, 0.5), large=UNKNOWN).choose(X).reason == "not tried yet"


def test_only_the_model_that_answered_learns():
    routes = router(small=UNKNOWN, large=UNKNOWN)
    routes.learn(X, 2.0, "large")
    assert routes.estimators["large"].told == [(X, 2.0)]
    assert routes.estimators["small"].told == []


def test_a_cost_with_no_route_is_passed_over():
    routes = router(small=UNKNOWN)
    routes.learn(X, 2.0)
    assert routes.estimators["small"].told == []


def test_an_unknown_route_is_refused_by_name_and_value():
    with pytest.raises(ValueError, match=r"route must be one of \['small'\], got 'huge'"):
        router(small=UNKNOWN).learn(X, 1.0, "huge")


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf])
def test_a_cost_that_is_no_finite_number_is_refused(cost):
    with pytest.raises(ValueError, match=f"cost must be .* got {cost!r}"):
        Router({"small": Mean()}).learn(X, cost, "small")


def test_a_router_of_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r"estimators must be at least one .* by model: .* got \{\}"
    ):
        Router({})


def test_the_mapping_given_may_change_afterwards():
    given_mapping = {"small": Says(Estimate(2.0, 0.0))}
    routes = Router(given_mapping)
    given_mapping["free"] = Says(Estimate(0.0, 0.0))
    assert routes.choose(X).model == "small"


def test_a_router_whose_every_cost_is_told_with_its_route_is_an_estimator():
    class Routed(Router):
        def learn(self, x, cost, route=None):
            super().learn(x, cost, route or self.choose(x).model)

    check_estimator(lambda: Routed({"only": Mean()}))


def test_every_model_is_tried_and_the_cheapest_for_each_query_wins():
    # Small answers a for 1 and fails on b for 9; large costs 4. Each draw varies by 10 %.
    chance = random.Random(0)
    costs = {("small", "a"): 1.0, ("small", "b"): 9.0, ("large", "a"): 4.0, ("large", "b"): 4.0}
    routes, chosen = Router({"small": Mean(), "large": Mean()}), []
    for turn in range(400):
        x = Query("ab"[turn % 2])
        model = routes.choose(x).model
        routes.learn(x, costs[model, x.key] * chance.uniform(0.9, 1.1), model)
        chosen.append((model, x.key))
    assert {model for model, _ in chosen[:4]} == {"small", "large"}
    assert set(chosen[-200:]) == {("small", "a"), ("large", "b")}


def test_threads_lose_no_cost():
    class Counts(Says):
        """Learns as `n = n + 1` in two steps, which only a lock makes one."""

        n = 0

        def learn(self, x, cost):
            n = self.n
            pause.wait(1e-6)
            self.n = n + 1

    pause, counts = threading.Event(), Counts(UNKNOWN)
    routes = Router({"m": counts})
    threads = [
        threading.Thread(target=lambda: [routes.learn(X, 1.0, "m") for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.n == 400


def test_a_model_whose_first_answers_failed_alike_is_tried_again():
    router = Router({"small": Ridge(), "large": Ridge()})
    rng = np.random.default_rng(0)
    queries = [
        Query(str(n), vector=v / np.linalg.norm(v)) for n, v in enumerate(rng.normal(size=(60, 32)))
    ]
    for query in queries[:2]:
        router.learn(query, 11.0, "small")
        router.learn(query, 10.0, "large")

    for query in queries[2:]:
        route = router.choose(query).model
        router.learn(query, 1.0 if route == "small" else 10.0, route)

    assert router.choose(queries[-1]).model == "small"


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_of_equal_lower_bounds_the_prediction_is_of_the_model_that_is_chosen(names):
    # Both lower bounds are the floor, 1; the less width leaves a at 0.5, b is at -4.
    said = {"a": Estimate(3.0, 2.5, 1.0), "b": Estimate(5.0, 9.0, 1.0)}
    routes = router(**{name: said[name] for name in names})
    assert routes.choose(X).model == "b"
    assert routes.predict(X) == said["b"]


def test_what_a_bad_answer_costs_decides_which_model_is_asked():
    # Lower bounds: small 1 + e·0.1, large 10 + e·0. They are equal at e = 90.
    assert pair().choose(X, error_price=89.0).model == "small"
    assert pair().choose(X, error_price=91.0).model == "large"


def test_fail_expensive_asks_the_cheaper_only_if_it_costs_less_failing_as_often_as_it_may():
    # Small 1 + e·0.5, large 10 + e·0.1: equal at e = 22.5.
    assert pair().choose(X, error_price=22.0, safe=True).model == "small"
    assert pair().choose(X, error_price=23.0, safe=True).model == "large"


def test_with_a_judge_the_cheapest_first_costs_its_price_the_judge_and_what_comes_next_when_it_fails():
    route = pair().choose(X, judged=True, judge_price=0.5)
    assert (route.model, route.strategy, route.ladder) == ("small", "cascade", ("small", "large"))
    small = route.estimates["small"]
    assert small.mean == pytest.approx(1.0 + 0.5 + 0.3 * 10.0)
    assert small.optimistic == pytest.approx(1.0 + 0.5 + 0.1 * 10.0)
    assert small.upper == pytest.approx(1.0 + 0.5 + 0.5 * 10.0)
    chance = route.chances["small"]
    assert (chance.optimistic, chance.mean, chance.upper) == pytest.approx((0.1, 0.3, 0.5))


@pytest.mark.parametrize(
    ("strategy", "error_price", "chosen"),
    [
        # Judged first, small costs 1 + 2 + 0.3·10 = 6; unjudged 1 + e·0.5 if it fails all it may.
        ("auto", 9.0, "route"),
        ("auto", 11.0, "cascade"),
        ("route", 11.0, "route"),
        ("cascade", 9.0, "cascade"),
        ("auto", 0.0, "cascade"),
    ],
)
def test_auto_has_an_answer_judged_where_that_costs_less_than_the_errors(
    strategy, error_price, chosen
):
    route = pair(strategy=strategy).choose(X, judged=True, judge_price=2.0, error_price=error_price)
    assert (route.model, route.strategy) == ("small", chosen)


def test_nothing_is_judged_where_there_is_no_judge():
    assert pair(strategy="cascade").choose(X, error_price=5.0).strategy == "route"


def test_a_cascade_leaves_out_a_model_that_costs_more_and_fails_more():
    models = {"small": says(1.0, 0.5), "waste": says(5.0, 0.9), "large": says(6.0, 0.0)}
    assert Router(models).choose(X, judged=True).ladder == ("small", "large")


def test_what_cannot_be_done_is_excluded_before_any_cost_is_compared():
    route = pair().choose(X, among={"large"})
    assert (route.model, route.reason) == ("large", "no other model can")
    assert set(route.estimates) == {"large"}


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"among": []}, r"among must leave a model, got none of \['small', 'large'\]"),
        ({"among": ["huge"]}, r"among must be some of .* got \['huge'\]"),
        ({"stay": "huge"}, "stay must be one of .* got 'huge'"),
        ({"judge_price": -1.0}, "judge_price must be .* got -1.0"),
        ({"error_price": math.inf}, "error_price must be .* got inf"),
        ({"switch_price": math.nan}, "switch_price must be .* got nan"),
    ],
)
def test_terms_that_mean_nothing_are_refused_by_name_and_value(terms, message):
    with pytest.raises(ValueError, match=message):
        pair().choose(X, **terms)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "best"}, "strategy must be 'route', 'cascade' or 'auto', got 'best'"),
        ({"half_life": 0.0}, "half_life must be a finite positive number of seconds, got 0.0"),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name_and_value(settings, message):
    with pytest.raises(ValueError, match=message):
        pair(**settings)


def test_a_conversation_stays_unless_switching_saves_more_than_it_costs():
    # Large is 10 - 1 = 9 more expensive than small.
    assert pair().choose(X, stay="large", switch_price=9.5).model == "large"
    assert pair().choose(X, stay="large", switch_price=8.5).model == "small"


def test_until_something_is_known_of_the_cheaper_fail_expensive_asks_the_most_expensive():
    models = Router({"small": Costs(), "large": Costs()})
    assert models.choose(X).model == "small"
    route = models.choose(X, safe=True)
    assert (route.model, route.reason) == ("large", "not tried yet")
    models.learn(X, 10.0, "large")
    route = models.choose(X, safe=True, error_price=100.0)
    assert route.model == "large"
    assert "small not tried" in route.reason


def test_fail_expensive_goes_down_once_a_cheaper_model_has_not_failed():
    models = Router({"small": Costs(), "large": Costs()})
    models.learn(X, 10.0, "large")
    for _ in range(5):
        models.learn(X, 1.0, "small", failed=0.0)
    assert models.choose(X, safe=True, error_price=20.0).model == "small"
    for _ in range(5):
        models.learn(X, None, "small", failed=1.0)
    assert models.choose(X, safe=True, error_price=20.0).model == "large"


def test_price_and_failure_are_learned_apart_and_feedback_may_come_late():
    costs = Costs(Says(UNKNOWN), Says(UNKNOWN))
    models = Router({"small": costs})
    models.learn(X, 2.0, "small")
    models.learn(X, None, "small", failed=1)
    models.learn(X, 3.0, "small", failed=0.25)
    assert costs.price.told == [(X, 2.0), (X, 3.0)]
    assert costs.fails.told == [(X, 1.0), (X, 0.25)]


def test_a_cost_that_includes_failing_is_learned_alone():
    models = router(small=UNKNOWN)
    models.learn(X, 2.0, "small", failed=1.0)
    models.learn(X, None, "small", failed=1.0)
    assert models.estimators["small"].told == [(X, 2.0)]


@pytest.mark.parametrize("failed", [-0.1, 1.1, math.nan])
def test_a_failure_that_is_no_share_is_refused_and_nothing_is_learned(failed):
    costs = Costs(Says(UNKNOWN), Says(UNKNOWN))
    with pytest.raises(ValueError, match=f"failed must be between 0 .* got {failed!r}"):
        Router({"small": costs}).learn(X, 1.0, "small", failed=failed)
    assert costs.price.told == []


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("make", [Mean, Costs], ids=["cost", "costs"])
def test_a_model_that_raises_before_it_ever_answered_is_left_for_a_while_and_tried_again(make):
    clock = Clock()
    models = Router({"small": make(), "large": make()}, half_life=60.0, clock=clock)
    models.outage(models.choose(X).model)
    models.learn(X, 10.0, models.choose(X).model)
    asked = []
    for _ in range(600):
        clock.now += 1.0
        model = models.choose(X).model
        asked.append(model)
        if model == "small":
            models.outage("small")
        else:
            models.learn(X, 10.0, "large")
    # P(outage) is 1 for a minute after the first failure, longer after each; it is tried at 1/2.
    assert 1 <= asked.count("small") <= 6
    assert asked[:59] == ["large"] * 59


def test_a_known_model_that_raises_costs_what_the_other_would_and_is_itself_again_when_it_answers():
    clock = Clock()
    models = Router({"small": says(4.0, 0.0), "large": says(10.0, 0.0)}, clock=clock)
    models.outage("small")
    route = models.choose(X)
    assert route.model == "large"
    assert route.estimates["small"].mean == 4.0 + 1.0 * 10.0
    assert route.reason.endswith("; small raises 100%")
    clock.now += 60.0
    # Two, halved once, is one; after another half-life P = 1/2, and small is 4 + 5 < 10.
    assert models.choose(X).model == "large"
    clock.now += 60.0
    assert models.choose(X).model == "small"
    models.outage("small")
    models.answered("small")
    assert models.choose(X).model == "small"


def test_when_all_are_out_the_one_likeliest_to_be_back_is_asked():
    clock = Clock()
    models = Router({"small": Mean(), "large": Mean()}, clock=clock)
    models.outage("large")
    clock.now += 90.0
    models.outage("small")
    route = models.choose(X)
    assert (route.model, route.reason) == ("large", "no other model answers; small raises 100%")


def test_rank_puts_first_whom_the_cheapest_model_fails_and_the_most_expensive_does_not():
    class Reads(Says):
        def predict(self, x):
            return Estimate(self.estimate[x.key], 0.0)

    small, large = (
        Reads({"easy": 0.1, "hard": 0.9, "hopeless": 1.0}),
        Reads({"easy": 0.1, "hard": 0.2, "hopeless": 0.9}),
    )
    price = Says(Estimate(1.0, 0.0))
    models = Router({"small": Costs(price, small), "large": Costs(price, large)})
    queries = [Query(key) for key in ("easy", "hopeless", "hard")]
    ranked = models.rank(queries)
    assert [r.query.key for r in ranked] == ["hard", "hopeless", "easy"]
    assert [r.score for r in ranked] == pytest.approx([0.7, 0.1, 0.0])
    assert Router({"only": Costs(price, small)}).rank(queries[:1])[0].score == 0.0


def test_explain_shows_what_is_known_of_every_model_and_why_one_is_not_asked():
    models = Router({"small": says(1.0, 0.3), "blind": says(0.5, 0.1), "new": Mean()})
    models.outage("new")
    said = models.explain(X, among=["small", "new"], error_price=10.0)
    assert said.splitlines() == [
        "model  price             will not do       in all",
        "small  1 (1 to 1)        0.3 (0.3 to 0.3)  4 (4 to 4)  asked",
        "blind  0.5 (0.5 to 0.5)  0.1 (0.1 to 0.1)              cannot do what is asked",
        "new                                        not tried   raises 100%",
        "small: least lower bound of small 4, new not tried; new raises 100%",
    ]


def taught(seed, make=None):
    """A router that has learned thirty calls."""
    chance = random.Random(seed)
    rng = np.random.default_rng(seed)
    models = Router({name: make() if make else Costs() for name in ("small", "large")})
    queries = [Query(str(n), vector=rng.normal(size=4).astype(np.float32)) for n in range(8)]
    for _ in range(30):
        failed = chance.choice([None, 0.0, 1.0, 0.5])
        models.learn(
            chance.choice(queries),
            chance.expovariate(1.0),
            chance.choice(["small", "large"]),
            failed=failed,
        )
    return models, queries


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("routers")


@given(
    st.integers(0, 10**6), st.sampled_from([None, Mean, Ridge, lambda: Mean(prior=Shrunk(Ridge()))])
)
def test_a_router_that_was_saved_knows_what_it_knew(folder, seed, make):
    models, queries = taught(seed, make)
    path = folder / "router"
    models.save(path)
    again = Router.load(path, {name: make() for name in models.estimators} if make else None)
    terms = {"judged": True, "judge_price": 0.1, "error_price": 3.0}
    for x in [*queries, Query("new"), X]:
        assert again.choose(x, **terms) == models.choose(x, **terms)
    for each in (models, again):
        each.learn(queries[0], 2.0, "small", failed=1.0)
    assert again.choose(queries[0], **terms) == models.choose(queries[0], **terms)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "router"
    taught(0)[0].save(path)
    return path


def test_a_file_of_another_version_is_refused_with_its_place(saved, monkeypatch):
    monkeypatch.setattr(Router, "VERSION", 2)
    with pytest.raises(ValueError, match=r"router .*Router version 1, expected Router version 2"):
        Router.load(saved)


def test_a_file_of_other_models_or_other_estimators_is_refused(saved):
    with pytest.raises(ValueError, match=r"of the models \['small', 'large'\], not \['tiny'\]"):
        Router.load(saved, {"tiny": Costs()})
    with pytest.raises(ValueError, match=r"router .*'cost'"):
        Router.load(saved, {"small": Mean(), "large": Mean()})


def test_an_estimator_that_cannot_be_kept_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"must have dump.* got .*Says"):
        router(small=UNKNOWN).save(tmp_path / "router")
    assert list(tmp_path.iterdir()) == []


def doubted():
    """A router of a model that, judged first, costs more by its mean and less by its bound."""
    fails = Says(Estimate(0.5, 0.4, ceiling=1.0, above=0.4))
    cheap = Costs(Says(Estimate(2.8, 0.0)), fails)
    return Router({"cheap": cheap, "large": Costs(Says(Estimate(4.0, 0.0)), Says(ANYTHING))})


def test_a_judged_model_is_tried_on_its_bound_alone_as_long_as_little_is_known_of_it():
    models = doubted()
    assert models.choose(X, judged=True).model == "cheap"
    before = models.predict(X, judged=True)
    for n in range(400):
        models.learn(X, 2.8, "cheap", failed=float(n % 2))
    assert models.choose(X, judged=True).model == "large"
    assert models.predict(X, judged=True) == before  # what a stored answer is worth is by the bound
    assert models.choose(X, error_price=2.5).model == "cheap"  # unjudged, the whole bound counts


def test_models_that_learn_together_are_tried_less_the_more_is_known_though_nobody_judges():
    def asked(n):
        """Whether the small model is, whose failures are even: 5 less in price, 5.6 more in errors."""
        models = Router({name: Costs() for name in ("small", "large")})
        for i in range(n):
            x = Query(str(i), text="why")
            models.learn(x, 1.0, "small", failed=float(i % 2))
            models.learn(x, 6.0, "large", failed=float(i % 20 == 0))
        return models.choose(Query("new", text="why"), error_price=12.5).model

    assert asked(80) == "small"
    assert asked(3000) == "large"


def test_what_is_known_of_a_model_outlives_the_process_and_a_file_of_before_tries_it_anew(tmp_path):
    models = Router({"small": Costs(), "large": Costs()})
    for n in range(400):
        models.learn(X, 1.0, "small", failed=float(n % 2))
        models.learn(X, 10.0, "large", failed=0.0)
    models.save(tmp_path / "router")
    assert Router.load(tmp_path / "router").dump()["outcomes"]["small"].sum() > 300
    assert Router.load(tmp_path / "router").choose(X, judged=True) == models.choose(X, judged=True)
    state = {name: part for name, part in models.dump().items() if name != "outcomes"}
    files.write(tmp_path / "before", state)
    assert Router.load(tmp_path / "before").dump()["outcomes"]["small"].sum() == 0
    files.write(tmp_path / "spoilt", {**state, "outcomes": {"small": np.array([math.nan, 1.0])}})
    with pytest.raises(
        ValueError, match=r"spoilt is not of such a router: state is damaged: small"
    ):
        Router.load(tmp_path / "spoilt")


def test_a_saved_router_keeps_its_settings_but_no_outage(tmp_path):
    models = Router({"small": Mean(), "large": Mean()}, strategy="cascade", half_life=5.0)
    models.outage("small")
    models.save(tmp_path / "router")
    again = Router.load(tmp_path / "router", {"small": Mean(), "large": Mean()})
    assert again.strategy == "cascade"
    assert (again.choose(X).model, again.choose(X).reason) == ("small", "not tried yet")


def test_threads_that_choose_and_learn_lose_nothing():
    class Counts(Says):
        n = 0

        def learn(self, x, cost):
            self.n += 1

    parts = [Counts(Estimate(1.0, 0.5)) for _ in range(4)]
    models = Router({"small": Costs(*parts[:2]), "large": Costs(*parts[2:])})

    def work():
        for n in range(500):
            models.choose(X, judged=True, error_price=1.0)
            models.learn(X, 1.0, ("small", "large")[n % 2], failed=1.0)
            models.outage("small")
            models.answered("small")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [part.n for part in parts] == [2000] * 4


def test_eight_threads_of_ten_thousand_calls_lose_nothing_that_the_default_learns():
    rng = np.random.default_rng(0)
    queries = [Query(str(n), text=f"question {n}", vector=rng.random(4)) for n in range(40)]
    models = Router({"small": Costs(), "large": Costs()})
    start, failed = threading.Barrier(8), []

    def work():
        start.wait()
        for n in range(5000):
            query, name = queries[n % 40], ("small", "large")[n % 3 == 0]
            try:
                models.choose(query, among=[name], judged=True, error_price=1.0)
                models.learn(query, float(1 + n % 2), name, failed=float(n % 5 == 0))
            except Exception as error:
                failed.append(error)
                raise

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for name, told in (("small", 8 * 3333), ("large", 8 * 1667)):
        learned = models.dump()["models"][name]
        price, fails = learned["price"], learned["fails"]
        own = [n for n in range(5000) if (n % 3 == 0) == (name == "large")]
        assert price["prior"]["n"] == fails["prior"]["examples"]["seen"] == told == 8 * len(own)
        assert fails["prior"]["examples"]["bad"] == 8 * sum(n % 5 == 0 for n in own)
        for part, cost in ((price, lambda n: 1 + n % 2), (fails, lambda n: n % 5 == 0)):
            sums = np.bincount([n % 40 for n in own], [8 * cost(n) for n in own])
            assert part["counts"].sum() == told
            at = [int(key) for key in part["keys"]]
            assert part["counts"] * part["means"] == pytest.approx(sums[at])


def test_once_prices_are_known_no_expensive_model_is_asked_for_what_it_might_cost():
    # Calls cost 1 and 3, times lengths that the 384 numbers of a question say nothing about.
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = [Query(str(n), vector=vector) for n, vector in enumerate(vectors)]
    models = Router({"small": Costs(fails=Says(UNKNOWN)), "large": Costs(fails=Says(UNKNOWN))})
    for query in queries[:300]:
        models.learn(query, 1.0 * float(rng.lognormal(0.0, 0.7)), "small")
        models.learn(query, 3.0 * float(rng.lognormal(0.0, 0.7)), "large")
    chosen = [models.choose(query).model for query in queries[300:]]
    assert chosen.count("large") <= 2


def test_of_nine_models_of_one_price_none_is_asked_because_its_price_is_in_doubt():
    """The second costs a tenth more on average; by the least of noisy bounds it would be asked often."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = [Query(str(n), vector=vector) for n, vector in enumerate(vectors)]
    names = ["cheapest", *(f"dearer {n}" for n in range(8))]
    models = Router({name: Costs(fails=Says(UNKNOWN)) for name in names})
    for query in queries[:400]:
        for name in names:
            mean = 1.0 if name == "cheapest" else 1.1
            models.learn(query, mean * float(rng.lognormal(0.0, 0.3)), name)
    chosen = [models.choose(query).model for query in queries[400:]]
    assert chosen.count("cheapest") > 100


def test_a_model_whose_first_price_was_an_exception_is_asked_again():
    models = Router({"small": Costs(fails=Says(UNKNOWN)), "large": Costs(fails=Says(UNKNOWN))})
    vectors = np.eye(8, dtype=np.float32)
    models.learn(Query("0", vector=vectors[0]), 12.0, "small")  # it had to be loaded
    models.learn(Query("1", vector=vectors[1]), 5.0, "large")
    assert models.choose(Query("2", vector=vectors[2])).model == "small"


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda one: one,
        lambda one: Mean(prior=one),
        lambda one: Mean(prior=Shrunk(one)),
        lambda one: Blend(SklearnClassifier(members=2), one),
    ],
    ids=["bare", "history", "shrunk", "blended"],
)
def test_the_classifiers_of_a_routers_models_learn_together(wrapped):
    """When the one is due the other, of which half a fifth is new, is fitted too."""
    classifiers = {name: Classifier() for name in ("small", "large")}
    made = Router({name: Costs(fails=wrapped(one)) for name, one in classifiers.items()})
    small, large = classifiers.values()
    asked = ["small", "large"] * 40 + ["large"] * 4 + ["small"] * 10
    for n, name in enumerate(asked):
        hard = n // 2 % 2
        made.learn(Query(f"{n}", text="hard" if hard else "easy"), 1.0, name, failed=hard)
    assert small._examples.fitted == 50
    assert large._examples.fitted == 44


def test_where_nobody_hears_what_becomes_of_an_answer_no_model_is_tried():
    sure, doubtful = Estimate(2.0, 0.1), Estimate(3.0, 2.5)
    models = Router({"doubtful": Says(doubtful), "sure": Says(sure)})
    assert models.choose(X).model == "doubtful"
    route = models.choose(X, heard=False)
    assert (route.model, route.reason) == ("sure", "least expected of doubtful 3, sure 2")
