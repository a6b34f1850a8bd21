"""The paper's two synthetic tables again, each cell beside the published one, and what lies beyond.

python benchmarks/paper_tables.py [--seeds 200] [--jobs 2]    # about 10 minutes
python benchmarks/paper_tables.py --render                    # only paper_tables.md, from the JSON

arXiv 2306.02003, Tables 1 and 2: 20 queries, cache 8, 10,000 requests; the request's index is
floor(20·X) with X of density αx^(α−1); each (query, model) mean cost is 1 or 1 + ratio with
probability ½; an observation adds N(0, 1) and is floored at 0.1. One seed gives one list of requests
and one draw of every cost, and all strategies see the same.

Two columns. *Full information* is what the authors' released simulator does: online, whenever the
first model answers, the second one's cost is learned too, for free; offline, both costs of every
request are in the log. *Bandit feedback* is what a deployed router sees: the cost of the model that
was asked. Only strategies that choose a model (`sel`) differ between the two. Beyond the paper: this
package's default online (bandit feedback, cold start), an oracle that knows every mean, and the
optimum of one who knows the future.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import results
from rich.progress import track

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import robust
from langchain_cachemux.lab.optimum import optimum
from langchain_cachemux.lab.replay import follow
from langchain_cachemux.lab.stamp import stamp
from langchain_cachemux.route.estimators import Mean, Ridge
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]

QUERIES, CAPACITY, REQUESTS, LONG = 20, 8, 10_000, 100_000
LEAST = 0.1
"""No observed cost is below it; B1 of the bound."""
DELTA = 0.05
"""Confidence 1 - δ of the paper's bound."""
FIRST, SECOND = 0, 1
WORKLOADS = ((0.5, 1.5), (0.8, 1.5), (0.5, 100.0), (0.8, 100.0))
"""(α, ratio), in the order of the paper's tables."""
STRATEGIES: dict[str, tuple[str, int | None]] = {
    "LFU+m1": ("LFU", FIRST),
    "LFU+m2": ("LFU", SECOND),
    "LFU+sel": ("LFU", None),
    "LEC+m1": ("LEC", FIRST),
    "LEC+m2": ("LEC", SECOND),
    "LEC+sel": ("LEC", None),
}
OFFLINE = {
    (0.5, 1.5, 0.8): (6.82, 6.54, 5.30, 5.61, 5.64, 4.55),
    (0.8, 1.5, 0.8): (8.90, 9.63, 6.72, 7.19, 8.09, 6.34),
    (0.5, 1.5, 1.0): (6.08, 6.97, 4.17, 6.08, 5.73, 3.44),
    (0.8, 1.5, 1.0): (9.15, 8.99, 5.61, 7.42, 7.79, 4.53),
    (0.5, 100.0, 0.8): (188.74, 211.91, 135.81, 76.44, 57.52, 55.85),
    (0.8, 100.0, 0.8): (309.82, 260.22, 185.83, 116.49, 84.90, 75.59),
    (0.5, 100.0, 1.0): (187.66, 159.15, 110.83, 76.56, 76.64, 6.22),
    (0.8, 100.0, 1.0): (302.81, 252.69, 145.61, 61.04, 137.45, 12.26),
}
ONLINE = {
    (0.5, 1.5): (6.87, 6.52, 5.18, 6.12, 6.04, 4.86),
    (0.8, 1.5): (8.82, 9.52, 7.44, 8.07, 8.28, 6.35),
    (0.5, 100.0): (206.29, 207.88, 87.99, 58.44, 73.91, 10.54),
    (0.8, 100.0): (266.98, 265.24, 115.29, 115.80, 107.79, 7.19),
}
NOTES = """\
* Costs are totals / 1000 over 10,000 requests. sd is that of a single run, se that of our mean.
* The published cells are said to be means over 100 seeds. The released code seeds itself with the
  second it starts in, so runs within one second are the same run and a cell averages about 7
  distinct ones; nor are its strategies run on the same seeds. So a published cell strays from the
  mean by about 0.4 single-run sd, and cells of one row that must be equal in the mean (LEC+m1 at
  alpha 0.8, ratio 100, offline: 116.49 and 61.04, the selector playing no part) are not.
* m1 and m2 are drawn alike, so LFU+m1 and LFU+m2 (LEC+m1 and LEC+m2) differ by chance alone.
* Full information: no confidence bound and no exploration. Online the first answer for a query
  comes from m1; whenever m1 answers, m2's cost is learned too; whenever m2 answers, its cost is
  counted twice. Worth is count x mean cost, the lesser mean for sel, of every query ever seen.
* Offline, the cache is filled from the statistics of the very requests that are then served, and
  its first misses are not paid. LEC+sel fills it by count x mean of the lesser of the two costs of
  each request, and a right selector pays the lesser of the two *realised* costs, a wrong one the
  greater: less than any selector can pay that decides before it sees the costs.
* Bandit feedback, offline: the log holds one cost a request, of a model drawn by a fair coin; a
  right selector pays for the model of the lesser estimate, a wrong one for the other. So at ratio
  1.5 its cells lie above the published ones by E[min] < min E.
* Bandit feedback, 'mean': a model not yet seen on a query counts as costing 0. So it is tried, then
  the lesser mean is asked; and an entry with an untried model is the first to leave.
* Bandit feedback, 'bound': max(B1, mean - (B2 - B1) sqrt(log(6 T |Q| / delta) / (2 n))) of the
  paper, for routing and for caching, B1 = 0.1, B2 = 4 + ratio, delta = 0.05. Its width exceeds
  the dear cost up to 9 observations at ratio 100 and up to 43 at ratio 1.5; until then all bounds
  sit on B1, the cache is LFU, and m1 is asked.
* 'ours' has bandit feedback, starts cold and pays every first miss; a query has a key and no words,
  so that the router's Ridge is an intercept.
* 'oracle' knows every mean and P: it holds the 8 largest P x lesser mean from the start and asks
  the model of the lesser mean. 'oracle, cold' pays the first miss of each of the 8.
* What learning must cost at ratio 100: of 20 queries 5 are dear by both models and 10 by one. To see
  the first once and to pick the wrong model first on half of the others is 10 x 101, or 1.0; to try
  both models on the first as well, 1.5. 'oracle' pays none of it, 'oracle, cold' 0.5. When more than
  8 are dear by both (4 % of seeds), every strategy pays for the rest again and again, 20 to 100:
  these seeds carry much of the means and nearly all of their sd.
* 'optimum' knows the future: every miss costs the lesser of the two realised costs, and what is
  kept from one request to the next is chosen by linear program; first seeds only.
"""


class Draws(NamedTuple):
    """All chance in a run, for S seeds: a longer run begins with the shorter one's."""

    means: Floats
    """True mean costs (S, 2, queries)."""
    keys: Ints
    """What each request asks for (S, requests)."""
    costs: Floats
    """What each model would cost at that request (S, 2, requests)."""
    coins: Floats
    """Uniform: whether the offline selector errs (S, requests)."""
    logged: Ints
    """The model that the offline log shows, under bandit feedback (S, requests)."""


def draw(seeds: Iterable[int], alpha: float, ratio: float, requests: int = REQUESTS) -> Draws:
    """Draw the workload; over α and ratio the underlying chance is the same."""
    parts = []
    for seed in seeds:
        means, asked, noise, coins, logged = (np.random.default_rng((seed, i)) for i in range(5))
        mean = 1 + ratio * means.integers(0, 2, (2, QUERIES))
        keys = (QUERIES * asked.random(requests) ** (1 / alpha)).astype(np.int64)
        costs = np.maximum(LEAST, mean[:, keys] + noise.normal(size=(requests, 2)).T)
        parts.append((mean, keys, costs, coins.random(requests), logged.integers(0, 2, requests)))
    return Draws(*(np.stack(part) for part in zip(*parts, strict=True)))


def popularity(alpha: float) -> Floats:
    """P(q) = ((q+1)/20)^α - (q/20)^α."""
    return np.diff((np.arange(QUERIES + 1) / QUERIES) ** alpha)


Bound: TypeAlias = "Callable[[Floats, Floats], Floats]"
"""From means and their numbers of observations to what routing and caching compare."""


def plain(mean: Floats, n: Floats) -> Floats:
    """The mean; 0 before anything was observed, so that it is tried."""
    return np.where(n > 0, mean, 0.0)


def paper_bound(ratio: float, requests: int = REQUESTS) -> Bound:
    """LCB_k(q) of arXiv 2306.02003 §3, the mean less a width in the unit of B2 - B1."""
    span = 4 + ratio - LEAST
    log = math.log(6 * requests * QUERIES / DELTA)

    def bound(mean: Floats, n: Floats) -> Floats:
        lower = mean - span * np.sqrt(log / (2 * np.maximum(n, 1)))
        return np.where(n > 0, np.maximum(LEAST, lower), LEAST)

    return bound


def offline(
    draws: Draws, cache: str, model: int | None, accuracy: float, bandit: Bound | None = None
) -> Floats:
    """Total cost of each seed, the cache filled from the log and never changed.

    Args:
        draws: The requests, which are also the log.
        cache: "LFU" or "LEC".
        model: The one asked on a miss, or None for the selector.
        accuracy: Probability that the selector is right.
        bandit: How the selector judges a log that shows one cost a request; None shows it both.
    """
    seeds, rows = np.arange(len(draws.keys)), np.arange(len(draws.keys))[:, None]
    count = np.zeros((len(seeds), QUERIES))
    np.add.at(count, (rows, draws.keys), 1.0)

    def mean(values: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
        total, n = np.zeros_like(count), np.zeros_like(count)
        weights = np.ones_like(values) if weights is None else weights
        np.add.at(total, (rows, draws.keys), values * weights)
        np.add.at(n, (rows, draws.keys), weights)
        return total / np.maximum(n, 1), n

    right = draws.coins < accuracy
    if model is not None:
        cost, paid = mean(draws.costs[:, model])[0], draws.costs[:, model]
    elif bandit is None:
        least = draws.costs.min(1)
        cost, paid = mean(least)[0], np.where(right, least, draws.costs.max(1))
    else:
        bounds = np.stack(
            [
                bandit(*mean(draws.costs[:, k], (draws.logged == k).astype(float)))
                for k in (FIRST, SECOND)
            ],
            axis=1,
        )
        cost = bounds.min(1)
        chosen = np.where(right, 0, 1) ^ bounds.argmin(1)[rows, draws.keys]
        paid = np.take_along_axis(draws.costs, chosen[:, None], 1)[:, 0]
    worth = count if cache == "LFU" else count * cost
    held = np.argsort(-worth, axis=1, kind="stable")[:, :CAPACITY]
    hit = (draws.keys[:, :, None] == held[:, None, :]).any(2)
    total: Floats = (paid * ~hit).sum(1)
    return total


def online(draws: Draws, cache: str, model: int | None, bandit: Bound | None = None) -> Floats:
    """Total cost of each seed, everything learned as it comes; all seeds in step.

    Args:
        draws: The requests.
        cache: "LFU" or "LEC".
        model: The one asked on a miss, or None for the selector.
        bandit: How the selector judges what it saw of the model asked; None is the released
            simulator's selector, which is shown the second model's cost whenever the first is asked.
    """
    seeds, requests = draws.keys.shape
    count, paid, everyone = np.zeros((seeds, QUERIES)), np.zeros(seeds), np.arange(seeds)
    mean, n = np.zeros((seeds, 2, QUERIES)), np.zeros((seeds, 2, QUERIES))
    caches = Caches(seeds)

    def judged(s: Ints, q: Ints) -> list[Floats]:
        """What a miss on q is thought to cost, by each model."""
        models = (FIRST, SECOND) if model is None else (model,)
        return [(bandit or _simple)(mean[s, k, q], n[s, k, q]) for k in models]

    def learn(s: Ints, k: int, q: Ints, cost: Floats, times: int) -> None:
        n[s, k, q] += times
        mean[s, k, q] += (cost - mean[s, k, q]) * times / n[s, k, q]

    for now in range(requests):
        asked = draws.keys[:, now]
        count[everyone, asked] += 1
        s = np.flatnonzero(~caches.held[everyone, asked])
        if not s.size:
            continue
        q, cost = asked[s], draws.costs[s, :, now]
        by_model = judged(s, q)
        second = by_model[1] < by_model[0] if model is None else np.full(len(s), model == SECOND)
        paid[s] += np.where(second, cost[:, SECOND], cost[:, FIRST])
        full = model is None and bandit is None
        learn(s[~second], FIRST, q[~second], cost[~second, FIRST], 1)
        learn(s[second], SECOND, q[second], cost[second, SECOND], 2 if full else 1)
        if full:
            learn(s[~second], SECOND, q[~second], cost[~second, SECOND], 1)

        def worth(s: Ints, q: Ints) -> Floats:
            return count[s, q] * (np.minimum.reduce(judged(s, q)) if cache == "LEC" else 1)

        caches.admit(s, q, worth)
    return paid


def _simple(mean: Floats, _: Floats) -> Floats:
    return mean


class Caches:
    """One cache for each seed; the least worth leaves, the newcomer itself when it is not worth more."""

    def __init__(self, seeds: int) -> None:
        self.held = np.zeros((seeds, QUERIES), dtype=bool)
        self._slots = np.full((seeds, CAPACITY), -1)
        self._filled = np.zeros(seeds, dtype=np.int64)

    def admit(self, s: Ints, q: Ints, worth: Callable[[Ints, Ints], Floats]) -> None:
        """Offer query q[i], not held, to the cache of seed s[i]."""
        room = self._filled[s] < CAPACITY
        self._put(s[room], self._filled[s[room]], q[room])
        self._filled[s[room]] += 1
        s, q = s[~room], q[~room]
        wide = np.broadcast_to(s[:, None], (len(s), CAPACITY))
        worths = worth(wide, self._slots[s])
        least = worths.argmin(1)
        wins = worth(s, q) > worths[np.arange(len(s)), least]
        s, q, least = s[wins], q[wins], least[wins]
        self.held[s, self._slots[s, least]] = False
        self._put(s, least, q)

    def _put(self, s: Ints, place: Ints, q: Ints) -> None:
        self._slots[s, place] = q
        self.held[s, q] = True


def oracle(draws: Draws, alpha: float, *, cold: bool) -> Floats:
    """Total cost of each seed with every mean known; `cold` pays the first miss of those it holds."""
    held = np.argsort(-popularity(alpha) * draws.means.min(1), axis=1, kind="stable")[:, :CAPACITY]
    route = np.take_along_axis(draws.means.argmin(1), draws.keys, 1)
    pay = np.take_along_axis(draws.costs, route[:, None], 1)[:, 0]
    match = draws.keys[:, :, None] == held[:, None, :]
    missed = ~match.any(2)
    if cold:
        first = match.argmax(1)
        missed[np.arange(len(missed))[:, None], first] |= match.any(1)
    total: Floats = (pay * missed).sum(1)
    return total


def default() -> tuple[Router, MemoryLedger]:
    """The package's default: `MultiplexedLLM`'s router, and `LECCache`'s ledger and policy."""
    router = Router({name: Mean(prior=Ridge()) for name in ("m1", "m2")})
    return router, MemoryLedger(CAPACITY, policy=robust(CAPACITY))


def ours(keys: Ints, costs: Floats) -> float:
    """Total cost of one seed, in the order in which cache and multiplexer call one another.

    Args:
        keys: What each request asks for (requests,).
        costs: What each model would cost (2, requests).
    """
    router, ledger = default()
    by_model = dict(zip(router.estimators, costs.tolist(), strict=True))
    trace = (
        Request(str(key), costs={model: paid[now] for model, paid in by_model.items()})
        for now, key in enumerate(keys.tolist())
    )
    return sum(outcome.paid for outcome in follow(trace, ledger, router=router))


def _ours(job: tuple[int, float, float, int]) -> float:
    seed, alpha, ratio, requests = job
    draws = draw([seed], alpha, ratio, requests)
    return ours(draws.keys[0], draws.costs[0])


def _optimum(job: tuple[int, float, float]) -> float:
    draws = draw([job[0]], *job[1:])
    keys, costs = map(str, draws.keys[0].tolist()), draws.costs[0].min(0).tolist()
    return optimum(list(keys), costs, capacity=CAPACITY)


def summary(costs: Floats, published: float | None = None) -> dict[str, float]:
    """Mean, single-run sd and standard error, in thousands; z is the published cell's, in sd."""
    mean, sd = costs.mean() / 1e3, costs.std(ddof=1) / 1e3
    told = {"mean": mean, "sd": sd, "se": sd / math.sqrt(len(costs))}
    return (
        told
        if published is None
        else {"published": published, **told, "z": (published - mean) / sd}
    )


def ratio_of_means(above: Floats, below: Floats) -> dict[str, float]:
    """Σ above / Σ below over paired seeds, and its standard error by the delta method."""
    ratio = above.mean() / below.mean()
    error = (above - ratio * below).std(ddof=1) / below.mean() / math.sqrt(len(above))
    return {"ratio": ratio, "se": error, "median of ratios": float(np.median(above / below))}


def rounded(tree: object) -> object:
    """Four decimals, for the results file."""
    if isinstance(tree, dict):
        return {key: rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [rounded(value) for value in tree]
    return round(float(tree), 4) if isinstance(tree, float) else tree


def tables(seeds: Sequence[int], requests: int = REQUESTS) -> dict[str, list[dict[str, object]]]:
    """Both tables: every cell in full information, those of `sel` under bandit feedback too."""
    found: dict[str, list[dict[str, object]]] = {"offline": [], "online": []}
    for alpha, ratio in track(WORKLOADS, "the paper's tables"):
        draws = draw(seeds, alpha, ratio, requests)
        bounds = {"mean": plain, "bound": paper_bound(ratio, requests)}
        for place, (name, (cache, model)) in enumerate(STRATEGIES.items()):
            for accuracy in (0.8, 1.0):
                published = OFFLINE[alpha, ratio, accuracy][place]
                cell = {"alpha": alpha, "ratio": ratio, "accuracy": accuracy, "strategy": name}
                cell["full"] = summary(offline(draws, cache, model, accuracy), published)
                if model is None:
                    cell["bandit"] = {
                        rule: summary(offline(draws, cache, model, accuracy, bound))
                        for rule, bound in bounds.items()
                    }
                found["offline"].append(cell)
            cell = {"alpha": alpha, "ratio": ratio, "strategy": name}
            cell["full"] = summary(online(draws, cache, model), ONLINE[alpha, ratio][place])
            if model is None:
                cell["bandit"] = {
                    rule: summary(online(draws, cache, model, bound))
                    for rule, bound in bounds.items()
                }
            found["online"].append(cell)
    found["offline"].sort(key=lambda cell: (cell["ratio"], cell["accuracy"], cell["alpha"]))
    return found


def beyond(
    seeds: Sequence[int], longer: Sequence[int], optima: Sequence[int], jobs: int
) -> list[dict[str, object]]:
    """Our default, the oracle and the optimum on the same seeds; `longer` at 100,000 requests too."""
    rows = []
    with ProcessPoolExecutor(jobs) as pool:
        for alpha, ratio in WORKLOADS:
            run = _play(pool, seeds, alpha, ratio, REQUESTS)
            draws = draw(seeds, alpha, ratio)
            lfu = online(draws, "LFU", FIRST)
            row: dict[str, object] = {"alpha": alpha, "ratio": ratio, "seeds": len(seeds)}
            row.update({name: summary(costs) for name, costs in run.items()})
            row["LFU+m1 over"] = {
                "LEC+sel, full": ratio_of_means(lfu, online(draws, "LEC", None)),
                "LEC+sel, bandit by mean": ratio_of_means(lfu, online(draws, "LEC", None, plain)),
                **{n: ratio_of_means(lfu, c) for n, c in run.items() if n.startswith("ours")},
            }
            row["over the oracle"] = _over(run)
            if ratio > 2 and longer:
                row["on fewer seeds"] = {
                    "seeds": len(longer),
                    **{
                        f"{requests} requests": _over(_play(pool, longer, alpha, ratio, requests))
                        for requests in (REQUESTS, LONG)
                    },
                }
            if optima:
                todo = [(seed, alpha, ratio) for seed in optima]
                done = track(pool.map(_optimum, todo), "the optimum", total=len(todo))
                best = np.array(list(done))
                few = [seeds.index(seed) for seed in optima]
                row["optimum"] = {
                    "seeds": len(few),
                    **summary(best),
                    **{f"{n} over it": ratio_of_means(c[few], best) for n, c in run.items()},
                }
            rows.append(row)
    return rows


def _play(
    pool: ProcessPoolExecutor, seeds: Sequence[int], alpha: float, ratio: float, requests: int
) -> dict[str, Floats]:
    """Ours, and the oracle without and with its cold misses."""
    todo = [(seed, alpha, ratio, requests) for seed in seeds]
    label = f"ours, alpha {alpha}, ratio {ratio:g}, {requests} requests"
    done = track(pool.map(_ours, todo, chunksize=4), label, total=len(todo))
    found = {"ours": np.array(list(done))}
    for cold, name in ((False, "oracle"), (True, "oracle, cold")):
        each = (draw([seed], alpha, ratio, requests) for seed in seeds)
        found[name] = np.concatenate([oracle(d, alpha, cold=cold) for d in each])
    return found


def _over(run: dict[str, Floats]) -> dict[str, dict[str, dict[str, float]]]:
    """Ours over each oracle."""
    return {
        name: {kind: ratio_of_means(run[name], run[kind]) for kind in ("oracle", "oracle, cold")}
        for name in run
        if name.startswith("ours")
    }


def rendered(result: dict[str, Any]) -> str:
    """The results file as Markdown."""
    made = f"Made by `{result['command']}` on {result['date'][:10]}, {result['seeds']} paired seeds"
    lines = ["# The paper's synthetic tables, again", "", f"{made}; from `paper_tables.json`."]
    for title in ("offline", "online"):
        lines += ["", f"## {title.capitalize()}", "", *_published(result[title])]
    lines += ["", "## Beyond the paper: online, bandit feedback", "", *_beyond(result["beyond"])]
    return "\n".join(lines) + f"\n\n## Notes\n\n{result['notes']}"


def _published(cells: list[dict[str, Any]]) -> list[str]:
    """One of the paper's tables, then what becomes of `sel` under bandit feedback."""
    rows: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for cell in cells:
        at = (str(cell["alpha"]), f"{cell['ratio']:g}", str(cell.get("accuracy", "–")))
        rows.setdefault(at, {})[cell["strategy"]] = cell
    chosen = [(name, rule) for name in STRATEGIES if "sel" in name for rule in ("mean", "bound")]
    where = ["α", "ratio", "acc"]
    return [
        "Published | full information, mean ± se (z, in sd of a single run):",
        "",
        *_table(
            [*where, *STRATEGIES],
            [[*at, *(_cell(row[name]["full"]) for name in STRATEGIES)] for at, row in rows.items()],
        ),
        "",
        "Bandit feedback, mean ± se:",
        "",
        *_table(
            [*where, *(f"{name}, {rule}" for name, rule in chosen)],
            [
                [*at, *(_mean(row[name]["bandit"][rule]) for name, rule in chosen)]
                for at, row in rows.items()
            ],
        ),
    ]


def _beyond(rows: list[dict[str, Any]]) -> list[str]:
    """Means, then ratios."""
    who = ["ours", "oracle, cold", "oracle"]
    means, ratios = [], []
    for row in rows:
        at = [str(row["alpha"]), f"{row['ratio']:g}"]
        best = row.get("optimum")
        told = f"{_mean(best)} ({best['seeds']})" if best else "–"
        means.append([*at, *(_mean(row[name]) for name in who), told])
        all_of = [*at, "10000", str(row["seeds"])]
        ratios += [[*all_of, "LFU+m1", n, _ratio(told)] for n, told in row["LFU+m1 over"].items()]
        ratios += [[*all_of, *line] for line in _ratios(row["over the oracle"])]
        for label, over in row.get("on fewer seeds", {}).items():
            if label != "seeds":
                fewer = [*at, label.split()[0], str(row["on fewer seeds"]["seeds"])]
                ratios += [[*fewer, *line] for line in _ratios(over)]
        if best:
            few = [*at, "10000", str(best["seeds"])]
            ratios += [[*few, n, "optimum", _ratio(best[f"{n} over it"])] for n in who]
    heads = ["α", "ratio", "requests", "seeds", "cost of", "over that of", "ratio of means ± se"]
    return [
        *_table(["α", "ratio", *who, "optimum (seeds)"], means),
        "",
        *_table(heads, ratios),
    ]


def _ratios(over: dict[str, dict[str, Any]]) -> list[list[str]]:
    return [[n, kind, _ratio(told)] for n, kinds in over.items() for kind, told in kinds.items()]


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cell(told: dict[str, float]) -> str:
    return f"{told['published']:.2f} \\| {_mean(told)} ({told['z']:+.2f})"


def _mean(told: dict[str, float]) -> str:
    return f"{told['mean']:.2f} ± {told['se']:.2f}"


def _ratio(told: dict[str, float]) -> str:
    return f"{told['ratio']:.3f} ± {told['se']:.3f}"


def main() -> None:
    """Run, and write the results file and its Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--long-seeds", type=int, default=30, help="run at 100,000 requests too")
    parser.add_argument("--optimum-seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--render", action="store_true", help="only write the Markdown")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    args = parser.parse_args()
    path = args.out / "paper_tables.json"
    if not args.render:
        seeds = range(args.seeds)
        found = tables(seeds)
        worst = max((cell for part in found.values() for cell in part), key=_strayed)
        few = (seeds[: args.long_seeds], seeds[: args.optimum_seeds])
        result = {
            **stamp("python benchmarks/paper_tables.py", "numpy", "scipy", seeds=args.seeds),
            "farthest published cell": worst,
            **found,
            "beyond": beyond(seeds, *few, args.jobs),
            "notes": NOTES,
        }
        results.write(path, rounded(result))
    text = rendered(results.read(path))
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def _strayed(cell: dict[str, Any]) -> float:
    return abs(float(cell["full"]["z"]))


if __name__ == "__main__":
    main()
