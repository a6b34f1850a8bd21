"""Aliases and differences in both ledgers: who gives way, what grows, what survives a fault."""

import math
import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from slow_ledger import Scan, books, each_policy, words

from langchain_cachemux.keep import wordings
from langchain_cachemux.keep.durable.folder import Folder
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import GDSF, LEC, LRU
from langchain_cachemux.types import Admission, Entry, Wording

BEFORE = Path(__file__).with_name("ledger_2.sql")


def filled(ledger, *keys, size=1):
    for key in keys:
        ledger.admit(Entry(key, size=size, answer=f"of {key}"))
    return ledger


def reworded(ledger, of, *keys, size=0):
    """Give an entry aliases; the slots they got."""
    return [ledger.reword(Wording(key, of, f"{key}?", size=size)).slot for key in keys]


def aliases(ledger, key=None):
    return sorted(w.key for w in ledger.wordings(key) if w.key != w.of)


def state(ledger):
    """All that a caller can see of a ledger."""
    words = sorted((w.key, w.of, w.text, w.size, w.slot) for w in ledger.wordings())
    standings = sorted(repr(ledger.standing(entry.key)) for entry in ledger)
    return words, standings, len(ledger), ledger.size


def test_an_alias_is_answered_by_its_entry_and_both_are_told_by_one_read(make):
    ledger = make(3, LRU())
    vector = np.array([0.6, 0.8], np.float32)
    ledger.admit(Entry("a", partition="s:c", text="own", vector=-vector, answer="yes"))
    (slot,) = [ledger.reword(Wording("b", "a", "other", vector)).slot]
    own, alias = ledger.wording("a"), ledger.wording("b")
    assert (own.key, own.of, own.text, own.slot, own.entry.answer) == ("a", "a", "own", 0, "yes")
    assert (alias.key, alias.of, alias.text, alias.slot) == ("b", "a", "other", slot)
    assert (alias.entry.key, alias.entry.answer, alias.partition) == ("a", "yes", "s:c")
    assert alias.vector.tobytes() == vector.tobytes()
    assert own.vector.tobytes() == (-vector).tobytes()
    assert ledger.get("b").key == ledger.standing("b").key == "a"
    assert ledger.wording("c") is ledger.get("c") is ledger.standing("c") is None
    assert len(ledger) == 1


def test_an_alias_of_an_alias_is_one_of_its_entry(make):
    ledger = filled(make(3, LRU()), "a")
    reworded(ledger, "a", "b")
    reworded(ledger, "b", "c")
    assert ledger.wording("c").of == "a"
    ledger.unword("b")
    assert ledger.get("c").key == "a"


def test_a_use_of_an_alias_keeps_its_entry(make):
    ledger = filled(make(2, LRU()), "a", "b")
    reworded(ledger, "a", "a'")
    ledger.use("a'", cost=7.0)
    assert ledger.get("a").cost == 7.0
    assert ledger.admit(Entry("c")).evicted == ("b",)


def test_to_become_an_alias_is_no_request(make):
    ledger = filled(make(3, LEC(half_life=1)), "a")
    before = ledger.standing("a")
    reworded(ledger, "a", "b", "c")
    ledger.unword("b")
    after = ledger.standing("a")
    assert (after.count, after.uses, after.last, after.worth) == (
        before.count,
        before.uses,
        before.last,
        before.worth,
    )
    ledger.admit(Entry("d"))
    assert ledger.standing("d").last == 2


def test_of_nine_aliases_the_one_not_used_for_longest_gives_way_to_the_ninth(make):
    ledger = filled(make(100, LRU()), "a")
    eight = [f"w{number}" for number in range(8)]
    slots = reworded(ledger, "a", *eight)
    ledger.use("w0")
    ledger.use("w1", credit=0.0)
    told = ledger.reword(Wording("ninth", "a"))
    assert aliases(ledger) == sorted(["ninth", "w0", *eight[2:]])
    assert told == Admission(slots[1])
    assert ledger.check() == []


def test_an_alias_told_again_has_its_new_words_and_is_the_last_to_give_way(make):
    ledger = filled(make(100, LRU()), "a")
    reworded(ledger, "a", *"bcdefghi")
    ledger.reword(Wording("b", "a", "anew"))
    assert ledger.wording("b").text == "anew"
    reworded(ledger, "a", "j")
    assert aliases(ledger) == list("bdefghij")


def test_in_all_there_are_as_many_aliases_as_the_capacity_says(make):
    ledger = filled(make(3, LRU()), *"abc")
    reworded(ledger, "a", "a1", "a2")
    reworded(ledger, "b", "b1")
    ledger.use("a1")
    reworded(ledger, "c", "c1", "c2")
    assert aliases(ledger) == ["a1", "c1", "c2"]
    assert ledger.check() == []


def test_what_leaves_takes_its_aliases_along_and_tells_every_slot_but_the_one_that_is_used(make):
    ledger = filled(make(2, LRU()), "a", "b")
    slots = {0, *reworded(ledger, "a", "a1", "a2")}
    told = ledger.admit(Entry("c"))
    assert told.evicted == ("a",)
    assert {told.slot, *told.vacated} == slots
    assert told.slot not in told.vacated
    assert ledger.get("a1") is ledger.wording("a2") is None
    assert aliases(ledger) == []


def test_a_new_answer_to_the_same_words_begins_without_aliases(make):
    ledger = filled(make(3, LRU()), "a")
    (slot,) = reworded(ledger, "a", "b")
    told = ledger.admit(Entry("a", answer="new"))
    assert {told.slot, *told.vacated} == {0, slot}
    assert ledger.get("b") is None
    assert ledger.get("a").answer == "new"


def test_an_alias_that_comes_back_with_its_entry_does_not(make):
    ledger = filled(make(1, LRU()), "a")
    reworded(ledger, "a", "b")
    filled(ledger, "c", "a")
    assert ledger.get("a") is not None
    assert ledger.get("b") is None


def test_slots_that_aliases_gave_up_are_used_again(make):
    ledger, seen = filled(make(4, LRU()), "a", "b"), set()
    for turn in range(50):
        seen |= set(reworded(ledger, "ab"[turn % 2], f"w{turn}"))
        if turn % 7 == 0:
            ledger.unword(f"w{turn}")
        if turn % 11 == 0:
            seen.add(ledger.admit(Entry(str(turn))).slot)
            filled(ledger, "a", "b")
    assert max(seen) < 2 * 4
    assert ledger.check() == []


KEYS = "abcdefghijklmnop"


def asked_for(ledger, chance, *, in_bytes):
    """One call drawn by chance, most often one that makes or uses an alias; what came of it."""
    kinds = {"ask": 45, "reword": 40, "admit": 5, "unword": 5, "forget": 2, "differ": 3}
    (kind,) = chance.choices([*kinds], kinds.values())
    (entry,), (key, other) = chance.choices(KEYS[:6]), chance.choices(KEYS, k=2)
    sizes = chance.choices((1, 4, 2, 3), k=2) if in_bytes else (1, 0)
    cost = chance.choice((0.5, 1.0, 4.0, 40.0))
    if kind == "ask" and ledger.use(key):
        return None
    if kind in ("ask", "admit"):
        return kept(ledger.admit(Entry(entry, cost, sizes[0])))
    if kind == "reword":
        return kept(ledger.reword(Wording(key, entry, size=sizes[1])))
    if kind == "differ":
        ledger.differ(key, other)
        return [ledger.differs(key, each) for each in KEYS]
    return getattr(ledger, kind)(key)


def kept(told):
    """Whether it was, and who left."""
    what, evicted = (told.slot, told.evicted) if isinstance(told, Admission) else told
    return what is not None, evicted


@each_policy
@pytest.mark.parametrize("in_bytes", [True, False], ids=["bytes", "entries"])
def test_aliases_come_and_go_as_in_a_ledger_that_scans(policy, in_bytes, sql, monkeypatch):
    monkeypatch.setattr(wordings, "WORDINGS", 2)
    monkeypatch.setattr(wordings, "DIFFERENCES", 3)
    capacity = 16 if in_bytes else 4
    for seed in range(5):
        scan = Scan(capacity, policy(), None)
        ledger = sql(capacity, policy()) if seed == 0 else MemoryLedger(capacity, policy=policy())
        chances = random.Random(seed), random.Random(seed)
        for _ in range(150 if seed == 0 else 400):
            expected, told = (
                asked_for(each, chance, in_bytes=in_bytes)
                for each, chance in zip((scan, ledger), chances, strict=True)
            )
            assert told == expected
            assert words(ledger) == words(scan)
        assert books(ledger) == books(scan)
        assert ledger.check() == []


# In bytes


def test_an_entry_is_as_large_as_its_answer_and_its_aliases(make):
    ledger = filled(make(20, LRU()), "a", "b", size=4)
    reworded(ledger, "a", "a1", size=3)
    reworded(ledger, "a", "a2", size=2)
    assert (ledger.get("a").size, ledger.standing("a").size, ledger.size) == (9, 9, 13)
    ledger.unword("a1")
    assert (ledger.get("a").size, ledger.standing("a").size, ledger.size) == (6, 6, 10)
    ledger.reword(Wording("a2", "a", size=5))
    assert (ledger.get("a").size, ledger.size) == (9, 13)
    ledger.reword(Wording("a2", "b", size=1))
    assert (ledger.get("a").size, ledger.get("b").size, ledger.size) == (4, 5, 9)
    ledger.forget("b")
    assert (ledger.size, ledger.check()) == (4, [])


def test_what_is_worth_less_leaves_for_an_alias_and_the_least_itself_gets_none(make):
    # Capacity 10. C of 3 was used last, A of 3 first: an alias of 4 of C needs 3 of A, not B's too.
    ledger = filled(make(10, LRU()), "A", "B", "C", size=3)
    assert ledger.reword(Wording("A'", "A", size=2)) == Admission(None)
    told = ledger.reword(Wording("C'", "C", size=4))
    assert told == Admission(0, ("A",))
    assert (ledger.size, ledger.get("C").size, ledger.check()) == (10, 7, [])
    assert ledger.reword(Wording("C''", "C", size=4)) == Admission(None)
    assert ledger.get("B").answer == "of B"


def test_an_alias_that_would_fill_the_capacity_alone_is_refused_and_nobody_leaves(make):
    ledger = filled(make(10, LEC()), "a", "b", size=3)
    before = state(ledger)
    assert ledger.reword(Wording("huge", "b", size=11)) == Admission(None)
    assert state(ledger) == before


def test_an_alias_that_is_refused_does_not_cost_the_older_ones(make, monkeypatch):
    monkeypatch.setattr(wordings, "WORDINGS", 1)
    ledger = filled(make(10, LRU()), "a", "b", size=3)
    reworded(ledger, "a", "a1", size=3)
    before = state(ledger)
    assert ledger.reword(Wording("a2", "a", size=5)) == Admission(None)
    assert state(ledger) == before


def test_the_next_request_values_an_entry_at_the_size_it_has_grown_to(make):
    # GDSF: worth = clock + count * cost / size, at first 1 * 6 / 2; used with an alias of 4, 2 * 6 / 6.
    ledger = make(100, GDSF())
    ledger.admit(Entry("a", cost=6.0, size=2))
    reworded(ledger, "a", "b", size=4)
    assert ledger.standing("a").worth == 3.0
    ledger.use("b")
    assert ledger.standing("a").worth == 2.0


# Differences


def test_the_difference_found_first_is_forgotten_beyond_as_many_as_are_remembered(
    make, monkeypatch
):
    monkeypatch.setattr(wordings, "DIFFERENCES", 3)
    ledger = make(1, LRU())
    for other in "bcbda":
        ledger.differ("a", other)
    ledger.differ("f", "e")
    assert [ledger.differs(other, "a") for other in "bcda"] == [False, False, True, True]
    assert ledger.differs("e", "f")


def test_words_known_to_differ_are_not_found_for_one_another(make):
    ledger = filled(make(2, LRU()), "a")
    reworded(ledger, "a", "b")
    ledger.differ("c", "b")
    assert ledger.wording("b", asked="c") is None
    assert ledger.wording("a", asked="c").key == "a"
    assert ledger.wording("b", asked="d").key == ledger.wording("b").key == "b"
    assert ledger.get("b").key == "a"


def test_differences_outlive_the_answers(make):
    ledger = filled(make(1, LRU()), "a")
    ledger.differ("b", "a")
    filled(ledger, "c", "a")
    assert reworded(ledger, "a", "b") == [None]


# In a database


def test_aliases_and_differences_outlive_closing_with_their_order(sql):
    ledger = filled(sql(3, LRU(), name="x"), "a", "b")
    ledger.reword(Wording("a1", "a", "word", np.array([1.0], np.float32)))
    reworded(ledger, "b", "b1", "b2")
    ledger.use("a1")
    ledger.differ("a", "c")
    before = state(ledger)
    ledger.close()
    ledger = sql(3, LRU(), name="x")
    assert state(ledger) == before
    assert ledger.differs("c", "a")
    assert ledger.wording("a1").vector.tolist() == [1.0]
    reworded(ledger, "a", "a2")
    assert aliases(ledger) == ["a1", "a2", "b2"]


def test_a_smaller_capacity_at_reopening_keeps_fewer_aliases_too(sql):
    ledger = filled(sql(6, LRU(), name="x"), *"abc")
    for key in "abc":
        reworded(ledger, key, f"{key}1", f"{key}2")
    ledger.close()
    ledger = sql(1, LRU(), name="x")
    assert aliases(ledger) == ["c2"]
    assert ledger.check() == []


def test_another_policy_at_reopening_values_entries_at_the_size_with_their_aliases(sql):
    ledger = filled(sql(20, LRU(), name="x"), "a", size=2)
    reworded(ledger, "a", "b", size=4)
    ledger.close()
    ledger = sql(20, GDSF(), name="x")
    assert ledger.standing("a").worth == pytest.approx(1 / 6)
    assert ledger.check() == []


def test_more_aliases_than_a_page_are_all_iterated_once(make):
    ledger = filled(make(600, LRU()), *map(str, range(100)))
    for number in range(100):
        reworded(ledger, str(number), *(f"{number} {other}" for other in range(6)))
    assert aliases(ledger) == sorted(f"{n} {other}" for n in range(100) for other in range(6))


@pytest.fixture
def old(tmp_path):
    """The database of a ledger as the version before wrote it."""
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.executescript(BEFORE.read_text("utf-8"))
    connection.close()
    return tmp_path


def test_a_ledger_of_the_version_before_opens_with_all_it_held_and_takes_aliases(old, sql):
    ledger = sql(2, [LRU(), LEC()], name="ledger", about={"embedder": "mini"})
    held = {entry.key: (entry.text, entry.cost, entry.vector.tolist()) for entry in ledger}
    assert held == {"b": ("B", 5.0, [0.5, -0.25]), "c": ("C", 2.0, [0.5, -0.25])}
    assert ledger.standing("b").worth == 4.0
    assert ledger.check() == []
    assert reworded(ledger, "b", "b1") == [2]
    ledger.admit(Entry("a", cost=9.0))
    assert ledger.standing("a").count == 2.0
    assert ledger.check() == []
    ledger.close()
    assert sql(2, [LRU(), LEC()], name="ledger", about={"embedder": "mini"}).check() == []


def test_a_folder_of_the_version_before_can_be_looked_at_checked_and_emptied(old):
    for held in (2, 0):
        with Folder(old) as folder:
            assert folder.about["embedder"] == "mini"
            assert len(folder) == len(list(folder.wordings())) == held
            assert folder.check() == []
            folder.empty()


def test_a_folder_tells_a_row_of_every_wording(tmp_path, sql):
    vector = np.array([1.0, 0.0], np.float32)
    ledger = sql(3, LRU(), name="ledger")
    ledger.admit(Entry("a", partition="s:c", vector=vector))
    ledger.reword(Wording("b", "a", vector=-vector))
    with Folder(tmp_path) as folder:
        rows = {w.key: (w.of, w.slot, w.partition, w.vector.tolist()) for w in folder.wordings()}
    assert rows == {"a": ("a", 0, "s:c", [1, 0]), "b": ("a", 1, "s:c", [-1, 0])}


def test_a_ledger_of_a_later_version_is_refused_naming_both(old, sql):
    connection = sqlite3.connect(old / "ledger.db")
    connection.execute("UPDATE about SET value = '99' WHERE name = 'schema'")
    connection.commit()
    connection.close()
    with pytest.raises(ValueError, match=r"schema is '4', but .* made with '99'"):
        sql(2, LRU(), name="ledger")


class Watched(sqlite3.Connection):
    """A connection that tells of every statement before it runs."""

    told = staticmethod(lambda _db, _statement: None)

    def execute(self, statement, *parameters):
        self.told(self, statement)
        return super().execute(statement, *parameters)

    def executemany(self, statement, rows):
        self.told(self, statement)
        return super().executemany(statement, rows)


@pytest.fixture
def watch():
    """Have every statement of a ledger's database told."""

    def told(ledger, tell):
        ledger.flush()
        ledger._behind.join()
        engine = ledger._database.engine
        engine.dispose()
        watched = type("Told", (Watched,), {"told": staticmethod(tell)})
        sa.event.listen(engine, "do_connect", lambda *a: a[-1].update(factory=watched))
        ledger.get("")  # what a connection asks when it is opened is of no interest

    return told


def test_a_hit_is_one_statement_an_admission_one_transaction_and_a_use_none(sql, watch):
    ledger, asked = filled(sql(3, LEC()), "a", "b"), []
    reworded(ledger, "a", "a'")
    watch(ledger, lambda _, statement: asked.append(statement.split()[0]))

    def statements(work):
        work()
        with ledger._lock:  # nothing is flushed meanwhile
            told = [word for word in asked if word != "PRAGMA"]
        asked.clear()
        return told

    with ledger._writing:
        assert statements(lambda: ledger.get("a")) == ["SELECT"]
        assert statements(lambda: ledger.get("a'")) == ["SELECT", "SELECT"]
        assert statements(lambda: ledger.wording("a", asked="c")) == ["SELECT"]
        assert statements(lambda: ledger.differs("a", "b")) == []
        assert statements(lambda: [ledger.use(key) for key in ("a", "a'", "b")]) == []
        assert statements(lambda: ledger.admit(Entry("c"))) == ["BEGIN", "INSERT", "INSERT"]
        evicting = statements(lambda: ledger.admit(Entry("d", cost=9.0)))
    assert evicting[0] == "BEGIN"
    assert len(evicting) <= 8


@pytest.mark.parametrize("name", ["get", "wording", "use", "unword"])
def test_no_table_is_scanned_for_a_key(sql, name, watch):
    ledger = filled(sql(3, LEC()), "a", "b")
    reworded(ledger, "a", "a'")
    seen, explaining = [], False

    def explain(db, statement):
        nonlocal explaining
        if " WHERE " in statement and not explaining:
            explaining = True
            plan = db.execute(f"EXPLAIN QUERY PLAN {statement}", ("",) * statement.count("?"))
            seen.extend(row[-1] for row in plan.fetchall())
            explaining = False

    watch(ledger, explain)
    getattr(ledger, name)("a'")
    ledger.flush()
    assert seen
    assert [step for step in seen if step.startswith("SCAN") and "CONSTANT" not in step] == []


class FaultError(Exception):
    """What a database raises in the middle."""


@pytest.mark.parametrize(
    "work",
    [
        lambda ledger: ledger.reword(Wording("new", "b", size=5)),
        lambda ledger: ledger.reword(Wording("a1", "b", size=1)),
        lambda ledger: ledger.unword("a1"),
        lambda ledger: ledger.admit(Entry("c", size=9)),
        lambda ledger: ledger.admit(Entry("a", size=3)),
        lambda ledger: ledger.forget("a"),
        lambda ledger: ledger.differ("a", "c"),
        lambda ledger: ledger.clear(),
    ],
    ids=["reword", "change sides", "unword", "admit", "admit anew", "forget", "differ", "clear"],
)
def test_what_a_fault_at_any_statement_kept_from_being_written_is_not_kept(sql, watch, work):
    for number in range(1, 100):
        name = f"fault {number}"
        ledger, left = filled(sql(12, LRU(), name=name), "a", "b", size=3), number
        reworded(ledger, "a", "a1", "a2", size=2)
        before = state(ledger)[0]

        def fail(_db, _statement):
            nonlocal left
            left -= 1
            if left == 0:
                raise FaultError

        watch(ledger, fail)
        left = number
        try:
            told = work(ledger)
        except FaultError:
            told = None
        done, left = left > 0, math.inf
        after, sound = state(ledger)[0], ledger.check()
        ledger.close()
        again = sql(12, LRU(), name=name)
        assert (state(again)[0], sound, again.check()) == (after, [], [])
        again.close()
        if done:
            break
        if told is None:
            assert {row[0] for row in after} <= {row[0] for row in before}
    assert 2 < number < 99


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda books: books.wordings._aliases.clear(), "slots are not a permutation"),
        (lambda books: books._accounts.pop("a"), "an alias is of no entry"),
        (lambda books: setattr(books._accounts["a"], "size", 1), "smaller than its aliases"),
        (lambda books: setattr(books.shadows[0].held["a"], "size", 9), "held at another size"),
        (lambda books: setattr(books.wordings, "capacity", 1), "2 aliases are more than 1"),
    ],
)
def test_check_finds_what_is_wrong_with_aliases_in_memory(harm, problem):
    ledger = filled(MemoryLedger(9, policy=LRU()), "a", "b")
    reworded(ledger, "a", "a1", "a2", size=1)
    assert ledger.check() == []
    harm(ledger._books)
    assert any(problem in found for found in ledger.check())


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM wordings", "other aliases than the books"),
        ("UPDATE wordings SET of = 'c'", "other aliases than the books"),
        ("UPDATE wordings SET text = 'c' WHERE key = 'a1'", "1 rows are not as they were written"),
    ],
)
def test_check_finds_what_is_wrong_with_aliases_in_a_database(sql, tmp_path, statement, problem):
    ledger = filled(sql(9, LRU(), name="x"), "a", "b")
    reworded(ledger, "a", "a1", "a2", size=1)
    assert ledger.check() == []
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.executescript(statement)
    connection.close()
    assert any(problem in found for found in ledger.check())


def test_check_finds_more_aliases_of_one_entry_than_it_may_have(make, monkeypatch):
    ledger = filled(make(9, LRU()), "a")
    reworded(ledger, "a", *"bcd")
    monkeypatch.setattr(wordings, "WORDINGS", 2)
    assert ledger.check() == ["an entry has 3 aliases"]
