"""Many processes on one cache, a small version of `benchmarks/stress.py`."""

import pytest
import stress


@pytest.fixture(params=["folder", "servers"])
def where(request, tmp_path):
    """A shared folder, or the addresses of a PostgreSQL and a Chroma server."""
    if request.param == "folder":
        return str(tmp_path)
    return f"{request.getfixturevalue('database')} {request.getfixturevalue('chroma').url}"


def test_a_cache_too_small_for_all_is_never_exceeded_and_counts_all(where, monkeypatch):
    monkeypatch.setattr(stress, "SMALL", 15)
    told = stress.crowded(where, processes=2, operations=60)
    late = told["errors"]  # on a machine that does much else
    assert late < 30
    assert abs(told["hits"] + told["misses"] - 120) <= late
    assert abs(told["requests counted"] - 120) <= late
    assert told["held"] <= told["most ever held"] <= 15
    assert told["held and never stored"] == 0
    assert told["stored and found"] >= told["held"]
    assert told["problems"] == []


def test_processes_that_are_killed_lose_nothing_that_they_stored(where):
    told = stress.killed(where, processes=2, kills=4)
    assert told["stored"] > 20
    assert told["lost"] == 0
    assert told["problems"] == []


def test_threads_tasks_and_forked_workers_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stress, "SMALL", 15)
    told = stress.embedded(str(tmp_path), operations=160)
    assert told["workers that failed"] == 0
    assert told["held"] <= 15
    assert told["problems"] == []
