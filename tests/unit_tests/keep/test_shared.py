"""A ledger that processes share, on one SQLite file: who is evicted, what is bounded, who hears what."""

import os
import threading
import time
from dataclasses import astuple
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import GDSF, LEC, LFU, LRU, GreedyDual, robust
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.keep.shared.connections import Connections
from langchain_cachemux.keep.shared.leases import Leases
from langchain_cachemux.keep.shared.ledger import SharedLedger
from langchain_cachemux.keep.shared.tables import ENTRIES, PAYLOADS, PROCESSES
from langchain_cachemux.testing import check_ledger
from langchain_cachemux.types import Entry, Wording

PLAIN = {"LEC": LEC, "ageing LEC": lambda: LEC(half_life=7), "GDSF": GDSF, "LFU": LFU, "LRU": LRU}
each_plain = pytest.mark.parametrize("policy", PLAIN.values(), ids=PLAIN)
VECTOR = np.array([0.5, -0.25], dtype=np.float32)


@pytest.fixture
def opened(tmp_path):
    """Open shared ledgers, by default each over a file of its own; all are closed at the end."""
    made, numbers = [], count()

    def make(capacity, policy, ghosts=None, *, name=None, pace=0, **more):
        url = f"sqlite:///{tmp_path}/{name or next(numbers)}.db"
        made.append(
            SharedLedger(url, capacity=capacity, policy=policy, ghosts=ghosts, pace=pace, **more)
        )
        return made[-1]

    yield make
    for ledger in made:
        if not ledger._closed:
            ledger.close()


def test_the_shared_ledger_keeps_the_contract(opened):
    check_ledger(opened)


def standings(ledger):
    return {entry.key: astuple(ledger.standing(entry.key)) for entry in ledger}


@each_plain
@given(
    requests=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.5, 1.0, 4.0]), st.integers(1, 4)),
        max_size=60,
    ),
    capacity=st.integers(1, 7),
    in_bytes=st.booleans(),
)
@settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
def test_alone_and_under_one_policy_it_evicts_what_memory_evicts(
    policy, requests, capacity, in_bytes, tmp_path_factory
):
    memory = MemoryLedger(capacity, policy=policy())
    url = f"sqlite:///{tmp_path_factory.mktemp('same')}/ledger.db"
    shared = SharedLedger(url, capacity=capacity, policy=policy(), pace=0)
    try:
        for key, cost, size in requests:
            used = memory.use(key)
            assert shared.use(key) == used
            if not used:
                entry = Entry(key, cost, size if in_bytes else 1)
                one, other = memory.admit(entry), shared.admit(entry)
                assert (one.evicted, one.slot is None) == (other.evicted, other.slot is None)
        assert standings(shared) == standings(memory)
        assert shared.check() == []
    finally:
        shared.close()


def test_what_one_process_keeps_all_of_them_find(opened):
    one, other = (opened(3, LRU(), name="both") for _ in range(2))
    slot = one.admit(
        Entry("a", 2.0, text="words", vector=VECTOR, answer="1", labels=("tag:x",))
    ).slot
    found = other.get("a")
    assert (found.answer, found.slot, found.labels) == ("1", slot, ("tag:x",))
    other.reword(Wording("b", "a", "other words", VECTOR))
    assert one.wording("b").text == "other words"
    assert other.forget("a")
    assert one.get("a") is one.get("b") is None
    assert len(one) == len(other) == one.size == 0


def test_counts_of_several_processes_come_to_their_sum_and_time_to_all_requests(opened):
    one, other = (opened(3, LFU(), name="both", pace=60) for _ in range(2))
    one.admit(Entry("a"))
    one.admit(Entry("b"))
    for _ in range(3):
        assert one.use("a")
        assert other.use("a")
    for ledger in (one, other, one):
        ledger.flush()
    assert one.standing("a").count == other.standing("a").count == 7
    assert one._now == 8
    with one.database.alone() as db:
        assert db.scalar(sa.select(sa.func.sum(PROCESSES.c.requests))) == 8


def test_a_hit_waits_for_nobody_who_writes(opened):
    ledger = opened(3, LRU(), name="x", pace=60)
    ledger.admit(Entry("a", answer="1"))
    other = Connections(f"{ledger.database.url}")
    done = []

    def hit():
        done.append((ledger.get("a").answer, ledger.use("a"), ledger.use("nobody")))

    def locking(db):
        thread = threading.Thread(target=hit)
        thread.start()
        thread.join(30)
        return thread.is_alive()

    assert not other.write(locking)
    other.close()
    assert done == [("1", True, False)]


def test_no_two_of_many_evict_one_victim_and_the_capacity_holds_all_along(opened):
    ledgers = [opened(7, robust(7), name="many", pace=0.2) for _ in range(4)]
    most, told, gone, failed = [0], [], [], []

    def admit(ledger, name):
        try:
            for number in range(40):
                admission = ledger.admit(Entry(f"{name} {number}", cost=1.0 + number))
                gone.extend(admission.evicted)
                if admission.slot is not None:
                    told.append(f"{name} {number}")
                most[0] = max(most[0], len(ledger))
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=admit, args=(one, n)) for n, one in enumerate(ledgers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert most[0] == 7
    assert len(gone) == len(set(gone))
    assert {entry.key for entry in ledgers[0]} == set(told) - set(gone)
    assert ledgers[0].check() == []


def test_all_follow_the_policy_that_all_together_have_lost_least_by(opened):
    one, other = (opened(1, [LRU(), LFU()], name="both") for _ in range(2))
    for ledger in (one, other):
        for key in "aaba":
            ledger.use(key) or ledger.admit(Entry(key))
    other.flush()
    one.flush()
    assert isinstance(one.policy, LFU)
    assert isinstance(other.policy, LFU)
    with one.database.alone() as db:
        assert {row.era for row in db.execute(sa.select(ENTRIES.c.era))} == {one._course.era} == {1}


def test_what_processes_that_ended_have_counted_stays_counted(opened, monkeypatch):
    one, other = (opened(3, GDSF(), name="both") for _ in range(2))
    other.admit(Entry("a"))
    other.admit(Entry("b"))
    monkeypatch.setattr("langchain_cachemux.keep.shared.ledger.ENDED", -1.0)
    one.admit(Entry("c"))
    one.flush()
    with one.database.alone() as db:
        rows = {row.id: row.requests for row in db.execute(sa.select(PROCESSES))}
    assert sum(rows.values()) == 3
    assert rows[""] >= 2


@pytest.mark.parametrize(("capacity", "left"), [(2, "cd"), (6, "abcd")])
def test_another_capacity_is_taken_at_opening(opened, capacity, left):
    ledger = opened(4, LRU(), name="x")
    for key in "abcd":
        ledger.admit(Entry(key))
    ledger.close()
    ledger = opened(capacity, LRU(), name="x")
    assert sorted(entry.key for entry in ledger) == list(left)
    for key in "efghij":
        ledger.admit(Entry(key))
    assert len(ledger) == ledger.size == capacity
    assert ledger.check() == []


def test_other_policies_are_taken_once_the_other_processes_have_ended(opened):
    ledger, other = (opened(3, LEC(half_life=5), name="x") for _ in range(2))
    for key in "abbacc":
        ledger.use(key) or ledger.admit(Entry(key))
    ledger.close()
    with pytest.raises(
        ValueError, match=r"policy must be that of the other processes .*GreedyDual"
    ):
        opened(3, GreedyDual(), name="x")
    other.close()
    again = opened(3, [GreedyDual(), LFU()], name="x")
    assert sorted(entry.key for entry in again) == ["a", "b", "c"]
    assert again.check() == []
    again.admit(Entry("d"))
    assert len(again) == 3


def test_a_ledger_about_something_else_is_refused(opened):
    opened(3, LRU(), name="x", about={"embeddings": "one"}).close()
    with pytest.raises(ValueError, match=r"embeddings is 'other', but .* made with 'one'"):
        opened(3, LRU(), name="x", about={"embeddings": "other"})
    with pytest.raises(ValueError, match="seal is"):
        opened(3, LRU(), name="x", about={"embeddings": "one"}, seal=Checksum("secret"))


def test_an_answer_that_was_changed_is_not_served(opened):
    ledger = opened(3, LRU())
    ledger.admit(Entry("a", answer="5 mg"))
    ledger.admit(Entry("b", answer="whole"))
    ledger.database.write(
        lambda db: db.execute(
            sa.update(PAYLOADS).where(PAYLOADS.c.key == "a").values(answer="7 mg")
        )
    )
    assert ledger.get("a") is ledger.wording("a") is None
    assert [entry.answer for entry in ledger] == ["whole"]
    assert ledger.damaged == 3
    assert ledger.admit(Entry("a", answer="5 mg")).slot is not None
    assert ledger.get("a").answer == "5 mg"


def test_another_process_hears_of_what_came_and_what_left(opened):
    one, other = (opened(2, LRU(), name="both") for _ in range(2))
    changes, since = other.changes(0)
    assert changes == []
    one.admit(Entry("a", partition="p", vector=VECTOR))
    one.admit(Entry("b", vector=VECTOR))
    one.reword(Wording("alias", "b", "w", VECTOR))
    changes, since = other.changes(since)
    assert {c.wording.key: c.slot for c in changes} == {w.key: w.slot for w in one.wordings()}
    assert {c.wording.partition for c in changes} == {"p", ""}
    assert other.changes(since)[0] == []
    one.admit(Entry("c"))
    one.forget("b")
    changes, since = other.changes(since)
    told = {c.slot: c.wording and c.wording.key for c in changes}
    assert {slot: key for slot, key in told.items() if key} == {one.get("c").slot: "c"}
    assert len(told) == 3
    one.clear()
    assert all(c.wording is None for c in other.changes(since)[0])


def test_a_forked_process_goes_on_and_leaves_the_counts_of_the_other_to_it(opened):
    ledger = opened(3, LFU(), name="x", pace=60)
    ledger.admit(Entry("a", answer="1"))
    assert ledger.use("a")
    child = os.fork()
    if not child:
        try:
            well = ledger.get("a").answer == "1" and ledger.use("a") and ledger.use("a")
            ledger.flush()
            os._exit(0 if well else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ledger.flush()
    assert ledger.standing("a").count == 4
    assert ledger._now == 4


def test_what_was_counted_is_written_within_a_pace_and_at_the_end(opened):
    ledger, other = opened(3, LFU(), name="x", pace=0.05), opened(3, LFU(), name="x")
    ledger.admit(Entry("a"))
    assert ledger.use("a")
    until = time.monotonic() + 20
    while other.standing("a").count < 2 and time.monotonic() < until:
        ledger._writer.join(0.05)
    assert other.standing("a").count == 2
    assert ledger.use("a")
    ledger.close()
    assert other.standing("a").count == 3


def test_ghosts_are_bounded(opened):
    ledger = opened(1, LFU(), 2)
    for key in "abcde":
        ledger.admit(Entry(key))
    with ledger.database.alone() as db:
        number = db.scalar(sa.text("SELECT count(*) FROM ghosts"))
    assert 2 <= number <= 3


def test_many_slots_are_made_as_they_are_needed(opened, monkeypatch):
    monkeypatch.setattr("langchain_cachemux.keep.shared.books.CHUNK", 2)
    ledger = opened(5, LRU())
    slots = [ledger.admit(Entry(key)).slot for key in "abcde"]
    assert slots == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "url", ["nowhere", "mysql://user:hush@host/db", 7, "postgresql+asyncpg://u:hush@h/d"]
)
def test_an_address_of_another_kind_is_refused_and_no_password_told(url):
    with pytest.raises(ValueError, match="database must be an address such as") as refused:
        Connections(url)
    assert "hush" not in str(refused.value)


def test_a_password_is_in_no_repr():
    database = Connections("postgresql://user:hush@127.0.0.1:1/name?sslmode=require")
    assert repr(database).startswith("Connections('postgresql+psycopg://user:***@127.0.0.1:1/name")
    database.close()


def test_of_two_threads_that_take_a_lease_at_once_a_session_of_postgres_is_asked_for_one():
    """It counts how often it was asked, and would keep the lease of which one alone is given back."""
    second = threading.Event()

    class Session:
        held = 0

        def execute(self, asked, told):
            self.held += 1 if "try" in str(asked) else -1
            return SimpleNamespace(scalar_one=lambda: True)

        def close(self):
            pass

    session = Session()
    leases = Leases(SimpleNamespace(postgres=True, alone=lambda: session), longest=60.0)
    one = threading.Thread(target=leases.take, args=("a question",))
    held = leases.held

    def looked():
        found = held()
        if threading.current_thread() is one:
            second.set()
        else:
            one.start()
            second.wait(30)
        return found

    leases.held = looked
    assert leases.take("a question")
    one.join()
    leases.held = held
    assert session.held == 1
    leases.give("a question")
    assert (session.held, leases.held()) == (0, [])
