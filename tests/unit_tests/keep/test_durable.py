"""A ledger in a database: when it writes, how it opens, and what it does when it cannot."""

import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from slow_ledger import books, counted

from langchain_cachemux.keep import later
from langchain_cachemux.keep.durable import advice, resume
from langchain_cachemux.keep.durable import ledger as module
from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.keep.policies import GDSF, LEC, LFU, LRU, robust
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.types import Admission, Entry, Wording


def filled(ledger, *keys):
    for key in keys:
        ledger.admit(Entry(key, answer=f"of {key}"))
    return ledger


def asked(ledger, requests):
    """Hit or admit each in turn; who was evicted."""
    evicted = []
    for key, cost in requests:
        if not ledger.use(key):
            evicted += ledger.admit(Entry(key, cost, answer=key)).evicted
    return evicted


def requests(number, *, seed=0, keys=30):
    chance = random.Random(seed)
    drawn = [min(int(chance.paretovariate(0.7)), keys) for _ in range(number)]
    return [(f"k{key}", 1.0 + key * 7 % 11) for key in drawn]


def told(path, statement):
    with sqlite3.connect(path) as connection:
        found = connection.execute(statement).fetchall()
    connection.close()
    return found


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


# When it writes


def test_an_admission_is_in_the_file_when_it_is_acknowledged(sql, tmp_path):
    filled(sql(3, LRU(), name="x"), "a")
    assert told(tmp_path / "x.db", "SELECT key, answer FROM payloads") == [("a", "of a")]


def test_uses_are_written_together_a_moment_later(sql, tmp_path, monkeypatch):
    monkeypatch.setattr(later, "EVERY", 0.05)
    ledger = filled(sql(3, LRU(), name="x"), "a", "b")
    for key in "aab":
        ledger.use(key, cost=7.0)
    until(lambda: told(tmp_path / "x.db", "SELECT now FROM books") == [(5,)])
    found = told(tmp_path / "x.db", "SELECT key, cost, counts, last FROM entries ORDER BY key")
    assert found == [("a", 7.0, "[3.0]", 4), ("b", 7.0, "[2.0]", 5)]


def test_when_very_many_uses_wait_they_are_written_at_once(sql, tmp_path, monkeypatch):
    monkeypatch.setattr(later, "EVERY", 3600.0)
    monkeypatch.setattr(module, "MANY", 5)
    monkeypatch.setattr(module, "TOGETHER", 2)
    ledger = filled(sql(9, LRU(), name="x"), *"abcdefg")
    for key in "abcd":
        ledger.use(key)
    assert told(tmp_path / "x.db", "SELECT max(last) FROM entries") == [(7,)]
    for key in "efg":
        ledger.use(key)
    until(lambda: told(tmp_path / "x.db", "SELECT min(last) FROM entries") == [(8,)])


def test_a_use_never_fails_for_the_database_and_is_written_when_that_can_be_again(
    sql, tmp_path, monkeypatch
):
    monkeypatch.setattr(later, "EVERY", 0.01)
    ledger = filled(sql(3, LRU(), name="x"), "a")
    ledger.flush()
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writers, here, changing = set(), threading.get_ident(), ledger._database.changing
    ledger._database.changing = lambda: writers.add(threading.get_ident()) or changing()
    assert ledger.use("a")
    assert ledger.get("a").answer == "of a"
    assert here not in writers
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ledger.admit(Entry("b"))
    assert here in writers
    assert ledger.get("b") is None
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ledger.flush()
    other.close()
    until(lambda: told(tmp_path / "x.db", "SELECT counts FROM entries") == [("[2.0]",)])
    assert ledger.admit(Entry("b")).slot is not None
    assert ledger.check() == []


def test_victims_of_an_admission_that_failed_are_gone_and_nothing_else_leaves(sql, tmp_path):
    ledger = filled(sql(3, LRU(), name="x"), "a", "b", "c")
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for key in "def":
        with pytest.raises(sqlite3.OperationalError):
            ledger.admit(Entry(key))
    other.close()
    assert sorted(entry.key for entry in ledger) == ["b", "c"]
    filled(ledger, "g")
    assert sorted(told(tmp_path / "x.db", "SELECT key FROM payloads")) == [("b",), ("c",), ("g",)]
    assert ledger.check() == []


@pytest.mark.parametrize("end", ["ledger.close()", "", "del ledger", "raise SystemExit(3)"])
def test_what_waits_is_written_at_the_end_whoever_ends_it(tmp_path, end):
    code = f"""
from langchain_cachemux.keep import later
from langchain_cachemux.keep.policies import LRU
from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.types import Entry
later.EVERY = 0.2
ledger = SqlLedger("sqlite:///{tmp_path}/x.db", capacity=2, policy=LRU())
ledger.admit(Entry("a"))
for _ in range(9):
    ledger.use("a")
{end}
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert told(tmp_path / "x.db", "SELECT counts FROM entries") == [("[10.0]",)]


def test_a_closed_ledger_says_so(sql):
    ledger = filled(sql(3, LRU()), "a")
    ledger.close()
    ledger.close()
    for work in (
        lambda: ledger.get("a"),
        lambda: ledger.use("a"),
        lambda: ledger.admit(Entry("b")),
        lambda: ledger.forget("a"),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            work()


# How it opens


@pytest.fixture
def slow(sql, monkeypatch):
    """Reopen a ledger whose books are read behind, once that is allowed."""
    allowed, fill = threading.Event(), resume.fill

    def filling(*arguments, **more):
        assert allowed.wait(60)
        return fill(*arguments, **more)

    def reopened(ledger, capacity, policy, name):
        ledger.close()
        monkeypatch.setattr(module, "FEW", 0)
        monkeypatch.setattr(module, "PATIENCE", 0.2)
        monkeypatch.setattr(resume, "fill", filling)
        return sql(capacity, policy, name=name)

    yield reopened, allowed
    allowed.set()


def test_hits_are_answered_while_the_books_are_read_and_counted_afterwards(sql, slow):
    reopened, allowed = slow
    ledger = filled(sql(3, LFU(), name="x"), "a", "b")
    ledger.reword(Wording("a'", "a", "words"))
    ledger.differ("a", "z")
    ledger = reopened(ledger, 3, LFU(), "x")
    assert not ledger.is_loaded()
    assert [ledger.get(key).answer for key in ("a", "a'", "b")] == ["of a", "of a", "of b"]
    assert (ledger.wording("a'").text, ledger.wording("a'").of) == ("words", "a")
    assert ledger.wording("a", asked="z") is ledger.get("c") is ledger.standing("a") is None
    assert (ledger.use("a'"), ledger.use("a"), ledger.use("c")) == (True, True, False)
    assert (len(ledger), ledger.size, ledger.differs("z", "a")) == (2, 2, True)
    assert sorted(entry.key for entry in ledger) == ["a", "b"]
    assert sorted(wording.key for wording in ledger.wordings()) == ["a", "a'", "b"]
    allowed.set()
    until(ledger.is_loaded)
    assert ledger.standing("a").count == 3.0
    assert ledger.check() == []


def test_an_admission_waits_a_moment_for_the_books_and_then_is_not_kept(sql, slow):
    reopened, allowed = slow
    ledger = reopened(filled(sql(3, LRU(), name="x"), "a"), 3, LRU(), "x")
    start = time.monotonic()
    assert ledger.admit(Entry("b")) == Admission(None)
    assert ledger.reword(Wording("a'", "a")) == Admission(None)
    assert time.monotonic() - start < 10
    allowed.set()
    until(ledger.is_loaded)
    assert ledger.admit(Entry("b")).slot is not None
    assert ledger.check() == []


def test_what_is_forgotten_while_the_books_are_read_stays_so(sql, slow):
    reopened, allowed = slow
    ledger = filled(sql(5, LRU(), name="x"), *"abc")
    ledger.reword(Wording("a'", "a"))
    ledger.reword(Wording("b'", "b"))
    ledger = reopened(ledger, 5, LRU(), "x")
    assert (ledger.forget("a"), ledger.forget("nobody")) == (True, False)
    assert (ledger.unword("b'"), ledger.unword("b")) == (True, False)
    ledger.differ("b", "c")
    assert ledger.get("a") is ledger.get("a'") is ledger.get("b'") is None
    allowed.set()
    until(ledger.is_loaded)
    assert sorted(wording.key for wording in ledger.wordings()) == ["b", "c"]
    assert ledger.differs("c", "b")
    assert ledger.check() == []


def test_a_ledger_can_be_closed_or_cleared_while_its_books_are_read(sql, slow, monkeypatch):
    reopened, allowed = slow
    monkeypatch.setattr(advice, "PAGE", 4)
    keys = [f"k{number}" for number in range(50)]
    ledger = reopened(filled(sql(60, LRU(), name="x"), *keys), 60, LRU(), "x")
    allowed.set()
    ledger.close()
    ledger = sql(60, LRU(), name="x")
    ledger.clear()
    assert (len(ledger), ledger.check()) == (0, [])
    filled(ledger, "a")
    ledger.close()
    ledger = sql(60, LRU(), name="x")
    until(ledger.is_loaded)
    assert [entry.key for entry in ledger] == ["a"]


def test_a_closed_ledger_goes_on_as_one_that_was_never_closed(sql):
    # Six policies, each with keys of its own, which the file beside the database remembers.
    whole, parted = sql(7, robust(7)), sql(7, robust(7), name="x")
    for part in range(6):
        drawn = requests(150, seed=part)
        assert asked(whole, drawn) == asked(parted, drawn)
        assert (books(whole), counted(whole)) == (books(parted), counted(parted))
        assert repr(whole.policy) == repr(parted.policy)
        parted.close()
        parted = sql(7, robust(7), name="x")
        assert parted.check() == []


@pytest.mark.parametrize("harm", ["missing", "old", "damaged", "nonsense"])
def test_without_what_the_policies_held_each_holds_what_is_held(sql, tmp_path, harm):
    ledger = sql(7, robust(7), name="x")
    asked(ledger, requests(300))
    ledger.close()
    file = tmp_path / "x.npz"
    content = file.read_bytes()
    if harm == "old":
        ledger = sql(7, robust(7), name="x")
        asked(ledger, requests(20, seed=1))
        ledger.close()
        file.write_bytes(content)
    elif harm == "missing":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if harm == "damaged" else b"no zip")
    ledger = sql(7, robust(7), name="x")
    held = {entry.key for entry in ledger}
    assert all(set(shadow.sizes()) == held for shadow in ledger._books.shadows)
    assert ledger.check() == []
    asked(ledger, requests(100, seed=2))
    assert ledger.check() == []


def test_what_the_policies_held_is_void_once_anything_is_written(sql, tmp_path):
    ledger = filled(sql(3, LRU(), name="x"), "a")
    ledger.close()
    assert (tmp_path / "x.npz").exists()
    ledger = sql(3, LRU(), name="x")
    ledger.get("a")
    assert (tmp_path / "x.npz").exists()
    filled(ledger, "b")
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("seed", range(5))
def test_a_ledger_copied_at_work_is_sound_and_holds_what_was_acknowledged(sql, tmp_path, seed):
    """As a process that is killed leaves it: counts and policies are found anew."""
    ledger = sql(7, robust(7), name="x")
    asked(ledger, requests(200, seed=seed))
    held = {entry.key: entry.answer for entry in ledger}
    for file in tmp_path.glob("x.db*"):
        shutil.copy(file, tmp_path / file.name.replace("x", "copy"))
    copy = sql(7, robust(7), name="copy")
    assert {entry.key: entry.answer for entry in copy} == held
    assert copy.check() == []
    last = max(copy.standing(key).last for key in held)
    asked(copy, [("new", 1.0)])
    assert copy._books.now == last + 1


# What is not as it was written


def harmed(path, *statements):
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payloads SET answer = 'of b' WHERE key = 'a'",
        "UPDATE payloads SET answer = CAST(x'ff41' AS TEXT) WHERE key = 'a'",
        "UPDATE payloads SET labels = '[\"tag:x\"]' WHERE key = 'a'",
        "UPDATE payloads SET expires = 1e12 WHERE key = 'a'",
        "UPDATE payloads SET seal = NULL WHERE key = 'a'",
        "UPDATE payloads SET key = 'z' WHERE key = 'a'",
        "DELETE FROM payloads WHERE key = 'a'",
        "UPDATE entries SET cost = 'x' WHERE key = 'a'",
        "UPDATE entries SET cost = -1.0 WHERE key = 'a'",
        "UPDATE entries SET size = 0 WHERE key = 'a'",
        "UPDATE entries SET counts = '[1.0' WHERE key = 'a'",
        "UPDATE entries SET counts = '[]' WHERE key = 'a'",
        "UPDATE entries SET last = 1e300 WHERE key = 'a'",
        "UPDATE entries SET slot = 4611686018427387904 WHERE key = 'a'",
        "UPDATE entries SET slot = -1 WHERE key = 'a'",
    ],
)
@pytest.mark.parametrize("when", ["closed", "open"])
def test_a_row_that_was_changed_is_a_miss_and_the_others_are_not(sql, tmp_path, statement, when):
    ledger = filled(sql(4, LRU(), name="x"), "a", "b")
    if when == "closed":
        ledger.close()
    harmed(tmp_path / "x.db", statement)
    if when == "closed":
        ledger = sql(4, LRU(), name="x")
    answers = [found and found.answer for found in map(ledger.get, "ab")]
    numbers = "entries" in statement
    assert answers == ([None, "of b"] if when == "closed" or not numbers else ["of a", "of b"])
    filled(ledger, "a", "c")
    assert [ledger.get(key).answer for key in "abc"] == ["of a", "of b", "of c"]
    ledger.close()
    ledger = sql(4, LRU(), name="x")
    assert [ledger.get(key).answer for key in "abc"] == ["of a", "of b", "of c"]
    if "key = 'z'" not in statement:
        assert ledger.check() == []


def test_a_row_that_was_changed_is_counted_when_it_is_met(sql, tmp_path):
    ledger = filled(sql(4, LRU(), name="x"), "a", "b")
    harmed(tmp_path / "x.db", "UPDATE payloads SET text = 'other' WHERE key = 'a'")
    assert ledger.get("a") is ledger.get("a") is None
    assert ledger.lost == 1
    assert len(ledger) == 1


def test_an_answer_that_comes_while_a_row_is_found_to_be_changed_is_not_forgotten_for_it(
    sql, tmp_path, monkeypatch
):
    ledger = filled(sql(4, LRU(), name="x"), "a")
    harmed(tmp_path / "x.db", "UPDATE payloads SET text = 'other' WHERE key = 'a'")
    payload = ledger._database.payload

    def read_then_replaced(key):
        try:
            return payload(key)
        finally:
            ledger.admit(Entry("a", answer="fresh"))

    monkeypatch.setattr(ledger._database, "payload", read_then_replaced)
    assert ledger.get("a") is None
    monkeypatch.setattr(ledger._database, "payload", payload)
    assert ledger.get("a").answer == "fresh"
    assert (ledger.lost, ledger.check()) == (1, [])


def test_an_alias_that_was_changed_leads_nowhere_and_its_entry_stays(sql, tmp_path):
    ledger = filled(sql(4, LRU(), name="x"), "a", "b")
    ledger.reword(Wording("a'", "a", "words"))
    ledger.close()
    harmed(tmp_path / "x.db", "UPDATE wordings SET of = 'b'")
    ledger = sql(4, LRU(), name="x")
    assert ledger.get("a'") is None
    assert ledger.get("a").answer == "of a"
    assert (ledger.lost, ledger.check()) == (1, [])


def test_a_difference_that_was_changed_is_none(sql, tmp_path):
    ledger = sql(4, LRU(), name="x")
    ledger.differ("a", "b")
    ledger.close()
    harmed(tmp_path / "x.db", "UPDATE differences SET other = 'c'")
    ledger = sql(4, LRU(), name="x")
    assert not ledger.differs("a", "c")
    assert ledger.lost == 1


def test_two_rows_in_one_slot_are_one(sql, tmp_path):
    ledger = filled(sql(4, LRU(), name="x"), "a", "b")
    ledger.reword(Wording("a'", "a"))
    ledger.close()
    harmed(tmp_path / "x.db", "UPDATE wordings SET slot = 1")
    ledger = sql(4, LRU(), name="x")
    assert sorted(wording.key for wording in ledger.wordings()) == ["a", "b"]
    ledger.admit(Entry("c"))
    assert ledger.check() == []


def test_only_with_the_secret_that_it_was_made_with_a_ledger_opens(sql):
    filled(sql(3, LRU(), name="x", seal=Checksum("one")), "a").close()
    for seal in (Checksum("other"), Checksum(), None):
        with pytest.raises(ValueError, match=r"sealed otherwise.* open them with the secret"):
            sql(3, LRU(), name="x", seal=seal)
    assert sql(3, LRU(), name="x", seal=Checksum(b"one")).get("a").answer == "of a"


def test_what_somebody_writes_who_does_not_know_the_secret_is_not_read(sql, tmp_path):
    filled(sql(3, LRU(), name="x", seal=Checksum("one")), "a").close()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM payloads").fetchone())
        forged = Checksum().sign("payloads", {**row, "answer": "forged"})
        connection.execute("UPDATE payloads SET answer = :answer, seal = :seal", forged)
    connection.close()
    assert sql(3, LRU(), name="x", seal=Checksum("one")).get("a") is None


# Versions before


@pytest.fixture
def third(tmp_path):
    """The database of a ledger as the version before seals wrote it."""
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.executescript(Path(__file__).with_name("ledger_3.sql").read_text("utf-8"))
    connection.close()
    return tmp_path / "ledger.db"


@pytest.mark.parametrize("seal", [Checksum(), Checksum("secret")])
def test_a_ledger_of_the_version_before_seals_opens_with_all_it_held(third, sql, seal):
    how = {"name": "ledger", "about": {"embedder": "mini"}, "seal": seal}
    for _ in range(2):
        ledger = sql(2, [LRU(), LEC()], **how)
        words = {w.key: (w.of, w.text, w.vector.tolist()) for w in ledger.wordings()}
        assert words == {
            "b": ("b", "B", [0.5, -0.25]),
            "b1": ("b", "B?", [-0.5, 0.25]),
            "c": ("c", "C", [0.5, -0.25]),
            "c1": ("c", "C?", [0.5, -0.25]),
        }
        assert (ledger.differs("d", "b"), ledger.get("b").answer) == (True, '["x"]')
        assert (ledger.standing("b").count, ledger.standing("b").last) == (3.0, 6)
        assert (ledger.get("b").made, ledger.get("b").labels, ledger.lost) == (0.0, (), 0)
        assert ledger.check() == []
        ledger.close()
    ledger = sql(2, [LRU(), LEC()], **how)
    assert ledger.admit(Entry("a", cost=9.0)).evicted == ("c",)
    assert ledger.standing("a").count == 2.0
    assert ledger.check() == []


def test_many_rows_of_a_version_before_are_all_signed(third, sql, monkeypatch):
    monkeypatch.setattr("langchain_cachemux.keep.durable.tables.BATCH", 7)
    with sqlite3.connect(third) as connection:
        for number in range(100):
            row = (f"k{number}", number + 10)
            connection.execute("INSERT INTO entries VALUES (?, ?, 1.0, 1, '[1.0]', 1)", row)
            connection.execute("INSERT INTO payloads VALUES (?, 'p', 't', NULL, 'x')", row[:1])
    connection.close()
    ledger = sql(200, [LRU(), LEC()], name="ledger", about={"embedder": "mini"})
    assert len([*ledger]) == 102
    assert ledger.check() == []


def test_another_half_life_at_reopening_is_written_with_all_counts_or_not_at_all(sql, tmp_path):
    asked(sql(7, LEC(half_life=5), name="x"), requests(100))
    ledger = sql(7, LEC(half_life=5), name="x")
    before = counted(ledger)
    ledger.close()
    ledger = sql(7, [LEC(half_life=9), GDSF()], name="x")
    assert counted(ledger) == {key: (n, n) for key, (n,) in before.items()}
    ledger.close()
    about = dict(told(tmp_path / "x.db", "SELECT name, value FROM about"))
    assert about["half-lives"] == "[9, Infinity]"
    assert counted(sql(7, [LEC(half_life=9), GDSF()], name="x")) == counted(ledger)


def test_an_open_ledger_is_one_of_those_that_are_closed_at_exit(sql):
    ledger = sql(3, LRU())
    assert isinstance(ledger, SqlLedger)
    assert ledger in module._OPEN
