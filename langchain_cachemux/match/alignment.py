"""Two texts laid side by side: what they share in order, what stands in another's place, what moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from langchain_cachemux.match import english
from langchain_cachemux.match.words import Text, read

REPLACED = 0.7
ADDED = 0.7
BAG = 0.8
ALONE = 0.4
LONGEST = 4_000
"""Words on either side, beyond what both begin and end with, that are aligned in order."""

Words = tuple[str, ...]
Block = tuple[int, int, int, int]
"""Where a difference begins and ends, on either side."""


@dataclass(frozen=True, slots=True)
class Difference:
    new: str
    stored: str
    opposed: bool


@dataclass(frozen=True, slots=True)
class Alignment:
    new: Text
    stored: Text
    differences: tuple[Difference, ...]
    moved: Words
    exchanged: bool
    shared: float
    bag: float
    in_frame: bool


@lru_cache(maxsize=4)
def align(new: str, stored: str) -> Alignment:
    left, right = read(new), read(stored)
    blocks, matched = _blocks(left.stems, right.stems)
    gone = Counter(stem for start, end, _, _ in blocks for stem in left.stems[start:end])
    come = Counter(stem for _, _, start, end in blocks for stem in right.stems[start:end])
    moved = gone & come
    differences: list[Difference] = []
    longest = 0
    skipped = Counter(moved), Counter(moved)
    for start, end, begin, stop in blocks:
        mine = _staying(left, start, end, skipped[0])
        theirs = _staying(right, begin, stop, skipped[1])
        found, akin = _between(mine, theirs)
        matched += akin
        if found:
            differences += found
            longest = max(longest, len(mine), len(theirs))
    total = len(left.stems) + len(right.stems) or 1
    shared, bag = 2 * matched / total, 2 * (matched + moved.total()) / total
    exchanged = False
    if moved and not differences:
        turn = _turn(left, right)
        exchanged = turn == "exchanged"
        if turn == "turned":
            moved, shared = Counter(), bag
    for word in english.AUXILIARIES:
        del moved[word]
    replaced = any(d.new for d in differences) and any(d.stored for d in differences)
    single = len(blocks) == 1 and not moved and longest <= 2
    in_frame = (
        shared >= (REPLACED if replaced else ADDED)
        or bag >= BAG
        or (single and shared >= ALONE)
    )
    return Alignment(
        left, right, tuple(differences), tuple(moved), exchanged, shared, bag, in_frame
    )


def _staying(text: Text, start: int, end: int, moved: Counter[str]) -> list[str]:
    """The words of a block but those that moved."""
    kept = []
    for word, stem in zip(text.words[start:end], text.stems[start:end], strict=True):
        if moved[stem]:
            moved[stem] -= 1
        else:
            kept.append(word)
    return kept


def _between(mine: list[str], theirs: list[str]) -> tuple[list[Difference], int]:
    """What differs in a block, and how many of its pairs of words are akin."""
    if len(mine) != len(theirs):
        mine = [word for word in mine if word not in english.UNSAID]
        theirs = [word for word in theirs if word not in english.UNSAID]
    if len(mine) == len(theirs):
        pairs = [pair for pair in zip(mine, theirs, strict=True) if not akin(*pair)]
        return [Difference(x, y, opposed(x, y)) for x, y in pairs], len(mine) - len(pairs)
    clash = any(opposed(x, y) for x in mine[:SEEN] for y in theirs[:SEEN])
    return [Difference(" ".join(mine[:SEEN]), " ".join(theirs[:SEEN]), clash)], 0


SEEN = 8
"""Words of a block that are looked at and shown."""

_SIDES: dict[str, list[tuple[int, int]]] = {}
for _set, _members in enumerate(english.OPPOSED):
    for _member, _forms in enumerate(_members.split("|")):
        for _word in _forms.split(","):
            _SIDES.setdefault(_word, []).append((_set, _member))


def opposed(word: str, other: str) -> bool:
    """Whether two words are different members of one closed set: to and from, may and must."""
    return any(
        one == another and member != beside
        for one, member in _SIDES.get(word, ())
        for another, beside in _SIDES.get(other, ())
    )


def akin(word: str, other: str) -> bool:
    """Whether two words are one: an inflection in -ing, a spelling, a slip of the typist."""
    if word == other or frozenset((word, other)) in english.ALIKE:
        return True
    if not (word + other).isascii() or not (word + other).isalpha():
        return False
    word, other = sorted((word, other), key=len)
    return _going(word, other) or _misspelt(word, other)


def _going(base: str, word: str) -> bool:
    begun = word.removesuffix("ing")
    return len(base) > 2 and word != begun and base in (begun, f"{begun}e", begun[:-1] * (begun[-1:] == begun[-2:-1]))


def _misspelt(short: str, long: str) -> bool:
    """Two neighbouring letters changed places, a double letter is single, or a long word lacks one."""
    if len(short) < 5 or short[0] != long[0] or len(long) - len(short) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if len(short) == len(long):
        return short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return long[at + 1 :] == short[at:] and (long[at] == long[at - 1] or len(long) > 8)


def _turn(left: Text, right: Text) -> str:
    """How the same words came into another order.

    "exchanged": two parts changed places around a third (who bites whom), or two names did; "turned":
    a part of the question moved to its front or end, or two neighbours changed places; or "".
    """
    start, a, b = _unlike(left.stems, right.stems)
    for i in range(1, min(len(a), SEEN)):
        for j in range(1, min(len(a) - i + 1, SEEN)):
            if a[:i] != b[len(b) - i :] or a[len(a) - j :] != b[:j] or a[i : len(a) - j] != b[j : len(b) - i]:
                continue
            middle = a[i : len(a) - j]
            if middle:
                return "turned" if english.PAIRED.issuperset(middle) else "exchanged"
            if {*a} <= {*left.names, *right.names}:
                return "exchanged"
            heads = {a[0], b[0]}
            clause = start + i in left.clauses or start + j in right.clauses
            open_words = len(a) == 2 and not heads & (english.CLOSED | {"i", "me"})
            return "turned" if clause or open_words or heads & english.ADJUNCTS else ""
    return ""


def _unlike(left: Words, right: Words) -> tuple[int, Words, Words]:
    """What is left of two sequences without what both begin and end with, and where it begins."""
    start, end, stop = 0, len(left), len(right)
    while start < end and start < stop and left[start] == right[start]:
        start += 1
    while end > start and stop > start and left[end - 1] == right[stop - 1]:
        end, stop = end - 1, stop - 1
    return start, left[start:end], right[start:stop]


def _blocks(left: Words, right: Words) -> tuple[list[Block], int]:
    """The differing blocks of two sequences, and how many words they share in order."""
    start, a, b = _unlike(left, right)
    pairs = _common(a, b)
    blocks = []
    i = j = 0
    for x, y in [*pairs, (len(a), len(b))]:
        if x > i or y > j:
            blocks.append((start + i, start + x, start + j, start + y))
        i, j = x + 1, y + 1
    return blocks, len(left) - len(a) + len(pairs)


def _common(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Places of a longest common subsequence.

    A row of the table is one integer (Hyyrö, Bit-parallel LCS-length computation revisited, AWOCA
    2004): n words against m take n steps on m bits.
    """
    if not left or not right or max(len(left), len(right)) > LONGEST:
        return []
    places: dict[str, int] = {}
    for i, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << i
    row = full = (1 << len(left)) - 1
    rows = []
    for word in right:
        found = row & places.get(word, 0)
        row = ((row + found) | (row - found)) & full
        rows.append(row)
    pairs = []
    i, j = len(left), len(right)
    while i and j:
        bit = 1 << (i - 1)
        if rows[j - 1] & bit:
            i -= 1
        elif j > 1 and not rows[j - 2] & bit:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
