"""RouteLLM's published table beside ours: which questions need the large model?

python benchmarks/routing.py --data DIR    # or CACHEMUX_DATA=DIR; about four hours of one core

DIR holds `routing/routellm/evals` (the public repository lm-sys/RouteLLM @0b64fda): whether
Mixtral-8x7B and GPT-4-1106 answered each question of MMLU (14,037) and GSM8K (1,307) right, less what
it calls contaminated.

Scores. A router gives each question a number, here P(small fails) - P(large fails); the questions with
the largest go to the large model. Accuracy over the share that does is a curve; APGR is the area
between it and the small model, as a part of the large one's lead (random: .5); CPT50 and CPT80 are the
least share, in %, that recovers 50 or 80 % of the lead. Every distinct score is a threshold, equal ones
are one. ECE is the mean |predicted - observed| over ten bins of equal numbers of questions, and over
both models. Where the reference scorer lies beside the data (`tools/routing_score.py`) and pandas is
installed, both must agree.

Settings.
    no-label:    nothing was learned of these models.
    labels:      both models' outcomes on 1,500 (650) questions drawn at random, five draws;
                 the rest is scored.
    progressive: questions come one by one; only the model chosen shows its outcome; each is
                 scored before.

Streams: all of MMLU in ten orders, bandit feedback, prices 1 and 2, 1 and 1.5 with a judge (a wrong
small answer costs the large call on top), 1 and 10 without (a wrong answer of either costs 72). Chosen
is the least price + cost of failing x lower bound of failing; ever less of that bound counts, as
`Router` has it (`Outcomes.hope`). In a fourth stream nobody says which answers were wrong: audits tell
whether the small model's was worse, and are paid; it is asked where that is expected to cost less. So
does a `MultiplexedLLM` with an `error_price` and `audit=0.3`.

Both models' classifiers learn together, as in a `Router`. Beside what a stream cost stands what it costs
to go by the means of classifiers that are told what both models would have answered, on three orders.

Bounds: the default's, of nine in ten. On questions with outcomes: how often the mean bounds of a
group hold its observed rate, the groups being bins of the mean and clusters of the vectors. Rates of
few outcomes are noisy, so the ceiling stands beside it: how often the same bounds hold outcomes drawn
at the very chances that were predicted. On synthetic questions, whose curve is logistic: how often a
question's bounds hold its true chance.

Designs and constants were chosen on other draws (seeds from 100) and orders than those scored (0-4,
20-29). Others were scored once: of 0-9 one met two failures first and never asked the small model
again; of 10-13, with a narrower bound, two asked it hard questions alone and so hardly ever. Hence the
bound of few outcomes is wider. That of many counts less (chosen on orders 12, 13, 100 and 101), for with
all of it too many questions were asked of the small model in vain. Without a judge two of 20-29 locked
then, for each model learned from its own answers alone (22.56; with all of the bound 22.52). Learning
together was chosen on orders 0-9, 12 and 13, and then scored on 20-29 again, three times: when it is
done was changed twice after the rows of labels, not those of the streams, were seen.
Intervals: 95 %, bootstrap over questions, the same resamples for every router.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from langchain_cachemux import Estimate, Estimator, Mean, Query, Ridge, SentenceEncoder
from langchain_cachemux.audits import TYPICAL
from langchain_cachemux.multiplexer import AUDIT
from langchain_cachemux.route.classifiers import Classifier, together
from langchain_cachemux.route.costs import Known, Outcomes, at_stake
from langchain_cachemux.route.fitted import SklearnClassifier
from langchain_cachemux.route.networks import TorchClassifier, TransformerClassifier

RESULTS = Path(__file__).parent / "results"
SMALL, LARGE = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
LABELS = {"mmlu": 1500, "gsm8k": 650}
DRAWS, ORDERS = range(5), range(20, 30)
RESAMPLES = 1000
SYNTHETIC = range(20)
"""Draws of synthetic questions: of one, all bounds err together."""
PUBLISHED = {
    "mmlu": {"RouteLLM, best": (0.603, 35.4, 71.6)},
    "gsm8k": {"RouteLLM, 8B model": (0.622, 33.6, 63.3), "RouteLLM, light": (0.568, 41.2, 72.2)},
}
"""APGR, CPT50 and CPT80 as published."""
STREAMS = {
    "judge, 1:2": (1.0, 2.0, 2.0, 0.0),
    "judge, 1:1.5": (1.0, 1.5, 1.5, 0.0),
    "no judge, 1:10, wrong costs 72": (1.0, 10.0, 72.0, 72.0),
}
"""Prices of small and large, and what it costs when either fails."""


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.06, max_leaf_nodes=8, min_samples_leaf=20, random_state=0
    )


def _neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(40)


class Total:
    """An estimator of amounts, told a cost of 1 in which failing is included as one more."""

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator

    def predict(self, x: Query) -> Estimate:
        """Estimate the chance of failing: what the cost exceeds 1 by."""
        e = self.estimator.predict(x)
        return Estimate(e.mean - 1.0, e.width, ceiling=1.0)

    def learn(self, x: Query, cost: float) -> None:
        """Learn 1 and the failing on top."""
        self.estimator.learn(x, 1.0 + cost)


ROUTERS: dict[str, Callable[[], Any]] = {
    "Classifier": Classifier,
    "Mean(prior=Ridge()), of the cost 1 + failing": lambda: Total(Mean(prior=Ridge())),
    "SklearnClassifier(): logistic": SklearnClassifier,
    "SklearnClassifier(40 neighbours)": lambda: SklearnClassifier(_neighbours(), members=4),
    "SklearnClassifier(boosting)": lambda: SklearnClassifier(_boosting(), members=4),
    "TorchClassifier": TorchClassifier,
    "TransformerClassifier": lambda: TransformerClassifier(progress=False),
}
BLENDS: dict[str, tuple[str, ...]] = {
    "Blend(Classifier, TransformerClassifier)": ("Classifier", "TransformerClassifier"),
    "Blend(Classifier, TransformerClassifier, TorchClassifier)": (
        "Classifier", "TransformerClassifier", "TorchClassifier",
    ),
}  # fmt: skip
"""A `Blend` says the mean of what its parts say, each of which learns everything by itself."""
SLOW = {"SklearnClassifier(boosting)"}
"""Measured on the first draw alone."""
DEFAULT = "Classifier"


@dataclass(frozen=True)
class Bench:
    """Questions and where either model fails."""

    name: str
    queries: list[Query]
    small: np.ndarray
    """1 where the small model is wrong, shape (n,)."""
    large: np.ndarray

    @property
    def gain(self) -> np.ndarray:
        """What the large model's answer is worth more, shape (n,)."""
        return np.asarray(self.small - self.large)


def read(folder: Path, name: str) -> Bench:
    """Read one benchmark of `routing/routellm/evals`, without vectors.

    Raises:
        FileNotFoundError: It is not there.
    """
    folder = folder / "routing" / "routellm" / "evals" / name
    files = sorted((folder / "responses").glob("mmlu_*.csv"))
    files = files if name == "mmlu" else [folder / f"{name}_responses.csv"]
    if not files:
        msg = f"no responses in {folder}"
        raise FileNotFoundError(msg)
    lines = (folder / "contaminated_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    contaminated = {json.loads(line)["eval_prompt"] for line in lines}
    rows = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as opened:
            rows += [r for r in csv.DictReader(opened) if r["prompt"] not in contaminated]
    wrong = {
        m: np.array([1.0 - (r[m] in {"True", "1", "1.0"}) for r in rows]) for m in (SMALL, LARGE)
    }
    queries = [Query(f"{name} {i}", text=r["prompt"]) for i, r in enumerate(rows)]
    return Bench(name, queries, wrong[SMALL], wrong[LARGE])


def embedded(bench: Bench, work: Path) -> Bench:
    """Return it with the vectors of the project's encoder, kept in `work`."""
    file = work / f"{bench.name}.npy"
    if not file.exists():
        encoder, texts = SentenceEncoder(), [x.text for x in bench.queries]
        starts = track(range(0, len(texts), 64), f"embedding {bench.name}")
        np.save(file, np.concatenate([encoder.embed_documents(texts[i : i + 64]) for i in starts]))
    vectors = np.load(file).astype(np.float32)
    queries = [
        Query(x.key, text=x.text, vector=v) for x, v in zip(bench.queries, vectors, strict=True)
    ]
    return Bench(bench.name, queries, bench.small, bench.large)


def curve(
    scores: np.ndarray, gain: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Share sent to the large model and share of its lead recovered, at every distinct threshold.

    Args:
        scores: Shape (n,), the largest are sent first.
        gain: Of sending each, shape (n,).
        weights: How often each question counts.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    share = np.cumsum(weights[order])[ends]
    lead = np.cumsum((weights * gain)[order])[ends]
    return np.append(0.0, share / share[-1]), np.append(0.0, lead / lead[-1])


def apgr(share: np.ndarray, lead: np.ndarray) -> float:
    """Area under the curve."""
    return float(np.trapezoid(lead, share))


def cpt(share: np.ndarray, lead: np.ndarray, part: float) -> float:
    """Least share, in %, that recovers `part` of the lead; linear between thresholds."""
    at = int(np.argmax(lead >= part - 1e-12))
    if at == 0:
        return 100.0 * float(share[0])
    mixed = (part - lead[at - 1]) / (lead[at] - lead[at - 1])
    return 100.0 * float(share[at - 1] + mixed * (share[at] - share[at - 1]))


def ece(chances: np.ndarray, outcomes: np.ndarray, bins: int = 10) -> float:
    """Mean |predicted - observed| over bins of equal numbers of questions."""
    parts = np.array_split(np.argsort(chances, kind="stable"), bins)
    gaps = [len(p) * abs(chances[p].mean() - outcomes[p].mean()) for p in parts]
    return float(sum(gaps) / len(chances))


@dataclass(frozen=True)
class Scored:
    """What a router said of the questions it is scored on, once a draw or an order."""

    scored: np.ndarray
    """Which questions, shape (n,)."""
    scores: np.ndarray
    """Shape (n,), larger: to the large model."""
    ece: float = float("nan")
    told: np.ndarray = field(default_factory=lambda: np.empty((2, 0)))
    """The chances that the small and the large model fail, shape (2, n), where they are needed again."""


def labelled(bench: Bench, make: Callable[[], Any], seed: int) -> Scored:
    """Learn from a draw of labelled questions, and score the rest."""
    order = np.random.default_rng(seed).permutation(len(bench.queries))
    learned, scored = np.split(order, [LABELS[bench.name]])
    estimators = make(), make()
    if isinstance(estimators[0], Classifier):
        together(estimators)
    for estimator, wrong in zip(estimators, (bench.small, bench.large), strict=True):
        for i in learned:
            estimator.learn(bench.queries[i], float(wrong[i]))
    for estimator in estimators:
        getattr(estimator, "fit", lambda: None)()
    told = [[e.predict(bench.queries[i]).mean for i in scored] for e in estimators]
    return judged(bench, scored, np.array(told))


def judged(bench: Bench, scored: np.ndarray, told: np.ndarray) -> Scored:
    """What the chances, shape (2, n), say of which questions need the large model."""
    errors = [ece(told[0], bench.small[scored]), ece(told[1], bench.large[scored])]
    return Scored(scored, told[0] - told[1], float(np.mean(errors)), told)


def learned(bench: Bench, router: str, seed: int, cells: Cells) -> Scored:
    """What a router has learned from a draw, or a blend of several."""
    if router in BLENDS:
        parts = [learned(bench, part, seed, cells) for part in BLENDS[router]]
        return judged(bench, parts[0].scored, np.mean([part.told for part in parts], axis=0))
    run = partial(alone, labelled, bench, ROUTERS[router], seed)
    kept: Scored = cells(f"labels {bench.name} {router} {seed}", run)[0]
    return kept


def alone(run: Callable[..., Scored], *arguments: Any) -> tuple[Scored, dict[str, float]]:
    """A run that has scores and no other figures."""
    return run(*arguments), {}


def stream(
    bench: Bench, make: Callable[[], Any], seed: int, costs: tuple[float, float, float, float]
) -> tuple[Scored, dict[str, float]]:
    """Route all questions in a random order; only the chosen model's outcome is learned."""
    price_small, price_large, fail_small, fail_large = costs
    order = np.random.default_rng(seed).permutation(len(bench.queries))
    small, large = make(), make()
    if isinstance(small, Classifier):
        together([small, large])
    prices = Estimate(price_small, 0.0), Estimate(price_large, 0.0)
    came = Outcomes(), Outcomes()
    paid, sent, told = 0.0, 0, np.zeros((2, len(order)))
    for step, i in enumerate(order):
        x = bench.queries[i]
        estimates = small.predict(x), large.predict(x)
        told[:, step] = [e.mean for e in estimates]
        hoped = [
            Known(price, e, of.hope).hoped
            for price, e, of in zip(prices, estimates, came, strict=True)
        ]
        if price_small + fail_small * hoped[0] <= price_large + fail_large * hoped[1]:
            paid += price_small + fail_small * bench.small[i]
            sent += 1
            small.learn(x, float(bench.small[i]))
            came[0].learn(float(bench.small[i]))
        else:
            paid += price_large + fail_large * bench.large[i]
            if fail_large:
                large.learn(x, float(bench.large[i]))
                came[1].learn(float(bench.large[i]))
    always = price_small + fail_small * bench.small, price_large + fail_large * bench.large
    errors = [ece(told[0], bench.small[order]), ece(told[1], bench.large[order])]
    n = len(order)
    return Scored(order, told[0] - told[1], float(np.mean(errors))), {
        "cost": paid / n,
        "always small": float(always[0].mean()),
        "always large": float(always[1].mean()),
        "oracle": float(np.minimum(*always).mean()),
        "small": sent / n,
    }


def informed(bench: Bench, seed: int) -> tuple[Scored, dict[str, float]]:
    """What the streams cost by the means of classifiers that are told both outcomes of each question."""
    order = np.random.default_rng(seed).permutation(len(bench.queries))
    models = Classifier(), Classifier()
    told = np.zeros((2, len(order)))
    for step, i in enumerate(order):
        x = bench.queries[i]
        for place, (model, outcomes) in enumerate(
            zip(models, (bench.small, bench.large), strict=True)
        ):
            told[place, step] = model.predict(x).mean
            model.learn(x, float(outcomes[i]))
    paid = {}
    for setting, (price_small, price_large, fail_small, fail_large) in STREAMS.items():
        small = price_small + fail_small * told[0] <= price_large + fail_large * told[1]
        came = price_small + fail_small * bench.small, price_large + fail_large * bench.large
        paid[setting] = float(np.where(small, came[0][order], came[1][order]).mean())
    errors = [ece(told[0], bench.small[order]), ece(told[1], bench.large[order])]
    return Scored(order, told[0] - told[1], float(np.mean(errors))), paid


def foretold(bench: Bench, cells: Cells) -> dict[str, float]:
    """The same by stream, on average over three orders."""
    runs = [
        cells(f"streams informed {seed}", partial(informed, bench, seed))[1] for seed in ORDERS[:3]
    ]
    return {name: round(float(np.mean([paid[name] for paid in runs])), 4) for name in STREAMS}


def audited(bench: Bench, seed: int) -> tuple[Scored, dict[str, float]]:
    """Route all questions in a random order where nobody says which answers did: audits must.

    On a falling share of the questions (`Audits.due`), while that may pay for itself (`Audits.pay`), the
    other model is asked too, and paid; then it is known whether the small one was worse.
    """
    small, large, wrong = 1.0, 10.0, 72.0
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(bench.queries))
    worse = Classifier()
    paid = {"answers": 0.0, "audits": 0.0}
    told, sent, made = np.zeros(len(order)), 0, 0
    for step, i in enumerate(order):
        x = bench.queries[i]
        e = worse.predict(x)
        told[step] = e.mean
        asks_small = small + wrong * e.mean <= large
        sent += asks_small
        answer = small + wrong * bench.small[i], large + wrong * bench.large[i]
        paid["answers"] += answer[0 if asks_small else 1]
        cost = Estimate(small + wrong * e.mean, wrong * e.width, above=wrong * (e.upper - e.mean))
        price = large if asks_small else small
        pays = (step + 1) * at_stake(cost, large) >= 2 * (made + 1) * price
        if pays and rng.random() < AUDIT * math.sqrt(TYPICAL / (made + 1)):
            made += 1
            paid["audits"] += price
            worse.learn(x, float(max(bench.gain[i], 0.0)))
    n = len(order)
    error = ece(told, np.maximum(bench.gain[order], 0.0))
    return Scored(order, told, error), {
        "cost": (paid["answers"] + paid["audits"]) / n,
        "audits": paid["audits"] / n,
        "always small": float((small + wrong * bench.small).mean()),
        "always large": float((large + wrong * bench.large).mean()),
        "oracle": float(
            np.minimum(small + wrong * bench.small, large + wrong * bench.large).mean()
        ),
        "small": sent / n,
    }


def bounds(bench: Bench, seed: int, groups: int) -> dict[str, float]:
    """How often bounds, averaged over a group, hold the rate observed in it, and at most could."""
    from sklearn.cluster import MiniBatchKMeans

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(bench.queries))
    learned, scored = np.split(order, [LABELS[bench.name]])
    vectors = np.array([bench.queries[i].vector for i in scored])
    cluster = MiniBatchKMeans(groups, random_state=seed, n_init=3).fit_predict(vectors)
    held: dict[str, list[float]] = {}
    estimators = Classifier(), Classifier()
    together(estimators)
    for estimator, wrong in zip(estimators, (bench.small, bench.large), strict=True):
        for i in learned:
            estimator.learn(bench.queries[i], float(wrong[i]))
    estimators[0].fit()
    for estimator, wrong in zip(estimators, (bench.small, bench.large), strict=True):
        told = [estimator.predict(bench.queries[i]) for i in scored]
        low, mean, high = np.array([(e.lower, e.mean, e.upper) for e in told]).T
        parts = {
            "bins": np.array_split(np.argsort(mean), groups),
            "clusters": [np.flatnonzero(cluster == j) for j in range(groups)],
        }
        outcomes = {"": wrong[scored], ", at most": rng.random(len(scored)) < mean}
        for (kind, members), (ending, came) in product(parts.items(), outcomes.items()):
            held.setdefault(kind + ending, []).extend(
                float(low[p].mean() <= came[p].mean() <= high[p].mean()) for p in members if len(p)
            )
        held.setdefault("half-width", []).append(float((high - low).mean() / 2))
    return {kind: float(np.mean(values)) for kind, values in held.items()}


def synthetic(seed: int, n: int = 1500, d: int = 16) -> float:
    """Share of new questions whose true chance lies between the bounds; the truth is logistic."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=d) * 2.0
    vectors = rng.normal(size=(n + 500, d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chances = 1 / (1 + np.exp(-(vectors @ weights - 0.5)))
    estimator = Classifier()
    for i in range(n):
        estimator.learn(Query(str(i), vector=vectors[i]), float(rng.random() < chances[i]))
    estimator.fit()
    told = [estimator.predict(Query(str(i), vector=vectors[i])) for i in range(n, n + 500)]
    return float(np.mean([e.lower <= p <= e.upper for e, p in zip(told, chances[n:], strict=True)]))


def unlearned(bench: Bench) -> Iterator[tuple[str, Scored]]:
    """What can be said of a question when nothing was learned, and the two ends of every chart."""
    every = np.arange(len(bench.queries))
    length = np.array([float(len(x.text)) for x in bench.queries])
    yield "prompt length", Scored(every, length)
    yield "random", Scored(every, np.random.default_rng(0).random(len(every)))
    yield "oracle", Scored(every, bench.gain + 1e-9 * np.random.default_rng(0).random(len(every)))


def row(
    bench: Bench, setting: str, router: str, runs: list[Scored], against: list[np.ndarray] | None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """One row of the results, and its APGR in every resample, shape (resamples,) in a list of one."""
    curves = [curve(s.scores, bench.gain[s.scored]) for s in runs]
    rng = np.random.default_rng(0)
    resampled = np.empty(RESAMPLES)
    for b in range(RESAMPLES):
        counts = rng.multinomial(len(bench.queries), np.full(len(bench.queries), 1.0)
                                 / len(bench.queries)).astype(float)  # fmt: skip
        resampled[b] = np.mean(
            [apgr(*curve(s.scores, bench.gain[s.scored], counts[s.scored])) for s in runs]
        )
    low, high = np.quantile(resampled, [0.025, 0.975])
    shown = {
        "benchmark": bench.name,
        "setting": setting,
        "router": router,
        "default": router == DEFAULT,
        "apgr": _rounded(np.mean([apgr(*c) for c in curves])),
        "cpt50": _rounded(np.mean([cpt(*c, 0.5) for c in curves]), 2),
        "cpt80": _rounded(np.mean([cpt(*c, 0.8) for c in curves]), 2),
        "ece": _rounded(np.mean([s.ece for s in runs])),
        "low": _rounded(low),
        "high": _rounded(high),
        "runs": len(runs),
    }
    if against is not None and router != DEFAULT:
        lower, upper = np.quantile(resampled - against[0], [0.025, 0.975])
        shown["less the default"] = [_rounded(lower), _rounded(upper)]
    return shown, [resampled]


def _rounded(value: Any, digits: int = 4) -> float | None:
    return None if np.isnan(value) else round(float(value), digits)


def compare(bench: Bench, scores: np.ndarray, scorer: Path) -> str:
    """Score with the reference scorer too, when it can be had.

    Raises:
        ValueError: It disagrees.
    """
    if not scorer.exists() or importlib.util.find_spec("pandas") is None:
        return "not compared: needs the reference scorer and pandas"
    spec = importlib.util.spec_from_file_location("routing_score", scorer)
    if spec is None or spec.loader is None:
        msg = f"{scorer} is no Python module"
        raise ValueError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules["routing_score"] = module
    spec.loader.exec_module(module)
    theirs = module.Bench("", [], 1 - bench.large, 1 - bench.small, 100.0, [], len(scores))
    found = module.metrics_exact(module.curve_exact(theirs, scores), theirs.S, theirs.W)
    share, lead = curve(scores, bench.gain)
    ours = {
        "apgr": apgr(share, lead),
        "cpt50": cpt(share, lead, 0.5),
        "cpt80": cpt(share, lead, 0.8),
    }
    for name, value in ours.items():
        if abs(found[name] - value) > 1e-6:
            msg = f"{name} of {bench.name} is {value} here and {found[name]} by {scorer.name}"
            raise ValueError(msg)
    return f"equal to {scorer.name}"


class Cells:
    """Finished runs, kept in a folder: what is there is not run again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name: str, run: Callable[[], tuple[Scored, dict[str, float]]]) -> Any:
        """Return the run called `name`, from the folder or made now."""
        file = self.folder / f"{''.join(c if c.isalnum() else '_' for c in name)}.npz"
        if not file.exists():
            print(f"{datetime.now(UTC):%H:%M:%S} {name}", flush=True)
            scored, figures = run()
            np.savez(
                file, scored=scored.scored, scores=scored.scores, ece=scored.ece,
                told=scored.told, figures=json.dumps(figures),
            )  # fmt: skip
        kept = np.load(file)
        scored = Scored(kept["scored"], kept["scores"], float(kept["ece"]), kept["told"])
        return scored, json.loads(str(kept["figures"]))


def chart(rows: list[dict[str, Any]], file: Path) -> None:
    """APGR by router with its interval; RouteLLM's, the floor (random) and the ceiling as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), LABELS, strict=True):
        mine = [r for r in rows if r["benchmark"] == name and r["setting"] != "published"]
        mine = [r for r in mine if r["router"] != "oracle"]
        labels = [f"{r['router']} ({r['setting']})" for r in mine]
        values = [r["apgr"] for r in mine]
        spread = [[v - r["low"] for v, r in zip(values, mine, strict=True)],
                  [r["high"] - v for v, r in zip(values, mine, strict=True)]]  # fmt: skip
        colours = ["#2e8b57" if r["default"] else "#5e81ac" for r in mine]
        axes.barh(labels, values, xerr=spread, color=colours)
        ceiling = next(r["apgr"] for r in rows if (r["benchmark"], r["router"]) == (name, "oracle"))
        axes.axvline(0.5, color="#1f2430", linestyle=":", label="random")
        axes.axvline(PUBLISHED[name][next(iter(PUBLISHED[name]))][0], color="#d08770",
                     linestyle="--", label="RouteLLM, published")  # fmt: skip
        axes.axvline(1.0, color="#1f2430", label=f"all of the lead (oracle {ceiling:.2f})")
        axes.set_xlim(0.4, 1.02)
        axes.set_title(f"{name}, APGR")
        axes.invert_yaxis()
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=100)


def summed(figures: list[dict[str, float]]) -> dict[str, Any]:
    """What a stream cost a question, over its orders, with the floor and the ceiling."""
    spent = np.array([figure["cost"] for figure in figures])
    return {
        "cost": round(float(spent.mean()), 4),
        "worst order": round(float(spent.max()), 4),
        "best fixed": round(min(figures[0]["always small"], figures[0]["always large"]), 4),
        "oracle": round(figures[0]["oracle"], 4),
        "asked small": [round(figure["small"], 3) for figure in figures],
    }


def _shown(arguments: argparse.Namespace) -> list[str]:
    """The arguments that change what is measured, when they are not the defaults."""
    shown = []
    if arguments.routers != [*ROUTERS, *BLENDS]:
        shown += ["--routers", *arguments.routers]
    if arguments.orders != len(ORDERS):
        shown += ["--orders", str(arguments.orders)]
    return shown


def main() -> None:
    """Run what is not there yet, and write the results file and the chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument(
        "--scorer", type=Path, help="by default tools/routing_score.py beside the data"
    )
    parser.add_argument("--work", type=Path, default=Path(".cells/routing"), help="finished runs")
    parser.add_argument("--routers", nargs="+", default=[*ROUTERS, *BLENDS])
    parser.add_argument("--orders", type=int, default=len(ORDERS))
    arguments = parser.parse_args()
    if arguments.data is None:
        sys.exit(
            "The data is missing: give --data DIR or CACHEMUX_DATA, with routing/routellm in it;"
            " it comes from the public repository lm-sys/RouteLLM @0b64fda, routellm/evals"
        )
    started, data = time.perf_counter(), Path(arguments.data)
    scorer = arguments.scorer or data.parent / "tools" / "routing_score.py"
    cells = Cells(arguments.work)
    benches = {name: embedded(read(data, name), arguments.work) for name in LABELS}
    rows: list[dict[str, Any]] = []
    compared = {}
    for bench in benches.values():
        for router, scored in unlearned(bench):
            rows.append(row(bench, "no-label", router, [scored], None)[0])
            compared[bench.name] = compare(bench, scored.scores, scorer)
        against = None
        for router in arguments.routers:
            draws = DRAWS[:1] if router in SLOW else DRAWS
            runs = [learned(bench, router, seed, cells) for seed in draws]
            shown, resampled = row(bench, "labels", router, runs, against)
            against = resampled if router == DEFAULT else against
            rows.append(shown)
            print(json.dumps(shown), flush=True)
    streams: dict[str, Any] = {}
    progressive = []
    known = foretold(benches["mmlu"], cells)
    for setting, costs in STREAMS.items():
        figures = []
        for seed in ORDERS[: arguments.orders]:
            scored, figure = cells(
                f"stream {setting} {seed}",
                partial(stream, benches["mmlu"], Classifier, seed, costs),
            )
            figures.append(figure)
            if costs[3]:
                progressive.append(scored)
        streams[setting] = summed(figures) | {"told both": known[setting]}
        print(setting, json.dumps(streams[setting]), flush=True)
    figures = [
        cells(f"stream audited {seed}", partial(audited, benches["mmlu"], seed))[1]
        for seed in ORDERS[: arguments.orders]
    ]
    streams["nobody judges, audits paid, 1:10, wrong costs 72"] = summed(figures) | {
        "of it audits": round(float(np.mean([figure["audits"] for figure in figures])), 4)
    }
    rows.append(row(benches["mmlu"], "progressive", DEFAULT, progressive[:5], None)[0])
    last = [
        cells(
            f"stream gsm8k {seed}",
            partial(stream, benches["gsm8k"], Classifier, seed, (1.0, 10.0, 41.0, 41.0)),
        )[0]
        for seed in DRAWS
    ]
    rows.append(row(benches["gsm8k"], "progressive", DEFAULT, last, None)[0])
    held = {
        name: [bounds(bench, seed, 40 if name == "mmlu" else 15) for seed in DRAWS]
        for name, bench in benches.items()
    }
    for name, routers in PUBLISHED.items():
        for router, (area, cpt50, cpt80) in routers.items():
            rows.append(
                {
                    "benchmark": name, "setting": "published", "router": router, "default": False,
                    "apgr": area, "cpt50": cpt50, "cpt80": cpt80,
                    "ece": None, "low": None, "high": None,
                }
            )  # fmt: skip
    result = {
        "command": " ".join(["python benchmarks/routing.py", *_shown(arguments)]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seconds": round(time.perf_counter() - started),
        "versions": {
            n: version(n) for n in ("langchain-cachemux", "numpy", "scikit-learn", "torch")
        }
        | {"python": platform.python_version()},
        "draws": list(DRAWS),
        "orders": arguments.orders,
        "labels": LABELS,
        "reference scorer": compared,
        "streams of MMLU": streams,
        "bounds of nine in ten hold the observed rate": {
            name: {kind: round(float(np.mean([h[kind] for h in of])), 3) for kind in of[0]}
            for name, of in held.items()
        },
        "bounds of nine in ten hold the true chance, synthetic": round(
            float(np.mean([synthetic(seed) for seed in SYNTHETIC])), 3
        ),
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "routing.json").write_text(
        json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    chart(rows, RESULTS / "routing.png")


if __name__ == "__main__":
    main()
