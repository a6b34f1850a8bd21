"""Two texts laid side by side: what they share in order, what stands in another's place, what moved."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from langchain_cachemux.match import english
from langchain_cachemux.match.words import Text, abbreviates, read, stem

SHARED = 0.7
"""Share of the words aligned in order from which on two texts stand in one frame."""
ANYWHERE = 0.8
"""The same of the words that both have, in whatever order."""
ALONE = 0.3
"""The same as `SHARED` where nothing but one place differs, by at most two words on a side."""
LONGEST = 4_000
"""Words on a side, beyond what both begin and end with, that are aligned in order."""
TOO_LONG = 100_000
"""Characters of a text that is not read."""
SEEN = 8
"""Words of a difference that are looked at and shown."""

_NONE = Counter[str]()
Words: TypeAlias = tuple[str, ...]
Block: TypeAlias = tuple[int, int, int, int]
"""Where a difference begins and ends in one sequence, and in the other."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Words that stand in each other's place, "" where one side has none there."""

    new: str
    stored: str

    @property
    def opposed(self) -> bool:
        """Whether some of them are members of one closed class, such as to and from."""
        return any(opposed(x, y) for x in self.new.split() for y in self.stored.split())


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two texts side by side.

    Attributes:
        new: The one text's reading.
        stored: The other's.
        differences: What only one of them says, or says in the other's place, in order.
        moved: Words of both that stand in another order.
        exchanged: Whether nothing else differs and two parts changed places around a third.
        shared: Share of the words aligned in order, in [0, 1]: twice their number over that of both.
        common: The same with the words that moved.
        in_frame: Whether so much is shared that each word that differs matters.
    """

    new: Text
    stored: Text
    differences: tuple[Difference, ...]
    moved: Words
    exchanged: bool
    shared: float
    common: float
    in_frame: bool

    def literal(self) -> bool:
        """Whether each word that only one of them has is a spelling of one that only the other has.

        Not a plural (glass and glasses), nor the initials of several words.
        """
        mine, theirs = ({*text.words} | english.UNSAID for text in (self.new, self.stored))
        left = [word for word in self.new.words if word not in theirs]
        right = [word for word in self.stored.words if word not in mine]
        return "".join(left) == "".join(right) or all(
            any(akin(word, other) or _spelled(word, other) for other in others)
            for some, others in ((left, right), (right, left))
            for word in some
        )

    def other_role(self) -> bool:
        """Whether one asks who did something and the other whom it was done to, and no more differs.

        But what makes a passive or a question, and the form of one verb: taught and teach begin alike.
        """
        if {self.new.asks_who, self.stored.asks_who} != {True, False}:
            return False
        mine, theirs = (
            Counter(text.stems) - Counter(["did", "was", "by"]) for text in (self.new, self.stored)
        )
        forms = [*(mine - theirs).elements()], [*(theirs - mine).elements()]
        begun = [[word[0] for word in each] for each in forms]
        return len(begun[0]) < 2 and begun[0] == begun[1]  # noqa: PLR2004

    def _turned_owner(self) -> bool:
        """Whether "of" stands where "'s" stood: my wife's brother, the wife of my brother."""
        if {*self.new.light} ^ {*self.stored.light} != {"of", english.POSSESSIVE}:
            return False
        mine, theirs = (
            [word for word in text.stems if word not in english.UNSAID]
            for text in (self.new, self.stored)
        )
        return mine == theirs

    def other_way(self) -> str | None:
        """Why one asks what the other states, or of another time, or a way leads elsewhere; or None.

        One of `english.WAYS` leads to another word, while each text has both words.
        """
        if {self.new.asks, self.stored.asks} == {True, False}:
            return "one asks what the other states"
        if self._turned_owner():
            return "the owner in one is what is owned in the other"
        if {self.new.to_come, self.stored.to_come} == {True, False}:
            return "one asks what was, the other what will be"
        if found := _other_kind(self.new, self.stored) or _other_kind(self.stored, self.new):
            return found
        shared = {*self.new.stems} & {*self.stored.stems}
        for way in sorted(english.WAYS & set().union(*self.new.steps.values())):
            mine, theirs = (
                [stem for stem, steps in text.steps.items() if way in steps]
                for text in (self.new, self.stored)
            )
            both = {*mine, *theirs}
            if len(mine) == len(theirs) == 1 < len(both) and both <= shared:
                return f"'{way} {mine[0]}' is not '{way} {theirs[0]}'"
        return None


def _other_kind(one: Text, other: Text) -> str | None:
    """Why one asks how to do something, and the other when; or what it is, and the other why; or None.

    When a "when" begins a question, a helping verb is beside it: not "when I do", "when doing it".
    """
    first, second = (*other.stems, "", "")[:2]
    timed = first == "when" and second in english.AUXILIARIES and first not in one.stems
    if timed and "how" in one.steps.get("to", ()):
        return "one asks how, the other when"
    plain = "what" in one.light and english.KINDS.isdisjoint(one.stems)
    if plain and "why" in other.stems and {*one.stems} <= {*other.stems}:
        return "one asks what, the other why"
    return None


@lru_cache(maxsize=4)
def align(new: str, stored: str) -> Alignment:
    """Lay two texts side by side; the other way round it is the same with its sides changed."""
    if new <= stored:
        return _align(new, stored)
    found = _align(stored, new)
    sides = tuple(Difference(each.stored, each.new) for each in found.differences)
    return replace(found, new=found.stored, stored=found.new, differences=sides)


def _align(one: str, other: str) -> Alignment:
    if max(len(one), len(other)) > TOO_LONG:
        return _unread(one, other)
    left, right = read(one), read(other)
    left, right = _owning(left, right), _owning(right, left)
    blocks, aligned = _blocks(left.stems, right.stems)
    gone = [stem for start, end, _, _ in blocks for stem in left.stems[start:end]]
    come = [stem for _, _, start, end in blocks for stem in right.stems[start:end]]
    moved = _NONE if {*gone}.isdisjoint(come) else Counter(gone) & Counter(come)
    differences: list[Difference] = []
    staying = _staying(left, moved), _staying(right, moved)
    longest = 0
    for start, end, begin, stop in blocks:
        mine, theirs = staying[0](start, end), staying[1](begin, stop)
        begs = start == begin == 0 and not (mine and theirs) and (mine or theirs)
        if begs and _BEGGED.fullmatch(" ".join(begs)):
            continue
        found, alike = _between(mine, theirs)
        aligned += alike
        if found:
            differences += found
            longest = max(longest, len(mine), len(theirs))
    if moved and True in (left.asks_who, right.asks_who) and _passive(differences):
        moved, differences = _NONE, []
    if _initials_moved(differences):
        differences = []
    words = len(left.stems) + len(right.stems) or 1
    shared, common = 2 * aligned / words, 2 * (aligned + moved.total()) / words
    turn = _turn(left, right) if moved and not differences else ""
    if turn == "turned":
        moved, shared = _NONE, common
    in_frame = shared >= SHARED or common >= ANYWHERE
    in_frame = in_frame or len(left.stems) == len(right.stems) == 1  # a word in another's place
    in_frame = in_frame or (len(blocks) == 1 and longest <= 2 and shared >= ALONE)  # noqa: PLR2004
    return Alignment(
        new=left,
        stored=right,
        differences=tuple(differences),
        moved=tuple(stem for stem in moved if stem not in english.AUXILIARIES),
        exchanged=turn == "exchanged",
        shared=shared,
        common=common,
        in_frame=in_frame,
    )


def _unread(one: str, other: str) -> Alignment:
    """What is taken to differ of texts that are too long to be read."""
    size, other_size = (f"a text of {len(text):,} characters" for text in (one, other))
    return Alignment(
        new=read(""),
        stored=read(""),
        differences=(Difference(size, other_size),),
        moved=(),
        exchanged=False,
        shared=0.0,
        common=0.0,
        in_frame=True,
    )


def _owning(text: Text, other: Text) -> Text:
    """A text that says "in Spain" as if it said "of Spain", where no other word differs.

    The other says "Spain's", or is a row of keywords. Elsewhere a word before another is not one in it:
    a tree house, a house in a tree.
    """
    if len(text.stems) != len(other.stems) + 1:
        return text
    extra = Counter(text.stems) - Counter(other.stems)
    if not extra.keys() <= english.PLACING:
        return text
    at = next(at for at, word in enumerate(text.stems) if word in extra)
    owned = english.POSSESSIVE in other.light and english.POSSESSIVE not in text.light
    if not owned and not (english.CLOSED.isdisjoint(other.words) and not other.light):
        return text
    return replace(
        text,
        words=text.words[:at] + text.words[at + 1 :],
        stems=text.stems[:at] + text.stems[at + 1 :],
        light=tuple(sorted((*text.light, "of"))),
        clauses=tuple(start - (start > at) for start in text.clauses),
        steps={word: steps - {text.words[at]} for word, steps in text.steps.items()},
    )


def _staying(text: Text, moved: Counter[str]) -> Callable[[int, int], list[str]]:
    """Reads a block of a text without the words that moved; blocks come in order."""
    if not moved:
        return lambda start, end: list(text.words[start:end])
    left = moved.copy()

    def block(start: int, end: int) -> list[str]:
        kept = []
        for word, one in zip(text.words[start:end], text.stems[start:end], strict=True):
            if left[one]:
                left[one] -= 1
            else:
                kept.append(word)
        return kept

    return block


def _between(mine: list[str], theirs: list[str]) -> tuple[list[Difference], int]:
    """What differs in a block, and how many of its pairs of words are akin."""
    if len(mine) != len(theirs):
        mine = [word for word in mine if word not in english.UNSAID]
        theirs = [word for word in theirs if word not in english.UNSAID]
    if "".join(mine) == "".join(theirs):
        return [], min(len(mine), len(theirs))
    if _initials(*sorted((mine, theirs), key=len)):
        return [], 0
    if len(mine) == len(theirs):
        pairs = [
            pair
            for pair in zip(mine, theirs, strict=True)
            if not (akin(*pair) or abbreviates(*sorted(pair, key=len)))
        ]
        found = [Difference(x, y) for x, y in pairs if _class_of(x) != _class_of(y)]
        return found, len(mine) - len(pairs)
    return [Difference(" ".join(mine[:SEEN]), " ".join(theirs[:SEEN]))], 0


def _initials_moved(differences: list[Difference]) -> bool:
    """Whether one says in full what the other has as initials elsewhere, and no more differs."""
    if len(differences) != 2:  # noqa: PLR2004
        return False
    one, other = differences
    apart = not (one.new or other.stored) or not (one.stored or other.new)
    said = [(each.new or each.stored).split() for each in differences]
    return apart and _initials(*sorted(said, key=len))


def _passive(differences: list[Difference]) -> bool:
    """Whether nothing differs but what a passive has more than an active: was drawn by, drew."""
    words = {word for each in differences for word in (*each.new.split(), *each.stored.split())}
    return "by" in words <= {"by", "was"}


_BEGGED = re.compile(english.BEGGED)


def _class_of(word: str) -> str:
    """One of the words of closed classes that say the same in one place: when of when and while."""
    return english.ALIKE.get(word, word)


def _spelled(word: str, other: str) -> bool:
    """Whether two words are one in two spellings, and neither is the other's plural."""
    short, long = sorted((word, other), key=len)
    return stem(word) == stem(other) and not (long[-1] == "s" and long.startswith(short[:-1]))


def _initials(short: list[str], long: list[str]) -> bool:
    """Whether a word is the first letters of several others: nyc, new york city."""
    return len(short) == 1 < len(long) and short[0] == "".join(word[0] for word in long)


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
    if word == other:
        return True
    if not (word + other).isascii() or not (word + other).isalpha():
        return False
    word, other = sorted((word, other), key=len)
    return _going(word, other) or _misspelt(word, other)


def _going(base: str, word: str) -> bool:
    """Whether a word is another in -ing: reset and resetting, use and using."""
    begun = word.removesuffix("ing")
    single = begun[:-1] if begun[-1:] == begun[-2:-1] else begun
    return len(base) > 2 and word != begun and base in (begun, single, f"{begun}e")  # noqa: PLR2004


SHORT, LONG = 6, 8
"""Letters of a word from which on, and beyond which, it may be misspelt, or lack a letter."""


def _misspelt(short: str, long: str) -> bool:
    """Two neighbouring letters changed places, a double letter is single, or a long word lacks one.

    A long word lacks any but its first, one as long as `LONG` a vowel: interest, not contract.
    """
    if len(short) < SHORT or short[0] != long[0] or len(long) - len(short) > 1:
        return False
    if long == f"{short}s":  # a plural
        return False
    at = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if len(short) == len(long):
        return short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    lacks = len(long) > LONG - (long[at] in "aeiou") and short not in english.CLOSED
    return long[at + 1 :] == short[at:] and (long[at] == long[at - 1] or lacks)


def _turn(left: Text, right: Text) -> str:
    """How the same words came into another order.

    "exchanged": two parts changed places around a third (who bites whom), or two names did; "turned":
    a part of the question moved to its front or end, two stand on the other side of an "and" or an
    "of", or two neighbours changed places without a "do" (what cows eat, what eats cows); "" is any
    other way, and any in which a "not" may have moved.
    """
    start, a, b = _unlike(left.stems, right.stems)
    if not english.NEGATIONS.isdisjoint(a):
        return "turned" if _inverted(left, start, a, b) or _inverted(left, start, b, a) else ""
    for i in sorted({*range(1, len(a))[:SEEN], *range(1, len(a))[-SEEN:]}):
        if a[:i] != b[len(b) - i :]:
            continue
        for j in sorted({*range(1, len(a) - i + 1)[:SEEN], len(a) - i}):
            middle = a[i : len(a) - j]
            if a[len(a) - j :] != b[:j] or middle != b[j : len(b) - i]:
                continue
            if middle:
                return "turned" if english.PAIRED.issuperset(middle) else "exchanged"
            of, do = ((word in left.light) != (word in right.light) for word in ("of", "do"))
            if of:
                return "turned"
            if {*a} <= {*left.names, *right.names}:
                return "exchanged"
            clause = start + i in left.clauses or start + j in right.clauses
            owned = english.POSSESSIVE in left.light and english.POSSESSIVE in right.light
            words = english.CLOSED.isdisjoint(a) and any(word[-1].isalnum() for word in a)
            neighbours = i == j == 1 and words and not (do or owned)
            helps = (i == 1 and a[0] in english.AUXILIARIES) or (
                j == 1 and b[0] in english.AUXILIARIES
            )
            moves = clause or neighbours or helps or {a[0], b[0]} & english.ADJUNCTS
            return "turned" if moves else ""
    return ""


def _inverted(text: Text, start: int, a: Words, b: Words) -> bool:
    """Whether a "not" went before what is asked about: why isn't my card, why is my card not."""
    about = {*b[:-1]} - english.UNSAID - english.ANYBODY
    asks = text.asks or not english.KINDS.isdisjoint(text.stems[:start])
    first = (english.KINDS | english.AUXILIARIES).issuperset(text.stems[:start])
    named = (english.HELPING | {english.POSSESSIVE}).issuperset(
        text.light
    )  # not: is it safe not to
    plain = first and named and len(text.clauses) == 1 and english.CLOSED.isdisjoint(about)
    return asks and plain and a[:1] == b[-1:] == ("not",) and a[1:] == b[:-1]


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
