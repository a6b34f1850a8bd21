"""Development workloads: real traces with costs, and synthetic streams that break one thing each.

The real ones need `CACHEMUX_DATA`, the folder whose README names every file's public source. Only three
traces bring costs of their own (gcc: 10 or 100; apache: bytes; mooncake: FLOPs to recompute a block at
its place in the prompt); the others get one per key, drawn from the Azure 2023 conversation tokens at
$2.5 and $10 per million, so `seed` draws them anew.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from langchain_cachemux.lab.replay import follow
from langchain_cachemux.types import Request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.keep.books import Ledger
    from langchain_cachemux.lab.baselines import Baseline
    from langchain_cachemux.route.estimators import Estimator

REQUESTS, KEYS, SIGMA = 200_000, 10_000, 1.2
"""Of the synthetic streams; sigma is the standard deviation of the logarithm of a key's cost."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A trace: what was asked, shape (n,), and what a miss costs at each request, shape (n,)."""

    name: str
    keys: NDArray[np.int64]
    costs: NDArray[np.float64]

    @property
    def distinct(self) -> int:
        """The number of distinct keys."""
        return int(self.keys.max()) + 1


def missed(
    keys: Sequence[str],
    costs: NDArray[np.float64],
    cache: Ledger | Baseline,
    *,
    estimator: Estimator | None = None,
) -> NDArray[np.bool_]:
    """Send requests through a cache: whether each missed, shape (n,).

    Args:
        keys: What was asked.
        costs: What a miss costs at each request, shape (n,).
        cache: As for `follow`.
        estimator: As for `follow`.
    """
    outcomes = follow(map(Request, keys, costs.tolist()), cache, estimator=estimator)
    return np.fromiter((not outcome.hit for outcome in outcomes), np.bool_, len(keys))


def data() -> Path | None:
    """The folder of real traces, when `CACHEMUX_DATA` names one."""
    folder = os.environ.get("CACHEMUX_DATA")
    return Path(folder) / "traces" if folder else None


def real(folder: Path, *, seed: int = 0) -> Iterator[Workload]:
    """The development traces, in order of length."""
    rng = np.random.default_rng(seed)
    prices = _prices(folder)
    for name, file in (
        ("sparql", "sparql_wd_valid10k.tsv.gz"),
        ("apache", "apache10k.tsv.gz"),
        ("bing", "bing_corona_jan2020.tsv.gz"),
        ("web07", "cache2k_web07.tsv.gz"),
        ("mooncake", ""),
        ("gcc", "gcc_penalties.tsv.gz"),
        ("orm", "cache2k_orm_busy_1M.tsv.gz"),
    ):
        if name == "mooncake":
            yield _mooncake(folder)
            continue
        columns = _columns(folder / file)
        keys = _dense(columns["key"])
        own = next((columns[c] for c in ("bytes", "miss_cost") if c in columns), None)
        per_key = rng.choice(prices, keys.max() + 1)
        costs = per_key[keys] if own is None else np.maximum(own.astype(float), 1.0)
        yield Workload(name, keys, costs)


def synthetic(*, seed: int = 0) -> Iterator[Workload]:
    """Stationary, noisy, drifting, polluted and scanned streams, and the paper's own."""
    rng = np.random.default_rng(seed)
    for skew in (0.6, 0.8, 1.0):
        yield _priced(f"zipf {skew}", zipf(rng, skew), rng)
    noisy = _priced("zipf 0.9, cost noise 0.8", zipf(rng, 0.9), rng)
    yield Workload(noisy.name, noisy.keys, noisy.costs * rng.lognormal(-0.32, 0.8, len(noisy.keys)))
    yield _priced("drift: ranks swapped", _swapped(rng), rng)
    yield _priced("drift: keys churn", zipf(rng, 0.9) + np.arange(REQUESTS) // 20, rng)
    ranks = zipf(rng, 0.9)
    moved = np.where(np.arange(REQUESTS) < REQUESTS // 2, ranks, rng.permutation(KEYS)[ranks])
    yield _priced("drift: abrupt", moved, rng)
    for share in (0.3, 0.6):
        yield _priced(f"one-hit wonders {share}", _wonders(rng, share), rng)
    scanned = _wonders(rng, 0.3)
    for start in range(20_000, REQUESTS, 40_000):
        scanned[start : start + 5_000] = 10 * REQUESTS + np.arange(5_000)
    yield _priced("one-hit wonders 0.3 + scans", scanned, rng)
    for alpha in (0.5, 0.8):
        for ratio in (1.5, 100.0):
            yield _paper(rng, alpha, ratio)


def _priced(name: str, keys: NDArray[np.int64], rng: np.random.Generator) -> Workload:
    keys = _dense(keys)
    return Workload(name, keys, rng.lognormal(0.0, SIGMA, keys.max() + 1)[keys])


def zipf(
    rng: np.random.Generator, skew: float, requests: int = REQUESTS, keys: int = KEYS
) -> NDArray[np.int64]:
    """Independent requests, shape (requests,); key k is asked for in proportion to (k + 1)^-skew."""
    weights = np.arange(1, keys + 1) ** -skew
    return np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(requests)).astype(
        np.int64
    )


def _swapped(rng: np.random.Generator) -> NDArray[np.int64]:
    """In each of twenty epochs a fifth of the ranks change places."""
    ranks, identity, epochs = zipf(rng, 0.9), np.arange(KEYS), []
    for epoch in np.array_split(ranks, 20):
        epochs.append(identity[epoch])
        moved = rng.choice(KEYS, KEYS // 5, replace=False)
        identity[moved] = identity[rng.permutation(moved)]
    return np.concatenate(epochs)


def _wonders(rng: np.random.Generator, share: float) -> NDArray[np.int64]:
    """A share of the requests is never repeated."""
    keys = zipf(rng, 0.9)
    once = rng.random(REQUESTS) < share
    keys[once] = KEYS + np.arange(REQUESTS)[once]
    return keys


def _paper(rng: np.random.Generator, alpha: float, ratio: float) -> Workload:
    """Twenty queries of arXiv 2306.02003 §5, answered by one model: 1 or 1 + ratio, noise N(0, 1)."""
    keys = (rng.power(alpha, 10_000) * 20).astype(np.int64)
    means = 1.0 + ratio * (rng.random(20) < 0.5)
    costs = np.maximum(means[keys] + rng.normal(size=len(keys)), 0.1)
    return Workload(f"paper α {alpha}, ratio {ratio:g}", keys, costs)


def _mooncake(folder: Path) -> Workload:
    """Blocks of 512 tokens; attention makes the late ones dearer (80 layers of width 8192, 70e9)."""
    keys: list[int] = []
    places: list[int] = []
    with gzip.open(folder / "mooncake_conversation_trace.jsonl.gz", "rt") as lines:
        for line in lines:
            blocks = json.loads(line)["hash_ids"]
            keys += blocks
            places += range(len(blocks))
    token = 2 * 70e9
    costs = 512 * (token + 4 * 80 * 8192 * 512 * np.array(places)) / 1e12
    return Workload("mooncake", _dense(np.array(keys)), costs)


def _prices(folder: Path) -> NDArray[np.float64]:
    """Dollars of each Azure conversation, scaled to mean 1."""
    with gzip.open(folder / "azure_llm_conv_2023.csv.gz", "rt") as lines:
        tokens = np.loadtxt(lines, delimiter=",", skiprows=1, usecols=(1, 2))
    dollars: NDArray[np.float64] = tokens @ [2.5, 10.0]
    return dollars / float(dollars.mean())


def _columns(path: Path) -> dict[str, NDArray[np.str_]]:
    with gzip.open(path, "rt") as lines:
        names = lines.readline().rstrip("\n").split("\t")
        cells = np.array([line.rstrip("\n").split("\t") for line in lines])
    return {name: cells[:, column] for column, name in enumerate(names)}


def _dense(keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """Number the keys from 0 in the order of their first request."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return place[inverse]
