"""The contracts shipped to users: each clause turns down what breaks it, and says which it was."""

import doctest
import math
import subprocess
import sys
import time

import numpy as np
import pytest

from langchain_cachemux import testing
from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import LRU
from langchain_cachemux.route.estimators import UNKNOWN, Mean
from langchain_cachemux.testing import check_estimator, check_ledger, check_policy
from langchain_cachemux.types import Admission, Estimate


def variant(base, **members):
    """`base` with some members replaced."""
    return type(f"Broken{base.__name__}", (base,), members)


class Counter(LRU):
    """A sound policy whose parts the cases below break one by one: a clock plus uses times cost."""

    def __init__(self):
        self.clock = 0.0

    def worth(self, entry):
        return self.clock + entry.uses * entry.cost

    def evicted(self, entry):
        self.clock = max(self.clock, entry.worth)


def falls(self, entry):
    self.clock = entry.worth - 1


def grows_with_every_look(self, entry):
    self.clock += 1.0
    return self.clock + entry.uses * entry.cost


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"half_life": 0}, "half_life is 0, not a positive number"),
        ({"worth": lambda _, e: math.log(e.cost) if e.cost else -math.inf}, "cost 0.0 .* is -inf"),
        ({"worth": lambda _, e: e.cost * math.nan}, "is nan"),
        ({"worth": lambda _, e: time.perf_counter()}, "changed by waiting"),
        ({"worth": grows_with_every_look}, "changed by waiting"),
        ({"worth": lambda _, e: -float(e.last)}, "a request after 1 others lowered the worth"),
        ({"worth": lambda _, e: float(e.uses) - 0.01 * e.last}, "lowered the worth"),
        ({"worth": lambda _, e: -e.cost}, "cost 1e-12 is worth less than one of cost 0.0"),
        ({"evicted": falls}, "an eviction lowered the worth of a newcomer"),
        ({"evicted": lambda self, e: setattr(self, "clock", e.worth)}, "an eviction lowered"),
    ],
)
def test_a_policy_that_breaks_the_contract_is_told_how(members, message):
    check_policy(Counter)
    with pytest.raises(AssertionError, match=message):
        check_policy(variant(Counter, **members))


def unlimited(self, entry):
    self.capacity = 10**9
    return MemoryLedger.admit(self, entry)


def refuses(self, entry):
    return Admission(None)


def evicts_the_oldest(self, entry):
    shadow = self._shadows[0]
    shadow._least = lambda: (e for e in sorted(shadow.held.values(), key=lambda e: e.last))
    return MemoryLedger.admit(self, entry)


def evicts_too_many(self, entry):
    evicted = ()
    if entry.key not in self._entries and self._size + entry.size > self.capacity:
        least = sorted(self, key=lambda e: (e.worth, e.last))
        evicted = tuple(e.key for e in least)
        for key in evicted:
            MemoryLedger.forget(self, key)
    return Admission(MemoryLedger.admit(self, entry).slot, evicted)


def new_slot_each_time(self, entry):
    self._free.clear()
    return MemoryLedger.admit(self, entry)


def says_it_stays_out(self, entry):
    return Admission(None, MemoryLedger.admit(self, entry).evicted)


def keeps_the_old(self, entry):
    if entry.key in self._entries:
        self.use(entry.key)
        return Admission(self._entries[entry.key].slot)
    return MemoryLedger.admit(self, entry)


def loses_the_vector(self, entry):
    entry.vector = None
    return MemoryLedger.admit(self, entry)


def loses_accents(self, entry):
    entry.text = entry.text.encode("ascii", "ignore").decode()
    return MemoryLedger.admit(self, entry)


def clears_for_the_large(self, entry):
    if entry.size > self.capacity:
        MemoryLedger.clear(self)
    return MemoryLedger.admit(self, entry)


def time_goes_on(self, key):
    self._now += 1
    return MemoryLedger.get(self, key)


def forgets_entries_only(self, key):
    counts = dict(self._counts)
    found = MemoryLedger.forget(self, key)
    self._counts.update(counts)
    return found


def clears_entries_only(self):
    counts = getattr(self, "_counts", {})
    MemoryLedger.clear(self)
    self._counts.update(counts)


def remembers_nothing(self, entry):
    self._counts.clear()


def remembers_always(self, entry):
    self._counts[entry.key] = (entry.counts, entry.last)


def remembers_unaged(self, entry):
    self._counts[entry.key] = (entry.counts, self._now + 1)


def counts_whole_requests(self, key, *, credit=1.0, cost=None):
    return MemoryLedger.use(self, key, cost=cost)


def keeps_the_first_cost(self, key, *, credit=1.0, cost=None):
    return MemoryLedger.use(self, key, credit=credit)


def follows_the_first(self, entry, credit):
    MemoryLedger._request(self, entry, credit)
    self._leader = 0


def follows_the_worst(self, entry, credit):
    MemoryLedger._request(self, entry, credit)
    self._leader = self._losses.index(max(self._losses))


def makes_too_much_room_for_several(self, entry):
    return (MemoryLedger.admit if len(self.policies) < 3 else evicts_too_many)(self, entry)


def invents_a_victim(self, entry):
    admission = MemoryLedger.admit(self, entry)
    told = ("nobody",) * (len(self.policies) == 3)
    return Admission(admission.slot, admission.evicted + told)


def has_less_room_for_two_of_a_kind(self, entry):
    for shadow in self._shadows:
        shadow.capacity -= 2 * (len({*map(type, self.policies)}) < len(self.policies))
    return MemoryLedger.admit(self, entry)


def forgets_strays(self, entry):
    for strays in self._strays[1:]:
        strays.clear()
    return MemoryLedger.admit(self, entry)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"admit": unlimited}, "size is .* of"),
        ({"__len__": lambda _: 1}, "len is 1 with"),
        ({"size": property(lambda self: self._size + 1)}, "size is"),
        ({"check": lambda _: ["rot"]}, r"check\(\) finds \['rot'\]"),
        ({"admit": evicts_the_oldest}, "it evicted .*, not"),
        ({"admit": evicts_too_many}, "to make room for"),
        ({"admit": new_slot_each_time, "check": lambda _: []}, "have the slots"),
        ({"admit": says_it_stays_out}, "is held: True; admit said: False"),
        ({"admit": refuses}, "was admitted, .* came back"),
        ({"admit": keeps_the_old}, "a key held was not replaced"),
        ({"admit": loses_the_vector}, r"\[ 0.5  -0.25\] was admitted, None came back"),
        ({"admit": loses_accents}, "'é.', .* was admitted, .*'.', .* came back"),
        ({"admit": clears_for_the_large}, "an entry larger than the capacity came to"),
        ({"get": time_goes_on}, "the third request, b's second, left"),
        ({"use": lambda *_, **__: True}, "is held: False|use, forget of no key"),
        ({"forget": lambda *_: True}, "was forgotten and is still held"),
        ({"forget": forgets_entries_only}, "a ghost is held|came back with its count"),
        ({"clear": clears_entries_only}, "clear left something behind"),
        ({"_remember": remembers_nothing}, "came back, but its count is 1.7"),
        ({"_remember": remembers_always}, "came back, but its count is 1$|count is 1.0"),
        ({"_remember": remembers_unaged}, "came back, but its count is 1.7"),
        ({"use": counts_whole_requests}, "a quarter of a request left"),
        ({"use": keeps_the_first_cost}, "a use that said a miss would cost 5 by now left"),
        ({"_request": follows_the_first}, "following LRU, then LFU, it said .*'c in'"),
        ({"_request": follows_the_worst}, "following LRU, then LFU, it said"),
        ({"admit": makes_too_much_room_for_several}, "to make room for"),
        ({"admit": invents_a_victim}, r"it evicted \['nobody'\], which it did not hold"),
        ({"admit": forgets_strays}, "a stray is no stray"),
        ({"admit": has_less_room_for_two_of_a_kind}, "one policy given twice evicted"),
    ],
)
def test_a_ledger_that_breaks_the_contract_is_told_how(members, message):
    ledger = variant(MemoryLedger, **members)
    with pytest.raises(AssertionError, match=message):
        check_ledger(
            lambda capacity, policy, ghosts: ledger(capacity, policy=policy, ghosts=ghosts)
        )


def says(estimate):
    """A `predict` that puts something else in the place of Mean's estimate, once there is one."""

    def predict(self, x):
        honest = Mean.predict(self, x)
        return honest if honest == UNKNOWN else estimate(honest)

    return predict


def learns_anything(self, x, cost):
    Mean.learn(self, x, abs(cost) if math.isfinite(cost) else 1.0)


def learns_before_it_refuses(self, x, cost):
    Mean.learn(self, x, 1000.0 if cost < 0 else cost)
    Mean.learn(self, x, cost)


def widens(self, x):
    e = Mean.predict(self, x)
    n, _ = self._own.get(x.key, (1, 0.0))
    return Estimate(e.mean, e.width * n, e.floor)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"predict": lambda *_: Estimate(1.0, 0.0)}, "before learning any cost it bounds them"),
        ({"learn": lambda s, x, c: Mean.learn(s, x, c) or c}, "learn returns something"),
        ({"predict": lambda *_: UNKNOWN}, "is not finite"),
        ({"predict": says(lambda e: Estimate(e.mean, -1.0, 0.0))}, "floor <= lower <= mean"),
        ({"predict": says(lambda e: Estimate(e.mean, e.width, 1e9))}, "floor <= lower <= mean"),
        ({"predict": says(lambda e: Estimate(e.mean, e.width, -1.0))}, "floor <= lower <= mean"),
        ({"predict": says(lambda e: Estimate(e.mean, 1.0, 0.0))}, "costs x 1000 turned"),
        ({"predict": says(lambda e: Estimate(e.mean + 1.0, e.width))}, "costs x 1000 turned"),
        ({"learn": learns_anything}, "it learned from a cost of -1.0"),
        ({"learn": learns_before_it_refuses}, "it refused a cost of -1.0, yet changed"),
        ({"predict": widens}, "256 costs left the interval"),
        (
            {"predict": says(lambda e: Estimate(e.mean / 2, e.width / 2, e.floor / 2))},
            "256 costs of 1.0 and 3.0 gave",
        ),
    ],
)
def test_an_estimator_that_breaks_the_contract_is_told_how(members, message):
    with pytest.raises(AssertionError, match=message):
        check_estimator(variant(Mean, **members))


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(testing)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_contracts_can_be_imported_without_a_test_framework_or_anything_heavy():
    heavy = "pytest hypothesis sklearn chromadb sqlalchemy langchain_core torch"
    program = (
        "import sys, langchain_cachemux.testing;"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_a_numpy_cost_is_as_good_as_any():
    class Numpy(Mean):
        def learn(self, x, cost):
            super().learn(x, np.float32(cost))

    check_estimator(Numpy)
