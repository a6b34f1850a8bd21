"""`cachemux doctor` tells what is installed as the package's own metadata know it."""

import sys
from importlib.metadata import version

from typer.testing import CliRunner

from langchain_cachemux.cli import doctor
from langchain_cachemux.cli.app import app

REQUIRED = [
    "chromadb<2,>=1.5",
    "rich>=13; extra == 'cli'",
    "no-such-package>=1; extra == 'cli'",
    "no-such-package>=1; extra == 'lab'",
    "unwanted>=1; python_version < '3'",
]


def test_it_prints_the_facts_of_this_machine():
    said = " ".join(CliRunner().invoke(app, ["doctor"]).output.split())
    assert f"langchain-cachemux {version('langchain-cachemux')}" in said
    assert f"Python {sys.version.split()[0]}" in said
    assert f"chromadb {version('chromadb')}" in said
    assert "encoder sentence-transformers/all-MiniLM-L6-v2: weights" in said


def test_what_an_extra_lacks_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _: REQUIRED)
    assert doctor.installed("") == f"always: chromadb {version('chromadb')}"
    assert doctor.installed("cli") == (
        f"extra cli: rich {version('rich')}; not installed: no-such-package"
    )
    assert doctor.installed("lab") == "extra lab: not installed: no-such-package"
