"""Published eviction policies that only a replay uses, to be compared with.

A baseline is one method: `request` counts a request, admits and evicts, and says whether it was a
hit. Those that an entry's frozen worth can express are policies instead: `langchain_cachemux.lab.least`
replays them, and any other policy, as a cache that always keeps the newcomer.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from hashlib import blake2b
from struct import unpack
from typing import Protocol, TypeAlias

from langchain_cachemux.types import Standing


class Baseline(Protocol):
    """A cache of keys alone, for one thread."""

    capacity: int
    """Sum of sizes that may be held."""

    @property
    def size(self) -> int:
        """Sum of the sizes held, never above `capacity`; with sizes of 1, the number of keys."""
        ...

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:
        """Count one request; True when `key` was held.

        Cost and size are read on a miss only, and hold until the key is evicted. What is larger
        than the whole capacity is never kept.
        """
        ...

    def __len__(self) -> int:
        """Keys held."""
        ...

    def __contains__(self, key: object) -> bool:
        """Whether the next request for `key` is a hit; counts nothing."""
        ...


def checked(capacity: int) -> int:
    """Return `capacity`, or raise `ValueError` when it is not positive."""
    if not capacity > 0:
        msg = f"capacity must be positive, got {capacity!r}"
        raise ValueError(msg)
    return capacity


class Queue(OrderedDict[str, int]):
    """Keys and their sizes, oldest first, and the sum of the sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def push(self, key: str, size: int) -> None:
        """Add a key that is not held, as the newest."""
        self[key] = size
        self.size += size

    def take(self, key: str) -> int:
        """Remove a key; its size."""
        size = self.pop(key)
        self.size -= size
        return size

    def shift(self) -> tuple[str, int]:
        """Remove the oldest key; it and its size."""
        key, size = self.popitem(last=False)
        self.size -= size
        return key, size


class SIEVE:
    """A queue with one bit per key; a hand walks from the oldest, clears bits, evicts without.

    Zhang et al., NSDI 2024. The queue is cut at the hand into what it has passed and what is ahead
    of it, so that the hand is always the left end of a deque.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = checked(capacity)
        self.size = 0
        self._visited: dict[str, bool] = {}
        self._sizes: dict[str, int] = {}
        self._passed: deque[str] = deque()
        self._ahead: deque[str] = deque()

    def __len__(self) -> int:
        """Keys held."""
        return len(self._visited)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._visited

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:  # noqa: ARG002
        """Count one request; blind to cost."""
        if key in self._visited:
            self._visited[key] = True
            return True
        if size <= self.capacity:
            while self.size + size > self.capacity:
                self._evict()
            self._ahead.append(key)
            self._visited[key] = False
            self._sizes[key] = size
            self.size += size
        return False

    def _evict(self) -> None:
        visited = True
        while visited:
            key = self._ahead.popleft()
            visited = self._visited[key]
            if visited:
                self._visited[key] = False
                self._passed.append(key)
            else:
                del self._visited[key]
                self.size -= self._sizes.pop(key)
            if not self._ahead:  # at once, or the next newcomer would be where the hand starts
                self._ahead, self._passed = self._passed, self._ahead


class S3FIFO:
    """A small queue filters what comes, a main queue reinserts what is used, ghosts come back.

    Yang et al., SOSP 2023: a small queue of a tenth of the capacity, counters up to 3, as many
    ghosts as the main queue holds. Two rules are those of the authors' later simulator
    (libCacheSim), not of the paper's Algorithm 1: until the first eviction, what the small queue has
    no room for goes to main, so that it never grows into a FIFO of everything; and main takes what
    the small queue promotes even when it is full, and pays for it at the next eviction.
    """

    MOST_USES = 3

    def __init__(self, capacity: int) -> None:
        self.capacity = checked(capacity)
        self._room = max(1, capacity // 10)
        self._filling = True
        self._small, self._main, self._ghosts = Queue(), Queue(), Queue()
        self._uses: dict[str, int] = {}

    @property
    def size(self) -> int:
        """Sum of the sizes held."""
        return self._small.size + self._main.size

    def __len__(self) -> int:
        """Keys held."""
        return len(self._uses)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._uses

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:  # noqa: ARG002
        """Count one request; blind to cost."""
        uses = self._uses.get(key)
        if uses is not None:
            self._uses[key] = min(uses + 1, self.MOST_USES)
            return True
        if size <= self.capacity:
            returns = key in self._ghosts
            if returns:
                self._ghosts.take(key)
            while self.size + size > self.capacity:
                self._evict()
            spare = self._filling and self._small.size >= self._room
            (self._main if returns or spare else self._small).push(key, size)
            self._uses[key] = 0
        return False

    def _evict(self) -> None:
        self._filling = False
        if self._main.size > self.capacity - self._room or not self._small:
            self._evict_main()
        else:
            self._evict_small()

    def _evict_small(self) -> None:
        while self._small:
            key, size = self._small.shift()
            if self._uses[key] > 1:
                self._main.push(key, size)
                self._uses[key] = 0
            else:
                del self._uses[key]
                self._ghosts.push(key, size)
                while self._ghosts.size > self.capacity - self._room:
                    self._ghosts.shift()
                return

    def _evict_main(self) -> None:
        key, size = self._main.shift()
        while self._uses[key]:
            self._uses[key] -= 1
            self._main.push(key, size)
            key, size = self._main.shift()
        del self._uses[key]


Cells: TypeAlias = tuple[int, int, int, int]


class Sketch:
    """How often a key was asked for lately: a count-min sketch of four rows of 4-bit counters.

    Einziger, Friedman & Manes, ACM ToS 2017. Every counter, and the number of requests counted, is
    halved when that number reaches ten times the capacity. A row has at least four counters per
    unit of capacity, up to a million units: a capacity in bytes has fewer entries. The hash is that
    of the key's name, so renaming keys may change an estimate, but the same trace gives the same
    estimates on every machine.
    """

    ROWS = 4
    MOST = 15
    UNITS = 1 << 20
    HALVES = bytes(i // 2 for i in range(256))

    def __init__(self, capacity: int) -> None:
        self._width = 4 << (min(capacity, self.UNITS) - 1).bit_length()
        self._counters = bytearray(self.ROWS * self._width)
        self._requests, self._period = 0, 10 * min(capacity, self.UNITS)

    def cells(self, key: str) -> Cells:
        """Where `key` is counted, once a row."""
        width = self._width
        a, b, c, d = unpack("<4I", blake2b(key.encode(), digest_size=16).digest())
        return a % width, width + b % width, 2 * width + c % width, 3 * width + d % width

    def add(self, cells: Cells) -> None:
        """Count one request."""
        counters = self._counters
        for cell in cells:
            if counters[cell] < self.MOST:
                counters[cell] += 1
        self._requests += 1
        if self._requests >= self._period:
            self._counters = self._counters.translate(self.HALVES)
            self._requests //= 2

    def estimate(self, cells: Cells) -> int:
        """Requests counted at all of `cells`, at most 15."""
        a, b, c, d = cells
        counters = self._counters
        return min(counters[a], counters[b], counters[c], counters[d])


class WTinyLFU:
    """A window of 1 % takes what comes; what leaves it must be asked for more than who it replaces.

    Einziger, Friedman & Manes, ACM ToS 2017. Window and main are LRU, the main one in two segments:
    what is hit on probation becomes protected, and four fifths may be. The window is rounded up.

    Args:
        capacity: Sum of sizes that may be held.
        cost: Whether admission compares frequency x cost; the publication's compares frequency.
    """

    def __init__(self, capacity: int, *, cost: bool = False) -> None:
        self.capacity = checked(capacity)
        self.cost = cost
        main = capacity * 99 // 100
        self._rooms = capacity - main, main * 4 // 5
        self._window, self._probation, self._protected = Queue(), Queue(), Queue()
        self._sketch = Sketch(capacity)
        self._known: dict[str, tuple[Cells, float]] = {}

    @property
    def size(self) -> int:
        """Sum of the sizes held."""
        return self._window.size + self._probation.size + self._protected.size

    def __len__(self) -> int:
        """Keys held."""
        return len(self._known)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._known

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:
        """Count one request."""
        known = self._known.get(key)
        cells = known[0] if known else self._sketch.cells(key)
        self._sketch.add(cells)
        if known:
            self._use(key)
        elif size <= self.capacity:
            self._known[key] = cells, cost
            self._window.push(key, size)
            self._evict()
        return known is not None

    def _use(self, key: str) -> None:
        if key in self._window:
            self._window.move_to_end(key)
        elif key in self._protected:
            self._protected.move_to_end(key)
        else:
            self._protected.push(key, self._probation.take(key))
            while self._protected.size > self._rooms[1]:
                self._probation.push(*self._protected.shift())

    def _evict(self) -> None:
        while self._window.size > self._rooms[0]:
            candidate, size = self._window.shift()
            self._probation.push(candidate, size)
            while self.size > self.capacity and candidate in self._known:
                victim = next(iter(self._probation))
                beaten = self._value(candidate) > self._value(victim)
                loser = victim if beaten else candidate
                self._probation.take(loser)
                del self._known[loser]
        while self.size > self.capacity:  # with sizes above 1 the window may have had room to spare
            queue = self._probation or self._protected or self._window
            del self._known[queue.shift()[0]]

    def _value(self, key: str) -> float:
        cells, cost = self._known[key]
        return self._sketch.estimate(cells) * (cost if self.cost else 1.0)


class ARC:
    """Two LRU lists, of keys seen once and more often; hits on their ghosts move the border.

    Figure 4 of Megiddo & Modha, FAST 2003. Where sizes differ a ghost moves the border by its step
    times its size.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = checked(capacity)
        self._once, self._often = Queue(), Queue()  # T1, T2
        self._once_ghosts, self._often_ghosts = Queue(), Queue()  # B1, B2
        self._border = 0.0  # p

    @property
    def size(self) -> int:
        """Sum of the sizes held."""
        return self._once.size + self._often.size

    def __len__(self) -> int:
        """Keys held."""
        return len(self._once) + len(self._often)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._once or key in self._often

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:  # noqa: ARG002
        """Count one request; blind to cost."""
        if key in self._often:
            self._often.move_to_end(key)
            return True
        if key in self._once:
            self._often.push(key, self._once.take(key))
            return True
        if size > self.capacity:
            return False
        ghosts1, ghosts2 = self._once_ghosts, self._often_ghosts
        if key in ghosts1:
            step = self._step(ghosts2.size, ghosts1.size)
            self._border = min(self._border + step * size, float(self.capacity))
            self._replace(size, ghost=False)
            ghosts1.take(key)
            self._often.push(key, size)
        elif key in ghosts2:
            step = self._step(ghosts1.size, ghosts2.size)
            self._border = max(self._border - step * size, 0.0)
            self._replace(size, ghost=True)
            ghosts2.take(key)
            self._often.push(key, size)
        else:
            while ghosts1 and self._once.size + ghosts1.size + size > self.capacity:
                ghosts1.shift()
            while self._once.size + size > self.capacity:
                self._once.shift()
            while ghosts2 and self.size + ghosts1.size + ghosts2.size + size > 2 * self.capacity:
                ghosts2.shift()
            self._replace(size, ghost=False)
            self._once.push(key, size)
        return False

    def _step(self, other: int, own: int) -> float:
        return max(1.0, other / own)

    def _replace(self, size: int, *, ghost: bool) -> None:
        """Make room; `ghost` tells that the newcomer is one of those seen more often."""
        once, often = self._once, self._often
        while self.size + size > self.capacity:
            over = once.size > self._border or (ghost and once.size == self._border)
            if once and (over or not often):
                self._once_ghosts.push(*once.shift())
            else:
                self._often_ghosts.push(*often.shift())


class TwoQ:
    """A FIFO for what comes, an LRU for what comes again after it has left the FIFO.

    The full version of Johnson & Shasha, VLDB 1994: the FIFO is a quarter of the capacity, and the
    names of as much as half of it are remembered.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = checked(capacity)
        self._first, self._ghosts, self._main = Queue(), Queue(), Queue()  # A1in, A1out, Am

    @property
    def size(self) -> int:
        """Sum of the sizes held."""
        return self._first.size + self._main.size

    def __len__(self) -> int:
        """Keys held."""
        return len(self._first) + len(self._main)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._main or key in self._first

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:  # noqa: ARG002
        """Count one request; blind to cost."""
        if key in self._main:
            self._main.move_to_end(key)
            return True
        if key in self._first:
            return True
        if size <= self.capacity:
            queue = self._first
            if key in self._ghosts:
                self._ghosts.take(key)
                queue = self._main
            while self.size + size > self.capacity:
                self._evict()
            queue.push(key, size)
        return False

    def _evict(self) -> None:
        if self._first.size > self.capacity // 4 or not self._main:
            self._ghosts.push(*self._first.shift())
            while self._ghosts.size > self.capacity // 2:
                self._ghosts.shift()
        else:
            self._main.shift()


class Hyperbolic:
    """The least cost·n/(s·age) of 64 sampled keys leaves: n requests in the time since it came.

    Blankstein, Sen & Freedman, USENIX ATC 2017. Up to 64 keys are all looked at; beyond that, 64 are
    drawn with replacement, the same ones for the same seed.

    Args:
        capacity: Sum of sizes that may be held.
        seed: Of the samples.
    """

    SAMPLES = 64

    def __init__(self, capacity: int, *, seed: int = 0) -> None:
        self.capacity = checked(capacity)
        self.size = 0
        self._random = random.Random(seed)  # noqa: S311
        self._now = 0
        self._entries: list[Standing] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        """Keys held."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether `key` is held."""
        return key in self._places

    def request(self, key: str, cost: float = 1.0, size: int = 1) -> bool:
        """Count one request."""
        self._now += 1
        place = self._places.get(key)
        if place is not None:
            self._entries[place].uses += 1
            return True
        if size <= self.capacity:
            while self.size + size > self.capacity:
                self._evict()
            self._places[key] = len(self._entries)
            self._entries.append(Standing(key, cost=cost / size, size=size, uses=1, last=self._now))
            self.size += size
        return False

    def _evict(self) -> None:
        sampled, now = self._entries, self._now
        if len(sampled) > self.SAMPLES:
            sampled = self._random.choices(sampled, k=self.SAMPLES)
        victim = min(sampled, key=lambda e: e.cost * e.uses / (now - e.last))
        moved = self._entries.pop()
        place = self._places.pop(victim.key)
        if moved is not victim:
            self._entries[place] = moved
            self._places[moved.key] = place
        self.size -= victim.size
