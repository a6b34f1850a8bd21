"""Contracts that every policy, ledger and estimator keeps, written once: run them on your own.

Each raises `AssertionError` with what does not hold, and returns nothing when all does.

    >>> from langchain_cachemux.keep.policies import LEC
    >>> check_policy(lambda: LEC(half_life=100))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, product

import numpy as np

from langchain_cachemux.keep.books import Ledger
from langchain_cachemux.keep.policies import LEC, LFU, LRU, GreedyDual, Policy
from langchain_cachemux.keep.wordings import WORDINGS
from langchain_cachemux.route.estimators import Estimator, Kept
from langchain_cachemux.types import Admission, Entry, Estimate, Query, Standing, Wording


def check_policy(make: Callable[[], Policy]) -> None:
    """Check that a policy values entries so that a ledger can freeze what it said.

    A worth is finite; waiting does not change it; another request, or a greater cost, does not
    lower it; what is evicted does not lower what comes after.

    Args:
        make: Builds the policy afresh.
    """
    policy = make()
    _expect(policy.half_life > 0, f"half_life is {policy.half_life!r}, not a positive number")
    for cost, size in product((0.0, 1e-12, 1.0, 1e12), (1, 10**9)):
        asked = _asked(policy, (1, 2, 10**6), cost=cost, size=size)
        what = f"of an entry of cost {cost} and size {size}"
        _expect(math.isfinite(asked.worth), f"the worth {what} is {asked.worth}")
        _asked(policy, (10**6 + 1, 10**9))
        _expect(policy.worth(asked) == asked.worth, f"the worth {what} changed by waiting")
        for gap in (1, 10, 10**6):
            before = asked.worth
            asked.requested(asked.last + gap, policy.half_life)
            asked.worth = policy.worth(asked)
            _expect(asked.worth >= before, f"a request after {gap} others lowered the worth {what}")
    for less, more in pairwise((0.0, 1e-12, 1.0, 1.5, 1e12)):
        fell = _asked(policy, (1, 2), cost=more).worth < _asked(policy, (1, 2), cost=less).worth
        _expect(not fell, f"an entry of cost {more} is worth less than one of cost {less}")
    newcomer = _asked(policy, (5,))
    for victim in (_asked(policy, (1, 2, 3, 4)), Standing("trifle", worth=newcomer.worth)):
        before = policy.worth(newcomer)
        policy.evicted(victim)
        _expect(policy.worth(newcomer) >= before, "an eviction lowered the worth of a newcomer")


def check_ledger(
    make: Callable[[int, Policy | Sequence[Policy], int | None], Ledger],
) -> None:
    """Check that a ledger keeps its books: capacity, time, slots, ghosts, aliases, ends, and who leaves.

    Of several policies it follows the one whose misses have cost least; one policy given twice is that
    policy.

    Args:
        make: Builds an empty ledger from `(capacity, policy, ghosts)`; its caller closes it.
    """
    _check_books(make(20, LEC(half_life=5), None), capacity=20, sizes=(1, 2, 3, 4, 5))
    _check_books(make(4, LEC(), 2), capacity=4, sizes=(1,))
    several = make(20, [LRU(), LEC(half_life=5), GreedyDual()], None)
    _check_books(several, capacity=20, sizes=(1, 2, 3, 4, 5), alone=False)
    _check_contents(make(10, LEC(half_life=4), None))
    _check_copies(make(10, LEC(half_life=4), None))
    _check_ghosts(make(1, LEC(half_life=4), 10), remembered=True)
    _check_ghosts(make(1, LEC(half_life=4), 0), remembered=False)
    _check_followed(make(1, [LRU(), LFU()], None))
    _check_aliases(make(10, LEC(half_life=4), None))
    _check_differences(make(10, LEC(half_life=4), None))
    _check_bounds(make(20, LRU(), None))
    _check_growth(make(10, LRU(), None))
    _check_ends(make(10, LEC(half_life=4), None))
    _check_labels(make(10, LRU(), None))
    _check_twice(make(5, LEC(half_life=5), None), make(5, [LEC(half_life=5)] * 2, None))


def check_estimator(make: Callable[[], Estimator]) -> None:
    """Check that an estimator is honest about what it knows, in whatever unit the costs have.

    Before it has learned, no cost is below mean - width. Afterwards its estimates are finite and
    ordered, scale with the unit of the costs, and narrow as one query repeats. Where its estimates have
    a ceiling (a classifier's are chances), costs are taken from below it, those above are refused, and
    there is no unit to scale with. What can be kept (`dump`, `restore`) comes back as it was.

    Args:
        make: Builds an estimator that has learned nothing.
    """
    hot, cold, bare = (
        Query("hot", vector=np.array([0.6, 0.8, 0.0], dtype=np.float32)),
        Query("cold", vector=np.array([0.0, 0.8, -0.6], dtype=np.float32)),
        Query("bare"),
    )
    estimator, large = make(), make()
    bounds = [estimator.predict(x).optimistic for x in (hot, bare)]
    _expect(max(bounds) <= 0, f"before learning any cost it bounds them by {bounds}")
    ceiling = estimator.predict(bare).ceiling
    bounded = math.isfinite(ceiling)
    costs = [1.0, 3.0, 2.0, 8.0, 1.5, 0.5, 4.0]
    if bounded:
        costs = [0.0, ceiling, 0.25 * ceiling, ceiling, 0.0, 0.5 * ceiling, ceiling]
    for cost, x in zip(costs, (hot, cold, bare, cold, hot, bare, hot), strict=True):
        learn: Callable[[Query, float], object] = estimator.learn
        _expect(learn(x, cost) is None, "learn returns something")
        if not bounded:
            large.learn(x, 1000 * cost)
        for y in (hot, cold, bare, Query("new")):
            small = estimator.predict(y)
            _expect(np.isfinite(_parts(small)).all(), f"{small} is not finite")
            ordered = 0 <= small.floor <= small.lower <= small.mean <= small.upper <= ceiling
            _expect(ordered, f"{small} is not 0 <= floor <= lower <= mean <= upper <= {ceiling}")
            if bounded:
                _expect(small.ceiling == ceiling, f"{small} has not the ceiling {ceiling}")
                continue
            scaled = large.predict(y)
            near = np.allclose(np.multiply(1000, _parts(small)), _parts(scaled), rtol=1e-6)
            _expect(near, f"costs x 1000 turned {small} into {scaled}")
    for cost in (-1.0, math.nan, math.inf, *([2 * ceiling] if bounded else [])):
        before = estimator.predict(hot)
        try:
            estimator.learn(hot, cost)
        except ValueError:
            _expect(estimator.predict(hot) == before, f"it refused a cost of {cost}, yet changed")
        else:
            _expect(None, f"it learned from a cost of {cost}")
    if isinstance(estimator, Kept):
        _check_kept(estimator, make, (hot, cold, bare, Query("new")))
    _check_repeats(make(), hot, bad=ceiling if bounded else 3.0, good=0.0 if bounded else 1.0)


def _expect(holds: object, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _asked(policy: Policy, times: Iterable[int], cost: float = 1.0, size: int = 1) -> Standing:
    standing = Standing("asked", cost=cost, size=size)
    for now in times:
        standing.requested(now, policy.half_life)
        standing.worth = policy.worth(standing)
    return standing


def _standing(ledger: Ledger, key: str) -> Standing:
    return ledger.standing(key) or Standing("lost")


def _check_books(
    ledger: Ledger, *, capacity: int, sizes: tuple[int, ...], alone: bool = True
) -> None:
    """A busy ledger: after every request the books agree, and only the least left of one policy."""
    for step in range(150):
        key = str(step * step % 13)
        standings = [_standing(ledger, entry.key) for entry in ledger]
        before = sorted(standings, key=lambda s: (s.worth, s.last))
        if not ledger.use(key):
            size = sizes[step % len(sizes)]
            excess = ledger.size + size - capacity
            admission = ledger.admit(Entry(key, cost=1.0 + step % 7, size=size))
            told = admission.evicted
            least = tuple(s.key for s in before[: len(told)])
            _expect(told == least or not alone, f"it evicted {told}, not {least}")
            held_before = {s.key: s.size for s in before}
            strangers = [key for key in told if key not in held_before]
            _expect(not strangers, f"it evicted {strangers}, which it did not hold")
            few = not told or sum(held_before[key] for key in told[:-1]) < excess
            _expect(few, f"it evicted {told} to make room for {excess}")
            kept, said = ledger.get(key) is not None, admission.slot is not None
            _expect(kept == said, f"{key} is held: {kept}; admit said: {said}")
        if step % 17 == 0:
            ledger.forget(key)
            _expect(ledger.get(key) is None, f"{key} was forgotten and is still held")
        after = {e.key: e for e in ledger}
        _expect(len(ledger) == len(after), f"len is {len(ledger)} with {len(after)} entries")
        total = sum(e.size for e in after.values())
        right = ledger.size == total <= capacity
        _expect(right, f"size is {ledger.size} of {capacity}, the sizes sum up to {total}")
        slots = {e.slot for e in after.values()}
        reused = len(slots) == len(after) and slots <= set(range(capacity))
        _expect(reused, f"{len(after)} entries have the slots {slots}")
        _expect(ledger.check() == [], f"check() finds {ledger.check()}")


def _check_contents(ledger: Ledger) -> None:
    """What goes in comes out, time is counted in requests, and too much is refused."""
    vector = np.array([0.5, -0.25], dtype=np.float32)
    ledger.admit(Entry("a", 2.0, 3, partition="s:c", text="é?", vector=vector, answer='["ü"]'))
    ledger.admit(Entry("b"))
    a, b = ledger.get("a") or Entry("lost"), ledger.get("b") or Entry("lost", vector=vector)
    read = (a.cost, a.size, a.partition, a.text, a.answer, b.key, b.vector)
    wrote = (2.0, 3, "s:c", "é?", '["ü"]', "b", None)
    _expect(read == wrote, f"{wrote} was admitted, {read} came back")
    _expect(np.array_equal(a.vector, vector), f"{vector} was admitted, {a.vector} came back")  # type: ignore[arg-type]
    found = (ledger.use("nobody"), ledger.forget("nobody"), ledger.use("b"))
    _expect(found == (False, False, True), f"use, forget of no key, use of one held: {found}")
    _expect(ledger.standing("nobody") is None, "a key not held has a standing")
    asked = _standing(ledger, "b")
    _expect((asked.last, asked.uses) == (3, 2), f"the third request, b's second, left {asked}")
    expected = asked.count * 2 ** (-1 / 4) + 0.25
    ledger.use("b", credit=0.25, cost=5.0)
    b, asked = ledger.get("b") or b, _standing(ledger, "b")
    _expect(b.cost == asked.cost == 5, f"a use that said a miss would cost 5 by now left {b}")  # noqa: PLR2004
    shared = asked.uses == 2.25 and math.isclose(asked.count, expected)  # noqa: PLR2004
    _expect(shared, f"a quarter of a request left {asked}, its count is {expected}")
    refused = ledger.admit(Entry("huge", cost=1e9, size=11))
    right = refused == Admission(None) and len(ledger) == len((a, b))
    _expect(right, f"an entry larger than the capacity came to {refused}")
    ledger.admit(Entry("a", size=4, answer="new"))
    a, asked = ledger.get("a") or Entry("lost"), _standing(ledger, "a")
    new = (a.answer, asked.uses, len(ledger)) == ("new", 2, 2)
    _expect(new, f"a key held was not replaced: {a}, {asked}")
    ledger.clear()
    slot, asked = ledger.admit(Entry("huge")).slot, _standing(ledger, "huge")
    clean = (asked.count, asked.last, slot, len(ledger), ledger.size) == (1, 1, 0, 1, 1)
    _expect(clean, f"clear left something behind: slot {slot}, {asked}")


def _check_copies(ledger: Ledger) -> None:
    """Whatever is written to what went in or came out, what is held stays as it was."""
    vector = np.array([0.5, -0.25], dtype=np.float32)
    ledger.admit(Entry("a", vector=vector))
    vector[0] = 9.0
    (listed,), got, asked = ledger, ledger.get("a") or Entry("lost"), _standing(ledger, "a")
    asked.count = asked.worth = 9.0
    for handed_out in (listed, got):
        if handed_out.vector is not None and handed_out.vector.flags.writeable:
            handed_out.vector[0] = 9.0
        object.__setattr__(handed_out, "answer", "another")
    a, known = ledger.get("a") or Entry("lost"), _standing(ledger, "a")
    same = a.vector is not None and a.vector[0] == 0.5 and a.answer == ""  # noqa: PLR2004
    _expect(same, f"what was handed in or out is not a copy: {a} with the vector {a.vector}")
    _expect(known.count == 1 != known.worth, f"what was handed out is not a copy: {known}")


def _check_ghosts(ledger: Ledger, *, remembered: bool) -> None:
    """An evicted key comes back with its aged count, unless it was forgotten."""
    for key, cost in (("a", 1.0), ("b", 10.0), ("a", 100.0)):
        ledger.admit(Entry(key, cost=cost))
    a, expected = _standing(ledger, "a"), 1 + 2 ** (-2 / 4) * remembered
    _expect(math.isclose(a.count, expected), f"{a} came back, but its count is {expected}")
    ledger.forget("b")
    ledger.admit(Entry("b", cost=1e4))
    b = _standing(ledger, "b")
    _expect(b.count == 1, f"a forgotten key came back with its count: {b}")


def _check_followed(ledger: Ledger) -> None:
    """LRU and LFU, one place, a a b a c a: LRU gives a away for b, and from then on LFU is followed."""
    seen = []
    for key in "aabaca":
        if ledger.use(key):
            seen.append(f"{key} hit")
        else:
            admission = ledger.admit(Entry(key))
            seen.append(f"{key} {'out' if admission.slot is None else 'in'}")
    expected = ["a in", "a hit", "b in", "a in", "c out", "a hit"]
    _expect(seen == expected, f"following LRU, then LFU, it said {seen}, not {expected}")


def _check_twice(once: Ledger, twice: Ledger) -> None:
    """A ledger of one policy, and one of that policy two times."""
    for step in range(60):
        key = str(step * step % 13)
        evicted = []
        for ledger in (once, twice):
            entry = Entry(key, cost=1.0 + step % 7)
            evicted.append(None if ledger.use(key) else ledger.admit(entry).evicted)
        _expect(
            evicted[0] == evicted[1],
            f"one policy given twice evicted {evicted[1]}, given once {evicted[0]}",
        )


def _check_aliases(ledger: Ledger) -> None:
    """An alias leads to its entry's answer, counts for it, and never to two."""
    vector = np.array([0.5, -0.25], dtype=np.float32)
    ledger.admit(Entry("a", partition="s:c", text="own", answer="1"))
    ledger.admit(Entry("b"))
    given = Wording("other", "a", "ü", vector)
    slot, taken = ledger.reword(given).slot, {entry.slot for entry in ledger}
    _expect(slot is not None and slot not in taken, f"an alias got the slot {slot} of {taken}")
    found, entry = ledger.wording("other") or Wording("", ""), ledger.get("other") or Entry("lost")
    read = (found.key, found.of, found.text, found.slot, found.partition, entry.key, entry.answer)
    wrote = ("other", "a", "ü", slot, "s:c", "a", "1")
    _expect(read == wrote, f"{wrote} was reworded, {read} came back")
    vector[1] = 9.0
    copied = found.vector is not None and [*found.vector] == [0.5, -0.25]
    _expect(copied, f"what was handed in is not a copy: {found.vector}")
    own = ledger.wording("a") or Wording("", "")
    mine = (own.key, own.of, own.text) == ("a", "a", "own")
    _expect(mine, f"the entry's own words are {own}")
    listed = sorted(wording.key for wording in ledger.wordings("other"))
    _expect(listed == ["a", "other"], f"the wordings of one entry are {listed}")
    used, asked = ledger.use("other"), _standing(ledger, "a")
    _expect(used and asked.uses == 2, f"a use of an alias left its entry {asked}")  # noqa: PLR2004
    for key, of in (("b", "a"), ("a", "a"), ("new", "nobody")):
        told = ledger.reword(Wording(key, of)).slot
        _expect(told is None, f"{key} became an alias of {of} in slot {told}")
    ledger.reword(Wording("other", "b"))
    moved = ledger.get("other") or Entry("lost")
    _expect(moved.key == "b", f"an alias that changed sides leads to {moved}")
    taken_back = (ledger.unword("other"), ledger.unword("other"), ledger.unword("a"))
    _expect(taken_back == (True, False, False), f"unword twice, and of an entry: {taken_back}")
    ledger.reword(Wording("other", "a"))
    ledger.admit(Entry("other"))
    answered = ledger.get("other") or Entry("lost")
    _expect(answered.key == "other", f"an alias that got an answer of its own gives {answered}")
    ledger.reword(Wording("last", "a"))
    ledger.forget("a")
    gone = ledger.get("last") is None and ledger.wording("last") is None
    _expect(gone, "an alias outlived its entry")
    _expect(ledger.check() == [], f"check() finds {ledger.check()}")


def _check_differences(ledger: Ledger) -> None:
    """Keys found different are so in either order, no alias of one another, until all is cleared."""
    ledger.admit(Entry("a"))
    ledger.differ("no", "a")
    told = [ledger.differs(*pair) for pair in (("no", "a"), ("a", "no"), ("no", "b"), ("a", "a"))]
    _expect(told == [True, True, False, False], f"no and a differ, and of four pairs {told}")
    found = [ledger.wording("a", asked=key) is not None for key in ("no", "b", "")]
    _expect(found == [False, True, True], f"no and a differ, and a was found for three: {found}")
    slot = ledger.reword(Wording("no", "a")).slot
    _expect(slot is None, "a key found different became an alias")
    ledger.clear()
    _expect(not ledger.differs("no", "a"), "clear left a difference behind")


def _check_bounds(ledger: Ledger) -> None:
    """The least recently used gives way: of an entry beyond `WORDINGS`, of all beyond the capacity."""
    for key in "abcd":
        ledger.admit(Entry(key))
        for number in range(WORDINGS + 1):
            ledger.reword(Wording(f"{key}{number}", key))
            ledger.use(f"{key}0")
    held = sorted(w.key for key in "abcd" for w in ledger.wordings(key) if w.key != w.of)
    newest = [f"{key}{number}" for key in "cd" for number in (0, *range(2, WORDINGS + 1))]
    rest = [f"b{number}" for number in (0, *range(WORDINGS + 1)[WORDINGS - 2 :])]
    expected = sorted([*newest, *rest])
    _expect(
        held == expected, f"of nine aliases each of four entries {held} are left, not {expected}"
    )
    slots = {wording.slot for wording in ledger.wordings()}
    _expect(len(slots) == 4 + 20, f"4 entries and 20 aliases have the slots {slots}")
    _expect(ledger.check() == [], f"check() finds {ledger.check()}")


def _check_growth(ledger: Ledger) -> None:
    """An entry takes the room of its aliases too; what is worth less leaves for them, not the entry."""
    for key in "ab":
        ledger.admit(Entry(key, size=4))
    refused = ledger.reword(Wording("least", "a", size=3))
    _expect(refused == Admission(None), f"an alias of the least worth keeping came to {refused}")
    (a, b), told = sorted(e.slot for e in ledger), ledger.reword(Wording("alias", "b", size=3))
    left = (told.evicted, len(ledger), ledger.size, (ledger.get("b") or Entry("lost")).size)
    _expect(left == (("a",), 1, 7, 7), f"an alias of 3 beside two answers of 4 in 10 left {left}")
    huge = ledger.reword(Wording("huge", "b", size=7))
    _expect(huge == Admission(None), f"an alias larger than the room came to {huge}")
    known = ledger.admit(Entry("c", size=10))
    freed = {*known.vacated, known.slot}
    _expect(freed == {a, b}, f"the slots {a} and {b} became free, and it told of {freed}")
    _expect(ledger.check() == [], f"check() finds {ledger.check()}")


def _check_ends(ledger: Ledger) -> None:
    """The first to end is named first; what is over leaves its count, and so has its end again."""
    for key, end in (("late", 30.0), ("never", math.inf), ("soon", 10.0), ("mean", 20.0)):
        ledger.admit(Entry(key, made=1.0, expires=end))
    ledger.reword(Wording("other", "soon"))
    kept = [(e.made, e.expires) for e in map(ledger.get, ("late", "never")) if e is not None]
    _expect(kept == [(1.0, 30.0), (1.0, math.inf)], f"of two entries made and expires are {kept}")
    told = [ledger.expired(*asked) for asked in ((9.9, 9), (10.0, 9), (99.0, 9), (99.0, 2))]
    right = [[], ["soon"], ["soon", "mean", "late"], ["soon", "mean"]]
    _expect(told == right, f"over at 9.9, 10, 99, and of those two, are {told}, not {right}")
    longer = (ledger.extend("other", 40.0), ledger.extend("nobody", 40.0))
    _expect(longer == (True, False), f"extend by an alias, and of no key: {longer}")
    _expect(ledger.expired(99.0, 9) == ["mean", "late", "soon"], "a later end changed no order")
    count = _standing(ledger, "soon").count
    gone = (ledger.forget("soon", ghost=True), ledger.get("soon"), ledger.get("other"))
    _expect(gone == (True, None, None), f"forgotten as a ghost, it, and entry and alias are {gone}")
    _expect(ledger.expired(99.0, 9) == ["mean", "late"], "what is gone is over still")
    ledger.admit(Entry("soon"))
    came, expected = _standing(ledger, "soon").count, 1 + count * 2 ** (-2 / 4)
    _expect(math.isclose(came, expected), f"it came back with the count {came}, not {expected}")
    _expect("soon" not in ledger.expired(99.0, 9), "an answer without an end has the end before it")
    _expect(ledger.check() == [], f"check() finds {ledger.check()}")


def _check_labels(ledger: Ledger) -> None:
    """Found are those that bear all the labels and are older; a label is found whole, or not at all."""
    odd = 'tag:a"b\\%_é'
    for key, made, labels in (
        ("a", 1.0, ("tag:x", "model:m")),
        ("b", 2.0, ("tag:xy", odd)),
        ("c", 3.0, ("model:m", "tag:x")),
        ("d", 4.0, ()),
    ):
        ledger.admit(Entry(key, made=made, labels=labels))
    b = ledger.get("b") or Entry("lost")
    _expect(b.labels == ("tag:xy", odd), f"the labels came back as {b.labels}")
    cases: tuple[tuple[tuple[str, ...], float, str], ...] = (
        (("tag:x",), math.inf, "ac"),
        (("tag:x", "model:m"), math.inf, "ac"),
        (("tag:x", "tag:xy"), math.inf, ""),
        ((odd,), math.inf, "b"),
        (("tag:%",), math.inf, ""),
        (("tag:",), math.inf, ""),
        ((), math.inf, "abcd"),
        ((), 3.0, "ab"),
        (("model:m",), 3.0, "a"),
    )
    for asked, before, right in cases:
        found = sorted(ledger.labelled(asked, before=before))
        _expect(found == [*right], f"of {asked} before {before} are {found}, not {[*right]}")
    ledger.forget("a")
    _expect(ledger.labelled(("tag:x",)) == ["c"], "what was forgotten is found by its label")


def _parts(estimate: Estimate) -> tuple[float, ...]:
    """Everything in it that is in the unit of the costs; no ceiling is no cost."""
    upper = estimate.mean + (estimate.width if estimate.above is None else estimate.above)
    return estimate.mean, estimate.width, estimate.floor, upper


def _check_kept(estimator: Kept, make: Callable[[], Estimator], queries: Sequence[Query]) -> None:
    """What was dumped predicts as before, is a copy, and is refused when it is not its own."""
    state, twin = estimator.dump(), make()
    if not isinstance(twin, Kept):
        _expect(None, f"make() builds {twin!r}, which cannot be restored")
        return
    twin.restore(state)
    before = [estimator.predict(x) for x in queries]
    for estimate, x in zip(before, queries, strict=True):
        restored = twin.predict(x)
        near = np.allclose(_parts(estimate), _parts(restored), rtol=1e-5, atol=1e-6)
        _expect(near, f"it predicted {estimate} and, restored, {restored}")
    for x in queries:
        twin.learn(x, 0.0)
    after = [estimator.predict(x) for x in queries]
    _expect(after == before, "what is restored shares memory with its origin")
    for damage in ({"version": 0}, {"kind": "nothing"}):
        try:
            make().restore({**state, **damage})  # type: ignore[attr-defined]
        except ValueError:
            continue
        _expect(None, f"it was restored from a state with {damage}")


def _check_repeats(estimator: Estimator, x: Query, *, bad: float, good: float) -> None:
    """Two costs in turn: the interval narrows around their mean."""
    truth, few = (bad + good) / 2, math.inf
    for step in range(256):
        estimator.learn(x, bad if step % 2 == 0 else good)
        e = estimator.predict(x)
        few = e.upper - e.optimistic if step < 4 else few  # noqa: PLR2004
    e = estimator.predict(x)
    many = e.upper - e.optimistic
    _expect(many <= few, f"256 costs left the interval {many} wide, 4 {few}")
    near = e.lower <= truth <= e.upper
    _expect(near, f"256 costs of {good} and {bad} gave {e}")
