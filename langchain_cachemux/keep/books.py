"""The one bookkeeping: who is held, who leaves for whom, who leads. A store only fetches and puts.

Given several policies, a ledger follows one and keeps a shadow of each: the keys that this policy alone
would hold. Answers are stored once. What the leader's shadow holds is kept, and room is made by
forgetting what it does not (its strays), the first to have left it first; so with one policy the ledger
holds just what its shadow does.

`Books` decides. `MemoryLedger` and `SqlLedger` keep the same books in dictionaries, and differ in where
the answers are: so both evict the same keys on the same requests.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Literal, Protocol

from langchain_cachemux.arguments import expect, is_made, is_number, is_whole, number_of
from langchain_cachemux.keep.wordings import Alias
from langchain_cachemux.types import Admission, Standing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.keep.shadows import Shadow
    from langchain_cachemux.keep.wordings import Wordings
    from langchain_cachemux.types import Entry, Wording

TYPICAL_BYTES = 4096
"""An entry with its vector, to turn a capacity in bytes into an order of magnitude of entries."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much may be held: so many entries, or so many bytes of them."""

    total: int
    unit: Literal["entries", "bytes"] = "entries"

    @classmethod
    def parse(cls, capacity: int | str) -> Capacity:
        """Read what a user writes: `10_000` entries, or a size with its unit, `"512MB"`.

        Raises:
            ValueError: It is neither, or not positive.
        """
        from pydantic import ByteSize, TypeAdapter, ValidationError

        given: Any = capacity
        total = 0
        with suppress(TypeError, ValidationError, OverflowError):
            if is_whole(given):
                total = index(given)
            elif isinstance(given, str) and given.strip().casefold().endswith("b"):
                total = int(TypeAdapter(ByteSize).validate_python(given))
        what = "a positive number of entries or a size like '512MB'"
        expect(total > 0, "capacity", what, capacity)
        return cls(total, "bytes" if isinstance(given, str) else "entries")

    @property
    def in_bytes(self) -> bool:
        """Whether sizes count."""
        return self.unit == "bytes"

    @property
    def entries(self) -> int:
        """About how many entries that is."""
        return max(self.total // TYPICAL_BYTES, 1) if self.in_bytes else self.total


class Ledger(Protocol):
    """The truth about what the cache holds. One call is one transaction; safe between threads.

    Time is its own counter of requests: `use` and `admit` each advance it by one. What it hands out are
    copies, and what it is handed it leaves as it is. A key is an entry's or an alias' (`reword`), never
    both; `get`, `standing`, `use` and `wording` take either.
    """

    capacity: int

    def __len__(self) -> int:
        """Entries held."""
        ...

    def __iter__(self) -> Iterator[Entry]:
        """The entries held, in no promised order."""
        ...

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`."""
        ...

    def get(self, key: str) -> Entry | None:
        """Return the entry that answers `key`, its own or an alias'; counts nothing."""
        ...

    def wording(self, key: str, *, asked: str = "") -> Wording | None:
        """Return the words held under `key` with their slot and their entry, in one read.

        It confirms a row of the index: the key in the row is held, in that slot.

        Args:
            key: Of an entry or an alias.
            asked: What it is to answer; None is returned when the two are known to differ.
        """
        ...

    def wordings(self, key: str | None = None) -> Iterator[Wording]:
        """The wordings of the entry that answers `key`, or of all: the rows the index should have."""
        ...

    def standing(self, key: str) -> Standing | None:
        """Return what the policy followed now thinks of the entry that answers `key`.

        If that policy alone would not hold it: no uses, and a worth of -inf.
        """
        ...

    def use(self, key: str, *, credit: float = 1.0, cost: float | None = None) -> bool:
        """Count a request answered by `key` and freeze its new worth; False when it is not held.

        Args:
            key: Of the entry that answered, or of its alias, which is then the last to give way.
            credit: How much of a request it counts for, in [0, 1]: the share of the cost of a miss
                that would have been paid without this entry, because no other would have served. At
                0 time passes, and nothing else.
            cost: What a miss would cost by now, when that is known better than at admission.
        """
        ...

    def admit(self, entry: Entry) -> Admission:
        """Count a request for a new answer and keep it, unless it is the least worth keeping."""
        ...

    def reword(self, wording: Wording) -> Admission:
        """Let an entry be asked for in other words too: an alias, until its entry leaves.

        No request is counted. The least recently used aliases give way, of an entry beyond `WORDINGS`,
        of all beyond as many as the capacity. In bytes an entry grows by its aliases, and what is worth
        less leaves for them. An alias of another entry changes sides.

        Returns:
            The slot of its row, and who left. No slot when `wording.of` is not held, `wording.key` is
            an entry's, the two are known to differ (`differ`), or the entry is not worth the room.
        """
        ...

    def unword(self, key: str) -> bool:
        """Take an alias back, its entry stays; True when it was one."""
        ...

    def differ(self, one: str, other: str) -> None:
        """Remember that two keys are different questions, whether held or not; bounded, in any order."""
        ...

    def differs(self, one: str, other: str) -> bool:
        """Whether two keys were found to be different questions."""
        ...

    def forget(self, key: str, *, ghost: bool = False) -> bool:
        """Drop an entry and its aliases; True when it was held.

        Args:
            key: Of the entry.
            ghost: Remember its count, as of one that was evicted: only its answer is over. By default
                the count goes too.
        """
        ...

    def extend(self, key: str, expires: float) -> bool:
        """Let the entry that answers `key` hold until then; False when it is not held."""
        ...

    def expired(self, now: float, most: int) -> list[str]:
        """The keys of entries whose end (`Entry.expires`) is not after `now`, the first to end first.

        Args:
            now: In seconds since the epoch.
            most: No more keys than that.
        """
        ...

    def labelled(self, labels: Collection[str] = (), *, before: float = math.inf) -> list[str]:
        """The keys of entries that bear all of these labels, and were made before then.

        Args:
            labels: As of `Entry.labels`.
            before: In seconds since the epoch.
        """
        ...

    def clear(self) -> None:
        """Drop everything: counts, aliases, differences and slots too."""
        ...

    def compact(self) -> None:
        """Leave nothing in any file of what was ever forgotten."""
        ...

    def check(self) -> list[str]:
        """Compare the books with themselves; the problems found, none in a sound ledger."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a ledger is kept by: told when it is made, and never changed."""

    capacity: int
    """Sum of `Entry.size` that may be held."""
    policies: tuple[Policy, ...]
    ghosts: int | None
    """Forgotten keys whose counts are remembered; by default `ghosts_for` the entries ever held."""

    @classmethod
    def parse(
        cls, *, capacity: int, policy: Policy | Sequence[Policy], ghosts: int | None
    ) -> Rules:
        """Take one policy or several, and refuse what no ledger can be kept on.

        Raises:
            ValueError: The capacity is not positive, the number of ghosts is negative, there is no
                policy, or something in its place is none.
        """
        expect(is_whole(capacity) and capacity > 0, "capacity", "a positive whole number", capacity)
        if ghosts is not None:
            expect(is_whole(ghosts) and ghosts >= 0, "ghosts", "a whole number >= 0", ghosts)
        policies = tuple(policy) if isinstance(policy, list | tuple) else (policy,)
        right = policies and all(map(_is_policy, policies))
        expect(right, "policy", "a policy or several, such as LEC() or [LEC(), LRU()]", policy)
        return cls(number_of(capacity), policies, None if ghosts is None else number_of(ghosts))

    def __str__(self) -> str:
        """As arguments."""
        return f"{self.capacity}, policy={[*self.policies]}, ghosts={self.ghosts}"

    @property
    def half_lives(self) -> tuple[float, ...]:
        """Those that the policies count by, each once."""
        return tuple(dict.fromkeys(number_of(policy.half_life) for policy in self.policies))

    @property
    def ages(self) -> tuple[int, ...]:
        """The place of each policy's own among them."""
        half_lives = self.half_lives
        return tuple(half_lives.index(number_of(policy.half_life)) for policy in self.policies)

    def shared(self, slots: int) -> int:
        """How many ghosts to remember when at most `slots` entries were ever held."""
        return ghosts_for(slots) if self.ghosts is None else self.ghosts


@dataclass(slots=True, eq=False)
class Account:
    """What the books know of a key, whoever leads; its counts outlive its answer for a while."""

    key: str
    cost: float
    size: int
    counts: tuple[float, ...] = ()
    """Requests as of `last`, aged by each of `Rules.half_lives`."""
    last: int = 0
    slot: int = -1
    """Its row in the index; -1 when no answer is stored."""

    def requested(self, now: int, half_lives: Sequence[float], credit: float) -> None:
        """Count a request at time `now`, as `Standing.requested` does, by every half-life."""
        gap = self.last - now
        if self.counts:
            aged = zip(self.counts, half_lives, strict=True)
            self.counts = tuple([n * 2.0 ** (gap / half_life) + credit for n, half_life in aged])
        else:
            self.counts = (credit,) * len(half_lives)
        self.last = now


class Books(ABC):
    """The books of one ledger: what each of its calls decides.

    Args:
        rules: What the ledger was told.
        shadows: One for each policy.
        wordings: The aliases.
    """

    def __init__(self, rules: Rules, shadows: Sequence[Shadow], wordings: Wordings) -> None:
        self.rules = rules
        self.half_lives = rules.half_lives
        self.shadows = shadows
        self.wordings = wordings
        self.vacated: list[int] = []
        """Slots that became free in the call that is running, and are so still."""
        self.leader = 0
        self.now = 0
        self.size = 0
        self.slots = 0
        """Ever used at once."""
        self.bound = rules.shared(0)
        """Ghosts to remember."""

    def use(self, key: str, credit: float, cost: float | None) -> bool:
        """As `Ledger.use`."""
        account = self.answering(key)
        if account is None:
            return False
        if not credit:
            self.now += 1
            return True
        if key != account.key:
            self.wordings.renew(key)
        if cost is not None:
            account.cost = cost
        self.request(account, credit)
        return True

    def admit(self, entry: Entry) -> Admission:
        """As `Ledger.admit`."""
        account = Account(entry.key, entry.cost, entry.size)
        key = account.key
        self.vacated = []
        self.unword(key)
        old = self.find(key)
        if old is not None:
            account.counts, account.last = old.counts, old.last
            self.drop(old)
        else:
            account.counts, account.last = self.recall(key)
        self.request(account, 1.0)
        if key not in self.shadows[self.leader].held:
            self.remember(account)
            return Admission(None, () if old is None else (key,), tuple(self.vacated))
        evicted = self.make_room(entry.size)
        account.slot = self.take_slot()
        self.keep(account, entry)
        self.size += account.size
        for shadow in self.shadows:
            if key not in shadow.held:
                shadow.stray(key)
        return Admission(account.slot, evicted, tuple(self.vacated))

    def reword(self, wording: Wording) -> Admission:
        """As `Ledger.reword`."""
        account, known, self.vacated = self.answering(wording.of), self.find(wording.key), []
        if account is None or known is not None or self.wordings.differs(wording.key, account.key):
            return Admission(None)
        leaving = self.wordings.giving_way(account.key, wording.key)
        self.look_up(account.key)
        more = wording.size - sum(alias.size for alias in leaving if alias.of == account.key)
        if more > 0 and not self.shadows[self.leader].keeps(account.key, more):
            return Admission(None)
        for alias in leaving:
            self.take_back(alias)
        self.resize(account.key, wording.size)
        evicted = self.make_room(0)
        alias = Alias(wording.key, account.key, wording.size, self.take_slot())
        self.wordings.add(alias, wording)
        return Admission(alias.slot, evicted, tuple(self.vacated))

    def unword(self, key: str) -> bool:
        """As `Ledger.unword`."""
        alias = self.wordings.find(key)
        if alias is not None:
            self.take_back(alias)
        return alias is not None

    def forget(self, key: str, *, ghost: bool = False) -> bool:
        """As `Ledger.forget`."""
        if not ghost:
            self.recall(key)
        self.look_up(key)
        for shadow in self.shadows:
            standing = shadow.held.get(key)
            if standing is not None:
                shadow.drop(standing)
        account = self.find(key)
        if account is not None:
            self.drop(account)
            if ghost:
                self.remember(account)
        return account is not None

    def standing(self, account: Account) -> Standing:
        """As `Ledger.standing`."""
        leading = self.shadows[self.leader]
        known = leading.held.get(account.key)
        uses, worth = (0.0, -math.inf) if known is None else (known.uses, known.worth)
        count = account.counts[leading.age]
        return Standing(account.key, account.cost, account.size, count, uses, account.last, worth)

    def check(self) -> list[str]:
        """As `Ledger.check`."""
        held = list(self.accounts())
        keys, capacity = {account.key for account in held}, self.rules.capacity
        slots = [account.slot for account in held] + [*self.wordings.slots(), *self.free_slots()]
        problems = {
            f"size {self.size} is not the sum of sizes": sum(a.size for a in held) != self.size,
            f"size {self.size} exceeds capacity {capacity}": self.size > capacity,
            "slots are not a permutation": sorted(slots) != list(range(self.slots)),
            "a ghost is held": not keys.isdisjoint(self.ghosts()),
        }
        return [
            *(problem for problem, found in problems.items() if found),
            *self.wordings.check(held),
            *(
                f"shadow {place}: {problem}"
                for place, shadow in enumerate(self.shadows)
                for problem in shadow.check({account.key: account.size for account in held})
            ),
        ]

    def request(self, account: Account, credit: float) -> None:
        """Tell every policy of a request, and see whom to follow."""
        self.now += 1
        self.look_up(account.key)
        account.requested(self.now, self.half_lives, credit)
        for shadow in self.shadows:
            shadow.request(account, credit)
        if len(self.shadows) > 1:
            self.leader = leader([shadow.loss for shadow in self.shadows], self.leader)

    def make_room(self, size: int) -> tuple[str, ...]:
        """Forget what the leader does not hold, the first to have left it first; the keys."""
        evicted: list[str] = []
        while self.size + size > self.rules.capacity:
            key = self.shadows[self.leader].first_stray()
            stray = self.find(key)
            if stray is None:
                msg = f"the books are unsound: {key} is a stray, and is not stored"
                raise LookupError(msg)
            self.drop(stray)
            self.remember(stray)
            evicted.append(stray.key)
        return tuple(evicted)

    def drop(self, account: Account) -> None:
        """Keep an answer no longer, nor its aliases; what the shadows hold is their own affair."""
        for alias in self.wordings.of(account.key):
            self.wordings.remove(alias)
            self.vacate(alias.slot)
        self.remove(account)
        self.vacate(account.slot)
        self.size -= account.size
        account.slot = -1

    def take_back(self, alias: Alias) -> None:
        """Keep an alias no longer: its slot is free, and its entry takes less room."""
        self.wordings.remove(alias)
        self.vacate(alias.slot)
        self.resize(alias.of, -alias.size)

    def resize(self, key: str, more: int) -> None:
        """Let an answer stored take so much more room, or less; every policy holds it so large."""
        account = self.find(key)
        if account is None or not more:
            return
        account.size += more
        self.size += more
        self.resized(account)
        self.look_up(key)
        for shadow in self.shadows:
            shadow.resize(key, account.size)

    def vacate(self, slot: int) -> None:
        """Call a slot free."""
        self.free(slot)
        self.vacated.append(slot)

    def take_slot(self) -> int:
        """A slot that became free, or else one more than were ever used at once."""
        slot = self.free_slot()
        if slot is None:
            slot = self.slots
            self.slots += 1
            self.bound = self.rules.shared(self.slots)
        elif slot in self.vacated:
            self.vacated.remove(slot)
        return slot

    @abstractmethod
    def look_up(self, key: str) -> None:
        """See to it that each shadow knows whether it holds a key."""

    @abstractmethod
    def answering(self, key: str) -> Account | None:
        """The account of the stored answer to a key, be it the answer's own or an alias'."""

    @abstractmethod
    def find(self, key: str) -> Account | None:
        """The account of a key whose answer is stored."""

    @abstractmethod
    def keep(self, account: Account, entry: Entry) -> None:
        """Store an answer."""

    @abstractmethod
    def remove(self, account: Account) -> None:
        """Take an answer out of the store, and it is nobody's stray."""

    @abstractmethod
    def resized(self, account: Account) -> None:
        """Write down how much room an answer takes."""

    @abstractmethod
    def remember(self, account: Account) -> None:
        """Make a ghost of a key that left, and forget the oldest beyond as many as are shared."""

    @abstractmethod
    def recall(self, key: str) -> tuple[tuple[float, ...], int]:
        """What is remembered of a ghost, which is one no more: its counts, and as of when."""

    @abstractmethod
    def free(self, slot: int) -> None:
        """Write down that a slot is free."""

    @abstractmethod
    def free_slot(self) -> int | None:
        """Take a slot that became free, if there is one."""

    @abstractmethod
    def accounts(self) -> Iterable[Account]:
        """Of all answers stored."""

    @abstractmethod
    def free_slots(self) -> Iterable[int]:
        """Slots that became free."""

    @abstractmethod
    def ghosts(self) -> Iterable[str]:
        """The keys of which only the counts are left."""


def leader(losses: Sequence[float], followed: int) -> int:
    """Return the place of the least loss; the policy followed so far, when none is below its own."""
    least = min(losses)
    return followed if losses[followed] <= least else losses.index(least)


def ghosts_for(entries: int) -> int:
    """Return how many forgotten keys to remember when at most `entries` were ever held.

    Ten capacities are enough for a large cache; a small one needs a longer memory, and a ghost takes
    some 250 bytes.
    """
    return max(10_000, 10 * entries)


def _is_policy(policy: object) -> bool:
    half_life: Any = getattr(policy, "half_life", None)
    return is_made(policy, "worth evicted") and is_number(half_life) and half_life > 0
