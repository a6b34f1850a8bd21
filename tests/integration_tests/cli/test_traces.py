"""`cachemux replay` and `cachemux advise` on small traces: tables, JSON, plots, and what is refused."""

import json
import re
import sys

import pytest
from typer.testing import CliRunner

from langchain_cachemux.cli import main
from langchain_cachemux.cli import traces as commands
from langchain_cachemux.cli.app import app
from langchain_cachemux.cli.terminal import write
from langchain_cachemux.cli.traces import POLICIES
from langchain_cachemux.lab import charts
from langchain_cachemux.lab import replay as replaying
from langchain_cachemux.lab.advise import advise
from langchain_cachemux.lab.replay import limits, replay
from langchain_cachemux.lab.traces import Trace

PNG = b"\x89PNG\r\n\x1a\n"
BOUNDS = ["no cache", "best set in hindsight", "no cache can cost less"]


def squeezed(text):
    """Without what a narrow terminal puts between words."""
    return re.sub(r"[\s│]+|\x1b\[[0-9;]*m", "", text)


def rows(n=120, keys=10):
    """Requests (key, cost, size, time), some keys asked more than others."""
    for i in range(n):
        key = min(i * i % 17 % keys, i * 7 % keys)
        yield f"k{key}", 1 + key % 4, 1 + key % 3, 10 * i


@pytest.fixture
def trace(tmp_path):
    """A table with all the columns there are but models."""
    path = tmp_path / "trace.csv"
    lines = [",".join(map(str, row)) for row in rows()]
    path.write_text("\n".join(["key,cost,size,time", *lines]) + "\n")
    return path


@pytest.fixture
def pair(tmp_path):
    """A trace with two models; the small one will not do for every second key."""
    path = tmp_path / "pair.jsonl"
    with path.open("w") as file:
        for key, cost, _, _ in rows():
            costs, ok = (
                {"small": cost, "large": 10 * cost},
                {"small": int(key[1:]) % 2 == 0, "large": True},
            )
            print(json.dumps({"key": key, "costs": costs, "ok": ok}), file=file)
    return path


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal that breaks no line of a table."""
    monkeypatch.setattr(commands.console(), "_width", 200)


def run(*command):
    ran = CliRunner().invoke(app, [str(part) for part in command], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run a command that is wrong; what is said: one line, no traceback, exit code 2."""

    def refused(*command):
        monkeypatch.setattr(sys, "argv", ["cachemux", *map(str, command)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert "error: " in said.err
        assert "error: " not in said.out
        return squeezed(said.out + said.err)

    return refused


def line_of(output, name):
    """The numbers in the table's line that begins with a name."""
    (line,) = re.findall(rf"^ *{name} +(\d.*)$", output, re.MULTILINE)
    return line.split()


# Replay


def test_a_replay_prints_a_table_with_its_bounds(trace):
    output = run("replay", trace, "--capacity", 4, "--policy", "default,lru")
    report = replay(Trace(trace), capacity=4)
    assert "120 requests, 10 keys, capacity 4" in output
    cost, share, hits, *_ = line_of(output, "default")
    assert float(cost) == pytest.approx(report.cost, rel=1e-4)
    assert share == f"{report.share:.1%}"
    assert hits == f"{report.hits / 120:.1%}"
    assert line_of(output, "lru")[-2:] == ["0%", "0%"]
    assert line_of(output, "no cache")[1:] == ["100.0%", "–", "–", "–"]
    assert [name for name in BOUNDS if name in output] == BOUNDS


def test_the_json_has_a_row_for_each_policy_capacity_and_bound(trace, tmp_path):
    result = tmp_path / "new" / "result.json"
    output = run(
        "replay", trace, "--capacity", "2,50%,8B", "--policy", "default,lru,sieve", "--json", result
    )
    found = json.loads(result.read_text())
    assert squeezed(f"wrote {result}") in squeezed(output)
    assert (found["trace"], found["skipped"]) == ("trace.csv", 0)
    names = ["default", "lru", "sieve", *BOUNDS]
    assert [(row["capacity"], row["policy"]) for row in found["rows"]] == [
        (capacity, name) for capacity in ("2", "50%", "8B") for name in names
    ]
    for row in found["rows"]:
        assert (row["requests"], row["distinct"]) == (120, 10)
        assert row["bound"] == (row["policy"] in BOUNDS)
        assert row["default"] == (row["policy"] == "default")
        assert (row["hits"] is None) == row["bound"]
        assert 0 < row["share"] <= 1
    assert [row["units"] for row in found["rows"][::6]] == [2, 5, 8]


@pytest.mark.parametrize("capacity", [3, "30%", "6B"])
def test_the_rows_are_the_reports(trace, tmp_path, capacity):
    run("replay", trace, "--capacity", capacity, "--policy", "all", "--json", tmp_path / "r.json")
    found = {row["policy"]: row for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    assert [*found] == [*POLICIES, *BOUNDS]
    units = 3 if capacity == "30%" else capacity
    bounds = limits(Trace(trace), capacity=units)
    for name, policy in POLICIES.items():
        report = replay(Trace(trace), capacity=units, policy=policy(), bounds=bounds)
        assert (found[name]["cost"], found[name]["hits"]) == (report.cost, report.hits)
        assert found[name]["evictions"] == report.evictions
        assert found[name]["share"] == report.share
    costs = [bounds.no_cache, bounds.static, bounds.optimum.lower]
    assert [found[name]["cost"] for name in BOUNDS] == costs
    lru, default = found["lru"], found["default"]
    assert lru["way_to_bound"] == 0
    way = (lru["cost"] - default["cost"]) / (lru["cost"] - bounds.optimum.lower)
    assert default["way_to_bound"] == pytest.approx(way)
    assert found[BOUNDS[2]]["way_to_bound"] == 1


def test_without_lru_there_is_no_way_from_it(trace, tmp_path):
    output = run("replay", trace, "--capacity", 3, "--policy", "lfu", "--json", tmp_path / "r.json")
    assert line_of(output, "lfu")[-2:] == ["–", "–"]
    row = json.loads((tmp_path / "r.json").read_text())["rows"][0]
    assert row["way_to_static"] is row["way_to_bound"] is None


def test_capacities_that_come_to_the_same_are_replayed_once(trace, tmp_path):
    asked = "20%,2,20%,2B,0.002kB,19%"
    run("replay", trace, "--capacity", asked, "--policy", "lru", "--json", tmp_path / "r.json")
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [(row["capacity"], row["units"]) for row in rows if row["policy"] == "lru"] == [
        ("20%", 2),
        ("2B", 2),
    ]


def test_a_policy_and_a_capacity_named_twice_are_replayed_once(trace, tmp_path):
    command = "--capacity 3,3 --policy lru,lru".split()
    run("replay", trace, *command, "--json", tmp_path / "r.json")
    assert len(json.loads((tmp_path / "r.json").read_text())["rows"]) == 1 + len(BOUNDS)


@pytest.mark.parametrize("capacity", ["3", "2,3,5", "4B,9B"])
def test_a_plot_is_a_png(trace, tmp_path, capacity):
    run("replay", trace, "--capacity", capacity, "--plot", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(PNG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot.png", "trace.csv"]


def test_a_router_learns_which_model_to_ask(pair, tmp_path):
    command = ["replay", pair, "--capacity", 2, "--policy", "default,sieve"]
    run(*command, "--json", tmp_path / "large.json")
    run(*command, "--route", "--json", tmp_path / "routed.json")
    large, routed = (
        {row["policy"]: row for row in json.loads((tmp_path / name).read_text())["rows"]}
        for name in ("large.json", "routed.json")
    )
    for name in ("default", "sieve"):
        assert large[name]["calls"] == {}
        assert routed[name]["calls"].keys() == {"small", "large"}
        assert routed[name]["cost"] < large[name]["cost"]
    assert routed["no cache"] == large["no cache"]
    assert routed[BOUNDS[2]]["cost"] < large[BOUNDS[2]]["cost"]


def test_malformed_lines_are_skipped_and_counted_when_asked(trace, tmp_path):
    lines = trace.read_text().splitlines()
    trace.write_text("\n".join([*lines[:5], "k1,much,1,0", *lines[5:], ",1,1,0"]) + "\n")
    output = run("replay", trace, "--capacity", 4, "--skip-bad", "--json", tmp_path / "r.json")
    assert "skipped 2 malformed lines" in output
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["skipped"] == 2
    assert found["rows"][0]["requests"] == 120
    assert "skipped 2" in run("advise", trace, "--storage-price", 1, "--skip-bad")


def test_an_interrupt_shows_what_was_done_and_writes_nothing(trace, tmp_path, monkeypatch):
    asked = []

    def interrupted(*arguments, **options):
        asked.append(options["policy"])
        if len(asked) == 2:
            raise KeyboardInterrupt
        return replay(*arguments, **options)

    monkeypatch.setattr(replaying, "replay", interrupted)
    files = "--json", str(tmp_path / "r.json"), "--plot", str(tmp_path / "r.png")
    command = ["replay", str(trace), "--capacity", "4", "--policy", "lru,lfu,lec", *files]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 130
    assert "interrupted; what was done so far" in ran.output
    assert line_of(ran.output, "lru")
    assert line_of(ran.output, "no cache")
    assert not re.search(r"^ *(lfu|lec)\b", ran.output, re.MULTILINE)
    assert [*tmp_path.iterdir()] == [trace]


def test_an_interrupt_before_anything_was_done_is_said_too(trace, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(replaying, "limits", interrupted)
    ran = CliRunner().invoke(app, ["replay", str(trace)])
    assert ran.exit_code == 130
    assert "interrupted" in ran.output


# Advice


def test_an_advice_says_what_is_best_and_how_sure_that_is(trace, tmp_path):
    result, plot = tmp_path / "a.json", tmp_path / "a.png"
    output = run("advise", trace, "--storage-price", 3, "--json", result, "--plot", plot)
    advice = advise(Trace(trace), storage_price=3.0)
    assert f"Least at {advice.best.capacity} entries: {advice.best.total:,.5g}" in output
    assert f"is between {advice.low} and {advice.high}." in squeezed_spaces(output)
    found = json.loads(result.read_text())
    assert found["trace"] == "trace.csv"
    assert found["policy"] == "default"
    assert found["storage_price"] == {"price": 3.0, "unit": "entry", "per": "trace"}
    assert found["best"]["capacity"] == advice.best.capacity
    assert found["best"]["total"] == advice.best.total
    assert found["range"] == [advice.low, advice.high]
    assert [p["capacity"] for p in found["curve"]] == [p.capacity for p in advice.curve]
    assert plot.read_bytes().startswith(PNG)


def squeezed_spaces(text):
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_is_advised_as_it_is_replayed(trace, tmp_path, name):
    command = "--storage-price", "0.5", "--policy", name
    run("advise", trace, *command, "--json", tmp_path / "a.json")
    for point in json.loads((tmp_path / "a.json").read_text())["curve"][1:]:
        report = replay(Trace(trace), capacity=point["capacity"], policy=POLICIES[name]())
        assert point["misses"] == pytest.approx(report.cost)


def test_a_price_per_hour_counts_the_hours_of_the_trace(trace, tmp_path):
    # 119 steps of 10 seconds: 1190 of the 3600 seconds of an hour; a day has 24 of these.
    for per, price in (("hour", 9.0), ("day", 9.0 * 24), ("month", 9.0 * 24 * 30)):
        command = "--storage-price", price, "--per", per, "--json", tmp_path / "a.json"
        run("advise", trace, *command)
        point = json.loads((tmp_path / "a.json").read_text())["curve"][1]
        assert point["storage"] == pytest.approx(point["capacity"] * 9.0 * 1190 / 3600)


def test_a_trace_of_one_second_is_no_exception(tmp_path):
    trace = tmp_path / "short.csv"
    trace.write_text("key,time\na,0\na,0.5\na,1\n")
    run("advise", trace, "--storage-price", 3600, "--per", "hour", "--json", tmp_path / "a.json")
    point = json.loads((tmp_path / "a.json").read_text())["curve"][1]
    assert (point["capacity"], point["storage"]) == (1, 1.0)


def test_a_price_per_megabyte_counts_bytes(trace, tmp_path):
    command = "--storage-price", "1e5", "--unit", "MB", "--json", tmp_path / "a.json"
    assert "bytes" in run("advise", trace, *command)
    curve = json.loads((tmp_path / "a.json").read_text())["curve"]
    assert curve[-1]["capacity"] == sum(1 + key % 3 for key in range(10))
    assert curve[-1]["storage"] == pytest.approx(0.1 * curve[-1]["capacity"])


def test_a_sample_of_the_keys_is_followed_and_said(trace, tmp_path):
    command = "--storage-price", 3, "--sample", 0.5, "--json", tmp_path / "a.json"
    assert "Estimated from 0.5 of the keys." in run("advise", trace, *command)
    told = json.loads((tmp_path / "a.json").read_text())
    advice = advise(Trace(trace), storage_price=3.0, sample=0.5)
    assert told["sample"] == 0.5
    assert told["best"]["capacity"] == advice.best.capacity


def test_storage_that_is_too_expensive_is_advised_against(trace):
    output = run("advise", trace, "--storage-price", 1e9)
    assert "No cache is worth its storage here" in squeezed_spaces(output)


# What is refused


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["--policy", "best"], "--policy must be some of default, lec"),
        (["--policy", "lru,best,worst"], "or all, got 'best, worst'"),
        (["--capacity", "0"], "positive number of entries or a size like '512MB', got 0"),
        (["--capacity", "-3"], "got '-3'"),
        (["--capacity", "12 parsecs"], "got '12 parsecs'"),
        (["--capacity", ""], "got ''"),
        (["--capacity", "0%"], "--capacity must be entries, a share of the keys (5%) or a size"),
        (["--capacity", "101%"], "got '101%'"),
        (["--capacity", "many%"], "got 'many%'"),
        (["--capacity", "nan%"], "got 'nan%'"),
        (["--capacity", "10,64MB", "--plot", "x.png"], "all in entries or all in bytes"),
        (["--route"], "--route needs two columns cost_<model> or more, got []"),
    ],
)
def test_a_wrong_value_is_one_line(trace, refused, command, told):
    assert squeezed(told) in refused("replay", trace, *command)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "query,cost\nx,1\n", "a.csv:1: a header with a column key was expected"),
        (
            "a.csv",
            "key,cost\nx,1\ny,much\n",
            "a.csv:3: cost must be a number >= 0 and below 1e+36, got 'much'",
        ),
        (
            "a.tsv",
            "key\tsize\nx\t0\n",
            "a.tsv:2: size must be an integer from 1 to 10**15, got '0'",
        ),
        ("a.jsonl", '{"key": "x"}\nkey\n', "a.jsonl:2: a JSON object was expected, got 'key"),
        ("a.csv", "key,cost\n", "a.csv must have a request, got none"),
        ("a.csv", "", "a.csv:1: a header with a column key was expected"),
        ("a.txt", "key\nx\n", ".txt"),
        (None, None, "none.csv: no such file"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, refused, name, content, told):
    path = tmp_path / (name or "none.csv")
    if name:
        path.write_text(content)
    for capacity in ("2", "50%"):
        assert squeezed(told) in refused("replay", path, "--capacity", capacity)


def test_a_route_of_one_model_is_refused(tmp_path, refused):
    path = tmp_path / "one.csv"
    path.write_text("key,cost_small\nx,1\n")
    told = squeezed("--route needs two columns cost_<model> or more, got ['small']")
    assert told in refused("replay", path, "--route")


@pytest.mark.parametrize(
    ("content", "command", "told"),
    [
        ("key\nx\ny\n", ["--per", "day"], "--per day needs a column `time`, in seconds"),
        (
            "key,time\nx,5\ny,5\n",
            ["--per", "hour"],
            "needs a time that goes on, got one from 5.0 to 5.0",
        ),
        (
            "key,time\nx,5\ny,4\n",
            ["--per", "hour"],
            "needs a time that goes on, got one from 5.0 to 4.0",
        ),
        ("key,time\n", ["--per", "hour"], "trace must have a request, got an empty one"),
        ("key\n", [], "trace must have a request, got an empty one"),
        ("key\nx\n", ["--policy", "best"], "got 'best'"),
        ("key\nx\n", ["--policy", "lru,lfu"], "--policy must be one of default"),
        ("key\nx\n", ["--policy", "all"], "got 'all'"),
        (
            "key\nx\n",
            ["--storage-price", "inf"],
            "storage_price must be a finite number >= 0, got inf",
        ),
    ],
)
def test_an_advice_refuses_in_one_line(tmp_path, refused, content, command, told):
    path = tmp_path / "a.csv"
    path.write_text(content)
    command = "advise", path, "--storage-price", 1, *command
    assert squeezed(told) in refused(*command)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["replay"], "Missing argument"),
        (["advise", "x.csv"], "Missing option '--storage-price'"),
        (["advise", "x.csv", "--storage-price", "-1"], "greater than or equal to 0"),
        (["advise", "x.csv", "--storage-price", "nan"], "greater than or equal to 0"),
        (["advise", "x.csv", "--storage-price", "1", "--per", "week"], "'week' is not one of"),
        (["advise", "x.csv", "--storage-price", "1", "--unit", "TB"], "'TB' is not one of"),
    ],
)
def test_a_wrong_option_is_a_usage_error(command, told):
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 2
    assert squeezed(told) in squeezed(ran.output)


@pytest.mark.parametrize(
    "command", [["replay", "--capacity", "3"], ["advise", "--storage-price", "1"]]
)
def test_a_plot_without_matplotlib_is_refused_and_the_table_shown(
    trace, tmp_path, monkeypatch, refused, command
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plot = tmp_path / "x.png"
    said = refused(command[0], trace, *command[1:], "--plot", plot)
    assert squeezed("a plot needs matplotlib: pip install 'langchain-cachemux[lab]'") in said
    assert squeezed("no cache") in said or squeezed("misses and storage") in said
    assert not plot.exists()


# Files


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "er" / "a.json"
    write(path, "é")
    write(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    with pytest.raises(UnicodeEncodeError):
        write(path, "\ud800")
    assert path.read_bytes() == b"\x00"
    assert [*path.parent.iterdir()] == [path]


def test_a_name_in_brackets_is_shown_as_it_is(tmp_path, capsys):
    write(tmp_path / "[red].json", "x")
    assert "[red].json" in squeezed(capsys.readouterr().out)


def test_the_plot_is_of_what_was_asked(trace, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        charts, "replayed", lambda reports, default: drawn.append((reports, default)) or PNG
    )
    command = "--capacity", "2,3", "--policy", "lru,default", "--plot", tmp_path / "x.png"
    run("replay", trace, *command)
    ((reports, default),) = drawn
    assert default == "default"
    assert [(r.capacity, r.policy) for r in reports] == [
        (2, "lru"),
        (2, "default"),
        (3, "lru"),
        (3, "default"),
    ]


SIZELESS = {"a.csv": "key,cost\nx,1\ny,1\n", "a.jsonl": '{"key": "x"}\n{"key": "y"}\n'}


@pytest.mark.parametrize("name", SIZELESS)
@pytest.mark.parametrize(
    "command",
    [
        ["replay", "--capacity", "10B"],
        ["replay", "--capacity", "1, 50%, 1kB"],
        ["advise", "--storage-price", "1", "--unit", "MB"],
        ["advise", "--storage-price", "1", "--unit", "kB", "--per", "hour"],
    ],
    ids=" ".join,
)
def test_bytes_are_not_counted_of_a_trace_without_sizes(tmp_path, refused, name, command):
    path = tmp_path / name
    path.write_text(SIZELESS[name])
    told = f"{name}:1: size was expected, because bytes are counted; got 'key"
    assert squeezed(told) in refused(command[0], path, *command[1:])


@pytest.mark.parametrize("name", SIZELESS)
def test_entries_are_counted_of_a_trace_without_sizes(tmp_path, name):
    path = tmp_path / name
    path.write_text(SIZELESS[name])
    run("replay", path, "--capacity", "1,50%")
    run("advise", path, "--storage-price", 1, "--unit", "entry")
