"""The answers of one cache: its ledger and its index, changed together.

The ledger changes first; a row that it does not confirm, the same key in the same slot, is nothing.
On the way of a prompt the two are asked with patience: what may hang is left at a deadline, and what
cannot be read, searched or written is spared by itself. So what cannot be written is still read, and
exact hits go on without the index.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from langchain_cachemux.arguments import expect
from langchain_cachemux.discreet import loggable
from langchain_cachemux.keep.encrypted import Encrypted
from langchain_cachemux.keep.expiry import SWEPT, Expiry
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.probes import apart, place_in
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.locks import Lock
from langchain_cachemux.match.index import Index
from langchain_cachemux.patience import Patience, together
from langchain_cachemux.stats import Counters
from langchain_cachemux.types import Admission, Match, Query, Wording, kin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager, ExitStack
    from pathlib import Path

    from langchain_cachemux.keep.books import Capacity, Ledger
    from langchain_cachemux.keep.expiry import Asked, Keeping
    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.sealed import Seal
    from langchain_cachemux.life import Life
    from langchain_cachemux.stats import Counted
    from langchain_cachemux.types import Entry, Hit

T = TypeVar("T")

log = logging.getLogger(__name__)

LAST = 5.0
"""Seconds that closing waits for a change that is under way."""
CANDIDATES = 8
"""Wordings fetched for a query, to find one that is held and asks the same."""
FORGOTTEN = 1000
"""Keys of which it is known when they were forgotten last; the oldest is known no more."""


class Forgotten:
    """When something was forgotten: what was begun before that is not written after it.

    An answer may be written later than was waited for, and a judge may speak later than anybody asks.
    Safe between threads.
    """

    def __init__(self) -> None:
        self._now = 0
        self._all = 0
        """When something was, whatever it is."""
        self._keys: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    @property
    def now(self) -> int:
        """A moment, to be asked about later."""
        return self._now

    def add(self, key: str | None = None) -> None:
        """Take note that a key is forgotten; or something, whatever that is."""
        with self._lock:
            self._now += 1
            if key is None:
                self._all = self._now
                return
            self._keys[key] = self._now
            self._keys.move_to_end(key)
            if len(self._keys) > FORGOTTEN:
                self._keys.popitem(last=False)

    def since(self, moment: int, key: str) -> bool:
        """Whether a key was, or may have been, forgotten after a moment."""
        with self._lock:
            return max(self._all, self._keys.get(key, 0)) > moment


class Shelf:
    """What is held, by key and by what is near. Safe between threads.

    Args:
        ledger: The truth about what is held.
        index: Where it is near.
        in_bytes: Whether sizes count, those of aliases too.
        counters: Where it is counted what was stored, and what went for it.
        deadline: Seconds in which they have to answer; None where nothing can hang, as in memory.
        expiry: Which of the answers are over.
        life: Until when they may be used; by default for ever.
    """

    def __init__(
        self,
        ledger: Ledger,
        index: Index,
        *,
        in_bytes: bool = False,
        counters: Counters | None = None,
        deadline: float | None = None,
        expiry: Expiry | None = None,
        life: Life | None = None,
    ) -> None:
        self.ledger = ledger
        self.index = index
        self.in_bytes = in_bytes
        self.counters = Counters() if counters is None else counters
        self.deadline = deadline
        self.expiry = Expiry() if expiry is None else expiry
        self._others: list[str] | None = None
        """Answers of other epochs, the first to leave; None as long as nobody has looked."""
        self._reading = Patience("reading the ledger", deadline, shares=True)
        self._searching = Patience("the index", deadline, shares=True)
        self._writing = Patience("writing to the ledger", deadline, shares=True)
        self._life = life
        self.lock = Lock()
        """Held by whoever changes both."""
        self.doubted: set[str] = set()
        """Answers that a chain came to nothing with: served no more, and forgotten soon."""
        self.forgotten = Forgotten()
        """What was, lately: what was begun before it is not written."""

    @classmethod
    def opened(
        cls,
        folder: Path | None,
        capacity: Capacity,
        policy: Policy | Sequence[Policy],
        *,
        embeddings: str,
        counters: Counters,
        deadline: float,
        closing: ExitStack,
        life: Life | None = None,
        expiry: Expiry | None = None,
        seal: Seal | None = None,
        repair: bool = False,
        read_only: bool = False,
    ) -> Shelf:
        """Open a ledger and an index that agree, in a folder or in memory.

        Args:
            folder: Where they are kept, locked as long as they are open; None in memory.
            capacity: What the ledger may hold.
            policy: What is worth keeping.
            embeddings: What the vectors were made by.
            counters: As for a shelf.
            deadline: Seconds in which a folder has to answer.
            closing: Closes what was opened.
            life: As for a shelf.
            expiry: As for a shelf.
            seal: What a folder is written under; where that hides vectors, none is written beside it.
            repair: Whether what can be read of a damaged ledger is saved into a new one.
            read_only: Whether a folder is only read, be it open elsewhere or not.

        Raises:
            ValueError: The path is a file; or the folder was made with another embedder, unit or secret,
                or is damaged; or it is in use elsewhere, or may not be written to.
        """
        expect(isinstance(repair, bool), "repair", "True or False", repair)
        expect(not (read_only and folder is None), "path", "a folder where it is only read", folder)
        expect(not (read_only and repair), "repair", "False where a folder is only read", repair)
        seal = seal or Checksum()
        made = partial(cls, in_bytes=capacity.in_bytes, counters=counters, expiry=expiry, life=life)
        if folder is None:
            books = MemoryLedger(capacity.total, policy=policy)
            index = Index.memory(books.wordings, read=True)
            closing.callback(index.close)
            return made(books, index)
        from langchain_cachemux.keep.durable.folder import INDEX, kept
        from langchain_cachemux.keep.durable.reading import read

        opened = read if read_only else partial(kept, repair=repair)
        ledger = opened(folder, capacity, policy, embeddings=embeddings, closing=closing, seal=seal)
        hidden = read_only or isinstance(seal, Encrypted)
        place = folder / INDEX
        index = (Index.memory if hidden else partial(Index.folder, place))(ledger.wordings)
        closing.callback(index.close)
        shelf = made(ledger, index, deadline=deadline)
        closing.callback(shelf.close)
        return shelf

    @property
    def unit(self) -> Literal["entries", "bytes"]:
        """In which sizes count."""
        return "bytes" if self.in_bytes else "entries"

    def compact(self) -> int:
        """Forget what is over, and write both stores anew; return how many answers were over."""
        with self.lock:
            swept = 0
            while found := self.sweep():
                swept += found
            self.ledger.compact()
            self.index.anew()
        self.index.flush()
        return swept

    def close(self) -> None:
        """Wait until whoever is changing something has done so, or takes too long: nobody else may.

        What was to be forgotten soon is forgotten now; the rows of the index are compared at opening.
        """
        if not self.lock.acquire(LAST):
            return
        try:
            for key in [*self.doubted]:
                _ = self.ledger.unword(key) or self.ledger.forget(key)
                self.doubted.discard(key)
        except Exception as error:  # noqa: BLE001
            log.warning("an answer in doubt was not forgotten: %s", loggable(error))
        finally:
            self.lock.release()

    @contextmanager
    def alone(self, *, aloud: bool = True) -> Iterator[None]:
        """While the block runs nobody else changes anything.

        Args:
            aloud: As of `Life.expect`.

        Raises:
            ClosedError: It may not be changed any more.
        """
        with self.lock:
            self._expect_life(aloud=aloud)
            yield

    def asking(self) -> AbstractContextManager[None]:
        """All that is asked in the block, in one deadline."""
        return nullcontext() if self.deadline is None else together(self.deadline)

    def doubt(self, key: str) -> None:
        """Serve an answer no more; nor is it written after this, if it is late."""
        self.forgotten.add(key)
        self.doubted.add(key)

    def clear(self) -> None:
        """Hold nothing."""
        self.forgotten.add()
        with self.alone():
            self.ledger.clear()
            self.index.clear()
            self.doubted.clear()

    def get(self, key: str) -> Entry | None:
        """Return the answer to a key, its own or an alias', unless it is over or in doubt.

        Raises:
            Exception: It cannot be read, or not in time.
        """
        # before reading: what is forgotten meanwhile is in doubt no more
        doubted = self.doubted.copy()
        entry = self._ask(self._reading, partial(self.ledger.get, key))
        if entry is None or entry.key in doubted:
            return None
        return entry if self.expiry.holds(entry) else None

    def use(self, hit: Hit, cost: float | None, given: Callable[[], Keeping]) -> None:
        """Count a use of an answer, whose time may begin anew by it.

        A ledger counts in memory, and writes that down later; only another end is written at once.

        Args:
            hit: What it answers.
            cost: What a miss would cost by now, when that is known better than at admission.
            given: Tells what was said of this call.

        Raises:
            Exception: Its end cannot be written, or not in time.
        """
        key, entry = hit.query.key, hit.entry
        if hit.kind == "semantic":
            key = hit.compared.match.key if hit.compared else entry.key
        self.ledger.use(key, credit=hit.credit, cost=cost)
        if not self.expiry.sliding:
            return
        until = self.expiry.renewed(entry, hit.query, given())
        if until is not None:
            self.change(partial(self.ledger.extend, entry.key, until))

    def change(self, work: Callable[[], T], *, aloud: bool = True) -> T:
        """Return what the work returns, done while nobody else changes anything.

        Args:
            work: Changes something.
            aloud: As of `Life.expect`.

        Raises:
            Exception: It cannot be done; or it was late, and may still be done.
        """

        def alone() -> T:
            with self.alone(aloud=aloud):
                return work()

        return self._ask(self._writing, alone)

    def check(self, *, fix: bool = False) -> list[str]:
        """Compare the index with the ledger, and the ledger with itself; the problems, in words.

        Args:
            fix: Also make the index what the ledger says it is.
        """
        with self.alone():
            return [*self.ledger.check(), *self.index.check(self.ledger.wordings(), fix=fix)]

    def asked(self, query: Query, context: str | None) -> list[str]:
        """The keys of all wordings that are a query's words, in this context or in any."""
        return [one.key for one in self._visible(query, context) if query.text == one.text != ""]

    def found(self, asked: Asked) -> list[str]:
        """The keys of the answers that `Asked` means, those that are over included."""
        keys = self.ledger.labelled(asked.labels, before=asked.before)
        if not asked.contains:
            return keys
        entries = filter(None, map(self.ledger.get, keys))
        return [e.key for e in entries if asked.found_in(self.ledger.wordings(e.key), e.answer)]

    def near(self, query: Query) -> Iterator[Match]:
        """The wordings near a query, nearest first, but those that were found to ask something else.

        Raises:
            Exception: They cannot be looked up, or not in time.
        """
        return iter(self._ask(self._searching, lambda: [*self._near(query)]))

    def _near(self, query: Query) -> Iterator[Match]:
        """As `near`; how near they are the vectors of the ledger say, the index only which may be."""
        if query.vector is None:
            return
        found, doubted = [], self.doubted.copy()
        for row in self.index.nearest(query.vector, query.partition, n=CANDIDATES):
            wording = self.ledger.wording(row.key, asked=query.key)
            if (
                wording is not None
                and wording.entry is not None
                and wording.entry.key not in doubted
                and wording.vector is not None
                and wording.slot == row.slot
                and kin(wording.entry.partition) == kin(query.partition)
                and wording.text
                and self.expiry.holds(wording.entry)
                and not (wording.of != row.key and self.ledger.differs(query.key, wording.of))
            ):
                similarity = min(float(wording.vector @ query.vector), 1.0)
                elsewhere = wording.entry.partition != query.partition
                one = Match(
                    wording.entry, similarity, wording.text, wording.key, elsewhere=elsewhere
                )
                found.append(one)
        yield from sorted(found, key=lambda match: -match.similarity)

    def beside(self, query: Query, context: str | None) -> list[Match]:
        """What is near a query's words, in this context or in any, and of whatever model it is."""
        found = [
            Match(wording.entry, float(wording.vector @ query.vector), wording.text, wording.key)
            for wording in self._visible(query, context)
            if wording.vector is not None is not query.vector and wording.entry is not None
            if place_in(wording.partition) == place_in(query.partition)
        ]
        return sorted(found, key=lambda match: -match.similarity)[:CANDIDATES]

    def _visible(self, query: Query, context: str | None) -> Iterator[Wording]:
        """The wordings of what is held in a query's namespace, in this context or any, and not over."""
        self._expect_life()
        for wording in self.ledger.wordings():
            entry = wording.entry
            whole, partition = (context or "").rpartition("+")[2], apart(wording.partition, 0)
            here = context is None or partition.endswith((f":{whole}", f"+{whole}"))
            if here and entry is not None and self.expiry.sees(query, entry):
                yield wording

    def size_of(self, entry: Entry) -> int:
        """What an answer adds to the size of what is held."""
        if not self.in_bytes:
            return 1
        return len((entry.answer + entry.text).encode()) + getattr(entry.vector, "nbytes", 0)

    def take(self, entry: Entry) -> bool:
        """Store an answer that another cache had, unless it is over, or one made as late is held.

        Returns:
            Whether it was stored: it may also not be worth its place.
        """
        with self.lock:
            held = self.ledger.get(entry.key)
            late = held is not None and held.made >= entry.made
            return not (late or self.expiry.over(entry)) and self.put(entry).slot is not None

    def keep(
        self, entry: Entry, query: Query, like: Entry | None = None, *, cost: float | None = None
    ) -> Admission:
        """Store an answer; it is counted when it is stored, be that later than was waited for.

        Args:
            entry: The answer.
            query: What was asked.
            like: The stored answer that the question is another wording of, if it is one.
            cost: Of a miss of that one, as it is estimated by now.

        Raises:
            Exception: It cannot be stored; or it was late, and may still be.
        """
        return self.change(partial(self._keep, entry, query, like, cost, self.forgotten.now))

    def _keep(
        self, entry: Entry, query: Query, like: Entry | None, cost: float | None, given: int
    ) -> Admission:
        """As `keep`, of an answer that was given at that moment."""
        if self.forgotten.since(given, entry.key):
            self.counters.add("refused")
            return Admission(None)
        self.doubted.discard(entry.key)
        admission = Admission(None)
        if like is not None:
            admission = self.reword(query, like.key, answer=like.answer, fresh=entry)
        kept: Counted = "reworded"
        if like is not None and admission.slot is not None:
            self.ledger.use(query.key, cost=cost)
        else:
            admission = self.put(entry)
            kept = "bypassed" if admission.slot is None else "admitted"
        self.counters.add(kept)
        self.counters.add("evicted", len(admission.evicted))
        return admission

    def put(self, entry: Entry) -> Admission:
        """Keep an answer and its row, unless it is the least worth keeping."""
        with self.alone():
            if self.expiry.due():
                self.sweep()
            self._make_room(entry.size)
            admission = self.ledger.admit(entry)
            if admission.slot is not None and entry.vector is not None:
                self.index.put(admission.slot, entry.key, entry.vector, entry.partition)
            elif admission.slot is not None:
                self.index.blank(admission.slot)
            self._blank(admission)
        return admission

    def sweep(self) -> int:
        """Forget some answers that are over, unless there are none; return how many."""
        with self.alone():
            over = self.ledger.expired(self.expiry.clock(), SWEPT)
            return sum(self.forget(key, ghost=True) for key in over)

    def reword(
        self, query: Query, of: str, *, answer: str | None = None, fresh: Entry | None = None
    ) -> Admission:
        """Let an entry be asked for in these words too; what was stored under them goes.

        Args:
            query: The words.
            of: Key of the entry.
            answer: What it must still say, where the words were found to ask for that.
            fresh: The answer of their own that they would have else; by default what is stored.
        """
        if not query.text or query.vector is None:
            return Admission(None)
        size = len(query.text.encode()) + query.vector.nbytes if self.in_bytes else 0
        with self.alone():
            stored, own = self.ledger.get(of), fresh or self.ledger.get(query.key)
            if stored is None or self.ledger.differs(query.key, stored.key):
                return Admission(None)
            if answer is not None and stored.answer != answer:
                return Admission(None)
            if not self.expiry.holds(stored) or (own and self.expiry.parts(own, stored)):
                return Admission(None)
            if query.key != stored.key:
                self.forget(query.key, alias=False)
            wording = Wording(query.key, stored.key, query.text, query.vector, size)
            admission = self.ledger.reword(wording)
            if admission.slot is not None:
                self.index.put(admission.slot, query.key, query.vector, query.partition)
            self._blank(admission)
        return admission

    def forget(self, key: str, *, alias: bool = True, ghost: bool = False) -> bool:
        """Forget the answer under a key, or take an alias back; True when there was one.

        Args:
            key: Of an entry or an alias.
            alias: Whether an alias is meant too.
            ghost: As of `Ledger.forget`.
        """
        with self.alone():
            wording = self.ledger.wording(key)
            if wording is None or (wording.of != key and not alias):
                return False
            rows = [wording] if wording.of != key else list(self.ledger.wordings(key))
            _ = self.ledger.unword(key) or self.ledger.forget(key, ghost=ghost)
            for row in rows:
                self.index.blank(row.slot)
        return True

    def wrong(self, key: str) -> bool:
        """Give the answer under a key to that question no more; True when there was one.

        Of an alias the entry stays, and is remembered as another question.
        """
        self.forgotten.add(key)
        with self.alone():
            wording = self.ledger.wording(key)
            if wording is not None and wording.of != key:
                self.ledger.differ(key, wording.of)
            return self.forget(key)

    def _expect_life(self, *, aloud: bool = True) -> None:
        if self._life is not None:
            self._life.expect(aloud=aloud)

    def _ask(self, patience: Patience, work: Callable[[], T]) -> T:
        return work() if self.deadline is None else patience.ask(work)

    def _make_room(self, size: int) -> None:
        """Let those go first that no question of this epoch can reach."""
        ledger, mine = self.ledger, self.expiry.own
        if not mine or ledger.size + size <= ledger.capacity:
            return
        if self._others is None:
            self._others = list({*ledger.labelled()} - {*ledger.labelled(mine)})
        while self._others and ledger.size + size > ledger.capacity:
            self.forget(self._others.pop())

    def _blank(self, admission: Admission) -> None:
        for slot in admission.vacated:
            self.index.blank(slot)
