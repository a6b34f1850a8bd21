"""Stores that are slow, hang, are locked or full: hits go on, nothing is waited for long, all heals."""

import math
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from fakes import Words
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel
from langchain_core.outputs import Generation

from langchain_cachemux import LECCache, MultiplexedLLM, Reader
from langchain_cachemux import patience as patience_module
from langchain_cachemux.life import CLOSED

LLM = "a model"
SOON, BEGUN = 0.2, 0.5
"""Seconds that a folder has in these tests; and where what is late must have begun."""
LONG = 30.0
"""Seconds that what hangs would hang; far beyond what a busy machine takes for the rest."""
HELD = (0, 1)


def question(number):
    return f"Where is town {number}?"


def reworded(number):
    """Other than `question` by a blank: another key, the same vector."""
    return f"{question(number)} "


def plain(text):
    return [Generation(text=text)]


class Clock:
    """How long something took."""

    def __enter__(self):
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.took = time.monotonic() - self.began


@pytest.fixture(autouse=True)
def _healed_soon(monkeypatch):
    monkeypatch.setattr(patience_module, "SHORTEST", 0.05)
    monkeypatch.setattr(patience_module, "LONGEST", 0.1)


@pytest.fixture
def gate():
    """What hangs waits for it; opened at the end, so that no thread is left behind."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def cache(tmp_path):
    embeddings = DeterministicFakeEmbedding(size=16)
    with LECCache(tmp_path / "cache", embeddings=embeddings, match=0.99) as cache:
        assert all(stored(cache, number) for number in HELD)
        shelf = cache._shelf
        for part in (shelf, shelf._reading, shelf._searching, shelf._writing):
            part.deadline = SOON
        yield cache


def stored(cache, number):
    cache.update(question(number), LLM, plain(f"{number}"))
    return exact(cache, number)


def exact(cache, number):
    return cache.lookup(question(number), LLM) == plain(f"{number}")


def semantic(cache, number):
    return cache.lookup(reworded(number), LLM) == plain(f"{number}")


def until(holds):
    """Wait until it holds, as it must in the end."""
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def hangs(monkeypatch, part, method, gate):
    """A method waits for the gate first; returns what takes that back."""
    right = getattr(part, method)

    def hang(*args, **kwargs):
        gate.wait(LONG)
        return right(*args, **kwargs)

    monkeypatch.setattr(part, method, hang)
    return lambda: monkeypatch.setattr(part, method, right)


def test_a_ledger_that_hangs_at_reading_costs_misses_and_is_read_again_when_it_answers(
    cache, gate, monkeypatch
):
    let_go = hangs(monkeypatch, cache.ledger, "get", gate)
    with Clock() as clock:
        assert not any(exact(cache, number) for number in HELD * 20)
    assert clock.took < LONG / 2
    let_go()
    until(lambda: exact(cache, 0))
    until(lambda: semantic(cache, 0))


def test_while_a_store_is_spared_a_lookup_waits_for_nothing(cache, gate, monkeypatch):
    monkeypatch.setattr(patience_module, "SHORTEST", LONG)
    hangs(monkeypatch, cache.ledger, "get", gate)
    assert not exact(cache, 0)
    with Clock() as clock:
        assert not any(exact(cache, 0) for _ in range(200))
    assert clock.took / 200 < SOON / 4
    assert cache.stats().errors == 201


def test_an_index_that_hangs_costs_the_semantic_hits_alone(cache, gate, monkeypatch):
    let_go = hangs(monkeypatch, cache.index, "nearest", gate)
    with Clock() as clock:
        assert not any(semantic(cache, number) for number in HELD * 20)
    assert clock.took < LONG / 2
    until(lambda: exact(cache, 0))
    let_go()
    until(lambda: semantic(cache, 0))


@pytest.fixture
def late(tmp_path):
    """A cache whose updates give up soon, once its lock is held."""
    with LECCache(tmp_path / "cache", embeddings=Words(), match=0.99) as cache:
        assert stored(cache, 0)
        cache._shelf._writing.deadline = BEGUN
        yield cache


@pytest.mark.parametrize(
    "forget",
    [
        lambda cache, key: cache.doubt(key),
        lambda cache, key: cache.forget(question(7)),
        lambda cache, key: cache.clear(),
        lambda cache, key: cache.feedback(key, ok=False),
    ],
    ids=["doubt", "forget", "clear", "feedback"],
)
def test_an_answer_that_is_written_late_is_not_written_once_it_was_forgotten(late, forget):
    """The update gave up waiting for the folder; its writer still waits for its turn."""
    with late._shelf.lock:
        late.update(question(7), LLM, plain("7"))
        assert late.stats().errors == 1
        forget(late, late.reader.read(question(7), LLM).key)
    until(lambda: late.stats().refused == 1)
    until(lambda: not late._shelf.doubted)
    assert not exact(late, 7)


def test_an_answer_that_is_written_late_is_written_where_another_was_in_doubt(late):
    with late._shelf.lock:
        late.update(question(7), LLM, plain("7"))
        late.doubt(late.reader.read(question(0), LLM).key)
    until(lambda: late.stats().admitted == 2)
    assert exact(late, 7)


def test_a_hit_is_served_whether_it_can_be_counted_or_not(cache, monkeypatch):
    def fails(*_, **__):
        raise sqlite3.OperationalError

    monkeypatch.setattr(cache.ledger, "use", fails)
    before = cache.stats()
    for found in (exact, semantic):
        until(lambda found=found: found(cache, 0))
    after = cache.stats()
    assert after.hits_exact > before.hits_exact
    assert after.hits_semantic > before.hits_semantic
    assert after.errors >= before.errors + 2


def test_a_ledger_that_hangs_at_writing_drops_updates_and_hits_go_on(cache, gate, monkeypatch):
    let_go = hangs(monkeypatch, cache.ledger, "admit", gate)
    before = cache.stats().admitted
    with Clock() as clock:
        for number in range(10, 60):
            cache.update(question(number), LLM, plain(f"{number}"))
    assert clock.took < LONG / 2
    for found in (exact, semantic):
        until(lambda found=found: found(cache, 0))
    assert cache.stats().admitted == before
    let_go()
    gate.set()
    number = next(n for n in range(60, 6000) if stored(cache, n))  # each once, however late
    until(lambda: semantic(cache, number))
    until(lambda: (now := cache.stats()).entries == now.admitted - now.evicted)


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_database_that_another_program_has_locked_is_read_and_written_when_it_is_free(
    cache, lock
):
    other = sqlite3.connect(cache.path / "ledger.db", isolation_level=None)
    other.execute(lock)
    with Clock() as clock:
        for number in HELD * 5:
            until(lambda n=number: exact(cache, n))
            until(lambda n=number: semantic(cache, n))
        for number in range(10, 20):
            cache.update(question(number), LLM, plain(f"{number}"))
    assert clock.took < LONG / 2
    other.execute("ROLLBACK")
    other.close()
    until(lambda: stored(cache, 20))
    until(lambda: semantic(cache, 20))


def test_a_database_that_is_deleted_or_overwritten_raises_nothing_and_serves_nothing_wrong(cache):
    path = cache.path / "ledger.db"
    path.rename(path.with_name("moved.db"))
    for number in range(30):
        assert cache.lookup(question(number), LLM) in (None, plain(f"{number}"))
        cache.update(question(number), LLM, plain(f"{number}"))
    path.with_name("moved.db").write_bytes(b"no database" * 10_000)
    for number in range(30):
        assert cache.lookup(question(number), LLM) in (None, plain(f"{number}"))
        assert cache.lookup(reworded(number), LLM) in (None, plain(f"{number}"))
        cache.update(question(number), LLM, plain(f"{number}"))


CHILD = """
import resource, sys, time
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.outputs import Generation
from langchain_cachemux import LECCache

def question(number): return f"Where is town {number}?"
def plain(number): return [Generation(text=str(number) * 2000)]
def until(holds):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, cache.stats()
        time.sleep(0.05)
def stored(number):
    cache.update(question(number), "m", plain(number))
    return cache.lookup(question(number), "m") == plain(number)

path = sys.argv[1]
cache = LECCache(path, embeddings=DeterministicFakeEmbedding(size=16), match=0.99, deadline=60.0)
for number in range(5):
    until(lambda: stored(number))
    until(lambda: cache.lookup(question(number) + " ", "m") == plain(number))
"""
FULL = """
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
before, dropped = cache.stats(), 0
for number in range(100, 200):
    cache.update(question(number), "m", plain(number))
    for held in range(5):
        until(lambda: cache.lookup(question(held), "m") == plain(held))
        until(lambda: cache.lookup(question(held) + " ", "m") == plain(held))
full = cache.stats()
assert full.errors > before.errors, full
assert full.admitted - before.admitted < 100, full
acknowledged = [n for n in range(100, 200) if cache.lookup(question(n), "m") == plain(n)]
assert len(acknowledged) >= full.admitted - before.admitted, (acknowledged, full)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
until(lambda: stored(300))
until(lambda: cache.lookup(question(300) + " ", "m") == plain(300))
assert cache.check() == [], cache.check()
cache.close()
cache = LECCache(path, embeddings=DeterministicFakeEmbedding(size=16), match=0.99, deadline=60.0)
for number in [*range(5), *acknowledged, 300]:
    assert cache.lookup(question(number), "m") == plain(number), number
assert cache.check() == []
print("well")
"""


def in_child(code, *arguments, start=CHILD):
    """What a script says that runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", start + code, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_on_a_full_disk_hits_go_on_and_nothing_is_acknowledged_that_is_not_kept(tmp_path):
    pytest.importorskip("resource", reason="no limit of a file's size here")
    assert in_child(FULL, tmp_path / "cache") == ["well"]


# Embedders


class Dead(Words):
    def embed_query(self, text):
        super().embed_query(text)
        message = "away"
        raise ConnectionError(message)


class Hung(Words):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def embed_query(self, text):
        vector = super().embed_query(text)
        self.gate.wait(LONG)
        return vector


def multiplexed(embeddings):
    models = [FakeListChatModel(responses=["yes"]), FakeListChatModel(responses=["no"])]
    cache = LECCache(reader=Reader(embeddings, deadline=BEGUN))
    return MultiplexedLLM(small=models[0], large=models[1], cache=cache)


@pytest.mark.parametrize("conversation", [False, True], ids=["a question", "a conversation"])
@pytest.mark.parametrize("kind", [Dead, Hung])
def test_an_embedder_that_is_dead_or_hangs_is_asked_once_a_call_and_then_not_at_all(
    kind, conversation, gate, monkeypatch
):
    monkeypatch.setattr(patience_module, "SHORTEST", LONG)
    monkeypatch.setattr(patience_module, "LONGEST", LONG)
    embeddings = kind(gate) if kind is Hung else kind()
    llm = multiplexed(embeddings)
    asked = []
    with Clock() as clock:
        for number in range(6):
            before = len(embeddings.asked)
            earlier = [("human", f"Say {number}."), ("ai", "1")] if conversation else []
            assert llm.invoke([*earlier, ("human", question(number))]).text in ("yes", "no")
            asked.append(len(embeddings.asked) - before)
    assert clock.took < LONG / 2
    assert max(asked) == 1
    assert sum(asked) <= patience_module.IN_A_ROW
    assert llm.invoke(question(0) if not conversation else [*earlier, ("human", question(5))])
    assert llm.cache.stats().hits_exact == 1


def test_a_remote_embedder_that_takes_longer_than_a_folder_may_is_waited_for(tmp_path):
    class Remote(Words):
        def embed_query(self, text):
            time.sleep(2 * SOON)
            return super().embed_query(text)

    with LECCache(tmp_path, embeddings=Remote(), match=0.99, deadline=SOON) as cache:
        until(lambda: stored(cache, 0))
        until(lambda: semantic(cache, 0))


NONSENSE = [[math.nan] * 64, [math.inf] * 64, [0.0] * 64, [], [1.0] * 3, "vector", None, {"a": 1}]


@pytest.mark.parametrize("vector", NONSENSE, ids=range(len(NONSENSE)))
def test_an_embedder_that_answers_nonsense_costs_semantic_hits_alone(tmp_path, vector, monkeypatch):
    monkeypatch.setattr(patience_module, "SPARED", 0.1)

    class Nonsense(Words):
        said = None

        def embed_query(self, text):
            right = super().embed_query(text)
            return right if self.said is None else self.said

    embeddings = Nonsense()
    with LECCache(tmp_path, embeddings=embeddings, match=0.99) as cache:
        assert stored(cache, 0)
        embeddings.said = vector
        for number in range(1, 4):
            assert stored(cache, number)
        assert cache.lookup("Where is Rome?", LLM) is None
        embeddings.said = None
        until(lambda: stored(cache, 9) and semantic(cache, 9))
        assert cache.check() == []


def test_a_judge_that_hangs_is_left_at_its_deadline(gate):
    def judge(new, stored):
        gate.wait(LONG)
        return True

    with LECCache(embeddings=Words(), judge=judge, judge_when="before") as cache:
        cache.lessons.referee.deadline = SOON
        cache.update("Where is the town of Oslo?", LLM, plain("In Norway."))
        with Clock() as clock:
            for place in ("Rome", "Bonn", "Lima", "Kyiv"):
                cache.lookup(f"Where is the town of {place}?", LLM)
        assert clock.took < LONG / 2
        assert cache.lookup("Where is the town of Oslo?", LLM) == plain("In Norway.")
        gate.set()


def test_a_listener_that_raises_is_counted_and_breaks_nothing(tmp_path):
    def listen(event):
        raise RuntimeError(type(event).__name__)

    with LECCache(tmp_path, embeddings=Words(), match=0.99, on_event=listen) as cache:
        assert stored(cache, 0)
        assert semantic(cache, 0)
        assert cache.stats().errors >= 3


# Closing


def test_after_closing_every_lookup_is_a_miss_and_nothing_is_stored(cache, caplog):
    before = cache.stats()
    cache.close()
    cache.close()
    for number in HELD:
        assert not exact(cache, number)
        assert not semantic(cache, number)
        cache.update(question(10 + number), LLM, plain("x"))
    assert cache.stats() == before
    for use in (
        lambda: cache.find(question(0), LLM),
        cache.check,
        cache.clear,
        lambda: cache.forget(question(0)),
        lambda: cache.explain(question(0)),
        lambda: cache.feedback("a key", ok=True),
    ):
        with pytest.raises(RuntimeError, match="the cache was closed"):
            use()
    assert sum("the cache was closed" in message for message in caplog.messages) == 1
    with LECCache(cache.path, embeddings=DeterministicFakeEmbedding(size=16)) as again:
        assert again.stats().entries == len(HELD)


@pytest.mark.parametrize("begins", ["a sweep", "a doubt"])
def test_what_a_cache_had_begun_of_its_own_accord_says_nothing_when_it_is_closed(begins, caplog):
    cache = LECCache(embeddings=Words())
    with cache._shelf.lock:
        if begins == "a sweep":
            assert cache.lookup(question(0), LLM) is None
        else:
            cache.doubt("a key")
        cache.close()
    cache._workers._pool.shutdown()
    assert caplog.messages == []
    assert cache.lookup(question(0), LLM) is None
    assert caplog.messages == [CLOSED]


def test_a_cache_that_is_forgotten_or_in_use_elsewhere_frees_its_folder_when_it_ends(tmp_path):
    embeddings = DeterministicFakeEmbedding(size=16)
    cache, stop = LECCache(tmp_path, embeddings=embeddings), threading.Event()

    def use(of):
        number = 0
        while not stop.is_set():
            number += 1
            of.lookup(question(number % 7), LLM)
            of.update(question(number % 7), LLM, plain(f"{number % 7}"))

    threads = [threading.Thread(target=use, args=[cache]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while cache.stats().admitted < len(threads):
        time.sleep(0.01)
    cache.close()
    with LECCache(tmp_path, embeddings=embeddings) as again:
        stop.set()
        for thread in threads:
            thread.join(LONG)
        for number in range(7):
            assert again.lookup(question(number), LLM) in (None, plain(f"{number}"))
        assert again.check() == []
    del cache, threads, again
    kept = LECCache(tmp_path, embeddings=embeddings)
    del kept
    with LECCache(tmp_path, embeddings=embeddings) as again:
        assert again.check() == []


ENDS = """
query = cache.reader.read(question(0), "m")
for _ in range(30):
    assert cache.lookup(question(0), "m") == plain(0)
print(query.key, cache.ledger.standing(query.key).count)
"""


def test_what_was_counted_just_before_the_program_ended_is_there_afterwards(tmp_path):
    key, count = in_child(ENDS, tmp_path)
    with LECCache(tmp_path, embeddings=DeterministicFakeEmbedding(size=16)) as cache:
        assert cache.ledger.standing(key).count == pytest.approx(float(count))
        assert cache.stats().entries == 5
