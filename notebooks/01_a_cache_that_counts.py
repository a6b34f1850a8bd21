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
# # A cache that counts
#
# Ten minutes with real parts: a language model on this machine, asked in two ways (a short prompt, or one
# with twelve worked examples, which takes longer), a sentence encoder and a vector index. Nothing leaves
# the machine. Seconds are the price here; yours will differ.

# %%
import time
from contextlib import ExitStack, redirect_stderr
from dataclasses import asdict
from io import StringIO
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from IPython.display import Markdown
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation

from langchain_cachemux import LEC, LRU, Hit, LECCache, MultiplexedLLM, SentenceEncoder, Threshold
from langchain_cachemux.demo.models import local_pair
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.lab.replay import follow
from langchain_cachemux.types import Request

stack = ExitStack()
pair = stack.enter_context(local_pair())
models = dict(pair.models)
with redirect_stderr(StringIO()):  # loading weights draws a progress bar
    SentenceEncoder().embed_query("The first text loads the encoder.")
models["short-prompt"].invoke([HumanMessage("Hello.")])  # the first call starts the server
list(models)


# %%
def table(heads, rows):
    """Rows as a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


def ask(llm, question):
    """One question: the answer, and what it took to get it."""
    started = time.perf_counter()
    answer = llm.invoke([HumanMessage(question)])
    print(f"{time.perf_counter() - started:6.3f} s  {answer.content}")
    return answer


# %% [markdown]
# ## 1. A call costs, and costs again
#
# A model does not remember that it was just asked.

# %%
question = "What is the capital of France?"
for _ in range(2):
    ask(models["twelve-examples"], question)

# %% [markdown]
# ## 2. The second time is free
#
# `LECCache` goes wherever LangChain takes a cache: `set_llm_cache(LECCache())`, or `cache=` of one model.
# Here it is the `cache=` of a multiplexer that has, for now, one model. The first call is a miss and
# pays; the second is an *exact hit*.

# %%
events = []
cache = LECCache(on_event=events.append)
llm = MultiplexedLLM(models={"twelve-examples": models["twelve-examples"]}, cache=cache)
ask(llm, question)
again = ask(llm, question)
print(*(type(event).__name__ for event in events), sep=" → ")

# %% [markdown]
# Each answer says where it came from. `saved` is what the call would have cost, in the unit of the price.

# %%
again.response_metadata["cachemux"]

# %% [markdown]
# ## 3. Other words, the same question
#
# A *semantic hit*: the encoder puts the two questions close together, and nothing in their words says that
# they ask for different things.

# %%
ask(llm, "hey, what's the capital of France?").response_metadata["cachemux"]

# %% [markdown]
# ## 4. Almost the same words, another question
#
# `find` looks up and says why. (A cache may also be filled and asked directly; the second argument stands
# for the model and its parameters.)

# %%
facts = {
    "What is the capital of France?": "Paris.",
    "What is 7 plus 5?": "12.",
    "Which birds can fly?": "Most of them.",
    "How do I convert miles to kilometers?": "Multiply by 1.609.",
    "Who wrote Romeo and Juliet?": "William Shakespeare.",
    "What is a baby dog called?": "A puppy.",
    "How many days are there in a week?": "Seven.",
}
small_cache = LECCache()
for text, answer in facts.items():
    small_cache.update(text, "some model", [Generation(text=answer)])

for text in (
    "What is the capital of Germany?",
    "What is 7 plus 6?",
    "Which birds cannot fly?",
    "How do I convert kilometers to miles?",
):
    print(f"{text:40} {small_cache.find(text, 'some model').reason}")

# %% [markdown]
# Would a better threshold have done? Six rewordings and six near misses, each against the stored question
# nearest to it:

# %%
rewordings = [
    "hey, what's the capital of France?",
    "Name the French capital.",
    "What's the sum of 7 and 5?",
    "Who is the author of Romeo and Juliet?",
    "What do you call a baby dog?",
    "How many days make up one week?",
]
near_misses = [
    "What is the capital of Germany?",
    "What is 7 plus 6?",
    "Which birds cannot fly?",
    "How do I convert kilometers to miles?",
    "When was Romeo and Juliet written?",
    "What is a baby cat called?",
]
seen = []
for same, texts in ((True, rewordings), (False, near_misses)):
    for text in texts:
        verdict = small_cache.find(text, "some model")
        if isinstance(verdict, Hit):
            seen.append((verdict.similarity, text, same, "**served**"))
        else:
            seen.append((verdict.nearest.similarity, text, same, verdict.reason))
seen.sort(reverse=True)
table(
    ("similarity", "asked", "same question?", "verdict"),
    [(f"{s:.3f}", text, "yes" if same else "no", why) for s, text, same, why in seen],
)

# %%
figure, axes = plt.subplots(figsize=(8, 3.6))
colours = {True: "#2e8b57", False: "#d08770"}
for place, (similarity, text, same, why) in enumerate(reversed(seen)):
    filled = colours[same] if why == "**served**" else "white"
    axes.plot(similarity, place, "o", ms=8, color=colours[same], mfc=filled, mew=2)
axes.axvline(0.8, color="#4c566a", ls="--", lw=1)
axes.text(0.798, 0, "threshold", ha="right", fontsize=9)
axes.set_yticks(range(len(seen)), [text for _, text, *_ in reversed(seen)], fontsize=8)
axes.set(xlabel="similarity to the nearest stored question")
axes.set_title(
    "green: the same question, orange: another one; filled: served", fontsize=10, loc="left"
)
axes.spines[["top", "right"]].set_visible(False)
figure.tight_layout()

# %% [markdown]
# No vertical line has the green to its right and the orange to its left: the most similar pair of all asks
# the reverse. So words are compared first, and what they show to be another question is never served. Where
# one word differs in the same frame, its meaning would have to be known: the answer may be wrong with a
# chance of at most so much, and that is too much. Only where all is worded differently does the threshold
# decide. This is cautious: “the author of” is refused although it asks the same. A refusal costs one call,
# and its answer is a lesson; a wrong answer costs your user.

# %% [markdown]
# ## 5. What is forgotten
#
# A full cache must let something go. LRU drops what was not asked for longest. LEC drops what is least
# expected to cost anything: how often it is asked (recently, more or less) times what a miss would cost;
# a newcomer may itself be the least. Three places, six questions, two of them expensive:

# %%
costs = {"proof": 20, "essay": 12, "sum": 1, "colour": 1, "capital": 1, "joke": 2}
asked = (
    "proof essay sum proof colour capital joke essay sum colour proof capital joke sum essay proof"
).split()


def serve(policy):
    """Send the requests through a ledger of three places; what was held after each, and the bill."""
    ledger, held, paid = MemoryLedger(3, policy=policy), [], 0
    for outcome in follow((Request(name, costs[name]) for name in asked), ledger):
        paid += outcome.paid
        held.append({entry.key for entry in ledger})
    return held, paid


figure, panels = plt.subplots(1, 2, figsize=(9, 2.6), sharey=True)
for axes, policy in zip(panels, (LRU(), LEC(half_life=60)), strict=True):
    held, paid = serve(policy)
    for row, name in enumerate(costs):
        for request, keys in enumerate(held):
            if name in keys:
                axes.barh(row, 1, left=request, color=plt.cm.Blues(0.3 + costs[name] / 35))
    for request, name in enumerate(asked):
        hit = request and name in held[request - 1]
        axes.plot(
            request + 0.5, list(costs).index(name), "o", ms=5, color="#2e8b57" if hit else "#bf616a"
        )
    axes.set_yticks(range(len(costs)), [f"{name} ({cost})" for name, cost in costs.items()])
    axes.invert_yaxis()
    axes.set(xlabel="request", xlim=(0, len(asked)))
    axes.set_title(f"{type(policy).__name__}: {paid:g} paid", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
figure.suptitle("bars: held; dots: asked, a hit in green, a miss in red", fontsize=9, x=0.5)
figure.tight_layout()

# %% [markdown]
# With LRU a passing crowd of cheap questions pushes the expensive ones out, again and again. With LEC they
# stay and the cheap ones take turns in what is left.

# %% [markdown]
# ## 6. Two models, and a judge
#
# `accept` looks at the short prompt's answer; one that will not do is asked again of the other route, and
# the short prompt is charged for both calls. The judge here is the pair's own: no token may have been
# a guess.

# %%
llm = MultiplexedLLM(models=models, accept=pair.accept)
questions = [
    "What is a baby cat called?",
    "What is the capital of Italy?",
    "What is the capital of Spain?",
    "What is the opposite of hot?",
    "What is a baby cat called?",
    "What is the capital of Italy?",
]
answers = [ask(llm, text) for text in questions]

# %%
told = [answer.response_metadata["cachemux"] for answer in answers]


def bound(estimate):
    """Mean less width: what the router compares; nothing is known of an untried model."""
    untried = estimate["mean"] is None or estimate["width"] is None
    return float("-inf") if untried else estimate["mean"] - estimate["width"]


table(
    ("question", *(f"bound: {name}" for name in models), "asked first", "answered by", "cost"),
    [
        (
            text,
            *(f"{bound(t['estimates'][name]):.2f}" for name in models),
            t["route"],
            t["model"],
            f"{t['cost']:.2f} s",
        )
        for text, t in zip(questions, told, strict=True)
    ],
)

# %% [markdown]
# The router asks the model with the least *mean − width*. An untried model has a bound of −∞, so it is tried.
# A question seen before is judged by its own history: the second time the short prompt is expected to cost
# more for the kitten, which it did not know, than for Italy, which it did. A new question is judged by what
# similar ones cost. As long as little is known the widths are large, and now and then they buy a try: here
# one of the long prompt for the opposite of hot, and one more of the short prompt for the kitten.

# %%
figure, axes = plt.subplots(figsize=(7, 2.8))
places = range(1, len(told) + 1)
for name, colour, shift in zip(models, ("#5e81ac", "#d08770"), (-0.08, 0.08), strict=True):
    known = [(p + shift, t["estimates"][name]) for p, t in zip(places, told, strict=True)]
    known = [(p, e["mean"], e["width"]) for p, e in known if bound(e) > float("-inf")]
    x, mean, width = zip(*known, strict=True)
    axes.errorbar(x, mean, yerr=width, fmt="_", color=colour, capsize=0, lw=2, ms=9, label=name)
    axes.plot(x, [m - w for m, w in zip(mean, width, strict=True)], "v", color=colour, ms=6)
    first = [p + shift for p, t in zip(places, told, strict=True) if t["route"] == name]
    axes.plot(
        first, [0.04] * len(first), "s", color=colour, ms=6, transform=axes.get_xaxis_transform()
    )
axes.set(xlabel="question", ylabel="seconds expected", xlim=(0.5, len(told) + 1.5))
axes.set_title(
    "line: mean ± width, triangle: what is compared; square: asked first", fontsize=9, loc="left"
)
axes.margins(y=0.2)
axes.legend(frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
figure.tight_layout()

# %% [markdown]
# ## 7. Together, in a folder
#
# With both, the cache values an answer at what losing it would cost: the miss *as it would be routed*. The
# router goes on with what it has learned, the cache keeps its answers in a folder.

# %%
folder = stack.enter_context(TemporaryDirectory())
with LECCache(folder) as cache:
    llm = MultiplexedLLM(models=models, accept=pair.accept, cache=cache, router=llm.router)
    ask(llm, "What is the capital of France?")
    ask(llm, "hey, what's the capital of France?")
    ask(llm, "What is the capital of Germany?")
    stats = cache.stats()
{name: value for name, value in asdict(stats).items() if value}

# %% [markdown]
# Closed, and opened again:

# %%
with LECCache(folder) as cache:
    llm = MultiplexedLLM(models=models, accept=pair.accept, cache=cache)
    kept = ask(llm, "What is the capital of France?").response_metadata["cachemux"]
kept["hit"], kept["model"]

# %% [markdown]
# ## 8. A bad setting, on purpose
#
# A threshold of 0.5 and no guards. The hit rate will be splendid.

# %%
careless = LECCache(match=Threshold(0.5, guards=()))
for text, answer in facts.items():
    careless.update(text, "some model", [Generation(text=answer)])
for text in ("What is the capital of Germany?", "Which birds cannot fly?", "What is 7 plus 6?"):
    print(f"{text:35} {careless.lookup(text, 'some model')[0].text}")

# %%
stack.close()

# %% [markdown]
# ## Where to go next
#
# - `make demo`: the same two routes over a stream of questions, four ways, with a table and a page of plots.
# - `cachemux ask "…"`: one question on the command line, with everything that was decided about it.
# - `ARCHITECTURE.md`: how it hangs together, and why.
# - Your own models: `MultiplexedLLM(small="openai:…", large="openai:…")`, `price=dollars`, and a judge that
#   knows your task.
# - [When is it the same question?](04_when_is_it_the_same_question.ipynb) How the cache decides, and what it learns.
# - Your own parts: a policy, an estimator or a matcher is one or two methods;
#   `langchain_cachemux.testing` checks that it keeps its contract.
