"""Each baseline on one worked example, the contract of all, and slow ones to compare with."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.keep.memory import MemoryLedger
from langchain_cachemux.keep.policies import GDSF, LRU, GreedyDual
from langchain_cachemux.lab.baselines import (
    ARC,
    S3FIFO,
    SIEVE,
    Hyperbolic,
    Sketch,
    TwoQ,
    WTinyLFU,
)
from langchain_cachemux.lab.least import InCacheLFU, Least, LogFrequency
from langchain_cachemux.lab.paper import WholeHistory
from langchain_cachemux.testing import check_policy
from langchain_cachemux.types import Entry, Standing

BASELINES = {
    "SIEVE": SIEVE,
    "S3FIFO": S3FIFO,
    "WTinyLFU": WTinyLFU,
    "WTinyLFU of costs": lambda capacity: WTinyLFU(capacity, cost=True),
    "ARC": ARC,
    "TwoQ": TwoQ,
    "Hyperbolic": Hyperbolic,
    "GreedyDual": lambda capacity: Least(capacity, policy=GreedyDual()),
    "GDSF": lambda capacity: Least(capacity, policy=GDSF()),
    "InCacheLFU": lambda capacity: Least(capacity, policy=InCacheLFU()),
    "LogFrequency": lambda capacity: Least(capacity, policy=LogFrequency()),
    "LRU": lambda capacity: Least(capacity, policy=LRU()),
    "WholeHistory": WholeHistory,
}
each = pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES)
NAMELESS = {name: make for name, make in BASELINES.items() if "TinyLFU" not in name}
KEEP_ALL = {name: make for name, make in NAMELESS.items() if name != "WholeHistory"}


def play(baseline, requests, *, costs=None):
    """Request keys in turn; what was a hit, and who left."""
    events, names = [], sorted(set(requests.split()))
    for key in requests.split():
        held = {name for name in names if name in baseline} | {key}
        if baseline.request(key, (costs or {}).get(key, 1.0)):
            events.append(f"{key} hit")
        events.extend(f"{name} out" for name in sorted(held) if name not in baseline)
    return events


def test_sieve_evicts_the_first_unvisited_that_its_hand_finds():
    # A B C A D E B at size 3. A is visited. D: the hand clears A and evicts B. E: the hand is at C,
    # C out. B: the hand is at D, which nobody used: D out, though A is older and its bit is clear.
    assert play(SIEVE(3), "A B C A D E B") == ["A hit", "B out", "C out", "D out"]


def test_sieves_hand_starts_again_at_the_oldest_not_at_the_newcomer():
    # A B B C D E at size 2. C: A out, the hand at B. D: B is cleared, C out, and the hand has come
    # to the end. E: it starts again at B: B out. D, which came behind the hand, stays.
    assert play(SIEVE(2), "A B B C D E") == ["B hit", "A out", "C out", "B out"]


def test_s3fifo_moves_what_was_used_twice_to_main_and_brings_ghosts_back_there():
    # Size 2: small 1, main 1, one ghost. A is used twice; B finds small full and goes to main. C: A
    # moves to main too, and small being empty main gives: B out. D: C out, a ghost. C comes back, to
    # main: D out of small. E: main holds 2, one too many: A, unused there, out.
    told = ["A hit", "A hit", "B out", "C out", "D out", "A out"]
    assert play(S3FIFO(2), "A A A B C D C E") == told
    # Used in main, A is reinserted behind C: C out.
    assert play(S3FIFO(2), "A A A B C D C A E")[-1] == "C out"


def test_s3fifo_drops_what_was_used_once():
    assert play(S3FIFO(2), "A A B C") == ["A hit", "A out"]


def test_wtinylfu_lets_nobody_in_who_is_not_asked_for_more():
    # Size 3: window 1, main 2, 1 of it protected. A and B move on to probation, A's hit protects it.
    # D: C leaves the window, 1 against B's 1: C out. C: D out likewise. E: C has 2 by now: B out.
    assert play(WTinyLFU(3), "A B A C D C E") == ["A hit", "C out", "D out", "B out"]


def test_wtinylfu_of_costs_admits_what_costs_more_at_equal_frequency():
    assert play(WTinyLFU(3, cost=True), "A B A C D", costs={"C": 5.0}) == ["A hit", "B out"]


def test_wtinylfu_protects_four_fifths_of_main_and_demotes_the_least_recent():
    # Size 6: window 1, main 5, 4 of it protected. All of A-E are hit in main, A first: at E's hit A
    # is demoted to probation. F is asked twice, leaves the window with 2 against A's 2: F out.
    assert play(WTinyLFU(6), "A B C D E F A B C D E F G")[-1] == "F out"
    # With 3 it beats A, the only one on probation.
    assert play(WTinyLFU(6), "A B C D E F A B C D E F F G")[-1] == "A out"


def test_a_sketch_halves_every_count_after_ten_times_the_capacity():
    sketch = Sketch(1)
    cells = sketch.cells("A")
    for _ in range(9):
        sketch.add(cells)
    assert sketch.estimate(cells) == 9
    sketch.add(cells)  # the tenth: 10 is halved, and so is the number of requests
    assert sketch.estimate(cells) == 5
    for _ in range(5):
        sketch.add(cells)
    assert sketch.estimate(cells) == 5


def test_a_sketch_counts_to_15_and_never_too_low():
    sketch, asked = Sketch(100), {str(i): i for i in range(20)}
    for key, times in asked.items():
        for _ in range(times):
            sketch.add(sketch.cells(key))
    estimates = {key: sketch.estimate(sketch.cells(key)) for key in asked}
    assert all(estimates[key] >= min(times, 15) for key, times in asked.items())
    assert max(estimates.values()) == 15


def test_a_sketch_is_wide_enough_to_tell_as_many_keys_apart_as_it_has_places():
    sketch = Sketch(100)
    cells = [sketch.cells(str(i)) for i in range(100)]
    for cell in cells:
        sketch.add(cell)
    assert sum(sketch.estimate(cell) > 1 for cell in cells) <= 1


def test_arc_moves_its_border_by_hits_on_ghosts():
    # A B A C B D A at size 2. A's hit moves it to the list of the often asked. C: the border is 0,
    # so the once asked give: B out. B is a ghost of theirs: border 1, so the often asked give: A
    # out. D likewise: B out. A is a ghost of the often asked: border 0, the once asked give: C out.
    told = ["A hit", "B out", "A out", "B out", "C out"]
    assert play(ARC(2), "A B A C B D A") == told


def test_arc_remembers_no_ghosts_of_a_scan():
    # A B C A at size 2: all were asked once, so A leaves no ghost and comes back as a stranger.
    assert play(ARC(2), "A B C A C D") == ["A out", "B out", "C hit", "A out"]


def test_two_q_keeps_what_comes_again_after_it_left_the_fifo():
    # Size 4: a FIFO of 1, names of 2. A's hit changes nothing. E: the FIFO has 4, A out. A is
    # remembered: B out, A to the LRU. F, G, H push C, D, E through the FIFO; A stays.
    told = ["A hit", "A out", "B out", "C out", "D out", "E out", "A hit"]
    assert play(TwoQ(4), "A B C D A E A F G H A") == told


def test_two_q_takes_from_its_lru_once_the_fifo_is_a_quarter():
    # As above until G; then D and E are remembered and come back, and the FIFO has but 1, G: the
    # LRU gives its oldest, A, which is not remembered.
    told = play(TwoQ(4), "A B C D E A F G D E H A")
    assert told == ["A out", "B out", "C out", "D out", "E out", "F out", "A out", "G out"]


def test_hyperbolic_evicts_the_lowest_rate_since_admission():
    # A A A B A C at size 2. At time 6, A was asked 4 times in 5, B once in 2: B out.
    assert play(Hyperbolic(2), "A A A B A C")[-1] == "B out"
    # A A A B C: at time 5, A was asked 3 times in 4, B once in 1: A out.
    assert play(Hyperbolic(2), "A A A B C")[-1] == "A out"
    # Times the cost: B's 2·1/2 beats A's 4/5.
    assert play(Hyperbolic(2), "A A A B A C", costs={"B": 2.0})[-1] == "A out"

    # Per unit of size: at size 3, B of size 2 gives 2·1/2/2, less than A's 4/5, so B out again.
    sized = Hyperbolic(3)
    for key, cost, size in (*[("A", 1, 1)] * 3, ("B", 2, 2), ("A", 1, 1), ("C", 1, 1)):
        sized.request(key, cost, size)
    assert "A" in sized
    assert "B" not in sized


def test_hyperbolic_looks_at_all_while_they_are_64():
    rng = random.Random(0)
    trace = [str(int(rng.paretovariate(0.5))) for _ in range(2000)]
    lost = slow_hyperbolic(trace, 64)
    assert len(lost) > 200
    assert all(rate == least for rate, least in lost)
    assert any(rate != least for rate, least in slow_hyperbolic(trace, 65))


def test_hyperbolic_draws_the_same_samples_for_the_same_seed():
    trace = [str(i * i % 331) for i in range(2000)]
    one, same, other = (Hyperbolic(100, seed=seed) for seed in (1, 1, 2))
    played = [[cache.request(key) for key in trace] for cache in (one, same, other)]
    assert played[0] == played[1] != played[2]


def test_greedy_dual_values_a_newcomer_after_its_victim():
    # A costs 3, the rest 1, at size 2. A = 3, B = 1. C: B out, clock 1, C = 2. D: C out, clock 2,
    # D = 3. E: A (3, older than D) out.
    costs = {"A": 3.0}
    told = ["B out", "C out", "A out"]
    assert play(Least(2, policy=GreedyDual()), "A B C D E", costs=costs) == told
    # Uses do not count, but a hit takes the new clock: A = 1 + 3 outlives D.
    told = ["B out", "A hit", "C out", "D out"]
    assert play(Least(2, policy=GreedyDual()), "A B C A D E", costs=costs) == told


def test_lfu_evicts_what_was_used_least_since_it_came_and_the_older_of_two():
    # A A B B C D A at size 2. C: A and B have 2, A's are older: A out. D: C has 1, C out. A comes
    # back with nothing: D out, then A = 1.
    told = ["A hit", "B hit", "A out", "C out", "D out", "A out"]
    assert play(Least(2, policy=InCacheLFU()), "A A B B C D A E") == told


def test_log_frequency_weighs_cost_by_the_logarithm_of_uses():
    # A costs 1, B 2. Asked 4 times, log 5 = 1.61 beats B's 2·log 2 = 1.39: B out. Asked twice,
    # log 3 = 1.10 does not: A out.
    costs = {"B": 2.0}
    assert play(Least(2, policy=LogFrequency()), "A A A A B C", costs=costs)[-1] == "B out"
    assert play(Least(2, policy=LogFrequency()), "A A B C", costs=costs)[-1] == "A out"


def test_a_ledger_leaves_out_newcomers_that_classical_lfu_and_greedy_dual_keep():
    lfu = MemoryLedger(2, policy=InCacheLFU(), ghosts=0)
    for key in "AABBCCC":
        if not lfu.use(key):
            lfu.admit(Entry(key))
    assert {entry.key for entry in lfu} == {"A", "B"}
    assert play(Least(2, policy=InCacheLFU()), "A A B B C C C")[-2:] == ["C hit", "C hit"]
    dual = MemoryLedger(1, policy=GreedyDual(), ghosts=0)
    dual.admit(Entry("A", cost=3.0))
    assert dual.admit(Entry("B")).slot is None
    assert play(Least(1, policy=GreedyDual()), "A B", costs={"A": 3.0}) == ["A out"]


@pytest.mark.parametrize("make", [GreedyDual, InCacheLFU, LogFrequency])
def test_a_policy_of_the_literature_keeps_the_contract(make):
    check_policy(make)


asked = st.tuples(st.sampled_from("ABCDEFGHIJ"), st.sampled_from([0.5, 1, 3]), st.integers(1, 9))
requests = st.lists(asked, max_size=80)


@each
@given(requests, st.integers(1, 30))
def test_what_is_held_is_a_hit_and_never_exceeds_the_capacity(make, trace, capacity):
    cache, sizes = make(capacity), {}
    for key, cost, size in trace:
        held = key in cache
        assert cache.request(key, cost, size) == held
        if not held:
            sizes[key] = size
        assert not held or key in cache
        kept = [name for name in sizes if name in cache]
        assert len(cache) == len(kept)
        assert cache.size == sum(sizes[name] for name in kept) <= capacity


@pytest.mark.parametrize("make", NAMELESS.values(), ids=NAMELESS)
@given(requests, st.integers(1, 30), st.permutations("ABCDEFGHIJ"))
def test_renaming_the_keys_changes_nothing(make, trace, capacity, names):
    # Not so for WTinyLFU: its sketch hashes the names, so a new name may share another's counters.
    renamed = dict(zip("ABCDEFGHIJ", names, strict=True))
    one, other = make(capacity), make(capacity)
    for key, cost, size in trace:
        assert one.request(key, cost, size) == other.request(renamed[key], cost, size)


@pytest.mark.parametrize("make", KEEP_ALL.values(), ids=KEEP_ALL)
@given(requests, st.integers(1, 30))
def test_a_newcomer_that_fits_stays(make, trace, capacity):
    # Not so for WTinyLFU and the paper's cache, where a newcomer may itself be the least.
    cache = make(capacity)
    for key, cost, size in trace:
        held = cache.request(key, cost, size)
        assert (key in cache) == (held or size <= capacity)


@each
def test_what_is_larger_than_the_whole_cache_evicts_nobody(make):
    cache = make(3)
    cache.request("A")
    assert not cache.request("huge", 1e9, 4)
    assert "huge" not in cache
    assert "A" in cache


@each
def test_what_is_as_large_as_the_cache_finds_its_room(make):
    cache = make(20)
    for key in "AAAB":
        cache.request(key)
    assert not cache.request("huge", 1.0, 20)
    assert cache.size <= 20


@each
def test_a_capacity_that_holds_nothing_is_refused(make):
    with pytest.raises(ValueError, match="capacity must be positive, got 0"):
        make(0)


def slow_sieve(trace, capacity):
    """A list, oldest first, and the hand as a place in it."""
    queue, visited, hand, hits = [], set(), 0, []
    for key in trace:
        hits.append(key in queue)
        if key in queue:
            visited.add(key)
            continue
        if len(queue) == capacity:
            while queue[hand] in visited:
                visited.remove(queue[hand])
                hand = (hand + 1) % len(queue)
            del queue[hand]
            hand = 0 if hand == len(queue) else hand
        queue.append(key)
    return hits


def slow_s3fifo(trace, capacity):
    """Three lists of keys, oldest first."""
    small, main, ghosts, uses, hits, filling = [], [], [], {}, [], True
    most = max(1, capacity // 10)

    def evict_small():
        while small:
            key = small.pop(0)
            if uses[key] < 2:
                ghosts.append(key)
                del ghosts[: max(0, len(ghosts) - (capacity - most))]
                return
            main.append(key)
            uses[key] = 0

    for key in trace:
        hits.append(key in small + main)
        if hits[-1]:
            uses[key] = min(uses[key] + 1, 3)
            continue
        returns = key in ghosts
        ghosts = [ghost for ghost in ghosts if ghost != key]
        while len(small + main) == capacity:
            filling = False
            if small and len(main) <= capacity - most:
                evict_small()
            elif uses[main[0]]:
                uses[main[0]] -= 1
                main.append(main.pop(0))
            else:
                main.pop(0)
        spare = filling and len(small) == most
        (main if returns or spare else small).append(key)
        uses[key] = 0
    return hits


def slow_arc(trace, c):  # noqa: C901
    """Four lists, oldest first: the four cases of Figure 4."""
    t1, t2, b1, b2, p, hits = [], [], [], [], 0.0, []

    def replace(x):
        if t1 and (len(t1) > p or (x in b2 and len(t1) == p)):
            b1.append(t1.pop(0))
        else:
            b2.append(t2.pop(0))

    for x in trace:
        hits.append(x in t1 or x in t2)
        home = t2
        if hits[-1]:
            (t1 if x in t1 else t2).remove(x)
        elif x in b1:
            p = min(c, p + max(1, len(b2) / len(b1)))
            replace(x)
            b1.remove(x)
        elif x in b2:
            p = max(0, p - max(1, len(b1) / len(b2)))
            replace(x)
            b2.remove(x)
        else:
            home = t1
            if len(t1) + len(b1) == c:
                if len(t1) < c:
                    b1.pop(0)
                    replace(x)
                else:
                    t1.pop(0)
            elif len(t1) + len(t2) + len(b1) + len(b2) >= c:
                if len(t1) + len(t2) + len(b1) + len(b2) == 2 * c:
                    b2.pop(0)
                replace(x)
        home.append(x)
    return hits


def slow_two_q(trace, capacity):
    """Three lists, oldest first: the full version, as published."""
    a1in, a1out, am, hits = [], [], [], []
    for key in trace:
        hits.append(key in a1in + am)
        if key in am:
            am.remove(key)
            am.append(key)
        if hits[-1]:
            continue
        home = am if key in a1out else a1in
        a1out = [ghost for ghost in a1out if ghost != key]
        if len(a1in + am) == capacity:
            if len(a1in) > capacity // 4 or not am:
                a1out = [*a1out, a1in.pop(0)]
                a1out = a1out[max(0, len(a1out) - capacity // 2) :]
            else:
                am.pop(0)
        home.append(key)
    return hits


def slow_hyperbolic(trace, capacity):
    """All are looked at, as up to 64 should be. Of equals any may leave, so this gives each rate."""
    cache, held, lost = Hyperbolic(capacity), {}, []
    for now, key in enumerate(trace, 1):
        cache.request(key)
        rates = {k: n / (now - since) for k, (n, since) in held.items() if k != key}
        gone = [k for k in held if k not in cache]
        lost.extend((rates[k], min(rates.values())) for k in gone)
        held = {k: v for k, v in held.items() if k in cache}
        uses, since = held.get(key, (0, now))
        held[key] = uses + 1, since
    return lost


def slow_wtinylfu(trace, capacity):
    """Three lists, oldest first; only the sketch is shared."""
    window, probation, protected, hits = [], [], [], []
    sketch, main = Sketch(capacity), capacity * 99 // 100

    def frequency(key):
        return sketch.estimate(sketch.cells(key))

    for key in trace:
        sketch.add(sketch.cells(key))
        home = next((q for q in (window, probation, protected) if key in q), None)
        hits.append(home is not None)
        if home:
            home.remove(key)
        (window if home is None or home is window else protected).append(key)
        if len(protected) > main * 4 // 5:
            probation.append(protected.pop(0))
        if len(window) > capacity - main:
            probation.append(window.pop(0))
            if len(window + probation + protected) > capacity:
                candidate, victim = probation[-1], probation[0]
                admitted = frequency(candidate) > frequency(victim)
                probation.remove(victim if admitted else candidate)
    return hits


def slow_least(policy, trace, capacity):
    """A scan for the least."""
    held, hits = {}, []
    for now, key in enumerate(trace, 1):
        hits.append(key in held)
        if key not in held and len(held) == capacity:
            victim = min(held.values(), key=lambda e: (e.worth, e.last))
            policy.evicted(held.pop(victim.key))
        entry = held.setdefault(key, Standing(key))
        entry.requested(now, policy.half_life)
        entry.worth = policy.worth(entry)
    return hits


SLOW = {
    "SIEVE": slow_sieve,
    "S3FIFO": slow_s3fifo,
    "WTinyLFU": slow_wtinylfu,
    "ARC": slow_arc,
    "TwoQ": slow_two_q,
    "GDSF": lambda trace, capacity: slow_least(GDSF(), trace, capacity),
    "LRU": lambda trace, capacity: slow_least(LRU(), trace, capacity),
}


@pytest.mark.parametrize("name", SLOW)
@given(st.lists(st.integers(0, 12).map(str), max_size=200), st.integers(1, 20))
def test_it_is_the_slow_and_obvious_one(name, trace, capacity):
    cache = BASELINES[name](capacity)
    assert [cache.request(key) for key in trace] == SLOW[name](trace, capacity)


@pytest.mark.parametrize("capacity", [1, 2, 3, 10, 50])
@pytest.mark.parametrize("name", SLOW)
def test_it_is_the_slow_and_obvious_one_where_popularity_is_skewed_and_moves(name, capacity):
    rng = random.Random(capacity)
    trace = [str(now // 50 + int(rng.paretovariate(0.7))) for now in range(3000)]
    cache = BASELINES[name](capacity)
    assert [cache.request(key) for key in trace] == SLOW[name](trace, capacity)
