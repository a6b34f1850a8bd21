"""The benchmark of a long load: what it draws and counts, and a small run of it that has to be flat."""

import json
import random
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import soak

from langchain_cachemux import LECCache


def test_every_town_has_a_name_of_its_own():
    assert len({soak.town(number) for number in range(16**4)}) == 16**4


def test_the_stream_follows_zipf_and_one_in_twenty_is_asked_in_other_words():
    drawn = list(soak.questions(20_000, 100, seed=1))
    counts = Counter(number for number, _ in drawn)
    assert counts[0] / counts[31] == pytest.approx(32**0.8, rel=0.25)
    assert sum(text.startswith("Hello") for _, text in drawn) == pytest.approx(1000, rel=0.2)
    assert all(soak.town(number) in text for number, text in drawn)


def test_other_words_for_a_town_have_its_vector_and_no_other_town_has():
    drawn = soak.Drawn()
    one, same, other = drawn.embed_documents(
        ["Where is Baba?", "Hello! Where is Baba?", "Is Cece?"]
    )
    assert one == same != other


def test_a_tenth_is_told_in_milliseconds_with_its_wrong_answers():
    tenth = soak.Tenth([0.001] * 99 + [0.2], [0.002], operations=200, wrong=3, seconds=2.0)
    row = tenth.row(None)
    assert (row["a second"], row["hit rate"], row["wrong"], row["disk"]) == (100, 0.5, 3, None)
    assert row["hit"]["p50"] == pytest.approx(1.0)
    assert row["update"] == pytest.approx({"p50": 2.0, "p99": 2.0})


def test_flat_is_the_last_tenth_over_the_first_that_was_full():
    def row(scale):
        times = {"p50": scale, "p99": 2 * scale}
        return {"hit": times, "update": times, "memory": 100 * scale, "disk": None}

    ratios = soak.flat([row(9.0), row(1.0), row(5.0), row(1.5)])
    assert ratios == pytest.approx(dict.fromkeys(ratios, 1.5))
    assert len(ratios) == 5


@pytest.mark.parametrize("folder", [None, "cache"])
def test_a_long_load_serves_nothing_wrong_and_keeps_to_its_memory_and_disk(
    tmp_path, folder, monkeypatch
):
    clock = SimpleNamespace(perf_counter=time.process_time)  # what else a machine does is not its
    monkeypatch.setattr(soak, "time", clock)
    path = None if folder is None else tmp_path / folder
    with LECCache(path, embeddings=soak.Drawn(), capacity=500) as cache:
        tenths = soak.soak(cache, 20_000, 2500)
        assert cache.check() == []
        stats = cache.stats()
    assert sum(tenth["wrong"] for tenth in tenths) == stats.errors == 0
    assert stats.hits_semantic > 0 < stats.evicted
    ratios = soak.flat(tenths, full=2)
    assert ratios["memory"] < 1.15
    assert ratios.get("disk", 1.0) < 1.5
    assert ratios["hit p50"] < 3.0 > ratios["update p50"]  # alone it is 1


def test_malformed_prompts_are_of_every_kind_and_never_raise():
    rng = random.Random(0)
    prompts = [soak.malformed(rng) for _ in range(300)]
    kinds = [_is_json(prompt) for prompt in prompts]
    assert 50 < sum(kinds) < 250
    assert any("\ud800" in prompt for prompt in prompts)
    assert any("\x00" in prompt for prompt in prompts)
    fuzzed = soak.fuzz_prompts(1000)
    assert (fuzzed["wrong"], fuzzed["raised"]) == (0, 0)


def test_rows_written_into_at_random_serve_no_wrong_answer():
    fuzzed = soak.fuzz_rows(500)
    assert fuzzed["rows"] >= 500
    assert (fuzzed["wrong"], fuzzed["raised"]) == (0, 0)
    assert 0 < fuzzed["lost"] < fuzzed["asked"]


def _is_json(prompt):
    try:
        json.loads(prompt)
    except ValueError:
        return False
    return True
