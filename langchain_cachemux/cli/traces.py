"""`cachemux replay` and `cachemux advise`: what a cache would have cost on your own trace."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_cachemux.cli.terminal import console, progress_console, table, write

if TYPE_CHECKING:
    from types import ModuleType

    from rich.progress import TaskID
    from rich.table import Table

    from langchain_cachemux.lab.advise import Advice
    from langchain_cachemux.lab.replay import Bounds, Choice, Report
    from langchain_cachemux.lab.traces import Trace
    from langchain_cachemux.route.router import Router
    from langchain_cachemux.types import Request

DEFAULT = "default"


def _own() -> ModuleType:
    from langchain_cachemux.keep import policies

    return policies


def _published() -> ModuleType:
    from langchain_cachemux.lab import baselines

    return baselines


POLICIES: dict[str, Callable[[], Choice]] = {
    DEFAULT: lambda: _own().robust,
    "lec": lambda: _own().LEC(),
    "lec-prior": lambda: _own().LEC(prior=1.0),
    "lec-20": lambda: lambda entries: _own().LEC(half_life=20 * entries),
    "gdsf": lambda: _own().GDSF(),
    "gdsf-remember": lambda: _own().GDSF(remember=True),
    "greedy-dual": lambda: _own().GreedyDual(),
    "lfu": lambda: _own().LFU(),
    "lru": lambda: _own().LRU(),
    "sieve": lambda: _published().SIEVE,
    "s3-fifo": lambda: _published().S3FIFO,
    "w-tinylfu": lambda: _published().WTinyLFU,
    "arc": lambda: _published().ARC,
    "2q": lambda: _published().TwoQ,
    "hyperbolic": lambda: _published().Hyperbolic,
}
"""By name, the default first; called, because a policy with a clock serves one replay."""


class Unit(StrEnum):
    """What a storage price is for."""

    ENTRY = "entry"
    KB = "kB"
    MB = "MB"
    GB = "GB"

    @property
    def bytes(self) -> int:
        """How many; 0 when entries are counted."""
        return {"entry": 0, "kB": 10**3, "MB": 10**6, "GB": 10**9}[self.value]


class Per(StrEnum):
    """How long a storage price is for."""

    TRACE = "trace"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    @property
    def seconds(self) -> float:
        """Its length; nan for the trace's own."""
        return {"trace": math.nan, "hour": 3600.0, "day": 86400.0, "month": 30 * 86400.0}[
            self.value
        ]


File = Annotated[
    Path, typer.Argument(metavar="TRACE", help="CSV, TSV or JSONL with a column `key`; also .gz.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Pass over malformed lines, and count.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result here.")]
Plot = Annotated[Path | None, typer.Option(help="Draw it here, a PNG.")]


def replay_trace(
    trace: File,
    *,
    capacity: Annotated[
        str,
        typer.Option(
            help="Entries, shares of the distinct keys, or sizes (column `size`): 1000,1%,64MB."
        ),
    ] = "1%,5%,20%",
    policy: Annotated[
        str, typer.Option(help=f"Some of {', '.join(POLICIES)}; or all.")
    ] = "default,lec,gdsf,lfu,lru",
    route: Annotated[
        bool, typer.Option("--route", help="Let a router learn which model of cost_<model> to ask.")
    ] = False,
    skip_bad: SkipBad = False,
    json_file: Json = None,
    plot: Plot = None,
) -> None:
    """Say what each policy would have cost on a trace.

    Each stands between no cache and the optimum. No model is asked and nothing is embedded; a hit
    is an equal key. Ctrl-C shows what was done.
    """
    from langchain_cachemux.lab import charts
    from langchain_cachemux.lab.traces import Trace

    names = _names(policy)
    watched = _Watched(Trace(trace, skip_bad=skip_bad, sized=_sized(capacity)))
    reports: list[tuple[str, Report]] = []
    interrupted = False
    with watched.progress() as progress:
        try:
            asked = _capacities(capacity, watched, one_axis=plot is not None)
            for told in _replayed(watched, asked, names, progress, route=route):
                reports.append(told)  # noqa: PERF402 (those before an interruption count)
        except KeyboardInterrupt:
            interrupted = True
    watched.say_skipped()
    if interrupted:
        console().print("[yellow]interrupted[/]; what was done so far:")
    for text in dict.fromkeys(text for text, _ in reports):
        console().print(_table(text, [report for asked_as, report in reports if asked_as == text]))
    if interrupted:
        raise typer.Exit(130)
    if json_file is not None:
        result = {
            "trace": trace.name,
            "skipped": watched.trace.skipped,
            "rows": [row for text, units in asked.items() for row in _rows(text, reports)],
        }
        write(json_file, json.dumps(result, indent=1) + "\n")
    if plot is not None:
        write(plot, charts.replayed([report for _, report in reports], default=DEFAULT))


def advise_trace(
    trace: File,
    *,
    storage_price: Annotated[
        float, typer.Option(min=0.0, help="Of one unit of capacity, in the trace's unit of cost.")
    ],
    unit: Annotated[
        Unit, typer.Option(help="The unit of capacity; all but `entry` need a column `size`.")
    ] = Unit.ENTRY,
    per: Annotated[
        Per, typer.Option(help="How long the price is for; all but `trace` need a column `time`.")
    ] = Per.TRACE,
    policy: Annotated[str, typer.Option(help=f"One of {', '.join(POLICIES)}.")] = DEFAULT,
    sample: Annotated[
        float, typer.Option(help="Share of the keys to follow, for a trace of millions.")
    ] = 1.0,
    skip_bad: SkipBad = False,
    json_file: Json = None,
    plot: Plot = None,
) -> None:
    """Say what capacity is worth its price on a trace.

    There misses and storage together cost least.
    """
    from langchain_cachemux.lab import charts
    from langchain_cachemux.lab.advise import advise
    from langchain_cachemux.lab.traces import Trace

    name, *others = _names(policy)
    if others:
        msg = f"--policy must be one of {', '.join(POLICIES)}, got {policy!r}"
        raise ValueError(msg)
    watched = _Watched(Trace(trace, skip_bad=skip_bad, sized=bool(unit.bytes)))
    with watched.progress() as progress:
        with progress("reading"):
            price = storage_price / (unit.bytes or 1) * _lasting(watched, per)
        with progress("capacities", passes=3):
            advice = advise(
                watched,
                storage_price=price,
                sized=bool(unit.bytes),
                policy=POLICIES[name](),
                sample=sample,
            )
    watched.say_skipped()
    counted = "bytes" if unit.bytes else "entries"
    console().print(_curve(advice, counted))
    console().print(_verdict(advice, counted))
    if sample < 1:
        console().print(f"[yellow]Estimated from {sample:.3g} of the keys.[/]")
    if json_file is not None:
        result = {
            "trace": trace.name,
            "policy": name,
            "sample": sample,
            "storage_price": {"price": storage_price, "unit": unit, "per": per},
            "skipped": watched.trace.skipped,
            "best": _point(advice.best),
            "range": [advice.low, advice.high],
            "curve": [_point(point) for point in advice.curve],
        }
        write(json_file, json.dumps(result, indent=1) + "\n")
    if plot is not None:
        write(plot, charts.advised(advice, unit=counted))


class _Watched:
    """A trace, iterated with a progress bar."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=progress_console(),
        )
        self._task: TaskID | None = None
        self._passed = 0.0

    def say_skipped(self) -> None:
        """Print how many lines were passed over, if any were."""
        if self.trace.skipped:
            console().print(f"[yellow]skipped {self.trace.skipped} malformed lines[/]")

    def __iter__(self) -> Iterator[Request]:
        for number, request in enumerate(self.trace):
            if not number % 5000 and self._task is not None:
                done = self._passed + self.trace.position / max(self.trace.length, 1)
                self._bar.update(self._task, completed=done)
            yield request
        self._passed += 1

    @contextmanager
    def progress(self) -> Iterator[Callable[..., Any]]:
        with self._bar:
            yield self._step

    @contextmanager
    def _step(self, description: str, *, passes: int = 1) -> Iterator[None]:
        self._task, self._passed = self._bar.add_task(description, total=passes), 0.0
        yield
        self._bar.remove_task(self._task)


def _replayed(
    watched: _Watched,
    asked: dict[str, int | str],
    names: list[str],
    progress: Callable[..., Any],
    *,
    route: bool,
) -> Iterator[tuple[str, Report]]:
    """Replay each capacity with each policy; the capacity as it was asked for, and the report."""
    from langchain_cachemux.lab.replay import limits, replay

    models = _models(watched.trace)
    for text, units in asked.items():
        with progress(f"{text}: bounds"):
            bounds = limits(watched, capacity=units, router=_router(models, on=route))
        for name in names:
            with progress(f"{text}: {name}"):
                report = replay(
                    watched,
                    capacity=units,
                    policy=POLICIES[name](),
                    router=_router(models, on=route),
                    bounds=bounds,
                )
            yield text, dataclasses.replace(report, policy=name)


def _names(policy: str) -> list[str]:
    names = [*POLICIES] if policy == "all" else [name.strip() for name in policy.split(",")]
    unknown = [name for name in names if name not in POLICIES]
    if unknown:
        msg = f"--policy must be some of {', '.join(POLICIES)}, or all, got {', '.join(unknown)!r}"
        raise ValueError(msg)
    return list(dict.fromkeys(names))


def _sized(asked: str) -> bool:
    """Whether one of the capacities is in bytes."""
    return any(text.strip().casefold().endswith("b") for text in asked.split(","))


def _capacities(asked: str, trace: _Watched, *, one_axis: bool) -> dict[str, int | str]:
    """Each capacity as it was first asked for, and as a replay takes it.

    Shares are of the distinct keys; of equal capacities there is one.
    """
    from langchain_cachemux.keep.books import Capacity

    texts = [text.strip() for text in asked.split(",")]
    capacities: dict[Capacity, tuple[str, int | str]] = {}
    distinct = len({r.key for r in trace}) if any(t.endswith("%") for t in texts) else 0
    for text in texts:
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else math.nan
        except ValueError:
            share = -1.0
        if share <= 0 or share > 1:
            msg = f"--capacity must be entries, a share of the keys (5%) or a size (64MB), got {text!r}"
            raise ValueError(msg)
        plain = int(text) if text.isdecimal() else text
        asked_for = plain if math.isnan(share) else max(round(distinct * share), 1)
        capacities.setdefault(Capacity.parse(asked_for), (text, asked_for))
    if one_axis and len({capacity.unit for capacity in capacities}) > 1:
        msg = f"--plot needs capacities all in entries or all in bytes, got {asked!r}"
        raise ValueError(msg)
    return dict(capacities.values())


def _router(models: list[str], *, on: bool) -> Router | None:
    if on and len(models) < 2:  # noqa: PLR2004
        msg = f"--route needs two columns cost_<model> or more, got {models}"
        raise ValueError(msg)
    if not on:
        return None
    from langchain_cachemux.route.estimators import Mean, Ridge
    from langchain_cachemux.route.router import Router

    return Router({model: Mean(prior=Ridge()) for model in models})


def _models(trace: Trace) -> list[str]:
    """The models of the first request."""
    for request in trace:
        return list(request.costs)
    msg = f"{trace.path} must have a request, got none"
    raise ValueError(msg)


def _lasting(trace: _Watched, per: Per) -> float:
    """How long the trace lasts, in what the price is for."""
    if per is Per.TRACE:
        return 1.0
    first: Request | None = None
    last: Request | None = None
    for request in trace:
        first, last = first or request, request
    if first is None or last is None:
        return 0.0
    if first.time is None or last.time is None:
        msg = f"--per {per} needs a column `time`, in seconds"
        raise ValueError(msg)
    if not first.time < last.time:
        msg = f"--per {per} needs a time that goes on, got one from {first.time} to {last.time}"
        raise ValueError(msg)
    return (last.time - first.time) / per.seconds


def _way(cost: float, start: float | None, end: float) -> float | None:
    """How much of the way down from one cost to another a third one goes; none when it leads up."""
    return None if start is None or start <= end else (start - cost) / (start - end)


def _rows(text: str, reports: list[tuple[str, Report]]) -> list[dict[str, Any]]:
    """The rows of one capacity, bounds last."""
    mine = [report for asked_as, report in reports if asked_as == text]
    if not mine:
        return []
    bounds = mine[0].bounds
    lru = next((report.cost for report in mine if report.policy == "lru"), None)
    rows: list[dict[str, Any]] = [
        {
            "policy": report.policy,
            "cost": report.cost,
            "hits": report.hits,
            "evictions": report.evictions,
            "calls": report.calls,
            "default": report.policy == DEFAULT,
            "bound": False,
        }
        for report in mine
    ]
    rows += [
        {"policy": name, "cost": cost, "hits": None, "default": False, "bound": True}
        for name, cost in _bounds(bounds)
    ]
    return [
        {
            **row,
            "capacity": text,
            "units": bounds.capacity,
            "requests": bounds.requests,
            "distinct": bounds.distinct,
            "share": row["cost"] / bounds.no_cache if bounds.no_cache else 0.0,
            "way_to_static": _way(row["cost"], lru, bounds.static),
            "way_to_bound": _way(row["cost"], lru, bounds.optimum.lower),
        }
        for row in rows
    ]


def _bounds(bounds: Bounds) -> list[tuple[str, float]]:
    return [
        ("no cache", bounds.no_cache),
        ("best set in hindsight", bounds.static),
        ("no cache can cost less", bounds.optimum.lower),
    ]


def _table(text: str, reports: list[Report]) -> Table:
    bounds = reports[0].bounds
    title = (
        f"{bounds.requests:,} requests, {bounds.distinct:,} keys, capacity {text}"
        f"{'' if text == str(bounds.capacity) else f' = {bounds.capacity:,}'}"
    )
    shown = table(title)
    headings = ("policy", "cost", "share", "hits", "LRU → best set", "LRU → bound")
    for heading in headings:
        left = heading == "policy"
        shown.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for row in _rows(text, [(text, report) for report in reports]):
        ways = [None, None] if row["bound"] else [row["way_to_static"], row["way_to_bound"]]
        shown.add_row(
            row["policy"],
            f"{row['cost']:,.5g}",
            f"{row['share']:.1%}",
            "–" if row["hits"] is None else f"{row['hits'] / bounds.requests:.1%}",
            *["–" if way is None else f"{way:.0%}" for way in ways],
            style="bold green" if row["default"] else "dim" if row["bound"] else "",
        )
    return shown


def _curve(advice: Advice, unit: str) -> Table:
    shown = table("misses and storage")
    for heading in (unit, "misses", "90 % range", "storage", "both"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for point in advice.curve:
        shown.add_row(
            f"{point.capacity:,}",
            f"{point.misses:,.5g}",
            f"{point.low:,.5g} … {point.high:,.5g}",
            f"{point.storage:,.5g}",
            f"{point.total:,.5g}",
            style="bold green" if point is advice.best else "",
        )
    return shown


def _verdict(advice: Advice, unit: str) -> str:
    best, nothing = advice.best, advice.curve[0]
    if not best.capacity:
        return (
            f"No cache is worth its storage here: without one the trace costs {nothing.total:,.5g}."
        )
    return (
        f"Least at {best.capacity:,} {unit}: {best.total:,.5g}, of it {best.storage:,.5g} storage, "
        f"against {nothing.total:,.5g} with no cache. In 90 % of resampled traces the best is "
        f"between {advice.low:,} and {advice.high:,}."
    )


def _point(point: Any) -> dict[str, float]:
    return {**dataclasses.asdict(point), "total": point.total}
