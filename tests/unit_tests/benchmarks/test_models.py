"""The study of many models: its arithmetic on a handful of questions."""

import gzip
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from langchain_cachemux.route.costs import Costs
from langchain_cachemux.types import Estimate, Query

ROOT = Path(__file__).parents[3]


def _module():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("models", ROOT / "benchmarks/models.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["models"] = module
    spec.loader.exec_module(module)
    return module


models = _module()
Point = models.Point


def outcomes(scores, prices):
    texts = [f"question {n}" for n in range(len(scores))]
    names = [f"m{k}" for k in range(len(prices))]
    return models.Outcomes(
        "some", names, texts, np.tile(prices, (len(scores), 1)), np.array(scores, dtype=float)
    )


def test_a_quality_between_two_points_costs_what_lots_between_them_cost():
    found = [Point(1.0, 0.5), Point(3.0, 0.9), Point(9.0, 0.8)]
    assert models.cost_of(0.5, found) == 1.0
    assert models.cost_of(0.7, found) == pytest.approx(2.0)
    assert models.cost_of(0.9, found) == 3.0
    assert models.cost_of(0.95, found) == float("inf")


def test_the_router_asks_whom_its_estimators_say_and_errors_decide_how_often_the_expensive():
    some = outcomes([[1, 1], [0, 1]], [1.0, 4.0])
    queries = [Query(str(n)) for n in range(2)]
    says = [
        models.Said({str(n): Estimate(1.0 - some.scores[n, k], 0.0) for n in range(2)})
        for k in range(2)
    ]
    prices = [models.Said(dict.fromkeys("01", Estimate(p, 0.0))) for p in (1.0, 4.0)]
    costs = {f"m{k}": Costs(prices[k], says[k]) for k in range(2)}
    picks = models.routed(costs, some, queries, 1.0)
    # The second question's error costs more than 4 - 1 from the first price of an error above 3 on.
    for error, pick in zip(models.ERRORS, picks, strict=True):
        assert pick.tolist() == [0, int(error > 3.0)]
    assert models.points(some, picks)[-1] == Point(2.5, 1.0)


def test_against_the_best_single_model_the_worst_price_of_an_error_is_reported():
    some = outcomes([[1, 1], [0, 1]] * 10, [1.0, 4.0])
    prices, quality = np.array([1.0, 4.0]), np.array([0.5, 1.0])
    best = [np.full(20, int(np.argmin(prices + error * (1 - quality)))) for error in models.ERRORS]
    assert models.against(some, best, prices=prices, quality=quality, unit=1.0) == [1.0, 1.0, 1.0]
    large = [np.full(20, 1)] * len(models.ERRORS)
    ratio, low, high = models.against(some, large, prices=prices, quality=quality, unit=1.0)
    assert ratio == pytest.approx(4.0 / (1.0 + models.ERRORS[0] / 2))
    assert low < ratio < high


def test_llmrouter_is_read_cheap_to_expensive_and_each_question_once(tmp_path):
    folder = tmp_path / "routing/llmrouter"
    folder.mkdir(parents=True)
    rows = [{"question": q, "scores": {"big": 1.0, "little": 0.5}, "cluster_id": 1} for q in "aba"]
    with gzip.open(folder / "dcrouter_preprocessed__train.json.gz", "wt") as file:
        json.dump(rows, file)
    lists = {"big": {"output_price": 0.9}, "little": {"output_price": 0.2}}
    (folder / "example_data__llm_candidates__default_llm.json").write_text(json.dumps(lists))
    read = models.llmrouter(tmp_path)
    assert (read.models, read.texts) == (["little", "big"], ["a", "b"])
    assert read.prices[0] == pytest.approx([0.2e-6, 0.9e-6])
    assert read.scores.tolist() == [[0.5, 1.0]] * 2


def test_a_call_is_priced_by_its_makers_list_or_by_its_size():
    assert models._dollars("gemini-1.5-pro-002", 4e6, 4e6) == pytest.approx(1.25 + 5.0)
    assert models._dollars("Llama-2-70b-hf", 4e6, 4e6) == pytest.approx(0.9 + 0.9)
    assert models._dollars("Mixtral-8x7B-v0.1", 4e6, 0.0) == pytest.approx(0.8)


def test_vectors_that_were_kept_are_not_embedded_again(tmp_path, monkeypatch):
    calls = []

    class Encoder:
        def embed_documents(self, texts):
            calls.extend(texts)
            return [[float(len(text)), 1.0] for text in texts]

    monkeypatch.setattr("langchain_cachemux.read.encoder.SentenceEncoder", Encoder)
    first = models.vectors_of(["a", "bb", "a"], tmp_path / "v.npz")
    again = models.vectors_of(["bb", "ccc"], tmp_path / "v.npz")
    assert first.tolist() == [[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]]
    assert again.tolist() == [[2.0, 1.0], [3.0, 1.0]]
    assert sorted(calls) == ["a", "bb", "ccc"]
