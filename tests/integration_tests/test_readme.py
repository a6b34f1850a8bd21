"""What the README says happens."""

import importlib.util
import json
import operator
import random
import re
import tomllib
from pathlib import Path
from statistics import mean

import pytest
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation

from langchain_cachemux import Hit, LECCache, MultiplexedLLM
from langchain_cachemux.cli.app import app
from langchain_cachemux.demo.stream import read_questions
from langchain_cachemux.match.evidence import Evidence, seen
from langchain_cachemux.read.answers import read

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULT = ROOT / "benchmarks/results/demo.json"


class Answering(BaseChatModel):
    """Answers with its own name and keeps what it was asked."""

    title: str
    asked: list[str] = []  # noqa: RUF012

    @property
    def _llm_type(self):
        return "answering"

    @property
    def _identifying_params(self):
        return {"title": self.title}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append(messages[-1].content)
        message = AIMessage(f"{self.title} model's answer")
        return ChatResult(generations=[ChatGeneration(message=message)])


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def models(monkeypatch):
    """Every model that is asked for by its name, in place of the provider's."""
    made = {}

    def init_chat_model(name, **_):
        return made.setdefault(name, Answering(title=name, asked=[]))

    monkeypatch.setattr("langchain.chat_models.init_chat_model", init_chat_model)
    return made


@pytest.fixture
def readme(tmp_path, monkeypatch, models):
    """Runs the README's next block of Python in the namespace of the ones before."""
    monkeypatch.chdir(tmp_path)
    before = get_llm_cache()
    namespace = {}
    places = enumerate(blocks("python"), 1)

    def run():
        place, block = next(places)
        exec(compile(block, f"README.md, block {place}", "exec"), namespace)  # noqa: S102
        return namespace

    yield run
    opened = [get_llm_cache(), getattr(namespace.get("llm"), "cache", None), namespace.get("cache")]
    set_llm_cache(before)
    for cache in filter(None, opened):
        cache.close()


def test_the_blocks_run_in_order_and_do_what_they_say(readme, models, capsys):
    readme()  # a fake model behind the cache
    (shown,) = blocks("text")
    assert capsys.readouterr().out == shown
    assert isinstance(get_llm_cache(), LECCache)

    llm = readme()["llm"]  # two models of a provider
    small, large = models.values()
    assert (small.title, large.title) == ("openai:gpt-4o-mini", "openai:gpt-4o")
    assert isinstance(llm, MultiplexedLLM)
    assert Path("answers").is_dir()
    asked = [small.asked, large.asked]
    assert sorted(asked) == [[], ["What is the capital of France?"]]
    told = capsys.readouterr().out
    assert all(f"'{name}': " in told for name in ("model", "reason", "cost"))
    hit = llm.invoke("What is the capital of France?").response_metadata["cachemux"]
    assert (hit["hit"], hit["cost"]) == ("exact", 0.0)
    assert len(small.asked + large.asked) == 1

    cache = readme()["cache"]  # a guard's reason
    told = re.findall(r'^cache\.find\("(.+)", ""\)\.(\w+)  # (.+)$', README, re.MULTILINE)
    assert len(told) == 2
    for question, attribute, expected in told:
        assert repr(getattr(cache.find(question, ""), attribute)) == expected

    cache.close()
    assert len(readme()["cache"].ledger) == 0  # what ends, and was invalidated

    with pytest.raises(StopIteration):
        readme()  # every block was looked at here


def test_the_judge_of_the_example_sends_what_is_not_known_to_the_large_model(readme, models):
    readme()
    namespace = readme()
    good_enough = namespace["good_enough"]
    assert good_enough([], AIMessage("Paris."))
    assert not good_enough([], AIMessage("I don't know."))


def test_the_page_on_agents_does_what_it_says(models, capsys):
    page, namespace = (ROOT / "docs/agents.md").read_text(encoding="utf-8"), {}
    for place, block in enumerate(blocks("python", page), 1):
        exec(compile(block, f"docs/agents.md, block {place}", "exec"), namespace)  # noqa: S102
    (shown,) = blocks("text", page)
    assert capsys.readouterr().out == shown
    with namespace["cache"]:
        asked = {"messages": [("human", "What is the capital of Norway?")]}
        messages = namespace["routed"].invoke(asked)["messages"]
        assert messages[-1].response_metadata["cachemux"]["model"] == "large"


def test_the_commands_it_names_exist():
    lines = "".join(blocks("sh"))
    targets = re.findall(r"^make (\w+)", lines, re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    table = README.partition("## On the command line")[2].partition("\n## ")[0]
    commands = [
        c for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for c in row.split(", ")
    ]
    named = {re.sub(r"`|cachemux ", "", command).split()[0] for command in commands}
    assert named == {
        command.name or command.callback.__name__ for command in app.registered_commands
    }


def test_the_extras_it_names_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    assert set(re.findall(r"langchain-cachemux\[(\w+)\]", README)) <= extras
    (told,) = re.findall(r"What only some uses need are extras: (.*?)\. What", README, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", told)) == extras - {"dev"}


def test_the_files_it_links_to_exist():
    linked = re.findall(r"\]\((?!http|#)(.+?)\)|(?:src|srcset)=\"(.+?)\"", README)
    assert len(linked) > 8
    for path in map("".join, linked):
        assert (ROOT / path).exists(), path


def test_its_picture_and_its_table_are_the_committed_result():
    path = ROOT / "benchmarks/readme.py"
    spec = importlib.util.spec_from_file_location("readme", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    report = json.loads(RESULT.read_text(encoding="utf-8"))
    assert script.written(README, report) == README
    report["arms"][-1]["share"] = 0.99
    assert script.written(README, report) != README
    for ground in script.INKS:
        shown = (ROOT / f"benchmarks/results/demo_{ground}.svg").read_text(encoding="utf-8")
        assert "<script" not in shown
        assert script.picture(report, ground=ground) != shown


def printed(text):
    """As the README is set: a space before the per cent, a minus that is one."""
    return text.replace("%", " %").replace("-", "−")


def test_the_figures_on_forgetting_are_those_of_the_committed_run():
    summary = json.loads((ROOT / "benchmarks/results/robustness.json").read_text())["summary"]
    peers = {n: told for n, told in summary["over each"].items() if not n.startswith("alone")}
    more = {name: f"{1 / told['geometric mean'] - 1:.0%}" for name, told in peers.items()}
    text = printed(" ".join(README.split()))
    for said in (
        f"Over {summary['all']['cells']} [cells]",
        f"costs {summary['all']['geometric mean']:.3f} times the best of {len(peers)} published",
        f"never more than {summary['all']['worst'] - 1:.1%} above",
        f"GDSF costs {more['GDSF']} more than the default, LEC {more['LEC by mean']}",
        f"S3-FIFO {more['S3-FIFO']}, LRU {more['LRU']}, LFU {more['LFU']}",
    ):
        assert printed(said) in text.replace("  %", " %")


def test_the_figures_of_the_router_are_those_of_the_committed_runs():
    routing = json.loads((ROOT / "benchmarks/results/routing.json").read_text())
    budget = json.loads((ROOT / "benchmarks/results/budget.json").read_text())
    rows = {(r["benchmark"], r["setting"], r["router"]): r for r in routing["rows"]}
    ours = [rows[name, "labels", "Classifier"] for name in ("mmlu", "gsm8k")]
    blend = "Blend(Classifier, TransformerClassifier)"
    blended = [rows[name, "labels", blend]["apgr"] for name in ("mmlu", "gsm8k")]
    length = [rows[name, "no-label", "prompt length"]["apgr"] for name in ("mmlu", "gsm8k")]
    published = [
        max(r["apgr"] for r in routing["rows"] if (r["benchmark"], r["setting"]) == key)
        for key in (("mmlu", "published"), ("gsm8k", "published"))
    ]
    streams = routing["streams of MMLU"]
    judged, alone = streams["judge, 1:1.5"], streams["no judge, 1:10, wrong costs 72"]
    loose = [row for row in budget["rows"] if row["max_error"] == 0.05]
    saved, most = ([row[name]["saved"] for row in loose] for name in ("one", "oracle"))
    text = printed(" ".join(README.split())).replace("  %", " %")
    for said in (
        f"recovers {ours[0]['apgr']:.3f} ({ours[1]['apgr']:.3f}) of",
        f"published router has {published[0]:.3f} ({published[1]:.3f})",
        f"TransformerClassifier())`) {blended[0]:.3f} ({blended[1]:.3f})",
        f"off by {ours[0]['ece']:.0%} ({ours[1]['ece']:.0%})",
        f"length of the prompt, {length[0]:.3f} ({length[1]:.3f})",
        f"cost {judged['cost']:.3f} each (the better model alone {judged['best fixed']:.3f})",
        f"an error worth 72, {alone['cost']:.1f} ({alone['best fixed']:.1f})",
        f"saves {min(saved):.0%}".replace("%", "").strip() + f" to {max(saved):.0%} of the cost",
        f"would save {min(most):.0%}".replace("%", "").strip() + f" to {max(most):.0%}",
    ):
        assert printed(said) in text, said


def test_the_figures_of_matching_are_those_of_the_committed_run():
    rows = json.loads((ROOT / "benchmarks/results/matching.json").read_text("utf-8"))["rows"]

    def cells(stream, arm):
        return [row for row in rows if (row["stream"], row["arm"]) == (stream, arm)]

    def served(stream, arm):
        return 100 * mean(row["right"] for row in cells(stream, arm))

    text = " ".join(README.split())
    alone = [cells(stream, "verified 0.02") for stream in ("banking77", "clinc150")]
    wrong = [100 * sum(r["wrong"] for r in of) / sum(r["served"] for r in of) for of in alone]
    assert f"{wrong[0]:.1f} % and {wrong[1]:.1f} % of that wrongly" in text
    for words, arm in (
        ("it serves {} % and {} % of what could be served", "verified 0.02"),
        ("with a judge that is never wrong {} % and {} %", "verified 0.02, judge 0.0"),
        ("or {} % and {} % if it says so itself", "verified 0.02, told judge 0.0"),
        ("told everything serves {} % and {} %", "oracle"),
    ):
        shares = (f"{served(stream, arm):.0f}" for stream in ("banking77", "clinc150"))
        assert words.format(*shares) in text
    opposite = cells("polarity", "verified 0.02")
    count = sum(row["served"] for row in opposite)
    right = count - sum(row["wrong"] for row in opposite)
    assert f"it serves {count} answers of 10,000 questions, {right} of them right" in text
    bare = cells("polarity", "threshold 0.85")
    share = sum(row["wrong"] for row in bare) / sum(row["served"] for row in bare)
    assert ("wrong seven times in ten" in text) == (0.65 <= share < 0.75)


def test_the_figures_over_five_seeds_are_those_of_the_committed_run():
    seeds = json.loads((ROOT / "benchmarks/results/demo_seeds.json").read_text())["summary"]
    whole, cached = seeds["LEC cache + multiplexer"], seeds["LEC cache + large"]
    points = whole["accuracy minus large only, points"]
    text = " ".join(README.split())
    for said in (
        f"{whole['share of large only, pooled']:.0%} of the TFLOP",
        f"({whole['worst']:.0%} at worst) and {whole['share in seconds, pooled']:.0%} of the seconds",
        f"{cached['share of large only, pooled']:.0%} and {cached['share in seconds, pooled']:.0%}",
        f"between {max(points):+.1f} and {min(points):+.1f} points a seed",
    ):
        assert printed(said) in text
    assert sum(sum(arm["wrong hits"]) for arm in seeds.values()) == 0


def given(max_error, possible, similarity):
    """Of so many possible hits by meaning, all of them right, how many a new cache gives."""
    learned, count = Evidence(max_error), 0
    for place in range(possible):
        x = seen("reworded", similarity, least=0.8, rivals=0.0, fellows=1)
        if learned.backed(x, f"entry {place}"):
            learned.gave(x, f"entry {place}")
            count += 1
        else:
            learned.learn(x, f"entry {place}", wrong=0.0)
    return count


def test_the_figures_on_a_new_cache_are_what_its_evidence_comes_to():
    text = " ".join(README.split())
    similarities = (0.8, 0.85, 0.9, 0.95, 1.0)
    assert {given(0.02, 10, similarity) for similarity in similarities} == {5}
    assert "Of the first ten hits by meaning that it could give it gives five" in text
    counts = [given(0.02, 100, similarity) for similarity in similarities]
    ((strict,), (loose,)) = ({given(e, 100, s) for s in similarities} for e in (0.005, 0.05))
    said = f"of the first hundred {min(counts)} to {max(counts)} ({strict} at `max_error=0.005`, {loose}"
    assert said in text


def test_a_new_cache_gives_no_fewer_hits_on_real_rewordings_and_waits_with_the_rest():
    asked = [(text, q.id) for q in read_questions() for text in (q.question, *q.paraphrases)]
    random.Random(0).shuffle(asked)
    backed, right = [], []
    with LECCache(same=operator.eq, max_error=0.02) as cache:
        for text, answer in asked:
            found = cache.find(text, "a model")
            if isinstance(found, Hit):
                backed.append(True)
                right.append(read(found.entry.answer)[0].text == answer)
                continue
            if "a fresh answer is to show first" in found.reason:
                backed.append(False)
            cache.update(text, "a model", [Generation(text=answer)])
    assert all(right)
    assert len(backed) > 100
    assert not all(backed[:10])
    for possible in (10, 50, 100):
        assert sum(backed[:possible]) >= given(0.02, possible, 0.9)


def test_what_is_said_of_speed_and_of_many_processes_was_measured():
    speed, soak, stress = (
        json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))
        for name in ("speed", "soak", "stress")
    )
    hit = {(row["cache"], row["entries"]): row["hit p50, ms"] for row in speed["caches"]}
    said = "0.22 ms in memory and 0.37 ms in a folder, where LangChain's `SQLiteCache` takes 0.52 ("
    assert said in " ".join(README.split())
    kinds = ("LECCache in memory", "LECCache in a folder", "SQLiteCache")
    assert [round(hit[kind, 10_000], 2) for kind in kinds] == [0.22, 0.37, 0.52]
    assert "GPTCache, of 1,000, 4.3)" in README
    assert round(hit["GPTCache", 1_000], 1) == 4.3
    (large,) = (
        row for row in speed["caches"] if (row["cache"], row["entries"]) == (kinds[1], 10**6)
    )
    assert "first answer 0.22 s after it was opened, and then each in 0.44 ms" in " ".join(
        README.split()
    )
    assert round(large["opening to first answer, s"], 2) == 0.22
    assert round(large["hit p50, ms"], 2) == 0.44
    assert sum(tenth["operations"] for tenth in soak["folder"]["tenths"]) == 1_000_000
    flat = soak["folder"]["flat"]
    assert (
        max(flat[f"{what} {part}"] for what in ("hit", "update") for part in ("p50", "p99")) < 1.1
    )
    crowd, killed = stress["a cache too small"], stress["killed"]
    assert crowd["requests counted"] == 160_000 == crowd["processes"] * crowd["operations each"]
    assert crowd["most ever held"] == crowd["capacity"]
    assert crowd["problems"] == killed["problems"] == []
    assert (killed["kills"], killed["lost"]) == (200, 0)
