"""The study of selectors: what each arm pays, on streams that can be reckoned by hand."""

import importlib.util
import sys
from pathlib import Path

import pytest

from langchain_cachemux.types import Query

ROOT = Path(__file__).parents[3]


def _module():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("selector", ROOT / "benchmarks/selector.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["selector"] = module
    spec.loader.exec_module(module)
    return module


selector = _module()


def test_the_arms_that_learn_nothing_pay_what_the_questions_say():
    costs = selector.simulate(selector.Cell(1.0, 2.0, 0.5, judged=True), 0, 4000)
    # Half suits small at 1/2; the other half costs 1, or 2 on top as an error, or a judge and 1.
    assert costs["oracle"] == costs["trust"] == pytest.approx(0.75, abs=0.02)
    assert costs["small"] == pytest.approx(0.5 + 0.5 * 2.0, abs=0.04)
    assert costs["cascade"] == pytest.approx(0.5 + 0.1 + 0.5 * 1.0, abs=0.02)
    assert costs["large"] == 1.0


def test_a_selector_that_is_always_right_comes_to_be_trusted():
    costs = selector.simulate(selector.Cell(1.0, 10.0, 0.5, judged=False), 0, 1500)
    assert "auto" not in costs
    assert "cascade" not in costs
    assert costs["route"] == pytest.approx(costs["oracle"], abs=0.03)


def test_a_selector_that_says_nothing_costs_no_more_than_the_best_single_way():
    costs = selector.simulate(selector.Cell(0.5, 10.0, 0.8, judged=True), 0, 1500)
    assert costs["auto"] <= 1.03 * min(costs["small"], costs["large"], costs["cascade"])
    assert costs["trust"] > 1.3 * costs["auto"]


def test_a_share_is_a_beta_posterior_and_its_bound_widens_while_nothing_is_learned():
    share, x = selector.Share(), Query("x")
    assert share.predict(x) == selector.ANYTHING
    for failed in (1.0, 0.0, 0.0):
        share.learn(x, failed)
    first = share.predict(x)
    assert first.mean == pytest.approx(1.5 / 4.0)
    assert share.predict(x).width > first.width
