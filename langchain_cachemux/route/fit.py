"""A router from what was observed, and an honest report of what it is worth.

What is observed is censored: a line tells of the model that was asked, not of the others. So the router
learns from every line, and is scored where more is known: on the questions on which each model but the
most expensive was judged. Where an answer of the most expensive one was not, or a price is not known,
the estimate stands in, and the report says for how many. Answers count as they are given: what a judge
would have caught on the way is not taken into account.

Every figure is out of fold: the questions are dealt into parts, and each part is predicted by a router
that has learned from the other parts alone. Equal texts go to one part, also in other conversations.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from langchain_cachemux.arguments import expect, is_number, is_whole
from langchain_cachemux.route.costs import Costs, Known
from langchain_cachemux.route.estimators import checked
from langchain_cachemux.route.observations import observed
from langchain_cachemux.route.router import Router
from langchain_cachemux.types import Observation, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Choices = NDArray[np.intp]

Embed: TypeAlias = Callable[[list[str]], Sequence[Any]]
"""From texts to their vectors: `embed_documents` of any LangChain embeddings."""

BINS = 10
RESAMPLES = 2000
AT_ONCE = 64
"""Texts embedded in one call."""
UNSURE = 10
"""Questions that a report names."""
PRICES = np.concatenate([[0.0], np.geomspace(0.01, 1000.0, 76)])
"""Prices of an error on the curve, in calls of the most expensive model."""


class Watch(Protocol):
    """Shows how far a loop is: gives what it is given, one by one."""

    def __call__(self, parts: Sequence[Any], /, what: str) -> Iterable[Any]:
        """Iterate."""
        ...


@dataclass(frozen=True, slots=True)
class Bin:
    """A tenth of the judged answers, by the chance of failing that was predicted."""

    n: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the chances that were predicted of a model are those that came."""

    n: int
    """Judged answers."""
    ece: float
    """Mean |predicted - observed| over the bins, by their size."""
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """What answers cost, and how many did, both per question."""

    cost: float
    quality: float
    """Share of the answers that did."""


@dataclass(frozen=True, slots=True)
class Setting(Point):
    """A point of the router's curve, and where its dial stood."""

    error_price: float
    """What a bad answer was said to cost, in the unit of the costs."""
    shares: dict[str, float] = field(default_factory=dict)
    """By model, how many of the questions it was asked."""


@dataclass(frozen=True, slots=True)
class Saving:
    """What the router would have saved at one setting, beside the most expensive model alone.

    The intervals are 95 %, by a bootstrap of the questions with all choices held fixed, router and
    model on the same resample: they say how far it hangs on what was asked, and not on what was fitted.
    """

    setting: Setting
    saved: float
    """Share of the most expensive model's cost."""
    low: float
    high: float
    better: float
    """Its quality less that of the most expensive model."""
    better_low: float
    better_high: float
    oracle: float
    """What could have been saved by knowing every outcome, at the same price of an error."""
    oracle_quality: float


@dataclass(frozen=True, slots=True)
class Unsure:
    """A question whose two best models are expected to cost the same within their bounds."""

    text: str
    model: str
    """The one asked."""
    other: str
    """The one that it may be."""
    chances: dict[str, tuple[float, float, float]]
    """By model, of failing: the lower bound, the mean, the upper bound."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a router would have been worth on the questions that it was fitted on, each left out."""

    models: tuple[str, ...]
    """From cheap to expensive."""
    observations: int
    questions: int
    scored: int
    """Questions on which each model but the last was judged; all that follows but the calibration is
    of these."""
    estimated_costs: float
    """Share of the costs that nobody paid, so that the estimate stands in."""
    estimated_outcomes: float
    """Share of the last model's outcomes that nobody judged; likewise."""
    calibration: dict[str, Calibration]
    """By model that was judged."""
    always: dict[str, Point]
    """By model: it alone."""
    random: tuple[Point, ...]
    """The best that can be had of the models by lot: corners, with straight lines between."""
    curve: tuple[Setting, ...]
    """The router, as the price of an error rises."""
    oracle: tuple[Point, ...]
    """The same by someone who knows every outcome and cost."""
    saving: Saving | None
    """None when no question is scored."""
    unsure: tuple[Unsure, ...]
    """The least sure first, at most ten."""
    unsure_share: float
    """How many of the scored questions are like these."""
    folds: int
    seed: int


def fit(
    observations: str | os.PathLike[str] | Iterable[Observation],
    *,
    embed: Embed | None = None,
    models: Sequence[str] | None = None,
    costs: Callable[[], Costs] = Costs,
    error_price: float | None = None,
    max_error: float = 0.05,
    folds: int = 5,
    seed: int = 0,
    watch: Watch | None = None,
) -> tuple[Router, Report]:
    """Fit a router to what was observed, and say what it would have been worth.

    Args:
        observations: A file that `MultiplexedLLM(..., observations=FILE)` has written, or such lines.
        embed: What the router will read its vectors by; by default it reads words alone.
        models: From cheap to expensive; by default as their mean costs are.
        costs: Makes what is learned of a model. The saved router is loaded into the same:
            `Router.load(path, {model: costs() for model in models})`.
        error_price: What a bad answer costs, in the unit of the costs, for the saving and for what is
            unsure. By default the least at which, of the answers that the most expensive model does not
            give, at most `max_error` more are expected to be bad than if it gave them.
        max_error: See there.
        folds: Parts that the questions are dealt into.
        seed: Of the dealing and of the bootstrap.
        watch: Shows the progress.

    Returns:
        The router, which has learned from every line, and the report, which is out of fold.

    Raises:
        ValueError: A line is no observation, names a model that is not among `models`, or its cost or
            outcome is out of range; there are fewer than two models, or fewer questions than folds; of
            a model no price is known, or, but for the last, no outcome or none of one kind; the vectors
            do not match; or an argument is out of its range.
    """
    _check(error_price, max_error, folds)
    watch = watch or _unwatched
    seen = _Seen.read(observations, models)
    seen.check(folds)
    seen.embed(embed, watch)
    parts = seen.parts(folds, np.random.default_rng(seed))
    told = _Told(seen)
    whole = seen.router(costs)
    for part in watch([*range(folds), folds], "learning"):
        if part == folds:
            seen.teach(whole, parts >= 0)
        else:
            router = seen.router(costs)
            seen.teach(router, parts != part)
            told.ask(router, np.flatnonzero(parts == part))
    return whole, _report(seen, told, error_price, max_error=max_error, folds=folds, seed=seed)


class _Line(NamedTuple):
    """One observation: of which question and model, by their places."""

    question: int
    model: str
    cost: float | None
    failed: float | None


class _Seen:
    """What was observed, by question and model; nan where nothing was."""

    def __init__(self, where: str, models: Sequence[str]) -> None:
        self.where = where
        self.models = list(models)
        self.queries: list[Query] = []
        self.lines: list[_Line] = []
        self.costs: Floats = np.empty((0, 0))
        self.failed: Floats = np.empty((0, 0))

    @classmethod
    def read(
        cls,
        observations: str | os.PathLike[str] | Iterable[Observation],
        models: Sequence[str] | None,
    ) -> _Seen:
        """Read all lines, and refuse the first that is out of range by its number."""
        path = os.fspath(observations) if isinstance(observations, str | os.PathLike) else None
        seen = cls(path or "observations", models or [])
        places: dict[tuple[str, str], int] = {}
        lines: Iterable[Observation] = observed(path) if path else observations  # type: ignore[assignment]
        for number, line in enumerate(lines, 1):
            try:
                model, cost, failed = _ranged(line, models)
            except (TypeError, ValueError) as error:
                msg = f"{f'{path}:{number}' if path else f'observation {number}'}: {error}"
                raise ValueError(msg) from error
            place = places.setdefault((line["key"], line["text"]), len(places))
            if place == len(seen.queries):
                seen.queries.append(Query(line["key"], text=line["text"]))
            seen.lines.append(_Line(place, model, cost, failed))
        seen.models = list(models or seen.cheap_to_expensive())
        seen.costs = seen.mean("cost")
        seen.failed = seen.mean("failed")
        return seen

    def cheap_to_expensive(self) -> list[str]:
        """The models by their mean cost; those of which none is known last."""
        paid: dict[str, list[float]] = {line.model: [] for line in self.lines}
        for line in self.lines:
            if line.cost is not None:
                paid[line.model].append(line.cost)
        return sorted(paid, key=lambda m: float(np.mean(paid[m])) if paid[m] else np.inf)

    def mean(self, what: str) -> Floats:
        """Of each question and model, the mean of what was observed, shape (questions, models)."""
        shape = len(self.queries), len(self.models)
        total, count = np.zeros(shape), np.zeros(shape)
        for line in self.lines:
            value = getattr(line, what)
            if value is not None:
                at = line.question, self.models.index(line.model)
                total[at] += value
                count[at] += 1
        return np.where(count, total / np.maximum(count, 1), np.nan)

    def check(self, folds: int) -> None:
        """Refuse what nothing can be learned from."""
        if not self.lines:
            msg = f"{self.where} must hold an observation, got none"
            raise ValueError(msg)
        if len(set(self.models)) < max(2, len(self.models)):
            msg = f"{self.where} must be of two models or more, each once, got {self.models}"
            raise ValueError(msg)
        texts = len({x.text for x in self.queries})
        if texts < folds:
            msg = f"{self.where} must hold a question for each of {folds} folds, got {texts}"
            raise ValueError(msg)
        for place, model in enumerate(self.models):
            if np.isnan(self.costs[:, place]).all():
                msg = f"{self.where} must say what {model!r} costs, got no line with a cost of it"
                raise ValueError(msg)
        for place, model in enumerate(self.models[:-1]):
            told = self.failed[:, place]
            told = told[~np.isnan(told)]
            if not ((told < 1).any() and (told > 0).any()):
                found = f"all {len(told)} are {told[0]:g}" if len(told) else "there is none"
                msg = (
                    f"{self.where} must hold outcomes of {model!r} of both kinds, failed 0 and 1, but"
                    f" {found}; they come from accept=, audits or feedback"
                )
                raise ValueError(msg)

    def embed(self, embed: Embed | None, watch: Watch) -> None:
        """Give each question its vector; a text is embedded once."""
        if embed is None:
            return
        texts = list(dict.fromkeys(x.text for x in self.queries))
        vectors: dict[str, NDArray[np.float32]] = {}
        length = 0
        for start in watch(range(0, len(texts), AT_ONCE), "embedding"):
            batch = texts[start : start + AT_ONCE]
            found = [np.asarray(vector, np.float32) for vector in embed(batch)]
            length = length or (found[0].size if found else 0)
            odd = [v.shape for v in found if v.shape != (length,) or not np.isfinite(v).all()]
            if len(found) != len(batch) or odd or not length:
                msg = (
                    f"embed must return a finite vector of length {length} for each of"
                    f" {len(batch)} texts, got {len(found)}{f', one of shape {odd[0]}' if odd else ''}"
                )
                raise ValueError(msg)
            vectors.update(zip(batch, found, strict=True))
        self.queries = [Query(x.key, text=x.text, vector=vectors[x.text]) for x in self.queries]

    def parts(self, folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Deal the questions, equal texts together; the part of each, shape (questions,)."""
        texts = list(dict.fromkeys(x.text for x in self.queries))
        dealt = dict(zip(texts, rng.permutation(len(texts)) % folds, strict=True))
        return np.array([dealt[x.text] for x in self.queries], dtype=np.intp)

    def router(self, costs: Callable[[], Costs]) -> Router:
        """A router that has learned nothing."""
        made = {model: costs() for model in self.models}
        odd = [one for one in made.values() if not isinstance(one, Costs)]
        if odd:
            msg = f"costs must make Costs, the price and the chance apart, got {odd[0]!r}"
            raise ValueError(msg)
        return Router(made)

    def teach(self, router: Router, those: NDArray[np.bool_]) -> None:
        """Let it learn the lines of some questions, in their order."""
        for line in self.lines:
            if those[line.question]:
                x = self.queries[line.question]
                router.learn(x, line.cost, line.model, failed=line.failed)


class _Told:
    """What routers said of each question that they had not learned from, shape (questions, models)."""

    def __init__(self, seen: _Seen) -> None:
        self.queries, self.models = seen.queries, seen.models
        shape = seen.costs.shape
        self.price, self.price_low = np.zeros(shape), np.zeros(shape)
        self.fails, self.fails_low, self.fails_high = (np.zeros(shape) for _ in range(3))

    def ask(self, router: Router, questions: Choices) -> None:
        """Ask a router of some questions."""
        for i in questions:
            for k, model in enumerate(self.models):
                price, fails, *_ = Known.of(router.estimators[model], self.queries[i])
                assert fails is not None  # noqa: S101 - of `Costs` it never is
                self.price[i, k], self.price_low[i, k] = price.mean, max(price.optimistic, 0.0)
                self.fails[i, k] = fails.mean
                self.fails_low[i, k], self.fails_high[i, k] = fails.optimistic, fails.upper
        last = self.fails[:, -1:], self.fails_low[:, -1:], self.fails_high[:, -1:]
        untold = (last[1] <= 0) & (last[2] >= 1)  # as in `Plan`: its answers are taken to do
        for array in last:
            array[untold] = 0.0

    def chosen(self, error_price: float) -> Choices:
        """Whom `Router.choose` would ask of each question, by its place, shape (questions,)."""
        return np.asarray(np.argmin(self.price_low + error_price * self.fails_low, axis=1))


def _report(
    seen: _Seen,
    told: _Told,
    error_price: float | None,
    *,
    max_error: float,
    folds: int,
    seed: int,
) -> Report:
    calibration = {
        model: _calibration(told.fails[known, k], seen.failed[known, k])
        for k, model in enumerate(seen.models)
        if (known := ~np.isnan(seen.failed[:, k])).any()
    }
    rows = np.flatnonzero(~np.isnan(seen.failed[:, :-1]).any(axis=1))
    costs, failed = seen.costs[rows], seen.failed[rows]
    unpaid, unjudged = np.isnan(costs), np.isnan(failed)
    costs = np.where(unpaid, told.price[rows], costs)
    failed = np.where(unjudged, told.fails[rows], failed)
    unit = float(np.nanmean(seen.costs[:, -1])) or 1.0
    if error_price is None:
        error_price = _price(told, rows, unit, max_error)
    scored = _Scored(seen.models, costs, failed)
    doubts = _doubts(seen, told, rows, error_price)
    some = bool(len(rows))
    return Report(
        models=tuple(seen.models),
        observations=len(seen.lines),
        questions=len(seen.queries),
        scored=len(rows),
        estimated_costs=float(unpaid.mean()) if some else 0.0,
        estimated_outcomes=float(unjudged[:, -1].mean()) if some else 0.0,
        calibration=calibration,
        always=scored.always() if some else {},
        random=scored.random() if some else (),
        curve=scored.curve([(p, told.chosen(p)[rows]) for p in PRICES * unit]) if some else (),
        oracle=scored.oracle(PRICES * unit) if some else (),
        saving=scored.saving(error_price, told.chosen(error_price)[rows], seed) if some else None,
        unsure=tuple(doubts[:UNSURE]),
        unsure_share=len(doubts) / len(rows) if some else 0.0,
        folds=folds,
        seed=seed,
    )


class _Scored:
    """What each model's answer to each scored question cost, and how far it failed."""

    def __init__(self, models: Sequence[str], costs: Floats, failed: Floats) -> None:
        self.models, self.costs, self.failed = models, costs, failed
        self.every = np.arange(len(costs))

    def point(self, chosen: Choices | int) -> Point:
        """What comes of asking the model chosen."""
        cost, failed = self.costs[self.every, chosen], self.failed[self.every, chosen]
        return Point(float(cost.mean()), float(1 - failed.mean()))

    def always(self) -> dict[str, Point]:
        """Each model alone."""
        return {model: self.point(k) for k, model in enumerate(self.models)}

    def random(self) -> tuple[Point, ...]:
        """The upper hull of the models: from the cheapest, each time the steepest way up."""
        points = sorted(self.always().values(), key=lambda p: (p.cost, -p.quality))
        hull = [points[0]]
        while better := [
            p for p in points if p.cost > hull[-1].cost and p.quality > hull[-1].quality
        ]:
            at = hull[-1]
            hull.append(max(better, key=lambda p: (p.quality - at.quality) / (p.cost - at.cost)))
        return tuple(hull)

    def setting(self, error_price: float, chosen: Choices) -> Setting:
        """What comes of a price of an error."""
        shares = np.bincount(chosen, minlength=len(self.models)) / len(chosen)
        point = self.point(chosen)
        shared = dict(zip(self.models, shares.tolist(), strict=True))
        return Setting(point.cost, point.quality, float(error_price), shared)

    def curve(self, choices: Iterable[tuple[float, Choices]]) -> tuple[Setting, ...]:
        """The settings, those that come to the same once."""
        settings: list[Setting] = []
        for error_price, chosen in choices:
            setting = self.setting(error_price, chosen)
            if not settings or (settings[-1].cost, settings[-1].quality) != (
                setting.cost,
                setting.quality,
            ):
                settings.append(setting)
        return tuple(settings)

    def oracle(self, prices: Floats) -> tuple[Point, ...]:
        """The same of who knows every cost and outcome."""
        best = [np.argmin(self.costs + price * self.failed, axis=1) for price in prices]
        return tuple(dict.fromkeys(self.point(chosen) for chosen in best))

    def saving(self, error_price: float, chosen: Choices, seed: int) -> Saving:
        """What a choice saves beside the last model alone, with its intervals."""
        n = len(self.every)
        paid, alone = self.costs[self.every, chosen], self.costs[:, -1]
        better = self.failed[:, -1] - self.failed[self.every, chosen]
        best = self.point(np.argmin(self.costs + error_price * self.failed, axis=1))
        rng, values = np.random.default_rng(seed), np.stack([paid, alone, better], axis=1)
        drawn = np.array([rng.multinomial(n, np.full(n, 1 / n)) @ values for _ in range(RESAMPLES)])
        low, high = np.quantile(_saved(drawn[:, 0], drawn[:, 1]), [0.025, 0.975])
        better_low, better_high = np.quantile(drawn[:, 2] / n, [0.025, 0.975])
        return Saving(
            setting=self.setting(error_price, chosen),
            saved=float(_saved(paid.sum(), alone.sum())),
            low=float(low),
            high=float(high),
            better=float(better.mean()),
            better_low=float(better_low),
            better_high=float(better_high),
            oracle=float(_saved(best.cost, alone.mean())),
            oracle_quality=best.quality,
        )


def _saved(paid: Any, alone: Any) -> Any:
    """The share saved; of what costs nothing there is nothing to save."""
    return np.where(alone > 0, 1 - paid / np.where(alone > 0, alone, 1.0), 0.0)


def _calibration(predicted: Floats, failed: Floats) -> Calibration:
    order = np.argsort(predicted, kind="stable")
    bins = tuple(
        Bin(len(part), float(predicted[part].mean()), float(failed[part].mean()))
        for part in np.array_split(order, min(BINS, len(order)))
    )
    gaps = [b.n * abs(b.predicted - b.observed) for b in bins]
    return Calibration(len(order), sum(gaps) / len(order), bins)


def _price(told: _Told, rows: Choices, unit: float, max_error: float) -> float:
    """The least price of an error at which few enough cheaper answers are expected to be worse."""
    last = len(told.models) - 1
    for price in PRICES * unit:
        chosen = told.chosen(price)[rows]
        cheaper = chosen < last
        worse = told.fails[rows, chosen] - told.fails[rows, last]
        if worse.sum() <= max_error * cheaper.sum():
            return float(price)
    return float(PRICES[-1] * unit)


def _doubts(seen: _Seen, told: _Told, rows: Choices, error_price: float) -> list[Unsure]:
    """Questions whose two best models are expected to cost the same within their bounds.

    The half-width of a difference is the root of the sum of the squares of both; the smaller the
    difference beside it, the less sure.
    """
    doubts: list[tuple[float, Unsure]] = []
    half = error_price * (told.fails_high - told.fails_low) / 2
    mean = told.price + error_price * told.fails
    for i, k in zip(rows, told.chosen(error_price)[rows], strict=True):
        other = min((j for j in range(len(seen.models)) if j != k), key=lambda j: mean[i, j])
        apart, width = abs(mean[i, other] - mean[i, k]), float(np.hypot(half[i, k], half[i, other]))
        if apart < width:
            chances = {
                model: (
                    float(told.fails_low[i, j]),
                    float(told.fails[i, j]),
                    float(told.fails_high[i, j]),
                )
                for j, model in enumerate(seen.models)
            }
            unsure = Unsure(seen.queries[i].text, seen.models[k], seen.models[other], chances)
            doubts.append((apart / width, unsure))
    return [unsure for _, unsure in sorted(doubts, key=lambda doubt: doubt[0])]


def _ranged(
    line: Observation, models: Sequence[str] | None
) -> tuple[str, float | None, float | None]:
    """What a line tells, refused where it is out of range."""
    missing = [name for name in ("key", "text", "model", "cost", "failed") if name not in line]
    if missing:
        msg = f"an observation must say its {', '.join(missing)}"
        raise ValueError(msg)
    model, cost, failed = line["model"], line["cost"], line["failed"]
    if models is not None and model not in models:
        msg = f"model must be one of {list(models)}, got {model!r}"
        raise ValueError(msg)
    if cost is not None:
        checked(cost)
    if failed is not None and not 0 <= failed <= 1:
        msg = f"failed must be between 0 (it did) and 1 (it did not), got {failed!r}"
        raise ValueError(msg)
    return model, cost, failed


def _check(error_price: float | None, max_error: float, folds: int) -> None:
    right = error_price is None or (is_number(error_price) and 0 <= error_price < np.inf)
    expect(right, "error_price", "a finite number >= 0", error_price)
    expect(is_number(max_error) and 0 <= max_error < 1, "max_error", "in [0, 1)", max_error)
    expect(is_whole(folds) and folds >= 2, "folds", "at least 2", folds)  # noqa: PLR2004


def _unwatched(parts: Sequence[Any], /, what: str) -> Iterator[Any]:
    del what
    yield from parts
