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
LANGCHAINS_OWN = "import langchain_core.caches"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def imported(statement: str) -> set[str]:
    """The modules that Python holds once it has run a statement, and not before."""
    held = "import sys; before = {{*sys.modules}}; {}; print(*sys.modules.keys() - before)"
    return set(python("-c", held.format(statement)).stdout.split())


def packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_importing_the_package_loads_itself_and_the_standard_library():
    loaded = packages(imported("import langchain_cachemux"))
    assert loaded - sys.stdlib_module_names == {"langchain_cachemux"}


def test_importing_a_face_loads_nothing_heavy():
    for face in ("LECCache", "MultiplexedLLM"):
        loaded = packages(imported(f"from langchain_cachemux import {face}"))
        assert "langchain_core" in loaded
        assert not HEAVY & loaded


def test_the_cache_loads_numpy_and_some_seventy_modules_more_than_langchains_own_cache_interface():
    more = imported("from langchain_cachemux import LECCache") - imported(LANGCHAINS_OWN)
    assert {"langchain_cachemux", "numpy"} <= packages(more)
    assert len([module for module in more if not module.startswith("numpy")]) <= 75


def test_the_public_names_fit_on_one_screen():
    assert len(langchain_cachemux.__all__) <= 40


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
