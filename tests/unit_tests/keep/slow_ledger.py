"""A ledger that scans lists: the oracle of both stores, and what they must agree on."""

import math
from dataclasses import astuple, dataclass

import pytest

from langchain_cachemux.keep import wordings
from langchain_cachemux.keep.policies import GDSF, LEC, LFU, LRU, robust
from langchain_cachemux.types import Standing

POLICIES = {
    "LEC": LEC,
    "ageing LEC": lambda: LEC(half_life=7),
    "GDSF": GDSF,
    "LFU": LFU,
    "LRU": LRU,
    "the default": lambda: robust(3),
}
each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


@dataclass
class Known:
    """What a ledger that scans knows of a key."""

    key: str
    cost: float
    size: int
    answer: str = ""
    counts: tuple[float, ...] = ()
    last: int = 0


@dataclass
class Other:
    """What a ledger that scans knows of an alias."""

    key: str
    of: str
    text: str
    size: int


class Scan:
    """The ledger as one would explain it: lists of what it knows, scanned for the least."""

    def __init__(self, capacity, policy, ghosts):
        self.capacity, self.bound = capacity, ghosts
        self.policies = policy if isinstance(policy, tuple) else (policy,)
        self.half_lives = list(dict.fromkeys(p.half_life for p in self.policies))
        self.clear()

    def clear(self):
        self.held, self.ghosts, self.now, self.most = [], [], 0, 0
        self.aliases, self.different = [], []
        self.shadows = [[] for _ in self.policies]
        self.left = [[] for _ in self.policies]
        self.losses, self.leader = [0.0 for _ in self.policies], 0

    def stored(self, key):
        return next((entry for entry in self.held if entry.key == key), None)

    def alias(self, key):
        return next((alias for alias in self.aliases if alias.key == key), None)

    def get(self, key):
        alias = self.alias(key)
        return self.stored(alias.of if alias else key)

    def request(self, entry, credit=1.0):
        self.now += 1
        counts = entry.counts or (0.0,) * len(self.half_lives)
        entry.counts = tuple(
            count * 2 ** ((entry.last - self.now) / half_life) + credit
            for count, half_life in zip(counts, self.half_lives, strict=True)
        )
        entry.last = self.now
        for place, policy in enumerate(self.policies):
            hit = self.shadow(place, policy, entry, credit)
            self.losses[place] *= 2 ** (-1 / 30_000)
            self.losses[place] += 0 if hit else entry.cost * credit
        if self.losses[self.leader] > min(self.losses):
            self.leader = self.losses.index(min(self.losses))

    def shadow(self, place, policy, entry, credit):
        held = self.shadows[place]
        old = next((e for e in held if e.key == entry.key), None)
        count = entry.counts[self.half_lives.index(policy.half_life)]
        uses = (old.uses if old else 0.0) + credit
        now = Standing(entry.key, entry.cost, entry.size, count, uses, entry.last)
        now.worth = policy.worth(now)
        if old is not None and old.size == now.size:
            self.shadows[place] = [now if e is old else e for e in held]
            return True
        stay, leave = [e for e in held if e is not old], []
        while sum(e.size for e in stay) + now.size > self.capacity:
            least = min([*stay, now], key=lambda e: (e.worth, e.last))
            if least is now:
                stay, leave = [e for e in held if e is not old], [now]
                break
            stay.remove(least)
            leave.append(least)
        for victim in leave:
            if victim.size <= self.capacity:
                policy.evicted(victim)
        was = {e.key for e in held}
        self.left[place] += [e.key for e in leave if e.key in was]
        self.shadows[place] = stay if now in leave else [*stay, now]
        return old is not None

    def use(self, key, credit=1.0, cost=None):
        entry = self.get(key)
        if entry is not None and not credit:
            self.now += 1
        elif entry is not None:
            if cost is not None:
                entry.cost = cost
            self.request(entry, credit)
            used = self.alias(key)
            self.aliases = [a for a in self.aliases if a is not used] + [used] * bool(used)
        return entry is not None

    def reword(self, given):
        entry = self.get(given.of)
        if entry is None or self.stored(given.key) or self.differs(given.key, entry.key):
            return None, ()
        leaving = [a for a in self.aliases if a.key == given.key]
        own = [a for a in self.aliases if a.of == entry.key and a.key != given.key]
        leaving += own[: max(0, len(own) + 1 - wordings.WORDINGS)]
        if not leaving and len(self.aliases) == self.capacity:
            leaving = self.aliases[:1]
        more = given.size - sum(a.size for a in leaving if a.of == entry.key)
        if more > 0:
            followed = self.shadows[self.leader]
            known = next((e for e in followed if e.key == entry.key), None)
            if known is None:
                return None, ()
            stay = [e for e in followed if (e.worth, e.last) >= (known.worth, known.last)]
            if sum(e.size for e in stay) + more > self.capacity:
                return None, ()
        for alias in leaving:
            self.unword(alias.key)
        self.resize(entry, given.size)
        evicted = self.make_room(0)
        self.aliases.append(Other(given.key, entry.key, given.text, given.size))
        return self.aliases[-1], evicted

    def unword(self, key):
        alias = self.alias(key)
        if alias is not None:
            self.aliases.remove(alias)
            self.resize(self.stored(alias.of), -alias.size)
        return alias is not None

    def resize(self, entry, more):
        entry.size += more
        for place, policy in enumerate(self.policies):
            for known in [e for e in self.shadows[place] if e.key == entry.key]:
                known.size = entry.size
            while sum(e.size for e in self.shadows[place]) > self.capacity:
                least = min(self.shadows[place], key=lambda e: (e.worth, e.last))
                self.shadows[place] = [e for e in self.shadows[place] if e is not least]
                self.left[place].append(least.key)
                policy.evicted(least)

    def differ(self, one, other):
        if not self.differs(one, other):
            self.different = [*self.different, {one, other}][-wordings.DIFFERENCES :]

    def differs(self, one, other):
        return {one, other} in self.different

    def admit(self, given):
        self.unword(given.key)
        entry = Known(given.key, given.cost, given.size, given.answer)
        old = self.get(entry.key)
        for before in [old] if old else [g for g in self.ghosts if g.key == entry.key]:
            entry.counts, entry.last = before.counts, before.last
        self.ghosts = [g for g in self.ghosts if g.key != entry.key]
        self.drop(old)
        self.request(entry)
        if entry.key not in {e.key for e in self.shadows[self.leader]}:
            self.leave(entry)
            return None, (entry.key,) if old else ()
        evicted = self.make_room(entry.size)
        self.held.append(entry)
        for place, shadow in enumerate(self.shadows):
            if entry.key not in {e.key for e in shadow}:
                self.left[place].append(entry.key)
        self.most = max(self.most, len(self.held))
        return entry, evicted

    def make_room(self, size):
        followed, evicted = {e.key for e in self.shadows[self.leader]}, []
        while sum(e.size for e in self.held) + size > self.capacity:
            strays = [e for e in self.held if e.key not in followed]
            victim = min(strays, key=lambda e: self.when_it_left(e.key))
            self.drop(victim)
            self.leave(victim)
            evicted.append(victim.key)
        return tuple(evicted)

    def drop(self, entry):
        self.held = [e for e in self.held if e is not entry]
        self.aliases = [a for a in self.aliases if entry is None or a.of != entry.key]

    def when_it_left(self, key):
        """Its last place in the list of those that left the leader's shadow, one after another."""
        left = self.left[self.leader]
        return len(left) - 1 - left[::-1].index(key)

    def leave(self, entry):
        bound = max(10_000, 10 * self.most) if self.bound is None else self.bound
        self.ghosts = [*self.ghosts, entry][-bound:] if bound else []

    def forget(self, key):
        held = self.stored(key) is not None
        self.drop(self.stored(key))
        self.ghosts = [g for g in self.ghosts if g.key != key]
        self.shadows = [[e for e in shadow if e.key != key] for shadow in self.shadows]
        return held

    def __iter__(self):
        return iter(self.held)

    def standing(self, key):
        """What the leader thinks of an entry."""
        entry = self.get(key)
        known = next((e for e in self.shadows[self.leader] if e.key == key), None)
        count = entry.counts[self.half_lives.index(self.policies[self.leader].half_life)]
        uses, worth = (known.uses, known.worth) if known else (0, -math.inf)
        return Standing(key, entry.cost, entry.size, count, uses, entry.last, worth)


def books(ledger):
    """Everything that two ledgers must agree on; a slot is each one's own affair."""
    standings = {entry.key: ledger.standing(entry.key) for entry in ledger}
    return {e.key: (e.cost, e.size, e.answer, *astuple(standings[e.key])) for e in ledger}


def words(ledger):
    """Every wording held, and what it leads to."""
    if isinstance(ledger, Scan):
        own = [(e.key, e.key, "", 0, e.answer) for e in ledger.held]
        return sorted([*own, *((*astuple(a), ledger.get(a.key).answer) for a in ledger.aliases)])
    return sorted((w.key, w.of, w.text, w.size, w.entry.answer) for w in ledger.wordings())


def counted(ledger):
    """The counts of each key by every half-life, wherever a ledger keeps them."""
    if isinstance(ledger, Scan):
        return {entry.key: entry.counts for entry in ledger.held}
    return {account.key: account.counts for account in ledger._books.accounts()}
