import subprocess
import sys
from collections import Counter
from importlib import import_module

import pytest

import langchain_cachemux

HEAVY = {
    "chromadb",
    "sentence_transformers",
    "sklearn",
    "sqlalchemy",
    "torch",
    "transformers",
}
TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def imported(statement: str) -> set[str]:
    """The top-level packages that a statement loads, by Python's own account."""
    lines = python("-X", "importtime", "-c", statement).stderr.splitlines()
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_importing_the_package_loads_nothing_heavy():
    loaded = imported("import langchain_cachemux")
    assert "langchain_cachemux" in loaded
    assert not HEAVY & loaded


def test_importing_the_cache_itself_loads_nothing_heavy():
    loaded = imported("from langchain_cachemux import LECCache")
    assert "langchain_core" in loaded
    assert not HEAVY & loaded


def test_the_package_imports_in_the_time_of_langchains_own_cache_interface():
    ours, theirs = [], []
    for _ in range(3):
        ours.append(float(python("-c", TIMED.format("langchain_cachemux")).stdout))
        theirs.append(float(python("-c", TIMED.format("langchain_core.caches")).stdout))
    assert min(ours) <= 1.3 * min(theirs)


@pytest.mark.parametrize("name", langchain_cachemux.__all__)
def test_a_public_name_is_the_one_its_module_defines(name):
    home = import_module(f"langchain_cachemux.{langchain_cachemux._HOME[name]}")
    found = getattr(langchain_cachemux, name)
    assert found is vars(home)[name]
    assert getattr(found, "__module__", home.__name__) in (home.__name__, "collections.abc")


def test_all_is_the_table_of_names_and_names_nothing_twice():
    table = [name for names in langchain_cachemux._NAMES.values() for name in names.split()]
    assert Counter(langchain_cachemux.__all__) == Counter(table)
    assert max(Counter(table).values()) == 1
    assert dir(langchain_cachemux) == sorted(langchain_cachemux.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="no attribute 'Gonzales'"):
        _ = langchain_cachemux.Gonzales
