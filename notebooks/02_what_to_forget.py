# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What to forget
#
# A cache that is full must let an answer go before it can keep a new one. Which one? The rule is called a
# *policy*. This notebook starts with no cache and changes one thing per step, on a real trace: a *trace* is a
# list of what was asked, in order. No model is called, so it takes a minute.
#
# You need to know LangChain's idea of a cache (`set_llm_cache`), and nothing about caches beyond that.

# %%
import dataclasses
import io
import math
import os
import random
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from IPython.display import Image, Markdown

from langchain_cachemux import GDSF, LEC, LFU, LRU, GreedyDual, robust
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.lab import charts
from langchain_cachemux.lab.advise import advise
from langchain_cachemux.lab.replay import follow, limits, replay
from langchain_cachemux.lab.traces import Trace
from langchain_cachemux.types import Request

# %% [markdown]
# ## The trace
#
# `web07` is what was asked of a shop's product pages in a July, 76,118 requests. It is one of the traces of the
# cache2k benchmarks, published in the repository `ben-manes/caffeine` too (`web07.trace.xz`, among the simulator's
# resources under `parser/cache2k`, CC BY 4.0), and no part of this package. If `CACHEMUX_DATA` names a folder with
# `traces/cache2k_web07.tsv.gz`, a table with the one column `key`, that is read. Otherwise a synthetic stream stands
# in for it: popularity by Zipf's law, half of it standing still and half of it moving on. The published file
# itself is read by
#
# ```python
# keys = np.frombuffer(lzma.open("web07.trace.xz").read(), ">i4")
# trace = [Request(str(key)) for key in keys]
# ```
#
# **The pictures and what is said of them are of the real trace.** With the stream the numbers differ, the story
# is the same. For your own trace write `trace = list(Trace("mine.csv"))`.


# %%
def synthetic(drifting, requests=40_000):
    """Keys by Zipf's law; a share of them drifts: what is popular makes way for something new."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 10_001)
    rank = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(requests))
    moved = 20_000 + rank + np.arange(requests) // 10
    return [Request(str(key)) for key in np.where(rng.random(requests) < drifting, moved, rank)]


def read(file, *, drifting):
    """The trace of that name, or a stream in its place."""
    path = Path(os.environ.get("CACHEMUX_DATA", ".")) / "traces" / file
    print(f"{file}: {'read' if path.is_file() else 'not there, a synthetic stream in its place'}")
    return list(Trace(path)) if path.is_file() else synthetic(drifting)


trace = read("cache2k_web07.tsv.gz", drifting=0.5)

# %% [markdown]
# The log does not say what an answer would have cost a language model, and no public trace does. So each key
# is given a price, once and for all. The prices are log-normal: a middle of 0.4 cents and a spread of 0.7, like
# the conversations that Azure published in 2023 (`Azure/AzurePublicDataset`) at $2.5 and $10 per million tokens.


# %%
def priced(trace):
    """The trace, with a price for each key, in cents."""
    draw = random.Random(0)
    prices = {
        key: draw.lognormvariate(math.log(0.4), 0.7) for key in dict.fromkeys(r.key for r in trace)
    }
    return [dataclasses.replace(request, cost=prices[request.key]) for request in trace]


trace = priced(trace)
costs = np.array([request.cost for request in trace])
distinct = len({request.key for request in trace})
capacity = distinct // 20
print(f"{len(trace):,} requests, {distinct:,} different ones; the cache holds {capacity:,} answers")

# %% [markdown]
# It holds one in twenty. Before any policy: what could one hope for at all? `limits` knows the whole trace
# beforehand. It gives the bill to start from, and two to aim at.
#
# - *no cache*: every request is paid for.
# - *best set in hindsight*: pick the best answers once, pay for each once, never swap.
# - *no cache can cost less*: a proven limit, even for a cache that knows the future and swaps as it likes.

# %%
bounds = limits(trace, capacity=capacity)
no_cache, best_set, limit = bounds.no_cache, bounds.static, bounds.optimum.lower
print(f"no cache                ${no_cache / 100:7.2f}")
print(f"best set in hindsight   ${best_set / 100:7.2f}   {best_set / no_cache:.1%}")
print(f"no cache can cost less  ${limit / 100:7.2f}   {limit / no_cache:.1%}")

# %% [markdown]
# And this is a cache, without texts and vectors. A *ledger* says who is kept; `follow` sends a trace through it as
# `LECCache` sends its prompts: what is held is used, what is not is paid for and offered, and the policy decides who
# stays. After each request it says what came of it.


# %%
def serve(policy, ghosts=None):
    """Send the trace through a ledger: what each request cost, and which policy was followed."""
    ledger = MemoryLedger(capacity, policy=policy, ghosts=ghosts)
    paid, followed = [], []
    for outcome in follow(trace, ledger):
        paid.append(outcome.paid)
        followed.append(ledger.policies.index(ledger.policy))
    return np.array(paid), np.array(followed)


# %%
GREEN, BLUE, ORANGE, RED, INK = (
    charts.GREEN,
    charts.BLUE,
    charts.ORANGE,
    charts.RED,
    charts.INK,
)
GREY = f"{INK}66"  # what is only there to compare with
steps = {}
plt.rcParams.update({**charts.STYLE, "axes.grid": False, "figure.dpi": 72})


def step(name, paid, colour=GREEN):
    """Add a step to the ladder on the left, and return the axes on the right."""
    steps[name] = paid.sum() / no_cache
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.8, 3.2), width_ratios=(6, 5), layout="constrained"
    )
    colours = [colour if each == name else GREY for each in steps]
    left.barh(list(steps), list(steps.values()), color=colours, height=0.72)
    for row, share in enumerate(steps.values()):
        ink = "white" if row == len(steps) - 1 else INK
        left.text(0.012, row, f"{share:.1%}", va="center", color=ink, fontsize=9, weight="bold")
    for share, label, style, side in (
        (limit / no_cache, "no cache can\ncost less", "--", "right"),
        (best_set / no_cache, "best set\nin hindsight", ":", "left"),
        (1, "no cache", "-", "right"),
    ):
        left.axvline(share, color=INK, ls=style, lw=1.2)
        shift = -0.012 if side == "right" else 0.012
        left.text(share + shift, -0.65, label, ha=side, va="bottom", fontsize=8, color=INK)
    left.set(xlim=(0, 1.005), ylim=(6.5, -0.55), xlabel="cost, as a share of no cache")
    left.xaxis.set_major_formatter("{x:.0%}")
    for axes in (left, right):
        axes.tick_params(labelsize=9)
    return right


def label(axes, x, y, *, percent="", legend=""):
    """Say what is drawn."""
    axes.set(xlabel=x, ylabel=y)
    if percent:
        axes.yaxis.set_major_formatter(percent)
    if legend:
        axes.legend(loc=legend)


# %% [markdown]
# ## 1. No cache
#
# Every request is paid for. To the right, what was asked: each key has a number, by its first request. The
# dark edge above is what is new, all the time. The dark band at the bottom is what stays popular to the end. All
# the rest is asked now and then. A good cache would keep the band, and of the rest what will come back soon.

# %%
numbers = {}
order = np.array([numbers.setdefault(request.key, len(numbers)) for request in trace])
right = step("no cache", costs)
right.hist2d(np.arange(len(trace)) / 1000, order / 1000, bins=(60, 40), cmap="Blues", norm="log")
label(right, "thousand requests", "thousand keys, by first request")

# %% [markdown]
# ## 2. LRU: forget what was not asked for longest
#
# *Least recently used*, what most caches do. More than half the bill is gone. To the right, all requests for
# something seen before, by how long ago that was. LRU serves those that come back soon, and none of those that come
# back late, however often they have come before.

# %%
gap, last = np.zeros(len(trace)), {}
for place, request in enumerate(trace):
    gap[place] = place - last.get(request.key, place)
    last[request.key] = place
far = np.geomspace(1, len(trace), 30)


def by_gap(axes, paid, lru=None):
    """Draw which repeats were served, by the requests that lay between."""
    repeat = gap > 0
    axes.hist(gap[repeat], far, color=GREY, label="asked before")
    axes.hist(gap[repeat & (paid == 0)], far, color=GREEN, alpha=0.75, label="served")
    if lru is not None:
        axes.hist(gap[repeat & (lru == 0)], far, color=INK, histtype="step", lw=1.2, label="by LRU")
    axes.set_xscale("log")
    label(axes, "requests since it was last asked", "requests", legend="upper right")


lru, _ = serve(LRU())
by_gap(step("LRU", lru), lru)

# %% [markdown]
# ## 3. LFU: forget what was asked least often
#
# *Least frequently used*. Counts are kept for a while after an answer was forgotten, so that it can earn its
# place back. Now the late ones are served as well, and yet the bill is *higher*: among those that come back soon
# many are lost. What was popular once keeps its place and its high count long after the crowd moved on.

# %%
lfu, _ = serve(LFU())
by_gap(step("LFU", lfu), lfu, lru)

# %% [markdown]
# ## 4. LEC: count × cost
#
# A lost answer costs what it costs to get it back. *Least expected cost* (arXiv 2306.02003) multiplies the
# count by that. To the right: the expensive answers are now served more often, the cheap ones less. That is the right
# trade, and it lowers the bill, here by little. (The bumps are single keys that are asked very often.) The old
# counts are still there.

# %%
lec, _ = serve(LEC())
right = step("LEC", lec)
edges = np.quantile(costs, np.linspace(0, 1, 9))
group = np.digitize(costs, edges[1:-1])
for paid, name, colour in ((lfu, "LFU", GREY), (lec, "LEC", GREEN)):
    served = [np.mean(paid[group == g] == 0) for g in range(8)]
    right.plot(np.sqrt(edges[1:] * edges[:-1]), served, "o-", color=colour, lw=2, ms=5, label=name)
right.set(xscale="log", ylim=(0, 1))
right.set_xticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
right.minorticks_off()
label(
    right, "cost of the answer, cents", "requests served", percent="{x:.0%}", legend="upper right"
)

# %% [markdown]
# ## 5. Let the counts age
#
# `LEC(half_life=…)`: after so many requests a request counts half. With a half-life of next to nothing only the
# last request counts, and that is LRU. Without end, it is LEC. The best lies between. Twenty capacities is what the
# default uses; the curve to the right says that two would have been better *here*, but one knows that only
# afterwards.

# %%
ageing, _ = serve(LEC(half_life=20 * capacity))
right = step("LEC, ageing", ageing)
lives = (0.02, 0.2, 2, 5, 20, 100, 1000)
bills = [
    (ageing if life == 20 else serve(LEC(half_life=life * capacity))[0]).sum() / no_cache
    for life in lives
]
right.plot(lives, bills, "o-", color=GREY, lw=2, ms=5)
right.plot(20, steps["LEC, ageing"], "o", color=GREEN, ms=9)
for name, share in (
    ("LRU", steps["LRU"]),
    ("LEC", steps["LEC"]),
    ("best set in hindsight", best_set / no_cache),
):
    right.axhline(share, color=INK, lw=1, ls=":" if name.startswith("best") else "-.")
    side = "left" if name == "LRU" else "right"
    right.text(lives[0 if side == "left" else -1], share, name, ha=side, va="bottom", fontsize=9)
right.set_xscale("log")
right.margins(y=0.2)
label(right, "half-life, in capacities", "cost, share of no cache", percent="{x:.0%}")

# %% [markdown]
# ## 6. The default: follow the best of six
#
# There are other ways to age. The *greedy-dual* rules have a clock that moves on with each answer forgotten,
# and whoever is not asked falls behind it. And there is no best rule: that depends on what is asked. So the
# default keeps score for six. Of each it knows which keys that one alone would hold (a few numbers each, no
# texts), and what its misses would have cost lately; it follows the one in the lead.
#
# To the right, above: what each of the six would have paid more than the default, as the trace goes on. Below:
# which one was followed.

# %%
six = {
    "LEC": LEC(),
    "LEC, with a prior": LEC(prior=1.0),
    "LEC, ageing": LEC(half_life=20 * capacity),
    "GDSF, remembering": GDSF(remember=True),
    "GDSF": GDSF(),
    "greedy-dual": GreedyDual(),
}
served = {"LEC": lec, "LEC, ageing": ageing}
alone = {name: served[name] if name in served else serve(policy)[0] for name, policy in six.items()}
default, followed = serve(robust(capacity))
right = step("the default", default)
hues = (BLUE, charts.TEAL, charts.GOLD, GREEN, ORANGE, charts.PURPLE)
right.set_axis_off()
above = right.inset_axes((0, 0.46, 1, 0.54))
below = right.inset_axes((0, 0, 1, 0.36), sharex=above)
at = np.arange(len(trace)) / 1000
for row, ((name, paid), hue) in enumerate(zip(alone.items(), hues, strict=True)):
    above.plot(at, np.cumsum(paid - default) / 100, color=hue, lw=1.8)
    on = followed == row
    below.fill_between(at, row - 0.4, row + 0.4, where=on, color=hue, lw=0.8)
below.set(xlim=(0, at[-1]), ylim=(5.6, -0.6))
below.set_yticks(range(6), list(six), fontsize=8)
for text, hue in zip(below.get_yticklabels(), hues, strict=True):
    text.set_color(hue)
for axes in (above, below):
    axes.tick_params(labelsize=9, labelbottom=axes is below)
label(above, "", "$ more than\nthe default")
label(below, "thousand requests", "")

# %% [markdown]
# Until the cache is full all six pay the same, and it follows the first. Then it tries this and that, and settles
# for the rule that has both a memory and a clock. The default even passes the *best set in hindsight*: that one
# may not swap, and what is asked here moves.
#
# **Here a simpler policy would have done as well**: `GDSF(remember=True)` alone costs the same, in a third of the
# time. One would have had to know. On other traces it is another one that wins. `replay` is `serve` in one
# line; two more traces, one of queries to a knowledge base (`the-qa-company/qEndpointWDQueries`), one of web
# searches, a sample a day (`microsoft/BingCoronavirusQuerySet`):


# %%
def compared(traces):
    """The bill of each policy on each trace, the least in bold."""
    columns = {}
    for name, requests in traces.items():
        held = len({request.key for request in requests}) // 20
        known = bounds if requests is trace else limits(requests, capacity=held)
        policies = [("LRU", LRU()), ("LFU", LFU()), ("LEC", LEC())]
        policies += [("LEC, ageing", LEC(half_life=20 * held)), ("greedy-dual", GreedyDual())]
        policies += [
            ("GDSF", GDSF()),
            ("GDSF, remembering", GDSF(remember=True)),
            ("the default", robust),
        ]
        share = {
            each: replay(requests, capacity=held, policy=policy, bounds=known).share
            for each, policy in policies
        }
        least = min(share.values())
        columns[name] = {
            each: f"**{value:.1%}**" if value < least + 0.0005 else f"{value:.1%}"
            for each, value in share.items()
        }
        columns[name]["*best set in hindsight*"] = f"*{known.static / known.no_cache:.1%}*"
        columns[name]["*no cache can cost less*"] = f"*{known.optimum.lower / known.no_cache:.1%}*"
    rows = [["policy", *columns], ["---"] * (len(columns) + 1)]
    rows += [[each, *(column[each] for column in columns.values())] for each in columns[name]]
    return Markdown("\n".join(f"| {' | '.join(row)} |" for row in rows))


compared(
    {
        "page requests": trace,
        "knowledge base": priced(read("sparql_wd_valid10k.tsv.gz", drifting=0.2)),
        "web searches": priced(read("bing_corona_jan2020.tsv.gz", drifting=0.0)),
    }
)

# %% [markdown]
# The rule that is best for the pages costs a good deal too much on the searches, and the other way round. The
# default is never far from the best. That is all it promises; it costs some forty microseconds a request, next
# to nothing beside a call of a model.

# %% [markdown]
# ## 7. A bad setting, on purpose
#
# LEC again, and *forget the counts of what is forgotten*: `ghosts=0`. It saves some memory, and looks harmless.

# %%
bad, _ = serve(LEC(), ghosts=0)
right = step("LEC, ghosts=0", bad, RED)
stretch = np.arange(len(trace)) * 30 // len(trace)
whole = np.bincount(stretch, costs)
for paid, name, colour in (
    (bad, "LEC, ghosts=0", RED),
    (lec, "LEC", GREY),
    (default, "the default", GREEN),
):
    right.plot(np.bincount(stretch, paid) / whole, color=colour, lw=2, label=name)
right.axhline(1, color=INK, lw=1.2)
right.set_ylim(0, 1.04)
label(
    right,
    "thirtieths of the trace",
    "cost, share of no cache",
    percent="{x:.0%}",
    legend="lower left",
)

# %% [markdown]
# Whoever is in has a count of many. Whoever knocks has a count of one, is turned away, and is a stranger again the
# next time. So the cache fills with the answers of the first hours and hardly lets anyone in, and this never gets
# better. A cache must remember what it has thrown away: by default a ledger keeps the counts of ten times as
# many keys as it ever held answers. (With a clock it matters less: the clock lets newcomers in. And
# `LECCache` has no such switch.)

# %% [markdown]
# ## 8. How much room is worth paying for?
#
# More room, fewer misses. First the bill at other capacities:


# %%
def drawn(png):
    """A chart of the package, in few colours: that keeps this notebook small."""
    picture, few = PIL.Image.open(io.BytesIO(png)), io.BytesIO()
    picture.quantize(64).save(few, "png", optimize=True)
    return Image(few.getvalue(), width=640)


reports = []
for share in (0.02, 0.1, 0.5):
    held = round(share * distinct)
    known = limits(trace, capacity=held)
    for name, policy in (("LRU", LRU()), ("LEC", LEC()), ("default", robust)):
        report = replay(trace, capacity=held, policy=policy, bounds=known)
        reports.append(dataclasses.replace(report, policy=name))
drawn(charts.replayed(reports, default="default"))

# %% [markdown]
# As a rule each further place is worth less than the one before. If a place costs something, there is one capacity at which
# misses and places together cost least. `advise` replays the trace at some twenty capacities and finds it.
#
# Say that to keep one answer as long as the trace lasts costs half a cent: about what it costs to ask a model
# once. (The last 40,000 requests will do, and so will `GDSF(remember=True)` instead of the default: it does as
# well here and is quicker.)

# %%
recent = trace[-40_000:]
advice = advise(recent, storage_price=0.5, policy=lambda entries: GDSF(remember=True))
nothing, best = advice.curve[0], advice.best
print(f"no cache: ${nothing.misses / 100:.2f}")
print(f"best: {best.capacity:,} answers, 90 % range {advice.low:,} to {advice.high:,}")
print(f"${best.misses / 100:.2f} of misses + ${best.storage / 100:.2f} for their places")
drawn(charts.advised(advice, unit="entries"))

# %% [markdown]
# The range says how far the answer depends on *when* one looked: stretches of the trace are drawn anew a
# thousand times, some twice, some not at all, and each time the best capacity is looked up.
# The green line is flat around its lowest point, so anything in the range will do. And no capacity is worth much
# thought when places are cheap. The same curve, read at other prices:

# %%
for price in (5, 0.5, 0.05, 0.005):
    best = min(advice.curve, key=lambda point: point.misses + price * point.capacity)
    total = best.misses + price * best.capacity
    print(f"{price:5} cents a place: about {best.capacity:6,} answers, ${total / 100:6.2f} in all")

# %% [markdown]
# A few kilobytes on a disk cost less than a thousandth of a cent a month, a call here half a cent. Then the answer
# is: keep all. Capacity is a question where memory is expensive, where a search over many entries takes too long, or
# where answers grow stale.
#
# The same on the command line, on your own file with a column `key` and, if you have it, `cost`:
#
# ```
# cachemux replay mine.csv --capacity 1%,5%,20% --policy default,lec,gdsf,lfu,lru --plot replay.png
# cachemux advise mine.csv --storage-price 0.5 --plot advice.png
# ```

# %% [markdown]
# ## Where to go next
#
# - `LECCache()` uses the default; `LECCache(policy=LEC(half_life=20_000))` any other.
# - A policy of your own is two methods, `worth` and `evicted`; `langchain_cachemux.testing.check_policy`
#   checks it.
# - `cachemux replay --policy all` compares with published ones too: SIEVE, S3-FIFO, W-TinyLFU, ARC, 2Q.
