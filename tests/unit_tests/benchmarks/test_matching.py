"""The benchmark of matching: its arms by hand, and its arrays against the real cache."""

import importlib.util
import random
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_cachemux import Hit, LECCache
from langchain_cachemux.match import verified
from langchain_cachemux.match.surface import Surface
from langchain_cachemux.match.verified import Verified
from langchain_cachemux.read import answers

ROOT = Path(__file__).parents[3]


def _module():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("matching", ROOT / "benchmarks/matching.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["matching"] = module
    spec.loader.exec_module(module)
    return module


matching = _module()


def label(name):
    return answers.write([Generation(text=name)])


def drawn(requests, *, seed, topics=12):
    """Questions about a few topics, each with a vector near its topic's."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    centres = rng.normal(size=(topics, 32))
    stream, vectors = [], []
    for place in range(requests):
        topic = draw.randrange(topics)
        verdict = draw.choice(["reworded", "reworded", "unsure", "another", "same"])
        stream.append(matching.Asked(f"{verdict} {topic} {place}", label(f"about {topic}")))
        vector = centres[topic] + rng.normal(size=32) * draw.uniform(0.1, 0.7)
        vectors.append(vector / np.linalg.norm(vector))
    return stream, np.array(vectors, np.float32)


@pytest.fixture(autouse=True)
def surface(monkeypatch):
    def compare(new, stored):
        return Surface(new.split()[0], "", shared=0.0, in_frame=False, differing=())

    monkeypatch.setattr(verified, "compare", compare)


class Given(Embeddings):
    """Vectors that are given."""

    def __init__(self, stream, vectors):
        self.vectors = {asked.text: v for asked, v in zip(stream, vectors, strict=True)}

    def embed_query(self, text):
        return [float(x) for x in self.vectors[text]]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("judged", [False, True])
def test_the_arrays_decide_as_the_cache_does(seed, judged):
    stream, vectors = drawn(300, seed=seed)
    decided, served = [], []
    when, made = ("before", matching.made(0.0, told=True)) if judged else (None, None)

    def noted(tally, desk):
        serve = matching.ours(0.05, when, judge=made, seed=seed)(tally, desk)

        def note(query, name):
            right = serve(query, name)
            decided.append(right)
            return right

        return note

    matching.run(stream, vectors, noted)
    embeddings = Given(stream, vectors)
    truth = {asked.text: asked.label for asked in stream}
    with LECCache(
        embeddings=embeddings,
        match=Verified(0.05, seed=seed),
        price=lambda usage: usage.seconds if usage.model == "judge" else 1.0,
        judge=made(matching.Tally(), truth) if judged else None,
        judge_when="before",
        same=lambda stored, fresh: stored == fresh,
    ) as cache:
        for asked in stream:
            prompt = dumps([HumanMessage(asked.text)])
            verdict = cache.find(prompt, "a model")
            if isinstance(verdict, Hit):
                stored = answers.read(verdict.entry.answer)[0].text
                served.append(label(stored) == asked.label)
                continue
            served.append(None)
            fresh = answers.read(asked.label)[0].text
            cache.update(prompt, "a model", [ChatGeneration(message=AIMessage(fresh))])
    agree = sum(a == b for a, b in zip(decided, served, strict=True))
    assert agree / len(served) >= 0.97
    assert sum(a is not None for a in served) > 20


def test_a_threshold_a_grey_zone_and_an_oracle_by_hand():
    texts = ["a", "a again", "b", "b again"]
    stream = [matching.Asked(text, label(text[0])) for text in texts]
    vectors = np.array([[1, 0], [0.9, 0.43589], [0, 1], [0.6, 0.8]], np.float32)
    oracle = matching.run(stream, vectors, matching.oracle(0.1))
    assert (oracle.served, oracle.wrong, oracle.misses) == (2, 0, 2)
    assert oracle.row()["cost"] == pytest.approx(2 + 2 * 0.1)
    strict = matching.run(stream, vectors, matching.threshold(0.95))
    assert (strict.served, strict.misses) == (0, 4)
    some = matching.run(stream, vectors, matching.threshold(0.4))
    assert (some.served, some.wrong, some.misses) == (2, 0, 2)
    loose = matching.run(stream, vectors, matching.threshold(0.0))
    assert (loose.served, loose.wrong, loose.misses) == (3, 2, 1)
    grey = matching.run(stream, vectors, matching.grey_zone(0.5, 0.95))
    assert (grey.served, grey.judged, grey.misses) == (0, 2, 4)
    assert grey.row()["cost"] == pytest.approx(4 + 2 * matching.PRICE)


def test_a_flawed_judge_is_wrong_about_its_share_and_always_about_the_same():
    tally = matching.Tally()
    says = matching.flawed(0.1, tally)
    said = [says(str(n), "stored", same=True) for n in range(5000)]
    assert np.mean(said) == pytest.approx(0.9, abs=0.02)
    assert said == [says(str(n), "stored", same=True) for n in range(5000)]
    assert tally.judged == 10_000


def test_an_entrys_curve_explores_less_the_more_often_it_was_right():
    curve = matching.Curve()
    chances = []
    for _ in range(60):
        chances.append(curve.explores(0.95, 0.05))
        curve.learn(0.95, right=True)
    assert chances[0] > 0.9
    assert chances[-1] < 0.5
    assert all(a >= b - 1e-9 for a, b in pairwise(chances))
