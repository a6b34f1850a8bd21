"""One error budget for cache and router, on the recorded outcomes of real pairs of models.

python benchmarks/budget.py --data DIR    # or CACHEMUX_DATA=DIR; two CPU minutes, and 30 for the vectors

DIR holds `routing/routellm` (the public repository lm-sys/RouteLLM @0b64fda, routellm/evals: MMLU
and GSM8K, Mixtral-8x7B beside GPT-4-1106) and `routing/llmrouter` (ulab-uiuc/LLMRouter @4e7a796:
the cheapest model beside the one of the best mean score).

A stream asks for questions drawn with popularity 1/rank^0.8; the data has no repetition of its own.
Half of the requests are worded as the data has them; the others are reworded by a rule drawn per
request: a greeting before, thanks after, lower case, a frame, letters swapped in a few words. The
vectors are those of the default encoder. A stored answer is a candidate when its wording is the
nearest of all those asked before; it is the same question when its number in the data is the same,
so the wrong neighbours are real ones.

A bet is lost when the small model was wrong and the large one right, or the stored answer is of
another question. A stored answer carries the risk with which it was given: an exact repeat of the
large model's own answer is free and no bet, of another it is a bet again.

On a falling share of new wordings (all at first, then sqrt(100/n), at least 5 %) both models are
asked and the user gets the large one's answer. From these alone the risks are learned, each
predicted before its outcome is seen: of the small model by `Classifier`, its chance to lose; of a
match by a logistic curve of its similarity and of what the default guards say, one deviation above
its chance. So every arm has the same risks, and
pays for these questions alike; of its audits each pays for its own.

    never      nothing but exact repeats of the large model's answers: the floor
    one        one `ErrorBudget`
    separate   one for the cache and one for the router, each with the promise itself
    split      the best of 36 pairs of two budgets, chosen in hindsight among those whose claims
               together kept the promise, as those of "one" do by construction
    oracle     is told whether each bet will be lost, and loses as many as it may: the ceiling

Costs: RouteLLM's 24.7 and 0.24 dollars a million tokens, LLMRouter's own prices; tokens are
characters / 4, and 100 for an answer whose text was not recorded. Saved is the share of the floor's
cost.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import logging
import math
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import track
from scipy.optimize import minimize
from scipy.special import expit

from langchain_cachemux.budget import Bet, ErrorBudget
from langchain_cachemux.match.guards import GUARDS
from langchain_cachemux.route.classifiers import Classifier
from langchain_cachemux.types import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESULTS = Path(__file__).parent / "results"
ERRORS = (0.01, 0.02, 0.05)
ORDERS = range(3)
AUDITS = range(4)
"""Seeds of the draw of audits, for each order: the sequence is tested on each."""
REQUESTS = {"mmlu": 6_000, "gsm8k": 4_000, "llmrouter": 8_000}
SKEW = 0.8
REWORDED = 0.5
SPLITS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Budgets of cache and router in the sweep, as multiples of the promise; 0 is never to bet."""
WORTH = 0.01
"""Share of the cost that another arm has to save before one budget is compared with it."""
ANSWER = 100
"""Tokens of an answer that was not recorded."""
STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"


@dataclass(frozen=True)
class Questions:
    """What was asked, what it cost, and whether the small model's answer was the worse one."""

    texts: list[str]
    lost: NDArray[np.bool_]
    small: Floats
    """Dollars."""
    large: Floats


@dataclass(frozen=True)
class Stream:
    """Requests in order: which question, in which wording; wordings are numbered from 0."""

    questions: Questions
    question: NDArray[np.int64]
    wording: NDArray[np.int64]
    texts: list[str]
    """By wording."""


@dataclass(frozen=True)
class Risks:
    """What is claimed of each request before its outcome is seen."""

    small: Floats
    match: Floats
    """Of the nearest wording; 1 where there is none."""
    nearest: NDArray[np.int64]
    """Request at which that wording was last asked before; -1 for none."""
    explored: NDArray[np.bool_]
    """Both models are asked."""


@dataclass
class Outcome:
    """What an arm paid and lost."""

    cost: float = 0.0
    audits: float = 0.0
    """Of the cost, what the audits took."""
    bets: int = 0
    lost: int = 0
    claimed: float = 0.0
    """Sum of the risks charged."""
    worst: float = 0.0
    """Largest share lost so far, from the 200th bet on."""
    closed: bool = False
    """Whether the sequence ever rejected the promise."""
    stored: int = 0
    """Bets on stored answers, the others being on the small model."""

    def bet(self, kind: str, *, lost: bool) -> None:
        """Count a bet."""
        self.bets += 1
        self.stored += kind == "stored"
        self.lost += lost
        if self.bets >= 200:
            self.worst = max(self.worst, self.lost / self.bets)


def read(folder: Path) -> dict[str, Questions]:
    """Read the outcomes under the data folder, a question once.

    Raises:
        FileNotFoundError: They are not there.
    """
    evals = folder / "routing" / "routellm" / "evals"
    mmlu = [row for path in sorted(evals.glob("mmlu/responses/*.csv")) for row in _rows(path)]
    if not mmlu:
        msg = f"no mmlu/responses in {evals}"
        raise FileNotFoundError(msg)
    found = {
        "mmlu": _routellm(mmlu, evals / "mmlu" / "contaminated_prompts.jsonl"),
        "gsm8k": _routellm(
            _rows(evals / "gsm8k" / "gsm8k_responses.csv"),
            evals / "gsm8k" / "contaminated_prompts.jsonl",
        ),
    }
    folder = folder / "routing" / "llmrouter"
    prices = json.loads((folder / "example_data__llm_candidates__default_llm.json").read_text())
    rows = []
    for part in ("train", "test"):
        with gzip.open(folder / f"dcrouter_preprocessed__{part}.json.gz", "rt") as file:
            rows += json.load(file)
    rows = list({row["question"]: row for row in rows}.values())
    models = [model for model in rows[0]["scores"] if model in prices]
    mean = {m: statistics.mean(row["scores"][m] for row in rows) for m in models}
    price = {m: prices[m]["input_price"] + prices[m]["output_price"] for m in models}
    large = max(models, key=lambda m: mean[m])
    small = min((m for m in models if m != large), key=lambda m: (price[m], -mean[m]))
    tokens = np.array([len(row["question"]) / 4 for row in rows])
    found["llmrouter"] = Questions(
        texts=[row["question"] for row in rows],
        lost=np.array([row["scores"][small] < row["scores"][large] for row in rows]),
        **{
            name: 1e-6 * (tokens * prices[m]["input_price"] + ANSWER * prices[m]["output_price"])
            for name, m in (("small", small), ("large", large))
        },
    )
    return found


def _routellm(rows: list[dict[str, str]], contaminated: Path) -> Questions:
    with contaminated.open(encoding="utf-8") as lines:
        dropped = {json.loads(line)["eval_prompt"] for line in lines}
    rows = [r for r in {r["prompt"]: r for r in rows}.values() if r["prompt"] not in dropped]
    texts = [row["prompt"].removesuffix("\nAnswer:") for row in rows]

    def cost(model: str, price: float) -> Floats:
        answers = [len(row.get(f"{model}_response", "")) / 4 or ANSWER for row in rows]
        return 1e-6 * price * (np.array([len(text) for text in texts]) / 4 + answers)

    return Questions(
        texts=texts,
        lost=np.array([row[STRONG] == "True" and row[WEAK] != "True" for row in rows]),
        small=cost(WEAK, 0.24),
        large=cost(STRONG, 24.7),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reworded(text: str, rule: int, rng: np.random.Generator) -> str:
    """One of five rewordings that mean the same."""
    if rule == 4:
        words = text.split(" ")
        for place in rng.choice(len(words), max(1, len(words) // 20), replace=False):
            word = words[place]
            if len(word) > 4 and word.isalpha():
                at = int(rng.integers(1, len(word) - 2))
                words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return " ".join(words)
    return (
        f"Hi, could you help me with this one? {text}",
        f"{text}\nThanks in advance!",
        text.lower(),
        f"Please answer the following question: {text}",
    )[rule]


def draw(questions: Questions, requests: int, seed: int) -> Stream:
    """Draw what is asked, and in which words."""
    rng = np.random.default_rng(seed)
    n = len(questions.texts)
    weights = np.arange(1, n + 1) ** -SKEW
    question = rng.permutation(n)[rng.choice(n, requests, p=weights / weights.sum())]
    number: dict[str, int] = {}
    wording = []
    for q in question.tolist():
        text = questions.texts[q]
        if rng.random() < REWORDED:
            rule = int(rng.integers(5))
            # a rule rewords a question in one way, so rewordings are repeated too
            text = reworded(text, rule, np.random.default_rng([q, rule]))
        wording.append(number.setdefault(text, len(number)))
    return Stream(questions, question, np.array(wording), list(number))


def shuffled(stream: Stream, seed: int) -> Stream:
    """The same requests in another order."""
    order = np.random.default_rng([seed, 2]).permutation(len(stream.wording))
    return replace(stream, question=stream.question[order], wording=stream.wording[order])


class Curve:
    """P(another question), logistic in similarity and objection, with Laplace's bound."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, float]] = []
        self.labels: list[bool] = []
        self.weights, self.covariance = np.zeros(3), 4 * np.eye(3)
        self.fitted = 0

    def upper(self, similarity: float, *, objection: bool) -> float:
        """One deviation above the mean, on the logit."""
        x = np.array([1.0, 10 * (1 - similarity), objection])
        logit = x @ self.weights + math.sqrt(x @ self.covariance @ x)
        return float(expit(logit))

    def learn(self, similarity: float, *, objection: bool, differs: bool) -> None:
        """Keep an outcome; fit all when a tenth of them is new, with a prior variance of 4."""
        self.rows.append((1.0, 10 * (1 - similarity), objection))
        self.labels.append(differs)
        if len(self.labels) < 1.1 * self.fitted:
            return
        self.fitted = len(self.labels)
        x, signs = np.array(self.rows), 2.0 * np.array(self.labels) - 1

        def loss(w: Floats) -> tuple[float, Floats]:
            margins = signs * (x @ w)
            slope = -signs * expit(-margins)
            return float(np.logaddexp(0, -margins).sum() + w @ w / 8), x.T @ slope + w / 4

        self.weights = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B").x
        p = expit(x @ self.weights)
        self.covariance = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x + np.eye(3) / 4)


def progressive(stream: Stream, vectors: NDArray[np.float32], seed: int) -> Risks:
    """Predict every request's risks, each before its outcome, learning from the explored ones."""
    rng, n = np.random.default_rng([seed, 1]), len(stream.wording)
    classifier, curve = Classifier(), Curve()
    last: dict[int, int] = {}
    order = np.empty(len(vectors), dtype=np.int64)
    seen = np.empty_like(vectors)
    small, match = np.ones(n), np.ones(n)
    nearest, explored = np.full(n, -1), np.zeros(n, dtype=bool)
    for t, w in enumerate(stream.wording.tolist()):
        text, vector, q = stream.texts[w], vectors[w], int(stream.question[t])
        query = Query(text, text=text, vector=vector)
        small[t] = classifier.predict(query).mean
        k = len(last)
        if w not in last:
            explored[t] = rng.random() < max(0.05, min(1.0, math.sqrt(100 / (k + 1))))
            if k:
                similarities = seen[:k] @ vector
                place = int(similarities.argmax())
                other, similarity = int(order[place]), float(min(similarities[place], 1.0))
                nearest[t] = last[other]
                objects = similarity >= 0.7 and _objects(text, stream.texts[other])
                match[t] = curve.upper(similarity, objection=objects)
                if explored[t]:
                    differs = bool(stream.question[nearest[t]] != q)
                    curve.learn(similarity, objection=objects, differs=differs)
            if explored[t]:
                classifier.learn(query, float(stream.questions.lost[q]))
            order[k], seen[k] = w, vector
        last[w] = t
    return Risks(small, match, nearest, explored)


@cache
def _objects(new: str, stored: str) -> bool:
    return any(guard(new, stored) for guard in GUARDS)


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer kept under a wording: of which question, whether it is the worse one, how risky."""

    question: int
    worse: bool
    risk: float


class Arm:
    """A face that serves a stream: of what is allowed, the option of least cost + charge.

    Args:
        stream: The requests.
        risks: What is claimed of them.
        router: Budget of the small model; None is never to ask it.
        stored: Budget of stored answers, maybe the same one; None is never to serve them.
    """

    def __init__(
        self, stream: Stream, risks: Risks, router: ErrorBudget | None, stored: ErrorBudget | None
    ) -> None:
        self.stream, self.risks = stream, risks
        self.budgets = {"small": router, "stored": stored}
        self.different = {budget for budget in (router, stored) if budget is not None}
        self.kept: dict[int, Stored] = {}
        self.outcome = Outcome()

    def play(self) -> Outcome:
        """Serve all requests."""
        for t, wording in enumerate(self.stream.wording.tolist()):
            own = self.kept.get(wording)
            if own is None or own.risk:
                self.kept[wording] = self._serve(t, own)
        counts = [count for budget in self.different for count in budget.counts.values()]
        self.outcome.claimed = sum(count.risk for count in counts)
        return self.outcome

    def _serve(self, t: int, own: Stored | None) -> Stored:
        question = int(self.stream.question[t])
        small, large = (
            float(costs[question])
            for costs in (self.stream.questions.small, self.stream.questions.large)
        )
        if self.risks.explored[t]:
            self.outcome.cost += small
            return self._ask(question, large)
        candidate, risk = self._candidate(t, own)
        ways = [(large, "large", 0.0, 0.0)]
        for kind, cost, claim in (
            ("small", small, float(self.risks.small[t])),
            ("stored", 0.0, risk),
        ):
            budget = self.budgets[kind]
            if budget is not None and (kind == "small" or candidate):
                ways.append((cost + budget.charge(claim, kind), kind, cost, claim))
        _, kind, cost, claim = min(ways)
        budget = self.budgets.get(kind)
        if budget is None:
            return self._ask(question, large)
        if kind == "stored" and candidate:
            lost = candidate.question != question or candidate.worse
        else:
            lost = bool(self.stream.questions.lost[question])
        return self._bet(budget.placed(kind, claim), question, lost=lost, cost=cost, large=large)

    def _candidate(self, t: int, own: Stored | None) -> tuple[Stored | None, float]:
        """The stored answer and its risk: its own, and that it answers another question."""
        if own is not None or self.risks.nearest[t] < 0:
            return own, own.risk if own else 1.0
        found = self.kept[int(self.stream.wording[self.risks.nearest[t]])]
        return found, 1 - (1 - float(self.risks.match[t])) * (1 - found.risk)

    def _ask(self, question: int, cost: float) -> Stored:
        """Answer by the large model."""
        self.outcome.cost += cost
        for budget in self.different:
            budget.missed(cost)
        return Stored(question, worse=False, risk=0.0)

    def _bet(self, bet: Bet, question: int, *, lost: bool, cost: float, large: float) -> Stored:
        """Serve or try a bet; once it was audited the large model's own answer is kept."""
        self.outcome.cost += cost
        if bet.served:
            self.outcome.bet(bet.kind, lost=lost)
        if not bet.audit:
            return Stored(question, lost, max(bet.risk, 1e-9))
        self.outcome.cost += large
        self.outcome.audits += large
        bet.settle(float(lost))
        self.outcome.closed |= not all(budget.open for budget in self.different)
        return Stored(question, worse=False, risk=0.0)


def oracle(stream: Stream, risks: Risks, error: float) -> Outcome:
    """Take every bet that will be won, and of the others as many as the promise allows."""
    questions, outcome = stream.questions, Outcome()
    kept: dict[int, Stored] = {}
    requests = zip(stream.wording.tolist(), stream.question.tolist(), strict=True)
    for t, (w, q) in enumerate(requests):
        own = kept.get(w)
        if own is not None and own.risk == 0:
            continue
        if risks.explored[t]:
            outcome.cost += questions.large[q] + questions.small[q]
            kept[w] = Stored(q, worse=False, risk=0.0)
            continue
        candidate = own
        if own is None and risks.nearest[t] >= 0:
            candidate = kept[int(stream.wording[risks.nearest[t]])]
        fits = outcome.lost + 1 <= error * (outcome.bets + 1)
        lost = bool(questions.lost[q])
        if candidate and candidate.question == q and not candidate.worse:
            outcome.bet("stored", lost=False)
            kept[w] = Stored(q, worse=False, risk=candidate.risk)
        elif fits or not lost:
            outcome.bet("small", lost=lost)
            outcome.cost += questions.small[q]
            kept[w] = Stored(q, lost, 1.0)
        else:
            outcome.cost += questions.large[q]
            kept[w] = Stored(q, worse=False, risk=0.0)
    return outcome


def study(name: str, questions: Questions, vectors: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Every arm at every promise, on every order of one stream."""
    base = draw(questions, REQUESTS[name], 0)
    orders = [shuffled(base, order) for order in ORDERS]
    streams = [
        (order, stream, progressive(stream, vectors, order))
        for order, stream in zip(ORDERS, track(orders, f"{name}, risks"), strict=True)
    ]
    rows = []
    for error in ERRORS:
        found: dict[str, list[Any]] = {}
        sweep: dict[tuple[float, float], list[tuple[Outcome, float]]] = {}
        for order, stream, risks in track(streams, f"{name}, {error}"):
            floor = Arm(stream, risks, None, None).play().cost
            best = oracle(stream, risks, error)
            found.setdefault("oracle", []).append((best, 1 - best.cost / floor))
            for audit in AUDITS:
                budget = ErrorBudget(error, seed=100 * order + audit)
                outcome = Arm(stream, risks, budget, budget).play()
                found.setdefault("one", []).append((outcome, 1 - outcome.cost / floor))
                found.setdefault("intervals", []).append(budget.interval())
            for pair in product(SPLITS, SPLITS):
                router, stored = (
                    ErrorBudget(min(k * error, 0.99), seed=order) if k else None for k in pair
                )
                outcome = Arm(stream, risks, router, stored).play()
                sweep.setdefault(pair, []).append((outcome, 1 - outcome.cost / floor))
        rows.append({"stream": name, "max_error": error} | summary(found, sweep, error))
        print(json.dumps(rows[-1]))
    return rows


def summary(
    found: dict[str, list[Any]],
    sweep: dict[tuple[float, float], list[tuple[Outcome, float]]],
    error: float,
) -> dict[str, Any]:
    """What the arms saved and lost, over orders (and draws of audits)."""
    kept = {
        pair: runs
        for pair, runs in sweep.items()
        if sum(o.claimed for o, _ in runs) <= error * sum(o.bets for o, _ in runs)
    }
    pair = max(kept, key=lambda p: statistics.mean(saved for _, saved in kept[p]))
    arms = {
        "one": found["one"],
        "separate": sweep[1.0, 1.0],
        "split": kept[pair],
        "oracle": found["oracle"],
    }
    one, split = (statistics.mean(saved for _, saved in arms[arm]) for arm in ("one", "split"))
    lows, highs = zip(*found["intervals"], strict=True)
    return {
        arm: {
            "saved": round(statistics.mean(saved for _, saved in runs), 4),
            "sd": round(statistics.stdev(saved for _, saved in runs), 4),
            "audits, share of cost": round(statistics.mean(o.audits / o.cost for o, _ in runs), 4),
            "bets": round(statistics.mean(o.bets for o, _ in runs)),
            "on stored answers": round(statistics.mean(o.stored for o, _ in runs)),
            "lost, share of bets": round(
                sum(o.lost for o, _ in runs) / max(sum(o.bets for o, _ in runs), 1), 5
            ),
            "worst running share": round(max(o.worst for o, _ in runs), 5),
        }
        for arm, runs in arms.items()
    } | {
        "rejected": f"{sum(o.closed for o, _ in found['one'])} of {len(found['one'])} sequences",
        "interval": [round(statistics.mean(lows), 4), round(statistics.mean(highs), 4)],
        "split, router and cache, times the promise": pair,
        "one / split": round(one / split, 3) if split >= WORTH else None,
    }


def chart(rows: list[dict[str, Any]], path: Path) -> None:
    """Share of the cost saved by each arm, from the floor (0) to the oracle; and what was lost."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    colours = {"separate": "#5e81ac", "split": "#88c0d0", "one": "#2e8b57", "oracle": "#d8dde6"}
    figure, axes = plt.subplots(
        2, len(REQUESTS), figsize=(12, 6.5), sharey="row", layout="constrained"
    )
    for column, name in enumerate(REQUESTS):
        shown = [row for row in rows if row["stream"] == name]
        upper, lower = axes[0][column], axes[1][column]
        for place, (arm, colour) in enumerate(colours.items()):
            at = [x + 0.2 * (place - 1.5) for x in range(len(shown))]
            upper.bar(at, [row[arm]["saved"] for row in shown], 0.2, color=colour)
            if arm != "oracle":
                relative = [row[arm]["lost, share of bets"] / row["max_error"] for row in shown]
                lower.bar([x + 0.1 for x in at], relative, 0.2, color=colour)
        upper.axhline(0, color="#1f2430")
        lower.axhline(1, color="#1f2430", linestyle=":", label="the promise")
        upper.set_title(name)
        for axis in (upper, lower):
            axis.set_xticks(range(len(shown)), [f"δ = {row['max_error']:g}" for row in shown])
            axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("share of the cost saved")
    axes[1][0].set_ylabel("bets lost, times the promise")
    handles = [Patch(color=colour) for colour in colours.values()]
    axes[0][-1].legend(handles, list(colours), frameon=False, fontsize=8, loc="upper left")
    axes[1][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    """Run and write the results file and the chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CACHEMUX_DATA"))
    parser.add_argument("--vectors", type=Path, help="folder where vectors are kept between runs")
    # a stream may be run apart; what is known of the others is kept
    parser.add_argument("--streams", nargs="+", choices=list(REQUESTS), default=list(REQUESTS))
    arguments = parser.parse_args()
    if arguments.data is None:
        sys.exit(
            "The data is missing: give --data DIR or CACHEMUX_DATA, with routing/routellm in it"
            " (lm-sys/RouteLLM @0b64fda, routellm/evals) and routing/llmrouter (ulab-uiuc/LLMRouter"
            " @4e7a796, data)"
        )
    logging.getLogger("langchain_cachemux").setLevel(logging.ERROR)  # thousands of budgets
    started, data = time.perf_counter(), read(Path(arguments.data))
    rows = []
    for name in arguments.streams:
        questions = data[name]
        vectors = vectors_of(draw(questions, REQUESTS[name], 0).texts, name, arguments.vectors)
        rows += study(name, questions, vectors)
    kept = RESULTS / "budget.json"
    if arguments.streams != list(REQUESTS) and kept.exists():
        others = json.loads(kept.read_text(encoding="utf-8"))["rows"]
        rows += [row for row in others if row["stream"] not in arguments.streams]
    rows.sort(key=lambda row: list(REQUESTS).index(row["stream"]))
    ratios = [row["one / split"] for row in rows if row["one / split"]]
    result = {
        "command": " ".join(["python benchmarks/budget.py", *_shown(arguments.streams)]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seconds": round(time.perf_counter() - started),
        "versions": {
            n: version(n) for n in ("langchain-cachemux", "numpy", "sentence-transformers")
        }
        | {"python": platform.python_version()},
        "requests": REQUESTS,
        "orders": list(ORDERS),
        "seeds of audits": list(AUDITS),
        "questions": {
            name: {
                "distinct": len(q.texts),
                "small loses": round(float(q.lost.mean()), 4),
                "large costs": round(float(q.large.mean() / q.small.mean()), 1),
            }
            for name, q in data.items()
        },
        "one / split, geometric mean": round(statistics.geometric_mean(ratios), 3),
        "one / separate, geometric mean": round(
            statistics.geometric_mean(
                row["one"]["saved"] / row["separate"]["saved"]
                for row in rows
                if row["separate"]["saved"] >= WORTH
            ),
            3,
        ),
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    kept.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    chart(rows, RESULTS / "budget.png")


def _shown(streams: list[str]) -> list[str]:
    return [] if streams == list(REQUESTS) else ["--streams", *streams]


def vectors_of(texts: list[str], name: str, folder: Path | None) -> NDArray[np.float32]:
    """Unit vectors of texts by the default encoder, from the folder when they are there."""
    from langchain_cachemux.read.encoder import SentenceEncoder

    kept = folder / f"{name}.npy" if folder else None
    if kept and kept.exists():
        return np.asarray(np.load(kept), dtype=np.float32)
    encoder, vectors = SentenceEncoder(), np.zeros((len(texts), 384), np.float32)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for start in track(range(0, len(texts), 256), f"{name}, vectors"):
        places = order[start : start + 256]
        vectors[places] = encoder.embed_documents([texts[place] for place in places])
    if kept:
        np.save(kept, vectors)
    return vectors


if __name__ == "__main__":
    main()
