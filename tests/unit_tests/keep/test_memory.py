"""Both ledgers against one that scans lists: who is evicted, what is remembered, what survives."""

import math
import random
import sqlite3
import tempfile
import threading
from dataclasses import FrozenInstanceError, astuple, fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from slow_ledger import Scan, books, counted, each_policy, words

from langchain_cachemux.keep import wordings
from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import GDSF, LEC, LFU, LRU, robust
from langchain_cachemux.testing import check_ledger
from langchain_cachemux.types import Admission, Entry, Wording


def trace(n, *, seed=0, keys=40, sizes=(1,)):
    """Requests (key, cost, size): the first keys are the favourites, each key has its cost."""
    chance = random.Random(seed)
    for _ in range(n):
        key = min(int(chance.paretovariate(0.6)), keys)
        yield f"k{key}", 1.0 + key * 7 % 11, sizes[key % len(sizes)]


def play(ledger, requests):
    """Hit or admit each request in turn; the keys evicted, in their order."""
    evicted = []
    for key, cost, size in requests:
        if not ledger.use(key):
            evicted += ledger.admit(Entry(key, cost=cost, size=size)).evicted
    return evicted


def test_ledger_keeps_the_contract(make):
    check_ledger(make)


class Same(RuleBasedStateMachine):
    """Three ledgers under the same operations: by scanning, by a heap, and in SQLite."""

    policy = staticmethod(LEC)

    @initialize(in_bytes=st.booleans(), ghosts=st.sampled_from([None, 0, 2]))
    def open(self, in_bytes, ghosts):
        self.folder = tempfile.TemporaryDirectory()
        self.capacity, self.in_bytes, self.ghosts = (12 if in_bytes else 3), in_bytes, ghosts
        self.scan = Scan(self.capacity, self.policy(), ghosts)
        self.memory = MemoryLedger(self.capacity, policy=self.policy(), ghosts=ghosts)
        self.connect()
        self.requests = 0
        self.rows = {MemoryLedger: {}, SqlLedger: {}}

    def connect(self):
        url = f"sqlite:///{self.folder.name}/ledger.db"
        options = {"capacity": self.capacity, "policy": self.policy(), "ghosts": self.ghosts}
        self.sql = SqlLedger(url, **options)

    def entry(self, key, cost, size):
        size = size if self.in_bytes else 1
        return Entry(key, cost, size, answer=f"{key} {self.requests}")

    keys = st.sampled_from("abcdefgh")
    costs = st.sampled_from([0.5, 1.0, 1.5, 4.0, 40.0])
    sizes = st.integers(1, 13)

    @rule(key=keys, cost=costs, size=sizes)
    def request(self, key, cost, size):
        if self.scan.get(key) is None:
            self.admit(key, cost, size)
        else:
            self.use(key)

    @rule(key=keys, cost=costs, size=sizes)
    def admit(self, key, cost, size):
        self.requests += 1
        kept, evicted = self.scan.admit(self.entry(key, cost, size))
        for ledger in (self.memory, self.sql):
            admission = ledger.admit(self.entry(key, cost, size))
            self.write(ledger, key, admission)
            assert admission.evicted == evicted
            assert (admission.slot is None) == (kept is None)
            assert kept is None or ledger.get(key).slot == admission.slot

    def write(self, ledger, key, admission):
        """Do to the rows of an index what a cache does."""
        for slot in admission.vacated:
            del self.rows[type(ledger)][slot]
        if admission.slot is not None:
            self.rows[type(ledger)][admission.slot] = key

    @rule(key=keys, of=keys, size=st.integers(0, 6), text=st.sampled_from(["", "words"]))
    def reword(self, key, of, size, text):
        size = size if self.in_bytes else 0
        kept, evicted = self.scan.reword(Wording(key, of, text, size=size))
        for ledger in (self.memory, self.sql):
            admission = ledger.reword(Wording(key, of, text, size=size))
            self.write(ledger, key, admission)
            assert admission.evicted == evicted
            assert (admission.slot is None) == (kept is None)
            assert kept is None or ledger.wording(key).slot == admission.slot

    @rule(key=keys)
    def unword(self, key):
        expected = self.scan.unword(key)
        for ledger in (self.memory, self.sql):
            slots = [w.slot for w in ledger.wordings(key) if w.key == key != w.of]
            assert ledger.unword(key) == expected == (len(slots) == 1)
            self.write(ledger, key, Admission(None, vacated=tuple(slots)))

    @rule(one=keys, other=keys)
    def differ(self, one, other):
        for ledger in (self.scan, self.memory, self.sql):
            ledger.differ(one, other)

    @rule(one=keys, other=keys)
    def differs(self, one, other):
        expected = self.scan.differs(one, other)
        assert self.memory.differs(one, other) == self.sql.differs(one, other) == expected

    def use(self, key, credit=1.0, cost=None):
        self.requests += 1
        expected = self.scan.use(key, credit, cost)
        assert self.memory.use(key, credit=credit, cost=cost) == expected
        assert self.sql.use(key, credit=credit, cost=cost) == expected

    @rule(key=keys, credit=st.sampled_from([0.0, 0.25, 1.0]), cost=st.none() | costs)
    def share(self, key, credit, cost):
        self.use(key, credit, cost)

    @rule(key=keys)
    def get(self, key):
        expected = self.scan.get(key)
        for ledger in (self.memory, self.sql):
            found = ledger.get(key)
            assert (found and found.answer) == (expected and expected.answer)

    @precondition(lambda self: self.requests > 5)
    @rule(key=keys)
    def forget(self, key):
        expected = self.scan.forget(key)
        for ledger in (self.memory, self.sql):
            slots = [w.slot for w in ledger.wordings(key) if w.of == key] if expected else []
            assert ledger.forget(key) == expected
            self.write(ledger, key, Admission(None, vacated=tuple(slots)))

    @precondition(lambda self: self.requests > 15)
    @rule()
    def clear(self):
        self.requests = 0
        self.rows = {MemoryLedger: {}, SqlLedger: {}}
        for ledger in (self.scan, self.memory, self.sql):
            ledger.clear()

    @precondition(lambda self: self.requests > 5)
    @rule()
    def reopen(self):
        self.sql.close()
        self.connect()

    @invariant()
    def same(self):
        expected = books(self.scan)
        for ledger in (self.memory, self.sql):
            assert books(ledger) == expected
            assert counted(ledger) == counted(self.scan)
            assert words(ledger) == words(self.scan)
            assert self.rows[type(ledger)] == {w.slot: w.key for w in ledger.wordings()}
            assert len(ledger) == len(expected) <= self.capacity
            assert ledger.size == sum(size for _, size, *_ in expected.values()) <= self.capacity
            assert ledger.check() == []

    def teardown(self):
        self.sql.close()
        self.folder.cleanup()


@each_policy
def test_heap_database_and_scan_agree_whatever_happens(policy, monkeypatch):
    monkeypatch.setattr(wordings, "WORDINGS", 2)
    monkeypatch.setattr(wordings, "DIFFERENCES", 3)

    class Machine(Same):
        pass

    Machine.policy = staticmethod(policy)
    Machine.TestCase.settings = settings(
        max_examples=15, stateful_step_count=30, phases=[Phase.explicit, Phase.generate]
    )
    Machine.TestCase("runTest").debug()


@each_policy
@given(seed=st.integers(0, 10**9), capacity=st.integers(1, 12), in_bytes=st.booleans())
@settings(max_examples=25)
def test_the_heap_evicts_what_a_scan_for_the_least_worth_would(policy, seed, capacity, in_bytes):
    requests = list(trace(400, seed=seed, sizes=(1, 4, 2, 3) if in_bytes else (1,)))
    heap, scan = MemoryLedger(capacity, policy=policy()), Scan(capacity, policy(), None)
    for key, cost, size in requests:
        if not scan.use(key):
            expected = scan.admit(Entry(key, cost, size))[1]
            assert not heap.use(key)
            assert heap.admit(Entry(key, cost, size)).evicted == expected
        else:
            assert heap.use(key)
    assert books(heap) == books(scan)
    assert heap.check() == []


@pytest.mark.parametrize("policy", [LEC, GDSF, robust], ids=["LEC", "GDSF", "the default"])
@given(seed=st.integers(0, 10**9))
@settings(max_examples=25)
def test_the_heap_finds_the_least_also_where_worths_fall(policy, seed):
    chance = random.Random(seed)
    policies = [policy(6) if policy is robust else policy() for _ in range(2)]
    heap, scan = MemoryLedger(6, policy=policies[0]), Scan(6, policies[1], None)
    for key, _, _ in trace(400, seed=seed):
        cost = chance.choice([0.01, 1.0, 100.0])
        assert heap.use(key, cost=cost) == scan.use(key, cost=cost)
        if heap.get(key) is None:
            entry = Entry(key, cost)
            assert heap.admit(entry).evicted == scan.admit(replace(entry))[1]
    assert books(heap) == books(scan)
    assert heap.check() == []


def test_the_heap_does_not_grow_with_uses():
    ledger = MemoryLedger(3, policy=LRU())
    for turn in range(10_000):
        play(ledger, [(str(turn % 3), 1.0, 1)])
    assert len(ledger._books.shadows[0]._heap) <= 2 * 3 + 65


@each_policy
def test_a_reopened_ledger_holds_the_same_and_goes_on_evicting_the_same(policy, sql):
    requests = list(trace(240, sizes=(1, 3, 2)))
    whole, first = sql(12, policy()), sql(12, policy(), name="again")
    evicted = play(whole, requests[:120])
    assert play(first, requests[:120]) == evicted
    assert evicted
    before = books(first)
    first.close()
    again = sql(12, policy(), name="again")
    assert books(again) == before
    assert play(again, requests[120:]) == play(whole, requests[120:])
    assert books(again) == books(whole)


def test_the_clock_of_gdsf_survives_reopening(sql):
    # At size 1: A = 5, then B = 7 evicts it and the clock is 5. Reopened, C of cost 3 is 5 + 3 = 8.
    ledger = sql(1, GDSF(), name="x")
    play(ledger, [("A", 5.0, 1), ("B", 7.0, 1)])
    ledger.close()
    ledger = sql(1, GDSF(), name="x")
    ledger.admit(Entry("C", cost=3.0))
    assert ledger.standing("C").worth == 8.0


def test_the_clock_of_gdsf_survives_reopening_at_its_highest(sql):
    # Capacity 10. A = 1/1, B = 900/9 = 100. N = 200/5 = 40 would need B to go too, so it stays out:
    # clock 40. C = 40 + 40/4 = 50 would need B as well: clock 50. D = 50 + 60 = 110 takes A's place,
    # whose worth is 1: the clock stays at 50, after reopening too, where E is 50 + 61 = 111.
    requests = [("A", 1.0, 1), ("B", 900.0, 9), ("N", 200.0, 5), ("C", 40.0, 4), ("D", 60.0, 1)]
    policy, name = GDSF(), "x"
    ledger = sql(10, policy, name=name)
    assert play(ledger, requests) == ["A"]
    assert policy.clock == 50.0
    ledger.close()
    ledger = sql(10, GDSF(), name=name)
    ledger.admit(Entry("E", cost=61.0))
    assert ledger.standing("E").worth == 111.0


def test_the_clock_of_gdsf_survives_clearing_and_reopening(sql):
    # The clock is 5 when all is cleared. C = 5 + 1 is written; reopened, D = 5 + 2 may evict it.
    ledger = sql(1, GDSF(), name="x")
    play(ledger, [("A", 5.0, 1), ("B", 7.0, 1)])
    ledger.clear()
    ledger.admit(Entry("C", cost=1.0))
    ledger.close()
    assert sql(1, GDSF(), name="x").admit(Entry("D", cost=2.0)).evicted == ("C",)


def test_an_entry_too_large_for_the_ledger_does_not_age_the_others(make):
    policy = GDSF()
    ledger = make(10, policy)
    ledger.admit(Entry("A"))
    assert ledger.admit(Entry("huge", cost=1e9, size=11)) == Admission(None)
    assert policy.clock == 0.0
    assert books(ledger).keys() == {"A"}


def test_an_answer_that_outgrew_the_ledger_leaves_with_its_old_self(make):
    ledger = make(10, LEC())
    play(ledger, [("A", 1.0, 3), ("B", 1.0, 3)])
    assert ledger.admit(Entry("A", cost=1e9, size=11)) == Admission(None, ("A",), (0,))
    assert books(ledger).keys() == {"B"}
    assert ledger.check() == []


def test_a_newcomer_evicts_as_many_as_it_needs_and_no_more(make):
    ledger = make(10, LRU())
    play(ledger, [("A", 1.0, 4), ("B", 1.0, 4), ("C", 1.0, 2)])
    assert ledger.admit(Entry("D", size=5)).evicted == ("A", "B")
    assert (len(ledger), ledger.size) == (2, 7)


def test_one_newcomer_may_evict_very_many(make):
    ledger = make(40, LRU())
    play(ledger, [(str(i), 1.0, 1) for i in range(40)])
    assert ledger.admit(Entry("big", size=30)).evicted == tuple(map(str, range(30)))
    assert ledger.check() == []


def test_the_ledger_alone_says_what_was_requested_and_where_it_is(make):
    ledger = make(2, LFU())
    entry = Entry("a", slot=9)
    ledger.admit(entry)
    assert (entry.slot, ledger.get("a").slot) == (9, 0)
    assert astuple(ledger.standing("a")) == ("a", 1.0, 1, 1.0, 1, 1, 1.0)


def test_what_a_ledger_hands_out_is_the_same_of_either_and_nobodys_else(sql):
    vector = np.array([0.5, -0.25], dtype=np.float32)
    ledgers = MemoryLedger(2, policy=LEC()), sql(2, LEC())
    for ledger in ledgers:
        ledger.admit(Entry("a", 2.0, partition="p", text="t", vector=vector, answer="x"))
        before = ledger.get("a"), ledger.standing("a")
        ledger.use("a", cost=3.0)
        assert (before[0].cost, before[1].cost, before[1].count) == (2.0, 2.0, 1.0)
        with pytest.raises(FrozenInstanceError):
            ledger.get("a").answer = "forged"
        with pytest.raises(ValueError, match="read-only"):
            ledger.get("a").vector[0] = 9.0
    vector[0] = 9.0
    one, other = (ledger.get("a") for ledger in ledgers)
    assert [getattr(one, f.name) for f in fields(Entry) if f.name != "vector"] == [
        getattr(other, f.name) for f in fields(Entry) if f.name != "vector"
    ]
    assert one.vector.tolist() == other.vector.tolist() == [0.5, -0.25]
    assert astuple(ledgers[0].standing("a")) == astuple(ledgers[1].standing("a"))


def test_a_victims_slot_goes_to_the_newcomer(make):
    ledger = make(2, LRU())
    a, b = (ledger.admit(Entry(key)).slot for key in "ab")
    assert {a, b} == {0, 1}
    assert ledger.admit(Entry("c")) == Admission(a, ("a",))
    assert ledger.admit(Entry("d")) == Admission(b, ("b",))


def test_forgetting_says_whether_it_was_held_and_drops_ghosts_too(make):
    ledger = make(1, LEC())
    play(ledger, [("a", 1.0, 1), ("b", 5.0, 1)])
    assert ledger.forget("b")
    assert not ledger.forget("a")  # a ghost
    assert not ledger.forget("b")
    for key in "ab":
        ledger.admit(Entry(key))
        assert (ledger.standing(key).count, ledger.standing(key).uses) == (1.0, 1)


@pytest.mark.parametrize(("ghosts", "remembered"), [(None, 14), (3, 3), (0, 0)])
def test_the_ghosts_forgotten_first_are_those_evicted_first(make, ghosts, remembered):
    # k0 … k14 each evict the one before; k0 … k13 are ghosts, and by default 10,000 may be.
    ledger, found = make(1, LRU(), ghosts), []
    play(ledger, [(f"k{i}", 1.0, 1) for i in range(15)])
    ledger.forget("k14")
    for i in range(14):
        ledger.admit(Entry(f"k{i}"))
        found += [i] if ledger.standing(f"k{i}").count == 2.0 else []
        ledger.forget(f"k{i}")
    assert found == list(range(14 - remembered, 14))


def test_a_use_freezes_a_new_worth_and_a_look_does_not(make):
    ledger = make(2, LFU())
    ledger.admit(Entry("a"))
    for _ in range(3):
        ledger.get("a")
        assert ledger.standing("a").worth == 1.0
    ledger.use("a")
    assert ledger.standing("a").worth == 2.0


def test_a_vector_comes_back_as_it_was_bit_for_bit(make):
    vector = np.array([1 / 3, -0.0, 1e-30, 1.0], dtype=np.float32)
    ledger = make(2, LRU())
    ledger.admit(Entry("a", vector=vector))
    assert ledger.get("a").vector.tobytes() == vector.tobytes()


def test_more_entries_than_a_page_are_all_iterated_once(make):
    ledger = make(600, LRU())
    keys = ["k" * length for length in range(1, 531)]  # each begins the next
    play(ledger, [(key, 1.0, 1) for key in keys])
    assert sorted(entry.key for entry in ledger) == keys


def test_a_smaller_capacity_at_reopening_evicts_the_least_and_remembers_them(sql):
    ledger = sql(10, LEC(), name="x")
    play(ledger, [(str(i), float(i), 2) for i in (3, 5, 1, 4, 2)])
    ledger.close()
    ledger = sql(5, LEC(), name="x")
    assert books(ledger).keys() == {"4", "5"}
    assert ledger.check() == []
    slot = ledger.admit(Entry("1", cost=100.0, size=1)).slot
    assert ledger.standing("1").count == 2.0
    assert slot < 5  # of the five slots, one that became free


def test_another_policy_at_reopening_values_anew(sql):
    # By last use A is the least, by uses C is.
    ledger = sql(3, LRU(), name="x")
    play(ledger, [(key, 1.0, 1) for key in "AABBC"])
    ledger.close()
    ledger = sql(3, LFU(), name="x")
    assert {e.key: ledger.standing(e.key).worth for e in ledger} == {"A": 2.0, "B": 2.0, "C": 1.0}
    assert ledger.admit(Entry("D")).evicted == ("C",)


def test_another_half_life_at_reopening_values_anew(sql):
    ledger = sql(3, LEC(half_life=2), name="x")
    play(ledger, [(key, 1.0, 1) for key in "AAAB"])
    stored = {e.key: ledger.standing(e.key).count for e in ledger}
    ledger.close()
    ledger = sql(3, LEC(), name="x")
    worths = {e.key: ledger.standing(e.key).worth for e in ledger}
    assert worths == {key: math.log2(count) for key, count in stored.items()}


def test_a_ledger_made_about_something_else_is_refused_naming_both(sql):
    ledger = sql(3, LRU(), name="x", about={"embedder": "mini"})
    ledger.admit(Entry("a"))
    ledger.close()
    with pytest.raises(ValueError, match=r"embedder is 'large', .* made with 'mini'"):
        sql(3, LRU(), name="x", about={"embedder": "large"})
    assert sql(3, LRU(), name="x", about={"embedder": "mini"}).get("a").key == "a"


@pytest.mark.parametrize("capacity", [0, -1, math.nan, 1.5, True, "5"])
def test_a_capacity_that_is_not_positive_is_refused_by_name_and_value(make, capacity):
    with pytest.raises(
        ValueError, match=f"capacity must be a positive whole number, got {capacity!r}"
    ):
        make(capacity, LRU())


def test_a_negative_number_of_ghosts_is_refused_by_name_and_value(make):
    with pytest.raises(ValueError, match="ghosts must be a whole number >= 0, got -1"):
        make(1, LRU(), -1)


def test_an_admission_that_cannot_be_written_is_not_acknowledged_and_its_room_is_free(sql):
    ledger = sql(1, GDSF(), name="x")
    ledger.admit(Entry("a"))
    with pytest.raises(sqlite3.IntegrityError):
        ledger.admit(Entry("b", cost=9.0, answer=None))
    assert ledger.get("a") is ledger.get("b") is None
    assert (len(ledger), ledger.size, ledger.check()) == (0, 0, [])
    ledger.admit(Entry("c"))
    ledger.close()
    ledger = sql(1, GDSF(), name="x")
    assert [entry.key for entry in ledger] == ["c"]
    assert ledger.check() == []


def test_neither_a_read_nor_a_use_waits_for_a_writer(sql):
    ledger = sql(2, LRU())
    ledger.admit(Entry("a"))
    results = []
    reader = threading.Thread(
        target=lambda: results.append(
            (ledger.get("a").key, ledger.use("a"), len(ledger), ledger.size)
        )
    )
    with ledger._writing:
        reader.start()
        reader.join(20)
        assert results == [("a", True, 1, 1)]


def swarm(work, n=8):
    """Run `work(i)` in n threads that start together; what they raised."""
    barrier, raised = threading.Barrier(n), []

    def run(i):
        barrier.wait()
        try:
            work(i)
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def busy(ledger, i, n):
    """Uses, admissions of many sizes, looks and forgetting, by thread i."""
    chance = random.Random(i)
    for key, cost, size in trace(n, seed=i, sizes=(1, 2, 3)):
        if chance.random() < 0.05:
            ledger.forget(key)
        elif not ledger.use(key):
            ledger.admit(Entry(key, cost, size))
        ledger.get(key)
        assert ledger.size <= ledger.capacity


@pytest.mark.parametrize("policy", [LEC, GDSF])
def test_threads_leave_the_books_in_order(make, policy):
    ledger = make(20, policy())
    assert swarm(lambda i: busy(ledger, i, 200)) == []
    assert ledger.check() == []
    assert 0 < ledger.size <= 20


def test_every_request_of_every_thread_is_counted(make):
    ledger = make(4, LRU())
    assert swarm(lambda i: play(ledger, [(str(i % 4), 1.0, 1)] * 50)) == []
    standings = [ledger.standing(entry.key) for entry in ledger]
    assert max(standing.last for standing in standings) == 8 * 50
    assert sum(standing.count for standing in standings) == 8 * 50


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda books: setattr(books, "size", 9), "size 9 is not the sum"),
        (lambda books: books._free.append(0), "slots are not a permutation"),
        (lambda books: books.shadows[0]._heap.clear(), "missing from the heap"),
        (lambda books: books._ghosts.update(a=(1.0, 1)), "a ghost is held"),
        (lambda books: setattr(books, "rules", replace(books.rules, capacity=1)), "size 2 exceeds"),
    ],
)
def test_check_finds_what_is_wrong_in_memory(harm, problem):
    ledger = MemoryLedger(2, policy=LRU())
    play(ledger, [("a", 1.0, 1), ("b", 1.0, 1)])
    assert ledger.check() == []
    harm(ledger._books)
    assert any(problem in found for found in ledger.check())


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM payloads WHERE key = 'a'", "no payload"),
        ("DELETE FROM entries WHERE key = 'a'", "other entries than the books"),
        ("UPDATE entries SET size = 5", "other entries than the books"),
        ("UPDATE payloads SET answer = 'x' WHERE key = 'b'", "1 rows are not as they were written"),
    ],
)
def test_check_finds_what_is_wrong_in_a_database(sql, tmp_path, statement, problem):
    ledger = sql(2, LRU(), name="x")
    play(ledger, [("a", 1.0, 1), ("b", 1.0, 1)])
    assert ledger.check() == []
    connection = sqlite3.connect(Path(tmp_path) / "x.db")
    connection.executescript(statement)
    connection.close()
    assert any(problem in found for found in ledger.check())


def test_a_smaller_capacity_at_reopening_keeps_the_best_however_many_go(sql):
    ledger = sql(100, LRU(), name="x")
    play(ledger, [(f"{number:03}", 1.0, 1) for number in range(100)])
    ledger.close()
    ledger = sql(10, LRU(), name="x")
    assert sorted(entry.key for entry in ledger) == [f"{number:03}" for number in range(90, 100)]
    assert ledger.check() == []


def test_another_capacity_keeps_what_was_learned(sql):
    ledger = sql(2, robust(2), name="x")
    play(ledger, [(key, 1.0, 1) for key in "abcabdabeab"])
    before = counted(ledger)
    ledger.close()
    ledger = sql(3, robust(3), name="x")
    assert counted(ledger) == before
    ledger.admit(Entry("c", cost=100.0))
    assert counted(ledger)["c"][0] == 2
    ledger.close()
    ledger = sql(3, LFU(), name="x")
    assert ledger.standing("c").worth == 2


def test_what_is_larger_than_the_capacity_is_refused_at_once(make):
    ledger = make(50, LEC())
    play(ledger, [(str(number), 1.0, 1) for number in range(50)])
    assert ledger.admit(Entry("huge", cost=1e9, size=51)) == Admission(None)
    assert len(ledger) == 50
    assert ledger.check() == []


@pytest.mark.parametrize("table", ["payloads", "wordings", "ghosts", "entries"])
def test_no_request_scans_a_table(sql, tmp_path, table):
    sql(2, LEC(), name="x").close()
    with sqlite3.connect(Path(tmp_path) / "x.db") as connection:
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE key = 'a'")  # noqa: S608
    connection.close()
    assert "SEARCH" in plan[-1]


def test_fewer_policies_at_reopening_follow_the_first_whoever_led_before(sql):
    # B is expensive, A and C are cheap: LEC, the second, soon costs less than LRU and leads.
    ledger = sql(2, [LRU(), LEC()], name="x")
    play(ledger, [(key, 100.0 if key == "B" else 1.0, 1) for key in "ABC" * 4])
    assert repr(ledger.policy) == repr(LEC())
    ledger.close()
    ledger = sql(2, LFU(), name="x")
    assert repr(ledger.policy) == repr(LFU())
    assert ledger.standing("B").worth == 4
    play(ledger, [("D", 1.0, 1)])
    assert ledger.check() == []


def test_as_many_ghosts_are_remembered_as_ten_times_the_entries_that_were_held():
    # Of 22,000 keys 2,000 are held, and the 20,000 before them are ghosts: all but one are still known
    # when one more has come.
    ledger = MemoryLedger(2_000, policy=LRU())
    for number in range(22_001):
        ledger.admit(Entry(str(number)))
    for key, count in (("1", 2.0), ("0", 1.0)):
        ledger.admit(Entry(key))
        assert ledger.standing(key).count == count
