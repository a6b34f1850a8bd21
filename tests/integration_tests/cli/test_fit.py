"""`cachemux fit` on what a multiplexer saw: files, table, charts; and a multiplexer goes on with it."""

import json
import re
import sys

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from typer.testing import CliRunner

from langchain_cachemux import MultiplexedLLM, Query, Router
from langchain_cachemux.cli import fit as command
from langchain_cachemux.cli import main
from langchain_cachemux.cli.app import app
from langchain_cachemux.lab import charts
from langchain_cachemux.route import files
from langchain_cachemux.route.fit import fit

PNG = b"\x89PNG\r\n\x1a\n"
EASY, HARD = "What is the capital of country {}?", "Prove in detail that {} is a prime number."
PARTS = ["report.json", "router"]


@pytest.fixture
def seen(tmp_path):
    """What was seen of 80 questions: the small model fails on the hard ones."""
    path = tmp_path / "seen.jsonl"
    with path.open("w") as file:
        for i in range(80):
            text = (HARD if i % 2 else EASY).format(i)
            about = {"time": 1.0 * i, "key": f"k{i}", "text": text, "source": "judge"}
            small = {"model": "small", "cost": 1.0, "failed": float(i % 2)}
            large = {"model": "large", "cost": 10.0, "failed": None}
            print(json.dumps(about | small), json.dumps(about | large), sep="\n", file=file)
    return path


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal that breaks no line."""
    monkeypatch.setattr(command.console(), "_width", 300)


def run(*arguments):
    ran = CliRunner().invoke(app, ["fit", *map(str, arguments)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run a command that is wrong; what is said: no traceback, exit code 2."""

    def refused(*arguments):
        monkeypatch.setattr(sys, "argv", ["cachemux", "fit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert said.err.startswith("error: ")
        return said.err

    return refused


def test_a_fit_writes_a_router_and_a_report_and_prints_its_table(seen, tmp_path):
    out = tmp_path / "deep" / "router"
    output = run(seen, "--out", out, "--price-of-error", 18, "--words-only")
    assert sorted(path.name for path in out.iterdir()) == PARTS
    assert [path.name for path in out.parent.iterdir()] == ["router"]
    router, report = fit(seen, error_price=18.0)
    told = json.loads((out / "report.json").read_text())
    assert told["report"]["saving"]["saved"] == report.saving.saved == pytest.approx(0.45)
    assert told["report"]["scored"] == 80
    assert told["seeds"] == [0]
    assert told["command"].startswith("cachemux")
    assert re.search(r"router +5\.5 +45\.0% +100\.0% +small 50%, large 50%", output)
    assert re.search(r"small alone +1 +90\.0% +50\.0%", output)
    assert re.search(r"large alone +10 +0\.0% +100\.0%", output)
    assert "would have saved 45.0% (95 %: " in output
    assert files.read(out / "router")["models"].keys() == router.estimators.keys()


def test_a_multiplexer_goes_on_with_the_router_that_was_fitted(seen, tmp_path):
    run(seen, "--out", tmp_path / "router", "--price-of-error", 18)
    llm = MultiplexedLLM(
        models={
            name: GenericFakeChatModel(messages=iter([AIMessage(name)] * 2))
            for name in ("small", "large")
        },
        router=Router.load(tmp_path / "router" / "router"),
        error_price=18.0,
        price=lambda usage: {"small": 1.0, "large": 10.0}[usage.model],
    )
    assert llm.invoke("What is the capital of country 900?").content == "small"
    assert llm.invoke("Prove in detail that 907 is a prime number.").content == "large"


def test_what_a_multiplexer_writes_down_is_what_is_fitted(tmp_path):
    texts = [(HARD if i % 2 else EASY).format(i) for i in range(200)]
    llm = MultiplexedLLM(
        models={
            "small": RunnableLambda(
                lambda asked: said("small", right="Prove" not in asked[-1].text)
            ),
            "large": RunnableLambda(lambda asked: said("large", right=True)),
        },
        accept=lambda messages, answer: answer.text == "right",
        strategy="cascade",
        price=lambda usage: {"small": 1.0, "large": 10.0}[usage.model],
        observations=tmp_path / "seen.jsonl",
    )
    for text in texts:
        llm.invoke(text)
    run(tmp_path / "seen.jsonl", "--out", tmp_path / "router", "--price-of-error", 18)
    told = json.loads((tmp_path / "router" / "report.json").read_text())["report"]
    assert told["questions"] == 200
    assert 150 <= told["scored"] <= 200  # where it went to the large model at once, little is known
    assert told["saving"]["saved"] > 0.3
    assert told["saving"]["setting"]["quality"] > 0.9
    fitted = Router.load(tmp_path / "router" / "router")
    easy, hard = (
        llm.reader.routed(Query(text), text) for text in (EASY.format(900), HARD.format(907))
    )
    assert fitted.choose(easy, error_price=18.0).model == "small"
    assert fitted.choose(hard, error_price=18.0).model == "large"


def said(model, *, right):
    return AIMessage("right" if right else "wrong", response_metadata={"model_name": model})


def test_the_charts_are_written_where_asked(seen, tmp_path):
    plot, page = tmp_path / "r.png", tmp_path / "r.html"
    out = tmp_path / "router"
    command = "--price-of-error", 18, "--words-only", "--plot", plot, "--html", page
    run(seen, "--out", out, *command)
    assert plot.read_bytes().startswith(PNG)
    shown = page.read_text()
    assert shown.count("<svg") == 1
    assert "knowing every outcome" in shown
    assert "<td>router<td>5.5<td>45.0%" in shown


def test_questions_are_words_on_the_page_and_in_the_terminal(seen, tmp_path):
    text = "[red]Is <b>this</b> a prime?"
    with seen.open("a") as file:
        for n in range(12):
            for model, cost, failed in (("small", 1.0, float(n % 2)), ("large", 10.0, None)):
                told = {"time": 0, "key": f"x{n}", "text": text, "model": model, "cost": cost}
                print(json.dumps(told | {"failed": failed, "source": "judge"}), file=file)
    page = tmp_path / "r.html"
    out = tmp_path / "router"
    output = run(seen, "--out", out, "--words-only", "--price-of-error", 18, "--html", page)
    assert "[red]Is <b>this</b>" in output
    assert "<b>this" not in page.read_text()


def test_what_cannot_be_written_leaves_what_was_there(seen, tmp_path, monkeypatch):
    out = tmp_path / "router"
    run(seen, "--out", out, "--words-only")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(path, state):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write", full)
    ran = CliRunner().invoke(app, ["fit", str(seen), "--out", str(out), "--words-only"])
    assert isinstance(ran.exception, OSError)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["router", "seen.jsonl"]


def test_a_new_folder_is_not_made_for_nothing(seen, tmp_path, refused):
    said = refused(seen, "--out", tmp_path / "router", "--models", "small,large,huge")
    assert "must say what 'huge' costs" in said
    assert not (tmp_path / "router").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"cost": -1}, "seen.jsonl:3: cost must be a number >= 0"),
        ({"failed": 2}, "seen.jsonl:3: failed must be between 0 (it did) and 1"),
        ({"cost": "dear"}, "seen.jsonl:3: an observation was expected: cost: "),
        ({"model": "other"}, "seen.jsonl:3: model must be one of ['small', 'large'], got 'other'"),
    ],
)
def test_a_bad_line_is_told_by_file_and_number(seen, tmp_path, refused, line, told):
    lines = seen.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | line)
    seen.write_text("\n".join(lines) + "\n")
    arguments = "--out", tmp_path / "router", "--words-only", "--models", "small,large"
    assert told in refused(seen, *arguments)


def test_a_file_that_is_none_is_told(tmp_path, refused):
    assert "none.jsonl: no such file" in refused(tmp_path / "none.jsonl", "--out", tmp_path / "r")


def test_a_plot_without_matplotlib_is_refused_before_anything_is_fitted(
    seen, tmp_path, refused, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = refused(seen, "--out", tmp_path / "router", "--plot", tmp_path / "r.png")
    assert "a plot needs matplotlib: pip install 'langchain-cachemux[lab]'" in said
    assert [path.name for path in tmp_path.iterdir()] == ["seen.jsonl"]


def test_the_chart_has_its_floor_its_ceiling_and_each_model(seen):
    from matplotlib.figure import Figure

    _, report = fit(seen, error_price=18.0)
    left, right = Figure().subplots(1, 2)
    charts.traded(left, report)
    charts.calibrated(right, report)
    drawn = {line.get_label(): line.get_xydata().tolist() for line in left.lines}
    assert drawn["knowing every outcome"] == [[p.cost, p.quality] for p in report.oracle]
    assert drawn["by lot"] == [[1.0, 0.5], [10.0, 1.0]]
    assert drawn["small alone"] == [[1.0, 0.5]]
    assert drawn["large alone"] == [[10.0, 1.0]]
    assert [5.5, 1.0] in drawn["router"]
    (small,) = (line for line in right.lines if line.get_label().startswith("small, off by"))
    told = report.calibration["small"].bins
    assert small.get_xydata().tolist() == [[b.predicted, b.observed] for b in told]
