"""What the README says happens."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_cachemux import LECCache, MultiplexedLLM

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


@pytest.fixture
def readme(tmp_path, monkeypatch):
    """Runs the README's next block of Python in the namespace of the ones before."""
    monkeypatch.chdir(tmp_path)
    before = get_llm_cache()
    judged = []
    namespace = {
        "small": Answering(title="small", asked=[]),
        "large": Answering(title="large", asked=[]),
        "judge": lambda question, answer: (
            judged.append(answer.content) or "Hamlet" in str(question)
        ),
        "judged": judged,
    }
    blocks = enumerate(re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL), 1)

    def run():
        place, block = next(blocks)
        exec(compile(block, f"README.md, block {place}", "exec"), namespace)  # noqa: S102
        return namespace

    yield run
    opened = [get_llm_cache(), getattr(namespace.get("llm"), "cache", None), namespace.get("cache")]
    set_llm_cache(before)
    for cache in filter(None, opened):
        cache.close()


def test_the_blocks_run_in_order_and_do_what_they_say(readme):
    names = readme()  # set_llm_cache
    assert isinstance(get_llm_cache(), LECCache)
    large = names["large"]
    first = large.invoke("Who wrote Hamlet?")
    again = large.invoke("Who wrote Hamlet?")
    other = large.invoke("Who is the author of Hamlet?")
    assert first.content == again.content == other.content == "large model's answer"
    assert large.asked == ["Who wrote Hamlet?"]
    assert again.response_metadata["cachemux"]["hit"] == "exact"
    assert other.response_metadata["cachemux"]["hit"] == "semantic"
    assert Path("answers").is_dir()

    readme()  # MultiplexedLLM
    llm, small = names["llm"], names["small"]
    assert isinstance(llm, MultiplexedLLM)
    assert small.asked == ["What is the capital of France?"]
    assert names["judged"] == ["small model's answer"]
    assert large.asked[1:] == ["What is the capital of France?"]
    hit = llm.invoke("What is the capital of France?")
    assert hit.content == "large model's answer"
    told = hit.response_metadata["cachemux"]
    assert (told["hit"], told["model"], told["cost"]) == ("exact", "large", 0.0)
    assert len(small.asked) == 1
    accepted = llm.invoke("Who wrote Hamlet?")
    told = accepted.response_metadata["cachemux"]
    assert set(told) >= {"model", "reason", "cost"}
    assert accepted.content == f"{told['model']} model's answer"

    names = readme()  # a guard's reason
    asked = re.findall(r'^cache\.find\("(.+)", ""\)\.(\w+)  # (.+)$', README, re.MULTILINE)
    assert len(asked) == 2
    for question, attribute, told in asked:
        verdict = names["cache"].find(question, "")
        assert repr(getattr(verdict, attribute)) == told

    with pytest.raises(StopIteration):
        readme()  # every block was looked at here


def test_the_commands_it_names_exist():
    shell = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[0]
    named = re.findall(r"^make (\w+)", shell, re.MULTILINE)
    assert named == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_its_table_is_the_committed_result():
    path = ROOT / "benchmarks/readme_table.py"
    spec = importlib.util.spec_from_file_location("readme_table", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    shown = README[README.index(script.BEGIN) + len(script.BEGIN) : README.index(script.END)]
    assert shown == script.table(json.loads(RESULT.read_text(encoding="utf-8")))


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


def test_the_figures_over_ten_seeds_are_those_of_the_committed_run():
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
