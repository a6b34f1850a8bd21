"""The contracts shipped to users: each clause turns down what breaks it, and says which it was."""

import doctest
import math
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from langchain_cachemux import testing
from langchain_cachemux.keep import memory
from langchain_cachemux.keep.answers import Answers
from langchain_cachemux.keep.memory import HeapShadow, MemoryBooks, MemoryLedger, MemoryWordings
from langchain_cachemux.keep.policies import LRU
from langchain_cachemux.route.estimators import UNKNOWN, Mean
from langchain_cachemux.testing import check_estimator, check_ledger, check_policy
from langchain_cachemux.types import Admission, Estimate, Standing


def variant(base, **members):
    """`base` with some members replaced."""
    return type(f"Broken{base.__name__}", (base,), members)


class Counter(LRU):
    """A sound policy whose parts the cases below break one by one: a clock plus uses times cost."""

    def __init__(self):
        self.clock = 0.0

    def worth(self, standing):
        return self.clock + standing.uses * standing.cost

    def evicted(self, standing):
        self.clock = max(self.clock, standing.worth)


def falls(self, standing):
    self.clock = standing.worth - 1


def grows_with_every_look(self, standing):
    self.clock += 1.0
    return self.clock + standing.uses * standing.cost


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
    self.rules = replace(self.rules, capacity=10**9)
    for shadow in self.shadows:
        shadow.capacity = 10**9
    return MemoryBooks.admit(self, entry)


def refuses(self, entry):
    return Admission(None)


def the_oldest(self):
    yield from sorted(self.held.values(), key=lambda standing: standing.last)


def evicts_too_many(self, entry):
    evicted = ()
    if self.find(entry.key) is None and self.size + entry.size > self.rules.capacity:
        standings = [self.standing(account) for account in self.accounts()]
        evicted = tuple(s.key for s in sorted(standings, key=lambda s: (s.worth, s.last)))
        for key in evicted:
            MemoryBooks.forget(self, key)
    return Admission(MemoryBooks.admit(self, entry).slot, evicted)


def new_slot_each_time(self):
    return None


def says_it_stays_out(self, entry):
    return Admission(None, MemoryBooks.admit(self, entry).evicted)


def keeps_the_old(self, entry):
    if self.find(entry.key) is not None:
        self.use(entry.key, 1.0, None)
        return Admission(self.find(entry.key).slot)
    return MemoryBooks.admit(self, entry)


def loses_the_vector(self, account, entry):
    MemoryBooks.keep(self, account, replace(entry, vector=None))


def loses_accents(self, account, entry):
    text = entry.text.encode("ascii", "ignore").decode()
    MemoryBooks.keep(self, account, replace(entry, text=text))


def clears_for_the_large(self, entry):
    if entry.size > self.capacity:
        MemoryLedger.clear(self)
    return MemoryLedger.admit(self, entry)


def time_goes_on(self, key):
    self._books.now += 1
    return MemoryLedger.get(self, key)


def forgets_entries_only(self, key, *, ghost=False):
    ghosts = dict(self._ghosts)
    found = MemoryBooks.forget(self, key, ghost=ghost)
    self._ghosts.update(ghosts)
    return found


def clears_entries_only(self):
    ghosts = self._books._ghosts if hasattr(self, "_books") else {}
    MemoryLedger.clear(self)
    self._books._ghosts.update(ghosts)


def remembers_nothing(self, account):
    self._ghosts.clear()


def remembers_always(self, account):
    self._ghosts[account.key] = (account.counts, account.last)


def remembers_unaged(self, account):
    self._ghosts[account.key] = (account.counts, self.now + 1)


def counts_whole_requests(self, key, *, credit=1.0, cost=None):
    return MemoryLedger.use(self, key, cost=cost)


def keeps_the_first_cost(self, key, *, credit=1.0, cost=None):
    return MemoryLedger.use(self, key, credit=credit)


def follows_the_first(self, account, credit):
    MemoryBooks.request(self, account, credit)
    self.leader = 0


def follows_the_worst(self, account, credit):
    MemoryBooks.request(self, account, credit)
    losses = [shadow.loss for shadow in self.shadows]
    self.leader = losses.index(max(losses))


def makes_too_much_room_for_several(self, entry):
    return (MemoryBooks.admit if len(self.shadows) < 3 else evicts_too_many)(self, entry)


def invents_a_victim(self, entry):
    admission = MemoryBooks.admit(self, entry)
    told = ("nobody",) * (len(self.shadows) == 3)
    return Admission(admission.slot, admission.evicted + told)


def has_less_room_for_two_of_a_kind(self, entry):
    policies = self.rules.policies
    for shadow in self.shadows:
        shadow.capacity -= 2 * (len({*map(type, policies)}) < len(policies))
    return MemoryBooks.admit(self, entry)


def forgets_strays(self, entry):
    for shadow in self.shadows[1:]:
        shadow._strays.clear()
    return MemoryBooks.admit(self, entry)


def keeps_what_it_was_given(self, account, entry):
    self.entries[account.key] = entry


def hands_out_what_it_holds(self, account):
    held = self.entries[account.key]
    for name in ("cost", "slot"):
        object.__setattr__(held, name, getattr(account, name))
    return held


def hands_out_its_own_standing(self, key):
    known = self._books.shadows[self._books.leader].held.get(key)
    return known or MemoryLedger.standing(self, key)


def invents_standings(self, key):
    return MemoryLedger.standing(self, key) or Standing(key)


def clears_all_but_differences(self):
    known = self._books.wordings if hasattr(self, "_books") else None
    MemoryLedger.clear(self)
    if known is not None:
        self._books.wordings._differences = known._differences


def rewords_anything(self, one, other):
    return False


def keeps_aliases_of_the_gone(self, key, *, ghost=False):
    kept = dict(self._answers.words)
    found = MemoryLedger.forget(self, key, ghost=ghost)
    self.wording = lambda key, **_: kept.get(key) or MemoryLedger.wording(self, key)
    return found


def sees_one_order(self, one, other):
    return (one, other) in {tuple(sorted(pair)) for pair in self._differences}


def finds_whatever_is_held(self, key, *, asked=""):
    return MemoryLedger.wording(self, key)


def forgets_the_words(self, alias, account):
    return replace(Answers.wording(self, alias, account), text="")


def counts_no_use_of_an_alias(self, key, credit, cost):
    return MemoryBooks.use(self, key, credit, cost) if self.find(key) else bool(self.answering(key))


def rewords_the_least(self, key, more):
    return True


def grows_for_nothing(self, key, more):
    """Its entry is as large as before."""


def tells_no_slot(self, entry):
    return replace(MemoryBooks.admit(self, entry), vacated=())


@pytest.mark.parametrize(
    ("part", "members", "message"),
    [
        (MemoryWordings, {"differs": rewords_anything}, "no and a differ, and of four pairs"),
        (MemoryWordings, {"differs": sees_one_order}, "no and a differ, and of four pairs"),
        (MemoryLedger, {"forget": keeps_aliases_of_the_gone}, "an alias outlived its entry"),
        (MemoryLedger, {"wording": finds_whatever_is_held}, "a was found for three"),
        (Answers, {"wording": forgets_the_words}, "was reworded, .* came back"),
        (MemoryBooks, {"use": counts_no_use_of_an_alias}, "a use of an alias left its entry"),
        (MemoryBooks, {"unword": lambda *_: True}, "unword twice, and of an entry"),
        (MemoryWordings, {"renew": lambda *_: None}, "of nine aliases each of four entries"),
        (MemoryWordings, {"excess": lambda *_: []}, "more than|of nine aliases"),
        (HeapShadow, {"keeps": rewords_the_least}, "an alias of the least worth keeping came to"),
        (MemoryBooks, {"resize": grows_for_nothing}, "left"),
        (MemoryBooks, {"admit": tells_no_slot}, "became free, and it told of"),
        (MemoryLedger, {"clear": clears_all_but_differences}, "clear left a difference behind"),
        (MemoryBooks, {"admit": unlimited}, "size is .* of"),
        (MemoryLedger, {"__len__": lambda _: 1}, "len is 1 with"),
        (MemoryLedger, {"size": property(lambda self: self._books.size + 1)}, "size is"),
        (MemoryLedger, {"check": lambda _: ["rot"]}, r"check\(\) finds \['rot'\]"),
        (HeapShadow, {"least": the_oldest}, "it evicted .*, not"),
        (MemoryBooks, {"admit": evicts_too_many}, "to make room for"),
        (
            MemoryBooks,
            {"free_slot": new_slot_each_time, "check": lambda _: []},
            "have the slots",
        ),
        (MemoryBooks, {"admit": says_it_stays_out}, "is held: True; admit said: False"),
        (MemoryBooks, {"admit": refuses}, "was admitted, .* came back"),
        (MemoryBooks, {"admit": keeps_the_old}, "a key held was not replaced"),
        (MemoryBooks, {"keep": loses_the_vector}, r"\[ 0.5  -0.25\] was admitted, None came back"),
        (MemoryBooks, {"keep": loses_accents}, "'é.', .* was admitted, .*'.', .* came back"),
        (MemoryLedger, {"admit": clears_for_the_large}, "an entry larger than the capacity came"),
        (MemoryLedger, {"get": time_goes_on}, "the third request, b's second, left"),
        (MemoryLedger, {"use": lambda *_, **__: True}, "is held: False|use, forget of no key"),
        (MemoryLedger, {"forget": lambda *_: True}, "was forgotten and is still held"),
        (MemoryBooks, {"forget": forgets_entries_only}, "a ghost is held|came back with its count"),
        (MemoryLedger, {"clear": clears_entries_only}, "clear left something behind"),
        (MemoryBooks, {"remember": remembers_nothing}, "came back, but its count is 1.7"),
        (MemoryBooks, {"remember": remembers_always}, "but its count is 1$|count is 1.0"),
        (MemoryBooks, {"remember": remembers_unaged}, "came back, but its count is 1.7"),
        (MemoryLedger, {"use": counts_whole_requests}, "a quarter of a request left"),
        (MemoryLedger, {"use": keeps_the_first_cost}, "a use that said a miss would cost 5"),
        (MemoryBooks, {"request": follows_the_first}, "following LRU, then LFU, it said .*'c in'"),
        (MemoryBooks, {"request": follows_the_worst}, "following LRU, then LFU, it said"),
        (MemoryBooks, {"admit": makes_too_much_room_for_several}, "to make room for"),
        (
            MemoryBooks,
            {"admit": invents_a_victim},
            r"it evicted \['nobody'\], which it did not hold",
        ),
        (MemoryBooks, {"admit": forgets_strays}, "a stray is no stray"),
        (MemoryBooks, {"admit": has_less_room_for_two_of_a_kind}, "one policy given twice evicted"),
        (Answers, {"keep": keeps_what_it_was_given}, "handed in or out is not a copy: .*9"),
        (Answers, {"entry": hands_out_what_it_holds}, r"in or out is not a copy: .*\[ 0.5 "),
        (MemoryLedger, {"standing": hands_out_its_own_standing}, "out is not a copy: Standing"),
        (MemoryLedger, {"standing": invents_standings}, "a key not held has a standing"),
    ],
)
def test_a_ledger_that_breaks_the_contract_is_told_how(monkeypatch, part, members, message):
    broken = variant(part, **members)
    monkeypatch.setattr(memory, part.__name__, broken)
    with pytest.raises(AssertionError, match=message):
        check_ledger(
            lambda capacity, policy, ghosts: memory.MemoryLedger(
                capacity, policy=policy, ghosts=ghosts
            )
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
