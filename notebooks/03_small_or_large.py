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
# # Small or large?
#
# You have a cheap model and an expensive one. Most questions the cheap one answers just as well; if only one knew
# which. A *router* guesses it from the question. This notebook shows what such a guess can be worth, where a router
# gets its knowledge from, and how you tell it what an error may cost. It takes a minute and calls no model: the
# answers were recorded before.
#
# You need to know what a LangChain chat model is.

# %%
import csv
import gzip
import json
import logging
import os
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from matplotlib.ticker import PercentFormatter

from langchain_cachemux import MultiplexedLLM
from langchain_cachemux.lab import charts
from langchain_cachemux.route.fit import fit

plt.rcParams.update({**charts.STYLE, "figure.dpi": 72})
FLOOR, CEILING = charts.NO_CACHE, charts.LIMIT

# %% [markdown]
# ## The questions
#
# If `CACHEMUX_DATA` names a folder with `routing/routellm/evals` (from the public repository `lm-sys/RouteLLM`), they are
# questions of two school tests, MMLU and GSM8K, and it is known whether Mixtral-8x7B and GPT-4 answered each of them
# right. Otherwise the questions of this package's demo stand in, and who answers what is **simulated**: each kind of
# question has its own chance, and then a coin is tossed. **What the text says of figures is of the real ones.** With
# the others the numbers differ, the story is the same.
#
# A call of the small model costs 1 here, one of the large model 4, so that you can check sums in your head.

# %%
PRICE = {"small": 1.0, "large": 4.0}
DATA = Path(os.environ.get("CACHEMUX_DATA", "."))
EVALS = DATA / "routing/routellm/evals"
REAL = EVALS.is_dir()
RAW = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
rng = np.random.default_rng(0)


def recorded(test, count, subject="*"):
    """Questions of a test in random order, and where each model is wrong, shape (questions, 2)."""
    rows = {}
    for path in sorted(EVALS.glob(f"{test}/**/{test}_{subject}.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows |= {row["prompt"]: row for row in csv.DictReader(file)}
    texts = [list(rows)[i] for i in rng.permutation(len(rows))[:count]]
    right = [[rows[text][model] in ("True", "1", "1.0") for model in RAW] for text in texts]
    return texts, 1.0 - np.array(right)


def simulated(models=2):
    """The demo's questions; each kind has its own chance, and the larger a model, the less it errs."""
    demo = files("langchain_cachemux") / "demo/questions.jsonl"
    kinds = [json.loads(line) for line in demo.read_text(encoding="utf-8").splitlines()]
    texts, wrong = [], []
    for kind in kinds:
        hard = rng.random() ** 2
        words = [
            kind["question"],
            *kind["paraphrases"],
            *(near["question"] for near in kind["near"]),
        ]
        for text in dict.fromkeys(words):
            texts.append(text)
            wrong.append(rng.random(models) < hard * np.linspace(0.9, 0.2, models))
    order = rng.permutation(len(texts))
    return [texts[i] for i in order], np.array(wrong, dtype=float)[order]


if REAL:
    tests = {"MMLU": recorded("mmlu", 1500), "GSM8K": recorded("gsm8k", 1300)}
else:
    tests = {"the demo, simulated": simulated()}
texts, wrong = next(iter(tests.values()))
for name, (asked, failed) in tests.items():
    small, large = 1 - failed.mean(axis=0)
    print(f"{name}: {len(asked):,} questions, small right {small:.0%}, large {large:.0%}")
print(
    "real outcomes" if REAL else "simulated outcomes: CACHEMUX_DATA names no folder with real ones"
)

# %% [markdown]
# ## 1. What can be known of a question, knowing nothing
#
# Nobody has told the router anything yet: it has never seen an answer of either model, let alone heard whether it was
# good. What is left is the look of the question. Long ones tend to be hard. So: send the longest tenth to the large
# model, then the longest fifth, and so on.
#
# Every such picture has a floor and a ceiling. The floor is a lot drawn for each question: a straight line from
# *always small* to *always large*, and whoever is below it should rather have tossed a coin. The ceiling is drawn by
# someone who looks the outcomes up.


# %%
def trade(first, failed):
    """Cost and share of right answers as more and more questions, in this order, go to the large model."""
    sent = np.arange(len(first) + 1)
    gained = np.append(0.0, np.cumsum((failed[:, 0] - failed[:, 1])[first]))
    cost = PRICE["small"] + (PRICE["large"] - PRICE["small"]) * sent / len(first)
    return cost, 1 - failed[:, 0].mean() + gained / len(first)


def frame(axes, failed):
    """Draw the floor, the ceiling, and the two models alone."""
    gain = failed[:, 0] - failed[:, 1]
    axes.plot(
        *trade(np.argsort(-gain, kind="stable"), failed), **CEILING, label="knowing every outcome"
    )
    ends = [PRICE["small"], PRICE["large"]], 1 - failed.mean(axis=0)
    axes.plot(*ends, **FLOOR, label="by lot")
    for x, y, name, colour in zip(*ends, ("small", "large"), charts.OTHERS, strict=False):
        axes.plot(x, y, "s", ms=8, color=colour, label=f"always {name}")
    axes.set(xlabel="cost per question", ylabel="right answers", xlim=(0.8, 4.2))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


figure, panels = plt.subplots(
    1, len(tests), figsize=(4.9 * len(tests), 3.4), layout="constrained", squeeze=False
)
for axes, (name, (asked, failed)) in zip(panels.flat, tests.items(), strict=True):
    frame(axes, failed)
    longest = np.argsort([-len(text) for text in asked], kind="stable")
    axes.plot(*trade(longest, failed), color=charts.GOLD, lw=2.5, label="the longest first")
    axes.set_title(name, fontsize=10)
_ = panels.flat[0].legend(loc="lower right", fontsize=8)

# %% [markdown]
# Better than a coin, and far from the ceiling. That is all that can be had for nothing, and on other questions than
# these even length may mislead. A router that comes ready-made has learned from somebody else's questions; this one
# comes empty and learns from yours.

# %% [markdown]
# ## 2. What can be learned, once somebody says what was good
#
# Now say that both models have answered these questions, and somebody has looked at the answers. A `Classifier` learns
# from that how likely each model is to fail: from some thirty numbers of the text (how long, how many digits, is there
# code), its words, and its vector if it gets one (here it does not, to be quick).
#
# `fit` takes lines as a multiplexer writes them down, one for each thing it learned, and gives a router and a report. The
# questions are dealt into five parts, and each part is predicted by a router that has seen only the four others. **So
# nothing you see is scored on what it was learned from.**


# %%
def lines(texts, failed, prices):
    """What a multiplexer would have written down if it had asked every model everything."""
    for text, outcomes in zip(texts, failed, strict=True):
        for (model, price), bad in zip(prices.items(), outcomes, strict=True):
            yield {
                "time": 0.0, "key": text, "text": text, "model": model,
                "cost": price, "failed": float(bad), "source": "judge",
            }  # fmt: skip


router, report = fit(lines(texts, wrong, PRICE), error_price=30.0 if REAL else 10.0)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.8, 3.6), layout="constrained")
frame(left, wrong)
left.plot(*trade(np.argsort([-len(t) for t in texts], kind="stable"), wrong), color=charts.GOLD, lw=1.2,
          label="the longest first")  # fmt: skip
curve = report.curve
left.plot(
    [s.cost for s in curve], [s.quality for s in curve], color=charts.MAIN, lw=3, label="router"
)
left.legend(loc="lower right", fontsize=8)
charts.calibrated(right, report)

# %% [markdown]
# To the left, the router's curve. Each point of it is a *price of an error*: at a price of 0 everything goes to the
# small model, and the more an error costs, the more goes to the large one. The curve bulges over the straight line, and how
# far it bulges is all that a router is worth. It does not come near the ceiling; nobody does, for whether a model errs
# on a question is to a good part chance.
#
# To the right, whether its chances can be believed: of the questions that it gives a 30 % chance of failing, about
# 30 % should fail. That matters more than it seems. A price can only be weighed against a chance that is one.
#
# In words, at one price:

# %%
saving, at = report.saving, report.saving.setting
print(
    f"at {at.error_price:g} an error, the small model is asked {at.shares['small']:.0%} of the questions"
)
print(f"saved {saving.saved:.0%} of always large, 95 %: {saving.low:.0%} to {saving.high:.0%}")
print(
    f"right answers {100 * saving.better:+.1f} points, 95 %: {100 * saving.better_low:+.1f} to {100 * saving.better_high:+.1f}"
)
print(f"who knows every outcome would save {saving.oracle:.0%}")
print(f"of {report.unsure_share:.0%} of the questions the bounds allow either model, such as:")
print("   ", " ".join(report.unsure[0].text.split())[:90])

# %% [markdown]
# ## 3. A judge
#
# You rarely have both answers, and somebody who has read them. But you may have a *judge*: a function that looks at the
# small model's answer and says whether it will do (a test that runs, a schema that parses, `Sure`, `Agrees(3)`). Then a
# bad answer costs no more than another call: the large model is asked after it.
#
# The models here say what was recorded of them, and the judge knows the truth. Yours will not quite.


# %%
class Recorded(BaseChatModel):
    """Gives the answer that was recorded: A when it was right."""

    model: str
    wrong: dict

    @property
    def _llm_type(self):
        return "recorded"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        said = AIMessage(f"The answer is {'B' if self.wrong[messages[-1].text] else 'A'}.")
        said.response_metadata["model_name"] = self.model
        return ChatResult(generations=[ChatGeneration(message=said)])


class Blank(Embeddings):
    """No vectors worth reading: so this needs no encoder. With one, the router is somewhat better."""

    def embed_query(self, text):
        return [1.0]

    def embed_documents(self, texts):
        return [[1.0] for _ in texts]


def mixed(count):
    """A stream: half of it small talk (four subjects of MMLU), half of it sums (GSM8K)."""
    if not REAL:
        drawn = rng.integers(0, len(texts), count)  # some are asked again and again
        return [texts[i] for i in drawn], wrong[drawn]
    talk = [recorded("mmlu", count // 8, subject) for subject in
            ("marketing", "sociology", "high_school_psychology", "miscellaneous")]  # fmt: skip
    parts = [*talk, recorded("gsm8k", count // 2)]
    asked, failed = (
        sum((part[0] for part in parts), []),
        np.concatenate([part[1] for part in parts]),
    )
    order = rng.permutation(len(asked))
    return [asked[i] for i in order], failed[order]


stream, outcomes = mixed(1200)
answered = [dict(zip(stream, outcomes[:, k], strict=True)) for k in range(2)]


def multiplexer(**settings):
    """The two models, and what they cost."""
    models = {name: Recorded(model=name, wrong=answered[k]) for k, name in enumerate(PRICE)}
    return MultiplexedLLM(
        models=models,
        price=lambda usage: PRICE[usage.model],
        embeddings=Blank(),
        seed=0,
        **settings,
    )


def good(messages, answer):
    """Was it right?"""
    return answer.text == "The answer is A."


def ask(llm):
    """Send the stream through it: what each question cost in all, who answered, and whether rightly."""
    cost, who, right = [], [], []
    for text in stream:
        answer = llm.invoke(text)
        llm.wait()  # for an audit in the background, to have its cost here
        cost.append(llm.stats().cost)
        who.append(answer.response_metadata["cachemux"]["model"])
        right.append(good([], answer))
    return np.diff(cost, prepend=0.0), np.array(who), np.array(right)


always_large = 1 - outcomes[:, 1].mean()
print(f"{len(stream):,} questions; always large: cost 4.00, right {always_large:.0%}")
judged = multiplexer(accept=good)
paid, _, right = ask(judged)
done = judged.stats()
print(f"with a judge: cost {paid.mean():.2f}, right {right.mean():.0%}")
print(f"small was asked {done.calls['small']:,} times and turned down {done.turned_down} times")

# %% [markdown]
# It costs less and is *more* often right than the large model alone: where the small model is right and the large one
# is not, its answer was taken. There is not much to route. Whoever pays 1 to try and saves 4 when it works should
# try, unless it fails three times in four. (A router earns more where the models are closer in price.)
#
# You can ask what it would do with a question, and why. *will not do* is the chance of failing with its bounds, *in
# all* what starting with that model is expected to cost, a second call included:

# %%
print(judged.explain(stream[0]))

# %% [markdown]
# ## 4. No judge: audits
#
# Nobody says anything about the answers. `MultiplexedLLM(small, large)` alone then takes the large model as its
# standard, begins with it, and now and then asks the small one too, after the answer was handed out. Two answers
# that say the same count as a good small answer. That is an *audit*; it costs a call, and it grows rarer with time. Where
# the bound of what it has learned allows, the small model answers.
#
# It says in the log what it is up to:

# %%
said = []


class Kept(logging.Handler):
    """Keep what is logged."""

    def emit(self, record):
        said.append(record.getMessage())


log = logging.getLogger("langchain_cachemux")
log.addHandler(kept := Kept())
log.setLevel(logging.INFO)
audited = multiplexer(max_error=0.2)
paid, who, _ = ask(audited)
log.removeHandler(kept)
log.setLevel(logging.NOTSET)
print(said[0])
done = audited.stats()
print(f"\n{done.audits} audits cost {done.cost_of_audits:g} of {done.cost:g} in all")
first = int(np.argmax(who == "small"))
print(
    f"small answers for the first time at question {first:,}" if (who == "small").any() else "never"
)

# %% [markdown]
# Before that the large model answers everything, and the audits come on top: for a while this costs *more* than
# the large model alone. It has to. It does not know anything yet, and it has promised something.
#
# `rank` sorts questions by how much they need the large model. The last of them and the first, with what it thinks of
# them. It takes the *upper* bound of the chance for the truth as long as nobody judges: the small model is asked where
# that would be worth it even if it failed as often as it may.

# %%
ranked = audited.rank(list(dict.fromkeys(stream)))
for text, _ in (ranked[-1], ranked[0]):
    print(f"{text[:88]!r} …\n{audited.explain(text)}\n")

# %% [markdown]
# ## 5. The dial
#
# The promise is `max_error`: of the answers that the large model did not give, at most so many are worse than its own.
# It is the one dial; the next picture turns it. A line is what has been paid so far, audits included, beside the
# large model alone.

# %%
DIAL = {0.05: charts.BLUE, 0.1: charts.TEAL, 0.2: charts.MAIN, 0.3: charts.GOLD}
turned = {}
for max_error in DIAL:
    llm = audited if max_error == 0.2 else multiplexer(max_error=max_error)
    turned[max_error] = (*((paid, who) if llm is audited else ask(llm)[:2]), llm.stats())

figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
n = np.arange(1, len(stream) + 1)
axes.axhline(1, **FLOOR, label="always large")
better = np.where(outcomes[:, 0] <= outcomes[:, 1], PRICE["small"], PRICE["large"])
axes.plot(n, np.cumsum(better) / (PRICE["large"] * n), **CEILING, label="knowing every outcome")
for max_error, (spent, *_) in turned.items():
    share = np.cumsum(spent) / (PRICE["large"] * n)
    axes.plot(n, share, color=DIAL[max_error], lw=2, label=f"max_error={max_error:g}")
axes.set(xlabel="questions", ylabel="paid so far, of always large", ylim=(0, 1.3), xlim=(20, None))
axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
_ = axes.legend(loc="lower left", ncols=3, fontsize=8)

# %% [markdown]
# What came of the promise? Here the truth is known; in life there is only what the audits say, with its interval, in
# `llm.stats()`.

# %%
rows = [
    "| promised | answered by small | of these worse | by the audits, 95 % |",
    "| --- | --- | --- | --- |",
]
for max_error, (_, who, stats) in turned.items():
    small = who == "small"
    lost = (outcomes[:, 0] > outcomes[:, 1])[small]
    low, high = stats.error_interval
    seen = f"{lost.mean():.1%} | {low:.0%} to {high:.0%}" if small.any() else "– | –"
    rows.append(f"| {max_error:.0%} | {small.sum()} | {seen} |")
Markdown("\n".join(rows))

# %% [markdown]
# A strict promise saves nothing on a stream this short, and keeps itself by asking the large model. That is no
# fault: a thousand questions, of which a few hundred were audited, are not enough to *know* that only one answer in
# twenty is worse. With more traffic, a judge, or feedback (`llm.feedback(answer, score)`) it gets there sooner.
#
# Who would rather name a price than a share says `error_price=30.0`; who would rather name a sum,
# `budget=Spending(5.0)` a day.

# %% [markdown]
# ## 6. More than two
#
# Nothing in this is about two. With several models each has its price and its chances, and the best *single* model
# is the one to beat: it is not always the most expensive. With data there are five of the models that were asked all of
# MMLU-Pro (`routing/mmlu_pro`), at prices that grow with their size; without, five simulated ones.


# %%
def several(count):
    """Questions, prices of five models, and where each was wrong."""
    folder = DATA / "routing/mmlu_pro"
    if not folder.is_dir():
        asked, failed = simulated(5)
        return asked, dict(zip("abcde", (1.0, 2.0, 4.0, 8.0, 16.0), strict=True)), failed
    names = {"Meta-Llama-3_1-8B-Instruct": 1.0, "Mixtral-8x7B-Instruct-v0.1": 2.0, "gemini-1.5-flash-002": 3.0,
             "Meta-Llama-3_1-70B-Instruct": 6.0, "gemini-1.5-pro-002": 16.0}  # fmt: skip
    with gzip.open(folder / "items.csv.gz", "rt", encoding="utf-8") as file:
        items = {
            row["question_id"]: f"{row['question']}\n{row['options']}"
            for row in csv.DictReader(file)
        }
    with gzip.open(folder / "correct_matrix.csv.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if all(row[name] for name in names)]
    rows = [rows[i] for i in rng.permutation(len(rows))[:count]]
    failed = 1.0 - np.array([[float(row[name]) for name in names] for row in rows])
    return [items[row["question_id"]] for row in rows], names, failed


asked, prices, failed = several(1000)
_, report = fit(lines(asked, failed, prices), models=list(prices))
figure, axes = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
charts.traded(axes, report)
_ = axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# The lot is now drawn between the models that are worth it, the corners of the thin line. One that lies below it is of
# no use alone, but a router may still send it the questions that it is good at. The dashed line says how much there
# is in that.
#
# And the router? With a thousand questions, and their words alone, it hardly leaves the thin line, and where it dips
# below, a lot would have done better. Five models take more learning than two. It is better to read that in a report
# than to find it out later: **a router is worth what its curve shows on your own questions**, and sometimes that
# is little.

# %% [markdown]
# ## 7. Your own questions
#
# 1. Let it write down what it learns: `MultiplexedLLM(..., observations="seen.jsonl")`.
# 2. After some hundred questions:
#
#    ```
#    cachemux fit seen.jsonl --out router/ --price-of-error 30 --plot report.png
#    ```
#
#    You get what you have seen here of your own questions: the curve between its floor and its ceiling, the calibration,
#    the saving with its interval, and which questions it is unsure of. What nobody paid for or judged is estimated, and it
#    says how much that is.
# 3. If you like what you see: `MultiplexedLLM(small, large, router=Router.load("router/router"), error_price=30)`. It goes on
#    learning from there.
