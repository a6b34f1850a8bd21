"""What `cachemux` costs before it does anything, and what it says when a part is not installed."""

import json
import subprocess
import sys

import pytest

from langchain_cachemux.cli import main

HEAVY = {
    "chromadb",
    "genai_prices",
    "langchain",
    "langchain_core",
    "matplotlib",
    "numpy",
    "rich",
    "sentence_transformers",
    "sklearn",
    "sqlalchemy",
    "torch",
    "transformers",
}
MAIN = """
import sys
from langchain_cachemux.cli import main
sys.argv = ["cachemux", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    code = stop.code
"""
SPENT = """
import json, resource, sys
spent = resource.getrusage(resource.RUSAGE_SELF)
print()
print(json.dumps([code, spent.ru_utime + spent.ru_stime, list(sys.modules)]))
"""


def ran(*command, without=(), work=MAIN):
    """Run a command in a process of its own: exit code, CPU seconds and top-level modules."""
    absent = "".join(f"import sys; sys.modules[{name!r}] = None\n" for name in without)
    done = subprocess.run(
        [sys.executable, "-c", absent + work + SPENT, *command],
        check=True,
        capture_output=True,
        text=True,
    )
    *_, last = done.stdout.splitlines()
    code, seconds, modules = json.loads(last)
    return done, code, seconds, {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    "command",
    [["--help"], *([name, "--help"] for name in ("demo", "ask", "replay", "fit", "stats"))],
)
def test_help_loads_nothing_heavy(command):
    done, code, _, modules = ran(*command)
    assert code == 0
    assert "Usage: cachemux" in done.stdout
    assert "typer" in modules
    assert not HEAVY & modules


def test_help_takes_little_more_cpu_than_to_import_what_writes_it():
    told, typer = [], []
    for _ in range(3):
        told.append(ran("--help")[2])
        typer.append(ran(work="import typer; code = 0")[2])
    assert min(told) < 2.5 * min(typer)  # with rich it is 3 times as much


def test_help_fits_a_terminal_of_80_columns():
    lines = ran("--help")[0].stdout.splitlines()[:-1]
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[lines.index("Commands:") :])


def test_the_package_can_be_run_where_the_command_is_not_on_the_path():
    told = subprocess.run(
        [sys.executable, "-m", "langchain_cachemux", "stats", "no-such-folder"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 2
    assert told.stderr == "error: no-such-folder holds no cache: there is no ledger.db in it\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(missing):
    done, code, *_ = ran("--help", without=[missing])
    assert code == 2
    assert done.stderr == (
        f"error: the command line needs {missing}: pip install 'langchain-cachemux[cli]'\n"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "a.csv: no such file"),
        (PermissionError(13, "Permission denied", "a.csv"), "a.csv: permission denied"),
        (OSError("the weights are not those"), "the weights are not those"),
        (ValueError("capacity must be 1"), "capacity must be 1"),
    ],
)
def test_an_error_is_a_line_on_stderr_and_exit_code_2(monkeypatch, capsys, error, told):
    def fails():
        raise error

    monkeypatch.setattr("langchain_cachemux.cli.app.app", fails)
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    assert said.err.startswith(f"error: {told}")
    assert said.err.count("\n") == 1
