"""The benchmark of first tokens and of a loop's delays, and what any machine can say of its goals."""

import asyncio
import math
import time

import first_token
import pytest
import results
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage, HumanMessage

LIMIT = 16.0
"""A miss's first token beyond its lookup, in units of LangChain's own `invoke` before its own cache. One
text more to embed would be some 50 of them."""


@pytest.fixture(scope="module")
def rows():
    embeddings = DeterministicFakeEmbedding(size=64)
    return {row["first token"]: row for row in first_token.measured(3, 20, embeddings)}


@pytest.mark.parametrize("face", ["cached", "MultiplexedLLM"])
def test_a_misss_first_token_is_soon_there_once_the_cache_was_asked(rows, face):
    yardstick = rows[first_token.YARDSTICK]["cpu"]["least"]
    assert rows[f"{face}, stream"]["cpu"]["least"] < LIMIT * yardstick


def test_every_way_and_face_is_a_row_and_only_a_stream_of_one_thread_has_cpu_time(rows):
    assert len(rows) == 15
    for name, row in rows.items():
        assert (row["cpu"] is None) == ("astream" in name)
        assert 0 < row["wall"]["least"] <= row["wall"]["median"] <= row["wall"]["most"]


def test_the_lookup_is_taken_off_a_time():
    class Cache(first_token.Timed):
        took = (30.0, 20.0)

    def ask(model, asked):
        assert [one.text for one in asked] == ["before", "Hi"]
        return 31.0, 20.5

    row = ask, None, Cache, [AIMessage("before")]
    assert first_token.beyond(row, iter(["Hi"])) == (1.0, 0.5)
    assert first_token.told("one", [(3.0, 1.0), (9.0, 2.0), (4.0, 8.0)]) == {
        "first token": "one",
        "wall": {"median": 4.0, "least": 3.0, "most": 9.0},
        "cpu": {"median": 2.0, "least": 1.0, "most": 8.0},
    }
    assert first_token.told("one", [(3.0, math.nan)])["cpu"] is None


def test_a_questions_clock_stops_at_its_first_chunk():
    class Slow(first_token.Echo):
        def _stream(self, *args, **kwargs):
            first, *rest = super()._stream()
            yield first
            time.sleep(0.3)
            yield from rest

    for ask in (first_token.streamed, first_token.astreamed):
        began = time.perf_counter()
        wall, _ = ask(Slow(), [HumanMessage("Hi")])
        assert 1e3 * (time.perf_counter() - began) - wall > 250


def test_a_loops_delay_is_how_late_a_task_wakes():
    async def blocking():
        for _ in range(20):
            time.sleep(0.03)  # noqa: ASYNC251
            await asyncio.sleep(0)

    late = asyncio.run(first_token.delays(blocking()))
    assert max(late) > 25
    assert first_token.late([1.0] * 90 + [50.0] * 10) == pytest.approx(50.0)


def test_what_is_kept_was_measured_of_all_beside_what_langchain_takes_and_a_loop_alone(rows):
    kept = results.read(results.FOLDER / "first_token.json")
    first = {row["first token"]: row["wall"] for row in kept["milliseconds beyond the lookup"]}
    assert first.keys() == rows.keys()
    for face in ("cached", "MultiplexedLLM"):
        assert first[f"{face}, stream"]["median"] < LIMIT * first[first_token.YARDSTICK]["median"]
    loop = kept["99th percentile of a loop's delay in milliseconds"]
    assert loop.keys() == {"nothing else", f"{first_token.AT_ONCE} lookups"}
    assert loop[f"{first_token.AT_ONCE} lookups"]["median"] <= first_token.GAP
