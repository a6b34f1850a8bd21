"""The one bookkeeping: who is held, who leaves for whom, who leads. A store only fetches and puts.

Given several policies, a ledger follows one and keeps a shadow of each: the keys that this policy alone
would hold. Answers are stored once. What the leader's shadow holds is kept, and room is made by
forgetting what it does not (its strays), the first to have left it first; so with one policy the ledger
holds just what its shadow does.

`Books` decides, and asks a store for what it needs: `MemoryLedger` keeps it in dictionaries, `SqlLedger`
in tables. So both evict the same keys on the same requests.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Literal, Protocol

from langchain_cachemux.arguments import expect, is_made, is_number, is_whole
from langchain_cachemux.types import Admission, Standing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from langchain_cachemux.keep.policies import Policy
    from langchain_cachemux.types import Entry, Wording

TYPICAL_BYTES = 4096
"""An entry with its vector, to turn a capacity in bytes into an order of magnitude of entries."""
FADE = 2.0 ** (-1 / 30_000)
"""What a shadow's miss is worth one request later in the choice of the leader: half after 30,000."""


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

    def wording(self, key: str) -> Wording | None:
        """Return the words held under `key` with their slot and their entry, in one read.

        A row of the index is confirmed by it: the key in the row is held, in that slot.
        """
        ...

    def wordings(self, key: str | None = None) -> Iterator[Wording]:
        """The wordings of the entry held under `key`, or of all: every row the index should have."""
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

    def forget(self, key: str) -> bool:
        """Drop an entry, its count and its aliases included; True when it was held."""
        ...

    def clear(self) -> None:
        """Drop everything: counts, aliases, differences and slots too."""
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
        return cls(capacity, policies, ghosts)

    def __str__(self) -> str:
        """As arguments."""
        return f"{self.capacity}, policy={[*self.policies]}, ghosts={self.ghosts}"

    @property
    def half_lives(self) -> tuple[float, ...]:
        """Those that the policies count by, each once."""
        return tuple(dict.fromkeys(policy.half_life for policy in self.policies))

    @property
    def ages(self) -> tuple[int, ...]:
        """The place of each policy's own among them."""
        half_lives = self.half_lives
        return tuple(half_lives.index(policy.half_life) for policy in self.policies)

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


class Shadow(ABC):
    """The keys that one policy alone would hold.

    Args:
        policy: Whose.
        capacity: Sum of sizes that it may hold.
        age: Place among `Account.counts` of the count that the policy reads.
    """

    def __init__(self, policy: Policy, *, capacity: int, age: int) -> None:
        self.policy = policy
        self.capacity = capacity
        self.age = age
        self.size = 0
        self.loss = 0.0
        """Cost of its misses, each fading by `FADE` a request."""
        self.held: dict[str, Standing] = {}
        """By key; a store that cannot have them all has those that it was asked for."""

    def request(self, asked: Account, credit: float) -> None:
        """Count a request, value it, and decide who is held from now on."""
        key, old = asked.key, self.held.get(asked.key)
        self.loss = self.loss * FADE + (asked.cost * credit if old is None else 0.0)
        if old is not None and old.size == asked.size:
            standing = old
            standing.cost = asked.cost
        else:
            standing = Standing(key, asked.cost, asked.size)
            if old is not None:
                standing.uses = old.uses
                self.drop(old)
        standing.count = asked.counts[self.age]
        standing.uses += credit
        standing.last = asked.last
        standing.worth = self.policy.worth(standing)
        if standing is old:
            self.renew(standing)
        elif standing.size <= self.capacity:
            self._enter(standing, stored=asked.slot >= 0)

    def evict(self, victim: Standing) -> None:
        """Let the least go; if its answer is stored, it is a stray from now on."""
        self.drop(victim)
        self.evicted(victim)
        self.stray(victim.key)

    def evicted(self, victim: Standing) -> None:
        """Tell the policy who was the least worth keeping."""
        self.policy.evicted(victim)

    def check(self, stored: set[str]) -> list[str]:
        """What does not hold of it, when the answers to `stored` are."""
        sizes, strays = self.sizes(), self.strays()
        problems = {
            f"size {self.size} is not the sum of sizes": sum(sizes.values()) != self.size,
            f"size {self.size} exceeds capacity {self.capacity}": self.size > self.capacity,
            "a stray is no stray": strays != stored - sizes.keys(),
        }
        return [problem for problem, found in problems.items() if found]

    def _enter(self, newcomer: Standing, *, stored: bool) -> None:
        """Hold a newcomer, unless it is itself the least."""
        excess = self.size + newcomer.size - self.capacity
        if excess > 0:
            least = self.least()
            leaving = victims(newcomer, excess, least)
            least.close()
            if leaving is None:
                self.evicted(newcomer)
                return
            for victim in leaving:
                self.evict(victim)
        self.hold(newcomer)
        if stored:
            self.unstray(newcomer.key)

    @abstractmethod
    def least(self) -> Generator[Standing]:
        """Those held, least (worth, last) first; it is closed before anybody leaves."""

    @abstractmethod
    def hold(self, standing: Standing) -> None:
        """Hold a key more."""

    @abstractmethod
    def renew(self, standing: Standing) -> None:
        """Write down what became of one that is held."""

    @abstractmethod
    def drop(self, standing: Standing) -> None:
        """Hold it no longer."""

    @abstractmethod
    def stray(self, key: str) -> None:
        """Call a key a stray, the last of them, if its answer is stored."""

    @abstractmethod
    def unstray(self, key: str) -> None:
        """Call a key a stray no more."""

    @abstractmethod
    def first_stray(self) -> str:
        """The stray that became one first."""

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """The size of every key held."""

    @abstractmethod
    def strays(self) -> set[str]:
        """The keys stored that it does not hold, by its own account."""


class Books(ABC):
    """The books of one ledger: what each of its calls decides.

    Args:
        rules: What the ledger was told.
        shadows: One for each policy.
    """

    def __init__(self, rules: Rules, shadows: Sequence[Shadow]) -> None:
        self.rules = rules
        self.half_lives = rules.half_lives
        self.shadows = shadows
        self.leader = 0
        self.now = 0
        self.size = 0
        self.slots = 0
        """Ever used at once."""
        self.bound = rules.shared(0)
        """Ghosts to remember."""

    def use(self, key: str, credit: float, cost: float | None) -> bool:
        """As `Ledger.use`."""
        account = self.find(key)
        if account is None:
            return False
        if not credit:
            self.now += 1
            return True
        if cost is not None:
            account.cost = cost
        self.request(account, credit)
        return True

    def admit(self, entry: Entry) -> Admission:
        """As `Ledger.admit`."""
        account = Account(entry.key, entry.cost, entry.size)
        key = account.key
        old = self.find(key)
        if old is not None:
            account.counts, account.last = old.counts, old.last
            self.drop(old)
        else:
            account.counts, account.last = self.recall(key)
        self.request(account, 1.0)
        if key not in self.shadows[self.leader].held:
            self.remember(account)
            return Admission(None, () if old is None else (key,))
        evicted = self.make_room(entry.size)
        slot = self.free_slot()
        if slot is None:
            slot = self.slots
            self.slots += 1
            self.bound = self.rules.shared(self.slots)
        account.slot = slot
        self.keep(account, entry)
        self.size += account.size
        for shadow in self.shadows:
            if key not in shadow.held:
                shadow.stray(key)
        return Admission(slot, evicted)

    def forget(self, key: str) -> bool:
        """As `Ledger.forget`."""
        self.recall(key)
        for shadow in self.shadows:
            standing = shadow.held.get(key)
            if standing is not None:
                shadow.drop(standing)
        account = self.find(key)
        if account is not None:
            self.drop(account)
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
        slots = [*(account.slot for account in held), *self.free_slots()]
        problems = {
            f"size {self.size} is not the sum of sizes": sum(a.size for a in held) != self.size,
            f"size {self.size} exceeds capacity {capacity}": self.size > capacity,
            "slots are not a permutation": sorted(slots) != list(range(self.slots)),
            "a ghost is held": not keys.isdisjoint(self.ghosts()),
        }
        return [problem for problem, found in problems.items() if found] + [
            f"shadow {place}: {problem}"
            for place, shadow in enumerate(self.shadows)
            for problem in shadow.check(keys)
        ]

    def request(self, account: Account, credit: float) -> None:
        """Tell every policy of a request, and see whom to follow."""
        self.now += 1
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
        """Keep an answer no longer; what the shadows hold is their own affair."""
        self.remove(account)
        self.size -= account.size
        account.slot = -1

    @abstractmethod
    def find(self, key: str) -> Account | None:
        """The account of a key whose answer is stored."""

    @abstractmethod
    def keep(self, account: Account, entry: Entry) -> None:
        """Store an answer."""

    @abstractmethod
    def remove(self, account: Account) -> None:
        """Take an answer out of the store: its slot is free, and it is nobody's stray."""

    @abstractmethod
    def remember(self, account: Account) -> None:
        """Make a ghost of a key that left, and forget the oldest beyond as many as are shared."""

    @abstractmethod
    def recall(self, key: str) -> tuple[tuple[float, ...], int]:
        """What is remembered of a ghost, which is one no more: its counts, and as of when."""

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


def victims(newcomer: Standing, excess: int, least: Iterable[Standing]) -> list[Standing] | None:
    """Choose who leaves so that `newcomer` fits: admission and eviction are this one decision.

    Args:
        newcomer: Of the key just requested, its worth already set.
        excess: Size that must be freed; none when 0 or less.
        least: Those held, least (worth, last) first.

    Returns:
        Who is evicted, least first; None when the newcomer is itself the least.
    """
    if excess <= 0:
        return []
    leaving: list[Standing] = []
    for standing in least:
        if (newcomer.worth, newcomer.last) < (standing.worth, standing.last):
            break
        leaving.append(standing)
        excess -= standing.size
        if excess <= 0:
            return leaving
    return None


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
