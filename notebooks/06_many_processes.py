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
# # Many processes
#
# A web server is several processes. If each has a cache of its own, each pays for every question once. This notebook
# starts four processes that share one folder, has them ask at once, kills one in the middle, and looks at what is left.
#
# **The model here is a fake that takes 0.3 seconds**, so it runs anywhere in some seconds, without a key. Processes,
# folder and kill are real. On several machines only the first line is another:
# `LECCache.connect(database="postgresql+psycopg://...", chroma="http://...")`.

# %%
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt

from langchain_cachemux import LECCache
from langchain_cachemux.lab import charts

plt.rcParams.update({**charts.STYLE, "figure.dpi": 72})
scratch = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A worker
#
# What each process runs. It opens the folder, waits until all are ready, and asks sixteen questions in an order of its
# own. Of each it prints when it was answered, and whether the model had to be asked.

# %%
worker = scratch / "worker.py"
worker.write_text("""
import json, random, sys, time

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel

from langchain_cachemux import LECCache

place, folder, shared = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "shared"
cache = LECCache(folder, shared=shared, embeddings=DeterministicFakeEmbedding(size=64))
model = FakeListChatModel(responses=["An answer."], sleep=0.3, cache=cache)
questions = [f"What is in room {room}?" for room in range(16)]
random.Random(place).shuffle(questions)
print("ready", flush=True)
sys.stdin.readline()
for question in questions:
    told = model.invoke(question).response_metadata.get("cachemux", {})
    row = {"time": time.time(), "worker": place, "question": question, "hit": told.get("hit")}
    print(json.dumps(row), flush=True)
cache.close()
""")


def started(place, folder, shared):
    """A worker that is ready to ask."""
    command = [sys.executable, str(worker), str(place), str(folder), shared]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def asked(folders, shared):
    """What four workers saw that began at once."""
    workers = [started(place, folder, shared) for place, folder in enumerate(folders)]
    began = time.time()
    for process in workers:
        process.stdin.write("go\n")
        process.stdin.flush()
    rows = [
        json.loads(line) for process in workers for line in process.communicate()[0].splitlines()
    ]
    return [{**row, "time": row["time"] - began} for row in rows]


# %% [markdown]
# ## A cache each, and one for all
#
# Sixteen questions, four processes: 64 times something is asked. With a cache each all 64 are paid. Over one folder
# each question is paid once: what one process is asking just now, another waits for.

# %%
apart = asked([scratch / f"own {place}" for place in range(4)], "alone")
together = asked([scratch / "common"] * 4, "shared")
calls = {
    "no cache": len(apart),
    "a cache each": sum(row["hit"] is None for row in apart),
    "one folder": sum(row["hit"] is None for row in together),
}
calls

# %%
figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 3.2), width_ratios=[1, 2], layout="constrained"
)
bars = left.bar(list(calls), list(calls.values()), width=0.6)
left.bar_label(bars)
left.axhline(16, linestyle=":", color="gray")
left.text(1.6, 20, "as few\nas can be", color="gray")
left.set_title("Model calls")
for hit, marker in ((None, "o"), ("exact", "|")):
    rows = [row for row in together if row["hit"] == hit]
    label = "asked the model" if hit is None else "was answered from the folder"
    right.plot(
        [row["time"] for row in rows],
        [row["worker"] for row in rows],
        marker,
        markersize=11,
        label=label,
    )
right.set(
    title="Four processes over one folder", xlabel="seconds", yticks=range(4), ylabel="process"
)
right.set_ylim(-0.6, 4.4)
right.legend(loc="upper center", ncols=2, frameon=False)
plt.show()

# %% [markdown]
# ## One is killed
#
# A process stores answers as fast as it can and prints the number of each that was **acknowledged**: `update` had
# returned. It is killed in the middle, as a machine that runs out of memory kills. Afterwards every number that it
# printed must be there, and no other process may have noticed.

# %%
storing = scratch / "storing.py"
storing.write_text("""
import sys

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation

from langchain_cachemux import LECCache

cache = LECCache(sys.argv[1], shared=True, embeddings=DeterministicFakeEmbedding(size=64))
for number in range(100_000):
    cache.update(f"What is behind door {number}?", "a model", [Generation(text=str(number))])
    print(number, flush=True)
""")

killed = subprocess.Popen(
    [sys.executable, str(storing), str(scratch / "common")], stdout=subprocess.PIPE, text=True
)
acknowledged = [int(killed.stdout.readline()) for _ in range(200)]
killed.send_signal(signal.SIGKILL)
acknowledged += [int(line) for line in killed.communicate()[0].splitlines()]

# %%
from langchain_core.embeddings import DeterministicFakeEmbedding

with LECCache(
    scratch / "common", shared=True, embeddings=DeterministicFakeEmbedding(size=64)
) as cache:
    answers = [cache.lookup(f"What is behind door {number}?", "a model") for number in acknowledged]
    wrong = [n for n, said in zip(acknowledged, answers) if said is None or said[0].text != str(n)]
    problems = cache.check()

assert len(acknowledged) >= 200
{"acknowledged": len(acknowledged) >= 200, "lost or wrong": len(wrong), "problems": problems}

# %% [markdown]
# ## What to know
#
# * A folder is shared by processes of **one machine**, on a local disk; its ledger is one SQLite file. Over several machines
#   the ledger is in PostgreSQL.
# * A hit writes nothing. Its count follows within a second; whoever is killed takes that second's counts along, never an
#   answer.
# * A question in **other words** is found in each process's own memory, which hears within a second what the others stored.
# * Capacity is one for all, and is never exceeded.
# * How far it reaches, and what then has to be split, says "Past one machine" in ARCHITECTURE.md.
