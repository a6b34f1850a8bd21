"""Whatever holds locks and what was learned is shared by its copies, and pickled by its name."""

import copy
import gc
import pickle
import subprocess
import sys

import pytest
from fakes import QUESTION, Fake, lec, multiplexed, told

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(),
    "model_copy(deep=True)": lambda model: model.model_copy(deep=True),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301
}
every_copy = pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)


@every_copy
def test_a_copy_of_a_multiplexer_shares_cache_router_and_counts(again):
    mux = multiplexed(cache=lec())
    twin = again(mux)
    twin.invoke(QUESTION)
    assert told(mux.invoke(QUESTION))["hit"] == "exact"
    assert twin.router is mux.router
    assert twin.stats() == mux.stats()


@every_copy
def test_a_copy_of_what_tools_are_bound_to_shares_them_too(again):
    mux = multiplexed(cache=lec())
    bound = mux.bind_tools([])
    assert again(bound).bound.router is mux.router


@every_copy
def test_a_copy_of_a_model_that_has_a_cache_shares_the_cache(again):
    model = Fake(model="small", cache=lec())
    model.invoke(QUESTION)
    twin = again(model)
    assert told(twin.invoke(QUESTION))["hit"] == "exact"
    assert len(twin.calls) == 1


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, COPIES["pickle"]])
def test_a_cache_is_its_own_copy(again):
    cache = lec()
    assert again(cache) is cache
    assert again([cache, cache]) == [cache, cache]


def test_in_another_process_a_pickle_says_what_it_would_have_needed(tmp_path):
    kept = tmp_path / "cache.pickle"
    kept.write_bytes(pickle.dumps(lec()))
    load = f"import pickle; pickle.load(open({str(kept)!r}, 'rb'))"
    ran = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=False)
    assert "UnpicklingError: this LECCache was pickled in another process, or is gone" in ran.stderr


def test_a_pickle_of_what_is_gone_is_refused_and_never_another_thing():
    cache = lec()
    kept = pickle.dumps(cache)
    del cache
    gc.collect()
    others = [lec() for _ in range(20)]
    assert [COPIES["pickle"](other) is other for other in others] == [True] * 20
    with pytest.raises(pickle.UnpicklingError, match="is gone"):
        pickle.loads(kept)  # noqa: S301
